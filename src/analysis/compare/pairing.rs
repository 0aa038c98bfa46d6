//! Which cells of two results are about the same thing.
//!
//! By id first. Cells left over are paired when their settings are the same and
//! no other has them: an experiment may have been renamed.

use crate::observation::{End, Observation};
use crate::results::{CellResult, Verdict};

/// The repetitions of one cell.
pub struct Group<'a> {
    /// Without the number of the repetition.
    pub id: &'a str,
    cells: Vec<&'a CellResult>,
}

/// Pairs, and what is on one side only.
pub struct Paired<'a, 'b> {
    pub both: Vec<(&'b Group<'a>, &'b Group<'a>)>,
    pub only_old: Vec<&'b Group<'a>>,
    pub only_new: Vec<&'b Group<'a>>,
}

impl<'a> Group<'a> {
    pub fn first(&self) -> &'a CellResult {
        self.cells[0]
    }

    pub fn all(&self) -> impl Iterator<Item = &'a CellResult> {
        self.cells.iter().copied()
    }

    /// Apart where `alike` says that two cells did not ask for the same.
    pub fn split(self, alike: impl Fn(&CellResult, &CellResult) -> bool) -> Vec<Group<'a>> {
        let mut found: Vec<Group<'a>> = Vec::new();
        for cell in self.cells {
            match found.iter_mut().find(|group| alike(group.cells[0], cell)) {
                Some(group) => group.cells.push(cell),
                None => found.push(Group { id: self.id, cells: vec![cell] }),
            }
        }
        found
    }

    /// Repetitions that were measured: judged, or without a rule for this kernel.
    pub fn measured(&self) -> impl Iterator<Item = &'a CellResult> {
        let unjudged = |cell: &CellResult| cell.verdict == Verdict::Skip && cell.observation.is_some();
        self.all().filter(move |cell| is_measured(cell.verdict) || unjudged(cell))
    }

    /// Of those, the ones that went through all their events.
    pub fn complete(&self) -> impl Iterator<Item = (&'a CellResult, &'a Observation)> {
        let seen = self.measured().filter_map(|cell| Some((cell, cell.observation.as_ref()?)));
        seen.filter(|(_, seen)| seen.end == End::Complete)
    }

    /// One failure fails all; what could not be measured counts only if nothing was.
    pub fn state(&self) -> Verdict {
        let has = |verdict| self.cells.iter().any(|cell| cell.verdict == verdict);
        [Verdict::Fail, Verdict::Pass, Verdict::Invalid].into_iter().find(|v| has(*v)).unwrap_or(Verdict::Skip)
    }

    /// Why the first repetition with that verdict has it.
    pub fn reason(&self, verdict: Verdict) -> &'a str {
        let cell = self.cells.iter().find(|cell| cell.verdict == verdict && !cell.reason.is_empty());
        cell.map_or("no reason given", |cell| &cell.reason)
    }
}

/// Whether a cell with that verdict has figures to compare.
pub fn is_measured(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Pass | Verdict::Fail)
}

/// The id without `#2`, which only tells repetitions apart.
fn base(cell: &CellResult) -> &str {
    let number = format!("#{}", cell.repetition);
    match cell.repetition {
        0 | 1 => &cell.id,
        _ => cell.id.strip_suffix(&number).unwrap_or(&cell.id),
    }
}

/// Cells by id, in order of first appearance.
pub fn groups<'a>(cells: impl Iterator<Item = &'a CellResult>) -> Vec<Group<'a>> {
    let mut found: Vec<Group<'a>> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for cell in cells {
        let id = base(cell);
        let place = *places.entry(id).or_insert(found.len());
        match found.get_mut(place) {
            Some(group) => group.cells.push(cell),
            None => found.push(Group { id, cells: vec![cell] }),
        }
    }
    found
}

/// Pairs the groups of two results, in the order of the first.
pub fn pair<'a, 'b>(old: &'b [Group<'a>], new: &'b [Group<'a>]) -> Paired<'a, 'b> {
    let same_id = |group: &Group<'_>, others: &'b [Group<'a>]| others.iter().find(|other| other.id == group.id);
    let mut spare: Vec<&Group<'a>> = new.iter().filter(|group| same_id(group, old).is_none()).collect();
    let alone: Vec<&Group<'a>> = old.iter().filter(|group| same_id(group, new).is_none()).collect();
    let mut found = Paired { both: Vec::new(), only_old: Vec::new(), only_new: Vec::new() };
    for group in old {
        if let Some(other) = same_id(group, new) {
            found.both.push((group, other));
            continue;
        }
        let like = |other: &&Group<'a>| other.first().settings == group.first().settings;
        let unique = alone.iter().filter(|g| like(g)).count() == 1 && spare.iter().filter(|g| like(g)).count() == 1;
        match spare.iter().position(like).filter(|_| unique) {
            Some(at) => found.both.push((group, spare.remove(at))),
            None => found.only_old.push(group),
        }
    }
    found.only_new = spare;
    found
}
