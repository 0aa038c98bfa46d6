//! The steps of a script, old and new.

use super::cell::Standing;
use super::pairing::Group;
use super::{Change, Direction};
use crate::results::Judged;

/// Steps that held and do not, or the other way round; a step that only one side
/// has is no change of the kernel.
pub fn changes(old: &Group<'_>, new: &Group<'_>) -> Vec<Change> {
    let first = new.first();
    first.expectations.iter().skip(first.rules.len()).filter_map(|step| of_step(step, old, new)).collect()
}

fn of_step(step: &Judged, old: &Group<'_>, new: &Group<'_>) -> Option<Change> {
    let standing = |group: &Group<'_>| {
        let steps = group.measured().filter_map(|cell| {
            let steps = cell.expectations.iter().skip(cell.rules.len());
            { steps }.find(|other| other.metric == step.metric && other.expected == step.expected).cloned()
        });
        Standing::of(steps.collect::<Vec<_>>().into_iter())
    };
    let (was, is) = (standing(old), standing(new));
    if !was.known() || !is.known() || was.holds() == is.holds() {
        return None;
    }
    Some(Change {
        what: step.metric.clone(),
        direction: if is.holds() { Direction::Better } else { Direction::Worse },
        old: was.to_string(),
        new: is.to_string(),
        expected: step.expected.clone(),
        source: step.source.clone(),
    })
}
