//! All rules of a site, and what they say of one request.
//!
//! It takes the rules in the order of the file, compiles them once, and is then asked for each
//! request. What is asked about is the path of the request alone: a path that a rewrite has made is
//! not judged again.

use crate::limits::RULES_FIELDS_BYTES_MAX;
use crate::limits::RULES_PER_SITE_MAX;
use crate::request::Request;
use crate::response::Overlay;
use crate::rules::Access;
use crate::rules::Action;
use crate::rules::Rule;
use crate::rules::cors;
use crate::rules::cors::Permission;
use crate::rules::field::check_field;
use crate::rules::pattern::Captures;
use crate::rules::pattern::Pattern;
use crate::rules::target::Redirect;
use crate::rules::target::Rewrite;

/// The rules of a site. Made once by each lane, as the programs in them keep states of their own.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    rules: Vec<Compiled>,
}

/// What the rules say of one request. In this order: a preflight is answered whoever asks, then
/// comes the question who asks, then the rest of the verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Fields of the answer, whatever it will be.
    pub overlay: Overlay,
    /// The realm that must know who asks. None: everybody may, and a preflight is always let
    /// through, as browsers send no password with it.
    pub access: Option<usize>,
    /// What is done.
    pub verdict: Verdict,
}

/// What is done with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes its way.
    Proceed,
    /// It goes its way with this decoded path, and its query as it is.
    Rewrite(Vec<u8>),
    /// The client is told to go elsewhere.
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: u16,
        /// The value of Location: printable ASCII.
        location: String,
    },
    /// The client is told nothing.
    Deny {
        /// 403, 404, 410 or 451; 404 or 414 where a target and a request make no address.
        status: u16,
    },
    /// 204 without a body; the overlay has all that a browser wants to know.
    Preflight,
}

/// The statuses of a redirect.
pub const REDIRECT_STATUSES: [u16; 5] = [301, 302, 303, 307, 308];
/// The statuses of a path about which nothing is told.
pub const DENY_STATUSES: [u16; 4] = [403, 404, 410, 451];

/// One rule.
#[derive(Clone, Debug)]
struct Compiled {
    pattern: Pattern,
    action: Option<Prepared>,
    fields: Vec<(String, String)>,
    cors: Option<Permission>,
    access: Option<Access>,
}

/// An action with its target read.
#[derive(Clone, Debug)]
enum Prepared {
    Redirect(u16, Redirect),
    Rewrite(Rewrite),
    Deny(u16),
}

