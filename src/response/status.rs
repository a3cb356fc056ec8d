//! Status codes: their standard phrases, and which of them have no body. It knows nothing else.

/// The standard reason phrase of a status code (the IANA registry of HTTP status codes), or
/// `Unknown`. For every `code`.
#[must_use]
pub const fn reason_phrase(code: u16) -> &'static str {
    match code {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400..=499 => client_error_phrase(code),
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        510 => "Not Extended",
        511 => "Network Authentication Required",
        _ => "Unknown",
    }
}

const fn client_error_phrase(code: u16) -> &'static str {
    match code {
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        418 => "I'm a teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        _ => "Unknown",
    }
}

/// Whether an answer with this status never has a body: 1xx, 204 and 304 (RFC 9112 section 6.3,
/// rule 1). 205 has an empty one.
#[must_use]
pub const fn forbids_body(code: u16) -> bool {
    matches!(code, 100..=199 | 204 | 304)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::head::is_field_value;

    #[test]
    fn every_code_has_a_phrase_fit_for_a_status_line() {
        let code_max = if cfg!(miri) { 600 } else { u16::MAX };
        for code in 0..=code_max {
            let phrase = reason_phrase(code);
            assert!(!phrase.is_empty() && is_field_value(phrase.as_bytes()), "{code}");
        }
        assert_eq!(reason_phrase(404), "Not Found");
        assert_eq!(reason_phrase(431), "Request Header Fields Too Large");
        assert_eq!(reason_phrase(499), "Unknown");
        assert_eq!(reason_phrase(999), "Unknown");
    }

    #[test]
    fn no_body() {
        let without: Vec<u16> = (200..=999).filter(|code| forbids_body(*code)).collect();
        assert_eq!(without, [204, 304]);
        assert!((100..=199).all(forbids_body));
    }
}
