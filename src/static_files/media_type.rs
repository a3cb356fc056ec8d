//! A file's name to its media type, with the charset where the type is text, and to whether a
//! compressed form of it is worth having.
//!
//! What the operator says of an extension goes first, then the few corrections below, then the
//! table of mime_guess. It never looks into the file.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What is known of a file by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MediaType {
    /// The value of Content-Type. Unknown extensions are bytes, which a browser saves instead of
    /// guessing.
    pub value: String,
    /// Whether compressed forms are worth having.
    pub weight: Weight,
}

/// Whether compressed forms of a file are worth having.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Weight {
    /// It is compressed already: no form is looked for, and none is made.
    Packed,
    /// Nobody knows: a form beside the file is used, but none is made.
    Opaque,
    /// Text, or as redundant as text: a form beside the file is used, or one is made.
    Text,
}

/// Media types by extension.
#[derive(Clone, Debug, Default)]
pub(super) struct Types {
    /// Few: one after the other is compared.
    own: Vec<(String, MediaType)>,
}

impl Types {
    /// The usual ones, and before them these: extensions in lower case and without their dot, and
    /// values of Content-Type, which are sent as they are.
    #[must_use]
    pub(super) fn new(own: &[(String, String)]) -> Self {
        let entry = |(extension, value): &(String, String)| {
            let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            let weight = weight_of(extension, &essence);
            (extension.clone(), MediaType { value: value.clone(), weight })
        };
        Self { own: own.iter().map(entry).collect() }
    }

    /// The type of a file of this name or path.
    #[must_use]
    pub(super) fn of(&self, name: &[u8]) -> MediaType {
        let extension = Path::new(OsStr::from_bytes(name)).extension().and_then(OsStr::to_str);
        let extension = extension.unwrap_or_default().to_ascii_lowercase();
        if let Some((_, own)) = self.own.iter().find(|(known, _)| *known == extension) {
            return own.clone();
        }
        let corrected = CORRECTIONS.iter().find(|(known, _)| *known == extension);
        let essence = corrected
            .map(|(_, essence)| *essence)
            .or_else(|| mime_guess::from_ext(&extension).first_raw())
            .unwrap_or("application/octet-stream");
        let weight = weight_of(&extension, essence);
        let charset = if is_utf8_text(essence) { "; charset=utf-8" } else { "" };
        MediaType { value: format!("{essence}{charset}"), weight }
    }
}

/// Where mime_guess has no type, an outdated one, or one that browsers and players do not want.
const CORRECTIONS: &[(&str, &str)] = &[
    ("arrow", "application/vnd.apache.arrow.file"), // IANA
    ("cbor", "application/cbor"),                   // RFC 8949
    ("importmap", "application/importmap+json"),    // HTML, section 4.12.1
    ("m2ts", "video/mp2t"),                         // RFC 3555
    ("m3u", "audio/mpegurl"),                       // RFC 8216
    ("m3u8", "application/vnd.apple.mpegurl"),      // RFC 8216
    ("m4a", "audio/mp4"),                           // RFC 4337
    ("m4s", "video/iso.segment"),                   // IANA
    ("map", "application/json"),                    // ECMA-426; mime_guess: text/plain
    ("mid", "audio/midi"),                          // nginx; IANA has none for plain MIDI
    ("midi", "audio/midi"),
    ("mjs", "text/javascript"), // RFC 9239
    ("mtl", "model/mtl"),       // IANA
    ("mts", "video/mp2t"),
    ("ndjson", "application/x-ndjson"),
    ("obj", "model/obj"), // IANA; mime_guess: the drawings of tgif
    ("otf", "font/otf"),  // RFC 8081
    // mime_guess: a plug-in of RealAudio.
    ("rpm", "application/x-redhat-package-manager"),
    ("sql", "application/sql"),            // RFC 6922
    ("sqlite", "application/vnd.sqlite3"), // IANA
    ("stl", "model/stl"),                  // IANA; mime_guess: certificate trust lists
    ("tgz", "application/gzip"),           // RFC 6713
    ("toml", "application/toml"),          // IANA
    // Segments of HLS (RFC 8216). Sources of TypeScript are compiled before they are served.
    ("ts", "video/mp2t"),
    ("usdz", "model/vnd.usdz+zip"),   // IANA
    ("vcf", "text/vcard"),            // RFC 6350
    ("wgsl", "text/wgsl"),            // IANA
    ("woff", "font/woff"),            // RFC 8081
    ("xlf", "application/xliff+xml"), // IANA
    ("yaml", "application/yaml"),     // RFC 9512
    ("yml", "application/yaml"),
    ("zst", "application/zstd"), // RFC 8878
];

