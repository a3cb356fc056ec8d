//! The end of the process without the exit handlers of C.
//!
//! Python threads may still be running when everything that was asked for is done: a view that
//! outlived the graceful timeout, an application's own daemon thread. exit(3) would tear down under
//! them what they use; `_exit(2)` does not.

#![expect(unsafe_code, reason = "_exit(2) has no safe wrapper")]

/// Ends the process with this code.
pub fn now(code: i32) -> ! {
    // SAFETY: _exit(2) may be called at any time from any thread, and does not return. What must be
    // written before it (logs, Python's exit handlers) was written by its callers.
    unsafe { libc::_exit(code) }
}
