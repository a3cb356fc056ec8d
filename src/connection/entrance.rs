//! What the rules of a site say of a request before anything answers it: who may ask, where it goes
//! instead, and which fields its answer gets.

use std::borrow::Cow;

use crate::auth;
use crate::auth::Check;
use crate::connection::decide::Desk;
use crate::connection::decide::Learned;
use crate::connection::decide::Prove;
use crate::connection::decide::Step;
use crate::connection::decide::Trouble;
use crate::connection::decide::merged;
use crate::request::Request;
use crate::request::Target;
use crate::response::Head;
use crate::route::Route;
use crate::rules::Judgement;
use crate::rules::Rules;
use crate::rules::Verdict;
use crate::static_files::Entry;
use crate::static_files::Files;
use crate::workshop::Busy;

impl Desk<'_> {
    /// Asks the rules of the site first.
    pub(super) fn by_rules(
        &mut self,
        request: &Request<'_>,
        site: usize,
        rules: &Rules,
        learned: Learned,
    ) -> Step {
        let path = &request.target.path;
        let judgement = match merged(path) {
            Cow::Borrowed(_) => rules.judge(request),
            // `//private` must not slip by a rule for `/private`.
            Cow::Owned(path) => judge_path(rules, request, path),
        };
        self.overlay = judgement.overlay;
        if let Some(realm) = judgement.access
            && let Some(step) = self.refuse_entry(request, realm, &learned)
        {
            return step;
        }
        match judgement.verdict {
            Verdict::Proceed => self.route(request, site, path, None, learned),
            Verdict::Rewrite(path) => {
                match self.keep(request, &judge_path(rules, request, path.clone()), &learned) {
                    Some(step) => step,
                    None => self.route(request, site, &path, Some(&path), learned),
                }
            }
            Verdict::Redirect { status, location } => {
                let mut head = Head::new(status);
                head.field("Location", &location);
                self.own_answer(request, head)
            }
            Verdict::Deny { status } => self.own_answer(request, Head::new(status)),
            Verdict::Preflight => self.own_answer(request, Head::new(204)),
        }
    }

    /// What is kept from clients by its own path is kept from them by every other one: where that
    /// is not the one of the request, it is asked about here.
    fn keep(
        &mut self,
        request: &Request<'_>,
        judgement: &Judgement,
        learned: &Learned,
    ) -> Option<Step> {
        if let Some(realm) = judgement.access
            && let Some(step) = self.refuse_entry(request, realm, learned)
        {
            return Some(step);
        }
        match judgement.verdict {
            Verdict::Deny { status } => Some(self.own_answer(request, Head::new(status))),
            // Nobody was asked for a password, so nothing but this may answer. The fields of the
            // other path are not told, and a browser takes it for a refusal.
            Verdict::Preflight => Some(self.own_answer(request, Head::new(204))),
            Verdict::Proceed | Verdict::Rewrite(_) | Verdict::Redirect { .. } => None,
        }
    }

    /// The same for a file that stands for another path: the index of a folder, a page without its
    /// extension, a fallback.
    pub(super) fn keep_file(
        &mut self,
        request: &Request<'_>,
        route: &Route,
        files: &Files,
        below: &[u8],
        entry: &Entry,
        learned: &Learned,
    ) -> Option<Step> {
        let source = entry.file()?.source();
        let policy = self.service.policies.get(self.site?)?;
        if source.is_empty() || policy.rules.is_empty() || below.strip_prefix(b"/") == Some(source)
        {
            return None;
        }
        let path = [route.prefix.as_bytes(), b"/", source].concat();
        let judgement = judge_path(&policy.rules, request, path);
        if files.is_fallback(below, source) {
            // It is not what was asked for, which may be there later: caches are told of it.
            self.overlay.take_caching_of(&judgement.overlay);
        }
        self.keep(request, &judgement, learned)
    }

    /// What to do with somebody who may not ask, or of whom that is not known yet.
    fn refuse_entry(
        &mut self,
        request: &Request<'_>,
        number: usize,
        learned: &Learned,
    ) -> Option<Step> {
        let realm = self.service.realms.get(number)?;
        let verdict = match &learned.access {
            Some((realm, verdict)) if *realm == number => verdict.clone(),
            _ => match realm.check(request.only_header("authorization")) {
                Check::Granted(user) => Ok(auth::Verdict::Granted(user)),
                Check::Refused => Ok(auth::Verdict::Refused),
                Check::Unknown(proof) => return Some(Step::Prove(Prove { realm: number, proof })),
            },
        };
        match verdict {
            Ok(auth::Verdict::Granted(user)) => {
                self.user = Some(user.to_string());
                None
            }
            Ok(auth::Verdict::Refused) => {
                let mut head = Head::new(401);
                head.field("WWW-Authenticate", realm.challenge());
                Some(self.own_answer(request, head))
            }
            Err(Busy) => Some(self.own_answer(request, Trouble::Busy.head())),
        }
    }
}

fn judge_path(rules: &Rules, request: &Request<'_>, path: Vec<u8>) -> Judgement {
    let target = Target { path: Cow::Owned(path), ..request.target.clone() };
    rules.judge(&Request { target, ..request.clone() })
}