/// Text that is UTF-8 where nobody says otherwise. XML in any form is none of it: a document says
/// its encoding in its first line, which a charset would overrule (RFC 7303 section 3.2).
fn is_utf8_text(essence: &str) -> bool {
    let is_xml = matches!(essence, "text/xml" | "text/xsl") || essence.ends_with("+xml");
    let is_text = essence.starts_with("text/")
        || essence.ends_with("+json")
        || matches!(
            essence,
            "application/javascript"
                | "application/x-javascript"
                | "application/ecmascript"
                | "application/json"
                | "application/json5"
                | "application/x-ndjson"
        );
    is_text && !is_xml
}

/// Files that are compressed and whose type does not say so, or says what is inside.
const PACKED_EXTENSIONS: &[&str] = &[
    "appx", "br", "bz2", "cab", "crx", "deb", "dmg", "gz", "lz", "lz4", "lzma", "msi", "msix",
    "npz", "nupkg", "parquet", "rpm", "svgz", "tbz", "tbz2", "txz", "tzst", "vsix", "whl", "xpi",
    "xz", "zst",
];

/// Compressed types that no rule of `weight_of` knows.
const PACKED: &[&str] = &[
    "application/epub+zip",
    "application/font-woff",
    "application/gzip",
    "application/java-archive",
    "application/mp4",
    "application/ogg",
    "application/pdf",
    "application/vnd.android.package-archive",
    "application/vnd.google-earth.kmz",
    "application/vnd.rar",
    "application/x-7z-compressed",
    "application/x-bzip",
    "application/x-bzip2",
    "application/x-compress",
    "application/x-compressed",
    "application/x-gtar",
    "application/x-gzip",
    "application/x-itunes-ipa",
    "application/x-rar-compressed",
    "application/x-shockwave-flash",
    "application/x-silverlight-app",
    "application/x-xpinstall",
    "application/x-xz",
    "application/x-zip-compressed",
    "application/zip",
    "application/zstd",
    "font/woff",
    "font/woff2",
];

/// Redundant types that no rule of `weight_of` knows: what Caddy compresses unless told otherwise
/// (its `encode` directive), and what people list in nginx's `gzip_types`, as far as files have it.
const TEXTS: &[&str] = &[
    "application/ecmascript",
    "application/font-sfnt",
    "application/graphql",
    "application/javascript",
    "application/json",
    "application/json5",
    "application/mbox",
    "application/n-quads",
    "application/n-triples",
    "application/postscript",
    "application/rtf",
    "application/sdp",
    "application/sparql-query",
    "application/sql",
    "application/toml",
    "application/trig",
    "application/vnd.apple.mpegurl",
    "application/vnd.ms-fontobject",
    "application/vnd.ms-opentype",
    "application/wasm",
    "application/x-font-otf",
    "application/x-font-ttf",
    "application/x-httpd-php",
    "application/x-javascript",
    "application/x-latex",
    "application/x-ndjson",
    "application/x-ns-proxy-autoconfig",
    "application/x-perl",
    "application/x-protobuf",
    "application/x-sh",
    "application/x-subrip",
    "application/x-tex",
    "application/x-yaml",
    "application/xml",
    "application/xml-dtd",
    "application/yaml",
    "audio/mpegurl",
    "audio/x-mpegurl",
    "font/collection",
    "font/eot",
    "font/opentype",
    "font/otf",
    "font/sfnt",
    "font/ttf",
    "image/bmp",
    "image/vnd.microsoft.icon",
    "image/x-icon",
    "image/x-ms-bmp",
    "message/rfc822",
    "model/mtl",
    "model/obj",
    "model/stl",
];