impl Rules {
    /// Compiles the rules of a site.
    ///
    /// # Errors
    ///
    /// A sentence that names the pattern of the rule, when something in it is not as the checks of
    /// this room want it, or when there are too many.
    pub fn new(rules: &[Rule]) -> Result<Self, String> {
        check_count(rules)?;
        let compiled = rules.iter().map(|rule| {
            Compiled::new(rule).map_err(|text| format!("the rule for {:?}: {text}", rule.pattern))
        });
        Ok(Self { rules: compiled.collect::<Result<_, _>>()? })
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What all rules that match say of a request. Fields of a later rule replace those of an
    /// earlier one; of access and of other origins the last rule decides, of actions the first.
    #[must_use]
    pub fn judge(&self, request: &Request<'_>) -> Judgement {
        let path = &*request.target.path;
        let mut overlay = Overlay::default();
        let mut access = None;
        let mut permission = None;
        let mut deciding = None;
        for rule in self.rules.iter().filter(|rule| rule.pattern.matches(path)) {
            for (name, value) in &rule.fields {
                overlay.set(name, value);
            }
            access = rule.access.or(access);
            permission = rule.cors.as_ref().or(permission);
            deciding = deciding.or(rule.action.as_ref().map(|action| (&rule.pattern, action)));
        }
        let mut verdict = None;
        if let Some(permission) = permission {
            match cors::is_preflight(request) {
                true => {
                    permission.preflight(request, &mut overlay);
                    verdict = Some(Verdict::Preflight);
                    access = None;
                }
                false => permission.answer(request, &mut overlay),
            }
        }
        let access = match access {
            Some(Access::Realm(realm)) => Some(realm),
            Some(Access::Open) | None => None,
        };
        let verdict = verdict.unwrap_or_else(|| match deciding {
            Some((pattern, action)) => action.verdict(pattern, path, request.target.query),
            None => Verdict::Proceed,
        });
        Judgement { overlay, access, verdict }
    }
}

/// Says whether there are too many rules, or too many bytes of fields in all of them.
///
/// # Errors
///
/// When a bound is passed, with the bound.
pub fn check_count(rules: &[Rule]) -> Result<(), String> {
    if rules.len() > RULES_PER_SITE_MAX {
        return Err(format!("has over {RULES_PER_SITE_MAX} rules: join some by {{a,b}} or stars"));
    }
    let fields = rules.iter().flat_map(|rule| &rule.fields);
    let bytes: usize = fields.map(|(name, value)| name.len() + value.len() + ": \r\n".len()).sum();
    match bytes > RULES_FIELDS_BYTES_MAX {
        true => Err(format!(
            "has rules with over {RULES_FIELDS_BYTES_MAX} bytes of headers: remove some"
        )),
        false => Ok(()),
    }
}

/// Says what is wrong with the target of a redirect for a good pattern.
///
/// # Errors
///
/// When [`Redirect::new`] refuses it.
pub fn check_redirect(pattern: &str, to: &str) -> Result<(), String> {
    Redirect::new(to, Pattern::new(pattern)?.stars()).map(|_| ())
}

/// Says what is wrong with the target of a rewrite for a good pattern.
///
/// # Errors
///
/// When [`Rewrite::new`] refuses it.
pub fn check_rewrite(pattern: &str, to: &str) -> Result<(), String> {
    Rewrite::new(to, Pattern::new(pattern)?.stars()).map(|_| ())
}

impl Compiled {
    fn new(rule: &Rule) -> Result<Self, String> {
        let pattern = Pattern::new(&rule.pattern)?;
        for (name, value) in &rule.fields {
            check_field(name, value)?;
        }
        let action = rule.action.as_ref();
        Ok(Self {
            action: action.map(|action| Prepared::new(action, &pattern)).transpose()?,
            pattern,
            fields: rule.fields.clone(),
            cors: rule.cors.as_ref().map(Permission::new).transpose()?,
            access: rule.access,
        })
    }
}

impl Prepared {
    fn new(action: &Action, pattern: &Pattern) -> Result<Self, String> {
        match action {
            Action::Redirect { status, to } if REDIRECT_STATUSES.contains(status) => {
                Ok(Self::Redirect(*status, Redirect::new(to, pattern.stars())?))
            }
            Action::Rewrite { to } => Ok(Self::Rewrite(Rewrite::new(to, pattern.stars())?)),
            Action::Deny { status } if DENY_STATUSES.contains(status) => Ok(Self::Deny(*status)),
            Action::Redirect { status, .. } => {
                Err(format!("{status} is no redirect: write one of {REDIRECT_STATUSES:?}"))
            }
            Action::Deny { status } => {
                Err(format!("{status} denies nothing: write one of {DENY_STATUSES:?}"))
            }
        }
    }

    fn verdict(&self, pattern: &Pattern, path: &[u8], query: &[u8]) -> Verdict {
        let captures = |uses_captures| match uses_captures {
            true => pattern.captures(path).unwrap_or_default(),
            false => Captures::default(),
        };
        let made = match self {
            Self::Redirect(status, to) => to
                .location(&captures(to.uses_captures()), query)
                .map(|location| Verdict::Redirect { status: *status, location }),
            Self::Rewrite(to) => to.path(&captures(to.uses_captures())).map(Verdict::Rewrite),
            Self::Deny(status) => Ok(Verdict::Deny { status: *status }),
        };
        made.unwrap_or_else(|misfit| Verdict::Deny { status: misfit.status() })
    }
}

#[cfg(test)]
mod tests;
