//! Which cells are drawn, and the words that plots share.

use super::super::grid;
use crate::observation::{End, Observation};
use crate::results::{CellResult, Results};

/// A picture as HTML, or a sentence why there is none.
pub type Plot = Result<String, String>;

/// Pictures of one cell each show this many workers, or as near to it as there are.
const WORKERS: u32 = 8;

/// The cells of one combination of axes.
pub struct Chosen<'a> {
    /// The combination in words; empty where there are no axes.
    pub axes: String,
    pub cells: Vec<&'a CellResult>,
    /// Whether there are other combinations.
    pub others: bool,
}

/// Cells of an experiment that ran to their end and have events; of repetitions
/// the first.
pub fn drawable<'a>(results: &'a Results, experiment: &str) -> Vec<&'a CellResult> {
    let whole = |cell: &&CellResult| {
        let complete = cell.observation.as_ref().is_some_and(|seen| seen.end == End::Complete);
        cell.experiment == experiment && cell.repetition <= 1 && cell.settings.has_events() && complete
    };
    results.cells.iter().filter(whole).collect()
}

/// The combination of axes that pictures of single cells show.
pub fn chosen<'a>(cells: &[&'a CellResult]) -> Option<Chosen<'a>> {
    let groups = grid::groups(cells, |cell| grid::heading(&cell.axes));
    let others = groups.len() > 1;
    let distance =
        |cells: &Vec<&CellResult>| cells.first().map_or(u32::MAX, |cell| cell.settings.workers.abs_diff(WORKERS));
    let nearest = groups.into_iter().min_by_key(|(_, cells)| distance(cells));
    nearest.map(|(axes, cells)| Chosen { axes, cells, others })
}

impl Chosen<'_> {
    /// For the caption.
    pub fn which(&self) -> String {
        match (self.axes.as_str(), self.others) {
            ("", _) => String::new(),
            (axes, false) => format!(" Here {axes}."),
            (axes, true) => format!(" Drawn for {axes}; the other combinations are in the tables and the JSON."),
        }
    }
}

pub fn metric(cell: &CellResult, name: &str) -> Option<f64> {
    cell.metrics.get(name).copied().flatten().filter(|value| value.is_finite())
}

pub fn seen(cell: &CellResult) -> &Observation {
    cell.observation.as_ref().expect("only cells that ran are drawn")
}