/// Images that are not compressed, and that nobody serves to browsers.
const OPAQUE_IMAGES: &[&str] = &["image/tiff", "image/vnd.adobe.photoshop", "image/x-tga"];

fn weight_of(extension: &str, essence: &str) -> Weight {
    // The zip archives of office programs.
    let is_office = essence.starts_with("application/vnd.openxmlformats-officedocument.")
        || essence.starts_with("application/vnd.oasis.opendocument.");
    if PACKED_EXTENSIONS.contains(&extension) || PACKED.contains(&essence) || is_office {
        return Weight::Packed;
    }
    let suffix = essence.rsplit_once('+').map_or("", |(_, suffix)| suffix);
    let kind = essence.split('/').next().unwrap_or_default();
    match (kind, suffix) {
        (_, "xml" | "json" | "yaml") | ("text", _) => Weight::Text,
        (_, "zip" | "gzip" | "zstd") => Weight::Packed,
        _ if TEXTS.contains(&essence) => Weight::Text,
        ("audio" | "video", _) => Weight::Packed,
        ("image", _) if !OPAQUE_IMAGES.contains(&essence) => Weight::Packed,
        _ => Weight::Opaque,
    }
}

#[cfg(test)]
mod tests {
    use super::Weight::Opaque;
    use super::Weight::Packed;
    use super::Weight::Text;
    use super::*;

    fn check(types: &Types, table: &[(&[u8], &str, Weight)]) {
        for (name, value, weight) in table {
            let found = types.of(name);
            let expected = MediaType { value: (*value).to_owned(), weight: *weight };
            assert_eq!(found, expected, "{}", name.escape_ascii());
        }
    }

    const TABLE: &[(&[u8], &str, Weight)] = &[
        (b"/index.html", "text/html; charset=utf-8", Text),
        (b"index.htm", "text/html; charset=utf-8", Text),
        (b"/a.b/style.CSS", "text/css; charset=utf-8", Text),
        (b"/app.js", "text/javascript; charset=utf-8", Text),
        (b"/app.min.MJS", "text/javascript; charset=utf-8", Text),
        (b"/app.js.map", "application/json; charset=utf-8", Text),
        (b"/data.json", "application/json; charset=utf-8", Text),
        (b"/places.geojson", "application/geo+json; charset=utf-8", Text),
        (b"/site.webmanifest", "application/manifest+json; charset=utf-8", Text),
        (b"/notes.txt", "text/plain; charset=utf-8", Text),
        (b"/README.md", "text/markdown; charset=utf-8", Text),
        (b"/table.csv", "text/csv; charset=utf-8", Text),
        (b"/captions.vtt", "text/vtt; charset=utf-8", Text),
        (b"/feed.xml", "text/xml", Text),
        (b"/feed.atom", "application/atom+xml", Text),
        (b"/feed.rss", "application/rss+xml", Text),
        (b"/page.xhtml", "application/xhtml+xml", Text),
        (b"/logo.svg", "image/svg+xml", Text),
        (b"/logo.svgz", "image/svg+xml", Packed),
        (b"/favicon.ico", "image/x-icon", Text),
        (b"/old.bmp", "image/bmp", Text),
        (b"/photo.png", "image/png", Packed),
        (b"/photo.JPG", "image/jpeg", Packed),
        (b"/photo.webp", "image/webp", Packed),
        (b"/photo.avif", "image/avif", Packed),
        (b"/photo.gif", "image/gif", Packed),
        (b"/scan.tiff", "image/tiff", Opaque),
        (b"/font.woff", "font/woff", Packed),
        (b"/font.woff2", "font/woff2", Packed),
        (b"/font.ttf", "font/ttf", Text),
        (b"/font.otf", "font/otf", Text),
        (b"/font.eot", "application/vnd.ms-fontobject", Text),
        (b"/module.wasm", "application/wasm", Text),
        (b"/movie.mp4", "video/mp4", Packed),
        (b"/movie.webm", "video/webm", Packed),
        (b"/segment.ts", "video/mp2t", Packed),
        (b"/live.m3u8", "application/vnd.apple.mpegurl", Text),
        (b"/song.mp3", "audio/mpeg", Packed),
        (b"/song.ogg", "audio/ogg", Packed),
        (b"/song.m4a", "audio/mp4", Packed),
        (b"/paper.pdf", "application/pdf", Packed),
        (b"/book.epub", "application/epub+zip", Packed),
        (b"/all.zip", "application/zip", Packed),
        (b"/program.jar", "application/java-archive", Packed),
        (b"/all.7z", "application/x-7z-compressed", Packed),
        (b"/all.rar", "application/x-rar-compressed", Packed),
        (b"/all.tar", "application/x-tar", Opaque),
        (b"/all.tar.gz", "application/gzip", Packed),
        (b"/all.tgz", "application/gzip", Packed),
        (b"/all.tar.xz", "application/x-xz", Packed),
        (b"/all.tar.bz2", "application/x-bzip2", Packed),
        (b"/all.tar.zst", "application/zstd", Packed),
        (b"/style.css.gz", "application/gzip", Packed),
        (b"/style.css.br", "application/octet-stream", Packed),
        (b"/tool.whl", "application/octet-stream", Packed),
        (b"/tool.deb", "application/octet-stream", Packed),
        (b"/tool.rpm", "application/x-redhat-package-manager", Packed),
        (b"/tool.apk", "application/vnd.android.package-archive", Packed),
        (b"/disk.iso", "application/octet-stream", Opaque),
        (b"/letter.rtf", "application/rtf", Text),
        (b"/letter.doc", "application/msword", Opaque),
        (
            b"/letter.docx",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            Packed,
        ),
        (b"/letter.odt", "application/vnd.oasis.opendocument.text", Packed),
        (b"/scene.gltf", "model/gltf+json; charset=utf-8", Text),
        (b"/scene.glb", "model/gltf-binary", Opaque),
        (b"/compose.yml", "application/yaml", Text),
        (b"/Cargo.toml", "application/toml", Text),
        (b"/README", "application/octet-stream", Opaque),
        (b"/data.bin", "application/octet-stream", Opaque),
        (b"/what.is-this", "application/octet-stream", Opaque),
        (b"/.html", "application/octet-stream", Opaque),
        (b"/a.", "application/octet-stream", Opaque),
        (b"", "application/octet-stream", Opaque),
        (b"/", "application/octet-stream", Opaque),
        (b"/caf\xe9.\xff", "application/octet-stream", Opaque),
        (b"/caf\xe9.html", "text/html; charset=utf-8", Text),
    ];

