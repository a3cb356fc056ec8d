//! Cross-origin resource sharing (the Fetch standard, section 3.3): who may read an answer from a
//! script of another origin, in fields.
//!
//! It takes what the operator permits and a request, and sets fields. It does not decide on
//! anything: it is browsers that obey.

use crate::limits::CORS_ENTRIES_MAX;
use crate::request::Method;
use crate::request::Request;
use crate::request::head::is_token;
use crate::request::target::check_authority;
use crate::response::Overlay;
use crate::rules::Cors;
use crate::rules::Credentials;

/// What the operator permits, with the values of the fields ready.
#[derive(Clone, Debug)]
pub struct Permission {
    origins: Option<Vec<String>>,
    methods: Option<String>,
    request_fields: RequestFields,
    exposed_fields: Option<String>,
    credentials: Credentials,
    max_age: Option<String>,
}

/// What Access-Control-Allow-Headers says.
#[derive(Clone, Debug)]
enum RequestFields {
    /// What is asked for. A star would not stand for Authorization.
    Any,
    These(String),
    None,
}

/// Says what is wrong with a permission, and what to write instead.
///
/// # Errors
///
/// When an origin is not as browsers write it, a method or field is no token, a list is over its
/// bound, or credentials are permitted to any origin, which browsers refuse.
pub fn check(cors: &Cors) -> Result<(), String> {
    let Cors { origins, methods, request_fields, exposed_fields, credentials, .. } = cors;
    if origins.is_none() && *credentials == Credentials::Permitted {
        return Err("permits credentials to every origin: name the origins".to_owned());
    }
    let fields = request_fields.as_deref().unwrap_or_default();
    for list in [origins.as_deref().unwrap_or_default(), methods, fields, exposed_fields] {
        if list.len() > CORS_ENTRIES_MAX {
            return Err(format!("has a list of over {CORS_ENTRIES_MAX}: write a shorter one"));
        }
    }
    for origin in origins.iter().flatten() {
        check_origin(origin)?;
    }
    if let Some(name) = methods.iter().find(|name| !is_token(name.as_bytes())) {
        return Err(format!("{name:?} is no method: write one such as PUT"));
    }
    let mut fields = fields.iter().chain(exposed_fields);
    match fields.find(|name| !is_token(name.as_bytes())) {
        Some(name) => Err(format!("{name:?} is no header name: write one such as X-Total")),
        None => Ok(()),
    }
}

/// Says what is wrong with an origin, and what to write instead.
///
/// # Errors
///
/// When it is not written as browsers do: `https://example.com`, in lower case, with the port only
/// where it is not the usual one, and without a slash at the end.
pub fn check_origin(origin: &str) -> Result<(), String> {
    match origin {
        "*" => return Err("\"*\" is every origin: leave the list out to permit all".to_owned()),
        "null" => {
            return Err("\"null\" is the origin of any sandboxed page: remove it".to_owned());
        }
        _ => {}
    }
    let Some((scheme, authority)) = origin.split_once("://") else {
        return Err(format!("{origin:?} has no scheme: write one such as https://example.com"));
    };
    let lower = origin.to_ascii_lowercase();
    if lower != origin {
        return Err(format!("{origin:?} is not in lower case: write {lower:?}"));
    }
    if let Some((host, _)) = authority.split_once(['/', '?', '#']) {
        return Err(format!("{origin:?} has a path: write \"{scheme}://{host}\""));
    }
    if authority.contains('*') {
        return Err(format!("{origin:?} has a star: write each origin whole"));
    }
    let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    if scheme.is_empty()
        || !scheme.bytes().all(is_scheme)
        || check_authority(authority.as_bytes()).is_err()
    {
        return Err(format!("{origin:?} is no origin: write one such as https://example.com"));
    }
    let usual_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => ":",
    };
    match authority.strip_suffix(usual_port).or_else(|| authority.strip_suffix(':')) {
        Some(host) => Err(format!("{origin:?} has the usual port: write \"{scheme}://{host}\"")),
        None => Ok(()),
    }
}

/// Whether a browser asks if it may send a request (the Fetch standard, "CORS-preflight request").
#[must_use]
pub fn is_preflight(request: &Request<'_>) -> bool {
    request.method == Method::Options
        && request.header("Origin").is_some()
        && request.header("Access-Control-Request-Method").is_some()
}

impl Permission {
    /// Prepares the fields.
    ///
    /// # Errors
    ///
    /// What [`check`] says.
    pub fn new(cors: &Cors) -> Result<Self, String> {
        check(cors)?;
        let list = |names: &[String]| (!names.is_empty()).then(|| names.join(", "));
        Ok(Self {
            origins: cors.origins.clone(),
            methods: list(&cors.methods),
            request_fields: match &cors.request_fields {
                None => RequestFields::Any,
                Some(names) => list(names).map_or(RequestFields::None, RequestFields::These),
            },
            exposed_fields: list(&cors.exposed_fields),
            credentials: cors.credentials,
            max_age: cors.seconds_max.map(|seconds| seconds.to_string()),
        })
    }

    /// Sets the fields of an answer that is not one to a preflight.
    pub fn answer(&self, request: &Request<'_>, overlay: &mut Overlay) {
        if self.permits(request, overlay)
            && let Some(names) = &self.exposed_fields
        {
            overlay.set("Access-Control-Expose-Headers", names);
        }
    }

    /// Sets the fields of the answer to a preflight. A browser refuses by itself what is not in
    /// them.
    pub fn preflight(&self, request: &Request<'_>, overlay: &mut Overlay) {
        overlay
            .set("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
        if !self.permits(request, overlay) {
            return;
        }
        if let Some(methods) = &self.methods {
            overlay.set("Access-Control-Allow-Methods", methods);
        }
        match &self.request_fields {
            RequestFields::Any => {
                if let Some(names) = asked_fields(request) {
                    overlay.set("Access-Control-Allow-Headers", &names);
                }
            }
            RequestFields::These(names) => overlay.set("Access-Control-Allow-Headers", names),
            RequestFields::None => {}
        }
        if let Some(seconds) = &self.max_age {
            overlay.set("Access-Control-Max-Age", seconds);
        }
    }

    /// Sets the fields that say whether the request's origin may read the answer.
    fn permits(&self, request: &Request<'_>, overlay: &mut Overlay) -> bool {
        let Some(origins) = &self.origins else {
            overlay.set("Access-Control-Allow-Origin", "*");
            return true;
        };
        // Also where there is none: a cache must not give that answer to an origin.
        overlay.set("Vary", "Origin");
        let asking = request.header("Origin");
        let Some(origin) = origins.iter().find(|origin| asking == Some(origin.as_bytes())) else {
            return false;
        };
        overlay.set("Access-Control-Allow-Origin", origin);
        if self.credentials == Credentials::Permitted {
            overlay.set("Access-Control-Allow-Credentials", "true");
        }
        true
    }
}

/// The names in Access-Control-Request-Headers, when all of them are tokens and there are any.
fn asked_fields(request: &Request<'_>) -> Option<String> {
    let value = request.header("Access-Control-Request-Headers")?;
    let mut names = String::new();
    for name in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        if !is_token(name) {
            return None;
        }
        if !names.is_empty() {
            names.push_str(", ");
        }
        names.push_str(std::str::from_utf8(name).ok()?);
    }
    Some(names)
}

#[cfg(test)]
mod tests;
