//! What is kept of a password: bcrypt's `$2y$...` or Argon2's `$argon2id$...`, read once and with
//! bounds on what one check may cost. It does not know whose it is.
//!
//! Of a password bcrypt uses the first 72 bytes. `htpasswd -B` cuts longer ones there without a
//! word, and so it is done here: what it has hashed is recognised.

use std::collections::TryReserveError;
use std::str::FromStr;

use argon2::Algorithm;
use argon2::Argon2;
use argon2::Block;
use argon2::Params;
use argon2::PasswordHash;
use argon2::Version;
use subtle::ConstantTimeEq;

use crate::limits::AUTH_ARGON2_LANES_MAX;
use crate::limits::AUTH_ARGON2_MEMORY_KIB_MAX;
use crate::limits::AUTH_ARGON2_PASSES_MAX;
use crate::limits::AUTH_BCRYPT_COST_MAX;

/// A hash whose cost is bounded.
#[derive(Clone)]
pub(super) enum Hash {
    Bcrypt(String),
    Argon2 { function: Argon2<'static>, salt: Vec<u8>, expected: Vec<u8> },
}

/// Whether this is a hash that passwords can be checked against here.
///
/// # Errors
///
/// A sentence for the operator, with the remedy.
pub fn check(text: &str) -> Result<(), String> {
    Hash::parse(text).map(drop)
}

impl Hash {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| text.starts_with(prefix)) {
            return bcrypt(text);
        }
        if text.starts_with("$argon2") {
            return argon2(text);
        }
        let what = match text {
            _ if text.starts_with("$apr1$") || text.starts_with("$1$") => "an MD5 hash",
            _ if text.starts_with("{SHA}") || text.starts_with("{SSHA}") => "a SHA-1 hash",
            _ if text.starts_with("$5$") || text.starts_with("$6$") => "a hash of crypt(3)",
            _ if text.starts_with("$2x$") => "a bcrypt hash of a faulty implementation",
            "" => "nothing",
            _ => "neither a bcrypt nor an Argon2 hash",
        };
        Err(format!("this is {what}: {REMEDY}"))
    }

    /// Whether this is the password. Takes long.
    ///
    /// # Errors
    ///
    /// When there is no memory for it.
    pub(super) fn verify(&self, password: &[u8]) -> Result<bool, TryReserveError> {
        match self {
            // It was read before, so there is no error left.
            Self::Bcrypt(text) => Ok(bcrypt::verify(password, text).unwrap_or(false)),
            Self::Argon2 { function, salt, expected } => {
                let count = function.params().block_count();
                let mut memory: Vec<Block> = Vec::new();
                memory.try_reserve_exact(count)?;
                memory.resize(count, Block::default());
                let mut actual = vec![0; expected.len()];
                let hashed = function.hash_password_into_with_memory(
                    password,
                    salt,
                    &mut actual,
                    &mut memory,
                );
                Ok(hashed.is_ok() && bool::from(actual.ct_eq(expected)))
            }
        }
    }
}

fn bcrypt(text: &str) -> Result<Hash, String> {
    let parts = bcrypt::HashParts::from_str(text)
        .map_err(|_| format!("this is not a whole bcrypt hash: {REMEDY}"))?;
    match parts.get_cost() {
        0..BCRYPT_COST_MIN => Err(format!("bcrypt has no cost below {BCRYPT_COST_MIN}: {REMEDY}")),
        cost if cost > AUTH_BCRYPT_COST_MAX => Err(format!(
            "a bcrypt hash of cost {cost} takes too long to check: \
             at most {AUTH_BCRYPT_COST_MAX}, as by `htpasswd -B -C {AUTH_BCRYPT_COST_MAX}`"
        )),
        _ => Ok(Hash::Bcrypt(text.to_owned())),
    }
}

