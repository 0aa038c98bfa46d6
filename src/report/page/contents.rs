//! What comes first on the page: all that did not pass, then each experiment with what
//! came of it, as links to the places where the page tells more.

use super::super::grid::rounded;
use super::super::matrix::html::escaped;
use super::chosen::metric;
use super::markup::{field, lined, start};
use super::{Source, anchor, changes};
use crate::results::{CellResult, ExperimentFacts, Verdict};

/// So many cells that did not pass are named one by one.
const NAMED: usize = 40;

/// The whole of it: for a screen reader the navigation of the page.
pub fn contents(sources: &[Source<'_>]) -> String {
    let several = sources.len() > 1;
    let mut text = String::from("<nav id=\"contents\" aria-label=\"Contents\">\n");
    for verdict in [Verdict::Fail, Verdict::Invalid, Verdict::Skip] {
        text.push_str(&bad(sources, verdict));
    }
    let header = ["experiment", "check", "wakeups per event", "cells", "about"].map(str::to_owned);
    let mut rows = Vec::new();
    for (number, source) in (1..).zip(sources) {
        rows.extend(source.results.experiments.iter().map(|facts| row(source, number, facts, several)));
    }
    let caption = "Experiments; wakeups per event from the wait with the fewest to that with the most";
    text.push_str(&lined(caption, "", &header, &rows));
    text.push_str("<ul>\n");
    let changes = changes::pair(sources).map(|_| ("changes", "What changed"));
    let kernels = several.then_some(("kernels", "Kernels side by side"));
    let others = [("measured", "How it was measured"), ("environment", "Environment"), ("json", "Raw JSON")];
    for (id, words) in changes.into_iter().chain(kernels).chain(others) {
        text.push_str(&format!("<li><a href=\"#{id}\">{words}</a></li>\n"));
    }
    text + "</ul>\n</nav>\n"
}

fn row(source: &Source<'_>, number: usize, facts: &ExperimentFacts, several: bool) -> String {
    let cells: Vec<&CellResult> = source.results.cells.iter().filter(|cell| cell.experiment == facts.name).collect();
    let of = if several { format!(" ({number})") } else { String::new() };
    let counts: Vec<f64> = cells.iter().filter_map(|cell| metric(cell, "wakeups_per_event")).collect();
    let least = counts.iter().copied().fold(f64::INFINITY, f64::min);
    let most = counts.iter().copied().fold(0.0, f64::max);
    let range = match (rounded(least), rounded(most)) {
        _ if counts.is_empty() => "-".to_owned(),
        (least, most) if least == most => most,
        (least, most) => format!("{least} to {most}"),
    };
    let verdict = worst(&cells);
    let link = format!("<a href=\"#{}\">{}{of}</a>", anchor(number, &facts.name), escaped(&facts.name));
    let word = verdict.to_string();
    [
        start(&link),
        field(&word.to_lowercase(), &word),
        field("", &range),
        field("", &cells.len().to_string()),
        field("", &escaped(&facts.title)),
    ]
    .concat()
}

/// As of the whole run: what failed hides what could not be measured.
fn worst(cells: &[&CellResult]) -> Verdict {
    let order = [Verdict::Fail, Verdict::Invalid, Verdict::Pass];
    order.into_iter().find(|verdict| cells.iter().any(|cell| cell.verdict == *verdict)).unwrap_or(Verdict::Skip)
}

/// Cells with that verdict, each a link to its experiment; nothing where there is none.
fn bad(sources: &[Source<'_>], verdict: Verdict) -> String {
    let of = |(number, source): (usize, &Source<'_>)| -> Vec<String> {
        let cells = source.results.cells.iter().filter(|cell| cell.verdict == verdict);
        let line = |cell: &CellResult| {
            let (place, id) = (anchor(number, &cell.experiment), escaped(&cell.id));
            format!("<li><a href=\"#{place}\">{id}</a>: {}</li>\n", escaped(&cell.reason))
        };
        cells.map(line).collect()
    };
    let lines: Vec<String> = (1..).zip(sources).flat_map(of).collect();
    let shown = lines.len().min(NAMED);
    let left = match lines.len() - shown {
        0 => String::new(),
        left => format!("<li>and {left} more</li>\n"),
    };
    let list = format!("<ul>\n{}{left}</ul>\n", lines[..shown].concat());
    let class = verdict.to_string().to_lowercase();
    match verdict {
        _ if lines.is_empty() => String::new(),
        // No news about the kernel, and often many.
        Verdict::Skip => format!("<details><summary>Skipped: {}</summary>\n{list}</details>\n", lines.len()),
        _ => format!("<p><strong class=\"{class}\">{verdict}</strong>: {}</p>\n{list}", lines.len()),
    }
}
