//! The parts of one run, put together again. Pure.
//!
//! What comes out is what one run would have given, but for what was measured at
//! another time: cells in the order of the plan, one environment. All parts must
//! be there, each once, of one plan and one kernel; a part that ran in other
//! surroundings is allowed and said. No relation is left to settle: rows that are
//! compared are in one part, see `experiment::shard`.

use std::collections::BTreeMap;

use super::compare::differences;
use crate::results::{CellResult, Environment, ExperimentFacts, Results, SCHEMA, ShardFacts};

/// Facts that say which kernel it was.
const KERNEL: [&str; 3] = ["kernel_release", "kernel_version", "machine"];
/// Facts that differ between any two runs and mean nothing by themselves.
const PASSING: [&str; 3] = ["load_average", "started", "warnings"];
/// So many missing parts are named one by one.
const LISTED: usize = 8;

/// Why the files are not the parts of one run.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum MergeError {
    #[error("{file} is no part of a run, so there is nothing to merge; herd matrix takes whole results")]
    Whole { file: String },
    #[error("{file} is damaged: {why}")]
    Damaged { file: String, why: String },
    #[error("{a} and {b} are not parts of one run: {why}")]
    Foreign { a: String, b: String, why: String },
    #[error("{a} and {b} are both part {number} of {of}; give each part once")]
    Twice { a: String, b: String, number: u32, of: u32 },
    #[error("{missing} missing beside {file}")]
    Missing { file: String, missing: String },
}

/// A file's name with what is in it.
struct Part<'a> {
    file: &'a str,
    results: &'a Results,
    shard: &'a ShardFacts,
}

/// Puts the parts together; the names are only for messages.
pub fn merge(files: &[(&str, &Results)]) -> Result<Results, MergeError> {
    let mut parts: BTreeMap<u32, Part<'_>> = BTreeMap::new();
    for (file, results) in files {
        let shard = results.shard.as_ref().ok_or_else(|| MergeError::Whole { file: (*file).into() })?;
        let part = Part { file, results, shard };
        sound(&part)?;
        if let Some(known) = parts.values().next() {
            same_run(known, &part)?;
        }
        if let Some(known) = parts.get(&shard.number) {
            let (a, b) = (known.file.into(), part.file.into());
            return Err(MergeError::Twice { a, b, number: shard.number, of: shard.of });
        }
        parts.insert(shard.number, part);
    }
    let parts: Vec<Part<'_>> = parts.into_values().collect();
    let cells = in_order(&parts)?;
    let environment = environment(&parts);
    Ok(Results {
        schema: SCHEMA,
        herd: parts[0].results.herd.clone(),
        environment,
        experiments: experiments(&parts, &cells),
        interrupted: parts.iter().any(|part| part.results.interrupted),
        cells: cells.into_iter().cloned().collect(),
        shard: None,
    })
}

/// Where each cell of a part stands in the whole: repetition, from 0, and place.
fn places(part: &Part<'_>) -> impl Iterator<Item = (usize, usize)> {
    let one = part.shard.places.as_slice();
    let all = (0..).flat_map(move |repetition| one.iter().map(move |place| (repetition, *place)));
    all.take(part.results.cells.len())
}

/// Whether a part can be what it says it is.
fn sound(part: &Part<'_>) -> Result<(), MergeError> {
    let damaged = |why: &str| Err(MergeError::Damaged { file: part.file.into(), why: why.into() });
    let ShardFacts { number, of, places: mine, .. } = part.shard;
    if *number == 0 || number > of {
        return damaged(&format!("there is no part {number} of {of}"));
    }
    if !mine.is_sorted_by(|a, b| a < b) || (mine.is_empty() && !part.results.cells.is_empty()) {
        return damaged("it does not say where its cells belong");
    }
    let mut cells = part.results.cells.iter().zip(places(part));
    if !cells.all(|(cell, (repetition, _))| cell.repetition as usize == repetition + 1) {
        return damaged("its cells do not stand where they belong");
    }
    Ok(())
}

