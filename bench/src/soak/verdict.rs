//! Whether it holds: from all that was seen to a list of findings. Pure.
//!
//! A wrong answer, a leak, a death or memory over its bound fails a soak. Timings are told, and
//! fail nothing: they depend on the machine and on who shares it.

use std::fmt;

use crate::soak::census;
use crate::soak::census::Census;
use crate::soak::census::Kinds;
use crate::soak::process::Log;
use crate::soak::record::Counts;

/// An attack's p99 may be so many times that of quiet.
pub const SLOWER_MAX: f64 = 2.0;

/// Memory at the end may be over that of the beginning by this, or by a tenth of it: heaps round
/// up.
pub const MEMORY_TOLERANCE_BYTES: u64 = 4 << 20;

/// All that the verdict is about.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Good clients, all phases together.
    pub counts: Counts,
    /// PSS before the first client came.
    pub cold_bytes: u64,
    /// Behind the warm-up, with no client connected. None: the soak did not come so far.
    pub begin: Option<Census>,
    /// At the end, with no client connected.
    pub end: Option<Census>,
    /// Each attack.
    pub attacks: Vec<AttackSeen>,
    /// What memory may reach under any attack.
    pub memory_bytes_max: u64,
    /// The server's end.
    pub life: Life,
    /// What the server logged.
    pub log: Log,
}

/// An attack as far as the verdict goes.
#[derive(Clone, Debug, PartialEq)]
pub struct AttackSeen {
    /// Its name.
    pub name: String,
    /// The p99 of static answers to that of quiet. None: there were no answers.
    pub slower: Option<f64>,
    /// The most memory that was resident.
    pub peak_bytes: u64,
}

/// How the server came through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Life {
    /// It lived to the end, and ended with 0 when it was told to.
    Served,
    /// It lived to the end, and then ended in another way.
    EndedBadly(String),
    /// It died.
    Died(String),
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether it holds.
    pub mark: Mark,
    /// What it is about.
    pub about: &'static str,
    /// What was seen.
    pub text: String,
}

/// Whether something holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It does.
    Held,
    /// It does not, and the soak fails.
    Failed,
    /// Told, and no more.
    Told,
}

/// Whether nothing fails.
#[must_use]
pub fn holds(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.mark != Mark::Failed)
}

/// Looks at everything.
#[must_use]
pub fn judge(seen: &Seen) -> Vec<Finding> {
    let mut findings = vec![answers(&seen.counts), life(&seen.life, &seen.log)];
    match (&seen.begin, &seen.end) {
        (Some(begin), Some(end)) => {
            findings.push(lanes(begin, end));
            findings.push(descriptors(begin, end));
            findings.push(memory(seen.cold_bytes, begin, end));
        }
        _ => findings.push(Finding {
            mark: Mark::Failed,
            about: "leaks",
            text: "not looked for: the soak did not come to its end".to_owned(),
        }),
    }
    findings.push(peaks(&seen.attacks, seen.memory_bytes_max));
    findings.push(timings(&seen.attacks));
    findings
}

fn answers(counts: &Counts) -> Finding {
    let Counts { asked, right, wrong, turned_away, broken, unanswered } = counts;
    let all_right = counts.faults() == 0 && right == asked && *right > 0;
    let mut text = format!("{right} of {asked} good requests answered rightly, byte by byte");
    let faults = [
        (wrong, "wrong"),
        (turned_away, "turned away with 503"),
        (broken, "lost with their connection"),
        (unanswered, "unanswered"),
    ];
    for (count, what) in faults {
        if *count > 0 {
            text += &format!("; {count} {what}");
        }
    }
    Finding { mark: mark(all_right), about: "answers", text }
}

fn life(life: &Life, log: &Log) -> Finding {
    let said = format!(
        "its log has {} errors, {} warnings, and {} exceptions of the application",
        log.errors, log.warnings, log.application_failures
    );
    let (is_well, text) = match life {
        Life::Served if log.panics == 0 => (true, format!("alive to the end; {said}")),
        Life::Served => (false, format!("{} panics; {said}", log.panics)),
        Life::EndedBadly(how) => (false, format!("alive, but did not stop well: {how}; {said}")),
        Life::Died(how) => (false, format!("it died: {how}; {said}")),
    };
    Finding { mark: mark(is_well), about: "process", text }
}

