//! Observation in, verdict out.
//!
//! The hard checks always apply and stand in no experiment: every event was
//! claimed, none was left, the sums agree. What could not be measured is
//! invalid, never a pass and never a fail.

use super::metrics::{self, Facts, Value};
use super::winners;
use crate::experiment::settings::Stranded;
use crate::experiment::{Cell, Expectation, Rule, Settings, Winners};
use crate::observation::{End, Observation};
use crate::results::{CellResult, Judged, Verdict};

/// Judges a cell that ran. `lacks` says why a probe failed, by probe name.
pub fn judge(cell: &Cell, mut seen: Observation, lacks: impl Fn(&str) -> Option<String>) -> CellResult {
    let facts = Facts { seen: &seen, settings: &cell.settings };
    let (mut verdict, mut reason) = hard_checks(&facts, &cell.expectations);
    let mut expectations = Vec::new();
    for expectation in &cell.expectations {
        let lacking = expectation.needs.iter().find_map(|need| lacks(need));
        let judged = match (lacking, verdict) {
            (Some(why), _) => skipped(expectation, why),
            (None, Verdict::Invalid) => invalid(expectation, &reason),
            (None, _) => one(expectation, &facts),
        };
        expectations.push(judged);
    }
    if verdict == Verdict::Pass {
        verdict = of_all(&expectations);
        if let Some(worst) = expectations.iter().find(|e| e.verdict == verdict && verdict != Verdict::Pass) {
            reason = match verdict {
                Verdict::Skip => worst.reason.clone(),
                _ => format!("{}: expected {}, measured {}", worst.metric, worst.expected, worst.measured),
            };
        }
    }
    CellResult {
        metrics: metrics::all(&facts),
        winners: winners::pattern(&seen.winners, cell.settings.workers),
        count_source: seen.count_source.clone(),
        workers: std::mem::take(&mut seen.workers),
        expectations,
        verdict,
        reason,
        observation: Some(seen),
        ..unrun(cell)
    }
}

/// A cell that was not run, because something is lacking here.
pub fn skip(cell: &Cell, why: String) -> CellResult {
    CellResult {
        expectations: cell.expectations.iter().map(|e| skipped(e, why.clone())).collect(),
        verdict: Verdict::Skip,
        reason: why,
        ..unrun(cell)
    }
}

fn unrun(cell: &Cell) -> CellResult {
    CellResult {
        experiment: cell.experiment.clone(),
        id: cell.id.clone(),
        row: cell.row.clone(),
        axes: cell.axes.clone(),
        repetition: 1,
        settings: cell.settings.clone(),
        count_source: String::new(),
        workers: Vec::new(),
        metrics: Default::default(),
        winners: String::new(),
        expectations: Vec::new(),
        verdict: Verdict::Invalid,
        reason: String::new(),
        observation: None,
        rules: cell.expectations.clone(),
    }
}

/// A failed expectation outweighs all; skipped ones count only if nothing else is there.
fn of_all(judged: &[Judged]) -> Verdict {
    let has = |verdict| judged.iter().any(|j| j.verdict == verdict);
    if has(Verdict::Fail) {
        Verdict::Fail
    } else if has(Verdict::Invalid) {
        Verdict::Invalid
    } else if has(Verdict::Pass) || judged.is_empty() {
        Verdict::Pass
    } else {
        Verdict::Skip
    }
}

fn hard_checks(facts: &Facts<'_>, expectations: &[Expectation]) -> (Verdict, String) {
    let seen = facts.seen;
    match &seen.end {
        End::Complete => {}
        End::Interrupted => return (Verdict::Invalid, "interrupted".into()),
        End::Invalid { reason, .. } => return (Verdict::Invalid, reason.clone()),
        End::Lost { event, states } => {
            let reason = format!("event {event} was fired, everybody sleeps and nobody took it; {}", states.join("; "));
            return (Verdict::Fail, reason);
        }
        End::Refused { worker, call, errno } => {
            if expectations.iter().any(|e| matches!(e.rule, Rule::Error(_))) {
                return (Verdict::Pass, String::new());
            }
            let who = worker.map_or("coordinator".into(), |w| format!("worker {w}"));
            return (Verdict::Invalid, format!("{who}: {call}: {errno}"));
        }
    }
    let claims = seen.total(|w| w.claims);
    let tolerant = facts.settings.stranded == Stranded::Count;
    if seen.fired != facts.settings.events {
        return (Verdict::Invalid, format!("fired {} of {} events", seen.fired, facts.settings.events));
    }
    if claims + seen.stranded != seen.fired {
        let reason = format!(
            "{} events fired, {claims} claimed, {} left: {} lost",
            seen.fired,
            seen.stranded,
            seen.fired as i128 - (claims + seen.stranded) as i128
        );
        return (Verdict::Fail, reason);
    }
    if seen.stranded > 0 && !tolerant {
        return (Verdict::Fail, format!("{} events left in the object", seen.stranded));
    }
    let in_rounds: u64 = seen.wakeups_per_round.iter().map(|(count, rounds)| count * rounds).sum();
    let wakeups = seen.total(|w| w.wakeups);
    // A source that knows only the sum has the workers' figures from /proc, which
    // include the uninterruptible sleeps.
    if in_rounds != wakeups && in_rounds + seen.dsleeps.unwrap_or(0) != wakeups {
        let reason = format!("the rounds have {in_rounds} wakeups, the workers {wakeups}");
        return (Verdict::Invalid, reason);
    }
    (Verdict::Pass, String::new())
}

