//! Lines of figures against an axis, as a picture with its table.

use super::super::grid::{groups, heading, rounded};
use super::super::matrix::html::escaped;
use super::markup::{figure, table};
use super::svg::{Drawing, GRID, Scale, WIDTH, ticks};
use crate::analysis::judge::short;
use crate::results::CellResult;

/// At least; more where many lines have to be named.
const HEIGHT: f64 = 270.0;
const LEFT: f64 = 40.0;
const RIGHT: f64 = WIDTH - 22.0;
const TOP: f64 = 22.0;
/// Below the axis.
const FOOT: f64 = 36.0;
/// Values above that all are no reason to begin at 1.
const FAR: f64 = 16.0;
/// Grid lines at most.
const LINES: usize = 14;
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

/// What a picture is of.
pub struct Words<'a> {
    /// The key of the matrix that is the axis.
    pub axis: &'a str,
    /// What is counted along it.
    pub along: &'a str,
    /// What stands beside the upright axis.
    pub upwards: &'a str,
    /// The same against that, as the title says it.
    pub title: &'a str,
    /// What the caption says first.
    pub caption: &'a str,
    /// What is above the table.
    pub table: &'a str,
}

/// Where a cell stands: along and upwards.
pub type Point<'a> = &'a dyn Fn(&CellResult) -> Option<(f64, f64)>;

/// One picture for each combination of the other axes, as many as are drawn.
pub fn charts(words: &Words<'_>, cells: &[&CellResult], point: Point<'_>) -> Vec<String> {
    let rest = |cell: &CellResult| {
        let axes: Vec<(String, String)> = cell.axes.iter().filter(|(key, _)| key != words.axis).cloned().collect();
        heading(&axes)
    };
    let groups = groups(cells, rest);
    groups.iter().take(DRAWN).filter_map(|(axes, cells)| one(words, axes, cells, point)).collect()
}

fn one(words: &Words<'_>, axes: &str, cells: &[&CellResult], point: Point<'_>) -> Option<String> {
    let lines = lines(cells, point);
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
    let log = least > 0.0 && most >= 16.0 * least && low > 0.0;
    let height = HEIGHT.max(TOP + FOOT + LETTERS * lines.len() as f64);
    let x = Scale::new((least, most), (LEFT, RIGHT), log);
    let from = match log {
        true if low >= FAR => 2f64.powf(low.log2().floor()),
        true => low.min(1.0),
        false => 0.0,
    };
    let y = Scale::new((from, high.max(1.0)), (height - FOOT, TOP), log);
    let title = format!("{}, {} lines; the figures follow", words.title, lines.len());
    let mut drawing = Drawing::new(height, title);
    axes_of(words, &mut drawing, &all, (x, y), (log, from, high.max(1.0)), height);
    let mut ends = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let points: Vec<(f64, f64)> = line.points.iter().map(|(n, count)| (x.at(*n), y.at(*count))).collect();
        drawing.line(&points, &format!("line c{} d{}", at % 6, at % 4));
        points.iter().for_each(|point| drawing.dot(*point, &format!("dot c{}", at % 6)));
        ends.extend(points.last().map(|end| (*end, at)));
    }
    // Letters that would lie on each other move down, and up again from the axis.
    ends.sort_by(|(a, _), (b, _)| a.1.total_cmp(&b.1));
    let mut free = 0.0f64;
    let down = ends.iter().map(|((_, y), _)| {
        let place = (y + 4.0).max(free);
        free = place + LETTERS;
        place
    });
    let mut places: Vec<f64> = down.collect();
    let mut room = height - FOOT + 4.0;
    for place in places.iter_mut().rev() {
        *place = place.min(room);
        room = *place - LETTERS;
    }
    for (((x, _), at), place) in ends.iter().zip(places) {
        drawing.text((x + 7.0).min(WIDTH - 10.0), place, "start", &letter(*at));
    }
    let named = |(at, line): (usize, &Line)| {
        let sample = "width=28 height=12 viewBox=\"0 0 28 12\" aria-hidden=true";
        let stroke = format!("<path d=\"M0 6h28\" class=\"line c{} d{}\"/>", at % 6, at % 4);
        format!("<li><svg {sample}>{stroke}</svg> <b>{}</b> {}</li>\n", letter(at), escaped(&line.waits.join(", ")))
    };
    let names: String = lines.iter().enumerate().map(named).collect();
    let picture = format!("{}<ul class=\"key\">\n{names}</ul>\n", drawing.finish());
    let here = if axes.is_empty() { String::new() } else { format!(" Here {axes}.") };
    let scales = if log { " Both scales are logarithmic." } else { "" };
    let caption = format!("{}{scales} Waits with the same figures are one line.{here}", words.caption);
    Some(figure(&picture, &caption, &figures(words, cells, point)))
}

