//! One part of a run that several processes or machines share: `--shard 2/4`.
//!
//! Pure. Every n-th unit of the plan is taken, so that the parts are of one size
//! whatever the order of the experiments. A unit is one cell, or the cells of one
//! axis combination that `times_of` relates to each other (all samples, for a growth): these stay
//! together, so that each shard can judge all of its cells by itself.

use std::collections::BTreeMap;

use super::expectation::More;
use super::{Cell, Rule};

/// More parts than the largest experiment has cells.
const MOST: u32 = 100_000;

/// `number` of `of`, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    pub number: u32,
    pub of: u32,
}

impl std::str::FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Shard, String> {
        let wanted = || format!("expected I/N, which is part I of N with I from 1 to N (at most {MOST}), such as 1/4");
        // Digits only: `+1` is a number to Rust.
        let number = |text: &str| text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
        let (left, right) = text.split_once('/').ok_or_else(wanted)?;
        let (number, of) = number(left).zip(number(right)).ok_or_else(wanted)?;
        if number == 0 && (1..=MOST).contains(&of) {
            return Err("parts are counted from 1: add 1 to an index that begins at 0".into());
        }
        if number == 0 || number > of || of > MOST {
            return Err(wanted());
        }
        Ok(Shard { number, of })
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl Shard {
    /// The places of its cells in the plan, in order.
    pub fn places(self, cells: &[&Cell]) -> Vec<usize> {
        let mine = units(cells).into_iter().skip(self.number as usize - 1).step_by(self.of as usize);
        let mut places: Vec<usize> = mine.flatten().collect();
        places.sort_unstable();
        places
    }
}

/// Cells that belong together, by their places; in order of their first cell.
fn units(cells: &[&Cell]) -> Vec<Vec<usize>> {
    let mut by_row = BTreeMap::new();
    for (place, cell) in cells.iter().enumerate() {
        by_row.insert((&cell.experiment, &cell.axes, cell.row.as_str()), place);
    }
    // Each cell points to an earlier one of its unit, or to itself.
    let mut first: Vec<usize> = (0..cells.len()).collect();
    let root = |first: &[usize], mut place: usize| {
        while first[place] != place {
            place = first[place];
        }
        place
    };
    for (place, cell) in cells.iter().enumerate() {
        for expectation in &cell.expectations {
            let mut mates: Vec<usize> = Vec::new();
            match &expectation.rule {
                // All samples of all four rows; all places of an axis of two.
                rule @ (Rule::Growth(_) | Rule::More(More { over: Some(_), .. })) => {
                    let row = |row: &String| *row == cell.row || rule.other_rows().contains(&row.as_str());
                    let mate = |other: &Cell| other.experiment == cell.experiment && row(&other.row);
                    let place = |(place, other): (usize, &&Cell)| mate(other).then_some(place);
                    mates.extend(cells.iter().enumerate().filter_map(place));
                }
                rule => {
                    for row in rule.other_rows() {
                        mates.extend(by_row.get(&(&cell.experiment, &cell.axes, row)));
                    }
                }
            }
            for other in mates {
                let (a, b) = (root(&first, place), root(&first, other));
                first[a.max(b)] = a.min(b);
            }
        }
    }
    let mut found: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for place in 0..cells.len() {
        found.entry(root(&first, place)).or_default().push(place);
    }
    found.into_values().collect()
}

/// A figure that two plans share only if they ask for the same cells: FNV-1a,
/// which is the same in every version of herd.
pub fn digest(cells: &[&Cell], repeat: u32) -> String {
    let text = serde_json::to_string(&(cells, repeat)).expect("cells are JSON");
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Experiment;

    fn cells(text: &str) -> Vec<Cell> {
        Experiment::parse("t.toml", text).unwrap().cells(&[]).unwrap()
    }

    fn places(text: &str, of: u32) -> Vec<Vec<usize>> {
        let cells = cells(text);
        let cells: Vec<&Cell> = cells.iter().collect();
        (1..=of).map(|number| Shard { number, of }.places(&cells)).collect()
    }

    const PLAIN: &str = "title = \"t\"\n[defaults]\nkind = \"null\"\n[matrix]\nworkers = [1, 2, 3]\n\
                         [[wait]]\nname = \"a\"\n[[wait]]\nname = \"b\"\n[[wait]]\nname = \"c\"\n";

    #[test]
    fn every_nth_cell_is_taken() {
        assert_eq!(places(PLAIN, 2), [vec![0, 2, 4, 6, 8], vec![1, 3, 5, 7]]);
        assert_eq!(places(PLAIN, 1), [(0..9).collect::<Vec<_>>()]);
        assert!(places(PLAIN, 11)[10].is_empty());
    }

    #[test]
    fn related_rows_stay_together() {
        let related = format!("{PLAIN}[[expect]]\nwait = \"c\"\nwakeups_per_event = {{ times_of = \"a\", max = 1 }}\n");
        // a and c of each number of workers are one unit, b is one alone.
        assert_eq!(places(&related, 2), [vec![0, 2, 3, 5, 6, 8], vec![1, 4, 7]]);
    }

    #[test]
    fn all_samples_of_a_growth_stay_together() {
        let rows = PLAIN.replace("workers = [1, 2, 3]", "sample = [1, 2]");
        let related = format!(
            "{rows}[[wait]]\nname = \"d\"\n[[wait]]\nname = \"e\"\n[[expect]]\nwait = \"a\"\nsample = 1\n\
             served_per_second = {{ growth_from = \"b\", below = \"c\", below_from = \"d\" }}\n"
        );
        assert_eq!(places(&related, 3), [vec![0, 1, 2, 3, 5, 6, 7, 8], vec![4], vec![9]]);
    }

    #[test]
    fn two_rows_along_an_axis_stay_together() {
        let rule = "wakeups_per_event = { more_than = \"a\", over = \"workers\" }";
        let related = format!("{PLAIN}[[expect]]\nwait = \"c\"\nworkers = 1\n{rule}\n");
        assert_eq!(places(&related, 2), [vec![0, 2, 3, 4, 5, 6, 8], vec![1, 7]]);
    }

    #[test]
    fn what_is_no_part_is_refused() {
        for text in ["", "1", "/", "1/", "/2", "3/2", "1/0", "0/0", "-1/2", "+1/2", "1/2/3", "a/b", "1/100001", " 1/2"]
        {
            let said = text.parse::<Shard>().unwrap_err();
            assert!(said.starts_with("expected I/N"), "{text:?}: {said}");
        }
        assert!("0/4".parse::<Shard>().unwrap_err().contains("counted from 1"));
        assert_eq!("2/4".parse::<Shard>(), Ok(Shard { number: 2, of: 4 }));
    }

    #[test]
    fn a_digest_tells_plans_apart() {
        let (a, b) = (cells(PLAIN), cells(&PLAIN.replace("[1, 2, 3]", "[1, 2, 4]")));
        let of = |cells: &[Cell], repeat| digest(&cells.iter().collect::<Vec<_>>(), repeat);
        assert_eq!(of(&a, 1), of(&a, 1));
        assert_ne!(of(&a, 1), of(&b, 1));
        assert_ne!(of(&a, 1), of(&a, 2));
    }
}
