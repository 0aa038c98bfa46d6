//! One experiment on the page: its question and drawing, what came of it, the
//! pictures, and what was expected and why.

use super::super::grid::{Grid, grids, groups, heading, rounded};
use super::super::matrix::html::escaped;
use super::super::table::{subject, warnings};
use super::chosen::{self, Plot, metric};
use super::markup::{details, paragraph, preformatted, table};
use super::{Source, growth, lanes, latency, shares, split};
use crate::experiment::{Experiment, embedded};
use crate::results::{CellResult, ExperimentFacts, Results, Verdict};

/// A page has no columns to keep to.
const WIDTH: usize = usize::MAX / 2;

/// `first` says that the page has not told the lesson of this experiment yet, `file`
/// which of several results this one is.
pub fn section(results: &Results, facts: &ExperimentFacts, id: &str, first: bool, file: Option<&Source<'_>>) -> String {
    let cells: Vec<&CellResult> = results.cells.iter().filter(|cell| cell.experiment == facts.name).collect();
    let lesson = lesson(facts);
    let mut text = format!("<section id=\"{id}\">\n<h2>{}: {}</h2>\n", escaped(&facts.name), escaped(&facts.title));
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
    let good = cells.iter().all(|cell| matches!(cell.verdict, Verdict::Pass | Verdict::Skip)) && !cells.is_empty();
    if good && !facts.moral.is_empty() {
        text.push_str(&format!("<p class=\"moral\">{}</p>\n", escaped(&facts.moral)));
    }
    text.push_str(&pictures(results, facts));
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
    text + "</section>\n"
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
fn pictures(results: &Results, facts: &ExperimentFacts) -> String {
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
    let plots: [(&str, Plot); 5] = [
        ("Where the wakeups went", split::plot(&chosen)),
        ("Wakeups against the number of workers", growth::plot(&cells)),
        ("Who got the work", shares::plot(&chosen)),
        ("Latency", latency::plot(&chosen)),
        ("One event", lanes::plot(results, &facts.name)),
    ];
    let (mut text, mut missing) = (String::new(), Vec::new());
    for (title, plot) in plots {
        match plot {
            Ok(plot) => text.push_str(&format!("<h3>{title}</h3>\n{plot}")),
            Err(why) => missing.push(why),
        }
    }
    if !missing.is_empty() {
        text.push_str(&paragraph(&format!("Not drawn: {}.", missing.join("; "))));
    }
    text
}

fn expectations(cells: &[&CellResult]) -> String {
    let header = ["cell", "what", "expected", "measured", "verdict", "source"].map(str::to_owned);
    let mut rows = Vec::new();
    for cell in cells {
        for e in &cell.expectations {
            let [metric, expected, measured, source] =
                [&e.metric, &e.expected, &e.measured, &e.source].map(Clone::clone);
            rows.push(vec![cell.id.clone(), metric, expected, measured, e.verdict.to_string(), source]);
        }
    }
    match rows.len() {
        0 => String::new(),
        count => details(
            &format!("What was expected, and why ({count})"),
            &table("Expectations, as the experiment states them", &header, &rows),
        ),
    }
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
