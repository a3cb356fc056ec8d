//! A glob over decoded paths: text from the operator to something that a path is compared with.
//!
//! ```text
//! *        any bytes of one segment, also none        $1 to $9 in the order of the stars
//! **       any bytes, also slashes, also none
//! /**/     any folders between, also none: a single slash
//! ?        one byte, not a slash
//! [a-z_]   one of these bytes; [!a-z] one that is none of them, and never a slash
//! {a,b}    one of the alternatives, which may be empty
//! \*       the character itself
//! ```
//!
//! The whole path must match, in its case. `/blog/**` is what is below the folder and the folder
//! itself, with its slash or without: who keeps `/admin/**` for some means `/admin` as well. `?`
//! and brackets stand for a byte and not for a character, as a path may be any bytes.
//!
//! Most patterns are compared as bytes. The others become regular expressions of a kind that takes
//! linear time for each path (no backtracking): it is a stranger who chooses the path.

use regex::bytes::Regex;
use regex::bytes::RegexBuilder;

use crate::limits::RULE_CHOICES_MAX;
use crate::limits::RULE_PATTERN_BYTES_MAX;
use crate::limits::RULE_PROGRAM_BYTES_MAX;
use crate::limits::RULE_STARS_MAX;
use crate::limits::RULE_STATES_BYTES_MAX;
use crate::limits::RULE_STEPS_MAX;

/// One pattern, ready to be compared.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// The bytes before the first character with a meaning: most other paths differ there.
    literal: Vec<u8>,
    /// The bytes behind the last one, as `.html`: most paths that are left differ there.
    tail: Vec<u8>,
    rest: Rest,
    stars: usize,
}

/// What stands behind the literal bytes.
#[derive(Clone, Debug)]
enum Rest {
    /// Nothing.
    Nothing,
    /// `**`.
    Anything,
    /// More than that.
    Expression(Regex),
}

/// What the stars of a pattern matched, in their order. Empty where one took no part.
pub type Captures<'path> = [&'path [u8]; RULE_STARS_MAX];

/// Says what is wrong with a pattern, and what to write instead.
///
/// # Errors
///
/// When [`Pattern::new`] would refuse it.
pub fn check(text: &str) -> Result<(), String> {
    Pattern::new(text).map(|_| ())
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    ///
    /// A sentence for the operator, when no path could match it, when it has too many stars or
    /// bytes, or when brackets, braces or backslashes are not used as above.
    pub fn new(text: &str) -> Result<Self, String> {
        check_text(text)?;
        let mut translation = Translation { text, ..Translation::default() };
        translation.read()?;
        let Translation { literal, tail, expression, stars, kind, .. } = translation;
        let rest = match kind {
            Kind::Literal => Rest::Nothing,
            Kind::Below => Rest::Anything,
            Kind::Mixed => {
                Rest::Expression(compile(&expression, RULE_PROGRAM_BYTES_MAX).map_err(|_| {
                    format!("\"{text}\" is too much for one pattern: write two shorter ones")
                })?)
            }
        };
        Ok(Self { literal, tail, rest, stars })
    }

    /// How many stars it has, of one or two asterisks: so many captures a target may name.
    #[must_use]
    pub const fn stars(&self) -> usize {
        self.stars
    }

    /// Whether the whole path matches.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        let Some(behind) = path.strip_prefix(self.literal.as_slice()) else {
            return self.is_folder(path);
        };
        match &self.rest {
            Rest::Nothing => behind.is_empty(),
            Rest::Anything => true,
            Rest::Expression(expression) => {
                behind.ends_with(&self.tail) && expression.is_match(behind)
            }
        }
    }

    /// What the stars matched, when the whole path does. Each star takes as much as it can, the
    /// first one first.
    #[must_use]
    pub fn captures<'path>(&self, path: &'path [u8]) -> Option<Captures<'path>> {
        let mut captures = Captures::default();
        let Some(behind) = path.strip_prefix(self.literal.as_slice()) else {
            return self.is_folder(path).then_some(captures);
        };
        match &self.rest {
            Rest::Nothing if !behind.is_empty() => return None,
            Rest::Nothing => {}
            Rest::Anything => captures[0] = behind,
            Rest::Expression(expression) => {
                let groups = expression.captures(behind)?;
                for (capture, group) in captures.iter_mut().zip(groups.iter().skip(1)) {
                    *capture = group.map_or(b"", |group| group.as_bytes());
                }
            }
        }
        Some(captures)
    }
}

impl Pattern {
    /// Whether the pattern is `/blog/**` and the path `/blog`.
    fn is_folder(&self, path: &[u8]) -> bool {
        matches!(self.rest, Rest::Anything)
            && !path.is_empty()
            && self.literal.strip_suffix(b"/") == Some(path)
    }
}

