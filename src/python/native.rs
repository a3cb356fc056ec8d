//! The functions of ours that Python calls, at the border: raw arguments become safe ones, a
//! [`Raised`] becomes NULL.
//!
//! It owns the method definitions and the capsule through which `start_response` and `write` find
//! the answer of their call. What the functions do stands in `start_response.rs` and `errors.rs`.

#![expect(unsafe_code, reason = "CPython calls these functions with raw pointers")]

use crate::python::errors;
use crate::python::interpreter::Attached;
use crate::python::object::Exception;
use crate::python::object::PyRef;
use crate::python::object::Raised;
use crate::python::start_response;
use crate::python::start_response::Slot;
use pyo3::ffi;
use std::cell::UnsafeCell;
use std::ffi::CStr;
use std::ptr;
use std::ptr::NonNull;
use std::slice;

/// A function that Python can call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Function {
    /// `start_response(status, headers, exc_info=None)` of PEP 3333.
    StartResponse,
    /// The `write(bytes)` that it returns.
    Write,
    /// `log_line(text)`: a line that an application wrote to `wsgi.errors`.
    LogLine,
}

/// Makes the function as an object. `owner` is its `self`: a capsule of [`capsule`] for the first
/// two, ignored by the third.
pub(super) fn function(
    _: &Attached,
    function: Function,
    owner: Option<&PyRef>,
) -> Result<PyRef, Raised> {
    let definition = match function {
        Function::StartResponse => &START_RESPONSE,
        Function::Write => &WRITE,
        Function::LogLine => &LOG_LINE,
    };
    let owner = owner.map_or(ptr::null_mut(), PyRef::as_ptr);
    // SAFETY: attached; a static definition; `owner` is NULL or live and gets a reference of its
    // own.
    let object = unsafe { ffi::PyCFunction_NewEx(definition.0.get(), owner, ptr::null_mut()) };
    // SAFETY: new reference or NULL with an exception.
    unsafe { PyRef::from_new(object) }
}

/// A capsule around an empty [`Slot`].
pub(super) fn capsule(_: &Attached) -> Result<PyRef, Raised> {
    let slot = Box::into_raw(Box::new(Slot::default()));
    // SAFETY: attached; a pointer that is not NULL, a static name, a destructor that fits the
    // pointer.
    let capsule = unsafe { ffi::PyCapsule_New(slot.cast(), SLOT.as_ptr(), Some(drop_slot)) };
    if capsule.is_null() {
        // SAFETY: made above; no capsule has taken it over.
        drop(unsafe { Box::from_raw(slot) });
    }
    // SAFETY: new reference or NULL with an exception.
    unsafe { PyRef::from_new(capsule) }
}

/// The slot in a capsule of [`capsule`]; anything else raises.
pub(super) fn slot<'c>(_: &'c Attached, capsule: &'c PyRef) -> Result<&'c Slot, Raised> {
    // SAFETY: attached; a live object; anything but a capsule of that name gives NULL and raises.
    let slot = unsafe { ffi::PyCapsule_GetPointer(capsule.as_ptr(), SLOT.as_ptr()) };
    let Some(slot) = NonNull::new(slot) else {
        // SAFETY: NULL, and an exception is set.
        return Err(match unsafe { PyRef::from_new(ptr::null_mut()) } {
            Err(raised) => raised,
            Ok(_) => unreachable!("NULL is no object"),
        });
    };
    // SAFETY: only `capsule()` makes capsules of this name: the pointer is to a `Slot` that lives
    // as long as the capsule, which is borrowed. It is shared by `&` alone.
    Ok(unsafe { slot.cast::<Slot>().as_ref() })
}

const SLOT: &CStr = c"corelane.slot";

unsafe extern "C" fn drop_slot(capsule: *mut ffi::PyObject) {
    // SAFETY: CPython calls this attached, once, with a capsule of `capsule()`.
    let slot = unsafe { ffi::PyCapsule_GetPointer(capsule, SLOT.as_ptr()) };
    // SAFETY: made by Box::into_raw in `capsule()`; nobody has the capsule any more.
    drop(unsafe { Box::from_raw(slot.cast::<Slot>()) });
}

