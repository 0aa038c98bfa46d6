//! Which results make up which column.
//!
//! A kernel is a release, a build of it and an architecture. Its results share one
//! column if they were made on one number of CPUs, or if no cell was measured on
//! two, as with the parts of a run on unlike machines; else every number of CPUs
//! has its own column. Results that share a column are repetitions of each other.

use std::collections::HashMap;

use crate::experiment::kernel::Release;
use crate::results::{CellResult, Results};

/// A kernel, and where what is known about it comes from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Column {
    /// The release, and what tells it from other columns of that release.
    pub label: String,
    pub release: String,
    pub version: String,
    pub machine: String,
    pub cpus: Vec<u64>,
    pub sources: Vec<String>,
    pub herds: Vec<String>,
    pub files: Vec<String>,
}

/// A column with its cells, in the order of their plan.
pub struct Pile<'a> {
    pub column: Column,
    pub cells: Vec<&'a CellResult>,
}

type Named<'a> = (&'a str, &'a Results);

/// All columns, the oldest kernel first.
pub fn columns<'a>(files: &[Named<'a>]) -> Vec<Pile<'a>> {
    let kernel = |results: &'a Results| {
        let e = &results.environment;
        (&e.kernel_release, &e.kernel_version, &e.machine)
    };
    let mut piles = Vec::new();
    for of_kernel in by(files, |(_, results)| kernel(results)) {
        let by_cpus = by(&of_kernel, |(_, results)| results.environment.cpus_online);
        match overlap(&by_cpus) {
            true => piles.extend(by_cpus.iter().map(|files| pile(files))),
            false => piles.push(pile(&of_kernel)),
        }
    }
    piles.sort_by_cached_key(|pile| {
        let Column { release, version, machine, cpus, .. } = &pile.column;
        (order(release), machine.clone(), natural(version), cpus.clone())
    });
    label(&mut piles);
    piles
}

/// Groups files by a key, in order of first appearance.
fn by<'a, K: PartialEq>(files: &[Named<'a>], key: impl Fn(&Named<'a>) -> K) -> Vec<Vec<Named<'a>>> {
    let mut found: Vec<(K, Vec<Named<'a>>)> = Vec::new();
    for file in files {
        let this = key(file);
        match found.iter_mut().find(|(known, _)| *known == this) {
            Some((_, members)) => members.push(*file),
            None => found.push((this, vec![*file])),
        }
    }
    found.into_iter().map(|(_, members)| members).collect()
}

/// Whether a cell is in two of the groups.
fn overlap(groups: &[Vec<Named<'_>>]) -> bool {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    groups.iter().enumerate().any(|(group, files)| {
        let mut cells = files.iter().flat_map(|(_, results)| &results.cells);
        cells.any(|cell| *seen.entry(cell.id.as_str()).or_insert(group) != group)
    })
}

fn pile<'a>(files: &[Named<'a>]) -> Pile<'a> {
    let environment = &files[0].1.environment;
    let mut column = Column {
        release: environment.kernel_release.clone(),
        version: environment.kernel_version.clone(),
        machine: environment.machine.clone(),
        ..Column::default()
    };
    let plan = |results: &'a Results| results.shard.as_ref().map(|shard| shard.plan.as_str());
    let mut cells = Vec::new();
    for (at, (file, results)) in files.iter().enumerate() {
        column.files.push((*file).to_owned());
        column.cpus.push(results.environment.cpus_online);
        column.herds.push(results.herd.clone());
        column.sources.extend(results.cells.iter().map(|cell| cell.count_source.clone()).filter(|s| !s.is_empty()));
        // The parts of one run are one run again: their cells interleave.
        let first = files.iter().position(|(_, other)| plan(results).is_some() && plan(other) == plan(results));
        let places = results.shard.as_ref().map_or(&[][..], |shard| &shard.places);
        for (number, cell) in results.cells.iter().enumerate() {
            let place = (cell.repetition, places.get(number % places.len().max(1)).copied().unwrap_or(number));
            cells.push(((first.unwrap_or(at), place), cell));
        }
    }
    column.cpus.sort_unstable();
    column.cpus.dedup();
    for names in [&mut column.herds, &mut column.sources] {
        names.sort_unstable();
        names.dedup();
    }
    cells.sort_by_key(|(place, _)| *place);
    Pile { column, cells: cells.into_iter().map(|(_, cell)| cell).collect() }
}

/// Names each column by its release and whatever else differs among its namesakes.
fn label(piles: &mut [Pile<'_>]) {
    let columns: Vec<Column> = piles.iter().map(|pile| pile.column.clone()).collect();
    for (at, pile) in piles.iter_mut().enumerate() {
        let this = &columns[at];
        let same: Vec<(usize, &Column)> =
            columns.iter().enumerate().filter(|(_, other)| other.release == this.release).collect();
        let differ = |fact: &dyn Fn(&Column) -> String| same.iter().any(|(_, other)| fact(other) != fact(this));
        let release = if this.release.is_empty() { "unknown" } else { &this.release };
        let mut parts = vec![release.to_owned()];
        // Debian says it in the release; who builds a kernel may not.
        if this.version.contains("PREEMPT_RT") && !release.contains("-rt") {
            parts.push("PREEMPT_RT".into());
        }
        if differ(&|column| column.machine.clone()) {
            parts.push(this.machine.clone());
        }
        if differ(&|column| cpus(&column.cpus)) {
            parts.push(cpus(&this.cpus));
        }
        let (machine, own_cpus) = (&this.machine, &this.cpus);
        let builds: Vec<usize> = same
            .iter()
            .filter(|(_, other)| other.machine == *machine && other.cpus == *own_cpus)
            .map(|(at, _)| *at)
            .collect();
        if builds.len() > 1 {
            let number = builds.iter().position(|other| *other == at).map_or(1, |at| at + 1);
            parts.push(format!("build {number}"));
        }
        pile.column.label = parts.join(", ");
    }
}

/// The numbers of CPUs in words.
pub fn cpus(numbers: &[u64]) -> String {
    let listed: Vec<String> = numbers.iter().map(u64::to_string).collect();
    format!("{} CPU{}", listed.join(" or "), if numbers == [1] { "" } else { "s" })
}

/// A piece of a name; numbers are compared as numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Piece {
    Text(String),
    Number(u64),
}

fn natural(text: &str) -> Vec<Piece> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let digits = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        // A number too long to be one is text.
        found.push(match piece.parse().ok().filter(|_| digits) {
            Some(number) => Piece::Number(number),
            None => Piece::Text(piece.into()),
        });
        rest = after;
    }
    found
}

/// By release as numbers, a candidate before what it is one for, then by the rest
/// of the name. What is no release comes last.
fn order(release: &str) -> (bool, Option<Release>, bool, Vec<Piece>) {
    let numbers = Release::parse(release);
    let rest = release.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    (numbers.is_none(), numbers, !rest.starts_with("-rc"), natural(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_in_the_order_of_time() {
        let want = [
            "4.19.0-27-amd64",
            "5.9.0",
            "5.10.0-9-amd64",
            "5.10.0-28-amd64",
            "6.1.0-rc2",
            "6.1.0-rc10",
            "6.1.0",
            "6.1.0-fc",
            "6.1.2",
            "6.18.44",
            "mystery",
        ];
        let mut found = want;
        found.reverse();
        found.sort_by_cached_key(|release| order(release));
        assert_eq!(found, want);
    }
}
