//! Reading TOML by hand: one table, its keys, and the line of each.
//!
//! It gives texts, lists and tables with their places and refuses unknown keys and wrong types in
//! one sentence. Which keys there are is the business of `file`.
//!
//! By hand and not by deriving, because the sentence needs the table's name, the key and the
//! nearest right key, and a derived reader gives its own sentence with none of them.

use crate::config::mistake::Mistake;
use crate::config::mistake::Place;
use crate::config::suggestion;
use crate::config::switch::Switch;
use crate::config::written::Written;
use std::path::Path;
use toml::Spanned;
use toml::de::DeTable;
use toml::de::DeValue;

/// The file's text and its name, for the places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) name: &'a Path,
    pub(super) text: &'a str,
}

/// An item of a list that may have both.
#[derive(Debug)]
pub(super) enum TextOrTable<'a> {
    Text(Written<String>),
    Table(Table<'a>),
}

/// A value that may be either.
#[derive(Debug)]
pub(super) enum SwitchOrTable<'a> {
    Switch(Written<Switch>),
    Table(Table<'a>),
}

/// One table of the file.
#[derive(Debug)]
pub(super) struct Table<'a> {
    source: Source<'a>,
    /// As the operator writes it: `[app.shop]`, `[[site.route]]`; empty for the top of the file.
    name: String,
    line: usize,
    entries: &'a DeTable<'a>,
}

impl Source<'_> {
    /// The mistake of a text that is not TOML.
    pub(super) fn syntax_mistake(&self, error: &toml::de::Error) -> Mistake {
        let line = self.line(error.span().map_or(0, |span| span.start));
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        let text = format!("is not TOML: {message}: correct the line");
        Mistake::new(&Place::Line(self.name.to_owned(), line), text)
    }

    /// The line of a byte, counted from 1.
    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().iter().take(offset);
        1 + before.filter(|byte| **byte == b'\n').count()
    }
}

impl<'a> Table<'a> {
    /// The top of the file.
    pub(super) fn top(source: Source<'a>, entries: &'a DeTable<'a>) -> Self {
        Self { source, name: String::new(), line: 1, entries }
    }

    /// The line where the table begins.
    pub(super) fn place(&self) -> Place {
        Place::Line(self.source.name.to_owned(), self.line)
    }

    /// Refuses every key but the known ones. `later` are keys that will be known one day.
    pub(super) fn check_keys(&self, known: &[&str], later: &[&str]) -> Result<(), Mistake> {
        let unknown = self.entries.keys().filter(|key| !known.contains(&key.get_ref().as_ref()));
        let Some(key) = unknown.min_by_key(|key| key.span().start) else { return Ok(()) };
        let place = Place::Line(self.source.name.to_owned(), self.source.line(key.span().start));
        let name = key.get_ref();
        let table = match self.name.as_str() {
            "" => "at the top of the file".to_owned(),
            table => format!("in {table}"),
        };
        if later.contains(&name.as_ref()) {
            let text = format!("\"{name}\" {table} is not supported yet: remove it");
            return Err(Mistake::new(&place, text));
        }
        let remedy = suggestion::remedy(name, "known keys", known);
        Err(Mistake::new(&place, format!("unknown key \"{name}\" {table}: {remedy}")))
    }

    /// A text. `example` is how to write the line right.
    pub(super) fn text(
        &self,
        key: &str,
        example: &str,
    ) -> Result<Option<Written<String>>, Mistake> {
        let Some((value, place)) = self.entry(key) else { return Ok(None) };
        match value.get_ref().as_str() {
            Some(text) => Ok(Some(Written::new(text.to_owned(), place))),
            None => Err(wrong_type(&place, "a text", value.get_ref(), example)),
        }
    }

