//! What is in a folder as a page for people, and as JSON for programs.
//!
//! Takes names and numbers, gives bytes. A name is whatever bytes a file system permits: it is
//! escaped where it is shown and percent-encoded where it is a link, and no link begins with it, so
//! that none is taken for a scheme. The page needs no script, no other file and no fixed width. It
//! has never seen a folder.

use std::cmp::Ordering;
use std::fmt::Write;
use std::time::Duration;
use std::time::UNIX_EPOCH;

use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::percent_encode;

use crate::static_files::listing::Completeness;

/// One entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// Its name, without a slash.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Bytes of a file; a folder's are not shown.
    pub size_bytes: u64,
    /// When it was changed.
    pub modified_unix_seconds: u64,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Something with entries of its own.
    Folder,
    /// A regular file.
    File,
}

/// Folders first, then by name: letters without regard to case, numbers by their value, so that
/// `a2` stands before `a10`.
pub(super) fn sort(entries: &mut [Listed]) {
    entries.sort_unstable_by(|a, b| {
        a.kind
            .cmp(&b.kind)
            .then_with(|| natural_order(&a.name, &b.name))
            .then_with(|| a.name.cmp(&b.name))
    });
}

fn natural_order(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while let (Some(first), Some(second)) = (a.first(), b.first()) {
        let order = if first.is_ascii_digit() && second.is_ascii_digit() {
            // Of two numbers without leading zeros the one with more digits is larger.
            let (one, other) = (take_number(&mut a), take_number(&mut b));
            one.len().cmp(&other.len()).then_with(|| one.cmp(other))
        } else {
            let order = first.to_ascii_lowercase().cmp(&second.to_ascii_lowercase());
            (a, b) = (&a[1..], &b[1..]);
            order
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

fn take_number<'name>(name: &mut &'name [u8]) -> &'name [u8] {
    let end = name.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(name.len());
    let (digits, rest) = name.split_at(end);
    *name = rest;
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    &digits[zeros..]
}

/// The page. `path` is the folder's address, decoded, from the topmost folder on, with its leading
/// slash; with or without a slash at its end the links are right.
#[must_use]
pub(super) fn html(path: &[u8], entries: &[Listed], completeness: Completeness) -> Vec<u8> {
    let mut page = String::with_capacity(STYLE.len() + 1024 + 320 * entries.len());
    let title = Shown(path);
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n\
         <meta name=viewport content=\"width=device-width\">\n\
         <meta name=color-scheme content=\"light dark\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n{SYMBOLS}<main>\n"
    );
    crumbs(&mut page, path);
    page.push_str(
        "<table>\n<thead><tr><th scope=col>Name<th scope=col>Size<th scope=col>Modified\
         </thead>\n<tbody>\n",
    );
    if path != b"/" {
        let up = levels_up(path, 1);
        let _ = writeln!(
            page,
            "<tr><td><a href=\"{up}\" rel=up><svg aria-hidden=true><use href=\"#up\"/></svg>\
             Parent folder</a><td><td>"
        );
    }
    let base = base(path);
    for entry in entries {
        row(&mut page, &base, entry);
    }
    page.push_str("</tbody>\n</table>\n");
    summary(&mut page, entries, completeness);
    page.push_str("</main>\n");
    page.into_bytes()
}

/// What stands before a name in a link. Relative, so that the page is right behind a proxy that
/// cuts a prefix off.
fn base(path: &[u8]) -> String {
    match path.rsplit(|byte| *byte == b'/').next() {
        None | Some(b"") => "./".to_owned(),
        Some(last) => format!("./{}/", encoded(last)),
    }
}

/// The link to a folder so many levels above that of the page.
fn levels_up(path: &[u8], levels: usize) -> String {
    let levels = if path.ends_with(b"/") { levels } else { levels.saturating_sub(1) };
    if levels == 0 { "./".to_owned() } else { "../".repeat(levels) }
}

/// Where the page is, each folder above a link.
fn crumbs(page: &mut String, path: &[u8]) {
    let segments: Vec<&[u8]> =
        path.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty()).collect();
    let Some((here, above)) = segments.split_last() else {
        page.push_str("<h1>/</h1>\n");
        return;
    };
    let root = levels_up(path, segments.len());
    let _ = write!(page, "<h1><a href=\"{root}\" aria-label=Root>/</a>");
    for (at, segment) in above.iter().enumerate() {
        let link = levels_up(path, above.len() - at);
        let name = Shown(segment);
        let _ = write!(page, "<wbr><a href=\"{link}\"><bdi>{name}</bdi></a><i>/</i>");
    }
    let here = Shown(here);
    let _ = writeln!(page, "<wbr><bdi aria-current=page>{here}</bdi><i>/</i></h1>");
}

