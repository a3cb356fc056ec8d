//! What a process holds (memory, descriptors by kind, threads by name) and what it uses of its CPU.
//! From /proc, see proc(5).

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

/// Clock ticks of /proc in a second, on every Linux of today (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;

/// Things by kind, and how many.
pub type Kinds = BTreeMap<String, usize>;

/// What a process holds, when nobody is connected to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Its share of all memory (PSS): pages that others hold as well count for a part.
    pub pss_bytes: u64,
    /// Descriptors by kind.
    pub descriptors: Kinds,
    /// Threads by name.
    pub threads: Kinds,
}

impl Census {
    /// Of this process, now.
    ///
    /// # Errors
    ///
    /// When /proc does not tell: the process is gone.
    pub fn take(process: u32) -> io::Result<Self> {
        Ok(Self {
            pss_bytes: pss_bytes(process)?,
            descriptors: descriptors(process)?,
            threads: threads(process)?,
        })
    }
}

/// The process's share of memory.
///
/// # Errors
///
/// When /proc does not tell.
pub fn pss_bytes(process: u32) -> io::Result<u64> {
    field_bytes(&format!("/proc/{process}/smaps_rollup"), "Pss:")
}

/// Its resident memory now. Reading it costs the process nothing, unlike its share.
///
/// # Errors
///
/// When /proc does not tell.
pub fn resident_bytes(process: u32) -> io::Result<u64> {
    field_bytes(&format!("/proc/{process}/status"), "VmRSS:")
}

/// The most that was resident since [`forget_peak`].
///
/// # Errors
///
/// When /proc does not tell.
pub fn peak_bytes(process: u32) -> io::Result<u64> {
    field_bytes(&format!("/proc/{process}/status"), "VmHWM:")
}

/// Begins a new peak.
///
/// # Errors
///
/// When the process is another user's, or gone.
pub fn forget_peak(process: u32) -> io::Result<()> {
    std::fs::write(format!("/proc/{process}/clear_refs"), "5")
}

/// What has been used of a CPU until a moment: by all together, and by one process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    at: Instant,
    all_seconds: f64,
    own_seconds: f64,
}

impl Usage {
    /// Of this CPU and this process, now.
    ///
    /// # Errors
    ///
    /// When /proc does not tell.
    pub fn take(cpu: usize, process: u32) -> io::Result<Self> {
        let missing = || io::Error::new(io::ErrorKind::InvalidData, "no such CPU or process");
        let all = std::fs::read_to_string("/proc/stat")?;
        let own = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
        Ok(Self {
            at: Instant::now(),
            all_seconds: all_ticks(&all, cpu).ok_or_else(missing)? / TICKS_PER_SECOND,
            own_seconds: own_ticks(&own).ok_or_else(missing)? / TICKS_PER_SECOND,
        })
    }

    /// What others than the process took of the CPU since then, as a share of the time. The
    /// process's threads are taken to be all on that CPU.
    #[must_use]
    pub fn others_since(&self, then: &Self) -> f64 {
        let time = self.at.saturating_duration_since(then.at).max(Duration::from_millis(1));
        let all = self.all_seconds - then.all_seconds;
        let own = self.own_seconds - then.own_seconds;
        ((all - own) / time.as_secs_f64()).clamp(0.0, 1.0)
    }
}

/// user, nice, system and steal of this CPU. Interrupts belong to nobody: that is where the kernel
/// does the server's receiving.
fn all_ticks(text: &str, cpu: usize) -> Option<f64> {
    let name = format!("cpu{cpu} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&name))?;
    let ticks: Vec<f64> = line.split_whitespace().filter_map(|one| one.parse().ok()).collect();
    [0, 1, 2, 7].into_iter().map(|index| ticks.get(index)).sum()
}

/// utime and stime, the 14th and 15th value. The second one is a name that may have blanks.
fn own_ticks(text: &str) -> Option<f64> {
    let (_, behind_name) = text.rsplit_once(')')?;
    let mut ticks = behind_name.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (ticks.next()?.parse().ok()?, ticks.next()?.parse().ok()?);
    Some(user + system)
}

/// Descriptors by kind: `socket`, `[eventfd]`, `file`...
///
/// # Errors
///
/// When /proc does not tell.
pub fn descriptors(process: u32) -> io::Result<Kinds> {
    let mut kinds = Kinds::new();
    for entry in std::fs::read_dir(format!("/proc/{process}/fd"))? {
        // It may have been closed since the folder was read.
        if let Ok(target) = std::fs::read_link(entry?.path()) {
            *kinds.entry(kind(&target)).or_insert(0) += 1;
        }
    }
    Ok(kinds)
}

fn kind(target: &Path) -> String {
    let text = target.to_string_lossy();
    if target.is_absolute() {
        let is_deleted = text.ends_with(" (deleted)");
        return if is_deleted { "deleted file" } else { "file" }.to_owned();
    }
    match text.split_once(':') {
        Some(("anon_inode", name)) => name.to_owned(),
        Some((name, _)) => name.to_owned(),
        None => text.into_owned(),
    }
}

fn threads(process: u32) -> io::Result<Kinds> {
    let mut names = Kinds::new();
    for entry in std::fs::read_dir(format!("/proc/{process}/task"))? {
        if let Ok(name) = std::fs::read_to_string(entry?.path().join("comm")) {
            *names.entry(name.trim().to_owned()).or_insert(0) += 1;
        }
    }
    Ok(names)
}

/// What is more in `after` than in `before`: kind, then, now.
#[must_use]
pub fn more(before: &Kinds, after: &Kinds) -> Vec<(String, usize, usize)> {
    let then = |kind: &String| before.get(kind).copied().unwrap_or(0);
    let now = after.iter().map(|(kind, count)| (kind.clone(), then(kind), *count));
    now.filter(|(_, then, now)| now > then).collect()
}

/// Kinds as people read them: `3 file, 1 socket`.
#[must_use]
pub fn listed(kinds: &Kinds) -> String {
    let each: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    each.join(", ")
}

fn field_bytes(path: &str, name: &str) -> io::Result<u64> {
    let text = std::fs::read_to_string(path)?;
    kib(&text, name)
        .map(|kib| kib * 1024)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("no {name} in {path}")))
}

