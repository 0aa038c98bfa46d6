//! The matrix for a terminal: one table for each experiment, cut between kernels
//! where all of them together are too wide.

use std::io::{self, Write};
use std::ops::Range;

use super::{SUBJECT, folded, heading, name, remarks, text, verdict};
use crate::analysis::matrix::{Matrix, Section};
use crate::report::comparison::lines;
use crate::report::wrapped;

/// Between two columns.
const GAP: usize = " | ".len();
/// A heading is not broken into pieces narrower than this.
const HEADING: usize = 10;

pub fn write(matrix: &Matrix, width: usize, out: &mut dyn Write) -> io::Result<()> {
    wrapped(SUBJECT, width).iter().try_for_each(|line| writeln!(out, "{line}"))?;
    let labels: Vec<&str> = matrix.columns.iter().map(|column| column.label.as_str()).collect();
    for section in &matrix.sections {
        writeln!(out)?;
        lines(out, "", &heading(section), width)?;
        tables(section, &labels, width, out)?;
        folded(section).iter().try_for_each(|text| lines(out, "", text, width))?;
    }
    for (heading, texts) in remarks(matrix) {
        writeln!(out, "\n{heading}:")?;
        texts.iter().try_for_each(|text| lines(out, "  ", text, width))?;
    }
    writeln!(out)?;
    lines(out, "", &verdict(matrix), width)
}

/// The rows of a section; a wait with several rows stands above them.
fn rows(section: &Section) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for (at, row) in section.rows.iter().enumerate() {
        let entries = row.entries.iter().map(text).collect();
        let alone = section.rows.iter().filter(|other| other.wait == row.wait).count() == 1;
        if alone {
            found.push((name(row), entries));
            continue;
        }
        if at == 0 || section.rows[at - 1].wait != row.wait {
            found.push((row.wait.clone(), vec![String::new(); row.entries.len()]));
        }
        found.push((format!("  {}", row.axes_text()), entries));
    }
    found
}

/// As many tables as are needed for all columns.
fn tables(section: &Section, labels: &[&str], width: usize, out: &mut dyn Write) -> io::Result<()> {
    let rows = rows(section);
    let length = |text: &str| text.chars().count();
    let first = rows.iter().map(|(name, _)| length(name)).max().unwrap_or(0).max("wait".len());
    let widths = |heading: usize| -> Vec<usize> {
        let width = |(at, label): (usize, &&str)| {
            let entries = rows.iter().map(|(_, entries)| length(&entries[at])).max().unwrap_or(0);
            let pieces = broken(label, entries.max(heading.min(length(label))));
            pieces.iter().map(|piece| length(piece)).max().unwrap_or(0).max(entries)
        };
        labels.iter().enumerate().map(width).collect()
    };
    // Headings are broken only where that saves a cut.
    let whole = widths(usize::MAX);
    let widths = if blocks(first, &whole, width).len() > 1 { widths(HEADING) } else { whole };
    for (number, block) in blocks(first, &widths, width).into_iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        let line = |out: &mut dyn Write, name: &str, entries: &[&str]| -> io::Result<()> {
            let mut line = format!("{name:first$}");
            for (entry, width) in entries.iter().zip(&widths[block.clone()]) {
                line.push_str(&format!(" | {entry:width$}"));
            }
            writeln!(out, "{}", line.trim_end())
        };
        let headings: Vec<Vec<String>> = block.clone().map(|at| broken(labels[at], widths[at])).collect();
        let height = headings.iter().map(Vec::len).max().unwrap_or(0);
        for at in 0..height {
            let pieces: Vec<&str> = headings.iter().map(|pieces| pieces.get(at).map_or("", String::as_str)).collect();
            line(out, if at == 0 { "wait" } else { "" }, &pieces)?;
        }
        let rules: Vec<String> = widths[block.clone()].iter().map(|width| "-".repeat(*width)).collect();
        writeln!(out, "{}-+-{}", "-".repeat(first), rules.join("-+-"))?;
        for (name, entries) in &rows {
            let entries: Vec<&str> = entries[block.clone()].iter().map(String::as_str).collect();
            line(out, name, &entries)?;
        }
    }
    Ok(())
}

/// Cuts the columns so that no table is wider than `width`, where that can be had.
fn blocks(first: usize, widths: &[usize], width: usize) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let (mut start, mut used) = (0, first);
    for (at, own) in widths.iter().enumerate() {
        if at > start && used + GAP + own > width {
            found.push(start..at);
            (start, used) = (at, first);
        }
        used += GAP + own;
    }
    found.push(start..widths.len());
    found
}

/// A label in lines of at most `width` where it has places to break: after a dash
/// and at a space.
fn broken(label: &str, width: usize) -> Vec<String> {
    let mut found = vec![String::new()];
    for piece in label.split_inclusive(['-', ' ']) {
        let line = found.last_mut().expect("never empty");
        if !line.is_empty() && line.chars().count() + piece.trim_end().chars().count() > width {
            found.push(String::new());
        }
        found.last_mut().expect("never empty").push_str(piece);
    }
    found.into_iter().map(|line| line.trim_end().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_release_is_broken_at_its_dashes() {
        assert_eq!(broken("6.1.0-18-cloud-amd64, 2 CPUs", 12), ["6.1.0-18-", "cloud-amd64,", "2 CPUs"]);
        assert_eq!(broken("6.18.44", 3), ["6.18.44"]);
    }

    #[test]
    fn columns_are_cut_where_the_width_ends() {
        assert_eq!(blocks(10, &[7, 7, 7], 40).len(), 1);
        assert_eq!(blocks(10, &[7, 7, 7], 39), [0..2, 2..3]);
        // One column is always there.
        assert_eq!(blocks(100, &[7, 7], 40), [0..1, 1..2]);
    }
}
