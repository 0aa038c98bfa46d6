//! Wakeups per event against the number of workers.

use super::super::grid::{groups, heading, rounded};
use super::super::matrix::html::escaped;
use super::chosen::{Plot, metric};
use super::markup::{figure, table};
use super::svg::{Drawing, Scale, WIDTH, ticks};
use crate::results::CellResult;

const AXIS: &str = "workers";
const HEIGHT: f64 = 270.0;
const LEFT: f64 = 34.0;
const RIGHT: f64 = WIDTH - 22.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = HEIGHT - 36.0;
/// So many combinations of the other axes are drawn.
const DRAWN: usize = 4;
/// Distance of two letters at the ends of lines, and of two numbers on the axis.
const LETTERS: f64 = 13.0;
const NUMBERS: f64 = 24.0;

/// Waits that have the same figures throughout, drawn as one line.
struct Line {
    waits: Vec<String>,
    points: Vec<(f64, f64)>,
}

pub fn plot(cells: &[&CellResult]) -> Plot {
    let of_axis: Vec<&CellResult> =
        cells.iter().copied().filter(|cell| cell.axes.iter().any(|(key, _)| key == AXIS)).collect();
    if of_axis.is_empty() {
        return Err("wakeups against the number of workers: no axis is the number of workers".into());
    }
    let rest = |cell: &CellResult| {
        let axes: Vec<(String, String)> = cell.axes.iter().filter(|(key, _)| key != AXIS).cloned().collect();
        heading(&axes)
    };
    let figures: Vec<String> =
        groups(&of_axis, rest).iter().take(DRAWN).filter_map(|(axes, cells)| one(axes, cells)).collect();
    match figures.is_empty() {
        true => Err("wakeups against the number of workers: no wait was measured with two numbers of workers".into()),
        false => Ok(figures.concat()),
    }
}

fn value(cell: &CellResult) -> Option<f64> {
    metric(cell, "wakeups_per_event_median").or_else(|| metric(cell, "wakeups_per_event"))
}

fn one(axes: &str, cells: &[&CellResult]) -> Option<String> {
    let lines = lines(cells);
    let all: Vec<(f64, f64)> = lines.iter().flat_map(|line| line.points.iter().copied()).collect();
    let range = |of: fn(&(f64, f64)) -> f64| {
        let values = all.iter().map(of);
        (values.clone().fold(f64::INFINITY, f64::min), values.fold(0.0, f64::max))
    };
    let (least, most) = range(|point| point.0);
    let (low, high) = range(|point| point.1);
    if least >= most {
        return None;
    }
    let log = most >= 16.0 * least && low > 0.0;
    let x = Scale::new((least, most), (LEFT, RIGHT), log);
    let y = Scale::new((if log { low.min(1.0) } else { 0.0 }, high.max(1.0)), (BOTTOM, TOP), log);
    let title = format!("Wakeups per event against the number of workers, {} lines; the figures follow", lines.len());
    let mut drawing = Drawing::new(HEIGHT, title);
    axes_of(&mut drawing, &all, (x, y), (log, high.max(1.0)));
    let mut ends = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let points: Vec<(f64, f64)> = line.points.iter().map(|(n, count)| (x.at(*n), y.at(*count))).collect();
        drawing.line(&points, &format!("line c{} d{}", at % 6, at % 4));
        points.iter().for_each(|point| drawing.dot(*point, 2.5, &format!("fill c{}", at % 6)));
        ends.extend(points.last().map(|end| (*end, at)));
    }
    // Letters that would lie on each other move down.
    ends.sort_by(|(a, _), (b, _)| a.1.total_cmp(&b.1));
    let mut free = 0.0f64;
    for ((end_x, end_y), at) in ends {
        let place = (end_y + 4.0).max(free);
        drawing.text((end_x + 7.0).min(WIDTH - 10.0), place, "start", &letter(at));
        free = place + LETTERS;
    }
    let named = |(at, line): (usize, &Line)| {
        let sample = "width=\"28\" height=\"12\" viewBox=\"0 0 28 12\" aria-hidden=\"true\"";
        let stroke = format!("<polyline points=\"0,6 28,6\" class=\"line c{} d{}\"/>", at % 6, at % 4);
        format!("<li><svg {sample}>{stroke}</svg> <b>{}</b> {}</li>\n", letter(at), escaped(&line.waits.join(", ")))
    };
    let names: String = lines.iter().enumerate().map(named).collect();
    let picture = format!("{}<ul class=\"key\">\n{names}</ul>\n", drawing.finish());
    let here = if axes.is_empty() { String::new() } else { format!(" Here {axes}.") };
    let scales = if log { " Both scales are logarithmic." } else { "" };
    let caption = format!(
        "Median wakeups per event (upwards) against the number of workers (to the right).{scales} Waits with the same \
         figures are one line.{here}"
    );
    Some(figure(&picture, &caption, &figures(cells)))
}

