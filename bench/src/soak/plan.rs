//! How the time of a soak is divided, and how strong each attack is for it. Pure.
//!
//! A warm-up in which everything is attacked once, a quiet time, then each attack with a quiet time
//! behind it, and at last all attacks together.

use std::time::Duration;

use crate::soak::attacks::Attack;
use crate::soak::attacks::Opens;
use crate::soak::attacks::RESETS_OF_600_S;
use crate::soak::crowd::Strength;

/// The whole run that the numbers of attacks are made for.
const WHOLE_SECONDS: f64 = 600.0;

/// A shorter warm-up leaves memory that grows only once.
const WARM_TIME_MIN: Duration = Duration::from_secs(4);

/// Shares of the whole time.
const WARM_SHARE: f64 = 0.05;
const QUIET_SHARE: f64 = 0.15;

/// The weight of all attacks together, beside those of each alone.
const TOGETHER_WEIGHT: u32 = 3;

/// Of an attack's time, at its end: the attackers leave, and the good clients go on.
const LEAVING_SHARE: f64 = 0.1;

/// The times of a soak.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// All attacks together, before anything is measured.
    pub warm: Duration,
    /// Good clients alone: before the first attack and behind each.
    pub quiet: Duration,
    /// Each attack alone, in the order in which they were given.
    pub alone: Vec<Duration>,
    /// All attacks together.
    pub together: Duration,
    seconds: f64,
}

impl Plan {
    /// Divides this time among these attacks.
    #[must_use]
    pub fn new(time: Duration, attacks: &[&Attack]) -> Self {
        let warm = time.mul_f64(WARM_SHARE).max(WARM_TIME_MIN).min(time / 4);
        let times = u32::try_from(attacks.len()).unwrap_or(u32::MAX).saturating_add(2);
        let all_quiet = time.mul_f64(QUIET_SHARE);
        let weights: u32 =
            attacks.iter().map(|attack| attack.weight).sum::<u32>() + TOGETHER_WEIGHT;
        let unit = time.saturating_sub(warm + all_quiet) / weights.max(1);
        Self {
            warm,
            quiet: all_quiet / times,
            alone: attacks.iter().map(|attack| unit * attack.weight).collect(),
            together: unit * TOGETHER_WEIGHT,
            seconds: time.as_secs_f64(),
        }
    }

    /// How strong an attack is when it has this time alone; `connections_max` is what descriptors
    /// allow.
    #[must_use]
    pub fn strength<'a>(
        &self,
        attack: &'a Attack,
        alone: Duration,
        connections_max: usize,
    ) -> Strength<'a> {
        let connections = attack.connections.min(connections_max);
        let acting = acting(alone).as_secs_f64().max(0.001);
        let opens_per_second = match attack.opens {
            Opens::PerSecond(rate) => rate,
            Opens::InAQuarter => 4.0 * connections as f64 / acting,
            Opens::Resets => f64::from(RESETS_OF_600_S) * (self.seconds / WHOLE_SECONDS) / acting,
        };
        Strength { attack, connections, opens_per_second }
    }
}

/// Of an attack's time, that in which the attackers act.
#[must_use]
pub fn acting(time: Duration) -> Duration {
    time.mul_f64(1.0 - LEAVING_SHARE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soak::attacks::ATTACKS;

    fn sum(plan: &Plan) -> Duration {
        let times = u32::try_from(plan.alone.len()).unwrap() + 2;
        plan.warm + plan.quiet * times + plan.alone.iter().sum::<Duration>() + plan.together
    }

    #[test]
    fn the_parts_are_the_whole() {
        let all: Vec<&Attack> = ATTACKS.iter().collect();
        for seconds in [20, 60, 600, 86_400] {
            let time = Duration::from_secs(seconds);
            for attacks in [&all[..], &all[..1]] {
                let plan = Plan::new(time, attacks);
                let gap = time.abs_diff(sum(&plan));
                assert!(gap < Duration::from_millis(10), "{gap:?} of {time:?}");
                assert!(plan.alone.iter().all(|one| !one.is_zero()) && !plan.quiet.is_zero());
            }
        }
    }

    #[test]
    fn a_run_of_ten_minutes_has_a_million_resets() {
        let all: Vec<&Attack> = ATTACKS.iter().collect();
        let resets = all.iter().position(|attack| attack.opens == Opens::Resets).unwrap();
        for (seconds, expected) in [(600, 1_000_000.0), (60, 100_000.0)] {
            let plan = Plan::new(Duration::from_secs(seconds), &all);
            let alone = plan.alone[resets];
            let strength = plan.strength(all[resets], alone, 20_000);
            let resets = strength.opens_per_second * acting(alone).as_secs_f64();
            assert!((resets / expected - 1.0).abs() < 0.001, "{resets}");
        }
    }

    #[test]
    fn connections_are_there_after_a_quarter_and_fit() {
        let attack = ATTACKS.iter().find(|attack| attack.connections == 10_000).unwrap();
        let plan = Plan::new(Duration::from_secs(600), &[attack]);
        let strength = plan.strength(attack, Duration::from_secs(40), 500);
        assert_eq!(strength.connections, 500);
        assert!((strength.opens_per_second - 500.0 / 9.0).abs() < 0.01);
        assert_eq!(plan.strength(attack, Duration::from_secs(40), 20_000).connections, 10_000);
    }
}