fn argon2(text: &str) -> Result<Hash, String> {
    let broken = || format!("this is not a whole Argon2 hash: {REMEDY}");
    let hash = PasswordHash::new(text).map_err(|_| broken())?;
    let algorithm = Algorithm::try_from(hash.algorithm.as_str()).map_err(|_| broken())?;
    // Without a version it is one of before there were versions, as the reference has it.
    let version = Version::try_from(hash.version.unwrap_or(0x10)).map_err(|_| broken())?;
    let params = Params::try_from(&hash).map_err(|_| broken())?;
    let (Some(salt), Some(expected)) = (&hash.salt, &hash.hash) else { return Err(broken()) };
    for (what, unit, value, value_max) in [
        ("memory", " KiB", params.m_cost(), AUTH_ARGON2_MEMORY_KIB_MAX),
        ("passes", "", params.t_cost(), AUTH_ARGON2_PASSES_MAX),
        ("lanes", "", params.p_cost(), AUTH_ARGON2_LANES_MAX),
    ] {
        if value > value_max {
            return Err(format!(
                "an Argon2 hash of {what} {value}{unit} costs too much to check: \
                 at most {value_max}{unit}"
            ));
        }
    }
    let salt = salt.as_ref().to_vec();
    let expected = expected.as_bytes().to_vec();
    Ok(Hash::Argon2 { function: Argon2::new(algorithm, version, params), salt, expected })
}

const BCRYPT_COST_MIN: u32 = 4;
const REMEDY: &str = "make one with `htpasswd -B`";

#[cfg(test)]
mod tests {
    use super::*;

    /// Of htpasswd 2.4 (`-nbB -C 4`), and of argon2-cffi 25.1 with the least costs.
    const RIGHT: &[(&str, &str)] = &[
        ("open sesame", "$2y$04$gxqadTEa84EQePNyXKo.BuOtTh6ilDKtEI2z23W8fcOO.FAEbwXJK"),
        (
            "p\u{e4}ssword:with colon",
            "$2y$04$tk3MjkAkWu520niIAa..PuHkjDbJOgEvwXNsVUifGoBobHHKWXgjG",
        ),
        (X72, "$2y$04$KYQH0FNjhtaq6ro.SuhVAuCUYXORzDGA1iO0XHg4gi2Xx5TWqYPSS"),
        ("open sesame", "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$OBfygvpH59QySaUfT6wx5Q"),
        ("open sesame", "$argon2i$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$m2mb34XPUadfi7pP3xU4BA"),
        ("open sesame", "$argon2d$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$FyZYoiji9OSnxTxJPO/ZyA"),
        (
            "open sesame",
            "$argon2id$v=19$m=64,t=2,p=2$c2FsdHNhbHQ$a+kgKVsw6aiP2ZKW/7Wpke3A1IHsgK1LV9dUI+H3ocM",
        ),
        ("p\u{e4}ssword", VERSION_16),
    ];
    const VERSION_16: &str = "$argon2id$v=16$m=64,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$\
        3avSrXZrKt9jAVC+hP9MJb6WrL2mKVEzpN7lYpYGFGA";
    const X72: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

    fn verify(password: &str, hash: &str) -> bool {
        Hash::parse(hash).unwrap().verify(password.as_bytes()).unwrap()
    }

    #[test]
    fn the_right_password_and_no_other() {
        for (password, hash) in RIGHT {
            assert!(verify(password, hash), "{hash}");
            for wrong in ["", "open sesam", "Open sesame", &password[1..]] {
                assert!(!verify(wrong, hash), "{hash}: {wrong}");
            }
        }
        assert!(verify("p\u{e4}ssword", &VERSION_16.replace("v=16$", "")), "the old version");
        assert!(!verify("p\u{e4}ssword", &VERSION_16.replace("v=16", "v=19")));
    }

    #[test]
    fn the_three_names_of_bcrypt_are_one() {
        for version in ["$2a$", "$2b$", "$2y$"] {
            assert!(verify(RIGHT[0].0, &RIGHT[0].1.replace("$2y$", version)));
        }
    }