/// Lines in the order in which their waits are met.
fn lines(cells: &[&CellResult]) -> Vec<Line> {
    let mut found: Vec<Line> = Vec::new();
    for (wait, cells) in groups(cells, |cell| cell.row.clone()) {
        let point = |cell: &&CellResult| Some((f64::from(cell.settings.workers), value(cell)?));
        let mut points: Vec<(f64, f64)> = cells.iter().filter_map(point).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        match found.iter_mut().find(|line| line.points == points) {
            _ if points.is_empty() => {}
            Some(line) => line.waits.push(wait),
            None => found.push(Line { waits: vec![wait], points }),
        }
    }
    found
}

fn axes_of(drawing: &mut Drawing, all: &[(f64, f64)], (x, y): (Scale, Scale), (log, high): (bool, f64)) {
    let powers = || (0..32).map(|power| 2f64.powi(power)).take_while(|tick| *tick <= high).collect();
    for tick in if log { powers() } else { ticks(high) } {
        drawing.line(&[(LEFT, y.at(tick)), (RIGHT, y.at(tick))], "grid");
        drawing.text(LEFT - 5.0, y.at(tick) + 4.0, "end", &rounded(tick));
    }
    let mut numbers: Vec<f64> = all.iter().map(|point| point.0).collect();
    numbers.sort_by(f64::total_cmp);
    numbers.dedup();
    let mut free = 0.0;
    for number in numbers {
        let at = x.at(number);
        drawing.line(&[(at, BOTTOM), (at, BOTTOM + 4.0)], "axis");
        if at >= free {
            drawing.text(at, BOTTOM + 16.0, "middle", &rounded(number));
            free = at + NUMBERS;
        }
    }
    drawing.line(&[(LEFT, BOTTOM), (RIGHT, BOTTOM)], "axis");
    drawing.text(0.0, 12.0, "start", "wakeups per event");
    drawing.text(RIGHT, HEIGHT - 4.0, "end", "workers");
}

/// A, B, .. Z, A1, ..
fn letter(at: usize) -> String {
    let letter = char::from(b'A' + (at % 26) as u8);
    if at < 26 { letter.to_string() } else { format!("{letter}{}", at / 26) }
}

fn figures(cells: &[&CellResult]) -> String {
    let mut numbers: Vec<u32> = cells.iter().map(|cell| cell.settings.workers).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let header: Vec<String> =
        std::iter::once("wait".to_owned()).chain(numbers.iter().map(|n| format!("{n} workers"))).collect();
    let rows: Vec<Vec<String>> = groups(cells, |cell| cell.row.clone())
        .into_iter()
        .map(|(wait, cells)| {
            let of = |n: &u32| cells.iter().find(|cell| cell.settings.workers == *n).and_then(|cell| value(cell));
            let values = numbers.iter().map(|n| of(n).map_or("-".into(), rounded));
            std::iter::once(wait).chain(values).collect()
        })
        .collect();
    table("Median wakeups per event by number of workers", &header, &rows)
}

#[cfg(test)]
mod tests {
    use super::letter;

    #[test]
    fn every_line_has_a_letter_of_its_own() {
        assert_eq!([letter(0), letter(25), letter(26)], ["A", "Z", "A1"]);
    }
}
