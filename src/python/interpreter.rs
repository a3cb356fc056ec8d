//! One interpreter with its own GIL, the threads that run it, and the proof that one does.
//!
//! It owns the making of interpreters and thread states, and the taking and giving back of the GIL.
//! Out comes [`Attached`]: whoever holds a reference to it runs on a thread that holds the GIL of
//! one interpreter, and may touch the objects of that interpreter. It knows no object and no
//! application.
//!
//! An interpreter is never ended: that leaks 12 MiB with Flask on 3.13 and aborts the process while
//! a Python thread is alive. A thread state is made on the thread that uses it and kept for ever,
//! so that `threading.local` and `threading.get_ident` are right there.

#![expect(
    unsafe_code,
    reason = "thread states and the GIL are only reachable through CPython's API"
)]

use crate::python::fault::PythonFault;
use crate::python::runtime;
use pyo3::ffi;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ops::DerefMut;
use std::ptr;
use std::ptr::NonNull;
use std::sync::Mutex;
use std::sync::PoisonError;

/// An interpreter that lives as long as the process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interpreter {
    // INVARIANT: made by Py_NewInterpreterFromConfig and never ended.
    state: NonNull<ffi::PyInterpreterState>,
    id: InterpreterId,
}

// SAFETY: the pointer is only given to PyThreadState_New, which may be called on any thread without
// a GIL (C API, "Initialization, Finalization, and Threads"), and it stays valid because no
// interpreter is ever ended. An end of interpreters would break this.
unsafe impl Send for Interpreter {}
// SAFETY: as above: a shared pointer can be used for no more than an owned one.
unsafe impl Sync for Interpreter {}

/// Which interpreter: CPython never uses an id again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InterpreterId(i64);

impl Interpreter {
    /// Makes an interpreter with its own GIL. The calling thread must not be attached to another
    /// one; it becomes the first Python thread of this one, and is not attached afterwards.
    pub(super) fn new() -> Result<(Self, PythonThread), PythonFault> {
        // Making several at once races inside CPython (gh-123134).
        static MAKING: Mutex<()> = Mutex::new(());
        let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        let boot = PythonThread::new(Self::main()?).into_attached();
        let config = ffi::PyInterpreterConfig {
            use_main_obmalloc: 0, // the main allocator has no lock for a second GIL
            allow_fork: 0,        // a forked child of a subinterpreter dies at once (3.13)
            allow_exec: 0,        // would replace the whole server
            allow_threads: 1,
            allow_daemon_threads: 1, // Sentry and OpenTelemetry need them
            check_multi_interp_extensions: 1,
            gil: ffi::PyInterpreterConfig_OWN_GIL,
        };
        let mut state = ptr::null_mut();
        // SAFETY: this thread is attached to the main interpreter (`boot`), as the call demands;
        // both pointers are to live locals. On success the thread is attached to the new
        // interpreter.
        let status = unsafe { ffi::Py_NewInterpreterFromConfig(&raw mut state, &raw const config) };
        let made = runtime::check(status);
        if made.is_ok() {
            // SAFETY: `state` is the thread state that the call above made current; saving it gives
            // back the new interpreter's GIL.
            unsafe { ffi::PyEval_SaveThread() };
            // SAFETY: no thread state is current, and `boot` was made on this thread and is live.
            unsafe { ffi::PyEval_RestoreThread(boot.as_ptr()) };
        }
        // SAFETY: `boot` is current: either restored above, or left current by the failed call. It
        // is not used again.
        unsafe { ffi::PyThreadState_Clear(boot.as_ptr()) };
        // SAFETY: as above; this gives back the main interpreter's GIL.
        unsafe { ffi::PyThreadState_DeleteCurrent() };
        made.map_err(|reason| PythonFault::Interpreter { reason })?;

        let no_state = || PythonFault::Interpreter { reason: "CPython gave none".to_owned() };
        let thread_state = NonNull::new(state).ok_or_else(no_state)?;
        // SAFETY: a live thread state knows its interpreter; no GIL is needed to read it.
        let interpreter = unsafe { ffi::PyThreadState_GetInterpreter(thread_state.as_ptr()) };
        // SAFETY: `interpreter` is the live interpreter of a live thread state.
        let id = InterpreterId(unsafe { ffi::PyInterpreterState_GetID(interpreter) });
        let state = NonNull::new(interpreter).ok_or_else(no_state)?;
        let thread = PythonThread { state: thread_state, interpreter: id };
        Ok((Self { state, id }, thread))
    }

    fn main() -> Result<Self, PythonFault> {
        // SAFETY: reads a static of libpython; NULL as long as CPython has not started.
        let state = unsafe { ffi::PyInterpreterState_Main() };
        let not_started =
            || PythonFault::Interpreter { reason: "CPython has not started".to_owned() };
        let state = NonNull::new(state).ok_or_else(not_started)?;
        Ok(Self { state, id: InterpreterId(0) })
    }
}

/// The calling thread's state in one interpreter. Made on the thread that uses it (it is not
/// `Send`) and never deleted.
#[derive(Debug)]
pub(super) struct PythonThread {
    // INVARIANT: made on this thread for the interpreter, never deleted.
    state: NonNull<ffi::PyThreadState>,
    interpreter: InterpreterId,
}