fn row(page: &mut String, base: &str, entry: &Listed) {
    let (symbol, slash) = match entry.kind {
        Kind::Folder => ("folder", "/"),
        Kind::File => ("file", ""),
    };
    let (link, name) = (encoded(&entry.name), Shown(&entry.name));
    // In one box, so that the slash stands behind the last line of a long name.
    let _ = write!(
        page,
        "<tr><td><a href=\"{base}{link}{slash}\"><svg aria-hidden=true><use href=\"#{symbol}\"/>\
         </svg><span><bdi>{name}</bdi>{slash}</span></a><td>"
    );
    if entry.kind == Kind::File {
        let (size, exact) = (HumanSize(entry.size_bytes), Grouped(entry.size_bytes));
        let _ = write!(page, "<span title=\"{exact} bytes\">{size}</span>");
    }
    let time = modified(entry);
    let (date, clock) = (time.strftime("%Y-%m-%d"), time.strftime("%H:%M"));
    let _ = writeln!(
        page,
        "<td><time datetime=\"{time}\" title=\"{time}\">{date}<span> {clock}</span></time>"
    );
}

fn summary(page: &mut String, entries: &[Listed], completeness: Completeness) {
    let folders = entries.iter().filter(|entry| entry.kind == Kind::Folder).count();
    let files = entries.len() - folders;
    let one = |count: usize, word: &str| match count {
        1 => format!("1 {word}"),
        _ => format!("{} {word}s", Grouped(count as u64)),
    };
    let counts = match (folders, files) {
        (0, 0) => "This folder is empty".to_owned(),
        (0, _) => one(files, "file"),
        (_, 0) => one(folders, "folder"),
        _ => format!("{}, {}", one(folders, "folder"), one(files, "file")),
    };
    let more = match completeness {
        Completeness::Whole => "",
        Completeness::Cut => ". There are more than can be listed here",
    };
    let _ = writeln!(page, "<p>{counts}{more}.");
}

/// The entries as JSON: the members of nginx's `autoindex_format json`, and `href`, which is right
/// for every name on a page with a slash at its end, while bytes in `name` that are not UTF-8 are
/// replaced.
#[must_use]
pub(super) fn json(entries: &[Listed]) -> Vec<u8> {
    let mut text = String::with_capacity(2 + 160 * entries.len());
    text.push('[');
    for (at, entry) in entries.iter().enumerate() {
        let (kind, slash) = match entry.kind {
            Kind::Folder => ("directory", "/"),
            Kind::File => ("file", ""),
        };
        text.push_str(if at == 0 { "\n{\"name\":\"" } else { ",\n{\"name\":\"" });
        push_json(&mut text, &String::from_utf8_lossy(&entry.name));
        let seconds = entry.modified_unix_seconds.min(UNIX_SECONDS_MAX);
        let time = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
        let _ = write!(text, "\",\"type\":\"{kind}\",\"mtime\":\"{time}\"");
        if entry.kind == Kind::File {
            let _ = write!(text, ",\"size\":{}", entry.size_bytes);
        }
        let _ = write!(text, ",\"href\":\"./{}{slash}\"}}", encoded(&entry.name));
    }
    text.push_str("\n]\n");
    text.into_bytes()
}

/// The content of a string (RFC 8259 section 7).
fn push_json(text: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            '\0'..='\x1f' => {
                let _ = write!(text, "\\u{:04x}", u32::from(character));
            }
            _ => text.push(character),
        }
    }
}

/// All but the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn encoded(name: &[u8]) -> percent_encoding::PercentEncode<'_> {
    percent_encode(name, ENCODED)
}

/// 9999-12-30 22:00:00, the last second that jiff knows; httpdate panics a day later.
const UNIX_SECONDS_MAX: u64 = 253_402_207_200;

fn modified(entry: &Listed) -> jiff::Timestamp {
    let seconds = entry.modified_unix_seconds.min(UNIX_SECONDS_MAX);
    let seconds = i64::try_from(seconds).unwrap_or_default();
    jiff::Timestamp::from_second(seconds).unwrap_or_default()
}

/// A name as people may see it in HTML. What would break a line or turn the direction of the text
/// around is replaced, like what is not UTF-8.
struct Shown<'name>(&'name [u8]);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for character in String::from_utf8_lossy(self.0).chars() {
            match character {
                '&' => out.write_str("&amp;")?,
                '<' => out.write_str("&lt;")?,
                '>' => out.write_str("&gt;")?,
                '"' => out.write_str("&quot;")?,
                '\'' => out.write_str("&#39;")?,
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' => {
                    out.write_char('\u{fffd}')?;
                }
                control if control.is_control() => out.write_char('\u{fffd}')?,
                _ => out.write_char(character)?,
            }
        }
        Ok(())
    }
}

