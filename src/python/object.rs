//! Python objects as safe values: [`PyRef`], and on [`Attached`] the two dozen calls that corelane
//! makes.
//!
//! It owns the reference counts. Bytes, texts and numbers go in, objects come out and the other way
//! round; an exception is a [`Raised`]. Each call notes whether CPython gives a new or a borrowed
//! reference. It knows nothing of WSGI, and no object of it may be used in another interpreter.

#![expect(unsafe_code, reason = "CPython's objects are only reachable through its C API")]

use crate::python::interpreter;
use crate::python::interpreter::Attached;
use pyo3::ffi;
use std::ffi::CStr;
use std::ptr;
use std::ptr::NonNull;
use std::slice;

/// An owned reference to an object of the interpreter it was made in. It stays on its thread.
#[derive(Debug)]
pub(super) struct PyRef(NonNull<ffi::PyObject>);

/// What `iter()` gave. `PyIter_Next` does not look whether its argument is an iterator, so nothing
/// else may get there.
#[derive(Debug)]
pub(super) struct PyIterator(PyRef);

/// An exception is set on this thread. Whoever gets this hands it on, or takes the exception with
/// [`Attached::take_raised`].
#[must_use]
#[derive(Debug)]
pub(super) struct Raised(());

/// The exceptions that corelane raises itself.
#[derive(Clone, Copy, Debug)]
pub(super) enum Exception {
    /// `TypeError`: a value of the wrong type.
    Type,
    /// `ValueError`: a value that HTTP cannot carry.
    Value,
    /// `RuntimeError`: a call in the wrong order, or too late.
    Runtime,
    /// `BrokenPipeError`: the client has gone.
    BrokenPipe,
}

impl PyRef {
    /// Takes over a new reference.
    ///
    /// # Safety
    ///
    /// - `object` is NULL with an exception set, or a reference that the caller owns and gives
    ///   away.
    pub(super) unsafe fn from_new(object: *mut ffi::PyObject) -> Result<Self, Raised> {
        NonNull::new(object).map(Self).ok_or(Raised(()))
    }

    /// Makes an own reference of a borrowed one.
    ///
    /// # Safety
    ///
    /// - `object` is a live object, and this thread is attached to its interpreter.
    pub(super) unsafe fn from_borrowed(object: NonNull<ffi::PyObject>) -> Self {
        // SAFETY: promised by the caller.
        unsafe { ffi::Py_INCREF(object.as_ptr()) };
        Self(object)
    }

    /// The pointer, borrowed.
    pub(super) const fn as_ptr(&self) -> *mut ffi::PyObject {
        self.0.as_ptr()
    }

    /// The pointer with its reference, for a caller that returns it to CPython.
    pub(super) const fn into_ptr(self) -> *mut ffi::PyObject {
        let object = self.0.as_ptr();
        std::mem::forget(self);
        object
    }
}

impl Drop for PyRef {
    fn drop(&mut self) {
        // An object outlives its thread's last hold of the GIL only when a thread ends in the
        // middle of a shutdown. One object is leaked then; a decrement without the GIL would
        // corrupt memory.
        if interpreter::is_attached() {
            // SAFETY: this thread is attached, to the interpreter of this object: `PyRef` is not
            // `Send`, and a thread that serves several interpreters keeps the objects of each
            // beside that interpreter's `PythonThread` and drops them within its guard
            // (`inline.rs`).
            unsafe { ffi::Py_DECREF(self.as_ptr()) };
        }
    }
}

/// Making objects.
impl Attached {
    /// Imports a module.
    pub(super) fn import(&self, name: &CStr) -> Result<PyRef, Raised> {
        // SAFETY: attached; a NUL-terminated name.
        let module = unsafe { ffi::PyImport_ImportModule(name.as_ptr()) };
        // SAFETY: new reference or NULL with an exception.
        unsafe { PyRef::from_new(module) }
    }

    /// Runs `source` as the module `name`, and enters it into `sys.modules`.
    pub(super) fn run_module(&self, name: &CStr, source: &CStr) -> Result<PyRef, Raised> {
        let kind = ffi::Py_file_input;
        // SAFETY: attached; two NUL-terminated texts.
        let code = unsafe { ffi::Py_CompileString(source.as_ptr(), name.as_ptr(), kind) };
        // SAFETY: new reference or NULL with an exception.
        let code = unsafe { PyRef::from_new(code) }?;
        // SAFETY: attached; a NUL-terminated name and a live code object.
        let module = unsafe { ffi::PyImport_ExecCodeModule(name.as_ptr(), code.as_ptr()) };
        // SAFETY: new reference or NULL with an exception.
        unsafe { PyRef::from_new(module) }
    }

