//! The virtual environment of an application: which one it is, and whether it fits.
//!
//! It takes what the operator gave and looks at `VIRTUAL_ENV` and `.venv` beside the application.
//! What was given must be right; what was only found is left alone where it does not fit, with a
//! warning. A virtual environment is a folder with a pyvenv.cfg (PEP 405).

use crate::config::disk;
use crate::config::environment::Environment;
use crate::config::mistake::Mistake;
use crate::config::settings::Warning;
use crate::config::written::Written;
use crate::limits::PYVENV_CFG_BYTES_MAX;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

/// The version of the Python that this program was built for: `3.13`.
const OURS: &str = env!("CORELANE_PYTHON_VERSION");

enum Kind {
    /// No pyvenv.cfg.
    None,
    /// Made by our Python, or it does not say.
    Fits,
    /// Made by this other version.
    Other(String),
}

/// The environment of an application that runs in `chdir`: the given one, else `VIRTUAL_ENV`, else
/// `.venv` in `chdir`.
pub(super) fn find(
    given: Option<&Written<PathBuf>>,
    environment: &Environment,
    chdir: &Path,
    warnings: &mut Vec<Warning>,
) -> Result<Option<PathBuf>, Mistake> {
    if let Some(given) = given {
        return check_given(given).map(Some);
    }
    let mut warn = |warning| {
        if !warnings.contains(&warning) {
            warnings.push(warning); // once, not for each application
        }
    };
    if let Some(active) = environment.variable("VIRTUAL_ENV")? {
        let venv = disk::absolute(&environment.folder().join(active));
        match kind(&venv) {
            Kind::Fits => return Ok(Some(venv)),
            Kind::None => warn(Warning::StaleVirtualEnv(venv)),
            Kind::Other(version) => warn(Warning::VenvOfOtherPython { venv, version }),
        }
    }
    let venv = chdir.join(".venv");
    match kind(&venv) {
        Kind::Fits => Ok(Some(venv)),
        Kind::None => Ok(None),
        Kind::Other(version) => {
            warn(Warning::VenvOfOtherPython { venv, version });
            Ok(None)
        }
    }
}

fn check_given(given: &Written<PathBuf>) -> Result<PathBuf, Mistake> {
    let venv = disk::absolute(&given.value);
    let shown = venv.display();
    match kind(&venv) {
        Kind::Fits => Ok(venv),
        Kind::None => Err(given.mistake(format!(
            "\"{shown}\" is not a virtual environment (it has no pyvenv.cfg): make it with \
             python{OURS} -m venv \"{shown}\", or correct the path"
        ))),
        Kind::Other(version) => Err(given.mistake(format!(
            "\"{shown}\" was made by Python {version}, but corelane runs Python {OURS}: make it \
             with python{OURS} -m venv \"{shown}\""
        ))),
    }
}

fn kind(venv: &Path) -> Kind {
    let mut text = String::new();
    let read = File::open(venv.join("pyvenv.cfg"))
        .and_then(|file| file.take(PYVENV_CFG_BYTES_MAX).read_to_string(&mut text));
    match (read, version(&text)) {
        (Err(_), _) => Kind::None,
        (Ok(_), Some(version)) if version != OURS => Kind::Other(version),
        (Ok(_), _) => Kind::Fits,
    }
}