impl PythonThread {
    /// Makes a state for the calling thread, which is not attached by that.
    pub(super) fn new(interpreter: Interpreter) -> Self {
        // SAFETY: the interpreter is live for ever (see `Interpreter`); no GIL is needed.
        let state = unsafe { ffi::PyThreadState_New(interpreter.state.as_ptr()) };
        // NULL means that CPython's own malloc failed: memory is at its end, as with any
        // allocation.
        let Some(state) = NonNull::new(state) else {
            panic!("no memory for a Python thread state")
        };
        Self { state, interpreter: interpreter.id }
    }

    /// Takes the GIL, waiting for it if need be, until the guard is dropped.
    pub(super) fn attach(&mut self) -> AttachedThread<'_> {
        assert!(!is_attached(), "a thread is attached to one interpreter at a time");
        // SAFETY: no thread state is current (asserted), and this one was made on this thread: it
        // is not `Send`, and `&mut` shows that it is not attached by another guard.
        unsafe { ffi::PyEval_RestoreThread(self.state.as_ptr()) };
        AttachedThread { attached: Attached::to(self.interpreter), thread: PhantomData }
    }

    /// Attaches for a caller that handles the raw state itself.
    fn into_attached(mut self) -> NonNull<ffi::PyThreadState> {
        std::mem::forget(self.attach());
        self.state
    }
}

/// The calling thread holds a GIL until this is dropped.
#[derive(Debug)]
pub(super) struct AttachedThread<'t> {
    attached: Attached,
    thread: PhantomData<&'t mut PythonThread>,
}

impl Drop for AttachedThread<'_> {
    fn drop(&mut self) {
        // SAFETY: the thread is attached as long as this guard lives: `attach` made it so, and
        // `Attached::detached` attaches again before it returns.
        unsafe { ffi::PyEval_SaveThread() };
    }
}

impl Deref for AttachedThread<'_> {
    type Target = Attached;
    fn deref(&self) -> &Attached {
        &self.attached
    }
}

impl DerefMut for AttachedThread<'_> {
    fn deref_mut(&mut self) -> &mut Attached {
        &mut self.attached
    }
}

/// The proof that the calling thread holds the GIL of one interpreter. It cannot leave the thread.
/// Only a reference to it is passed around; `&mut` is needed to give the GIL up for a while, so
/// nothing that borrows a proof outlives it.
#[derive(Debug)]
pub(super) struct Attached {
    interpreter: InterpreterId,
    this_thread_only: PhantomData<*mut ()>,
}

impl Attached {
    const fn to(interpreter: InterpreterId) -> Self {
        Self { interpreter, this_thread_only: PhantomData }
    }

    /// The proof for a function that CPython calls.
    ///
    /// # Safety
    ///
    /// - The calling thread is attached, and stays so until the value is dropped, except within
    ///   [`Attached::detached`].
    pub(super) unsafe fn assume() -> Self {
        debug_assert!(is_attached(), "assume() on a thread that is not attached");
        // SAFETY: the caller promises that this thread is attached, so it has an interpreter.
        let interpreter = unsafe { ffi::PyInterpreterState_Get() };
        // SAFETY: `interpreter` is the live interpreter of this thread.
        Self::to(InterpreterId(unsafe { ffi::PyInterpreterState_GetID(interpreter) }))
    }

    /// Gives the GIL up while `wait` runs, so that other threads of the interpreter go on.
    pub(super) fn detached<T>(&mut self, wait: impl FnOnce() -> T) -> T {
        // SAFETY: `self` proves that this thread is attached; `&mut` shows that nothing borrows
        // that.
        let state = unsafe { ffi::PyEval_SaveThread() };
        let result = wait();
        // SAFETY: `state` was current on this thread before `wait`. A `wait` that attached to
        // another interpreter has let it go: its guard cannot outlive the closure's own borrow of a
        // thread.
        unsafe { ffi::PyEval_RestoreThread(state) };
        result
    }
}

/// Whether the calling thread holds the GIL of any interpreter.
pub(super) fn is_attached() -> bool {
    // SAFETY: reads a thread-local of libpython; allowed at any time (C API, 3.13).
    let state = unsafe { ffi::PyThreadState_GetUnchecked() };
    !state.is_null()
}

/// A value that belongs to one interpreter and is touched only by threads that hold its GIL.
#[derive(Debug)]
pub(super) struct OfInterpreter<T> {
    interpreter: InterpreterId,
    value: T,
}

// SAFETY: `value` is reached only through `get`, which demands the proof that this thread holds the
// GIL of the interpreter that the value was made in, so two threads never touch it at once, and the
// GIL orders what they do. The value is not dropped on a foreign thread: it lives in leaked storage
// (`application.rs`), and `PyRef` does nothing on a thread that is not attached.
unsafe impl<T> Send for OfInterpreter<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for OfInterpreter<T> {}

impl<T> OfInterpreter<T> {
    /// Takes a value made by the interpreter that the calling thread is attached to.
    pub(super) const fn new(attached: &Attached, value: T) -> Self {
        Self { interpreter: attached.interpreter, value }
    }

    /// The value, for as long as the GIL is held.
    pub(super) fn get<'a>(&'a self, attached: &'a Attached) -> &'a T {
        assert!(self.interpreter == attached.interpreter, "a value met a foreign interpreter");
        &self.value
    }
}
