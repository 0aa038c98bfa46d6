//! One experiment on the page: its question and drawing, what came of it, the
//! pictures, and what was expected and why.

use super::super::grid::{Grid, grids, groups, heading, rounded, shown};
use super::super::matrix::html::escaped;
use super::super::table::{subject, warnings};
use super::chosen::{self, Plot, metric};
use super::markup::{details, merged, paragraph, preformatted, table};
use super::{Source, growth, lanes, latency, load, shares, split};
use crate::experiment::{Experiment, embedded};
use crate::results::{CellResult, ExperimentFacts, Judged, Results, Verdict};

/// A page has no columns to keep to.
const WIDTH: usize = usize::MAX / 2;

/// So many different figures or waits share a field of a table.
const NAMED: usize = 12;

/// `first` says that the page has not told the lesson of this experiment yet, `file`
/// which of several results this one is.
pub fn section(results: &Results, facts: &ExperimentFacts, id: &str, first: bool, file: Option<&Source<'_>>) -> String {
    let cells: Vec<&CellResult> = results.cells.iter().filter(|cell| cell.experiment == facts.name).collect();
    let lesson = lesson(facts);
    let name = escaped(&facts.name);
    let mut text = format!("<section id=\"{id}\">\n<h2>{name}: {}{}</h2>\n", escaped(&facts.title), place(id, &name));
    if let Some(source) = file {
        let kernel = results.environment.kernel_name();
        text.push_str(&format!("<p>Linux {}, from {}.</p>\n", escaped(&kernel), escaped(source.file)));
    }
    text.push_str(&format!("<p class=\"question\">{}</p>\n", escaped(&facts.question)));
    if let Some(lesson) = lesson.as_ref().filter(|lesson| first && !lesson.drawing.is_empty()) {
        text.push_str(&preformatted(&lesson.drawing, &format!("Drawing of {}", facts.name)));
    }
    let mut sources: Vec<&str> =
        cells.iter().map(|cell| cell.count_source.as_str()).filter(|s| !s.is_empty()).collect();
    sources.sort_unstable();
    sources.dedup();
    let counted = if sources.is_empty() { String::new() } else { format!(" Counted with {}.", sources.join(" and ")) };
    text.push_str(&paragraph(&format!("{}{counted}", subject(results, facts))));
    for Grid { heading, header, rows } in grids(results, facts, WIDTH) {
        let caption = if heading.is_empty() { facts.title.clone() } else { format!("{}: {heading}", facts.name) };
        text.push_str(&table(&caption, &header, &rows));
    }
    text.push_str(&troubles(&cells));
    if shown(cells.iter().copied()) && !facts.moral.is_empty() {
        text.push_str(&format!("<p class=\"moral\">{}</p>\n", escaped(&facts.moral)));
    }
    text.push_str(&pictures(results, facts, id));
    if first {
        if let Some(lesson) = &lesson {
            text.push_str(&details(
                "What happens in the kernel",
                &preformatted(&lesson.why, "What happens in the kernel"),
            ));
        }
        if !facts.look.trim().is_empty() {
            text.push_str(&details("How to read it", &preformatted(&facts.look, "How to read it")));
        }
    }
    text.push_str(&expectations(&cells));
    if first && lesson.is_some() {
        text.push_str(&commands(results, facts));
    }
    text + "</section>\n"
}

/// A link to the place itself, to be copied; `what` is markup already.
fn place(id: &str, what: &str) -> String {
    format!(" <a class=\"place\" href=\"#{id}\" aria-label=\"Link to {what}\">#</a>")
}

/// How a reader gets the same on another machine. Only of what comes with herd.
fn commands(results: &Results, facts: &ExperimentFacts) -> String {
    let name = escaped(&facts.name);
    let one_by_one = |cell: &&CellResult| {
        let settings = &cell.settings;
        !matches!(settings.load.as_str(), "paced" | "closed" | "attached") && settings.worker.wait != "null"
    };
    let watch = match chosen::drawable(results, &facts.name).iter().any(one_by_one) {
        true => format!(", see it event by event: <code>herd watch {name}</code>"),
        false => String::new(),
    };
    format!("<p>Measure it yourself: <code>herd run {name}</code>{watch}.</p>\n")
}

/// The experiment that comes with herd, if it is the one that ran: a file of the same
/// name asks something else.
fn lesson(facts: &ExperimentFacts) -> Option<Experiment> {
    let found = embedded::find(&facts.name)?.ok()?;
    (found.question == facts.question && found.title == facts.title).then_some(found)
}

/// What did not go as expected, and what is worth knowing.
fn troubles(cells: &[&CellResult]) -> String {
    let mut text = String::new();
    for cell in cells.iter().filter(|cell| cell.verdict != Verdict::Pass) {
        let class = cell.verdict.to_string().to_lowercase();
        text.push_str(&format!(
            "<p><strong class=\"{class}\">{}</strong> {}: {}</p>\n",
            cell.verdict,
            escaped(&cell.id),
            escaped(&cell.reason)
        ));
    }
    for warning in warnings(cells.iter().copied()) {
        text.push_str(&paragraph(&format!("Note: {warning}")));
    }
    text
}

