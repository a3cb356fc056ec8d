//! How many sockets the process may hold.

use rustix::process::Resource;

/// Descriptors that are no connections: standard streams, epoll, timer, with some room.
const OTHERS: u64 = 32;

/// Raises the soft limit to the hard one, and checks that so many connections fit.
///
/// # Errors
///
/// A sentence for the operator, when they do not.
pub fn provide(connections: usize) -> Result<(), String> {
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    rustix::process::setrlimit(Resource::Nofile, limit)
        .map_err(|error| format!("cannot raise the limit of open files: {error}"))?;
    match limit.maximum {
        Some(maximum) if connections as u64 + OTHERS > maximum => Err(format!(
            "{connections} connections do not fit: this process may open {maximum} files (ulimit \
             -Hn), of which {OTHERS} are for other uses"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_fit_is_refused_beforehand() {
        assert_eq!(provide(1), Ok(()));
        if rustix::process::getrlimit(Resource::Nofile).maximum.is_some() {
            assert!(provide(usize::MAX / 2).is_err_and(|text| text.contains("do not fit")));
        }
    }
}
