//! Sites, routes, and what they lead to: names become indexes, paths are looked at.
//!
//! It takes sites and applications as they are written, wherever that was, and gives those of the
//! settings. Here a path is found to be missing, a name to be unknown, a route to be given twice.

use crate::auth::RealmSpec;
use crate::config::disk;
use crate::config::environment::Environment;
use crate::config::hosts;
use crate::config::mistake::Mistake;
use crate::config::mistake::Place;
use crate::config::policies;
use crate::config::prefix;
use crate::config::realms::Realms;
use crate::config::settings::App;
use crate::config::settings::Warning;
use crate::config::suggestion;
use crate::config::venv;
use crate::config::written::ToServe;
use crate::config::written::Written;
use crate::config::written::WrittenApp;
use crate::config::written::WrittenDestination;
use crate::config::written::WrittenFiles;
use crate::config::written::WrittenRoute;
use crate::limits::PYTHON_THREADS_DEFAULT;
use crate::route::Destination;
use crate::route::Route;
use crate::route::Site;
use crate::rules::Policy;
use crate::static_files::Hidden;
use crate::static_files::Options;
use std::ffi::OsStr;
use std::path::Path;

/// What is served.
#[derive(Debug, Default)]
pub(super) struct Served {
    pub(super) apps: Vec<App>,
    pub(super) files: Vec<Options>,
    pub(super) sites: Vec<Site>,
    pub(super) policies: Vec<Policy>,
    pub(super) realms: Vec<RealmSpec>,
    pub(super) warnings: Vec<Warning>,
}

/// Checks and builds all sites, and of the applications and realms those that somebody names.
pub(super) fn build(to_serve: ToServe, environment: &Environment) -> Result<Served, Mistake> {
    let ToServe { apps, realms, types, sites } = to_serve;
    let mut realms = Realms::new(&realms);
    let served = Served::default();
    let mut builder = Builder { apps: &apps, types: &types, environment, served };
    let mut hosts: Vec<(String, Place)> = Vec::new();
    let mut every_host: Option<Place> = None;
    for site in sites {
        if let (true, Some(first)) = (site.hosts.is_empty(), &every_host) {
            let first = first.in_passing();
            return Err(Mistake::new(
                &site.place,
                format!("a second [[site]] without hosts ({first} has none either): add hosts"),
            ));
        }
        if site.hosts.is_empty() {
            every_host = Some(site.place.clone());
        }
        if site.routes.is_empty() {
            let text = "[[site]] has no routes: add a [[site.route]] below it, or remove it";
            return Err(Mistake::new(&site.place, text));
        }
        let mut names = Vec::with_capacity(site.hosts.len());
        for host in site.hosts {
            let host = host.parse(|text| hosts::pattern(text))?;
            if let Some((name, first)) = hosts.iter().find(|(name, _)| *name == host.value) {
                let first = first.in_passing();
                return Err(host.mistake(format!(
                    "\"{name}\" already belongs to a site ({first}): remove one of the two"
                )));
            }
            hosts.push((host.value.clone(), host.place));
            names.push(host.value);
        }
        let routes = builder.routes(site.routes)?;
        builder.served.sites.push(Site { hosts: names, routes });
        let rules = policies::rules(site.rules, &mut realms, &site.place)?;
        let files = &mut builder.served.files;
        let error_pages = policies::error_pages(site.error_pages, &types, files)?;
        builder.served.policies.push(Policy { rules, error_pages });
    }
    for file in realms.files() {
        if builder.served.shows(file) {
            builder.served.warnings.push(Warning::ServedPasswords(file.clone()));
        }
    }
    let Served { apps: started, warnings, .. } = &mut builder.served;
    for app in apps.iter().filter(|app| !started.iter().any(|s| s.name == app.name.value)) {
        warnings.push(Warning::UnusedApp(app.name.value.clone()));
    }
    warnings.extend(realms.unused().map(Warning::UnusedRealm));
    builder.served.realms = realms.into_built();
    Ok(builder.served)
}

