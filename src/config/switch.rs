//! What is done or not: `true` in the file, a flag alone, `on` in a variable.
//!
//! It gives each such choice in the words of the room that it is for.

use crate::address::HostTrust;
use crate::config::settings::ProxyProtocol;
use crate::rules::Credentials;
use crate::static_files::CleanUrls;
use crate::static_files::Compression;
use crate::static_files::Hidden;
use crate::static_files::Listing;
use crate::static_files::Sidecars;
use crate::static_files::Sniffing;

/// Something that is done or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Switch {
    On,
    Off,
}

impl From<Switch> for ProxyProtocol {
    fn from(switch: Switch) -> Self {
        match switch {
            Switch::On => Self::On,
            Switch::Off => Self::Off,
        }
    }
}

impl From<Switch> for HostTrust {
    fn from(switch: Switch) -> Self {
        match switch {
            Switch::On => Self::Trusted,
            Switch::Off => Self::Ignored,
        }
    }
}

impl From<Switch> for Listing {
    fn from(switch: Switch) -> Self {
        match switch {
            Switch::On => Self::On,
            Switch::Off => Self::Off,
        }
    }
}

impl From<Switch> for CleanUrls {
    fn from(switch: Switch) -> Self {
        match switch {
            Switch::On => Self::On,
            Switch::Off => Self::Off,
        }
    }
}

impl From<Switch> for Hidden {
    fn from(switch: Switch) -> Self {
        match switch {
            Switch::On => Self::Served,
            Switch::Off => Self::Refused,
        }
    }
}

impl From<Switch> for Sidecars {
    fn from(switch: Switch) -> Self {
        match switch {
            Switch::On => Self::Used,
            Switch::Off => Self::Ignored,
        }
    }
}

impl From<Switch> for Compression {
    fn from(switch: Switch) -> Self {
        match switch {
            Switch::On => Self::On,
            Switch::Off => Self::Off,
        }
    }
}

/// Of `nosniff`: on is the refusal.
impl From<Switch> for Sniffing {
    fn from(switch: Switch) -> Self {
        match switch {
            Switch::On => Self::Refused,
            Switch::Off => Self::Permitted,
        }
    }
}

impl From<Switch> for Credentials {
    fn from(switch: Switch) -> Self {
        match switch {
            Switch::On => Self::Permitted,
            Switch::Off => Self::Refused,
        }
    }
}

/// `on` or `off`, and what else people write for them in variables.
pub(super) fn parse<T: From<Switch>>(text: &str) -> Result<T, String> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" | "1" => Ok(Switch::On.into()),
        "off" | "false" | "no" | "0" => Ok(Switch::Off.into()),
        _ => Err(format!("\"{text}\" is neither on nor off: write one of the two")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_on_and_off() {
        for text in ["on", "On", "true", "yes", "1"] {
            assert_eq!(parse(text), Ok(ProxyProtocol::On));
        }
        for text in ["off", "FALSE", "no", "0"] {
            assert_eq!(parse(text), Ok(HostTrust::Ignored));
        }
        let expected = "\"v1\" is neither on nor off: write one of the two".to_owned();
        assert_eq!(parse::<ProxyProtocol>("v1"), Err(expected));
    }
}
