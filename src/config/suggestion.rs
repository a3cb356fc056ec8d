//! The nearest right spelling of a mistyped name, as the remedy of a message.

/// The remedy: `did you mean "files"?`, or where nothing is near: `known keys are files, path`.
pub(super) fn remedy(typed: &str, known_what: &str, known: &[&str]) -> String {
    match nearest(typed, known) {
        Some(name) => format!("did you mean \"{name}\"?"),
        None => format!("{known_what} are {}", known.join(", ")),
    }
}

/// The known name that is nearest, or None where each of them would be a guess.
fn nearest<'a>(typed: &str, known: &[&'a str]) -> Option<&'a str> {
    // clap uses the same measure and the same bound for flags.
    let score = |name: &str| strsim::jaro(&typed.to_lowercase().replace('-', "_"), name);
    let scored = known.iter().map(|name| (score(&name.to_lowercase()), *name));
    let best = scored.max_by(|(one, _), (other, _)| one.total_cmp(other));
    best.filter(|(score, _)| *score > 0.7).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &[&str] = &["path", "files", "app", "fallback", "cache_control"];

    #[test]
    fn a_slip_finds_its_name() {
        for (typed, expected) in [
            ("fles", "files"),
            ("file", "files"),
            ("Files", "files"),
            ("aap", "app"),
            ("fallbak", "fallback"),
            ("cache-control", "cache_control"),
            ("CacheControl", "cache_control"),
            ("paths", "path"),
        ] {
            let expected = format!("did you mean \"{expected}\"?");
            assert_eq!(remedy(typed, "known keys", KEYS), expected, "{typed}");
        }
    }

    #[test]
    fn a_stranger_gets_the_list() {
        assert_eq!(
            remedy("gzip", "known keys", KEYS),
            "known keys are path, files, app, fallback, cache_control"
        );
        assert_eq!(remedy("", "applications", &["shop"]), "applications are shop");
    }
}
