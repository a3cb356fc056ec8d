//! What the operator says by one rule. Plain values, in the order of the file.

/// A pattern of paths and what holds for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// A glob over the decoded path: `/assets/**`.
    pub pattern: String,
    /// What is done instead of an answer from the path itself.
    pub action: Option<Action>,
    /// Fields of every answer: names are tokens, values plain ASCII. Never one that frames the
    /// answer or belongs to the connection.
    pub fields: Vec<(String, String)>,
    /// Who may read answers from scripts of other origins.
    pub cors: Option<Cors>,
    /// Who may ask at all.
    pub access: Option<Access>,
}

/// What is done instead of an answer from the path itself. The first rule that matches and has one
/// decides. `$1` to `$9` in a target stand for what the stars of the pattern matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Another address is told: a path or a whole URL.
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: u16,
        /// The query of the request is kept unless it has its own.
        to: String,
    },
    /// Another path is answered from, and the client does not see it.
    Rewrite {
        /// A path with its leading slash.
        to: String,
    },
    /// Nothing is told.
    Deny {
        /// 403, 404, 410 or 451.
        status: u16,
    },
}

/// Cross-origin resource sharing (the Fetch standard, section 3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// Origins such as `https://example.com`. None: any, without credentials.
    pub origins: Option<Vec<String>>,
    /// Methods besides those that need no permission.
    pub methods: Vec<String>,
    /// Request fields besides those that need no permission. None: any.
    pub request_fields: Option<Vec<String>>,
    /// Response fields that scripts may read besides the harmless ones.
    pub exposed_fields: Vec<String>,
    /// Whether requests with cookies count.
    pub credentials: Credentials,
    /// How long a browser may keep the permission.
    pub seconds_max: Option<u64>,
}

/// Whether a script of another origin may send cookies and passwords.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Credentials {
    /// It may not.
    #[default]
    Refused,
    /// It may. Never with any origin.
    Permitted,
}

/// Who may ask. Of several rules that match the last one decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Open,
    /// Those whom this realm knows: an index into the realms of the settings.
    Realm(usize),
}

/// What a site says besides its routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// In the order of the file.
    pub rules: Vec<Rule>,
    /// Pages in the place of those that the server words itself.
    pub error_pages: Vec<ErrorPage>,
}

/// A file that words an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorPage {
    /// 400..=599.
    pub status: u16,
    /// Index into the folders of the settings.
    pub files: usize,
    /// The file beneath it, with a leading slash.
    pub path: String,
}
