//! Claim latencies of two results. Shown, never judged.
//!
//! One run of a cell gives one figure, its median, however many claims it had:
//! they all share the mood of the machine in that moment, and medians of one
//! kernel were seen to differ fivefold from run to run. So the sample is the
//! repetitions (`--repeat`), and with fewer than [`REPETITIONS`] on each side no
//! order of them would be significant.

use serde::Serialize;

use super::ERROR_RATE;
use super::pairing::Group;
use crate::analysis::rank::{Histogram, mann_whitney};

/// 2 of the 3432 orders of seven and seven separate them: p = 0.0006.
const REPETITIONS: usize = 7;
/// A difference must be at least this part of the old median ..
const PART: f64 = 0.2;
/// .. and this many times the spread between repetitions.
const SPREADS: f64 = 2.0;

/// Medians that differ by more than chance and noise.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LatencyDifference {
    pub id: String,
    pub old_us: f64,
    pub new_us: f64,
    pub p: f64,
    /// Chance that a new repetition is slower than an old one.
    pub superiority: f64,
}

/// The medians of the repetitions in nanoseconds, sorted.
fn medians(group: &Group<'_>) -> Vec<u64> {
    let latencies = group.complete().map(|(_, seen)| seen.claim_latency);
    let mut found: Vec<u64> = latencies.filter(|l| l.samples > 0).map(|l| l.p50).collect();
    found.sort_unstable();
    found
}

/// Why the latencies of these pairs cannot be compared, if none can.
pub fn refused(pairs: &[(&Group<'_>, &Group<'_>)]) -> Option<String> {
    let most = pairs.iter().map(|(old, new)| medians(old).len().min(medians(new).len())).max()?;
    (most < REPETITIONS)
        .then(|| format!("{most} of {REPETITIONS} repetitions on both sides (run with --repeat {REPETITIONS})"))
}

/// The difference of one pair, if there is one.
pub fn compare(old: &Group<'_>, new: &Group<'_>) -> Option<LatencyDifference> {
    let (was, is) = (medians(old), medians(new));
    if was.len().min(is.len()) < REPETITIONS {
        return None;
    }
    let (from, to) = (quantile(&was, 0.5), quantile(&is, 0.5));
    let spread = |sorted: &[u64]| quantile(sorted, 0.75) - quantile(sorted, 0.25);
    let effect = (to - from).abs();
    if effect <= PART * from || effect <= SPREADS * spread(&was).max(spread(&is)) {
        return None;
    }
    let ranked = mann_whitney(&histogram(&was), &histogram(&is))?;
    (ranked.p < ERROR_RATE).then(|| LatencyDifference {
        id: old.id.into(),
        old_us: from / 1000.0,
        new_us: to / 1000.0,
        p: ranked.p,
        superiority: ranked.superiority,
    })
}

fn histogram(values: &[u64]) -> Histogram {
    let mut found = Histogram::new();
    values.iter().for_each(|value| *found.entry(*value).or_default() += 1);
    found
}

/// Between the two nearest values of a sorted sample that is not empty.
fn quantile(sorted: &[u64], part: f64) -> f64 {
    let at = part * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[at.floor() as usize] as f64, sorted[at.ceil() as usize] as f64);
    low + (high - low) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_values() {
        assert_eq!(quantile(&[10, 20, 30], 0.5), 20.0);
        assert_eq!(quantile(&[10, 20], 0.75), 17.5);
        assert_eq!(quantile(&[7], 0.25), 7.0);
    }
}