    /// A `str` of Unicode text.
    pub(super) fn text(&self, text: &str) -> Result<PyRef, Raised> {
        let bytes = text.as_ptr().cast();
        // SAFETY: attached; pointer and length are those of a live slice, which is copied.
        let object = unsafe { ffi::PyUnicode_FromStringAndSize(bytes, length(text.len())) };
        // SAFETY: new reference or NULL with an exception.
        unsafe { PyRef::from_new(object) }
    }

    /// A `str` that is the one of its value in this interpreter: its hash is known, and a dict
    /// finds it by identity.
    pub(super) fn interned(&self, text: &str) -> Result<PyRef, Raised> {
        let mut object = self.text(text)?.into_ptr();
        // SAFETY: attached; `object` is an owned `str` that is exchanged for an owned `str`.
        unsafe { ffi::PyUnicode_InternInPlace(&raw mut object) };
        // SAFETY: an owned reference, see above.
        unsafe { PyRef::from_new(object) }
    }

    /// A `str` whose characters are the bytes: the "bytes as latin-1" of PEP 3333.
    pub(super) fn latin1(&self, bytes: &[u8]) -> Result<PyRef, Raised> {
        let highest = if bytes.is_ascii() { 0x7f } else { 0xff };
        // SAFETY: attached; makes an uninitialised string of one byte a character.
        let object = unsafe { ffi::PyUnicode_New(length(bytes.len()), highest) };
        // SAFETY: new reference or NULL with an exception.
        let object = unsafe { PyRef::from_new(object) }?;
        // SAFETY: a live string of kind 1, as `highest` says.
        let characters = unsafe { ffi::PyUnicode_1BYTE_DATA(object.as_ptr()) };
        // SAFETY: the string has room for exactly these bytes, is new, and nobody else knows it.
        // The empty string is a shared object, but then no byte is copied.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), characters, bytes.len()) };
        Ok(object)
    }

    /// A `bytes` object with a copy of the bytes.
    pub(super) fn bytes(&self, bytes: &[u8]) -> Result<PyRef, Raised> {
        let start = bytes.as_ptr().cast();
        // SAFETY: attached; pointer and length are those of a live slice, which is copied.
        let object = unsafe { ffi::PyBytes_FromStringAndSize(start, length(bytes.len())) };
        // SAFETY: new reference or NULL with an exception.
        unsafe { PyRef::from_new(object) }
    }

    /// An `int`.
    pub(super) fn integer(&self, value: i64) -> Result<PyRef, Raised> {
        // SAFETY: attached.
        let object = unsafe { ffi::PyLong_FromLongLong(value) };
        // SAFETY: new reference or NULL with an exception.
        unsafe { PyRef::from_new(object) }
    }

    /// `None`.
    pub(super) fn none(&self) -> PyRef {
        // SAFETY: gives the address of a static object.
        let none = unsafe { ffi::Py_None() };
        let Some(none) = NonNull::new(none) else { unreachable!("None is a static object") };
        // SAFETY: a live, immortal object that all interpreters share; attached.
        unsafe { PyRef::from_borrowed(none) }
    }

    /// A `list` of the objects.
    pub(super) fn list(&self, items: impl IntoIterator<Item = PyRef>) -> Result<PyRef, Raised> {
        // SAFETY: attached.
        let list = unsafe { ffi::PyList_New(0) };
        // SAFETY: new reference or NULL with an exception.
        let list = unsafe { PyRef::from_new(list) }?;
        for item in items {
            // SAFETY: attached; a live list and a live object, which gets a reference of its own.
            done(unsafe { ffi::PyList_Append(list.as_ptr(), item.as_ptr()) })?;
        }
        Ok(list)
    }
}

/// Using objects.
impl Attached {
    /// A second reference.
    pub(super) fn share(&self, object: &PyRef) -> PyRef {
        // SAFETY: a `PyRef` is live; attached.
        unsafe { PyRef::from_borrowed(object.0) }
    }

    /// How many references there are.
    pub(super) fn references(&self, object: &PyRef) -> isize {
        // SAFETY: attached, so nobody changes the count meanwhile.
        unsafe { ffi::Py_REFCNT(object.as_ptr()) }
    }

    /// A copy of a dict; as large a table, so that it need not grow for a few keys more.
    pub(super) fn dict_copy(&self, dict: &PyRef) -> Result<PyRef, Raised> {
        // SAFETY: attached; anything but a dict raises.
        let copy = unsafe { ffi::PyDict_Copy(dict.as_ptr()) };
        // SAFETY: new reference or NULL with an exception.
        unsafe { PyRef::from_new(copy) }
    }

