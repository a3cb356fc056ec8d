//! The page and the JSON, read back as a browser and a program would.

use super::*;
use percent_encoding::percent_decode_str;

fn file(name: &[u8], size_bytes: u64) -> Listed {
    let modified_unix_seconds = 784_111_777;
    Listed { name: name.to_vec(), kind: Kind::File, size_bytes, modified_unix_seconds }
}

fn folder(name: &[u8]) -> Listed {
    Listed { kind: Kind::Folder, ..file(name, 4096) }
}

/// Names that file systems permit and pages do not survive unless they are escaped.
const HOSTILE: &[&[u8]] = &[
    b"<script>alert(1)<script>",
    b"\"><img src=x onerror=alert(1)>",
    b"' onclick='alert(1)",
    b"javascript:alert(1)",
    b"data:text,x",
    b"two\nlines\r",
    b"caf\xe9 \xff",
    b"a&amp;b",
    b"100%41",
    b"what?is#this",
    b"back\\slash",
    b"tab\there",
    b"turned \xe2\x80\xae around",
    b"...",
    b" ",
    b"\x01\x1f\x7f",
    "\u{e4}\u{1f600}".as_bytes(),
    b"${{7*7}}",
    b"]]>--><!--",
];

fn hostile() -> Vec<Listed> {
    HOSTILE.iter().flat_map(|name| [file(name, 1), folder(name)]).collect()
}

fn page(path: &str, entries: &[Listed]) -> String {
    String::from_utf8(html(path.as_bytes(), entries, Completeness::Whole)).unwrap()
}

/// The values of all `href` but those of symbols.
fn links(page: &str) -> Vec<&str> {
    let values = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    values.filter(|value| !value.starts_with('#')).collect()
}

/// What a browser makes of a relative link on a page at `path` (RFC 3986 section 5.2).
fn resolved(path: &str, link: &str) -> Vec<u8> {
    let mut segments: Vec<&str> = path.split('/').collect();
    segments.pop();
    for part in link.split_inclusive('/') {
        match part {
            "./" => {}
            "../" => drop(segments.pop()),
            other => segments.extend(other.strip_suffix('/').or(Some(other))),
        }
    }
    let slash = if link.ends_with('/') { "/" } else { "" };
    percent_decode_str(&format!("{}{slash}", segments.join("/"))).collect()
}

#[test]
fn every_link_leads_to_its_entry() {
    for path in ["/", "/a/", "/a/b%20c/", "/a", "/a/b%20c"] {
        let decoded: Vec<u8> = percent_decode_str(path).collect();
        let entries = hostile();
        let page = html(&decoded, &entries, Completeness::Whole);
        let page = String::from_utf8(page).unwrap();
        let of_entries: Vec<_> = links(&page).into_iter().rev().take(entries.len()).collect();
        for (link, entry) in of_entries.into_iter().rev().zip(&entries) {
            assert!(link.starts_with("./"), "{link}");
            let mut wanted = decoded.clone();
            if !wanted.ends_with(b"/") {
                wanted.push(b'/');
            }
            wanted.extend(&entry.name);
            if entry.kind == Kind::Folder {
                wanted.push(b'/');
            }
            assert_eq!(resolved(path, link), wanted, "{link} at {path}");
        }
    }
}

#[test]
fn folders_above_are_links() {
    for path in ["/one/two/three/", "/one/two/three"] {
        let page = page(path, &[]);
        let found: Vec<_> = links(&page).iter().map(|link| resolved(path, link)).collect();
        let wanted: [&[u8]; 4] = [b"/", b"/one/", b"/one/two/", b"/one/two/"];
        assert_eq!(found, wanted, "{path}");
    }
    let root = String::from_utf8(html(b"/", &[], Completeness::Whole)).unwrap();
    assert!(links(&root).is_empty() && root.contains("<h1>/</h1>"));
}

#[test]
fn names_are_text_and_nothing_else() {
    let usual = page("/x/", &[file(b"a", 1), folder(b"b")]);
    let tags = |page: &str| page.matches('<').count();
    for name in HOSTILE {
        let hostile = page("/x/", &[file(name, 1), folder(name)]);
        assert_eq!(tags(&hostile), tags(&usual), "{}", name.escape_ascii());
        assert_eq!(hostile.lines().count(), usual.lines().count());
        assert!(!hostile.contains(|c: char| c.is_control() && c != '\n'));
        let path = [b"/", *name, b"/"].concat();
        let inside = html(&path, &[], Completeness::Whole);
        let inside = String::from_utf8(inside).unwrap();
        assert_eq!(tags(&inside), tags(&page("/y/", &[])), "{}", name.escape_ascii());
    }
}

