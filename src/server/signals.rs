//! TERM, INT and QUIT as values: the first asks to drain, a second ends at once.

use std::io;
use std::thread;

use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGQUIT;
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;

/// A signal that ends the server, with its name and number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signal(i32);

impl Signal {
    /// As people write it.
    pub(super) const fn name(self) -> &'static str {
        match self.0 {
            SIGINT => "SIGINT",
            SIGQUIT => "SIGQUIT",
            _ => "SIGTERM",
        }
    }

    /// What a shell reports for a program that this signal ended.
    pub(super) const fn exit_code(self) -> i32 {
        128 + self.0
    }
}

/// Hears signals from now on, on a thread of their own.
///
/// # Errors
///
/// errno of sigaction(2) or pthread_create(3).
pub(super) fn listen(mut hear: impl FnMut(Signal) + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGQUIT])?;
    let name = "corelane-signal".to_owned();
    thread::Builder::new().name(name).spawn(move || {
        for signal in signals.forever() {
            hear(Signal(signal));
        }
    })?;
    Ok(())
}
