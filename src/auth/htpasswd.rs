//! A file of names and hashes, as htpasswd(1) writes it. Pure: text to pairs, or the line that is
//! wrong.

use std::collections::HashSet;

use crate::auth::hash;
use crate::limits::AUTH_CREDENTIALS_BYTES_MAX;
use crate::limits::AUTH_USERS_MAX;

/// The users of a file: `name:hash` in each line, and what follows a second colon is a comment, as
/// nginx has it. Empty lines and those that begin with `#` are left out.
///
/// # Errors
///
/// The number of the first line that is wrong, from 1, and a sentence about it.
pub fn parse(text: &str) -> Result<Vec<(String, String)>, (usize, String)> {
    let mut users = Vec::new();
    let mut names = HashSet::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, hash) = user(line).map_err(|sentence| (number, sentence))?;
        if !names.insert(name) {
            return Err((
                number,
                format!("the user {name:?} is already in a line above: remove one of the two"),
            ));
        }
        if users.len() == AUTH_USERS_MAX {
            return Err((number, format!("there are more than {AUTH_USERS_MAX} users")));
        }
        users.push((name.to_owned(), hash.to_owned()));
    }
    Ok(users)
}

fn user(line: &str) -> Result<(&str, &str), String> {
    let mut fields = line.split(':');
    let (Some(name), Some(hash)) = (fields.next(), fields.next()) else {
        return Err(
            "there is no colon between a name and a hash: write user:hash, as htpasswd -B \
                    does"
                .to_owned(),
        );
    };
    if name.is_empty() {
        return Err("there is no name before the colon".to_owned());
    }
    if name.chars().any(char::is_control) {
        return Err("a name has no control characters".to_owned());
    }
    // With its colon and a password.
    if name.len() + 2 > AUTH_CREDENTIALS_BYTES_MAX {
        return Err(format!("a name has at most {} bytes", AUTH_CREDENTIALS_BYTES_MAX - 2));
    }
    hash::check(hash)?;
    Ok((name, hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2y$04$gxqadTEa84EQePNyXKo.BuOtTh6ilDKtEI2z23W8fcOO.FAEbwXJK";

    #[test]
    fn a_file_as_htpasswd_writes_it() {
        // htpasswd -c with -nbB, a second user, and an empty line as some versions leave it.
        let text = format!("# people\njoe:{HASH}\r\n\n  \nann lee:{HASH}:her comment\n");
        let user = |name: &str| (name.to_owned(), HASH.to_owned());
        assert_eq!(parse(&text), Ok(vec![user("joe"), user("ann lee")]));
        assert_eq!(parse(""), Ok(Vec::new()));
    }

    #[test]
    fn the_line_that_is_wrong() {
        for (line, part) in [
            ("joe".to_owned(), "no colon"),
            (format!(":{HASH}"), "no name"),
            (format!("a\u{1}b:{HASH}"), "control characters"),
            (format!("joe:{HASH}"), "already in a line above"),
            ("ann:$apr1$TLvE27z5$CEfwGqqJqXZKexlh4BpVU1".to_owned(), "htpasswd -B"),
            ("ann:".to_owned(), "nothing"),
            (format!("{}:{HASH}", "x".repeat(AUTH_CREDENTIALS_BYTES_MAX - 1)), "at most"),
        ] {
            let (number, sentence) = parse(&format!("joe:{HASH}\n#\n{line}\n")).unwrap_err();
            assert_eq!(number, 3, "{line}");
            assert!(sentence.contains(part), "{line}: {sentence}");
        }
        let long = "x".repeat(AUTH_CREDENTIALS_BYTES_MAX - 2);
        assert!(parse(&format!("{long}:{HASH}")).is_ok());
    }

    #[test]
    fn the_last_user_that_there_is_room_for() {
        let line = |number: usize| format!("u{number}:{HASH}\n");
        let full: String = (0..AUTH_USERS_MAX).map(line).collect();
        assert_eq!(parse(&full).unwrap().len(), AUTH_USERS_MAX);
        let (number, sentence) = parse(&(full + &line(AUTH_USERS_MAX))).unwrap_err();
        assert_eq!(number, AUTH_USERS_MAX + 1);
        assert!(sentence.contains("more than"), "{sentence}");
    }
}
