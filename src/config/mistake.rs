//! A mistake of the operator: where it is, what it is, and how to mend it.
//!
//! It is text for a person. Who finds the mistake writes the sentence; this file knows only how
//! place and sentence are put together.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

/// One mistake. Displayed as `place: what is wrong: remedy`, without a line break at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    place: Place,
    text: String,
}

/// Where the operator wrote something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nowhere: it is missing altogether.
    Nowhere,
    /// A flag or positional argument of the command line, such as `--bind` or `APP`.
    Flag(&'static str),
    /// An environment variable.
    Variable(&'static str),
    /// A configuration file as a whole.
    File(PathBuf),
    /// A line of a configuration file, counted from 1.
    Line(PathBuf, usize),
    /// The value of a key in a configuration file.
    Key(PathBuf, usize, String),
}

impl Mistake {
    /// `text` says what is wrong, then a colon, then the remedy.
    pub(super) fn new(place: &Place, text: impl Into<String>) -> Self {
        Self { place: place.clone(), text: text.into() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Nowhere => out.write_str(&self.text),
            place => write!(out, "{place}: {}", self.text),
        }
    }
}

impl Error for Mistake {}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nowhere => Ok(()),
            Self::Flag(name) | Self::Variable(name) => out.write_str(name),
            Self::File(file) => write!(out, "{}", file.display()),
            Self::Line(file, line) => write!(out, "{}:{line}", file.display()),
            Self::Key(file, line, key) => write!(out, "{}:{line}: {key}", file.display()),
        }
    }
}

impl Place {
    /// The line, of a place that has one.
    pub(super) const fn line(&self) -> Option<usize> {
        match self {
            Self::Line(_, line) | Self::Key(_, line, _) => Some(*line),
            _ => None,
        }
    }

    /// Names this place inside a message about another one.
    pub(super) fn in_passing(&self) -> String {
        match self {
            Self::Line(_, line) | Self::Key(_, line, _) => format!("line {line}"),
            place => place.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_stands_before_the_sentence() {
        let file = || PathBuf::from("corelane.toml");
        for (place, expected) in [
            (Place::Nowhere, "wrong: mend it"),
            (Place::Flag("--bind"), "--bind: wrong: mend it"),
            (Place::Variable("PORT"), "PORT: wrong: mend it"),
            (Place::File(file()), "corelane.toml: wrong: mend it"),
            (Place::Line(file(), 7), "corelane.toml:7: wrong: mend it"),
            (Place::Key(file(), 7, "bind".into()), "corelane.toml:7: bind: wrong: mend it"),
        ] {
            assert_eq!(Mistake::new(&place, "wrong: mend it").to_string(), expected);
        }
    }

    #[test]
    fn a_place_in_passing_does_not_repeat_the_file() {
        let file = || PathBuf::from("corelane.toml");
        assert_eq!(Place::Line(file(), 7).in_passing(), "line 7");
        assert_eq!(Place::Key(file(), 8, "path".into()).in_passing(), "line 8");
        assert_eq!(Place::Flag("--static").in_passing(), "--static");
    }
}
