//! The few lines at the start that say what serves where.

use core_affinity::CoreId;

use crate::config::Settings;
use crate::python;
use crate::route::Destination;
use crate::route::Slash;
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
    for site in &settings.sites {
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
                    let then = fallback.map(|app| format!(", then application {}", name(app)));
                    format!("{folder}{}", then.unwrap_or_default())
                }
            };
            let slash = match route.slash {
                Slash::Optional if !route.prefix.is_empty() => "",
                _ => "/",
            };
            tracing::info!("route {hosts}{}{slash} to {to}", route.prefix);
        }
    }
    for group in groups {
        tracing::info!("listening on {group}");
    }
}
