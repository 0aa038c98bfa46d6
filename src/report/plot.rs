//! Pictures for a terminal, below the tables: wakeups against the number of workers,
//! other figures against the load, and the latency distributions. Plain letters and no colour, so that they read the
//! same on paper and aloud; lines of box drawing only where the terminal shows them.

mod chart;

use std::io::{self, Write};

use super::curves::{CURVES, Curve};
use chart::{Series, Words};

use crate::observation::Latency;
use crate::results::{CellResult, ExperimentFacts, Results};

/// The letters of a picture.
pub struct Ink {
    /// Between two values of one line.
    between: char,
    /// Of a distribution: ends, from the least to the median, median, from there to
    /// the 99th percentile, that, and on to the largest.
    ends: [char; 2],
    low: char,
    median: char,
    high: char,
    p99: char,
    tail: char,
    axis: [char; 3],
}

const ASCII: Ink = Ink {
    between: '.',
    ends: ['|', '|'],
    low: '-',
    median: 'O',
    high: '=',
    p99: '#',
    tail: '-',
    axis: ['|', '-', '+'],
};

const UNICODE: Ink = Ink {
    between: '·',
    ends: ['├', '┤'],
    low: '─',
    median: '●',
    high: '━',
    p99: '┃',
    tail: '─',
    axis: ['│', '─', '└'],
};

/// The pictures of every experiment, or why there is none. `utf8` says that the terminal shows
/// more than ASCII.
pub fn write(results: &Results, utf8: bool, width: usize, out: &mut dyn Write) -> io::Result<()> {
    let ink = if utf8 { &UNICODE } else { &ASCII };
    for experiment in &results.experiments {
        let cells: Vec<&CellResult> =
            results.cells.iter().filter(|c| c.experiment == experiment.name && c.observation.is_some()).collect();
        let curves: Vec<(&Curve, Vec<Series>)> =
            CURVES.iter().map(|curve| (curve, series(&cells, |cell| curve.point(cell), curve.axis))).collect();
        let drawn: Vec<&(&Curve, Vec<Series>)> = curves.iter().filter(|(_, lines)| is_line(lines)).collect();
        let growth = series(&cells, wakeups, "workers");
        // Where others are drawn, that there is no such picture is no news.
        if drawn.is_empty() || is_line(&growth) {
            let (needs, hint) = match growth.is_empty() {
                true => ("no cell counted wakeups.", ""),
                false => ("that takes cells with two numbers of workers or more.", "Try --set workers=2,4,8,16"),
            };
            let what = "wakeups per event against the number of workers";
            let words = Words { experiment: &experiment.name, what, axis: "workers", needs, hint };
            chart::draw(&words, &growth, ink, width, out)?;
        }
        for (curve, lines) in drawn {
            let what = curve.title();
            let words = Words { experiment: &experiment.name, what: &what, axis: curve.along, needs: "", hint: "" };
            chart::draw(&words, lines, ink, width, out)?;
        }
        latencies(experiment, &cells, ink, width, out)?;
    }
    Ok(())
}

/// Rows, apart by their axes but for the one of the picture.
fn series(cells: &[&CellResult], point: impl Fn(&CellResult) -> Option<(f64, f64)>, axis: &str) -> Vec<Series> {
    let mut found: Vec<Series> = Vec::new();
    for cell in cells.iter().filter(|cell| cell.settings.has_events()) {
        let Some(at) = point(cell) else { continue };
        let others = cell.axes.iter().filter(|(key, _)| key != axis).map(|(_, value)| value.as_str());
        let name = std::iter::once(cell.row.as_str()).chain(others).collect::<Vec<_>>().join(", ");
        match found.iter_mut().find(|(known, _)| *known == name) {
            // Of repetitions the first is drawn.
            Some((_, values)) if values.iter().any(|(place, _)| *place == at.0) => {}
            Some((_, values)) => values.push(at),
            None => found.push((name, vec![at])),
        }
    }
    found.iter_mut().for_each(|(_, values)| values.sort_by(|a, b| a.0.total_cmp(&b.0)));
    found
}

fn wakeups(cell: &CellResult) -> Option<(f64, f64)> {
    Some((f64::from(cell.settings.workers), cell.metrics.get("wakeups_per_event").copied().flatten()?))
}

