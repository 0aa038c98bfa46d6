//! Wakeups per event against the number of workers.

use super::chart::{Words, charts};
use super::chosen::{Plot, metric};
use crate::results::CellResult;

const WORDS: Words<'_> = Words {
    axis: "workers",
    along: "workers",
    upwards: "wakeups per event",
    title: "Wakeups per event against the number of workers",
    caption: "Median wakeups per event (upwards) against the number of workers (to the right).",
    table: "Median wakeups per event by number of workers",
};

pub fn plot(cells: &[&CellResult]) -> Plot {
    let of_axis: Vec<&CellResult> =
        cells.iter().copied().filter(|cell| cell.axes.iter().any(|(key, _)| key == WORDS.axis)).collect();
    if of_axis.is_empty() {
        return Err("wakeups against the number of workers: no axis is the number of workers".into());
    }
    let figures = charts(&WORDS, &of_axis, &|cell| Some((f64::from(cell.settings.workers), value(cell)?)));
    match figures.is_empty() {
        true => Err("wakeups against the number of workers: no wait was measured with two numbers of workers".into()),
        false => Ok(figures.concat()),
    }
}

fn value(cell: &CellResult) -> Option<f64> {
    metric(cell, "wakeups_per_event_median").or_else(|| metric(cell, "wakeups_per_event"))
}
