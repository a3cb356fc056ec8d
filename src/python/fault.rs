//! What can go wrong with Python before an application serves: [`PythonFault`], a text for the
//! operator.
//!
//! It owns the words, not the causes. What an application raises while it answers a request is no
//! `PythonFault`: it goes to the error log with its traceback and the peer gets a 500.

use std::error::Error;
use std::fmt;

/// Why Python or an application could not be started. `Display` gives one or more lines for the
/// operator; the first line says what and why. Which application it is, the caller knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PythonFault {
    /// CPython itself did not start.
    Runtime {
        /// What CPython said.
        reason: String,
    },
    /// An interpreter of its own could not be made for an application.
    Interpreter {
        /// What CPython said.
        reason: String,
    },
    /// A thread for an application could not be started.
    Thread {
        /// What the kernel said.
        reason: String,
    },
    /// The application's folder, virtual environment or target is not usable as configured.
    Refused {
        /// What is wrong and how to put it right; one line.
        reason: String,
    },
    /// Importing or building the application raised an exception.
    Import {
        /// What was imported, the exception, and a remedy where one is known; one line.
        reason: String,
        /// The traceback as Python prints it, with line ends.
        traceback: String,
    },
}

impl fmt::Display for PythonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runtime { reason } => f.write_str(reason),
            Self::Interpreter { reason } => {
                write!(f, "no further Python interpreter could be made: {reason}")
            }
            Self::Thread { reason } => write!(f, "no Python thread could be started: {reason}"),
            Self::Refused { reason } => f.write_str(reason),
            Self::Import { reason, traceback } => {
                write!(f, "{reason}\n{}", traceback.trim_end())
            }
        }
    }
}

impl Error for PythonFault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_line_says_what_and_why() {
        let fault = PythonFault::Import {
            reason: "could not import \"shop\": ModuleNotFoundError".into(),
            traceback: "Traceback (most recent call last):\n  …\n".into(),
        };
        let text = fault.to_string();
        let first = text.lines().next().unwrap();
        assert_eq!(first, "could not import \"shop\": ModuleNotFoundError");
        assert_eq!(text.lines().count(), 3);
    }
}