    #[test]
    fn names_to_types() {
        check(&Types::default(), TABLE);
    }

    #[test]
    fn the_operator_goes_first() {
        let own = [
            ("html", "text/html; charset=iso-8859-1"),
            ("data", "Application/JSON"),
            ("pak", "application/octet-stream"),
            ("br", "text/plain"),
            ("pdf", "application/x-mine+json;a=b"),
            ("html", "text/plain"),
        ];
        let own: Vec<_> = own.iter().map(|(e, v)| ((*e).to_owned(), (*v).to_owned())).collect();
        let table: &[(&[u8], &str, Weight)] = &[
            (b"/a.html", "text/html; charset=iso-8859-1", Text),
            (b"/a.HTML", "text/html; charset=iso-8859-1", Text),
            (b"/a.Data", "Application/JSON", Text),
            (b"/a.pak", "application/octet-stream", Opaque),
            (b"/a.css.br", "text/plain", Packed),
            (b"/a.pdf", "application/x-mine+json;a=b", Text),
            (b"/a.css", "text/css; charset=utf-8", Text),
        ];
        check(&Types::new(&own), table);
    }

    #[test]
    fn tables_are_sorted_and_say_everything_once() {
        assert!(CORRECTIONS.is_sorted_by(|(a, _), (b, _)| a < b));
        for list in [PACKED_EXTENSIONS, PACKED, TEXTS, OPAQUE_IMAGES] {
            assert!(list.is_sorted_by(|a, b| a < b), "{list:?}");
        }
        for (extension, essence) in CORRECTIONS {
            let guess = mime_guess::from_ext(extension).first_raw();
            assert_ne!(guess, Some(*essence), "{extension} needs no correction any more");
        }
        for essence in TEXTS {
            assert_eq!(weight_of("", essence), Text, "{essence}");
        }
    }
}