/// Lines in the order in which their waits are met.
fn lines(cells: &[&CellResult], point: Point<'_>) -> Vec<Line> {
    let mut found: Vec<Line> = Vec::new();
    for (wait, cells) in groups(cells, |cell| cell.row.clone()) {
        let mut points: Vec<(f64, f64)> = cells.iter().filter_map(|cell| point(cell)).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        match found.iter_mut().find(|line| line.points == points) {
            _ if points.is_empty() => {}
            Some(line) => line.waits.push(wait),
            None => found.push(Line { waits: vec![wait], points }),
        }
    }
    found
}

fn axes_of(
    words: &Words<'_>,
    drawing: &mut Drawing,
    all: &[(f64, f64)],
    (x, y): (Scale, Scale),
    (log, low, high): (bool, f64, f64),
    height: f64,
) {
    let bottom = height - FOOT;
    let powers = || -> Vec<f64> {
        let all = (0..32).map(|power| 2f64.powi(power)).skip_while(|tick| *tick < low).take_while(|tick| *tick <= high);
        let all: Vec<f64> = all.collect();
        all.iter().copied().step_by(all.len().div_ceil(LINES).max(1)).collect()
    };
    for tick in if log { powers() } else { ticks(high) } {
        drawing.line(&[(LEFT, y.at(tick)), (RIGHT, y.at(tick))], GRID);
        drawing.text(LEFT - 5.0, y.at(tick) + 4.0, "end", &brief(tick));
    }
    let mut numbers: Vec<f64> = all.iter().map(|point| point.0).collect();
    numbers.sort_by(f64::total_cmp);
    numbers.dedup();
    let mut free = 0.0;
    for number in numbers {
        let at = x.at(number);
        drawing.line(&[(at, bottom), (at, bottom + 4.0)], "axis");
        if at >= free {
            drawing.text(at, bottom + 16.0, "middle", &rounded(number));
            free = at + NUMBERS;
        }
    }
    drawing.line(&[(LEFT, bottom), (RIGHT, bottom)], "axis");
    drawing.text(0.0, 12.0, "start", words.upwards);
    drawing.text(RIGHT, height - 4.0, "end", words.along);
}

/// No wider than the room beside the axis.
fn brief(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{}M", short((value / 1e5).round() / 10.0)),
        value if value >= 1e4 => format!("{}k", short((value / 1e3).round())),
        value => rounded(value),
    }
}

/// A, B, .. Z, A1, ..
fn letter(at: usize) -> String {
    let letter = char::from(b'A' + (at % 26) as u8);
    if at < 26 { letter.to_string() } else { format!("{letter}{}", at / 26) }
}

fn figures(words: &Words<'_>, cells: &[&CellResult], point: Point<'_>) -> String {
    let mut places: Vec<f64> = cells.iter().filter_map(|cell| point(cell)).map(|(place, _)| place).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    let name = |place: &f64| format!("{} {}", rounded(*place), words.along);
    let header: Vec<String> = std::iter::once("wait".to_owned()).chain(places.iter().map(name)).collect();
    let rows: Vec<Vec<String>> = groups(cells, |cell| cell.row.clone())
        .into_iter()
        .map(|(wait, cells)| {
            let of = |place: &f64| cells.iter().filter_map(|cell| point(cell)).find(|(at, _)| at == place);
            let values = places.iter().map(|place| of(place).map_or("-".into(), |(_, value)| rounded(value)));
            std::iter::once(wait).chain(values).collect()
        })
        .collect();
    table(words.table, &header, &rows)
}

#[cfg(test)]
mod tests {
    use super::{brief, letter};

    #[test]
    fn values_beside_the_axis_are_short() {
        assert_eq!([4096.0, 16384.0, 1_500_000.0].map(brief), ["4096", "16k", "1.5M"]);
    }

    #[test]
    fn every_line_has_a_letter_of_its_own() {
        assert_eq!([letter(0), letter(25), letter(26)], ["A", "Z", "A1"]);
    }
}