impl Served {
    /// Whether a route leads to this file, as far as the names tell.
    fn shows(&self, file: &Path) -> bool {
        let routes = self.sites.iter().flat_map(|site| &site.routes);
        let mut folders = routes.filter_map(|route| match route.destination {
            Destination::Files { files, .. } => self.files.get(files),
            Destination::App(_) => None,
        });
        folders.any(|folder| {
            file.strip_prefix(&folder.root).is_ok_and(|below| {
                let mut names = below.iter().map(OsStr::as_encoded_bytes);
                folder.hidden == Hidden::Served || !names.any(|name| name.starts_with(b"."))
            })
        })
    }
}

struct Builder<'a> {
    apps: &'a [WrittenApp],
    types: &'a [(String, String)],
    environment: &'a Environment,
    served: Served,
}

impl Builder<'_> {
    fn routes(&mut self, written: Vec<WrittenRoute>) -> Result<Vec<Route>, Mistake> {
        let mut places: Vec<Place> = Vec::with_capacity(written.len());
        let mut routes: Vec<Route> = Vec::with_capacity(written.len());
        for route in written {
            let path = route.path.parse(|text| prefix::prefix(text))?;
            let Written { value: (prefix, slash), place } = path;
            let same = routes.iter().position(|other| other.prefix == prefix);
            if let Some(first) = same.and_then(|index| places.get(index)) {
                let (path, first) = (prefix::slashed(&prefix), first.in_passing());
                return Err(Mistake::new(
                    &place,
                    format!("\"{path}\" already has a route ({first}): remove one of the two"),
                ));
            }
            let destination = self.destination(route.destination)?;
            places.push(place);
            routes.push(Route { prefix, slash, destination });
        }
        Ok(routes)
    }

    fn destination(&mut self, written: WrittenDestination) -> Result<Destination, Mistake> {
        let WrittenFiles { folder, app, options } = match written {
            WrittenDestination::App(name) => return Ok(Destination::App(self.app(&name)?)),
            WrittenDestination::Files(files) => *files,
        };
        let root = disk::directory(&folder)?;
        let fallback = app.map(|name| self.app(&name)).transpose()?;
        if let Some(path) = &options.fallback {
            let file = root.join(path.trim_start_matches('/'));
            if !file.is_file() {
                self.served.warnings.push(Warning::MissingFallback(file));
            }
        }
        self.served.files.push(Options { root, types: self.types.to_vec(), ..options });
        Ok(Destination::Files { files: self.served.files.len() - 1, fallback })
    }

    /// The index of the application of this name, which is built when it is first asked for.
    fn app(&mut self, name: &Written<String>) -> Result<usize, Mistake> {
        let built = self.served.apps.iter().position(|app| app.name == name.value);
        if let Some(index) = built {
            return Ok(index);
        }
        let Some(app) = self.apps.iter().find(|app| app.name.value == name.value) else {
            let known: Vec<&str> = self.apps.iter().map(|app| app.name.value.as_str()).collect();
            let remedy = match known.is_empty() {
                true => "add it, with its target".to_owned(),
                false => suggestion::remedy(&name.value, "the applications", &known),
            };
            return Err(name.mistake(format!("there is no [app.{}]: {remedy}", name.value)));
        };
        let chdir = match &app.options.chdir {
            Some(written) => disk::directory(written)?,
            None => disk::absolute(&app.folder),
        };
        let mut pythonpath = Vec::new();
        if let Some(written) = &app.options.pythonpath {
            for place in &written.value {
                pythonpath.push(disk::import_place(place, written)?);
            }
        }
        let given = app.options.venv.as_ref();
        let venv = venv::find(given, self.environment, &chdir, &mut self.served.warnings)?;
        self.served.apps.push(App {
            name: app.name.value.clone(),
            target: app.target.value.clone(),
            chdir,
            pythonpath,
            venv,
            threads: app.options.threads.as_ref().map_or(PYTHON_THREADS_DEFAULT, |w| w.value),
        });
        Ok(self.served.apps.len() - 1)
    }
}

#[cfg(test)]
mod tests;
