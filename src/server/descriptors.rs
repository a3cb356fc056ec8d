//! How many descriptors the process may have open: as many as the hard limit permits.
//!
//! The soft limit is 1024 almost everywhere, for programs that still use select(2). A lane takes as
//! many connections as `limits::CONNECTIONS_PER_LANE_MAX` says, and keeps large files open besides.

use rustix::process::Resource;
use rustix::process::Rlimit;

/// Raises the soft limit to the hard one (getrlimit(2): any process may).
pub(super) fn permit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, wanted) {
        tracing::warn!(%error, limit = limit.current, "cannot raise the limit of open files");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hard_limit_counts() {
        let before = rustix::process::getrlimit(Resource::Nofile);
        let maximum = before.maximum;
        let low = Rlimit { current: Some(maximum.unwrap_or(1024).min(1024) - 1), maximum };
        rustix::process::setrlimit(Resource::Nofile, low).unwrap();
        permit();
        let after = rustix::process::getrlimit(Resource::Nofile);
        assert_eq!((after.current, after.maximum), (maximum, maximum));
    }
}
