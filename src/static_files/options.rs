//! What the operator says of one folder of files. Plain values: nothing here has been opened.

use std::path::PathBuf;

/// One folder of files and how it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Absolute. A link in it is followed anew when it is turned to another folder.
    pub root: PathBuf,
    /// The value of Cache-Control: printable ASCII.
    pub cache_control: Option<String>,
    /// The files that stand for a folder, the preferred one first: names without a slash.
    pub index: Vec<String>,
    /// Whether a folder without any of them shows what is in it.
    pub listing: Listing,
    /// Whether `/about` stands for `about.html`.
    pub clean_urls: CleanUrls,
    /// What becomes of a missing or extra slash at the end.
    pub trailing_slash: TrailingSlash,
    /// The file, as a path beneath the root with its leading slash, that answers with 200 where no
    /// file is: the one page of a single-page application.
    pub fallback: Option<String>,
    /// Whether names that begin with a dot are served.
    pub hidden: Hidden,
    /// Which symbolic links are followed.
    pub symlinks: Symlinks,
    /// Whether `style.css.br` and its like are sent to those who accept them.
    pub sidecars: Sidecars,
    /// Whether files without them are compressed, once for each lane.
    pub compression: Compression,
    /// Whether browsers are told not to guess a type.
    pub sniffing: Sniffing,
    /// Media types by extension that go before the usual ones: extensions in lower case and
    /// without their dot, and values of Content-Type.
    pub types: Vec<(String, String)>,
}

/// Whether a folder without an index shows what is in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listing {
    /// It looks as if it were not there.
    #[default]
    Off,
    /// As a page or as JSON, whichever the client prefers.
    On,
}

/// Whether a page may be named without its extension.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CleanUrls {
    /// It may not.
    #[default]
    Off,
    /// `/about` is answered with `about.html` where there is no file of that very name.
    On,
}

/// What becomes of a missing or extra slash at the end of a page's address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrailingSlash {
    /// A folder is redirected to its address with a slash; a file has none.
    #[default]
    Folders,
    /// All pages are redirected to their address with a slash: folders, and with clean addresses
    /// `/about` as well.
    Add,
    /// All pages are redirected to their address without it.
    Remove,
    /// Both addresses are answered.
    Keep,
}

/// Whether names that begin with a dot are served. `.well-known` is in any case (RFC 8615).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hidden {
    /// They look as if they were not there.
    #[default]
    Refused,
    /// As any other.
    Served,
}

/// Which symbolic links beneath the root are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Symlinks {
    /// Relative ones that stay beneath the root.
    #[default]
    Beneath,
    /// None.
    Refused,
    /// All, wherever they lead.
    Followed,
}

/// Whether compressed files beside a file are sent in its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sidecars {
    /// To those who accept their coding, unless they are older than the file.
    #[default]
    Used,
    /// They are files of their own alone.
    Ignored,
}

/// Whether files without a sidecar are compressed by the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Those whose type is worth it and whose size permits it.
    #[default]
    On,
    /// None.
    Off,
}

/// Whether browsers may guess the type of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sniffing {
    /// Nothing is said about it.
    #[default]
    Permitted,
    /// `X-Content-Type-Options: nosniff`.
    Refused,
}

impl Options {
    /// A folder without any further wish.
    #[must_use]
    pub fn plain(root: PathBuf) -> Self {
        Self {
            root,
            cache_control: None,
            index: vec!["index.html".to_owned()],
            listing: Listing::default(),
            clean_urls: CleanUrls::default(),
            trailing_slash: TrailingSlash::default(),
            fallback: None,
            hidden: Hidden::default(),
            symlinks: Symlinks::default(),
            sidecars: Sidecars::default(),
            compression: Compression::default(),
            sniffing: Sniffing::default(),
            types: Vec::new(),
        }
    }
}
