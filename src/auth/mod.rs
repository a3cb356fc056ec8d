//! Basic authentication (RFC 7617): who may ask, and how they prove it.
//!
//! In goes what the operator says of a realm, later the value of a field Authorization; out comes
//! whether the client may ask. It knows nothing of requests and answers. Passwords are kept as
//! hashes that are slow to compute, so that is done in the lane's workshop, and who has proved
//! themselves is remembered for a while.

mod credentials;
mod hash;
mod htpasswd;
mod realm;

pub use hash::check as check_hash;
pub use htpasswd::parse as parse_htpasswd;
pub use realm::Check;
pub use realm::Proof;
pub use realm::Realm;
pub use realm::Verdict;

/// What the operator says of one realm. Plain values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RealmSpec {
    /// Shown to the user who is asked for a password.
    pub name: String,
    /// Names and hashes of passwords that [`check_hash`] takes. Of equal names the first counts.
    pub users: Vec<(String, String)>,
}
