//! Every reason for which a stranger's bytes are refused, with its status, in one table.
//!
//! A refusal is always the last answer of its connection: after it nobody knows where the next
//! request begins. It knows nothing of how the answer is made or sent.

use std::fmt;

/// Why a request is refused. The peer's fault, never the operator's, the application's or ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reject {
    /// The request line is not `method SP target SP version`.
    RequestLine,
    /// More empty lines before the request line than are forgiven.
    LeadingLines,
    /// A line that does not end in CR LF.
    LineEnd,
    /// The third word of the request line is no HTTP version.
    VersionMalformed,
    /// A field name that is empty, no token, folded, or has a space before its colon.
    FieldName,
    /// A control byte in a field value.
    FieldValue,
    /// HTTP/1.1 without Host.
    HostMissing,
    /// More than one Host.
    HostRepeated,
    /// A Host that is not `uri-host [":" port]`.
    HostMalformed,
    /// Two Content-Type fields that differ.
    ContentTypesDiffer,
    /// A target in none of the forms that the method allows.
    TargetForm,
    /// A control byte or a space in the target.
    TargetControl,
    /// A `#` in the target.
    TargetFragment,
    /// A `%` in the path without two hexadecimal digits behind it.
    TargetEscape,
    /// A `%00` in the path.
    TargetNul,
    /// A `..` that leads above the root.
    TargetClimbs,
    /// The authority of an absolute target is empty, malformed, or has userinfo.
    Authority,
    /// Transfer-Encoding and Content-Length in one head.
    BothLengths,
    /// More than one Content-Length.
    ContentLengthRepeated,
    /// A Content-Length that is not one decimal number below 2^64.
    ContentLengthMalformed,
    /// A tab in the line of Content-Length or Transfer-Encoding.
    FramingTab,
    /// Transfer-Encoding in HTTP/1.0.
    CodingInHttp10,
    /// A Transfer-Encoding that is no list of codings, has chunked twice or not at its end, or has
    /// a coding that is chunked in disguise.
    CodingMalformed,
    /// A chunk size that is not 1 to 16 hexadecimal digits.
    ChunkSize,
    /// A chunk line over its bound.
    ChunkLineTooLong,
    /// A chunk extension that is not `; name [ = value ]`.
    ChunkExtension,
    /// The chunk extensions of one body together are over their bound.
    ChunkExtensionsTooLong,
    /// No CR LF after the data of a chunk.
    ChunkEnd,
    /// A trailer field that is no field line.
    TrailerMalformed,
    /// A trailer field that would change framing or routing.
    TrailerForbidden,
    /// The head did not come in time.
    HeadTimeout,
    /// The body did not come in time.
    BodyTimeout,
    /// The body is longer than the operator allows.
    BodyTooLarge,
    /// The target is over its bound.
    TargetTooLong,
    /// An expectation other than 100-continue.
    ExpectationUnknown,
    /// The head is over its bound.
    HeadTooLarge,
    /// More header fields than their bound.
    TooManyFields,
    /// The trailer section is over its bound.
    TrailersTooLarge,
    /// CONNECT: there are no tunnels here.
    Connect,
    /// A method name over its bound.
    MethodTooLong,
    /// A transfer coding other than chunked.
    CodingUnknown,
    /// A version of HTTP that is not spoken here.
    VersionUnsupported,
}

impl Reject {
    /// The status of the answer, 400..=505 (RFC 9110 sections 15.5 and 15.6).
    #[must_use]
    pub const fn status(self) -> u16 {
        self.row().0
    }

    /// The reason in words, for the debug log. The peer does not see it.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        self.row().1
    }

    const fn row(self) -> (u16, &'static str) {
        match self {
            Self::RequestLine => (400, "malformed request line"),
            Self::LeadingLines => (400, "too many empty lines before the request line"),
            Self::LineEnd => (400, "line does not end in CR LF"),
            Self::VersionMalformed => (400, "malformed HTTP version"),
            Self::FieldName => (400, "malformed field name, or a folded line"),
            Self::FieldValue => (400, "control byte in a field value"),
            Self::HostMissing => (400, "HTTP/1.1 without Host"),
            Self::HostRepeated => (400, "more than one Host"),
            Self::HostMalformed => (400, "malformed Host"),
            Self::ContentTypesDiffer => (400, "two different Content-Type fields"),
            Self::TargetForm => (400, "the target's form does not suit the method"),
            Self::TargetControl => (400, "control byte in the target"),
            Self::TargetFragment => (400, "fragment in the target"),
            Self::TargetEscape => (400, "malformed percent-escape in the path"),
            Self::TargetNul => (400, "NUL in the path"),
            Self::TargetClimbs => (400, "the path leads above the root"),
            Self::Authority => (400, "malformed authority in the target"),
            Self::BothLengths => (400, "Transfer-Encoding and Content-Length"),
            Self::ContentLengthRepeated => (400, "more than one Content-Length"),
            Self::ContentLengthMalformed => (400, "malformed Content-Length"),
            Self::FramingTab => (400, "tab in Content-Length or Transfer-Encoding"),
            Self::CodingInHttp10 => (400, "Transfer-Encoding in HTTP/1.0"),
            Self::CodingMalformed => (400, "malformed Transfer-Encoding"),
            Self::ChunkSize => (400, "malformed chunk size"),
            Self::ChunkLineTooLong => (400, "chunk line too long"),
            Self::ChunkExtension => (400, "malformed chunk extension"),
            Self::ChunkExtensionsTooLong => (400, "chunk extensions too long"),
            Self::ChunkEnd => (400, "no CR LF after a chunk"),
            Self::TrailerMalformed => (400, "malformed trailer field"),
            Self::TrailerForbidden => (400, "trailer field that is not allowed in trailers"),
            Self::HeadTimeout => (408, "the head did not come in time"),
            Self::BodyTimeout => (408, "the body did not come in time"),
            Self::BodyTooLarge => (413, "body too large"),
            Self::TargetTooLong => (414, "target too long"),
            Self::ExpectationUnknown => (417, "unknown expectation"),
            Self::HeadTooLarge => (431, "head too large"),
            Self::TooManyFields => (431, "too many header fields"),
            Self::TrailersTooLarge => (431, "trailer section too large"),
            Self::Connect => (501, "CONNECT is not supported"),
            Self::MethodTooLong => (501, "method name too long"),
            Self::CodingUnknown => (501, "unknown transfer coding"),
            Self::VersionUnsupported => (505, "HTTP version not supported"),
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({})", self.reason(), self.status())
    }
}

impl std::error::Error for Reject {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reason_of_each_status() {
        let table = [
            (Reject::BothLengths, 400),
            (Reject::HeadTimeout, 408),
            (Reject::BodyTimeout, 408),
            (Reject::BodyTooLarge, 413),
            (Reject::TargetTooLong, 414),
            (Reject::ExpectationUnknown, 417),
            (Reject::HeadTooLarge, 431),
            (Reject::CodingUnknown, 501),
            (Reject::VersionUnsupported, 505),
        ];
        for (reject, status) in table {
            assert_eq!(reject.status(), status, "{reject:?}");
        }
        assert_eq!(Reject::BodyTooLarge.to_string(), "body too large (413)");
    }
}