    /// A text or a whole number, as text.
    pub(super) fn text_or_number(
        &self,
        key: &str,
        example: &str,
    ) -> Result<Option<Written<String>>, Mistake> {
        let Some((value, place)) = self.entry(key) else { return Ok(None) };
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            // Hexadecimal and so on as TOML has it. What does not fit stays as it is written, for
            // a sentence about its range.
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => number.to_string(),
                    Err(_) => number.as_str().to_owned(),
                }
            }
            other => return Err(wrong_type(&place, "a text or a number", other, example)),
        };
        Ok(Some(Written::new(text, place)))
    }

    /// A list of texts, or one text alone.
    pub(super) fn texts(
        &self,
        key: &str,
        example: &str,
    ) -> Result<Option<Written<Vec<Written<String>>>>, Mistake> {
        let Some((value, place)) = self.entry(key) else { return Ok(None) };
        let items = match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            DeValue::String(_) => vec![value],
            other => return Err(wrong_type(&place, "a list of texts", other, example)),
        };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            let place = self.key_place(key, item.span().start);
            match item.get_ref().as_str() {
                Some(text) => texts.push(Written::new(text.to_owned(), place)),
                None => return Err(wrong_type(&place, "a list of texts", item.get_ref(), example)),
            }
        }
        Ok(Some(Written::new(texts, place)))
    }

    /// True or false.
    pub(super) fn switch(
        &self,
        key: &str,
        example: &str,
    ) -> Result<Option<Written<Switch>>, Mistake> {
        let Some((value, place)) = self.entry(key) else { return Ok(None) };
        match value.get_ref().as_bool() {
            Some(true) => Ok(Some(Written::new(Switch::On, place))),
            Some(false) => Ok(Some(Written::new(Switch::Off, place))),
            None => Err(wrong_type(&place, "true or false", value.get_ref(), example)),
        }
    }

    /// True, false, or a table, which is `[name]` in messages.
    pub(super) fn switch_or_table(
        &self,
        key: &str,
        name: &str,
        example: &str,
    ) -> Result<Option<SwitchOrTable<'a>>, Mistake> {
        let Some((value, place)) = self.entry(key) else { return Ok(None) };
        let DeValue::Table(entries) = value.get_ref() else {
            if value.get_ref().as_bool().is_none() {
                let wanted = "true, false or a table";
                return Err(wrong_type(&place, wanted, value.get_ref(), example));
            }
            return Ok(self.switch(key, example)?.map(SwitchOrTable::Switch));
        };
        let line = place.line().unwrap_or(self.line);
        let name = format!("[{name}]");
        Ok(Some(SwitchOrTable::Table(Self { source: self.source, name, line, entries })))
    }

    /// Texts by names of the operator's choice, in the order of the file. The place of each is
    /// `key.name`.
    pub(super) fn texts_by_name(
        &self,
        key: &str,
        example: &str,
    ) -> Result<Vec<Written<(String, String)>>, Mistake> {
        let Some((value, place)) = self.entry(key) else { return Ok(Vec::new()) };
        let Some(entries) = value.get_ref().as_table() else {
            return Err(wrong_type(&place, "a table", value.get_ref(), example));
        };
        let mut named: Vec<_> = entries.iter().collect();
        named.sort_by_key(|(name, _)| name.span().start);
        let mut texts = Vec::with_capacity(named.len());
        for (name, value) in named {
            let place = self.key_place(&format!("{key}.{}", name.get_ref()), name.span().start);
            let Some(text) = value.get_ref().as_str() else {
                return Err(wrong_type(&place, "a text", value.get_ref(), example));
            };
            texts.push(Written::new((name.get_ref().to_string(), text.to_owned()), place));
        }
        Ok(texts)
    }

    /// Where a key stands, if it does.
    pub(super) fn place_of(&self, key: &str) -> Option<Place> {
        self.entry(key).map(|(_, place)| place)
    }

    /// Those of these keys that are there, in the order of the file.
    pub(super) fn present(&self, keys: &[&'static str]) -> Vec<Written<&'static str>> {
        let mut found: Vec<_> = self
            .entries
            .keys()
            .filter_map(|name| {
                let key = keys.iter().find(|key| **key == name.get_ref().as_ref())?;
                let at = name.span().start;
                Some((at, Written::new(*key, self.key_place(key, at))))
            })
            .collect();
        found.sort_by_key(|(at, _)| *at);
        found.into_iter().map(|(_, written)| written).collect()
    }

    /// A list of texts and tables, which are `[[key]]` by name, or one text alone.
    pub(super) fn texts_or_tables(
        &self,
        key: &str,
        example: &str,
    ) -> Result<Option<Written<Vec<TextOrTable<'a>>>>, Mistake> {
        const WANTED: &str = "a list of texts or tables";
        let Some((value, place)) = self.entry(key) else { return Ok(None) };
        let items = match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            DeValue::String(_) => vec![value],
            other => return Err(wrong_type(&place, WANTED, other, example)),
        };
        let mut found = Vec::with_capacity(items.len());
        for item in items {
            let place = self.key_place(key, item.span().start);
            found.push(match item.get_ref() {
                DeValue::String(text) => TextOrTable::Text(Written::new(text.to_string(), place)),
                DeValue::Table(entries) => {
                    let line = self.source.line(item.span().start);
                    let name = format!("[[{key}]]");
                    TextOrTable::Table(Self { source: self.source, name, line, entries })
                }
                other => return Err(wrong_type(&place, WANTED, other, example)),
            });
        }
        Ok(Some(Written::new(found, place)))
    }

    /// The tables of a list such as `[[site]]`, in order; none where the key is absent.
    pub(super) fn list_of_tables(&self, key: &str, name: &str) -> Result<Vec<Self>, Mistake> {
        let Some((value, place)) = self.entry(key) else { return Ok(Vec::new()) };
        let wrong = |place: &Place, value: &DeValue<'_>| {
            let article = with_article(value.type_str());
            let text = format!("must be a list of tables, but is {article}: write [[{name}]]");
            Mistake::new(place, text)
        };
        let items = value.get_ref().as_array().ok_or_else(|| wrong(&place, value.get_ref()))?;
        let mut tables = Vec::with_capacity(items.len());
        for item in items.iter() {
            let line = self.source.line(item.span().start);
            let entries = item.get_ref().as_table();
            let entries = entries.ok_or_else(|| wrong(&place, item.get_ref()))?;
            tables.push(Self { source: self.source, name: format!("[[{name}]]"), line, entries });
        }
        Ok(tables)
    }

    /// The tables below a key, such as `[app.shop]`, with their names, in the order of the file.
    pub(super) fn named_tables(&self, key: &str) -> Result<Vec<(Written<String>, Self)>, Mistake> {
        let Some((value, place)) = self.entry(key) else { return Ok(Vec::new()) };
        let wrong = |place: &Place, value: &DeValue<'_>| {
            let article = with_article(value.type_str());
            let text = format!(
                "must be a table, but is {article}: write [{key}.NAME] with a name of your choice"
            );
            Mistake::new(place, text)
        };
        let named = value.get_ref().as_table().ok_or_else(|| wrong(&place, value.get_ref()))?;
        let mut named: Vec<_> = named.iter().collect();
        named.sort_by_key(|(name, _)| name.span().start);
        let mut tables = Vec::with_capacity(named.len());
        for (name, value) in named {
            let line = self.source.line(name.span().start);
            let full_name = format!("{key}.{}", name.get_ref());
            let place = self.key_place(&full_name, name.span().start);
            let entries =
                value.get_ref().as_table().ok_or_else(|| wrong(&place, value.get_ref()))?;
            let table = Self { source: self.source, name: format!("[{full_name}]"), line, entries };
            let place = Place::Line(self.source.name.to_owned(), line);
            tables.push((Written::new(name.get_ref().to_string(), place), table));
        }
        Ok(tables)
    }

    fn entry(&self, key: &str) -> Option<(&'a Spanned<DeValue<'a>>, Place)> {
        let (name, value) = self.entries.iter().find(|(name, _)| name.get_ref() == key)?;
        Some((value, self.key_place(key, name.span().start)))
    }

    fn key_place(&self, key: &str, offset: usize) -> Place {
        Place::Key(self.source.name.to_owned(), self.source.line(offset), key.to_owned())
    }
}

fn wrong_type(place: &Place, expected: &str, value: &DeValue<'_>, example: &str) -> Mistake {
    let article = with_article(value.type_str());
    Mistake::new(place, format!("must be {expected}, but is {article}: write {example}"))
}

/// What TOML calls a type, as part of a sentence.
fn with_article(type_name: &str) -> String {
    match type_name {
        "string" => "a text".to_owned(),
        "array" => "a list".to_owned(),
        "integer" => "an integer".to_owned(),
        other => format!("a {other}"),
    }
}
