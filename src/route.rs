//! The route table: which site answers for a host, and which of its routes owns a path.
//!
//! It takes sites that config has checked, sorts them once, and is then read for each request
//! without allocating. It is pure: it compares bytes and knows nothing of sockets, files or Python.
//! What a destination's index stands for is the business of who asked.

use crate::limits::HOST_BYTES_MAX;
use std::cmp::Ordering;
use std::cmp::Reverse;

/// The table of all sites. Made once, then only read.
#[derive(Clone, Debug)]
pub struct Router {
    /// The routes of each site, longest prefix first.
    sites: Vec<Vec<Route>>,
    /// Whole host names in lower case, sorted, with their site's index.
    exact: Vec<(Vec<u8>, usize)>,
    /// What follows `*.` in a wildcard, in lower case, sorted, with its site's index.
    wildcard: Vec<(Vec<u8>, usize)>,
    /// The site without hosts.
    every: Option<usize>,
}

/// One site: some hosts, and what their paths lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// `example.com` or `*.example.com`, without port. None at all: every host that no other site
    /// names. A wildcard stands for one or more labels, never for none.
    pub hosts: Vec<String>,
    /// In any order.
    pub routes: Vec<Route>,
}

/// One path prefix and what answers below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Without trailing slash: `/book`; empty for the root. It ends where a segment of the path
    /// ends: `/book` owns `/book` and `/book/x`, not `/bookshop`.
    pub prefix: String,
    /// Whether the bare prefix is an address of its own.
    pub slash: Slash,
    /// What answers.
    pub destination: Destination,
}

/// How the operator wrote the prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slash {
    /// As `/book/`: the bare `/book` is to be redirected to `/book/`.
    Required,
    /// As `/book`, or the root.
    Optional,
}

/// What answers below a prefix. The numbers are indexes into the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A folder of files.
    Files {
        /// Index into `Settings::files`.
        files: usize,
        /// Index into `Settings::apps`: the application that answers where no file is.
        fallback: Option<usize>,
    },
    /// An application: index into `Settings::apps`.
    App(usize),
}

impl Router {
    /// Builds the table. Where two sites name the same host, or two routes the same prefix, the
    /// first one wins; config refuses both.
    #[must_use]
    pub fn new(sites: Vec<Site>) -> Self {
        let mut router = Self {
            sites: Vec::with_capacity(sites.len()),
            exact: Vec::new(),
            wildcard: Vec::new(),
            every: None,
        };
        for (index, mut site) in sites.into_iter().enumerate() {
            if site.hosts.is_empty() && router.every.is_none() {
                router.every = Some(index);
            }
            for host in &site.hosts {
                let (table, name) = match host.strip_prefix("*.") {
                    Some(parent) => (&mut router.wildcard, parent),
                    None => (&mut router.exact, host.as_str()),
                };
                let name = bare_host(name.as_bytes()).to_ascii_lowercase();
                if let Err(place) = table.binary_search_by(|(known, _)| known.cmp(&name)) {
                    table.insert(place, (name, index));
                }
            }
            site.routes.sort_by_key(|route| Reverse(route.prefix.len())); // stable: first wins
            router.sites.push(site.routes);
        }
        router
    }

    /// The route of a site that owns `path`, which is decoded, with its dot segments resolved: the
    /// one with the longest prefix. None where no route does: a site is never left for another one
    /// then. `site` is what [`Router::site`] gives.
    #[must_use]
    pub fn route(&self, site: usize, path: &[u8]) -> Option<&Route> {
        let routes = self.sites.get(site)?;
        routes.iter().find(|route| owns(route.prefix.as_bytes(), path))
    }

    /// The number of the site for `host`: by the whole name, else by the longest wildcard, else the
    /// one without hosts; None where none of them is.
    ///
    /// `host` is the value of the Host field or the authority of an absolute-form target: a port,
    /// a trailing dot and the case of letters do not count (RFC 9110 section 4.2.3).
    #[must_use]
    pub fn site(&self, host: &[u8]) -> Option<usize> {
        if self.exact.is_empty() && self.wildcard.is_empty() {
            return self.every; // the common case: one site for every host
        }
        let host = bare_host(host);
        // Nothing longer can be a name of ours; without this a host of thousands of dots would be
        // looked up at each of them.
        if host.len() > HOST_BYTES_MAX {
            return self.every;
        }
        lookup(&self.exact, host).or_else(|| self.wildcard_of(host)).or(self.every)
    }

    /// Tries the parents from the longest one on, so that the most particular wildcard wins.
    fn wildcard_of(&self, host: &[u8]) -> Option<usize> {
        if self.wildcard.is_empty() {
            return None;
        }
        let mut rest = host;
        while let Some(dot) = memchr::memchr(b'.', rest) {
            let label_is_empty = dot == 0;
            rest = rest.get(dot + 1..)?;
            if label_is_empty {
                continue;
            }
            if let Some(site) = lookup(&self.wildcard, rest) {
                return Some(site);
            }
        }
        None
    }
}