fn skipped(expectation: &Expectation, why: String) -> Judged {
    Judged {
        metric: expectation.metric.clone(),
        expected: expected(&expectation.rule, None),
        measured: String::new(),
        verdict: Verdict::Skip,
        reason: why,
        source: expectation.source.clone(),
    }
}

fn invalid(expectation: &Expectation, why: &str) -> Judged {
    Judged { verdict: Verdict::Invalid, ..skipped(expectation, why.into()) }
}

/// Judges one expectation of a cell whose hard checks passed.
pub fn one(expectation: &Expectation, facts: &Facts<'_>) -> Judged {
    let (holds, measured) = match &expectation.rule {
        Rule::Winners(want) => order(*want, facts),
        Rule::Error(want) => match &facts.seen.end {
            End::Refused { errno, call, .. } => (errno == want, format!("{errno} from {call}")),
            _ => (false, "no error".into()),
        },
        rule => match metrics::find(&expectation.metric).and_then(|m| m.value(facts)) {
            Some(value) => (within(rule, &value, facts.settings.workers), number(&value)),
            None => (false, "no value".into()),
        },
    };
    Judged {
        metric: expectation.metric.clone(),
        expected: expected(&expectation.rule, Some(facts.settings)),
        measured,
        verdict: if holds { Verdict::Pass } else { Verdict::Fail },
        reason: String::new(),
        source: expectation.source.clone(),
    }
}

fn within(rule: &Rule, value: &Value, workers: u32) -> bool {
    let workers = f64::from(workers);
    // Sums of whole numbers divided by whole numbers: compare with a hair's width.
    let (at_least, at_most) = (|a: f64, b: f64| a >= b - 1e-9, |a: f64, b: f64| a <= b + 1e-9);
    match rule {
        Rule::Exact(want) => at_least(value.min, *want) && at_most(value.max, *want),
        Rule::PerWorker { per_worker, slack } => {
            let floor = per_worker * workers;
            at_least(value.min, floor) && at_most(value.mean, floor + slack)
        }
        Rule::Range(range) => {
            let fits = |bound: Option<f64>, holds: &dyn Fn(f64) -> bool| bound.is_none_or(holds);
            fits(range.min, &|b| at_least(value.min, b))
                && fits(range.max, &|b| at_most(value.max, b))
                && fits(range.min_per_worker, &|b| at_least(value.min, b * workers))
                && fits(range.max_per_worker, &|b| at_most(value.max, b * workers))
                && fits(range.mean_min, &|b| at_least(value.mean, b))
                && fits(range.mean_max, &|b| at_most(value.mean, b))
        }
        Rule::Winners(_) | Rule::Error(_) => false,
    }
}

fn order(want: Winners, facts: &Facts<'_>) -> (bool, String) {
    let (seen, workers) = (facts.seen, facts.settings.workers);
    let shares: Vec<u64> = seen.workers.iter().map(|w| w.claims).collect();
    let only = |index: usize| shares.iter().enumerate().all(|(i, c)| (i == index) == (*c > 0));
    let measured = format!("{} {shares:?}", winners::pattern(&seen.winners, workers));
    let holds = match want {
        Winners::Rotation => winners::is_rotation(&seen.winners, workers) && !seen.winners.is_empty(),
        Winners::First => only(0),
        Winners::Last => only(workers as usize - 1),
        Winners::Even => shares.iter().all(|c| *c == shares[0]) && !shares.is_empty() && shares[0] > 0,
        Winners::Decreasing => shares.windows(2).all(|pair| pair[0] >= pair[1]),
        Winners::Uniform => {
            let (chi, limit) = (winners::chi_square(&shares), winners::chi_square_limit(shares.len()));
            let measured = format!("chi-square {chi:.1} of {limit:.1} {shares:?}");
            return (chi < limit && shares.iter().sum::<u64>() > 0, measured);
        }
    };
    (holds, measured)
}

/// A number with at most three digits behind the point.
pub fn short(number: f64) -> String {
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn number(value: &Value) -> String {
    if value.min == value.max {
        return short(value.mean);
    }
    format!("{} ({} to {})", short(value.mean), short(value.min), short(value.max))
}

/// The rule in words; `settings` turns per-worker bounds into numbers.
pub fn expected(rule: &Rule, settings: Option<&Settings>) -> String {
    let times = |factor: f64| match settings {
        Some(settings) => short(factor * f64::from(settings.workers)),
        None => format!("{} x workers", short(factor)),
    };
    match rule {
        Rule::Exact(want) => short(*want),
        Rule::PerWorker { per_worker, slack } if *slack == 0.0 => times(*per_worker),
        Rule::PerWorker { per_worker, slack } => {
            format!("{}, on average at most {} more", times(*per_worker), short(*slack))
        }
        Rule::Winners(want) => format!("{want:?}").to_lowercase(),
        Rule::Error(name) => name.clone(),
        Rule::Range(range) => {
            let mut parts = Vec::new();
            let mut add = |word: &str, bound: Option<String>| parts.extend(bound.map(|b| format!("{word} {b}")));
            add("at least", range.min.map(short));
            add("at least", range.min_per_worker.map(times));
            add("at most", range.max.map(short));
            add("at most", range.max_per_worker.map(times));
            add("on average at least", range.mean_min.map(short));
            add("on average at most", range.mean_max.map(short));
            parts.join(", ")
        }
    }
}