    /// `dict[key] = value`.
    pub(super) fn dict_set(&self, dict: &PyRef, key: &PyRef, value: &PyRef) -> Result<(), Raised> {
        // SAFETY: attached; live objects, which get references of their own; not a dict: raises.
        done(unsafe { ffi::PyDict_SetItem(dict.as_ptr(), key.as_ptr(), value.as_ptr()) })
    }

    /// `dict[key]`, or None when the key is not there.
    pub(super) fn dict_find(&self, dict: &PyRef, key: &PyRef) -> Result<Option<PyRef>, Raised> {
        // SAFETY: attached; live objects; not a dict: raises.
        let value = unsafe { ffi::PyDict_GetItemWithError(dict.as_ptr(), key.as_ptr()) };
        match NonNull::new(value) {
            // SAFETY: borrowed from the live dict; nothing ran in between.
            Some(value) => Ok(Some(unsafe { PyRef::from_borrowed(value) })),
            None => self.no_value_or_raised(),
        }
    }

    /// `callable(*arguments)`.
    pub(super) fn call<const N: usize>(
        &self,
        callable: &PyRef,
        arguments: [&PyRef; N],
    ) -> Result<PyRef, Raised> {
        let arguments = arguments.map(PyRef::as_ptr);
        let (start, callable) = (arguments.as_ptr(), callable.as_ptr());
        // SAFETY: attached; N live arguments behind `start`, borrowed for the call; no keywords.
        let result = unsafe { ffi::PyObject_Vectorcall(callable, start, N, ptr::null_mut()) };
        // SAFETY: new reference or NULL with an exception.
        unsafe { PyRef::from_new(result) }
    }

    /// `object.name`.
    pub(super) fn attribute(&self, object: &PyRef, name: &CStr) -> Result<PyRef, Raised> {
        // SAFETY: attached; a live object and a NUL-terminated name.
        let value = unsafe { ffi::PyObject_GetAttrString(object.as_ptr(), name.as_ptr()) };
        // SAFETY: new reference or NULL with an exception.
        unsafe { PyRef::from_new(value) }
    }

    /// `object.name`, or None when there is no such attribute.
    pub(super) fn attribute_if_any(
        &self,
        object: &PyRef,
        name: &PyRef,
    ) -> Result<Option<PyRef>, Raised> {
        let mut value = ptr::null_mut();
        let (object, name) = (object.as_ptr(), name.as_ptr());
        // SAFETY: attached; live objects; `value` receives a new reference or NULL.
        match unsafe { ffi::PyObject_GetOptionalAttr(object, name, &raw mut value) } {
            0 => Ok(None),
            // SAFETY: a new reference when found, NULL with an exception otherwise.
            _ => unsafe { PyRef::from_new(value) }.map(Some),
        }
    }

    /// `object.name = value`.
    pub(super) fn set_attribute(
        &self,
        object: &PyRef,
        name: &CStr,
        value: &PyRef,
    ) -> Result<(), Raised> {
        let (object, value) = (object.as_ptr(), value.as_ptr());
        // SAFETY: attached; live objects and a NUL-terminated name.
        done(unsafe { ffi::PyObject_SetAttrString(object, name.as_ptr(), value) })
    }

    /// `iter(object)`.
    pub(super) fn iterate(&self, object: &PyRef) -> Result<PyIterator, Raised> {
        // SAFETY: attached; a live object.
        let iterator = unsafe { ffi::PyObject_GetIter(object.as_ptr()) };
        // SAFETY: new reference or NULL with an exception.
        unsafe { PyRef::from_new(iterator) }.map(PyIterator)
    }

    /// `next(iterator)`, or None at the end.
    pub(super) fn next(&self, iterator: &PyIterator) -> Result<Option<PyRef>, Raised> {
        // SAFETY: attached; a live object that `iter()` gave, which checks that it is an iterator.
        // It stays one: an instance that is given another class gets a Python class, and those have
        // a `tp_iternext` in any case, which raises without a `__next__` (typeobject.c).
        let item = unsafe { ffi::PyIter_Next(iterator.0.as_ptr()) };
        match NonNull::new(item) {
            Some(item) => Ok(Some(PyRef(item))), // new reference
            None => self.no_value_or_raised(),
        }
    }

