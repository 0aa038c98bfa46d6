//! Two results side by side: what is different between the earlier and the later one, as
//! `herd compare` finds it. A comparison decides nothing about the verdicts of the page.

use super::super::comparison::{name, origin, remarks, verdict, word};
use super::super::matrix::html::escaped;
use super::Source;
use super::markup::{details, paragraph, table};
use crate::analysis::compare::{Comparison, compare};

/// The earlier and the later one of exactly two results that are both runs: `herd
/// timeline` measures a few events for a picture, which says nothing about a change.
pub fn pair<'a>(sources: &'a [Source<'a>]) -> Option<(&'a Source<'a>, &'a Source<'a>)> {
    let [one, other] = sources else { return None };
    let mut cells = one.results.cells.iter().chain(&other.results.cells);
    if cells.any(|cell| cell.observation.as_ref().is_some_and(|seen| seen.timeline.is_some())) {
        return None;
    }
    let started = |source: &Source<'_>| source.results.environment.started.parse::<u64>().unwrap_or(0);
    Some(if started(one) <= started(other) { (one, other) } else { (other, one) })
}

/// The section, if there is such a pair.
pub fn changes(sources: &[Source<'_>]) -> String {
    let Some((old, new)) = pair(sources) else { return String::new() };
    let inside = match compare((old.file, old.results), (new.file, new.results)) {
        Ok(found) => told(&found),
        Err(e) => paragraph(&format!("Not compared: {e}.")),
    };
    format!("<section id=\"changes\">\n<h2>What changed</h2>\n{inside}</section>\n")
}

fn told(found: &Comparison) -> String {
    let mut text = format!("<p><strong>{}</strong></p>\n", escaped(&verdict(found)));
    for (age, of) in [("Earlier", &found.old), ("Later", &found.new)] {
        text.push_str(&paragraph(&format!("{age}: {}.", origin(of))));
    }
    let header = ["cell", "way", "what", "earlier", "later", "expected"].map(str::to_owned);
    let mut rows = Vec::new();
    for cell in &found.cells {
        for change in &cell.changes {
            let way = word(change.direction).to_owned();
            let (old, new) = (change.old.clone(), change.new.clone());
            rows.push(vec![name(cell), way, change.what.clone(), old, new, change.expected.clone()]);
        }
        for asked in &cell.settings {
            let (old, new) = (asked.old.clone(), asked.new.clone());
            rows.push(vec![name(cell), "asked".into(), asked.what.clone(), old, new, String::new()]);
        }
    }
    if !rows.is_empty() {
        text.push_str(&table("Cells in which something changed", &header, &rows));
    }
    if !found.environment.is_empty() {
        let header = ["what", "earlier", "later"].map(str::to_owned);
        let of = |d: &crate::analysis::compare::Difference| vec![d.what.clone(), d.old.clone(), d.new.clone()];
        let rows: Vec<Vec<String>> = found.environment.iter().map(of).collect();
        text.push_str(&details("How the environments differ", &table("Environments", &header, &rows)));
    }
    for (heading, texts) in remarks(found) {
        let items: String = texts.iter().map(|text| format!("<li>{}</li>\n", escaped(text))).collect();
        text.push_str(&details(heading, &format!("<ul>\n{items}</ul>\n")));
    }
    if let Some(why) = &found.latencies_not_compared {
        text.push_str(&paragraph(&format!("Latencies not compared: {why}.")));
    }
    text
}
