//! Tables for a terminal, under 80 columns: what is measured, the figures, what
//! went wrong, and at the end the verdict.

use std::io::{self, Write};

use tabled::builder::Builder;
use tabled::settings::Style as Lines;

use super::fit::fitted;
use super::grid::{self, Grid};
use super::{Report, Style};
use crate::experiment::Rule;
use crate::results::{CellResult, ExperimentFacts, Results, Verdict};
use crate::words::{self, fill};

/// The default.
pub struct Table;

impl Report for Table {
    fn name(&self) -> &'static str {
        "table"
    }

    fn about(&self) -> &'static str {
        "tables for a terminal, the verdict last"
    }

    fn write(&self, results: &Results, style: Style, out: &mut dyn Write) -> io::Result<()> {
        if !style.quiet {
            for experiment in &results.experiments {
                experiment_to(results, experiment, style, out)?;
            }
            for warning in &results.environment.warnings {
                for line in wrapped(&format!("note: {warning}"), style.width) {
                    writeln!(out, "{line}")?;
                }
            }
        }
        write!(out, "{}", verdict(results))
    }
}

fn experiment_to(results: &Results, experiment: &ExperimentFacts, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let title = format!("{}: {}", experiment.name, experiment.title);
    fill(&title, style.width).iter().try_for_each(|line| writeln!(out, "{line}"))?;
    for line in wrapped(&experiment.question, style.width).iter().filter(|line| !line.is_empty()) {
        writeln!(out, "  {line}")?;
    }
    for line in wrapped(&subject(results, experiment), style.width) {
        writeln!(out, "  {line}")?;
    }
    for grid in parts(results, experiment, style.width) {
        writeln!(out)?;
        if !grid.heading.is_empty() {
            writeln!(out, "{}:", grid.heading)?;
        }
        writeln!(out, "{}", drawn(&grid))?;
    }
    writeln!(out)?;
    let cells = results.cells.iter().filter(|c| c.experiment == experiment.name);
    for cell in cells.clone().filter(|c| c.verdict != Verdict::Pass) {
        for line in wrapped(&format!("{} {}: {}", cell.verdict, cell.id, cell.reason), style.width) {
            writeln!(out, "{line}")?;
        }
        other_steps(cell, out)?;
    }
    for line in growths(cells.clone()).iter().flat_map(|text| wrapped(text, style.width)) {
        writeln!(out, "{line}")?;
    }
    let why = reasons(cells.clone());
    if !why.is_empty() {
        let named: Vec<String> = why.iter().map(|word| format!("herd explain {word}")).collect();
        for line in wrapped(&format!("What that may mean: {}", named.join(", ")), style.width) {
            writeln!(out, "{line}")?;
        }
    }
    if style.verbose {
        for cell in cells.clone() {
            details(cell, out)?;
        }
    }
    for warning in warnings(cells.clone()) {
        for line in wrapped(&format!("note: {warning}"), style.width) {
            writeln!(out, "{line}")?;
        }
    }
    if grid::shown(cells) && !experiment.moral.is_empty() {
        for line in wrapped(&experiment.moral, style.width) {
            writeln!(out, "{line}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// What relations between relations came to: no single cell has that figure.
fn growths<'a>(cells: impl Iterator<Item = &'a CellResult>) -> Vec<String> {
    let mut found = Vec::new();
    for cell in cells {
        for (rule, judged) in cell.rules.iter().zip(&cell.expectations) {
            let Rule::Growth(growth) = &rule.rule else { continue };
            let came = match judged.verdict {
                Verdict::Pass => format!("{}, as expected", judged.measured),
                Verdict::Fail => format!("{}, FAIL", judged.measured),
                _ => judged.reason.clone(),
            };
            found.push(format!("{} grows to {:?} and to {:?}: {came}", judged.metric, cell.row, growth.below));
        }
    }
    found
}

/// The words of the glossary that say why a cell may be as it is.
fn reasons<'a>(cells: impl Iterator<Item = &'a CellResult>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for cell in cells.filter(|c| matches!(c.verdict, Verdict::Fail | Verdict::Invalid)) {
        let failed = cell.expectations.iter().filter(|e| e.verdict == Verdict::Fail);
        let metrics = failed.filter(|e| words::find(&e.metric).is_some()).map(|e| e.metric.clone());
        for word in metrics.chain([cell.verdict.to_string()]) {
            if !found.contains(&word) {
                found.push(word);
            }
        }
    }
    // The general ones last.
    found.sort_by_key(|word| matches!(word.as_str(), "FAIL" | "invalid"));
    found
}

/// The steps of a script that went wrong, besides the one in its reason.
fn other_steps(cell: &CellResult, out: &mut dyn Write) -> io::Result<()> {
    let failed = cell.expectations.iter().filter(|e| e.verdict == Verdict::Fail);
    for step in failed.skip(1).filter(|_| !cell.settings.script.is_empty()) {
        writeln!(out, "    {}: expected {}, measured {}", step.metric, step.expected, step.measured)?;
    }
    Ok(())
}

/// The line that says what the numbers are and where they were taken.
pub(super) fn subject(results: &Results, experiment: &ExperimentFacts) -> String {
    let environment = &results.environment;
    let cells: Vec<&CellResult> = results.cells.iter().filter(|c| c.experiment == experiment.name).collect();
    let (scripts, cells): (Vec<_>, Vec<_>) = cells.into_iter().partition(|c| !c.settings.script.is_empty());
    let (studies, cells): (Vec<_>, Vec<_>) = cells.into_iter().partition(|c| c.settings.is_study());
    let events: Vec<u64> = cells.iter().map(|c| c.settings.events).collect();
    let events = match (events.iter().min(), events.iter().max()) {
        (Some(min), Some(max)) if min == max => format!("{min} events a cell"),
        (Some(min), Some(max)) => format!("{min} to {max} events a cell"),
        _ if !scripts.is_empty() || !studies.is_empty() => String::new(),
        _ => "no cell".into(),
    };
    let what = match (scripts.len(), events.as_str()) {
        (0, "") => "Median (and least to largest) of each figure's samples".into(),
        (0, events) => format!("Per event, {events}"),
        (count, "") => format!("{count} scripts, figures in all"),
        (count, events) => format!("Per event, {events}; {count} scripts"),
    };
    format!("{what}; Linux {}, {} CPUs, herd {}.", environment.kernel_release, environment.cpus_online, results.herd)
}

/// The tables of one experiment alone, each with its heading.
pub fn tables(results: &Results, experiment: &ExperimentFacts, width: usize) -> Vec<String> {
    let heading = |grid: &Grid| if grid.heading.is_empty() { String::new() } else { format!("{}:\n", grid.heading) };
    parts(results, experiment, width).iter().map(|grid| format!("{}{}", heading(grid), drawn(grid))).collect()
}

fn parts(results: &Results, experiment: &ExperimentFacts, width: usize) -> Vec<Grid> {
    grid::grids(results, experiment, width).iter().flat_map(|grid| fitted(grid, width)).collect()
}

fn drawn(grid: &Grid) -> String {
    let mut builder = Builder::default();
    builder.push_record(&grid.header);
    for row in &grid.rows {
        builder.push_record(row);
    }
    ruled(builder)
}

/// The text of a table, as wide as it must be.
pub(super) fn ruled(builder: Builder) -> String {
    let mut table = builder.build();
    table.with(Lines::psql());
    let text = table.to_string();
    // The outer padding costs two of 80 columns and shows nothing.
    let lines: Vec<&str> = text.lines().map(|line| line.get(1..).unwrap_or("").trim_end()).collect();
    lines.join("\n")
}

/// One line per expectation and per worker.
fn details(cell: &CellResult, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{} [{}]", cell.id, cell.verdict)?;
    for e in &cell.expectations {
        // Nothing was measured where it was not judged.
        let found = if e.measured.is_empty() { e.reason.clone() } else { format!("measured {}", e.measured) };
        writeln!(out, "  {} {}: expected {}, {found} ({})", e.verdict, e.metric, e.expected, e.source)?;
    }
    for (i, w) in cell.workers.iter().enumerate() {
        writeln!(
            out,
            "  w{i}: {} wakeups, {} returns, {} claims, {} empty, {} preempted, {} us CPU, errors {:?}",
            w.wakeups,
            w.returns,
            w.claims,
            w.empty_returns,
            w.involuntary_switches,
            w.cpu_ns / 1000,
            w.errors
        )?;
    }
    writeln!(out)
}

/// Each warning once, however many cells had it.
pub(super) fn warnings<'a>(cells: impl Iterator<Item = &'a CellResult>) -> Vec<String> {
    let mut found: Vec<String> =
        cells.filter_map(|c| c.observation.as_ref()).flat_map(|o| o.warnings.clone()).collect();
    found.sort();
    found.dedup();
    found
}

/// The last line: how many of what.
pub fn verdict(results: &Results) -> String {
    let total = results.cells.len();
    let mut parts = vec![format!("{} of {total} cells as expected", results.count(Verdict::Pass))];
    for (verdict, word) in [(Verdict::Fail, "failed"), (Verdict::Invalid, "invalid"), (Verdict::Skip, "skipped")] {
        match results.count(verdict) {
            0 => {}
            count => parts.push(format!("{count} {word}")),
        }
    }
    let word = match results.exit() {
        crate::exit::Exit::Pass => "PASS",
        crate::exit::Exit::Fail => "FAIL",
        crate::exit::Exit::AllSkipped => "SKIPPED",
        _ => "INVALID",
    };
    let cut = if results.interrupted { " (interrupted)" } else { "" };
    format!("{word}: {}{cut}\n", parts.join(", "))
}

/// Words filled into lines of at most `width` columns.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("never empty");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width.saturating_sub(2) {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}
