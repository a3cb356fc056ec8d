//! Rules of a site: what holds for the paths that a glob matches.
//!
//! It takes what the operator wrote and a request, gives what is to be done and which fields the
//! answer gets. It is pure: bytes are compared, nothing is opened. Each `check_` says what is wrong
//! with one value of the operator's and what to write instead; [`Rules::new`] takes what they pass.

pub mod cors;
pub mod field;
pub mod judge;
pub mod pattern;
mod spec;
pub mod target;

pub use cors::check as check_cors;
pub use cors::check_origin;
pub use field::check_field;
pub use judge::DENY_STATUSES;
pub use judge::Judgement;
pub use judge::REDIRECT_STATUSES;
pub use judge::Rules;
pub use judge::Verdict;
pub use judge::check_count;
pub use judge::check_redirect;
pub use judge::check_rewrite;
pub use pattern::check as check_pattern;
pub use spec::Access;
pub use spec::Action;
pub use spec::Cors;
pub use spec::Credentials;
pub use spec::ErrorPage;
pub use spec::Policy;
pub use spec::Rule;
pub use target::OUTSIDE_PATH;
