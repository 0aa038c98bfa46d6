//! Latency distributions, from the percentiles that a result keeps.

use super::super::grid::rounded;
use super::chosen::{Chosen, Plot, seen};
use super::markup::{figure, table};
use super::svg::{Drawing, GRID, Scale, WIDTH};
use crate::observation::{Latency, Observation};
use crate::results::CellResult;

const ROW: f64 = 42.0;

/// Reads one figure of a distribution.
type Figure = fn(&Latency) -> u64;
/// Finds one distribution, where a cell has it.
type Found = fn(&Observation) -> Option<Latency>;

/// Percentiles with the samples that each needs to be more than the largest one.
const MARKS: [(&str, u64, Figure); 7] = [
    ("min", 1, |l| l.min),
    ("p50", 2, |l| l.p50),
    ("p90", 10, |l| l.p90),
    ("p99", 100, |l| l.p99),
    ("p99.9", 1000, |l| l.p999),
    ("p99.99", 10_000, |l| l.p9999),
    ("max", 1, |l| l.max),
];

pub fn plot(chosen: &Chosen<'_>) -> Plot {
    let kinds: [(&str, Found); 2] = [
        ("from the event to the worker that has it", |seen| Some(seen.claim_latency)),
        ("from the intended start to the answer", |seen| seen.traffic.as_ref().map(|traffic| traffic.reply)),
    ];
    let figures: String = kinds.iter().filter_map(|(what, of)| one(chosen, what, *of)).collect();
    match figures.is_empty() {
        true => Err("latencies: no cell has samples of one".into()),
        false => Ok(figures),
    }
}

fn one(chosen: &Chosen<'_>, what: &str, of: fn(&Observation) -> Option<Latency>) -> Option<String> {
    let sampled = |cell: &&CellResult| {
        let latency = of(seen(cell)).filter(|latency| latency.samples > 0)?;
        Some((cell.row.clone(), latency))
    };
    let rows: Vec<(String, Latency)> = chosen.cells.iter().filter_map(sampled).collect();
    let us = |ns: u64| ns as f64 / 1000.0;
    let least = rows.iter().map(|(_, l)| us(l.min.max(1))).fold(f64::INFINITY, f64::min);
    let most = rows.iter().map(|(_, l)| us(l.max)).fold(0.0, f64::max);
    if rows.is_empty() {
        return None;
    }
    let scale = Scale::new((least, most), (4.0, WIDTH - 4.0), true);
    let bottom = ROW * rows.len() as f64 + 4.0;
    let title = format!("Latency {what}, a range for each wait; the figures follow as a table");
    let mut drawing = Drawing::new(bottom + 32.0, title);
    let decades = (-3..=9).map(|power| 10f64.powi(power)).filter(|tick| (least..=most).contains(tick));
    for tick in decades {
        drawing.line(&[(scale.at(tick), 0.0), (scale.at(tick), bottom)], GRID);
        let anchor = match scale.at(tick) {
            x if x < 24.0 => "start",
            x if x > WIDTH - 24.0 => "end",
            _ => "middle",
        };
        drawing.text(scale.at(tick), bottom + 13.0, anchor, &short(tick));
    }
    for (at, (wait, latency)) in rows.iter().enumerate() {
        let top = ROW * at as f64;
        let (start, end) = (scale.at(us(latency.min.max(1))), scale.at(us(latency.max)));
        drawing.text(0.0, top + 13.0, "start", wait);
        let (name, _, far) = known(latency).find(|(name, ..)| *name == "p99").unwrap_or(&MARKS[MARKS.len() - 1]);
        let words = format!("p50 {}, {name} {} us", rounded(us(latency.p50)), rounded(us(far(latency))));
        drawing.text(WIDTH, top + 13.0, "end", &words);
        drawing.line(&[(start, top + 27.0), (end, top + 27.0)], "axis");
        let (p50, p90) = (scale.at(us(latency.p50)), scale.at(us(latency.p90)));
        drawing.rect((p50, top + 22.0), (p90 - p50, 10.0), "hidden");
        drawing.dot((p50, top + 27.0), "dot large c0");
        for (_, _, value) in known(latency).filter(|(name, ..)| name.starts_with("p99")) {
            let x = scale.at(us(value(latency)));
            drawing.line(&[(x, top + 20.0), (x, top + 34.0)], "line c1");
        }
        drawing.line(&[(end, top + 23.0), (end, top + 31.0)], "axis");
    }
    drawing.text(WIDTH, bottom + 28.0, "end", "logarithmic");
    let header: Vec<String> = ["wait".to_owned(), "samples".to_owned()]
        .into_iter()
        .chain(MARKS.iter().map(|(name, ..)| format!("{name} us")))
        .collect();
    let line = |(wait, latency): &(String, Latency)| {
        let value = |(_, needs, value): &(&str, u64, fn(&Latency) -> u64)| match latency.samples >= *needs {
            true => rounded(us(value(latency))),
            false => "-".into(),
        };
        [wait.clone(), latency.samples.to_string()].into_iter().chain(MARKS.iter().map(value)).collect()
    };
    let numbers: Vec<Vec<String>> = rows.iter().map(line).collect();
    let caption = format!(
        "Latency {what}: line from least to most, dot p50, box p50 to p90, bars p99, p99.9 and p99.99 where there are \
         samples enough. A time belongs to the machine: shown, never judged.{}",
        chosen.which()
    );
    Some(figure(&drawing.finish(), &caption, &table("Latency in microseconds", &header, &numbers)))
}

/// Percentiles that are more than another name of the largest sample.
fn known(latency: &Latency) -> impl Iterator<Item = &'static (&'static str, u64, fn(&Latency) -> u64)> {
    let samples = latency.samples;
    MARKS.iter().filter(move |(_, needs, _)| samples >= *needs)
}

fn short(us: f64) -> String {
    match us {
        us if us >= 1e6 => format!("{} s", rounded(us / 1e6)),
        us if us >= 1e3 => format!("{} ms", rounded(us / 1e3)),
        us => format!("{us} us"),
    }
}
