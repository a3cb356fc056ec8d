//! One application, loaded into one interpreter.
//!
//! It owns what all calls of the interpreter share: the callable, the maker of environs, the pool
//! of `start_response` callables, and the functions of `shim.py`. An [`AppSpec`] goes in. It does
//! not know on which thread calls run.

use crate::limits;
use crate::python::AppSpec;
use crate::python::Place;
use crate::python::environ::EnvironMaker;
use crate::python::fault::PythonFault;
use crate::python::interpreter::Attached;
use crate::python::interpreter::OfInterpreter;
use crate::python::native;
use crate::python::native::Function;
use crate::python::object::PyRef;
use crate::python::object::Raised;
use crate::python::start_response::Pool;
use std::ffi::CStr;
use std::path::Path;

/// An application and all that its calls need. It is never freed, as its interpreter never ends.
#[derive(Debug)]
pub(super) struct Application {
    /// The WSGI callable.
    pub(super) callable: PyRef,
    /// Makes environs.
    pub(super) environ: EnvironMaker,
    /// `start_response` callables.
    pub(super) callables: Pool,
    /// `format_exception` of `shim.py`.
    pub(super) format_exception: PyRef,
    /// `"close"`.
    pub(super) close: PyRef,
    adopt_thread: PyRef,
    finish: PyRef,
}

/// An application that any thread of its interpreter can use while it holds the GIL.
pub(super) type SharedApplication = &'static OfInterpreter<Application>;

/// Loads the application into the interpreter that this thread is attached to. The working folder
/// of the process becomes the application's.
pub(super) fn load(
    attached: &Attached,
    app: &AppSpec,
    place: Place,
) -> Result<SharedApplication, PythonFault> {
    let shim = start_shim(attached).map_err(|raised| broken(attached, raised))?;
    let prepared = prepare(attached, &shim, app);
    let callable = prepared.map_err(|raised| explain(attached, &shim, app, raised))?;
    let application = Application::new(attached, &shim, callable, app, place);
    let application = application.map_err(|raised| broken(attached, raised))?;
    Ok(Box::leak(Box::new(OfInterpreter::new(attached, application))))
}

impl Application {
    fn new(
        attached: &Attached,
        shim: &PyRef,
        callable: PyRef,
        app: &AppSpec,
        place: Place,
    ) -> Result<Self, Raised> {
        let software = attached.text(concat!("corelane/", env!("CARGO_PKG_VERSION")))?;
        let lane = attached.integer(i64::try_from(place.lane).unwrap_or_default())?;
        let multithread = attached.integer(i64::from(app.threads > 1))?;
        let environ = attached.attribute(shim, c"environ")?;
        let template = attached.call(&environ, [&software, &lane, &multithread])?;
        Ok(Self {
            callable,
            environ: EnvironMaker::new(attached, template)?,
            callables: Pool::default(),
            format_exception: attached.attribute(shim, c"format_exception")?,
            close: attached.interned("close")?,
            adopt_thread: attached.attribute(shim, c"adopt_thread")?,
            finish: attached.attribute(shim, c"finish")?,
        })
    }

    /// Makes the calling thread an ordinary one of that name for Python's `threading`.
    pub(super) fn adopt_thread(&self, attached: &Attached, name: &str) {
        let adopted =
            attached.text(name).and_then(|name| attached.call(&self.adopt_thread, [&name]));
        if let Err(raised) = adopted {
            let exception = attached.describe(raised);
            tracing::warn!("a Python thread has no name: {exception}");
        }
    }

    /// Runs the interpreter's exit handlers and flushes its standard streams.
    pub(super) fn finish(&self, attached: &Attached) {
        if let Err(raised) = attached.call(&self.finish, []) {
            let exception = attached.describe(raised);
            tracing::error!("Python's exit handlers failed: {exception}");
        }
    }
}

/// The Python part, as a C string.
const SHIM: &CStr =
    match CStr::from_bytes_with_nul(concat!(include_str!("shim.py"), "\0").as_bytes()) {
        Ok(shim) => shim,
        Err(_) => panic!("shim.py has no NUL"),
    };

fn start_shim(attached: &Attached) -> Result<PyRef, Raised> {
    let shim = attached.run_module(c"_corelane", SHIM)?;
    let log_line = native::function(attached, Function::LogLine, None)?;
    attached.set_attribute(&shim, c"log_line", &log_line)?;
    let chars_max = i64::try_from(limits::ERROR_LINE_CHARS_MAX).unwrap_or(i64::MAX);
    let chars_max = attached.integer(chars_max)?;
    attached.set_attribute(&shim, c"ERROR_LINE_CHARS_MAX", &chars_max)?;
    Ok(shim)
}

fn prepare(attached: &Attached, shim: &PyRef, app: &AppSpec) -> Result<PyRef, Raised> {
    let path = |path: &Path| attached.text(&path.to_string_lossy());
    let target = attached.text(&app.target)?;
    let chdir = path(&app.chdir)?;
    let pythonpath = app.pythonpath.iter().map(|folder| path(folder));
    let pythonpath = attached.list(pythonpath.collect::<Result<Vec<_>, _>>()?)?;
    let venv = app.venv.as_deref().map_or_else(|| Ok(attached.none()), path)?;
    let prepare = attached.attribute(shim, c"prepare")?;
    attached.call(&prepare, [&target, &chdir, &pythonpath, &venv])
}

/// The exception of `prepare` as a fault.
fn explain(attached: &Attached, shim: &PyRef, app: &AppSpec, raised: Raised) -> PythonFault {
    let Some(exception) = attached.take(raised) else {
        return PythonFault::Interpreter { reason: "an exception was lost".to_owned() };
    };
    let explained = attached
        .attribute(shim, c"explain")
        .and_then(|explain| attached.call(&explain, [&attached.text(&app.target)?, &exception]));
    let explained = match explained {
        Ok(explained) => explained,
        Err(raised) => return broken(attached, raised),
    };
    let part = |at| attached.item(&explained, at).map(|text| attached.text_of(&text));
    let (reason, traceback) = (part(0).unwrap_or_default(), part(1).unwrap_or_default());
    if traceback.is_empty() {
        PythonFault::Refused { reason }
    } else {
        PythonFault::Import { reason, traceback }
    }
}

/// Our own Python code failed, which is for want of memory or by a broken standard library.
fn broken(attached: &Attached, raised: Raised) -> PythonFault {
    PythonFault::Interpreter { reason: attached.describe(raised) }
}