fn compile(expression: &str, program_bytes_max: usize) -> Result<Regex, regex::Error> {
    RegexBuilder::new(expression)
        .unicode(false)
        .dot_matches_new_line(true)
        .size_limit(program_bytes_max)
        .dfa_size_limit(RULE_STATES_BYTES_MAX)
        .build()
}

/// What can be seen without reading the pattern character by character.
fn check_text(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("is empty: write a pattern such as \"/assets/**\"".to_owned());
    }
    if text.len() > RULE_PATTERN_BYTES_MAX {
        return Err(format!(
            "has a pattern of over {RULE_PATTERN_BYTES_MAX} bytes: write a shorter one"
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(format!("{text:?} has a control character: remove it"));
    }
    if !text.starts_with('/') {
        // `*.css` alone would be no path at all, and all files of that kind are meant.
        let above = match text.starts_with('*') && !text.starts_with("**") && !text.contains('/') {
            true => "/**/",
            false => "/",
        };
        return Err(format!("\"{text}\" does not begin with a slash: write \"{above}{text}\""));
    }
    if text.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(format!("\"{text}\" has a dotted segment, which no request has: remove it"));
    }
    if has_escape(text) {
        return Err(format!("\"{text}\" is percent-encoded: write the characters themselves"));
    }
    Ok(())
}

/// Whether there is a percent sign with two hexadecimal digits.
pub(super) fn has_escape(text: &str) -> bool {
    text.as_bytes().windows(3).any(|window| match window {
        [b'%', high, low] => high.is_ascii_hexdigit() && low.is_ascii_hexdigit(),
        _ => false,
    })
}

/// Which patterns need no expression.
#[derive(Default, PartialEq, Eq)]
enum Kind {
    /// Characters that stand for themselves.
    #[default]
    Literal,
    /// Those, and `**` as the last.
    Below,
    /// All others.
    Mixed,
}

/// A pattern on its way to an expression.
#[derive(Default)]
struct Translation<'text> {
    text: &'text str,
    /// Bytes of `text` that have been read.
    read_bytes: usize,
    /// The bytes before the first character with a meaning, and an expression for the rest.
    literal: Vec<u8>,
    expression: String,
    /// The literal bytes at the end of what has been read behind the first character with a
    /// meaning; none within braces.
    tail: Vec<u8>,
    stars: usize,
    steps: usize,
    choices: usize,
    kind: Kind,
    in_braces: bool,
}

