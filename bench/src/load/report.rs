//! Counts and latencies, and their JSON.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::Value;
use serde_json::json;

/// A latency above this is counted as this.
const LATENCY_NS_MAX: u64 = 600_000_000_000;

/// What a measurement found.
#[derive(Clone, Debug)]
pub struct Report {
    /// Answers within the measured time, right or wrong.
    pub requests: u64,
    /// Bytes received within it.
    pub bytes: u64,
    /// Answers with another status or body than they should have. From the start on, as all below.
    pub wrong: u64,
    /// Connections that were refused, reset, or closed before an answer.
    pub errors: u64,
    /// Requests of a fixed rate that found no place in the queue, were lost with their connection,
    /// or had no answer two seconds after the end.
    pub late: u64,
    /// Connections that were opened, again or not.
    pub connections_opened: u64,
    /// The first thing that went wrong, for people.
    pub first_fault: Option<String>,
    latencies_ns: Histogram<u64>,
}

impl Report {
    /// Nothing yet.
    ///
    /// # Errors
    ///
    /// Never: the bounds of the histogram are right.
    pub fn new() -> Result<Self, String> {
        let latencies_ns = Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3);
        Ok(Self {
            requests: 0,
            bytes: 0,
            wrong: 0,
            errors: 0,
            late: 0,
            connections_opened: 0,
            first_fault: None,
            latencies_ns: latencies_ns.map_err(|error| error.to_string())?,
        })
    }

    /// Counts an answer that took so long.
    pub fn answer(&mut self, latency: Duration) {
        self.requests += 1;
        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(LATENCY_NS_MAX);
        self.latencies_ns.saturating_record(nanoseconds.max(1));
    }

    /// Keeps the first fault.
    pub fn note(&mut self, fault: impl FnOnce() -> String) {
        self.first_fault.get_or_insert_with(fault);
    }

    /// The object that is printed; latencies in microseconds, with three digits behind the point.
    #[must_use]
    pub fn to_json(&self, measured: Duration) -> Value {
        let seconds = measured.as_secs_f64();
        let at = |quantile| microseconds(self.latencies_ns.value_at_quantile(quantile) as f64);
        json!({
            "requests": self.requests,
            "seconds": seconds,
            "requests_per_second": (self.requests as f64 / seconds * 10.0).round() / 10.0,
            "bytes": self.bytes,
            "wrong": self.wrong,
            "errors": self.errors,
            "late": self.late,
            "connections_opened": self.connections_opened,
            "latency_us": {
                "p50": at(0.5),
                "p90": at(0.9),
                "p99": at(0.99),
                "p999": at(0.999),
                "max": microseconds(self.latencies_ns.max() as f64),
                "mean": microseconds(self.latencies_ns.mean()),
            },
        })
    }
}

fn microseconds(nanoseconds: f64) -> f64 {
    nanoseconds.round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_says_what_it_was_told() {
        let mut report = Report::new().unwrap();
        for microseconds in 1..=1000 {
            report.answer(Duration::from_micros(microseconds));
        }
        report.note(|| "first".to_owned());
        report.note(|| "second".to_owned());
        assert_eq!(report.first_fault.as_deref(), Some("first"));
        let json = report.to_json(Duration::from_secs(4));
        assert_eq!(json["requests"], 1000);
        assert_eq!(json["requests_per_second"], 250.0);
        let near = |name: &str, expected: f64| {
            let value = json["latency_us"][name].as_f64().unwrap();
            assert!((value / expected - 1.0).abs() < 0.002, "{name}: {value}");
        };
        near("p50", 500.0);
        near("p99", 990.0);
        near("max", 1000.0);
        near("mean", 500.5);
    }

    #[test]
    fn no_answer_at_all_is_a_report_too() {
        let json = Report::new().unwrap().to_json(Duration::from_secs(1));
        assert_eq!(json["requests"], 0);
        assert_eq!(json["latency_us"]["max"], 0.0);
    }
}
