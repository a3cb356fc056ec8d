//! What good clients saw in one phase: counts, latencies, the first faults.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::soak::questions::Class;

/// A latency above this is counted as this.
const LATENCY_NS_MAX: u64 = 600_000_000_000;

/// Faults whose text is kept, for each phase.
const FAULTS_MAX: usize = 3;

/// What became of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Due.
    pub asked: u64,
    /// Answered rightly, byte by byte.
    pub right: u64,
    /// Answered with anything else.
    pub wrong: u64,
    /// Answered with 503.
    pub turned_away: u64,
    /// Lost with their connection, which was refused, reset or closed.
    pub broken: u64,
    /// Not answered in time.
    pub unanswered: u64,
}

/// Latencies, from the moment at which a request was due.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

/// A phase as good clients saw it.
#[derive(Clone, Debug)]
pub struct Record {
    /// All classes together.
    pub counts: Counts,
    /// At the class's index.
    pub latencies: [Latencies; Class::ALL.len()],
    /// How late the client itself was: a part of every latency that the server is not to blame for.
    pub own: Latencies,
    /// What went wrong first.
    pub faults: Vec<String>,
    /// How often the clients' own thread was not run at all for a while.
    pub stalls: u64,
    /// The longest of them.
    pub stall_max: Duration,
}

/// What can happen to a request but a right answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A wrong answer.
    Wrong,
    /// A 503.
    TurnedAway,
    /// A connection that failed.
    Broken,
    /// No answer in time.
    Unanswered,
}

impl Counts {
    /// Requests that were not answered rightly.
    #[must_use]
    pub const fn faults(&self) -> u64 {
        self.wrong + self.turned_away + self.broken + self.unanswered
    }

    /// Adds those of another phase.
    pub const fn add(&mut self, other: &Self) {
        self.asked += other.asked;
        self.right += other.right;
        self.wrong += other.wrong;
        self.turned_away += other.turned_away;
        self.broken += other.broken;
        self.unanswered += other.unanswered;
    }
}

impl Latencies {
    /// None yet.
    ///
    /// # Errors
    ///
    /// Never: the bounds of the histogram are right.
    pub fn new() -> Result<Self, String> {
        Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3)
            .map(Self)
            .map_err(|error| error.to_string())
    }

    /// Counts one.
    pub fn take(&mut self, latency: Duration) {
        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(LATENCY_NS_MAX);
        self.0.saturating_record(nanoseconds.max(1));
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Milliseconds that this share of them did not exceed. 0 of none.
    #[must_use]
    pub fn at_ms(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1e6
    }

    /// The greatest, in milliseconds.
    #[must_use]
    pub fn max_ms(&self) -> f64 {
        self.0.max() as f64 / 1e6
    }
}

impl Record {
    /// Nothing yet.
    ///
    /// # Errors
    ///
    /// Never, as [`Latencies::new`].
    pub fn new() -> Result<Self, String> {
        let latencies = [Latencies::new()?, Latencies::new()?, Latencies::new()?];
        Ok(Self {
            counts: Counts::default(),
            latencies,
            own: Latencies::new()?,
            faults: Vec::new(),
            stalls: 0,
            stall_max: Duration::ZERO,
        })
    }

    /// A right answer, so long after it was due.
    pub fn right(&mut self, class: Class, latency: Duration) {
        self.counts.right += 1;
        if let Some(latencies) = self.latencies.get_mut(class.index()) {
            latencies.take(latency);
        }
    }

    /// A request that was not answered rightly.
    pub fn fault(&mut self, fault: Fault, why: impl FnOnce() -> String) {
        *match fault {
            Fault::Wrong => &mut self.counts.wrong,
            Fault::TurnedAway => &mut self.counts.turned_away,
            Fault::Broken => &mut self.counts.broken,
            Fault::Unanswered => &mut self.counts.unanswered,
        } += 1;
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(why());
        }
    }

    /// The latencies of static files.
    #[must_use]
    pub const fn of_static(&self) -> &Latencies {
        let [latencies, _, _] = &self.latencies;
        latencies
    }

    /// The latencies of the application.
    #[must_use]
    pub const fn of_python(&self) -> &Latencies {
        let [_, _, latencies] = &self.latencies;
        latencies
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_says_what_it_was_told() {
        let mut record = Record::new().unwrap();
        for milliseconds in 1..=100 {
            record.right(Class::Static, Duration::from_millis(milliseconds));
        }
        record.right(Class::Python, Duration::from_secs(1));
        let near = |value: f64, expected: f64| (value / expected - 1.0).abs() < 0.002;
        assert!(near(record.of_static().at_ms(0.5), 50.0));
        assert!(near(record.of_static().at_ms(0.99), 99.0));
        assert!(near(record.of_static().max_ms(), 100.0));
        assert!(near(record.of_python().max_ms(), 1000.0));
        let all = [Fault::Wrong, Fault::TurnedAway, Fault::Broken, Fault::Unanswered];
        for (number, fault) in all.into_iter().cycle().take(8).enumerate() {
            record.fault(fault, || number.to_string());
        }
        let (asked, right) = (0, 101);
        let expected = Counts { asked, right, wrong: 2, turned_away: 2, broken: 2, unanswered: 2 };
        assert_eq!(record.counts, expected);
        assert_eq!(record.counts.faults(), 8);
        assert_eq!(record.faults, ["0", "1", "2"]);
        let mut sum = expected;
        sum.add(&expected);
        assert_eq!((sum.right, sum.faults()), (202, 16));
    }
}