/// The host without port and without the trailing dot of an absolute name.
fn bare_host(host: &[u8]) -> &[u8] {
    // The colons of an IPv6 literal are inside its brackets (RFC 3986 section 3.2.2).
    let end = match host.first() {
        Some(b'[') => memchr::memchr(b']', host).map(|bracket| bracket + 1),
        _ => memchr::memchr(b':', host),
    };
    let name = end.and_then(|end| host.get(..end)).unwrap_or(host);
    name.strip_suffix(b".").unwrap_or(name)
}

/// The site of this name, whatever the case of its letters.
fn lookup(table: &[(Vec<u8>, usize)], name: &[u8]) -> Option<usize> {
    let place = table.binary_search_by(|(known, _)| compare_lowercase(known, name)).ok()?;
    table.get(place).map(|(_, site)| *site)
}

/// Compares a lower-case name with one in any case, without making a lower-case copy of it.
fn compare_lowercase(known: &[u8], name: &[u8]) -> Ordering {
    known.iter().copied().cmp(name.iter().map(u8::to_ascii_lowercase))
}

/// Whether the prefix ends at the end of a segment of the path.
fn owns(prefix: &[u8], path: &[u8]) -> bool {
    match path.strip_prefix(prefix) {
        Some(rest) => matches!(rest.first(), None | Some(b'/')),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(prefix: &str, app: usize) -> Route {
        Route {
            prefix: prefix.to_owned(),
            slash: Slash::Optional,
            destination: Destination::App(app),
        }
    }

    fn site(hosts: &[&str], routes: &[(&str, usize)]) -> Site {
        Site {
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            routes: routes.iter().map(|(prefix, app)| route(prefix, *app)).collect(),
        }
    }

    fn app(router: &Router, host: &str, path: &str) -> Option<usize> {
        let site = router.site(host.as_bytes())?;
        match router.route(site, path.as_bytes())?.destination {
            Destination::App(app) => Some(app),
            Destination::Files { .. } => panic!("no test here has files"),
        }
    }

    #[test]
    fn a_prefix_ends_at_a_segment() {
        let router = Router::new(vec![site(&[], &[("/book", 1), ("/book/new", 2)])]);
        assert_eq!(app(&router, "", "/book"), Some(1));
        assert_eq!(app(&router, "", "/book/"), Some(1));
        assert_eq!(app(&router, "", "/book/x"), Some(1));
        assert_eq!(app(&router, "", "/book/new"), Some(2));
        assert_eq!(app(&router, "", "/book/new/x"), Some(2));
        assert_eq!(app(&router, "", "/book/newer"), Some(1));
        assert_eq!(app(&router, "", "/bookshop"), None);
        assert_eq!(app(&router, "", "/boo"), None);
        assert_eq!(app(&router, "", "/Book"), None);
        assert_eq!(app(&router, "", "/"), None);
    }

    #[test]
    fn the_root_owns_every_path_and_no_asterisk() {
        let router = Router::new(vec![site(&[], &[("", 1), ("/a", 2)])]);
        assert_eq!(app(&router, "h", "/"), Some(1));
        assert_eq!(app(&router, "h", "/b"), Some(1));
        assert_eq!(app(&router, "h", "/a"), Some(2));
        assert_eq!(app(&router, "h", "*"), None);
    }

    #[test]
    fn a_whole_name_goes_before_a_wildcard_before_every_host() {
        let router = Router::new(vec![
            site(&[], &[("", 0)]),
            site(&["*.example.com"], &[("", 1)]),
            site(&["www.example.com", "Example.COM."], &[("", 2)]),
            site(&["*.eu.example.com"], &[("", 3)]),
            site(&["[::1]"], &[("", 4)]),
        ]);
        for (host, expected) in [
            ("www.example.com", 2),
            ("example.com", 2),
            ("EXAMPLE.com:8000", 2),
            ("example.com.", 2),
            ("example.com.:80", 2),
            ("a.example.com", 1),
            ("a.b.EXAMPLE.com.:80", 1),
            ("a.eu.example.com", 3),
            ("a.b.eu.example.com", 3),
            ("eu.example.com", 1),
            (".example.com", 0),
            ("notexample.com", 0),
            ("example.com..", 0),
            ("", 0),
            (".", 0),
            (":80", 0),
            ("[::1]:8000", 4),
            ("[::1]", 4),
            ("[::2]:8000", 0),
            ("[::1", 0),
        ] {
            assert_eq!(app(&router, host, "/"), Some(expected), "{host:?}");
        }
    }

    #[test]
    fn a_site_is_not_left_for_another_one() {
        let router =
            Router::new(vec![site(&[], &[("", 0)]), site(&["example.com"], &[("/only", 1)])]);
        assert_eq!(app(&router, "example.com", "/only"), Some(1));
        assert_eq!(app(&router, "example.com", "/other"), None);
        assert_eq!(app(&router, "example.org", "/other"), Some(0));
    }

    #[test]
    fn without_a_site_for_every_host_an_unknown_host_finds_nothing() {
        let router = Router::new(vec![site(&["example.com"], &[("", 1)])]);
        assert_eq!(app(&router, "example.org", "/"), None);
        assert_eq!(app(&router, "", "/"), None);
        assert_eq!(app(&Router::new(Vec::new()), "", "/"), None);
    }

    #[test]
    fn the_longest_host_is_looked_up_and_a_longer_one_is_not() {
        let longest = format!("{}.example.com", "a".repeat(HOST_BYTES_MAX - ".example.com".len()));
        let router = Router::new(vec![site(&["*.example.com"], &[("", 1)])]);
        assert_eq!(longest.len(), HOST_BYTES_MAX);
        assert_eq!(app(&router, &longest, "/"), Some(1));
        assert_eq!(app(&router, &format!("a{longest}"), "/"), None);
    }

    #[test]
    fn of_two_equal_routes_the_first_one_wins() {
        let router = Router::new(vec![
            site(&["example.com"], &[("/a", 1), ("/a", 2)]),
            site(&["EXAMPLE.com"], &[("", 3)]),
        ]);
        assert_eq!(app(&router, "example.com", "/a"), Some(1));
        assert_eq!(app(&router, "example.com", "/"), None);
    }

    /// The slow twin: lists of segments and labels, no order, no search.
    fn twin(sites: &[Site], host: &str, path: &str) -> Option<usize> {
        let host = host.to_lowercase();
        let host = host.split(':').next().unwrap();
        let host = host.strip_suffix('.').unwrap_or(host);
        let labels: Vec<&str> = host.split('.').collect();
        let score = |site: &Site| -> Option<usize> {
            let of_host = |pattern: &String| {
                let pattern: Vec<&str> = pattern.split('.').collect();
                match pattern.split_first() {
                    Some((&"*", parent)) => (labels.len() > parent.len()
                        && labels.ends_with(parent)
                        && !labels[labels.len() - parent.len() - 1].is_empty())
                    .then_some(parent.len()),
                    _ => (labels == pattern).then_some(usize::MAX),
                }
            };
            match site.hosts.is_empty() {
                true => Some(0),
                false => site.hosts.iter().filter_map(of_host).max(),
            }
        };
        let site = sites.iter().filter(|site| score(site).is_some()).max_by_key(|s| score(s))?;
        let segments: Vec<&str> = path.split('/').collect();
        let owner = site
            .routes
            .iter()
            .filter(|route| segments.starts_with(&route.prefix.split('/').collect::<Vec<_>>()))
            .max_by_key(|route| route.prefix.len())?;
        match owner.destination {
            Destination::App(app) => Some(app),
            Destination::Files { .. } => None,
        }
    }

    #[test]
    fn the_slow_twin_agrees() {
        let (pieces_max, step, found_min) = if cfg!(miri) { (3, 21, 20) } else { (6, 1, 10_000) };
        let prefixes = [("", 0), ("/a", 1), ("/a/b", 2), ("/ab", 3), ("/b/a", 4), ("/a/b/a", 5)];
        let patterns = ["a.b", "*.a.b", "b", "*.b", "*.b.a.b", "b.a.b"];
        let hosts = texts(&["a", "b", ".", "B", ":1"], pieces_max.min(5));
        let paths = texts(&["a", "b", "/"], pieces_max);
        let paths: Vec<String> = paths.into_iter().map(|text| format!("/{text}")).collect();
        let mut found = 0;
        for chosen in (0..1_usize << prefixes.len()).step_by(step) {
            let routes: Vec<(&str, usize)> = bits(chosen).map(|bit| prefixes[bit]).collect();
            let sites = [site(&[], &routes)];
            let router = Router::new(sites.to_vec());
            for path in &paths {
                let expected = twin(&sites, "", path);
                found += usize::from(expected.is_some());
                assert_eq!(app(&router, "", path), expected, "{path:?} in {routes:?}");
            }
        }
        for chosen in (0..1_usize << patterns.len()).step_by(step) {
            let mut sites: Vec<Site> =
                bits(chosen).map(|bit| site(&[patterns[bit]], &[("", bit)])).collect();
            sites.push(site(&[], &[("", 99)]));
            let router = Router::new(sites.clone());
            for host in &hosts {
                let expected = twin(&sites, host, "/");
                found += usize::from(expected != Some(99));
                assert_eq!(app(&router, host, "/"), expected, "{host:?} in {sites:?}");
            }
        }
        assert!(found > found_min, "the twin must have been asked something: {found}");
    }

    fn bits(chosen: usize) -> impl Iterator<Item = usize> {
        (0..8).filter(move |bit| chosen & (1 << bit) != 0)
    }

    /// All texts of up to `count` of the pieces.
    fn texts(pieces: &[&str], count: usize) -> Vec<String> {
        let mut all = vec![String::new()];
        let mut last = all.clone();
        for _ in 0..count {
            last = last
                .iter()
                .flat_map(|text| pieces.iter().map(move |piece| format!("{text}{piece}")))
                .collect();
            all.extend(last.iter().cloned());
        }
        all
    }
}
