//! Results made from tests/schemas/1.json, a real run of four workers and 23
//! connections, by changing what one test is about.

// Each test file uses a part of this.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

use herd::observation::Observation;
use herd::results::{CellResult, Results, Verdict};

pub fn schemas() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemas")
}

pub fn sample() -> Results {
    let path = schemas().join("1.json");
    Results::parse("1.json", &std::fs::read_to_string(path).unwrap()).unwrap()
}

pub fn changed(change: impl FnOnce(&mut Results)) -> Results {
    let mut results = sample();
    change(&mut results);
    results
}

pub fn cell<'a>(results: &'a mut Results, name: &str) -> &'a mut CellResult {
    let id = format!("sample/{name}");
    results.cells.iter_mut().find(|cell| cell.id == id).unwrap()
}

pub fn seen<'a>(results: &'a mut Results, name: &str) -> &'a mut Observation {
    cell(results, name).observation.as_mut().unwrap()
}

/// Gives a cell these wakeups per round and judges it anew.
pub fn woken(results: &mut Results, name: &str, rounds: &[(u64, u64)]) {
    let source = cell(results, name).count_source.clone();
    let seen = seen(results, name);
    seen.wakeups_per_round = rounds.iter().copied().collect();
    seen.count_source = source;
    let total: u64 = rounds.iter().map(|(count, number)| count * number).sum();
    let cell = cell(results, name);
    cell.workers.iter_mut().for_each(|w| w.wakeups = 0);
    cell.workers[0].wakeups = total;
    judge(cell);
}

pub fn judge(cell: &mut CellResult) {
    let again = herd::experiment::Cell {
        source: String::new(),
        kernel: Default::default(),
        experiment: cell.experiment.clone(),
        id: cell.id.clone(),
        row: cell.row.clone(),
        axes: cell.axes.clone(),
        settings: cell.settings.clone(),
        needs: Vec::new(),
        expectations: cell.rules.clone(),
    };
    let repetition = cell.repetition;
    let here = herd::analysis::judge::Here { release: "", realtime: false, lacks: &|_| None };
    *cell = herd::analysis::judge(&again, cell.whole_observation().unwrap(), &here);
    cell.repetition = repetition;
}

pub fn unmeasured(name: &str, verdict: Verdict) -> Results {
    changed(|r| {
        let cell = cell(r, name);
        cell.verdict = verdict;
        cell.reason = "worker 3 is not quiet".into();
        cell.observation = None;
    })
}
