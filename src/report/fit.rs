//! A table made to fit a width: headings are broken into lines first, then the names of
//! the rows; what is too wide even so becomes several tables with the same names. A figure
//! is never broken or cut: a column of figures that is too wide alone stays so. Pure.

use super::grid::Grid;
use crate::words::{columns as wide, fill};

/// What a column takes beside its text: two spaces and a line. The outermost space and
/// line are not drawn.
const BESIDE: usize = 3;
const OUTSIDE: usize = 2;
/// Lines of a name at most: a row of more is hard to follow.
const LINES: usize = 2;
/// What the later lines of a name begin with.
const INDENT: &str = "  ";

/// The table, or its parts: each has the names of the rows and the last column, which is
/// the verdict. Broken texts have line ends.
pub fn fitted(grid: &Grid, width: usize) -> Vec<Grid> {
    let all: Vec<usize> = (0..grid.header.len()).collect();
    if let Some(whole) = [false, true].into_iter().find_map(|names| within(grid, &all, names, width)) {
        return vec![whole];
    }
    // Of all ways to need as few parts as these, the one whose widest part is narrowest.
    let fewest = shared_out(grid, width).len();
    let least = (1..=width).rev().take_while(|width| shared_out(grid, *width).len() == fewest).last().unwrap_or(width);
    let parts = shared_out(grid, least);
    let part = |part: &Vec<usize>| {
        let fits = [false, true].into_iter().find_map(|names| within(grid, part, names, width));
        fits.unwrap_or_else(|| narrowed(grid, part, true, width).0)
    };
    if parts.is_empty() { vec![narrowed(grid, &all, true, width).0] } else { parts.iter().map(part).collect() }
}

/// The columns of each part: the first, the last and as many of the others as fit with
/// whole names, but one at least.
fn shared_out(grid: &Grid, width: usize) -> Vec<Vec<usize>> {
    let last = grid.header.len().saturating_sub(1);
    let mut parts: Vec<Vec<usize>> = Vec::new();
    for column in 1..last {
        let fits = |part: &&mut Vec<usize>| {
            let more = [&part[..part.len() - 1], &[column, last]].concat();
            within(grid, &more, false, width).is_some()
        };
        match parts.last_mut().filter(fits) {
            Some(part) => part.insert(part.len() - 1, column),
            None => parts.push(vec![0, column, last]),
        }
    }
    parts
}

fn within(grid: &Grid, columns: &[usize], names: bool, width: usize) -> Option<Grid> {
    let (grid, fits) = narrowed(grid, columns, names, width);
    fits.then_some(grid)
}

/// These columns no wider than they must be for `width`, and whether that was enough.
/// `names` says that names may be broken, too.
fn narrowed(grid: &Grid, columns: &[usize], names: bool, width: usize) -> (Grid, bool) {
    let texts = |column: usize| grid.rows.iter().filter_map(move |row| row.get(column)).map(String::as_str);
    let heading = |column: usize| grid.header[column].as_str();
    let widest = |column: usize| texts(column).map(wide).max().unwrap_or(0);
    let mut widths: Vec<usize> = columns.iter().map(|column| widest(*column).max(wide(heading(*column)))).collect();
    let fits = |widths: &[usize]| widths.iter().map(|width| width + BESIDE).sum::<usize>() <= width + OUTSIDE;
    // Each turn makes one column narrower, the widest that can be.
    while !fits(&widths) {
        let shorter = |at: usize| {
            let floor = widest(columns[at]);
            Some(lines_width(&broken(heading(columns[at]), widths[at] - 1, "")).max(floor)).filter(|w| *w < widths[at])
        };
        let Some((at, to)) =
            (0..widths.len()).filter_map(|at| Some((at, shorter(at)?))).max_by_key(|(at, _)| widths[*at])
        else {
            break;
        };
        widths[at] = to;
    }
    while names && !fits(&widths) {
        let lines = |text| broken(text, widths[0] - 1, INDENT);
        let all: Vec<Vec<String>> = texts(columns[0]).map(lines).collect();
        let to = all.iter().map(|lines| lines_width(lines)).max().unwrap_or(0).max(lines_width(&broken(
            heading(columns[0]),
            widths[0] - 1,
            "",
        )));
        if to >= widths[0] || all.iter().any(|lines| lines.len() > LINES) {
            break;
        }
        widths[0] = to;
    }
    let line = |row: &Vec<String>| {
        let field = |(at, column): (usize, &usize)| match (at, row.get(*column)) {
            (0, Some(name)) => broken(name, widths[0], INDENT).join("\n"),
            (_, text) => text.cloned().unwrap_or_default(),
        };
        columns.iter().enumerate().map(field).collect()
    };
    let header =
        columns.iter().zip(&widths).map(|(column, width)| broken(heading(*column), *width, "").join("\n")).collect();
    let rows = grid.rows.iter().map(line).collect();
    (Grid { heading: grid.heading.clone(), header, rows }, fits(&widths))
}