/// A method definition that CPython reads and never writes.
struct Definition(UnsafeCell<ffi::PyMethodDef>);

// SAFETY: nobody writes to it: CPython only reads definitions, and nothing else uses the cell.
unsafe impl Sync for Definition {}

static START_RESPONSE: Definition = Definition(UnsafeCell::new(ffi::PyMethodDef {
    ml_name: c"start_response".as_ptr(),
    ml_meth: ffi::PyMethodDefPointer { PyCFunctionFast: start_response_called },
    ml_flags: ffi::METH_FASTCALL,
    ml_doc: c"start_response(status, headers, exc_info=None, /): see PEP 3333".as_ptr(),
}));

static WRITE: Definition = Definition(UnsafeCell::new(ffi::PyMethodDef {
    ml_name: c"write".as_ptr(),
    ml_meth: ffi::PyMethodDefPointer { PyCFunction: write_called },
    ml_flags: ffi::METH_O,
    ml_doc: c"write(bytes, /): see PEP 3333".as_ptr(),
}));

static LOG_LINE: Definition = Definition(UnsafeCell::new(ffi::PyMethodDef {
    ml_name: c"log_line".as_ptr(),
    ml_meth: ffi::PyMethodDefPointer { PyCFunction: log_line_called },
    ml_flags: ffi::METH_O,
    ml_doc: c"log_line(text, /): writes a line to corelane's error log".as_ptr(),
}));

unsafe extern "C" fn start_response_called(
    capsule: *mut ffi::PyObject,
    arguments: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls functions attached.
    let attached = unsafe { Attached::assume() };
    let capsule = share(capsule);
    if !(2..=3).contains(&count) {
        let text = "start_response() takes a status, headers, and at most exc_info";
        return give(Err(attached.raise(Exception::Type, text)));
    }
    // SAFETY: METH_FASTCALL gives `count` objects behind `arguments`, and `count` is 2 or 3.
    let arguments = unsafe { slice::from_raw_parts(arguments, count.unsigned_abs()) };
    let mut arguments = arguments.iter().map(|argument| share(*argument));
    let (status, headers) = (arguments.next(), arguments.next());
    let (Some(capsule), Some(Some(status)), Some(Some(headers))) = (capsule, status, headers)
    else {
        unreachable!("CPython passes no NULL as an argument")
    };
    let exc_info = arguments.next().flatten();
    give(start_response::start(&attached, &capsule, &status, &headers, exc_info.as_ref()))
}

unsafe extern "C" fn write_called(
    capsule: *mut ffi::PyObject,
    piece: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls functions attached.
    let mut attached = unsafe { Attached::assume() };
    let (Some(capsule), Some(piece)) = (share(capsule), share(piece)) else {
        unreachable!("CPython passes no NULL as an argument")
    };
    let written = start_response::write(&mut attached, &capsule, &piece);
    give(written.map(|()| attached.none()))
}

unsafe extern "C" fn log_line_called(
    _: *mut ffi::PyObject,
    line: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls functions attached.
    let attached = unsafe { Attached::assume() };
    let Some(line) = share(line) else { unreachable!("CPython passes no NULL as an argument") };
    errors::log_line(&attached, &line);
    give(Ok(attached.none()))
}

/// An own reference to an argument. Called within a function that CPython called, so attached.
fn share(argument: *mut ffi::PyObject) -> Option<PyRef> {
    // SAFETY: arguments are live for the call, and the thread is attached.
    NonNull::new(argument).map(|argument| unsafe { PyRef::from_borrowed(argument) })
}

/// What CPython expects of a function: a new reference, or NULL with an exception set.
fn give(result: Result<PyRef, Raised>) -> *mut ffi::PyObject {
    result.map_or(ptr::null_mut(), PyRef::into_ptr)
}