/// Whether two parts come from one plan, one herd and one kernel.
fn same_run(a: &Part<'_>, b: &Part<'_>) -> Result<(), MergeError> {
    let foreign = |why: String| MergeError::Foreign { a: a.file.into(), b: b.file.into(), why };
    if a.shard.of != b.shard.of {
        return Err(foreign(format!("one is of {}, the other of {}", a.shard.of, b.shard.of)));
    }
    if a.results.herd != b.results.herd {
        return Err(foreign(format!("herd {} and {}", a.results.herd, b.results.herd)));
    }
    if a.shard.plan != b.shard.plan {
        return Err(foreign("other experiments, --set or --repeat".into()));
    }
    let of_kernel = differences(&a.results.environment, &b.results.environment);
    match of_kernel.into_iter().find(|d| KERNEL.contains(&d.what.as_str())) {
        Some(d) => Err(foreign(format!("{} {} and {}; herd matrix shows kernels side by side", d.what, d.old, d.new))),
        None => Ok(()),
    }
}

/// All cells in the order of the plan, if no part is missing.
fn in_order<'a>(parts: &[Part<'a>]) -> Result<Vec<&'a CellResult>, MergeError> {
    let of = parts.first().map_or(0, |part| part.shard.of);
    let missing: Vec<u32> =
        (1..=of).filter(|n| parts.binary_search_by_key(n, |part| part.shard.number).is_err()).collect();
    if let [first, others @ ..] = missing.as_slice() {
        let (word, verb) = if others.is_empty() { ("part", "is") } else { ("parts", "are") };
        let mut listed = first.to_string();
        others.iter().take(LISTED).for_each(|n| listed.push_str(&format!(", {n}")));
        let more = if others.len() > LISTED { ", .." } else { "" };
        let files: Vec<&str> = parts.iter().map(|part| part.file).collect();
        let missing = format!("{word} {listed}{more} of {of} {verb}");
        return Err(MergeError::Missing { file: files.join(", "), missing });
    }
    let mut all: Vec<usize> = parts.iter().flat_map(|part| &part.shard.places).copied().collect();
    all.sort_unstable();
    if !all.iter().copied().eq(0..all.len()) {
        let file = parts.first().map(|part| part.file.to_owned()).unwrap_or_default();
        return Err(MergeError::Damaged { file, why: "the parts do not make up a whole".into() });
    }
    let placed = parts.iter().flat_map(|part| places(part).zip(&part.results.cells));
    let placed: BTreeMap<(usize, usize), &CellResult> = placed.collect();
    Ok(placed.into_values().collect())
}

/// The experiments in the order in which their cells come.
fn experiments(parts: &[Part<'_>], cells: &[&CellResult]) -> Vec<ExperimentFacts> {
    let mut known: Vec<&ExperimentFacts> = Vec::new();
    for facts in parts.iter().flat_map(|part| &part.results.experiments) {
        if known.iter().all(|other| other.name != facts.name) {
            known.push(facts);
        }
    }
    known.sort_by_key(|facts| cells.iter().position(|cell| cell.experiment == facts.name));
    known.into_iter().cloned().collect()
}

/// That of the first part, with what was otherwise elsewhere as a warning.
fn environment(parts: &[Part<'_>]) -> Environment {
    let first = &parts[0];
    let mut found = first.results.environment.clone();
    for part in &parts[1..] {
        let other = &part.results.environment;
        found.started = std::cmp::min(found.started, other.started.clone());
        let mut warnings = other.warnings.clone();
        for d in differences(&first.results.environment, other) {
            if !PASSING.contains(&d.what.as_str()) {
                let ShardFacts { number, of, .. } = part.shard;
                warnings.push(format!("part {number} of {of} ran elsewhere: {} = {} -> {}", d.what, d.old, d.new));
            }
        }
        for warning in warnings {
            if !found.warnings.contains(&warning) {
                found.warnings.push(warning);
            }
        }
    }
    found
}
