//! Which figures are drawn against which load, on the terminal and on the page.

use crate::results::CellResult;

/// One picture.
pub struct Curve {
    /// The key of a matrix whose values are the axis.
    pub axis: &'static str,
    /// What they count.
    pub along: &'static str,
    /// The metric that goes upwards, and the one that stands for it in files from before
    /// there was that.
    pub metric: &'static str,
    pub before: &'static str,
    /// What it is, with its unit.
    pub upwards: &'static str,
}

pub const CURVES: &[Curve] = &[
    Curve {
        axis: "clients",
        along: "clients",
        metric: "answers_per_second",
        before: "served_per_second",
        upwards: "answers per second",
    },
    Curve {
        axis: "clients",
        along: "clients",
        metric: "reply_latency_us_p99",
        before: "reply_latency_us_p99",
        upwards: "99th percentile of the latency in us",
    },
    Curve {
        axis: "idle_connections",
        along: "silent connections",
        metric: "memory_kib",
        before: "memory_kib",
        upwards: "memory of the server in KiB",
    },
    Curve {
        axis: "idle_connections",
        along: "silent connections",
        metric: "cpu_us_per_event",
        before: "cpu_us_per_event",
        upwards: "CPU time of the server in us per event",
    },
    Curve {
        axis: "rate",
        along: "events a second",
        metric: "reply_latency_us_p99",
        before: "reply_latency_us_p99",
        upwards: "99th percentile of the latency in us",
    },
];

impl Curve {
    /// In words.
    pub fn title(&self) -> String {
        format!("{} against {}", self.upwards, self.along)
    }

    /// The place of a cell, if it has one: on the axis, and upwards.
    pub fn point(&self, cell: &CellResult) -> Option<(f64, f64)> {
        let (_, place) = cell.axes.iter().find(|(key, _)| key == self.axis)?;
        let metric = |name: &str| cell.metrics.get(name).copied().flatten().filter(|value| value.is_finite());
        Some((place.parse().ok()?, metric(self.metric).or_else(|| metric(self.before))?))
    }
}
