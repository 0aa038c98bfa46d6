//! Pictures for a terminal, below the tables: wakeups against the number of workers,
//! and the latency distributions. Plain letters and no colour, so that they read the
//! same on paper and aloud; lines of box drawing only where the terminal shows them.

use std::io::{self, Write};

use super::table::wrapped;
use crate::analysis::judge::short;
use crate::observation::Latency;
use crate::results::{CellResult, ExperimentFacts, Results};

/// The names of rows that look the same, and their values by number of workers.
type Line<'a> = (Vec<&'a str>, &'a [(u32, f64)]);

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

/// Lines of the larger picture.
const HEIGHT: usize = 12;

/// The pictures of every experiment, or why there is none. `utf8` says that the terminal shows
/// more than ASCII.
pub fn write(results: &Results, utf8: bool, width: usize, out: &mut dyn Write) -> io::Result<()> {
    let ink = if utf8 { &UNICODE } else { &ASCII };
    for experiment in &results.experiments {
        let cells: Vec<&CellResult> =
            results.cells.iter().filter(|c| c.experiment == experiment.name && c.observation.is_some()).collect();
        growth(experiment, &cells, ink, width, out)?;
        latencies(experiment, &cells, ink, width, out)?;
    }
    Ok(())
}

/// One line of the picture: its name and the value at each number of workers.
type Series = (String, Vec<(u32, f64)>);

/// Rows, apart by their axes but for the workers.
fn series(cells: &[&CellResult]) -> Vec<Series> {
    let mut found: Vec<Series> = Vec::new();
    for cell in cells.iter().filter(|cell| cell.settings.script.is_empty()) {
        let Some(value) = cell.metrics.get("wakeups_per_event").copied().flatten() else { continue };
        let others = cell.axes.iter().filter(|(key, _)| key != "workers").map(|(_, value)| value.as_str());
        let name = std::iter::once(cell.row.as_str()).chain(others).collect::<Vec<_>>().join(", ");
        let at = (cell.settings.workers, value);
        match found.iter_mut().find(|(known, _)| *known == name) {
            // Of repetitions the first is drawn.
            Some((_, values)) if values.iter().any(|(workers, _)| *workers == at.0) => {}
            Some((_, values)) => values.push(at),
            None => found.push((name, vec![at])),
        }
    }
    found.iter_mut().for_each(|(_, values)| values.sort_by_key(|(workers, _)| *workers));
    found
}

