//! The text of a soak: a table of phases, and the verdict below it. Pure.

use std::fmt::Write;
use std::time::Duration;

use crate::soak::crowd::Tally;
use crate::soak::record::Record;
use crate::soak::verdict;
use crate::soak::verdict::Finding;
use crate::soak::verdict::SLOWER_MAX;

/// Answers of which a p99 says something: a hundred of them are above it.
const ANSWERS_MIN: u64 = 10_000;

/// One attack, for the table.
#[derive(Clone, Debug)]
pub struct Row<'r> {
    /// Its name.
    pub name: &'r str,
    /// What good clients saw.
    pub record: &'r Record,
    /// Its static p99 to that of quiet.
    pub slower: Option<f64>,
    /// The most memory that was resident.
    pub peak_bytes: u64,
    /// The share of the server's CPU that others took.
    pub others: f64,
    /// What the attackers saw, all attacks of the row together.
    pub tally: &'r Tally,
    /// How soon the server had closed what the attackers had left.
    pub settled: Settled,
}

/// What became of the attackers' connections on the server's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// All closed after this time.
    After(Duration),
    /// So many more than the good clients' were still open when it was no longer waited for.
    Not(usize),
}

/// The table: quiet first, then a row of numbers for each attack and a line of what attackers saw.
#[must_use]
pub fn table(quiet: &Record, quiet_others: f64, quiet_peak_bytes: u64, rows: &[Row<'_>]) -> String {
    let mut text = format!(
        "\n{:14}{:<53}{:<11}{:<10}{}\n{:<17}{}{}\n",
        "",
        "static answers and their latencies in ms",
        "p99 to",
        "Python",
        "peak",
        "attack",
        " count     p50     p99     max     own others  ",
        "quiet            p99     MiB",
    );
    numbers(&mut text, "quiet", quiet, quiet_others, "", quiet_peak_bytes);
    for row in rows {
        let slower = match row.slower {
            Some(slower) => {
                let held = if verdict::is_within(row.slower) { "held" } else { "missed" };
                format!("{slower:.1}x {held}")
            }
            None => "no answers".to_owned(),
        };
        numbers(&mut text, row.name, row.record, row.others, &slower, row.peak_bytes);
        let _ = writeln!(text, "    {}", seen_by_attackers(row.tally, row.settled));
    }
    let fewest = rows.iter().map(|row| row.record.of_static().count()).min().unwrap_or(0);
    let _ = writeln!(
        text,
        "\nown: the p99 of how late the good clients themselves were, a part of every latency. \
         others: what\nother processes took of the server's CPU, so that timings say little. held: \
         within {SLOWER_MAX}x of quiet.\npeak: resident memory of the process; the kernel's socket \
         buffers are not in it."
    );
    if fewest < ANSWERS_MIN {
        let _ = writeln!(
            text,
            "The phases are short: a p99 of {fewest} answers says little, and slow attacks have \
             hardly begun."
        );
    }
    text
}

fn numbers(
    text: &mut String,
    name: &str,
    record: &Record,
    others: f64,
    slower: &str,
    peak_bytes: u64,
) {
    let latencies = record.of_static();
    let _ = writeln!(
        text,
        "{name:<17} {:>6} {:>7.2} {:>7.2} {:>7.1} {:>7.2} {:>4.0} %  {slower:<12} {:>7.1} {:>7.1}",
        latencies.count(),
        latencies.at_ms(0.5),
        latencies.at_ms(0.99),
        latencies.max_ms(),
        record.own.at_ms(0.99),
        others * 100.0,
        record.of_python().at_ms(0.99),
        verdict::mib(peak_bytes),
    );
}

fn seen_by_attackers(tally: &Tally, settled: Settled) -> String {
    let mut text = format!("{} connections", tally.opened);
    if tally.open_max > 1 {
        let _ = write!(text, ", {} at a time", tally.open_max);
    }
    let others = [(tally.closed_by_server, "closed by the server"), (tally.refused, "refused")];
    for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
        let _ = write!(text, ", {count} {what}");
    }
    let _ = match settled {
        Settled::After(time) => write!(text, "; gone after {:.1} s", time.as_secs_f64()),
        Settled::Not(left) => write!(text, "; {left} NOT GONE after all that time"),
    };
    if !tally.statuses.is_empty() {
        let answer = |(status, count): (&u16, &u64)| match status {
            0 => format!("no status {count}"),
            status => format!("{status}: {count}"),
        };
        let answers: Vec<String> = tally.statuses.iter().map(answer).collect();
        let _ = write!(text, "\n    first answers: {}", answers.join(", "));
    }
    text
}