/// Whether there are two places to draw a line between.
fn is_line(series: &[Series]) -> bool {
    let mut places = series.iter().flat_map(|(_, values)| values.iter().map(|(place, _)| *place));
    let first = places.next();
    places.any(|place| Some(place) != first)
}

/// The distribution of a cell, with what it is of: answers where clients wait for
/// them, else claims.
fn distribution(cell: &CellResult) -> Option<(&'static str, Latency)> {
    let seen = cell.observation.as_ref()?;
    let reply = seen.traffic.as_ref().map(|traffic| ("answer", traffic.reply));
    let all = reply.into_iter().chain([("claim", seen.claim_latency)]);
    all.into_iter().find(|(_, latency)| latency.samples > 0)
}

fn latencies(
    experiment: &ExperimentFacts,
    cells: &[&CellResult],
    ink: &Ink,
    width: usize,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut drawn: Vec<(&CellResult, &str, Latency)> =
        cells.iter().filter_map(|cell| distribution(cell).map(|(what, latency)| (*cell, what, latency))).collect();
    // Those of one row stand together, whatever the order in which they ran.
    let row = |cell: &CellResult| cells.iter().position(|other| other.row == cell.row);
    drawn.sort_by_key(|(cell, ..)| row(cell));
    let mut whats: Vec<&str> = drawn.iter().map(|(_, what, _)| *what).collect();
    whats.dedup();
    writeln!(
        out,
        "\n{}: from the event to the {}, in us, axis logarithmic",
        experiment.name,
        match whats.as_slice() {
            [] => "claim".to_owned(),
            whats => whats.join(" or "),
        }
    )?;
    if drawn.is_empty() {
        return writeln!(out, "  No picture: no cell has latencies.");
    }
    let name = |cell: &CellResult| {
        let axes = cell.axes.iter().map(|(_, value)| value.as_str());
        let repetition = (cell.repetition > 1).then(|| format!("#{}", cell.repetition));
        std::iter::once(cell.row.as_str()).chain(axes).chain(repetition.as_deref()).collect::<Vec<_>>().join(", ")
    };
    let us = |ns: u64| ns.max(1) as f64 / 1000.0;
    let least = drawn.iter().map(|(_, _, l)| us(l.min)).fold(f64::INFINITY, f64::min);
    let most = drawn.iter().map(|(_, _, l)| us(l.max)).fold(0.0, f64::max).max(least * 1.001);
    let label = drawn.iter().map(|(cell, ..)| name(cell).chars().count()).max().unwrap_or(0).min(28);
    let room = width.saturating_sub(label + 18).max(16);
    let at = |ns: u64| (((us(ns) / least).ln() / (most / least).ln()) * (room - 1) as f64).round() as usize;
    writeln!(out, "  {:label$} {:room$} {:>6} {:>6}", "", "", "median", "p99")?;
    for (cell, _, latency) in &drawn {
        let mut row = vec![' '; room];
        for (from, to, with) in [
            (latency.min, latency.max, ink.tail),
            (latency.min, latency.p50, ink.low),
            (latency.p50, latency.p99, ink.high),
        ] {
            row[at(from)..=at(to)].fill(with);
        }
        for (ns, with) in
            [(latency.min, ink.ends[0]), (latency.max, ink.ends[1]), (latency.p99, ink.p99), (latency.p50, ink.median)]
        {
            row[at(ns)] = with;
        }
        let name: String = name(cell).chars().take(label).collect();
        let row: String = row.into_iter().collect();
        writeln!(out, "  {name:label$} {row} {:>6} {:>6}", brief(us(latency.p50)), brief(us(latency.p99)))?;
    }
    let ends = [brief(least), brief(most)];
    writeln!(out, "  {:label$} {}{:>fill$}", "", ends[0], ends[1], fill = room - ends[0].len())?;
    writeln!(
        out,
        "  {} least, {} median, {} 99th percentile, {} largest. Times belong to the machine.",
        ink.ends[0], ink.median, ink.p99, ink.ends[1]
    )
}

/// Three digits that count.
fn brief(us: f64) -> String {
    match us {
        us if us < 10.0 => format!("{us:.2}"),
        us if us < 100.0 => format!("{us:.1}"),
        us => format!("{us:.0}"),
    }
}
