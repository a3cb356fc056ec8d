//! Realms: who may ask, from the configuration and from files of htpasswd.
//!
//! It takes realms as they are written and builds each when a rule first names it. A hash is never
//! part of a message.

use crate::config::mistake::Mistake;
use crate::config::mistake::Place;
use crate::config::settings::Realm;
use crate::config::suggestion;
use crate::config::written::Written;
use crate::config::written::WrittenRealm;

/// The realms of the file, and those of them that are asked for.
pub(super) struct Realms<'a> {
    written: &'a [WrittenRealm],
    /// Names and realms, in the order in which they were asked for.
    built: Vec<(&'a str, Realm)>,
}

impl<'a> Realms<'a> {
    pub(super) const fn new(written: &'a [WrittenRealm]) -> Self {
        Self { written, built: Vec::new() }
    }

    /// The index of the realm of this name, which is built when it is first asked for.
    pub(super) fn index(&mut self, name: &str, place: &Place) -> Result<usize, Mistake> {
        if let Some(index) = self.built.iter().position(|(built, _)| *built == name) {
            return Ok(index);
        }
        let Some(realm) = self.written.iter().find(|realm| realm.name.value == name) else {
            let known: Vec<&str> =
                self.written.iter().map(|realm| realm.name.value.as_str()).collect();
            let remedy = match known.is_empty() {
                true => "add it, with its file or users".to_owned(),
                false => suggestion::remedy(name, "the realms", &known),
            };
            return Err(Mistake::new(place, format!("there is no [auth.{name}]: {remedy}")));
        };
        let built = build(realm)?;
        self.built.push((&realm.name.value, built));
        Ok(self.built.len() - 1)
    }

    /// The names of those that nobody asked for.
    pub(super) fn unused(&self) -> impl Iterator<Item = String> {
        let is_used = |name: &str| self.built.iter().any(|(built, _)| *built == name);
        let names = self.written.iter().map(|realm| &realm.name.value);
        names.filter(move |name| !is_used(name)).cloned()
    }

    pub(super) fn into_built(self) -> Vec<Realm> {
        self.built.into_iter().map(|(_, realm)| realm).collect()
    }
}

fn build(written: &WrittenRealm) -> Result<Realm, Mistake> {
    let title = written.title.as_ref().unwrap_or(&written.name).value.clone();
    let users: Vec<(String, String)> =
        written.users.iter().map(|Written { value, .. }| value.clone()).collect();
    Ok(Realm { title, users })
}