    #[test]
    fn of_a_longer_password_bcrypt_takes_72_bytes_as_htpasswd_does() {
        // `htpasswd -niB -C 4` of 73 times x.
        const X73: &str = "$2y$04$OYWty6ma0OHps2hFJQpAQ.fVFyatszbMR3BUPo9sg8bowgFGaDJpC";
        for count in [72, 73, 100] {
            assert!(verify(&"x".repeat(count), X73), "{count}");
        }
        assert!(!verify(&"x".repeat(71), X73));
    }

    #[test]
    fn what_is_refused_names_the_remedy() {
        for (text, part) in [
            ("$apr1$TLvE27z5$CEfwGqqJqXZKexlh4BpVU1", "an MD5 hash"),
            ("{SHA}GpHWL3ymc5liWkNopqtdSjuqYHM=", "a SHA-1 hash"),
            ("MyEwE5bBZi1NU", "neither a bcrypt nor an Argon2 hash"),
            ("pw", "neither a bcrypt nor an Argon2 hash"),
            ("", "nothing"),
            ("$5$cmctNRqPSqvLK7ce$iRAiaZVyDFv/DOTpJYU2Lb99ay8nNqxuhpYe89ojo.9", "crypt(3)"),
            ("$2x$04$gxqadTEa84EQePNyXKo.BuOtTh6ilDKtEI2z23W8fcOO.FAEbwXJK", "faulty"),
            ("$2y$04$gxqadTEa84EQePNyXKo.BuOtTh6ilDKtEI2z23W8fcOO.FAEbwXJ", "not a whole bcrypt"),
            ("$2y$03$gxqadTEa84EQePNyXKo.BuOtTh6ilDKtEI2z23W8fcOO.FAEbwXJK", "below 4"),
            ("$2y$", "not a whole bcrypt"),
            ("$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ", "not a whole Argon2"),
            (
                "$argon2ix$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$OBfygvpH59QySaUfT6wx5Q",
                "not a whole Argon2",
            ),
            (
                "$argon2id$v=18$m=64,t=1,p=1$c2FsdHNhbHQ$OBfygvpH59QySaUfT6wx5Q",
                "not a whole Argon2",
            ),
            ("$argon2id$v=19$m=1,t=1,p=1$c2FsdHNhbHQ$OBfygvpH59QySaUfT6wx5Q", "not a whole Argon2"),
        ] {
            let sentence = check(text).unwrap_err();
            assert!(sentence.contains(part) && sentence.ends_with(REMEDY), "{text}: {sentence}");
        }
    }

    #[test]
    fn what_costs_too_much_to_check_is_refused() {
        let bcrypt = |cost: u32| RIGHT[0].1.replace("$04$", &format!("${cost:02}$"));
        assert!(check(&bcrypt(AUTH_BCRYPT_COST_MAX)).is_ok());
        assert!(check(&bcrypt(AUTH_BCRYPT_COST_MAX + 1)).unwrap_err().contains("cost 15"));
        let argon2 = |memory: u32, passes: u32, lanes: u32| {
            let costs = format!("m={memory},t={passes},p={lanes}");
            check(&RIGHT[3].1.replace("m=64,t=1,p=1", &costs))
        };
        let (memory, passes, lanes) =
            (AUTH_ARGON2_MEMORY_KIB_MAX, AUTH_ARGON2_PASSES_MAX, AUTH_ARGON2_LANES_MAX);
        assert!(argon2(memory, passes, lanes).is_ok());
        assert!(argon2(memory + 1, passes, lanes).unwrap_err().contains("memory"));
        assert!(argon2(memory, passes + 1, lanes).unwrap_err().contains("passes"));
        assert!(argon2(memory, passes, lanes + 1).unwrap_err().contains("lanes"));
        assert!(argon2(u32::MAX, u32::MAX, 1).is_err());
    }
}
