//! How latencies are kept: HDR histograms of nanoseconds.

use hdrhistogram::Histogram;

use crate::observation::Latency;

/// From 1 ns to 1000 s with three digits.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 1_000_000_000_000, 3).expect("constant bounds")
}

/// The figures of a distribution.
pub fn latency_of(histogram: &Histogram<u64>) -> Latency {
    let at = |quantile| histogram.value_at_quantile(quantile);
    Latency {
        samples: histogram.len(),
        min: histogram.min(),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        p9999: at(0.9999),
        max: histogram.max(),
    }
}