/// Python's threads may become more, up to their bound; a lane's own thread may not go.
fn lanes(begin: &Census, end: &Census) -> Finding {
    let of = |threads: &Kinds| -> Kinds {
        let is_lane = |name: &str| {
            let number = name.strip_prefix("corelane-").unwrap_or_default();
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        };
        let lanes = threads.iter().filter(|(name, _)| is_lane(name));
        lanes.map(|(name, count)| (name.clone(), *count)).collect()
    };
    let (before, after) = (of(&begin.threads), of(&end.threads));
    let all = |threads: &Kinds| threads.values().sum::<usize>();
    let threads = format!("{} threads, {} at the end", all(&begin.threads), all(&end.threads));
    let text = format!("{} lanes, {} at the end; {threads}", all(&before), all(&after));
    Finding { mark: mark(before == after && !before.is_empty()), about: "lanes", text }
}

fn descriptors(begin: &Census, end: &Census) -> Finding {
    let more = census::more(&begin.descriptors, &end.descriptors);
    let text = if more.is_empty() {
        format!("none leaked: {}", census::listed(&end.descriptors))
    } else {
        let each: Vec<String> =
            more.iter().map(|(kind, then, now)| format!("{kind}: {then}, now {now}")).collect();
        format!("leaked: {}", each.join("; "))
    };
    Finding { mark: mark(more.is_empty()), about: "descriptors", text }
}

fn memory(cold_bytes: u64, begin: &Census, end: &Census) -> Finding {
    let tolerance = MEMORY_TOLERANCE_BYTES.max(begin.pss_bytes / 10);
    let text = format!(
        "PSS {:.1} MiB behind the warm-up, {:.1} MiB at the end; {:.1} MiB more are allowed; {:.1} \
         MiB at the start",
        mib(begin.pss_bytes),
        mib(end.pss_bytes),
        mib(tolerance),
        mib(cold_bytes)
    );
    let is_back = end.pss_bytes <= begin.pss_bytes + tolerance;
    Finding { mark: mark(is_back), about: "memory", text }
}

fn peaks(attacks: &[AttackSeen], memory_bytes_max: u64) -> Finding {
    let over: Vec<String> = attacks
        .iter()
        .filter(|attack| attack.peak_bytes > memory_bytes_max)
        .map(|attack| format!("{} {:.1} MiB", attack.name, mib(attack.peak_bytes)))
        .collect();
    let highest = attacks.iter().map(|attack| attack.peak_bytes).max().unwrap_or(0);
    let bound = format!("the bound is {:.0} MiB", mib(memory_bytes_max));
    let text = if over.is_empty() {
        format!("at most {:.1} MiB resident under any attack; {bound}", mib(highest))
    } else {
        format!("{bound}; over it: {}", over.join(", "))
    };
    Finding { mark: mark(over.is_empty()), about: "peaks", text }
}

fn timings(attacks: &[AttackSeen]) -> Finding {
    let within = attacks.iter().filter(|attack| is_within(attack.slower)).count();
    let text = format!(
        "static p99 within {SLOWER_MAX}x of quiet under {within} of {} attacks",
        attacks.len()
    );
    Finding { mark: Mark::Told, about: "timings", text }
}

/// Whether a p99 is within the bound.
#[must_use]
pub fn is_within(slower: Option<f64>) -> bool {
    slower.is_some_and(|slower| slower <= SLOWER_MAX)
}

/// Mebibytes.
#[must_use]
pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

