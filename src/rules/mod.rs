//! Rules of a site: what holds for the paths that a glob matches.
//!
//! It takes what the operator wrote and a request, gives what is to be done and which fields the
//! answer gets. It is pure: bytes are compared, nothing is opened.

mod spec;

pub use spec::Access;
pub use spec::Action;
pub use spec::Cors;
pub use spec::Credentials;
pub use spec::ErrorPage;
pub use spec::Policy;
pub use spec::Rule;