/// Lines of at most `width` columns where words allow it; the later ones are indented.
fn broken(text: &str, width: usize, indent: &str) -> Vec<String> {
    if wide(text) <= width {
        return vec![text.to_owned()];
    }
    // One space between words, so that the first line is a part of the text.
    let text = text.split_whitespace().collect::<Vec<&str>>().join(" ");
    let lines = fill(&text, width.max(1));
    let rest = text[lines[0].len()..].trim_start();
    if rest.is_empty() || indent.is_empty() {
        return lines;
    }
    let later = fill(rest, width.saturating_sub(wide(indent)).max(1));
    lines.into_iter().take(1).chain(later.iter().map(|line| format!("{indent}{line}"))).collect()
}

fn lines_width(lines: &[String]) -> usize {
    lines.iter().map(|line| wide(line)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(rows: &[&[&str]]) -> Grid {
        let mut rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|text| (*text).to_owned()).collect()).collect();
        Grid { heading: "h".into(), header: rows.remove(0), rows }
    }

    #[track_caller]
    fn check(rows: &[&[&str]], width: usize, want: &[&[&[&str]]]) {
        let found = fitted(&grid(rows), width);
        let found: Vec<Vec<Vec<String>>> =
            found.into_iter().map(|grid| [vec![grid.header], grid.rows].concat()).collect();
        assert_eq!(
            found,
            want.iter().map(|rows| rows.iter().map(|row| row.to_vec()).collect()).collect::<Vec<Vec<_>>>()
        );
    }

    const ROWS: &[&[&str]] = &[&["wait", "claim latency us", "check"], &["shared edge", "20185", "pass"]];

    #[test]
    fn what_fits_is_left_alone() {
        check(ROWS, 39, &[ROWS]);
    }

    #[test]
    fn headings_are_broken_first_and_no_more_than_they_must_be() {
        check(ROWS, 38, &[&[&["wait", "claim latency\nus", "check"], &["shared edge", "20185", "pass"]]]);
        check(ROWS, 35, &[&[&["wait", "claim\nlatency us", "check"], &["shared edge", "20185", "pass"]]]);
    }

    #[test]
    fn then_names_are_broken() {
        check(ROWS, 28, &[&[&["wait", "claim\nlatency\nus", "check"], &["shared\n  edge", "20185", "pass"]]]);
    }

    #[test]
    fn then_columns_are_shared_out_and_names_and_verdicts_stay_beside_them() {
        let rows: &[&[&str]] = &[&["wait", "one", "two", "check"], &["a", "1 (1-99999)", "2 (1-99999)", "pass"]];
        let parts: [&[&[&str]]; 2] = [
            &[&["wait", "one", "check"], &["a", "1 (1-99999)", "pass"]],
            &[&["wait", "two", "check"], &["a", "2 (1-99999)", "pass"]],
        ];
        check(rows, 41, &[rows]);
        check(rows, 40, &parts);
        // No figure is cut, even where nothing fits.
        check(rows, 4, &parts);
        // As wide as each other, not one full and one with what is left.
        let rows: &[&[&str]] =
            &[&["wait", "1", "2", "3", "4", "check"], &["a", "1000", "2000", "3000", "4000", "pass"]];
        check(
            rows,
            40,
            &[
                &[&["wait", "1", "2", "check"], &["a", "1000", "2000", "pass"]],
                &[&["wait", "3", "4", "check"], &["a", "3000", "4000", "pass"]],
            ],
        );
    }

    #[test]
    fn letters_of_two_columns_count_as_two() {
        check(&[&["一二 三四", "check"], &["a", "pass"]], 18, &[&[&["一二 三四", "check"], &["a", "pass"]]]);
        check(&[&["一二 三四", "check"], &["a", "pass"]], 17, &[&[&["一二 三\n四", "check"], &["a", "pass"]]]);
    }
}