/// The version that the environment was made by, without its last part: `3.13`. venv writes
/// `version = 3.13.1`, virtualenv and uv `version_info = 3.13.1`, some with `.final.0` behind.
fn version(pyvenv_cfg: &str) -> Option<String> {
    let is_version = |key: &str| matches!(key.trim(), "version" | "version_info");
    let mut pairs = pyvenv_cfg.lines().filter_map(|line| line.split_once('='));
    let (_, value) = pairs.find(|(key, _)| is_version(key))?;
    let mut numbers = value.trim().split('.');
    Some(format!("{}.{}", numbers.next()?, numbers.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::mistake::Place;
    use std::fs;
    use tempfile::TempDir;

    fn make(folder: &Path, pyvenv_cfg: &str) -> PathBuf {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("pyvenv.cfg"), pyvenv_cfg).unwrap();
        folder.to_owned()
    }

    fn ours() -> String {
        format!("home = /usr/bin\nversion = {OURS}.1\n")
    }

    type Found = (Result<Option<PathBuf>, String>, Vec<Warning>);

    fn search(folder: &TempDir, given: Option<PathBuf>, virtual_env: &str) -> Found {
        let environment = Environment::new(folder.path(), &[("VIRTUAL_ENV", virtual_env)]);
        let given = given.map(|path| Written::new(path, Place::Flag("--venv")));
        let mut warnings = Vec::new();
        let found = find(given.as_ref(), &environment, &folder.path().join("app"), &mut warnings);
        (found.map_err(|mistake| mistake.to_string()), warnings)
    }

    #[test]
    fn the_given_one_goes_before_the_active_one_before_the_one_beside() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(search(&folder, None, ""), (Ok(None), vec![]));
        let beside = make(&folder.path().join("app/.venv"), &ours());
        assert_eq!(search(&folder, None, ""), (Ok(Some(beside)), vec![]));
        let active = make(&folder.path().join("active"), &ours());
        assert_eq!(search(&folder, None, "active"), (Ok(Some(active)), vec![]));
        let given = make(&folder.path().join("given"), &ours());
        assert_eq!(search(&folder, Some(given.clone()), "active"), (Ok(Some(given)), vec![]));
    }

    #[test]
    fn of_an_endless_pyvenv_cfg_only_the_beginning_counts() {
        let folder = tempfile::tempdir().unwrap();
        let other = "version = 2.7\n";
        let start = usize::try_from(PYVENV_CFG_BYTES_MAX).unwrap() - other.len();
        let within = make(&folder.path().join("within"), &("\n".repeat(start) + other));
        assert!(matches!(kind(&within), Kind::Other(version) if version == "2.7"));
        let beyond = "\n".repeat(start + other.len()) + other;
        let beyond = make(&folder.path().join("beyond"), &beyond);
        assert!(matches!(kind(&beyond), Kind::Fits));
    }

    #[test]
    fn a_stale_active_one_is_ignored_with_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("gone");
        let warning = Warning::StaleVirtualEnv(gone.clone());
        assert_eq!(
            warning.to_string(),
            format!(
                "VIRTUAL_ENV names \"{}\", which has no pyvenv.cfg: it is ignored",
                gone.display()
            )
        );
        assert_eq!(search(&folder, None, "gone"), (Ok(None), vec![warning.clone()]));
        let beside = make(&folder.path().join("app/.venv"), &ours());
        assert_eq!(search(&folder, None, "gone"), (Ok(Some(beside)), vec![warning]));
    }

    #[test]
    fn a_warning_is_given_once_for_all_applications() {
        let folder = tempfile::tempdir().unwrap();
        let environment = Environment::new(folder.path(), &[("VIRTUAL_ENV", "gone")]);
        let mut warnings = Vec::new();
        for app in ["one", "two"] {
            let chdir = folder.path().join(app);
            assert_eq!(find(None, &environment, &chdir, &mut warnings), Ok(None));
        }
        assert_eq!(warnings, [Warning::StaleVirtualEnv(folder.path().join("gone"))]);
    }

    #[test]
    fn a_found_one_of_another_python_is_ignored_with_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let venv = make(&folder.path().join("app/.venv"), "version = 3.1.4\n");
        let warning = Warning::VenvOfOtherPython { venv: venv.clone(), version: "3.1".into() };
        assert_eq!(
            warning.to_string(),
            format!(
                "\"{}\" was made by Python 3.1, but corelane runs Python {OURS}: it is ignored; \
                 make one with python{OURS} -m venv",
                venv.display()
            )
        );
        assert_eq!(search(&folder, None, ""), (Ok(None), vec![warning.clone()]));
        let active = make(&folder.path().join("active"), "version_info = 3.1.4.final.0\n");
        let other = Warning::VenvOfOtherPython { venv: active, version: "3.1".into() };
        assert_eq!(search(&folder, None, "active"), (Ok(None), vec![other, warning]));
    }

    #[test]
    fn a_given_one_that_does_not_fit_is_a_mistake() {
        let folder = tempfile::tempdir().unwrap();
        let plain = folder.path().join("plain");
        fs::create_dir(&plain).unwrap();
        let shown = plain.display();
        let expected = format!(
            "--venv: \"{shown}\" is not a virtual environment (it has no pyvenv.cfg): make it \
             with python{OURS} -m venv \"{shown}\", or correct the path"
        );
        assert_eq!(search(&folder, Some(plain.clone()), ""), (Err(expected), vec![]));
        let old = make(&folder.path().join("old"), "version = 3.1.4\n");
        let shown = old.display();
        let expected = format!(
            "--venv: \"{shown}\" was made by Python 3.1, but corelane runs Python {OURS}: make it \
             with python{OURS} -m venv \"{shown}\""
        );
        assert_eq!(search(&folder, Some(old.clone()), ""), (Err(expected), vec![]));
    }

    #[test]
    fn versions_as_the_tools_write_them() {
        assert_eq!(version("home = /a\nversion = 3.13.1\n"), Some("3.13".into()));
        assert_eq!(version("version_info=3.14.0.final.0"), Some("3.14".into()));
        assert_eq!(version("version = 3.13.0rc2"), Some("3.13".into()));
        assert_eq!(version("home = /usr/bin\n"), None);
        assert_eq!(version("version = 3"), None);
        assert_eq!(version(""), None);
    }
}
