//! Who shall own a socket's file: names of /etc/passwd and /etc/group to the kernel's numbers.
//!
//! Read by hand, because the C library's own search may load modules that ask a network. Who is
//! known to such a service alone is named by number.

use crate::config::settings::Owner;
use crate::limits::ACCOUNTS_BYTES_MAX;
use std::fs::File;
use std::io;
use std::io::Read;

/// `USER`, `USER:GROUP` or `:GROUP`; names or numbers.
pub(super) fn owner(text: &str) -> Result<Owner, String> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    if (user.is_empty() && group.is_none()) || group == Some("") {
        return Err(format!("\"{text}\" names no owner: write USER, USER:GROUP or :GROUP"));
    }
    let user = if user.is_empty() { None } else { Some(account(user, USERS)?) };
    let group = group.map(|group| account(group, GROUPS)).transpose()?;
    Ok(Owner { user, group })
}

/// Where accounts of one kind are listed, and what the kind is called.
#[derive(Clone, Copy)]
struct Accounts {
    file: &'static str,
    kind: &'static str,
}

const USERS: Accounts = Accounts { file: "/etc/passwd", kind: "user" };
const GROUPS: Accounts = Accounts { file: "/etc/group", kind: "group" };

fn account(name: &str, accounts: Accounts) -> Result<u32, String> {
    let Accounts { file, kind } = accounts;
    if name.bytes().all(|byte| byte.is_ascii_digit()) {
        // The last number means "leave it as it is" to chown(2).
        return match name.parse() {
            Ok(u32::MAX) | Err(_) => {
                Err(format!("\"{name}\" is no number of a {kind}: correct it"))
            }
            Ok(number) => Ok(number),
        };
    }
    let list = read(file).map_err(|error| {
        format!("{file} cannot be read ({error}): write the number of the {kind} \"{name}\"")
    })?;
    number_of(name, &list).ok_or_else(|| {
        format!("there is no {kind} \"{name}\" in {file}: correct the name, or write its number")
    })
}

fn read(file: &str) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(file)?.take(ACCOUNTS_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The third field of the line that begins with the name (passwd(5), group(5)).
fn number_of(name: &str, list: &str) -> Option<u32> {
    let mut lines = list.lines().map(|line| line.split(':'));
    lines.find_map(|mut fields| match fields.next() {
        Some(first) if first == name => fields.nth(1)?.parse().ok(),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_names_or_numbers() {
        let numbers = |user, group| Ok(Owner { user, group });
        assert_eq!(owner("33"), numbers(Some(33), None));
        assert_eq!(owner("0:4294967294"), numbers(Some(0), Some(4_294_967_294)));
        assert_eq!(owner(":33"), numbers(None, Some(33)));
        // These two are everywhere.
        assert_eq!(owner("root:root"), numbers(Some(0), Some(0)));
    }

    #[test]
    fn who_is_no_owner() {
        for text in ["", ":", "root:"] {
            let expected = format!("\"{text}\" names no owner: write USER, USER:GROUP or :GROUP");
            assert_eq!(owner(text), Err(expected));
        }
        assert_eq!(
            owner("nobody-of-this-name"),
            Err("there is no user \"nobody-of-this-name\" in /etc/passwd: correct the name, or \
                 write its number"
                .to_owned())
        );
        assert_eq!(
            owner("root:a:b"),
            Err("there is no group \"a:b\" in /etc/group: correct the name, or write its number"
                .to_owned())
        );
        for number in ["4294967295", "99999999999"] {
            let expected = format!("\"{number}\" is no number of a user: correct it");
            assert_eq!(owner(number), Err(expected));
        }
    }

    #[test]
    fn accounts_are_found_by_their_whole_name() {
        let list =
            "root:x:0:0:root:/root:/bin/sh\n# a comment\nwww:x:8:8\nwww-data:x:33:33\nbad:x\n";
        for (name, number) in [
            ("root", Some(0)),
            ("www", Some(8)),
            ("www-data", Some(33)),
            ("www-dat", None),
            ("bad", None),
            ("x", None),
        ] {
            assert_eq!(number_of(name, list), number, "{name}");
        }
    }
}