/// The number of kibibytes in the line of this name.
fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(of: &[(&str, usize)]) -> Kinds {
        of.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect()
    }

    #[test]
    fn kinds_of_descriptors() {
        let expected = [
            ("socket:[4026531840]", "socket"),
            ("pipe:[17]", "pipe"),
            ("anon_inode:[io_uring]", "[io_uring]"),
            ("anon_inode:[eventpoll]", "[eventpoll]"),
            ("anon_inode:inotify", "inotify"),
            ("/srv/site/a.txt", "file"),
            ("/tmp/#123 (deleted)", "deleted file"),
            ("odd", "odd"),
        ];
        for (target, expected) in expected {
            assert_eq!(kind(Path::new(target)), expected, "{target}");
        }
    }

    #[test]
    fn what_is_more_is_told_and_nothing_else() {
        let before = kinds(&[("socket", 2), ("file", 3), ("pipe", 1)]);
        let after = kinds(&[("socket", 4), ("file", 2), ("pipe", 1), ("[eventfd]", 1)]);
        let expected = [("[eventfd]".to_owned(), 0, 1), ("socket".to_owned(), 2, 4)];
        assert_eq!(more(&before, &after), expected);
        assert!(more(&before, &before).is_empty());
        assert_eq!(listed(&before), "3 file, 1 pipe, 2 socket");
    }

    #[test]
    fn lines_of_proc() {
        let text = "Name:\tx\nVmHWM:\t   12345 kB\nVmRSS:\t  12 kB\n";
        assert_eq!(kib(text, "VmHWM:"), Some(12_345));
        assert_eq!(kib(text, "Pss:"), None);
        assert_eq!(kib("Pss: many kB\n", "Pss:"), None);
    }

    #[test]
    fn usage_of_a_cpu() {
        let stat =
            "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 100 20 30 900 5 6 7 50 0 0\ncpu1 1 1 1 1 1 1 1 1\n";
        assert_eq!(all_ticks(stat, 0), Some(200.0));
        assert_eq!(all_ticks(stat, 7), None);
        let own = "12 (a ) name) S 1 1 1 0 -1 4 5 6 7 8 40 60 0 0 20 0 1 0";
        assert_eq!(own_ticks(own), Some(100.0));
        let at = Instant::now();
        let usage = |seconds, all_seconds, own_seconds| Usage {
            at: at + Duration::from_secs(seconds),
            all_seconds,
            own_seconds,
        };
        let others = usage(4, 13.0, 6.0).others_since(&usage(0, 10.0, 5.0));
        assert!((others - 0.5).abs() < 1e-9, "{others}");
        assert_eq!(usage(4, 10.0, 6.0).others_since(&usage(0, 10.0, 5.0)), 0.0);
        assert!(Usage::take(0, std::process::id()).is_ok() || !Path::new("/proc/stat").exists());
    }

    #[test]
    fn a_descriptor_more_is_seen_in_this_very_process() {
        let process = std::process::id();
        let folder = tempfile::tempdir().unwrap();
        let before = descriptors(process).unwrap();
        let held: Vec<_> = (0..200)
            .map(|number| std::fs::File::create(folder.path().join(number.to_string())).unwrap())
            .collect();
        // Other tests of this process open and close some at the same time.
        let found = more(&before, &descriptors(process).unwrap());
        assert!(found.iter().any(|(kind, then, now)| kind == "file" && now - then > 100));
        drop(held);
        let census = Census::take(process).unwrap();
        assert!(census.pss_bytes > 100_000 && !census.threads.is_empty());
        assert!(peak_bytes(process).unwrap() > 0 && resident_bytes(process).unwrap() > 0);
        assert!(Census::take(u32::MAX).is_err());
    }
}
