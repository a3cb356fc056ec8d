//! The operating system's threads that run Python: their name, CPU and stack.
//!
//! It owns how such a thread is started, and the one that ends an interpreter's work. It does not
//! know what the others do.

use crate::limits;
use crate::python::Place;
use crate::python::application::SharedApplication;
use crate::python::fault::PythonFault;
use crate::python::interpreter::Interpreter;
use crate::python::interpreter::PythonThread;
use std::time::Instant;

/// The name of a lane's Python thread: the kernel keeps 15 characters of it.
pub(super) fn name(place: Place, number: usize) -> String {
    format!("corelane-py-{}-{number}", place.lane)
}

/// Starts a thread on the lane's CPU.
pub(super) fn spawn(
    place: Place,
    name: String,
    body: impl FnOnce() + Send + 'static,
) -> Result<(), PythonFault> {
    let pinned = move || {
        if let Some(core) = place.core
            && !core_affinity::set_for_current(core)
        {
            tracing::warn!("a Python thread of lane {} is not pinned", place.lane);
        }
        body();
    };
    let builder = std::thread::Builder::new().name(name).stack_size(limits::PYTHON_STACK_BYTES);
    match builder.spawn(pinned) {
        Ok(_) => Ok(()),
        Err(error) => Err(PythonFault::Thread { reason: error.to_string() }),
    }
}

/// Runs an interpreter's exit handlers on a thread of its own, and waits for that until `deadline`:
/// its other threads may be blocked, and a handler may hang.
pub(super) fn finish(
    interpreter: Interpreter,
    application: SharedApplication,
    place: Place,
    deadline: Instant,
) {
    let (done, wait) = crossbeam_channel::bounded(1);
    let name = format!("corelane-end-{}", place.lane);
    let spawned = spawn(place, name.clone(), move || {
        let mut thread = PythonThread::new(interpreter);
        let attached = thread.attach();
        let application = application.get(&attached);
        application.adopt_thread(&attached, &name);
        application.finish(&attached);
        // The one who waits may have given up.
        let _ = done.send(());
    });
    match spawned {
        Err(fault) => tracing::error!("Python's exit handlers did not run: {fault}"),
        Ok(()) if wait.recv_deadline(deadline).is_err() => {
            tracing::warn!("Python's exit handlers of lane {} took too long", place.lane);
        }
        Ok(()) => {}
    }
}
