//! Tests of patterns: tables, and a slow twin that tries everything.

use super::*;

fn pattern(text: &str) -> Pattern {
    Pattern::new(text).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn what_matches() {
    let table: &[(&str, &[&str], &[&str])] = &[
        ("/", &["/"], &["", "/a", "//", "*"]),
        ("/a/b.css", &["/a/b.css"], &["/a/bxcss", "/a/b.css/", "/a/b.css\n", "/A/b.css", "x/a"]),
        ("/*", &["/", "/a", "/.a", "/é"], &["//", "/a/", "/a/b", "*"]),
        ("/a*c", &["/ac", "/abc", "/accc", "/a\nc"], &["/a/c", "/acb", "/ab"]),
        ("/*.css", &["/.css", "/a.css", "/a.b.css"], &["/a/b.css", "/a.css.map", "/acss"]),
        ("/**", &["/", "/a", "/a/b/", "//", "/\n\r"], &["", "*"]),
        ("/blog/**", &["/blog", "/blog/", "/blog/a", "/blog//"], &["/blo", "/blogs/", "/b", ""]),
        ("/*/x/**", &["/a/x", "/a/x/", "/a/x/b/c"], &["/a", "/a/xy", "/x", "/a/b/x"]),
        ("/{a,b}/**", &["/a", "/b/", "/a/c"], &["/", "/c", "/ab"]),
        ("/blog**", &["/blog", "/blogs", "/blog/a/b"], &["/blo", "/Blog"]),
        ("/blog{,/**}", &["/blog", "/blog/", "/blog/a/b"], &["/blogs", "/blog2/a"]),
        ("/a/**/z", &["/a/z", "/a/b/z", "/a/b/c/z", "/a//z", "/a/z/z"], &["/az", "/a/bz", "/z"]),
        ("/**/*.js", &["/a.js", "/a/b.js", "/a/b/c.js", "/.js"], &["/a/b.js/", "/a.jsx"]),
        ("/**/**/z", &["/z", "/a/z", "/a/b/z"], &["/az"]),
        ("/**/", &["/", "/a/", "/a/b/", "//"], &["/a", "/a/b"]),
        ("/**/b**", &["/b", "/b/c", "/a/b", "/a/bc/d"], &["/a", "/ab"]),
        ("/a**z", &["/az", "/abz", "/a/b/z"], &["/a/b", "/bz"]),
        ("/a?c", &["/abc", "/a\nc", "/a*c"], &["/ac", "/a/c", "/aéc"]),
        ("/[a-c_]", &["/a", "/c", "/_"], &["/d", "/", "/ab", "//", "/A"]),
        ("/[!a-c]", &["/d", "/\n", "/-"], &["/a", "//", "/", "/dd"]),
        ("/[a-]", &["/a", "/-"], &["/b", "/,"]),
        ("/[-a]", &["/a", "/-"], &["/b"]),
        ("/[a-c-e]", &["/a", "/b", "/-", "/e"], &["/d"]),
        ("/[+-9]", &["/+", "/.", "/0"], &["//", "/*"]),
        ("/[*?{},]", &["/*", "/?", "/{", "/,"], &["/a"]),
        ("/[\\]\\\\!]", &["/]", "/\\", "/!"], &["/a"]),
        ("/{a,b}", &["/a", "/b"], &["/c", "/ab", "/", "/a,b"]),
        ("/{a,ab}c", &["/ac", "/abc"], &["/ab"]),
        ("/{a*,?}/{b,c/d}", &["/a/b", "/abc/c/d", "/z/b"], &["/zz/b", "/a/c"]),
        ("/a,b", &["/a,b"], &["/a", "/b"]),
        ("/a\\*\\?\\{\\[\\]\\}\\\\", &["/a*?{[]}\\"], &["/ab?{[]}\\"]),
        ("/a.b+c(d)|e^f$g", &["/a.b+c(d)|e^f$g"], &["/aXb+c(d)|e^f$g", "/a.bbc(d)"]),
        ("/100%/#/é", &["/100%/#/é"], &["/100%/#/e"]),
        ("/*(?i)x", &["/(?i)x"], &["/x", "/X"]),
    ];
    for (text, matching, others) in table {
        let pattern = pattern(text);
        for path in *matching {
            assert!(pattern.matches(path.as_bytes()), "{text} {path:?}");
            assert!(pattern.captures(path.as_bytes()).is_some(), "{text} {path:?}");
        }
        for path in *others {
            assert!(!pattern.matches(path.as_bytes()), "{text} {path:?}");
            assert!(pattern.captures(path.as_bytes()).is_none(), "{text} {path:?}");
        }
    }
}

#[test]
fn paths_need_not_be_text() {
    let table: &[(&str, &[u8], bool)] = &[
        ("/*", b"/\xff\xfe", true),
        ("/?", b"/\xff", true),
        ("/?", "/é".as_bytes(), false),
        ("/??", "/é".as_bytes(), true),
        ("/[!a]", b"/\xff", true),
        ("/é*", b"/\xc3\xa9\xff", true),
        ("/é*", b"/\xe9", false),
        ("/**/x", b"/\xff\n/x", true),
    ];
    for (text, path, expected) in table {
        assert_eq!(pattern(text).matches(path), *expected, "{text} {}", path.escape_ascii());
    }
}

#[test]
fn what_the_stars_matched() {
    let table: &[(&str, &str, &[&str])] = &[
        ("/a", "/a", &[]),
        ("/a/**", "/a/", &[""]),
        ("/a/**", "/a/b/c", &["b/c"]),
        ("/**", "/a", &["a"]),
        ("/*/**", "/a/b/c", &["a", "b/c"]),
        ("/**/*", "/a/b/c", &["a/b", "c"]),
        ("/**/*", "/c", &["", "c"]),
        ("/**/*", "//c", &["", "c"]),
        ("/a/**/*.html", "/a/x/y/z.html", &["x/y", "z"]),
        ("/*-*", "/a-b-c", &["a-b", "c"]),
        ("/{a*,b*}/*", "/bx/y", &["", "x", "y"]),
        ("/blog{,/**}", "/blog", &[""]),
        ("/blog{,/**}", "/blog/a/b", &["a/b"]),
        (
            "/*/*/*/*/*/*/*/*/*",
            "/1/2/3/4/5/6/7/8/9",
            &["1", "2", "3", "4", "5", "6", "7", "8", "9"],
        ),
    ];
    for (text, path, expected) in table {
        let pattern = pattern(text);
        assert_eq!(pattern.stars(), expected.len(), "{text}");
        let captures = pattern.captures(path.as_bytes()).unwrap();
        let found = captures.map(|capture| std::str::from_utf8(capture).unwrap());
        assert_eq!(&found[..expected.len()], *expected, "{text} {path}");
        assert!(found[expected.len()..].iter().all(|rest| rest.is_empty()), "{text} {path}");
    }
}

#[test]
fn what_is_refused() {
    let table = [
        ("", "is empty: write a pattern such as \"/assets/**\""),
        ("assets/**", "\"assets/**\" does not begin with a slash: write \"/assets/**\""),
        ("*.css", "\"*.css\" does not begin with a slash: write \"/**/*.css\""),
        ("**/*.css", "\"**/*.css\" does not begin with a slash: write \"/**/*.css\""),
        ("**", "\"**\" does not begin with a slash: write \"/**\""),
        ("/a\nb", "\"/a\\nb\" has a control character: remove it"),
        ("/a/../b", "\"/a/../b\" has a dotted segment, which no request has: remove it"),
        ("/.", "\"/.\" has a dotted segment, which no request has: remove it"),
        ("/a%20b", "\"/a%20b\" is percent-encoded: write the characters themselves"),
        ("/***", "\"/***\" has three stars in a row: write ** for any folders"),
        ("/*a*a*a*a*a*a*a*a*a*", "over 9 stars: write a simpler pattern"),
        ("/{a,{b,c}}", "has braces in braces: write all alternatives in one pair"),
        ("/{a,b", "has a { without its }: write \\{ for the brace"),
        ("/a}", "has a } without its {: write \\} for the brace"),
        ("/a]", "has a ] without its [: write \\] for the bracket"),
        ("/[a", "has a [ without its ]: write \\[ for the bracket"),
        ("/[", "has a [ without its ]"),
        ("/[a-", "has a [ without its ]"),
        ("/[]", "has empty brackets: write \\[ for the bracket"),
        ("/[!]", "has empty brackets"),
        ("/[^a]", "has [^: write [! for all others, or [\\^ for the character"),
        ("/[a/b]", "has a slash in brackets: remove it, none matches"),
        ("/[[:digit:]]", "has a [ in brackets: write \\[ for the bracket"),
        ("/[z-a]", "has z-a: write the lower one first"),
        ("/[é]", "has é in brackets, which stand for a byte: write alternatives in braces"),
        ("/\\d+", "has a backslash before d: write d alone, or \\\\d for both"),
        ("/\\/", "has a backslash before /"),
        ("/a\\", "has a backslash at its end: write \\\\ for the backslash"),
    ];
    for (text, expected) in table {
        let error = check(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn the_bounds_are_reached_exactly() {
    let stars = format!("/{}", "*a".repeat(RULE_STARS_MAX));
    assert_eq!(pattern(&stars).stars(), RULE_STARS_MAX);
    check(&format!("{stars}*")).unwrap_err();
    let longest = format!("/{}", "a".repeat(RULE_PATTERN_BYTES_MAX - 1));
    assert!(pattern(&longest).matches(longest.as_bytes()));
    let error = check(&format!("{longest}a")).unwrap_err();
    assert!(error.contains("of over 512 bytes"), "{error}");
    let refused = |text: &str, expected: &str| {
        let error = check(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    };
    // The largest programs of the longest patterns fit.
    let steps = "a".repeat(RULE_STEPS_MAX - RULE_STARS_MAX);
    for (piece, choices) in [("?", 1), ("[!a]", 1), ("[acegikmoqs]", 1), ("{?,[!b]}", 4)] {
        let most = piece.repeat(RULE_CHOICES_MAX / choices);
        check(&format!("{stars}{most}")).unwrap();
        refused(&format!("{stars}{most}?"), "over 32 ?, brackets and alternatives: write a");
        refused(&format!("{stars}{most}{{a}}"), "over 32 ?, brackets and alternatives: write a");
    }
    check(&format!("{stars}{steps}")).unwrap();
    refused(&format!("{stars}{steps}a"), "over 128 bytes behind its first star: write a shorter");
    compile("[^/]*", 10).unwrap_err();
}

/// A pattern as a tree.
#[derive(Clone, Debug)]
enum Token {
    Byte(u8),
    One,
    Class(Vec<u8>),
    Others(Vec<u8>),
    Star(usize),
    Deep(usize),
    Folders(usize),
    Either(Vec<Vec<Self>>),
}

/// Tries everything that a token could stand for, the longest first.
fn slow_match(tokens: &[Token], path: &[u8], found: &mut Vec<(usize, Vec<u8>)>) -> bool {
    let Some((token, rest)) = tokens.split_first() else { return path.is_empty() };
    let mut one = |good: &dyn Fn(u8) -> bool| match path {
        [byte, behind @ ..] if good(*byte) => slow_match(rest, behind, found),
        _ => false,
    };
    match token {
        Token::Byte(wanted) => one(&|byte| byte == *wanted),
        Token::One => one(&|byte| byte != b'/'),
        Token::Class(bytes) => one(&|byte| bytes.contains(&byte)),
        Token::Others(bytes) => one(&|byte| byte != b'/' && !bytes.contains(&byte)),
        Token::Either(alternatives) => alternatives.iter().any(|alternative| {
            let joined: Vec<Token> = alternative.iter().chain(rest).cloned().collect();
            slow_match(&joined, path, found)
        }),
        Token::Star(index) | Token::Deep(index) | Token::Folders(index) => {
            for length in (0..=path.len()).rev() {
                let (taken, behind) = path.split_at(length);
                let behind = match token {
                    Token::Star(_) if taken.contains(&b'/') => continue,
                    Token::Folders(_) if !behind.starts_with(b"/") => continue,
                    Token::Folders(_) => &behind[1..],
                    _ => behind,
                };
                if slow_match(rest, behind, found) {
                    found.push((*index, taken.to_vec()));
                    return true;
                }
            }
            matches!(token, Token::Folders(_)) && slow_match(rest, path, found)
        }
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// A part of a pattern as text and as a tree; the stars are counted.
fn random_piece(random: &mut Random, stars: &mut usize) -> (&'static str, Vec<Token>) {
    let mut star = || {
        *stars += 1;
        *stars - 1
    };
    let byte = Token::Byte;
    match random.below(16) {
        0..=2 => ("/", vec![byte(b'/')]),
        3 => ("a", vec![byte(b'a')]),
        4 => ("b", vec![byte(b'b')]),
        5 | 6 => ("*", vec![Token::Star(star())]),
        7 => ("**", vec![Token::Deep(star())]),
        8 => ("/**/", vec![byte(b'/'), Token::Folders(star())]),
        9 => ("?", vec![Token::One]),
        10 => ("[a-c]", vec![Token::Class(b"abc".to_vec())]),
        11 => ("[!b]", vec![Token::Others(b"b".to_vec())]),
        12 => ("{a,/b}", vec![Token::Either(vec![vec![byte(b'a')], vec![byte(b'/'), byte(b'b')]])]),
        13 => ("{,b}", vec![Token::Either(vec![vec![], vec![byte(b'b')]])]),
        14 => {
            let first = vec![byte(b'a'), Token::Star(star())];
            let second = vec![byte(b'/'), Token::Deep(star())];
            ("{a*,/**}", vec![Token::Either(vec![first, second])])
        }
        _ => ("\\*", vec![byte(b'*')]),
    }
}

/// None: the text would be read in another way than its pieces.
fn random_pattern(random: &mut Random) -> Option<(String, Vec<Token>, usize)> {
    let mut texts = vec!["/"];
    let mut tokens = vec![Token::Byte(b'/')];
    let mut stars = 0;
    for _ in 0..random.below(7) {
        let (text, more) = random_piece(random, &mut stars);
        texts.push(text);
        tokens.extend(more);
    }
    // A folder at the end is meant without its slash as well.
    if let [.., Token::Byte(b'/'), Token::Deep(star)] = tokens.as_slice()
        && tokens.len() > 2
    {
        let below = vec![Token::Byte(b'/'), Token::Deep(*star)];
        tokens.truncate(tokens.len() - 2);
        tokens.push(Token::Either(vec![below, vec![]]));
    }
    let is_star = |text: &str| matches!(text, "*" | "**");
    let ambiguous = texts.windows(2).any(|pair| is_star(pair[0]) && is_star(pair[1]))
        || texts
            .windows(3)
            .any(|three| three[0].ends_with('/') && three[1] == "**" && three[2].starts_with('/'));
    (!ambiguous && stars <= RULE_STARS_MAX).then(|| (texts.concat(), tokens, stars))
}

#[test]
fn random_patterns_agree_with_the_slow_twin() {
    const PATTERNS: usize = if cfg!(miri) { 20 } else { 3_000 };
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut matched, mut others) = (0, 0);
    for _ in 0..PATTERNS {
        let Some((text, tokens, stars)) = random_pattern(&mut random) else { continue };
        let pattern = pattern(&text);
        assert_eq!(pattern.stars(), stars, "{text}");
        for _ in 0..40 {
            let mut path = b"/".to_vec();
            for _ in 0..random.below(8) {
                path.push(b"aabbc//*\xff\n"[random.below(10)]);
            }
            let mut found = Vec::new();
            let expected = slow_match(&tokens, &path, &mut found);
            let shown = path.escape_ascii();
            assert_eq!(pattern.matches(&path), expected, "{text} {shown}");
            let captures = pattern.captures(&path);
            assert_eq!(captures.is_some(), expected, "{text} {shown}");
            if let Some(captures) = captures {
                let mut wanted: Captures<'_> = Captures::default();
                found.iter().for_each(|(index, bytes)| wanted[*index] = bytes);
                assert_eq!(captures, wanted, "{text} {shown}");
            }
            *(if expected { &mut matched } else { &mut others }) += 1;
        }
    }
    assert!(matched > PATTERNS && others > PATTERNS, "{matched} {others}");
}

/// Each of them would keep a matcher that backtracks busy for longer than the universe is old. How
/// long it takes is not looked at, as machines are busy: it would not end.
#[test]
fn no_path_takes_more_than_linear_time() {
    let path_bytes = if cfg!(miri) { 100 } else { crate::limits::TARGET_BYTES_MAX };
    let patterns = [
        "/*a*a*a*a*a*a*a*a*b",
        "/**a**a**a**a**a**a**a**a**b",
        "/**/a/**/a/**/a/**/a/**/a/**/a/**/a/**/b",
        "/{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}**b",
        "/{,a}{,a}{,a}{,a}{,a}{,a}{,a}{,a}{,a}{,a}{,a}{,a}{,a}{,a}**b",
    ];
    for unit in ["a", "a/", "/a"] {
        let path = format!("/{}", unit.repeat(path_bytes / unit.len()));
        for text in patterns {
            assert!(!pattern(text).matches(path.as_bytes()), "{text}");
            assert!(pattern(text).captures(path.as_bytes()).is_none(), "{text}");
        }
    }
}
