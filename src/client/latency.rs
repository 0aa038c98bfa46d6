//! How latencies are kept: HDR histograms of nanoseconds.

use hdrhistogram::Histogram;

use crate::observation::Latency;

/// 1000 s in nanoseconds: what is later counts as so late.
const MOST_NS: u64 = 1_000_000_000_000;
/// 1 ms in nanoseconds: as far as a new histogram reaches.
const FIRST_NS: u64 = 1_000_000;

/// From 1 ns to 1000 s with three digits. It grows as it must: one for all of that is a
/// quarter of a megabyte, to be paged in and searched in each cell.
pub fn histogram() -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(1, FIRST_NS, 3).expect("constant bounds");
    histogram.auto(true);
    histogram
}

/// Adds one latency.
pub fn note(histogram: &mut Histogram<u64>, ns: u64) {
    histogram.record(ns.clamp(1, MOST_NS)).expect("it grows");
}

/// The figures of a distribution.
pub fn latency_of(histogram: &Histogram<u64>) -> Latency {
    // All in one search.
    let mut values = histogram.value_at_quantiles([0.5, 0.9, 0.99, 0.999, 0.9999]);
    let mut next = || values.next().expect("one value for each quantile");
    Latency {
        samples: histogram.len(),
        min: histogram.min(),
        p50: next(),
        p90: next(),
        p99: next(),
        p999: next(),
        p9999: next(),
        max: histogram.max(),
    }
}
