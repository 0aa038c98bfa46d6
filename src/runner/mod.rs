//! Runs cells somewhere and brings back what they saw. Knows cells and
//! observations, not waits.

pub mod limits;
pub mod local;

use crate::experiment::Cell;
use crate::results::CellResult;
use crate::{analysis, probe};
use std::collections::HashMap;

/// Remembers what each probe said, since cells ask again and again.
#[derive(Default)]
pub struct Probes {
    said: HashMap<String, Option<String>>,
}

impl Probes {
    /// Why `name` is lacking here; `None` when it is there.
    pub fn lacking(&mut self, name: &str) -> Option<String> {
        let ask = || {
            let probe = probe::find(name)?;
            probe.run().err().map(|why| format!("no {name}: {why}"))
        };
        self.said.entry(name.to_owned()).or_insert_with(ask).clone()
    }
}

/// Skips, or runs and judges, one cell.
pub fn run_cell(cell: &Cell, local: &mut local::Local, probes: &mut Probes, trace: bool) -> CellResult {
    let needs = cell.needs.iter().map(String::as_str);
    let object = crate::object::find(&cell.settings.object).and_then(|object| object.needs());
    if let Some(why) = needs.chain(object).find_map(|need| probes.lacking(need)) {
        return analysis::judge::skip(cell, why);
    }
    let seen = local.observe(&cell.settings, trace);
    let lacks: HashMap<String, Option<String>> =
        cell.expectations.iter().flat_map(|e| &e.needs).map(|need| (need.clone(), probes.lacking(need))).collect();
    analysis::judge(cell, seen, |need| lacks.get(need).cloned().flatten())
}