impl Translation<'_> {
    fn read(&mut self) -> Result<(), String> {
        self.expression.push_str(r"\A");
        while let Some(character) = self.rest().chars().next() {
            let before = self.read_bytes;
            self.read_bytes += character.len_utf8();
            match character {
                '*' => self.star(before)?,
                '?' => self.choice("[^/]"),
                '[' => self.class()?,
                '{' if self.in_braces => return Err(self.mistake("braces in braces", BRACES)),
                '{' => {
                    self.in_braces = true;
                    self.choice("(?:");
                }
                ',' if self.in_braces => self.choice("|"),
                '}' if self.in_braces => {
                    self.in_braces = false;
                    self.special(")");
                }
                '}' => return Err(self.mistake("a } without its {", "write \\} for the brace")),
                ']' => return Err(self.mistake("a ] without its [", "write \\] for the bracket")),
                '\\' => {
                    let escaped = self.escaped()?;
                    self.plain(escaped);
                }
                character => self.plain(character),
            }
        }
        if self.in_braces {
            return Err(self.mistake("a { without its }", "write \\{ for the brace"));
        }
        self.expression.push_str(r"\z");
        if self.choices > RULE_CHOICES_MAX {
            let what = format!("over {RULE_CHOICES_MAX} ?, brackets and alternatives");
            return Err(self.mistake(&what, "write a simpler pattern, or several"));
        }
        match self.steps > RULE_STEPS_MAX {
            true => {
                let what = format!("over {RULE_STEPS_MAX} bytes behind its first star");
                Err(self.mistake(&what, "write a shorter pattern"))
            }
            false => Ok(()),
        }
    }

    /// A character that stands for itself.
    fn plain(&mut self, character: char) {
        let mut buffer = [0; 4];
        let bytes = character.encode_utf8(&mut buffer).as_bytes();
        if self.kind == Kind::Literal {
            self.literal.extend_from_slice(bytes);
            return;
        }
        self.steps += bytes.len();
        if !self.in_braces {
            self.tail.extend_from_slice(bytes);
        }
        for byte in bytes {
            self.expression.push_str(&literal_byte(*byte));
        }
    }

    /// A part of the expression that stands for something else than itself.
    fn special(&mut self, expression: &str) {
        self.kind = Kind::Mixed;
        self.tail.clear();
        self.expression.push_str(expression);
    }

    /// A part that is one of several, for one byte or more.
    fn choice(&mut self, expression: &str) {
        self.choices += 1;
        self.special(expression);
    }

    /// One or two asterisks, the first of which has been read.
    fn star(&mut self, before: usize) -> Result<(), String> {
        if self.rest().starts_with("**") {
            return Err(self.mistake("three stars in a row", "write ** for any folders"));
        }
        self.stars += 1;
        if self.stars > RULE_STARS_MAX {
            let what = format!("over {RULE_STARS_MAX} stars");
            return Err(self.mistake(&what, "write a simpler pattern"));
        }
        if !self.rest().starts_with('*') {
            self.special("([^/]*)");
            return Ok(());
        }
        self.read_bytes += 1;
        let after_slash = self.text.get(..before).is_some_and(|read| read.ends_with('/'));
        if after_slash && self.rest().starts_with('/') {
            self.read_bytes += 1;
            self.special("(?:(.*)/)?");
            return Ok(());
        }
        let is_last = self.rest().is_empty();
        if is_last && self.kind == Kind::Literal {
            self.special("(.*)");
            self.kind = Kind::Below;
        } else if is_last && after_slash && self.expression.ends_with(&literal_byte(b'/')) {
            // The folder itself as well: the slash is part of what may be missing.
            let before_slash = self.expression.len() - literal_byte(b'/').len();
            self.expression.truncate(before_slash);
            self.special("(?:/(.*))?");
        } else {
            self.special("(.*)");
        }
        Ok(())
    }

    /// The character behind a backslash.
    fn escaped(&mut self) -> Result<char, String> {
        match self.rest().chars().next() {
            Some(next) if next.is_ascii_punctuation() && next != '/' => {
                self.read_bytes += next.len_utf8();
                Ok(next)
            }
            Some(next) => {
                let remedy = format!("write {next} alone, or \\\\{next} for both");
                Err(self.mistake(&format!("a backslash before {next}"), &remedy))
            }
            None => Err(self.mistake("a backslash at its end", "write \\\\ for the backslash")),
        }
    }

    /// Brackets, the first of which has been read.
    fn class(&mut self) -> Result<(), String> {
        let negated = self.rest().starts_with('!');
        self.read_bytes += usize::from(negated);
        if self.rest().starts_with('^') {
            return Err(self.mistake("[^", "write [! for all others, or [\\^ for the character"));
        }
        let mut members = [false; 256];
        let mut first = None;
        loop {
            let (member, is_range) = match self.class_member()? {
                None => break,
                Some(b'-') if first.is_some() && !self.rest().starts_with(']') => {
                    match self.class_member()? {
                        Some(last) => (last, true),
                        None => break,
                    }
                }
                Some(member) => (member, false),
            };
            let from = if is_range { first.take().unwrap_or(member) } else { member };
            if from > member {
                let what = format!("{}-{}", char::from(from), char::from(member));
                return Err(self.mistake(&what, "write the lower one first"));
            }
            for byte in from..=member {
                members[usize::from(byte)] = true;
            }
            first = (!is_range).then_some(member);
        }
        if members == [false; 256] {
            return Err(self.mistake("empty brackets", "write \\[ for the bracket"));
        }
        if negated {
            members.iter_mut().for_each(|member| *member = !*member);
        }
        members[usize::from(b'/')] = false;
        self.choice("[");
        for (byte, _) in (0..=u8::MAX).zip(members).filter(|(_, member)| *member) {
            self.expression.push_str(&format!("\\x{byte:02x}"));
        }
        self.expression.push(']');
        Ok(())
    }

    /// The next byte in brackets. None: they have ended.
    fn class_member(&mut self) -> Result<Option<u8>, String> {
        let Some(next) = self.rest().chars().next() else {
            return Err(self.mistake("a [ without its ]", "write \\[ for the bracket"));
        };
        self.read_bytes += next.len_utf8();
        let member = match next {
            ']' => return Ok(None),
            '\\' => self.escaped()?,
            '/' => return Err(self.mistake("a slash in brackets", "remove it, none matches")),
            '[' => return Err(self.mistake("a [ in brackets", "write \\[ for the bracket")),
            next => next,
        };
        match u8::try_from(member) {
            Ok(byte) if byte.is_ascii() => Ok(Some(byte)),
            _ => {
                let what = format!("{member} in brackets, which stand for a byte");
                Err(self.mistake(&what, "write alternatives in braces"))
            }
        }
    }

    fn rest(&self) -> &str {
        self.text.get(self.read_bytes..).unwrap_or_default()
    }

    fn mistake(&self, what: &str, remedy: &str) -> String {
        format!("\"{}\" has {what}: {remedy}", self.text)
    }
}

const BRACES: &str = "write all alternatives in one pair";

/// A byte in an expression, where letters and digits alone are sure to have no meaning.
fn literal_byte(byte: u8) -> String {
    match byte.is_ascii_alphanumeric() || byte == b'/' {
        true => char::from(byte).to_string(),
        false => format!("\\x{byte:02x}"),
    }
}

#[cfg(test)]
mod tests;