    /// `len(object)`, or None when it has no length.
    pub(super) fn length(&self, object: &PyRef) -> Option<usize> {
        // SAFETY: attached; a live object.
        let length = unsafe { ffi::PyObject_Size(object.as_ptr()) };
        if length < 0 {
            drop(self.take_raised());
        }
        usize::try_from(length).ok()
    }

    /// Item `index` of a list or tuple; None beyond its end, or when it is neither.
    pub(super) fn item(&self, sequence: &PyRef, index: usize) -> Option<PyRef> {
        let object = sequence.as_ptr();
        let index = length(index);
        let item = match self.kind(sequence) {
            // SAFETY: attached; a live list; beyond the end NULL with an exception.
            Kind::List => unsafe { ffi::PyList_GetItem(object, index) },
            // SAFETY: attached; a live tuple; beyond the end NULL with an exception.
            Kind::Tuple => unsafe { ffi::PyTuple_GetItem(object, index) },
            _ => return None,
        };
        let Some(item) = NonNull::new(item) else {
            drop(self.take_raised());
            return None;
        };
        // SAFETY: borrowed from the live sequence; nothing ran in between.
        Some(unsafe { PyRef::from_borrowed(item) })
    }

    /// The bytes of a `bytes` object; None for any other.
    pub(super) fn bytes_of<'o>(&self, object: &'o PyRef) -> Option<&'o [u8]> {
        if self.kind(object) != Kind::Bytes {
            return None;
        }
        // SAFETY: a live `bytes` object, as just checked.
        let start = unsafe { ffi::PyBytes_AsString(object.as_ptr()) };
        // SAFETY: as above.
        let bytes = unsafe { ffi::PyBytes_Size(object.as_ptr()) };
        // SAFETY: a `bytes` object never changes and lives as long as `object`, which is borrowed.
        Some(unsafe { slice::from_raw_parts(start.cast(), usize::try_from(bytes).ok()?) })
    }

    /// The characters of a `str` as latin-1; None for other objects and characters over 255.
    pub(super) fn latin1_of<'o>(&self, object: &'o PyRef) -> Option<&'o [u8]> {
        if self.kind(object) != Kind::Text {
            return None;
        }
        // SAFETY: a live `str`, as just checked.
        let kind = unsafe { ffi::PyUnicode_KIND(object.as_ptr()) };
        if kind != ffi::PyUnicode_1BYTE_KIND {
            return None;
        }
        // SAFETY: a live `str` of kind 1, as just checked.
        let start = unsafe { ffi::PyUnicode_1BYTE_DATA(object.as_ptr()) };
        // SAFETY: a live `str`.
        let characters = unsafe { ffi::PyUnicode_GET_LENGTH(object.as_ptr()) };
        // SAFETY: a `str` never changes and lives as long as `object`, which is borrowed.
        Some(unsafe { slice::from_raw_parts(start, usize::try_from(characters).ok()?) })
    }

    /// The text of a `str`; empty for other objects, and for text that UTF-8 cannot carry.
    pub(super) fn text_of(&self, object: &PyRef) -> String {
        let mut bytes = 0;
        // SAFETY: attached; a live object; anything but a `str` gives NULL with an exception.
        let start = unsafe { ffi::PyUnicode_AsUTF8AndSize(object.as_ptr(), &raw mut bytes) };
        let (false, Ok(bytes)) = (start.is_null(), usize::try_from(bytes)) else {
            drop(self.take_raised());
            return String::new();
        };
        // SAFETY: the UTF-8 form of a `str` lives as long as the object, which is borrowed.
        let text = unsafe { slice::from_raw_parts(start.cast::<u8>(), bytes) };
        String::from_utf8_lossy(text).into_owned()
    }

    /// What an object is, as far as corelane treats them differently.
    pub(super) fn kind(&self, object: &PyRef) -> Kind {
        let object = object.as_ptr();
        // SAFETY: a live object; reads its type.
        let class = unsafe { ffi::Py_TYPE(object) };
        // SAFETY: a live type; reads its flags.
        let flags = unsafe { ffi::PyType_GetFlags(class) };
        let is = |flag: std::ffi::c_ulong| flags & flag != 0;
        if is(ffi::Py_TPFLAGS_BYTES_SUBCLASS) {
            Kind::Bytes
        } else if is(ffi::Py_TPFLAGS_UNICODE_SUBCLASS) {
            Kind::Text
        } else if is(ffi::Py_TPFLAGS_LIST_SUBCLASS) {
            Kind::List
        } else if is(ffi::Py_TPFLAGS_TUPLE_SUBCLASS) {
            Kind::Tuple
        } else if is(ffi::Py_TPFLAGS_BASE_EXC_SUBCLASS) {
            Kind::Exception
        } else if ptr::eq(object, self.none().as_ptr()) {
            Kind::None
        } else {
            Kind::Other
        }
    }

    /// Whether a list or tuple is no subclass, so that its items are what iteration would give.
    pub(super) fn is_plain_sequence(&self, object: &PyRef) -> bool {
        // SAFETY: a live object; reads its type.
        let class = unsafe { ffi::Py_TYPE(object.as_ptr()) };
        ptr::eq(class, &raw const ffi::PyList_Type) || ptr::eq(class, &raw const ffi::PyTuple_Type)
    }

    /// The name of an object's type.
    pub(super) fn type_name(&self, object: &PyRef) -> String {
        // SAFETY: a live object; reads its type.
        let class = unsafe { ffi::Py_TYPE(object.as_ptr()) };
        // SAFETY: attached; a live type.
        let name = unsafe { ffi::PyType_GetName(class) };
        // SAFETY: new reference or NULL with an exception.
        match unsafe { PyRef::from_new(name) } {
            Ok(name) => self.text_of(&name),
            Err(raised) => {
                drop(self.take(raised));
                "object".to_owned()
            }
        }
    }
}

