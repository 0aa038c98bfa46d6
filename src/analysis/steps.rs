//! The steps of a script: what came of each against what must come of it.
//!
//! Pure. The same list in the same order whatever happened, so that test points
//! keep their names.

use crate::experiment::Cell;
use crate::experiment::script::{Step, Wanted};
use crate::observation::{Observation, StepSeen, Times};
use crate::results::{Judged, Verdict};

/// Workers that are named one by one in a column.
const LISTED: usize = 4;

/// Judges every step of which something is expected; none where there is no script.
/// `lacking` says why the script says nothing about this kernel.
pub fn judge(cell: &Cell, seen: &Observation, lacking: Option<&str>, hard: (Verdict, &str)) -> Vec<Judged> {
    let one = |(at, step, wanted): (usize, &Step, &Wanted)| {
        let judged = unjudged(cell, step, wanted);
        let known = seen.steps.iter().find(|seen| seen.step == at);
        match (lacking, hard, known) {
            (Some(why), ..) => Judged { verdict: Verdict::Skip, reason: why.into(), ..judged },
            (None, (Verdict::Invalid, why), _) => Judged { verdict: Verdict::Invalid, reason: why.into(), ..judged },
            (None, _, Some(seen)) => {
                Judged { verdict: verdict(wanted, seen), measured: measured(step, wanted, seen), ..judged }
            }
            (None, _, None) => {
                Judged { verdict: Verdict::Invalid, reason: "the step was not reached".into(), ..judged }
            }
        }
    };
    all(cell, one)
}

/// Every step with one verdict and one reason, for a script that did not run.
pub fn not_run(cell: &Cell, verdict: Verdict, why: &str) -> Vec<Judged> {
    all(cell, |(_, step, wanted)| Judged { verdict, reason: why.into(), ..unjudged(cell, step, wanted) })
}

fn all(cell: &Cell, one: impl Fn((usize, &Step, &Wanted)) -> Judged) -> Vec<Judged> {
    cell.settings.script().iter().flat_map(|script| script.checks().map(&one).collect::<Vec<_>>()).collect()
}

fn unjudged(cell: &Cell, step: &Step, wanted: &Wanted) -> Judged {
    Judged {
        metric: step.slug.clone(),
        expected: expected(step, wanted),
        measured: String::new(),
        verdict: Verdict::Invalid,
        reason: String::new(),
        source: cell.source.clone(),
    }
}

/// What must come of the step, in words.
pub fn expected(step: &Step, wanted: &Wanted) -> String {
    match step.rounds {
        1 => wanted.to_string(),
        rounds => format!("{wanted} in each of {rounds} rounds"),
    }
}

fn verdict(wanted: &Wanted, seen: &StepSeen) -> Verdict {
    let right = seen.outcomes.keys().all(|outcome| wanted.allows(outcome));
    if right && !seen.outcomes.is_empty() { Verdict::Pass } else { Verdict::Fail }
}

/// What came of it. A race that was not lost was not seen to be lost, no more.
fn measured(step: &Step, wanted: &Wanted, seen: &StepSeen) -> String {
    if step.rounds == 1 {
        return seen.outcomes.keys().next().cloned().unwrap_or_default();
    }
    let each: Vec<String> = seen.outcomes.iter().map(|(outcome, times)| counted(outcome, times, wanted)).collect();
    let each = each.join(", ");
    match verdict(wanted, seen) {
        Verdict::Pass if step.race => format!("nothing else seen in {} rounds: {each}", step.rounds),
        _ => each,
    }
}

fn counted(outcome: &str, times: &Times, wanted: &Wanted) -> String {
    let Times { rounds, first } = times;
    let found = format!("{outcome} {rounds} {}", if *rounds == 1 { "time" } else { "times" });
    if wanted.allows(outcome) { found } else { format!("{found}, first in round {first}") }
}

/// Who came back at the last `came`, for a column of tables.
pub fn last_came(cell: &Cell, seen: &Observation) -> Option<String> {
    let script = cell.settings.script()?;
    let (at, ..) = script.checks().filter(|(_, step, _)| step.text == "came").last()?;
    let outcomes = &seen.steps.iter().find(|seen| seen.step == at)?.outcomes;
    let most = outcomes.iter().max_by_key(|(_, times)| times.rounds)?;
    let named = most.0.split('+').count();
    Some(if named > LISTED { format!("{named} of {}", script.workers.len()) } else { most.0.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Experiment;
    use crate::observation::End;

    fn cell(statements: &str) -> Cell {
        let text = format!("title = \"t\"\n[[wait]]\nname = \"row\"\nsource = \"here\"\nscript = [{statements}]\n");
        Experiment::parse("x.toml", &text).unwrap().cells(&[]).unwrap().remove(0)
    }

    fn seen(step: usize, outcomes: &[(&str, u64, u64)]) -> Observation {
        let outcomes =
            outcomes.iter().map(|(text, rounds, first)| ((*text).into(), Times { rounds: *rounds, first: *first }));
        Observation {
            steps: vec![StepSeen { step, outcomes: outcomes.collect() }],
            ..Observation::empty(End::Complete)
        }
    }

    #[track_caller]
    fn check(statements: &str, seen: &Observation, verdict: Verdict, expected: &str, measured: &str) {
        let judged = judge(&cell(statements), seen, None, (Verdict::Pass, "")).remove(0);
        assert_eq!((judged.verdict, &*judged.expected, &*judged.measured), (verdict, expected, measured));
        assert_eq!(judged.source, "here");
    }

    #[test]
    fn a_step_is_judged_by_all_its_rounds() {
        let once = "\"epoll e\", \"wait e -> 0 or 1\"";
        check(once, &seen(1, &[("1", 1, 1)]), Verdict::Pass, "0 or 1", "1");
        check(once, &seen(1, &[("2", 1, 1)]), Verdict::Fail, "0 or 1", "2");
        let block = "\"epoll e\", \"repeat 10\", \"wait e -> 1\", \"end\"";
        let want = "1 in each of 10 rounds";
        check(block, &seen(2, &[("1", 10, 1)]), Verdict::Pass, want, "1 10 times");
        let lost = seen(2, &[("0", 1, 4), ("1", 9, 1)]);
        check(block, &lost, Verdict::Fail, want, "0 1 time, first in round 4, 1 9 times");
        let race = block.replace("repeat", "race");
        check(&race, &seen(2, &[("1", 10, 1)]), Verdict::Pass, want, "nothing else seen in 10 rounds: 1 10 times");
    }

    #[test]
    fn a_step_that_was_not_reached_is_invalid_and_one_about_other_kernels_skipped() {
        let cell = cell("\"epoll e\", \"wait e -> 0\"");
        let nothing = Observation::empty(End::Complete);
        let verdict = |lacking, hard| judge(&cell, &nothing, lacking, hard)[0].verdict;
        assert_eq!(verdict(None, (Verdict::Pass, "")), Verdict::Invalid);
        assert_eq!(verdict(Some("old"), (Verdict::Pass, "")), Verdict::Skip);
        assert_eq!(not_run(&cell, Verdict::Skip, "no").len(), 1);
    }
}
