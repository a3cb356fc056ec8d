//! The start of CPython in this process: once, on the main thread, before any lane.
//!
//! It owns the main interpreter's configuration (PEP 587), the modules that must be imported there
//! before any other interpreter, and the turn-taking of application starts. The main interpreter
//! runs no application, and its GIL is given back for ever: CPython runs the first initialisation
//! of every extension module in it (gh-117953), and waits for that GIL.

#![expect(unsafe_code, reason = "CPython is configured and started through its C API")]

use crate::python::fault::PythonFault;
use crate::python::interpreter::Attached;
use pyo3::ffi;
use std::ffi::CStr;
use std::ffi::CString;
use std::mem::MaybeUninit;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

/// CPython, started. There is one for the process.
#[derive(Debug)]
pub struct Runtime {
    turn: Mutex<()>,
}

/// Modules imported in the main interpreter before there is another one. `datetime` first imported
/// by subinterpreters corrupts the heap on 3.13 (gh-136421, gh-136423); the others make their first
/// import in each interpreter free of surprises: `threading` must see the true main thread, `idna`
/// is imported by sockets in the middle of requests.
const IMPORTED_FIRST: [&CStr; 4] = [c"datetime", c"threading", c"logging", c"encodings.idna"];

impl Runtime {
    /// Starts CPython. To be called once, on the process's main thread, before other threads use
    /// it.
    ///
    /// # Errors
    ///
    /// [`PythonFault::Runtime`] when it was started before, or when CPython refuses, which mostly
    /// means that its standard library is not where it was at build time.
    pub fn start() -> Result<Self, PythonFault> {
        static STARTED: AtomicBool = AtomicBool::new(false);
        if STARTED.swap(true, Ordering::SeqCst) {
            return Err(PythonFault::Runtime { reason: "it was started before".to_owned() });
        }
        initialize().map_err(|reason| PythonFault::Runtime { reason })?;
        // SAFETY: initialisation has left this thread attached to the main interpreter; the GIL is
        // given up only below, after the last use of `attached`.
        let attached = unsafe { Attached::assume() };
        for name in IMPORTED_FIRST {
            attached.import(name).map_err(|raised| PythonFault::Runtime {
                reason: format!("its module {name:?} fails: {}", attached.describe(raised)),
            })?;
        }
        // SAFETY: this thread is attached to the main interpreter, as above.
        unsafe { ffi::PyEval_SaveThread() };
        Ok(Self { turn: Mutex::new(()) })
    }

    /// The version of the CPython that runs here, such as `3.13.0`.
    #[must_use]
    pub fn version() -> String {
        // SAFETY: may be called at any time, even before the start; never NULL.
        let text = unsafe { ffi::Py_GetVersion() };
        // SAFETY: a static, NUL-terminated text of libpython.
        let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
        text.split(' ').next().unwrap_or_default().to_owned()
    }

    /// Waits until no other application is being started. Working folder, `os.environ` and
    /// `time.tzset()` belong to the process, so applications that set them must not meet.
    pub(super) fn one_at_a_time(&self) -> Turn<'_> {
        Turn { _lock: self.turn.lock().unwrap_or_else(PoisonError::into_inner) }
    }
}

/// The right to make an interpreter and start its application.
#[derive(Debug)]
pub(super) struct Turn<'r> {
    _lock: MutexGuard<'r, ()>,
}

fn initialize() -> Result<(), String> {
    let mut preconfig = MaybeUninit::<ffi::PyPreConfig>::uninit();
    // SAFETY: fills the whole structure behind a valid pointer; allowed before the start.
    unsafe { ffi::PyPreConfig_InitPythonConfig(preconfig.as_mut_ptr()) };
    // SAFETY: filled by the call above.
    let preconfig = unsafe { preconfig.assume_init_mut() };
    preconfig.utf8_mode = 1;
    preconfig.parse_argv = 0;
    // SAFETY: a filled structure; first call of this kind (`start` runs once).
    check(unsafe { ffi::Py_PreInitialize(preconfig) })?;

    let mut config = MaybeUninit::<ffi::PyConfig>::uninit();
    // SAFETY: fills the whole structure behind a valid pointer; CPython is pre-initialised.
    unsafe { ffi::PyConfig_InitPythonConfig(config.as_mut_ptr()) };
    // SAFETY: filled by the call above.
    let config = unsafe { config.assume_init_mut() };
    let started = initialize_from(config);
    // SAFETY: `config` was filled above and is not used again.
    unsafe { ffi::PyConfig_Clear(config) };
    started
}

fn initialize_from(config: &mut ffi::PyConfig) -> Result<(), String> {
    config.install_signal_handlers = 0; // signals belong to the server
    config.parse_argv = 0;
    config.configure_c_stdio = 0; // the process's stdio is not Python's to change
    // The interpreter that this program was built for: from its place CPython finds its library.
    let program = CString::new(env!("CORELANE_PYTHON")).map_err(|error| error.to_string())?;
    let name = &raw mut config.program_name;
    // SAFETY: `name` is a field of the filled `config`, `program` a NUL-terminated text that is
    // copied.
    check(unsafe { ffi::PyConfig_SetBytesString(config, name, program.as_ptr()) })?;
    let mut arguments = [c"corelane".as_ptr()];
    // SAFETY: one NUL-terminated argument, as the count says; it is copied.
    check(unsafe { ffi::PyConfig_SetBytesArgv(config, 1, arguments.as_mut_ptr()) })?;
    // SAFETY: a filled configuration; CPython was not initialised before (`start` runs once).
    check(unsafe { ffi::Py_InitializeFromConfig(config) })
}

/// What CPython says about a failure.
pub(super) fn check(status: ffi::PyStatus) -> Result<(), String> {
    let message = status.err_msg;
    // SAFETY: looks at the value alone.
    if unsafe { ffi::PyStatus_Exception(status) } == 0 {
        return Ok(());
    }
    if message.is_null() {
        return Err("CPython gave no reason".to_owned());
    }
    // SAFETY: a non-NULL message of a PyStatus is a static, NUL-terminated text.
    Err(unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned())
}