/// What an object is. Subclasses count as what they derive from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `bytes`.
    Bytes,
    /// `str`.
    Text,
    /// `list`.
    List,
    /// `tuple`.
    Tuple,
    /// An instance of `BaseException`.
    Exception,
    /// `None`.
    None,
    /// Anything else.
    Other,
}

/// Exceptions.
impl Attached {
    /// Raises an exception of our own.
    pub(super) fn raise(&self, exception: Exception, text: &str) -> Raised {
        let class = match exception {
            // SAFETY: a static of libpython that is set once CPython has started.
            Exception::Type => unsafe { ffi::PyExc_TypeError },
            // SAFETY: as above.
            Exception::Value => unsafe { ffi::PyExc_ValueError },
            // SAFETY: as above.
            Exception::Runtime => unsafe { ffi::PyExc_RuntimeError },
            // SAFETY: as above.
            Exception::BrokenPipe => unsafe { ffi::PyExc_BrokenPipeError },
        };
        // No text, no memory: the MemoryError that is set then says enough.
        if let Ok(text) = self.text(text) {
            // SAFETY: attached; a live exception class and a live text, which are not taken over.
            unsafe { ffi::PyErr_SetObject(class, text.as_ptr()) };
        }
        Raised(())
    }

    /// Raises an exception object; anything else is a TypeError.
    pub(super) fn raise_object(&self, exception: PyRef) -> Raised {
        if self.kind(&exception) != Kind::Exception {
            return self.raise(Exception::Type, "exc_info[1] must be an exception");
        }
        // SAFETY: attached; a live exception object, whose reference is taken over.
        unsafe { ffi::PyErr_SetRaisedException(exception.into_ptr()) };
        Raised(())
    }

    /// Takes the exception off this thread.
    pub(super) fn take(&self, _: Raised) -> Option<PyRef> {
        self.take_raised()
    }

    /// One line about an exception, which is taken off this thread: its type's name. Not to be
    /// called within the arguments of a log event: they are not evaluated when its level is off,
    /// and the exception would be met by the next call.
    pub(super) fn describe(&self, raised: Raised) -> String {
        self.take(raised).map(|exception| self.type_name(&exception)).unwrap_or_default()
    }

    fn take_raised(&self) -> Option<PyRef> {
        // SAFETY: attached; NULL when none is set.
        let exception = unsafe { ffi::PyErr_GetRaisedException() };
        NonNull::new(exception).map(PyRef) // new reference
    }

    /// Whether an exception is set on this thread.
    pub(super) fn has_raised(&self) -> bool {
        // SAFETY: attached; borrowed reference or NULL.
        let raised = unsafe { ffi::PyErr_Occurred() };
        !raised.is_null()
    }

    /// After a call that gives NULL for "nothing" as well as for "raised".
    fn no_value_or_raised<T>(&self) -> Result<Option<T>, Raised> {
        if self.has_raised() { Err(Raised(())) } else { Ok(None) }
    }
}

/// The result of a call that gives 0, or -1 with an exception.
const fn done(result: std::ffi::c_int) -> Result<(), Raised> {
    if result < 0 { Err(Raised(())) } else { Ok(()) }
}

/// A length as CPython counts. A slice is never longer than `isize::MAX` bytes.
fn length(length: usize) -> ffi::Py_ssize_t {
    ffi::Py_ssize_t::try_from(length).unwrap_or(ffi::Py_ssize_t::MAX)
}