fn growth(
    experiment: &ExperimentFacts,
    cells: &[&CellResult],
    ink: &Ink,
    width: usize,
    out: &mut dyn Write,
) -> io::Result<()> {
    let series = series(cells);
    let mut workers: Vec<u32> = series.iter().flat_map(|(_, values)| values.iter().map(|(n, _)| *n)).collect();
    workers.sort_unstable();
    workers.dedup();
    let scale = Scale::of(series.iter().flat_map(|(_, values)| values.iter().map(|(_, value)| *value)));
    let factors = if scale.least.is_some() { ", logarithmic" } else { "" };
    writeln!(out, "\n{}: wakeups per event against the number of workers{factors}", experiment.name)?;
    if series.is_empty() {
        return writeln!(out, "  No picture: no cell counted wakeups.");
    }
    if workers.len() < 2 {
        writeln!(out, "  No picture: that takes cells with two numbers of workers or more.")?;
        return writeln!(out, "  Try --set workers=2,4,8,16");
    }
    // Lines that look the same to a reader share a letter.
    let mut lines: Vec<Line<'_>> = Vec::new();
    for (name, values) in &series {
        let same = |known: &[(u32, f64)]| {
            known.len() == values.len()
                && known.iter().zip(values).all(|(a, b)| a.0 == b.0 && format!("{:.1}", a.1) == format!("{:.1}", b.1))
        };
        match lines.iter_mut().find(|(_, known)| same(known)) {
            Some((names, _)) => names.push(name),
            None => lines.push((vec![name], values)),
        }
    }
    let marks = scale.marks();
    let label = marks.iter().map(|(_, text)| text.len()).max().unwrap_or(0);
    let widest = workers.last().map_or(1, |n| n.to_string().len());
    let room = width.saturating_sub(label + 4).clamp(workers.len() * 2 + widest, 100);
    let column = |n: u32| {
        let at = workers.iter().position(|known| *known == n).expect("one of them");
        1 + at * (room - 2 - widest) / (workers.len() - 1)
    };
    let line = |value: f64| scale.line(value);
    let mut canvas = vec![vec![' '; room]; HEIGHT];
    for (_, values) in &lines {
        for pair in values.windows(2) {
            let (from, to) = (column(pair[0].0), column(pair[1].0));
            let (low, high) = (line(pair[0].1) as f64, line(pair[1].1) as f64);
            (from + 1..to).for_each(|at| {
                // Straight on the paper, whatever the axis.
                let part = (at - from) as f64 / (to - from) as f64;
                canvas[(low + part * (high - low)).round() as usize][at] = ink.between;
            });
        }
    }
    for (index, (_, values)) in lines.iter().enumerate() {
        for (n, value) in *values {
            let spot = &mut canvas[line(*value)][column(*n)];
            *spot = if *spot == ' ' || *spot == ink.between { letter(index) } else { '*' };
        }
    }
    for (at, row) in canvas.iter().enumerate() {
        let mark = marks.iter().find(|(line, _)| *line == at).map_or("", |(_, text)| text);
        let text: String = row.iter().collect();
        writeln!(out, "{}", format!(" {mark:>label$} {}{text}", ink.axis[0]).trim_end())?;
    }
    let base: String = std::iter::repeat_n(ink.axis[1], room).collect();
    writeln!(out, " {:label$} {}{base}", "", ink.axis[2])?;
    let mut below = vec![' '; room];
    let mut free = 0;
    for n in &workers {
        // A number for which there is no room is left out; the table has it.
        if column(*n) >= free {
            for (i, digit) in n.to_string().chars().enumerate() {
                below[column(*n) + i] = digit;
            }
            free = column(*n) + n.to_string().len() + 1;
        }
    }
    let below: String = below.into_iter().collect();
    writeln!(out, " {:label$}  {}", "", below.trim_end())?;
    for (index, (names, values)) in lines.iter().enumerate() {
        let last = values.last().expect("a line has a value");
        let text = format!("{}: {} ({} at {} workers)", letter(index), names.join("; "), figure(last.1), last.0);
        for (at, line) in wrapped(&text, width - 4).iter().enumerate() {
            writeln!(out, "  {}{line}", if at == 0 { "" } else { "   " })?;
        }
    }
    if canvas.iter().flatten().any(|c| *c == '*') {
        writeln!(out, "  *: several of them")?;
    }
    Ok(())
}

/// The upright axis: from 0, or by factors where values are far apart, so that a herd
/// that grows with its workers is a straight line and its cure stays apart from zero.
struct Scale {
    /// The lowest value by factors; `None` if the axis begins at 0.
    least: Option<f64>,
    top: f64,
}

impl Scale {
    /// How far apart values are before the axis goes by factors.
    const FAR: f64 = 16.0;

    fn of(values: impl Iterator<Item = f64> + Clone) -> Scale {
        let least = values.clone().fold(f64::INFINITY, f64::min);
        let top = values.fold(1.0, f64::max);
        Scale { least: (least > 0.0 && top / least >= Scale::FAR).then_some(least.min(1.0)), top }
    }

    /// The line of the picture, counted from above.
    fn line(&self, value: f64) -> usize {
        let part = match self.least {
            Some(least) => (value / least).ln() / (self.top / least).ln(),
            None => value / self.top,
        };
        HEIGHT - 1 - ((part * (HEIGHT - 1) as f64).round() as usize).min(HEIGHT - 1)
    }

    /// Lines that say their value: round ones, at most one for every second line.
    fn marks(&self) -> Vec<(usize, String)> {
        let steps = [1.0, 2.0, 5.0].iter().flat_map(|first| (-3..9).map(move |tens| first * 10f64.powi(tens)));
        let step = steps.filter(|step| self.top / step <= 5.0).fold(self.top, f64::min);
        let values: Vec<f64> = match self.least {
            Some(_) => (-10..31).map(|power| 2f64.powi(power)).collect(),
            None => (0..6).map(|count| step * f64::from(count)).collect(),
        };
        let mut found: Vec<(usize, String)> = Vec::new();
        let least = self.least.unwrap_or(0.0);
        let inside = values.into_iter().filter(|value| *value >= least && *value <= self.top);
        // The ends first: they say the most.
        for value in [least, self.top].into_iter().chain(inside) {
            let line = self.line(value);
            if found.iter().all(|(known, _)| known.abs_diff(line) >= 2) {
                found.push((line, figure(value)));
            }
        }
        found
    }
}

/// A to Z, then a to z; after that a mark that is no letter.
fn letter(index: usize) -> char {
    ('A'..='Z').chain('a'..='z').nth(index).unwrap_or('?')
}

fn figure(value: f64) -> String {
    if value == value.trunc() { short(value) } else { format!("{value:.2}") }
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