/// Every picture that can be made of these cells, and why the others cannot.
fn pictures(results: &Results, facts: &ExperimentFacts, id: &str) -> String {
    let cells = chosen::drawable(results, &facts.name);
    let Some(chosen) = chosen::chosen(&cells) else {
        let why = match results.cells.iter().any(|cell| cell.experiment == facts.name) {
            true => {
                "Not drawn: no cell is a row of workers that ran to its end. Scripts have steps, which the table has."
            }
            false => "Not drawn: the result has no cell of this experiment.",
        };
        return paragraph(why);
    };
    let plots: [(&str, &str, Plot); 6] = [
        ("split", "Where the wakeups went", split::plot(&chosen)),
        ("growth", "Wakeups against the number of workers", growth::plot(&cells)),
        ("load", "Figures against the load", load::plot(&cells)),
        ("shares", "Who got the work", shares::plot(&chosen)),
        ("latency", "Latency", latency::plot(&chosen)),
        ("lanes", "One event", lanes::plot(results, &facts.name)),
    ];
    let (mut text, mut missing) = (String::new(), Vec::new());
    for (name, title, plot) in plots {
        match plot {
            Ok(plot) => {
                let id = format!("{id}-{name}");
                let link = place(&id, &format!("{}, {}", escaped(&facts.name), title.to_lowercase()));
                text.push_str(&format!("<h3 id=\"{id}\">{title}{link}</h3>\n{plot}"));
            }
            Err(why) => missing.push(why),
        }
    }
    if !missing.is_empty() {
        text.push_str(&paragraph(&format!("Not drawn: {}.", missing.join("; "))));
    }
    text
}

/// Each different expectation once, with all that was measured of it.
fn expectations(cells: &[&CellResult]) -> String {
    let all: Vec<(&CellResult, &Judged)> =
        cells.iter().flat_map(|cell| cell.expectations.iter().map(|judged| (*cell, judged))).collect();
    let mut kinds: Vec<(&Judged, Vec<(&CellResult, &Judged)>)> = Vec::new();
    for (cell, judged) in all {
        let what = |e: &Judged| (e.metric.clone(), e.expected.clone(), e.verdict, e.source.clone());
        match kinds.iter_mut().find(|(known, _)| what(known) == what(judged)) {
            Some((_, members)) => members.push((cell, judged)),
            None => kinds.push((judged, vec![(cell, judged)])),
        }
    }
    let header = ["what", "expected", "measured", "verdict", "cells", "waits", "source"].map(str::to_owned);
    // Rules of the same waits often have one reason: said once, beside all of them.
    const SHARED: [usize; 2] = [5, 6];
    let line = |(kind, members): &(&Judged, Vec<(&CellResult, &Judged)>)| {
        let measured = unique(members.iter().map(|(_, judged)| judged.measured.as_str()));
        let waits = unique(members.iter().map(|(cell, _)| cell.row.as_str()));
        let (verdict, count) = (kind.verdict.to_string(), members.len().to_string());
        vec![kind.metric.clone(), kind.expected.clone(), measured, verdict, count, waits, kind.source.clone()]
    };
    let rows: Vec<Vec<String>> = kinds.iter().map(line).collect();
    match rows.is_empty() {
        true => String::new(),
        false => details(
            "What was expected, and why",
            &merged("Expectations, as the experiment states them; the JSON has each cell's", &header, &rows, &SHARED),
        ),
    }
}

/// Each text once; of very many the first.
fn unique<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut found: Vec<&str> = Vec::new();
    texts.for_each(|text| {
        if !found.contains(&text) {
            found.push(text);
        }
    });
    let left = found.len().saturating_sub(NAMED);
    let more = if left > 0 { format!(" and {left} more") } else { String::new() };
    found[..found.len() - left].join(", ") + &more
}

/// One sentence for the top: the waits of an experiment that woke most and least, of
/// cells that are alike otherwise.
pub fn contrast(results: &Results) -> Option<String> {
    let of = |facts: &ExperimentFacts| {
        let cells = chosen::drawable(results, &facts.name);
        let wakeups = |cell: &&CellResult| metric(cell, "wakeups_per_event").filter(|_| cell.verdict == Verdict::Pass);
        let mut counted: Vec<(&CellResult, f64)> = Vec::new();
        for (_, cells) in groups(&chosen::chosen(&cells)?.cells, |cell| heading(&cell.axes)) {
            counted.extend(cells.into_iter().filter_map(|cell| Some((cell, wakeups(&cell)?))));
        }
        let most = counted.iter().copied().reduce(|a, b| if b.1 > a.1 { b } else { a })?;
        let least = counted.iter().copied().reduce(|a, b| if b.1 < a.1 { b } else { a })?;
        (most.1 > least.1).then(|| {
            format!(
                "<p class=\"headline\">One event wakes <strong>{}</strong> of {} workers with {}, <strong>{}</strong> with {}.</p>\n",
                rounded(most.1),
                most.0.settings.workers,
                escaped(&most.0.row),
                rounded(least.1),
                escaped(&least.0.row)
            )
        })
    };
    results.experiments.iter().find_map(of)
}