const fn mark(holds: bool) -> Mark {
    if holds { Mark::Held } else { Mark::Failed }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Held => "holds",
            Self::Failed => "FAILS",
            Self::Told => "told",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn census(pss_mib: u64, descriptors: &[(&str, usize)], threads: &[(&str, usize)]) -> Census {
        let kinds = |of: &[(&str, usize)]| -> Kinds {
            of.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect()
        };
        let pss_bytes = pss_mib << 20;
        Census { pss_bytes, descriptors: kinds(descriptors), threads: kinds(threads) }
    }

    const DESCRIPTORS: &[(&str, usize)] = &[("socket", 2), ("file", 3)];
    const THREADS: &[(&str, usize)] = &[("corelane", 1), ("corelane-0", 1), ("corelane-py-0-0", 1)];

    fn good() -> Seen {
        let census = census(30, DESCRIPTORS, THREADS);
        let attack = |slower, mib: u64| AttackSeen {
            name: "it".to_owned(),
            slower: Some(slower),
            peak_bytes: mib << 20,
        };
        Seen {
            counts: Counts { asked: 1000, right: 1000, ..Counts::default() },
            cold_bytes: 20 << 20,
            begin: Some(census.clone()),
            end: Some(census),
            attacks: vec![attack(1.1, 40), attack(2.0, 256)],
            memory_bytes_max: 256 << 20,
            life: Life::Served,
            log: Log::default(),
        }
    }

    /// What fails, after this change.
    fn failed(change: impl FnOnce(&mut Seen)) -> Vec<&'static str> {
        let mut seen = good();
        change(&mut seen);
        let findings = judge(&seen);
        let failed = findings.iter().filter(|finding| finding.mark == Mark::Failed);
        let about: Vec<_> = failed.map(|finding| finding.about).collect();
        assert_eq!(holds(&findings), about.is_empty());
        about
    }

    #[test]
    fn a_good_run_holds() {
        assert_eq!(failed(|_| {}), [""; 0]);
        let findings = judge(&good());
        assert_eq!(findings.len(), 7);
        assert!(findings[6].text.contains("2 of 2 attacks"), "{}", findings[6].text);
    }

    #[test]
    fn each_fault_of_an_answer_fails() {
        let faults: [fn(&mut Counts); 6] = [
            |counts| counts.wrong = 1,
            |counts| counts.turned_away = 1,
            |counts| counts.broken = 1,
            |counts| counts.unanswered = 1,
            |counts| counts.right = 999,
            |counts| (counts.asked, counts.right) = (0, 0),
        ];
        for fault in faults {
            assert_eq!(failed(|seen| fault(&mut seen.counts)), ["answers"]);
        }
        let turned_away = Counts { asked: 9, right: 7, turned_away: 2, ..Counts::default() };
        assert!(answers(&turned_away).text.ends_with("byte by byte; 2 turned away with 503"));
    }

    #[test]
    fn a_death_and_a_bad_end_fail() {
        let lives = [Life::Died("signal 6".into()), Life::EndedBadly("exit 1".into())];
        for life in lives {
            assert_eq!(failed(|seen| seen.life = life), ["process"]);
        }
        assert_eq!(failed(|seen| seen.log.panics = 1), ["process"]);
        assert_eq!(failed(|seen| seen.log.errors = 5), [""; 0]);
        assert_eq!(failed(|seen| seen.end = None), ["leaks"]);
    }

    #[test]
    fn leaks_fail_and_less_does_not() {
        let at_end = |end: Census| failed(|seen| seen.end = Some(end));
        let more: &[(&str, usize)] = &[("socket", 3), ("file", 3)];
        assert_eq!(at_end(census(30, more, THREADS)), ["descriptors"]);
        let other: &[(&str, usize)] = &[("socket", 2), ("file", 3), ("pipe", 1)];
        assert_eq!(at_end(census(30, other, THREADS)), ["descriptors"]);
        assert_eq!(at_end(census(10, &[("socket", 1)], THREADS)), [""; 0]);
        assert_eq!(at_end(census(34, DESCRIPTORS, THREADS)), [""; 0]);
        assert_eq!(at_end(census(35, DESCRIPTORS, THREADS)), ["memory"]);
    }

    #[test]
    fn a_larger_process_may_grow_by_a_tenth() {
        let run = |end| {
            failed(|seen| {
                seen.begin = Some(census(100, DESCRIPTORS, THREADS));
                seen.end = Some(census(end, DESCRIPTORS, THREADS));
            })
        };
        assert_eq!((run(110), run(111)), (vec![], vec!["memory"]));
    }

    #[test]
    fn a_lane_that_is_lost_fails_and_a_python_thread_more_does_not() {
        let at_end = |threads| failed(|seen| seen.end = Some(census(30, DESCRIPTORS, threads)));
        assert_eq!(at_end(&[("corelane", 1), ("corelane-py-0-0", 1)]), ["lanes"]);
        let more: &[(&str, usize)] =
            &[("corelane-0", 1), ("corelane-py-0-0", 1), ("corelane-py-0-1", 1)];
        assert_eq!(at_end(more), [""; 0]);
    }

    #[test]
    fn memory_over_the_bound_fails_and_a_slow_answer_does_not() {
        assert_eq!(failed(|seen| seen.attacks[0].peak_bytes = 257 << 20), ["peaks"]);
        assert_eq!(failed(|seen| seen.attacks[0].slower = Some(50.0)), [""; 0]);
        assert_eq!(failed(|seen| seen.attacks[0].slower = None), [""; 0]);
        assert!(is_within(Some(2.0)) && !is_within(Some(2.01)) && !is_within(None));
    }
}
