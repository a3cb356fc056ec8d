//! The surroundings of the process as far as the configuration reads them: the environment
//! variables and the current folder, taken once, so that nothing later depends on hidden state.

use crate::config::mistake::Mistake;
use crate::config::mistake::Place;
use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::path::PathBuf;

/// Variables and current folder.
#[derive(Clone, Debug)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
    folder: PathBuf,
}

impl Environment {
    /// Those of this process.
    ///
    /// # Errors
    /// The current folder has been removed or cannot be read.
    pub fn of_process() -> io::Result<Self> {
        Ok(Self { variables: env::vars_os().collect(), folder: env::current_dir()? })
    }

    /// Made up: for tests. `folder` is absolute.
    #[must_use]
    pub fn new(folder: &Path, variables: &[(&str, &str)]) -> Self {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { variables, folder: folder.to_owned() }
    }

    /// The current folder, absolute.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The value of a variable. An empty one counts as not set: compose files and unit files have
    /// no other way to say so.
    pub(super) fn variable(&self, name: &'static str) -> Result<Option<String>, Mistake> {
        match self.variables.get(&OsString::from(name)) {
            None => Ok(None),
            Some(value) if value.is_empty() => Ok(None),
            Some(value) => match value.to_str() {
                Some(value) => Ok(Some(value.to_owned())),
                None => Err(Mistake::new(
                    &Place::Variable(name),
                    "is not valid UTF-8: write it in UTF-8",
                )),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    #[test]
    fn an_empty_variable_is_not_set() {
        let environment = Environment::new(Path::new("/"), &[("PORT", ""), ("HOST", "a")]);
        assert_eq!(environment.variable("PORT"), Ok(None));
        assert_eq!(environment.variable("HOST"), Ok(Some("a".to_owned())));
        assert_eq!(environment.variable("OTHER"), Ok(None));
    }

    #[test]
    fn a_variable_that_is_no_text_is_a_mistake() {
        let mut environment = Environment::new(Path::new("/"), &[]);
        environment.variables.insert("PORT".into(), OsString::from_vec(vec![b'8', 0xff]));
        assert_eq!(
            environment.variable("PORT").unwrap_err().to_string(),
            "PORT: is not valid UTF-8: write it in UTF-8"
        );
    }
}