/// The findings, a line each, and the one word that counts.
#[must_use]
pub fn verdict(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { mark, about, text: seen } in findings {
        let _ = writeln!(text, "{mark:<5}  {about:<12} {seen}");
    }
    let holds = verdict::holds(findings);
    let _ = write!(text, "\n{}", if holds { "the soak holds" } else { "THE SOAK FAILS" });
    text
}

/// Adds what one attack saw to what others did.
pub fn add(sum: &mut Tally, tally: &Tally) {
    sum.opened += tally.opened;
    sum.refused += tally.refused;
    sum.closed_by_server += tally.closed_by_server;
    sum.open_max += tally.open_max;
    sum.sent_bytes += tally.sent_bytes;
    for (status, count) in &tally.statuses {
        *sum.statuses.entry(*status).or_insert(0) += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soak::questions::Class;
    use crate::soak::verdict::Mark;

    fn record(milliseconds: u64) -> Record {
        let mut record = Record::new().unwrap();
        for _ in 0..10 {
            record.right(Class::Static, Duration::from_millis(milliseconds));
        }
        record
    }

    #[test]
    fn a_table_has_a_row_for_each_attack() {
        let (quiet, slow) = (record(1), record(5));
        let mut tally = Tally { opened: 1200, open_max: 1000, ..Tally::default() };
        tally.statuses = [(0, 3), (408, 20)].into();
        let row = Row {
            name: "slowloris",
            record: &slow,
            slower: Some(5.0),
            peak_bytes: 40 << 20,
            others: 0.256,
            tally: &tally,
            settled: Settled::After(Duration::from_millis(1500)),
        };
        let not = Row { settled: Settled::Not(3), slower: None, ..row.clone() };
        let held = Row { slower: Some(1.0), ..row.clone() };
        let text = table(&quiet, 0.0, 30 << 20, &[row, not, held]);
        for part in [
            "quiet                 10    1.00",
            "slowloris             10    5.00",
            "   26 %  5.0x",
            "5.0x missed",
            "1.0x held",
            "no answers",
            "40.0",
            "    1200 connections, 1000 at a time; gone after 1.5 s\n",
            "    first answers: no status 3, 408: 20\n",
            "3 NOT GONE",
            "a p99 of 10 answers says little",
        ] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }

    #[test]
    fn the_last_line_is_the_verdict() {
        let finding = |mark| Finding { mark, about: "answers", text: "so".to_owned() };
        let good = verdict(&[finding(Mark::Held), finding(Mark::Told)]);
        assert!(good.ends_with("the soak holds"), "{good}");
        assert!(good.starts_with("holds  answers      so\n"), "{good}");
        let bad = verdict(&[finding(Mark::Held), finding(Mark::Failed)]);
        assert!(bad.ends_with("THE SOAK FAILS"), "{bad}");
    }

    #[test]
    fn tallies_add_up() {
        let mut one = Tally { opened: 1, sent_bytes: 5, ..Tally::default() };
        one.statuses = [(200, 1)].into();
        let mut sum = one.clone();
        add(&mut sum, &one);
        assert_eq!((sum.opened, sum.sent_bytes, sum.statuses[&200]), (2, 10, 2));
    }
}
