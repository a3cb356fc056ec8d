//! The few lines at the start that say what serves where.

use core_affinity::CoreId;

use crate::config::Settings;
use crate::python;
use crate::route::Destination;
use crate::route::Slash;
use crate::rules::Access;
use crate::rules::Policy;
use crate::uring::Io;

/// Says it to the log.
pub(super) fn say(settings: &Settings, cores: &[Option<CoreId>], groups: &[String], io: Io) {
    let waits_on = match io {
        Io::Ring => "io_uring",
        Io::Epoll => "epoll",
    };
    let cpus: Vec<String> = cores.iter().flatten().map(|core| core.id.to_string()).collect();
    let lanes = cores.len();
    let plural = if lanes == 1 { "lane" } else { "lanes" };
    tracing::info!(
        "corelane {}: {lanes} {plural} on CPU {} with {waits_on}, process {}",
        env!("CARGO_PKG_VERSION"),
        cpus.join(","),
        std::process::id()
    );
    for app in &settings.apps {
        tracing::info!(
            "application {}: {} on Python {}, {} in each lane",
            app.name,
            app.target,
            python::Runtime::version(),
            match app.threads {
                0 => "inline".to_owned(),
                1 => "1 thread".to_owned(),
                threads => format!("up to {threads} threads"),
            }
        );
    }
    for (index, site) in settings.sites.iter().enumerate() {
        let policy = settings.policies.get(index);
        let hosts = if site.hosts.is_empty() {
            String::new()
        } else {
            format!("{} ", site.hosts.join(" "))
        };
        for route in &site.routes {
            let name =
                |app: usize| settings.apps.get(app).map_or("", |app| app.name.as_str()).to_owned();
            let to = match route.destination {
                Destination::App(app) => format!("application {}", name(app)),
                Destination::Files { files, fallback } => {
                    let folder = settings.files.get(files).map(|files| files.root.display());
                    let folder = folder.map_or_else(String::new, |folder| folder.to_string());
                    let file = settings.files.get(files).and_then(|files| files.fallback.as_ref());
                    let then = fallback.map(|app| format!(", then application {}", name(app)));
                    let then = then.or_else(|| file.map(|file| format!(", then {file}")));
                    format!("{folder}{}", then.unwrap_or_default())
                }
            };
            let slash = match route.slash {
                Slash::Optional if !route.prefix.is_empty() => "",
                _ => "/",
            };
            tracing::info!("route {hosts}{}{slash} to {to}", route.prefix);
        }
        for said in policy.map(said_besides).unwrap_or_default() {
            tracing::info!("{hosts}{said}");
        }
    }
    for group in groups {
        tracing::info!("listening on {group}");
    }
}

/// What a site has besides its routes, in words.
fn said_besides(policy: &Policy) -> Vec<String> {
    let mut said = Vec::new();
    if !policy.rules.is_empty() {
        let realms =
            policy.rules.iter().filter(|rule| matches!(rule.access, Some(Access::Realm(_))));
        said.push(match (policy.rules.len(), realms.count()) {
            (rules, 0) => format!("rules: {rules}"),
            (rules, asking) => format!("rules: {rules}, of which {asking} ask for a password"),
        });
    }
    let mut statuses: Vec<u16> = policy.error_pages.iter().map(|page| page.status).collect();
    if !statuses.is_empty() {
        statuses.sort_unstable();
        let statuses: Vec<String> = statuses.iter().map(u16::to_string).collect();
        said.push(format!("pages for errors: {}", statuses.join(" ")));
    }
    said
}