#[test]
fn json_says_what_nginx_says_and_the_link() {
    let mut entries = hostile();
    entries.push(file(b"last", u64::MAX));
    let text = json(&entries);
    let list: Vec<serde_json::Value> = serde_json::from_slice(&text).unwrap();
    assert_eq!(list.len(), entries.len());
    for (found, entry) in list.iter().zip(&entries) {
        assert_eq!(found["name"], String::from_utf8_lossy(&entry.name).as_ref());
        assert_eq!(found["mtime"], "Sun, 06 Nov 1994 08:49:37 GMT");
        let slash = match entry.kind {
            Kind::Folder => {
                assert_eq!(found["type"], "directory");
                assert_eq!(found.get("size"), None);
                "/"
            }
            Kind::File => {
                assert_eq!(found["type"], "file");
                assert_eq!(found["size"], entry.size_bytes);
                ""
            }
        };
        let link = found["href"].as_str().unwrap();
        assert_eq!(resolved("/x/", link), [b"/x/", &entry.name[..], slash.as_bytes()].concat());
    }
    assert_eq!(json(&[]), b"[\n]\n");
}

#[test]
fn numbers_in_names_count() {
    let sorted =
        ["B/", "z/", "a", "a1", "a02", "a2", "a10", "a10b", "A11", "ab.1.9", "ab.1.10", "b", "B1"];
    let entry = |name: &&str| match name.strip_suffix('/') {
        Some(name) => folder(name.as_bytes()),
        None => file(name.as_bytes(), 1),
    };
    let mut entries: Vec<_> = sorted.iter().rev().map(entry).collect();
    sort(&mut entries);
    assert_eq!(entries, sorted.iter().map(entry).collect::<Vec<_>>());
    let huge = "9".repeat(400);
    assert_eq!(natural_order(b"2", huge.as_bytes()), Ordering::Less);
}

/// An order that contradicts itself would make the sort panic.
#[test]
fn the_order_is_one() {
    let pieces = ["", "0", "00", "1", "01", "10", "a", "A", "b", ".", "a1", "a01", "1a", "\u{e9}"];
    let mut names = Vec::new();
    for first in pieces {
        names.extend(pieces.map(|second| format!("{first}{second}")));
    }
    let full = |a: &str, b: &str| {
        natural_order(a.as_bytes(), b.as_bytes()).then_with(|| a.as_bytes().cmp(b.as_bytes()))
    };
    for a in &names {
        for b in &names {
            assert_eq!(full(a, b), full(b, a).reverse(), "{a} {b}");
            for c in names.iter().step_by(if cfg!(miri) { 40 } else { 3 }) {
                if full(a, b).is_lt() && full(b, c).is_lt() {
                    assert!(full(a, c).is_lt(), "{a} {b} {c}");
                }
            }
        }
    }
}

#[test]
fn sizes_for_people() {
    let table = [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1_048_524, "1023.9 KiB"),
        (1_048_525, "1.0 MiB"),
        (1_258_291, "1.2 MiB"),
        (1 << 40, "1.0 TiB"),
        (u64::MAX, "16.0 EiB"),
    ];
    for (bytes, text) in table {
        assert_eq!(HumanSize(bytes).to_string(), text, "{bytes}");
    }
    for (bytes, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
        assert_eq!(Grouped(bytes).to_string(), text);
    }
}

#[test]
fn a_page_tells_how_much_there_is() {
    let told = |entries: &[Listed], completeness| {
        let page = String::from_utf8(html(b"/", entries, completeness)).unwrap();
        page.rsplit_once("<p>").unwrap().1.lines().next().unwrap().to_owned()
    };
    assert_eq!(told(&[], Completeness::Whole), "This folder is empty.");
    assert_eq!(told(&[file(b"a", 1)], Completeness::Whole), "1 file.");
    let both = [folder(b"a"), folder(b"b"), file(b"c", 1)];
    assert_eq!(told(&both, Completeness::Whole), "2 folders, 1 file.");
    let part = told(&both, Completeness::Cut);
    assert_eq!(part, "2 folders, 1 file. There are more than can be listed here.");
}

#[test]
fn times_of_any_year() {
    for modified_unix_seconds in [0, UNIX_SECONDS_MAX, UNIX_SECONDS_MAX + 1, u64::MAX] {
        let entries = [Listed { modified_unix_seconds, ..file(b"a", 1) }];
        let year = if modified_unix_seconds == 0 { "1970-01-01" } else { "9999-12-30" };
        assert!(page("/", &entries).contains(year));
        assert!(serde_json::from_slice::<serde_json::Value>(&json(&entries)).is_ok());
    }
}