/// `1.2 MiB`.
struct HumanSize(u64);

impl std::fmt::Display for HumanSize {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 < 1024 {
            return write!(out, "{} B", self.0);
        }
        let mut unit_bytes = 1024_u128;
        for unit in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
            let tenths = (u128::from(self.0) * 10 + unit_bytes / 2) / unit_bytes;
            if tenths < 10_240 {
                return write!(out, "{}.{} {unit}", tenths / 10, tenths % 10);
            }
            unit_bytes *= 1024;
        }
        let tenths = (u128::from(self.0) * 10 + unit_bytes / 2) / unit_bytes;
        write!(out, "{}.{} EiB", tenths / 10, tenths % 10)
    }
}

/// `1,234,567`.
struct Grouped(u64);

impl std::fmt::Display for Grouped {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                out.write_char(',')?;
            }
            out.write_char(digit)?;
        }
        Ok(())
    }
}

/// Colours of the system's two schemes; numbers of one width; a touch larger where a finger points.
const STYLE: &str = "
:root{color-scheme:light dark;--text:#1f2328;--quiet:#656d76;--line:#d8dee4;--link:#0a58ca;
--touch:#f3f5f7;--folder:#6b93c9;--page:#fff}
@media(prefers-color-scheme:dark){:root{--text:#dfe3e8;--quiet:#8d96a0;--line:#2c323a;
--link:#79b0f5;--touch:#1c2127;--folder:#6f93c0;--page:#14171b}}
body{margin:0;background:var(--page);color:var(--text);font:1rem/1.5 system-ui,sans-serif}
main{max-width:60rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}
h1{margin:0 0 1.25rem;padding:0 .75rem;font-size:1.35rem;font-weight:600;line-height:1.4;
overflow-wrap:anywhere}
h1 i{font-style:normal;font-weight:400;color:var(--quiet);margin:0 .15em}
bdi{white-space:pre-wrap}
a{color:var(--link);text-decoration:none}
a:hover{text-decoration:underline}
h1>a:first-child{padding:0 .25em;margin-left:-.25em}
table{width:100%;border-collapse:collapse;font-variant-numeric:tabular-nums}
th{padding:.35rem .75rem;color:var(--quiet);font-size:.8125rem;font-weight:500;text-align:left}
td{padding:0 .75rem;border-top:1px solid var(--line);color:var(--quiet);white-space:nowrap}
th:nth-child(n+2),td:nth-child(n+2){text-align:right;width:1%}
td:nth-child(n+2){font-size:.875rem}
td:first-child{white-space:normal;overflow-wrap:anywhere}
td a{display:flex;align-items:baseline;padding:.4rem 0}
td a:hover{text-decoration:none}
td a>span{min-width:1rem}
td a:hover bdi{text-decoration:underline}
tbody tr:hover{background:var(--touch)}
svg{flex:none;width:1rem;height:1rem;margin-right:.65rem;align-self:flex-start;
margin-top:.25rem;fill:none;stroke:var(--quiet);stroke-width:1.25;stroke-linejoin:round}
use[href='#folder']{fill:var(--folder);stroke:var(--folder)}
p{margin:0;padding:.9rem .75rem;border-top:1px solid var(--line);color:var(--quiet);
font-size:.8125rem}
@media(max-width:36rem){main{padding:1.25rem .5rem 3rem}h1{padding:0 .5rem}
th,td,p{padding-left:.5rem;padding-right:.5rem}td a{padding:.55rem 0}time span{display:none}}
";

/// Drawn once, used in each row.
const SYMBOLS: &str = "<svg width=0 height=0 style=\"position:absolute;width:0;height:0\" \
aria-hidden=true>\
<symbol id=folder viewBox=\"0 0 16 16\"><path d=\"M1.5 3.5h4.2l1.6 1.8h7.2v7.7h-13z\"/></symbol>\
<symbol id=file viewBox=\"0 0 16 16\"><path d=\"M3.5 1.5h6l3 3v10h-9zM9.5 1.5v3h3\"/></symbol>\
<symbol id=up viewBox=\"0 0 16 16\"><path d=\"M13 13.5H6.5v-10M3 7l3.5-3.5L10 7\"/></symbol>\
</svg>\n";

#[cfg(test)]
mod tests;
