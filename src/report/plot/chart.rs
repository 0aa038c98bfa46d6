//! Lines of figures against an axis, drawn in letters: one letter for each line, at equal
//! distances along the axis, whatever its values.

use std::io::{self, Write};

use super::Ink;
use crate::analysis::judge::short;
use crate::report::table::wrapped;

/// Lines of the picture.
const HEIGHT: usize = 12;

/// One line of the picture: its name and the value at each place of the axis, in order.
pub type Series = (String, Vec<(f64, f64)>);

/// The names of rows that look the same, and their values.
type Line<'a> = (Vec<&'a str>, &'a [(f64, f64)]);

/// What a picture is of.
pub struct Words<'a> {
    /// In front of the heading.
    pub experiment: &'a str,
    /// What goes upwards, and against what.
    pub what: &'a str,
    /// What is counted along the axis.
    pub axis: &'a str,
    /// What is needed where there is no picture.
    pub needs: &'a str,
    pub hint: &'a str,
}

pub fn draw(words: &Words<'_>, series: &[Series], ink: &Ink, width: usize, out: &mut dyn Write) -> io::Result<()> {
    let mut places: Vec<f64> = series.iter().flat_map(|(_, values)| values.iter().map(|(n, _)| *n)).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    let scale = Scale::of(series.iter().flat_map(|(_, values)| values.iter().map(|(_, value)| *value)));
    let factors = if scale.least.is_some() { ", logarithmic" } else { "" };
    writeln!(out, "\n{}: {}{factors}", words.experiment, words.what)?;
    if places.len() < 2 {
        writeln!(out, "  No picture: {}", words.needs)?;
        return if words.hint.is_empty() { Ok(()) } else { writeln!(out, "  {}", words.hint) };
    }
    // Lines that look the same to a reader share a letter.
    let mut lines: Vec<Line<'_>> = Vec::new();
    for (name, values) in series {
        let same = |known: &[(f64, f64)]| {
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
    let widest = places.last().map_or(1, |n| figure(*n).len());
    let room = width.saturating_sub(label + 4).clamp(places.len() * 2 + widest, 100);
    let column = |n: f64| {
        let at = places.iter().position(|known| *known == n).expect("one of them");
        1 + at * (room - 2 - widest) / (places.len() - 1)
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
    for n in &places {
        // A number for which there is no room is left out; the table has it.
        if column(*n) >= free {
            for (i, digit) in figure(*n).chars().enumerate() {
                below[column(*n) + i] = digit;
            }
            free = column(*n) + figure(*n).len() + 1;
        }
    }
    let below: String = below.into_iter().collect();
    writeln!(out, " {:label$}  {}", "", below.trim_end())?;
    for (index, (names, values)) in lines.iter().enumerate() {
        let last = values.last().expect("a line has a value");
        let (letter, names, value) = (letter(index), names.join("; "), figure(last.1));
        let text = format!("{letter}: {names} ({value} at {} {})", figure(last.0), words.axis);
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
        Scale { least: (least > 0.0 && top / least >= Scale::FAR).then(|| foot(least)), top }
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

/// Where an axis by factors begins: at 1, or where all is far above that, at a power of
/// two.
fn foot(least: f64) -> f64 {
    if least < Scale::FAR { least.min(1.0) } else { 2f64.powf(least.log2().floor()) }
}

/// A to Z, then a to z; after that a mark that is no letter.
fn letter(index: usize) -> char {
    ('A'..='Z').chain('a'..='z').nth(index).unwrap_or('?')
}

/// As long as it need be: of what is large, a part of one says nothing.
fn figure(value: f64) -> String {
    match value {
        value if value >= 1000.0 => short(value.round()),
        value if value == value.trunc() => short(value),
        value => format!("{value:.2}"),
    }
}
