//! Observation in, verdict out.
//!
//! The hard checks always apply and stand in no experiment: every event was
//! claimed, none was left, the sums agree. What could not be measured is
//! invalid, never a pass and never a fail.

use super::metrics::{self, Facts, Value};
use super::wording::number;
pub use super::wording::{decimals, expected, short};
use super::{realtime, relation, steps, winners};
use crate::experiment::expectation::Share;
use crate::experiment::settings::Stranded;
use crate::experiment::{Cell, Expectation, Rule, Settings, Winners};
use crate::observation::{End, Observation, TASKS_MADE, TASKS_REAPED, WorkerFacts};
use crate::results::{CellResult, Judged, Verdict};

/// What the hard checks are called where they stand beside expectations.
pub const CONSERVATION: &str = "conservation";

/// And what they are called for a script, which has no events to conserve.
pub const SCRIPT: &str = "script";

/// And for a study.
pub const STUDY: &str = "study";

/// The machine a cell ran on, as far as an expectation may depend on it.
pub struct Here<'a> {
    /// As `uname -r` says it.
    pub release: &'a str,
    /// Built with PREEMPT_RT.
    pub realtime: bool,
    /// Why a probe failed, by probe name.
    pub lacks: &'a dyn Fn(&str) -> Option<String>,
}

/// Judges a cell that ran. Relations to other cells stay open; see `relation`.
pub fn judge(cell: &Cell, mut seen: Observation, here: &Here<'_>) -> CellResult {
    let facts = Facts { seen: &seen, settings: &cell.settings };
    let (hard, reason) = hard_checks(&seen, &seen.workers, &cell.settings, &cell.expectations);
    let mut expectations = Vec::new();
    for expectation in &cell.expectations {
        let lacking = expectation.needs.iter().find_map(|need| (here.lacks)(need));
        let judged = match (expectation.kernel.excludes(here.release).or(lacking), hard) {
            (Some(why), _) => skipped(expectation, why),
            (None, Verdict::Skip) => skipped(expectation, reason.clone()),
            (None, Verdict::Invalid) => invalid(expectation, &reason),
            (None, _) if here.realtime => realtime::judge(expectation, &facts),
            (None, _) => one(expectation, &facts),
        };
        expectations.push(judged);
    }
    let lacking = cell.kernel.excludes(here.release);
    expectations.extend(steps::judge(cell, &seen, lacking.as_deref(), (hard, &reason)));
    let (verdict, reason) = overall((hard, reason), &expectations);
    let pattern = || winners::pattern(&seen.winners, cell.settings.workers);
    CellResult {
        metrics: metrics::all(&facts),
        winners: match (cell.settings.is_study(), cell.settings.has_events()) {
            (true, _) => seen.said.clone(),
            (_, true) => pattern(),
            _ => steps::last_came(cell, &seen).unwrap_or_default(),
        },
        count_source: seen.count_source.clone(),
        workers: std::mem::take(&mut seen.workers),
        expectations,
        verdict,
        reason,
        observation: Some(seen),
        ..unrun(cell)
    }
}

/// Draws the verdict of a cell that ran anew, after an expectation was settled.
pub fn conclude(cell: &mut CellResult) {
    if let Some(seen) = &cell.observation {
        let hard = hard_checks(seen, &cell.workers, &cell.settings, &cell.rules);
        (cell.verdict, cell.reason) = overall(hard, &cell.expectations);
    }
}

/// The hard checks come first; then the worst expectation, with its words.
fn overall(hard: (Verdict, String), expectations: &[Judged]) -> (Verdict, String) {
    let verdict = of_all(expectations);
    if hard.0 != Verdict::Pass || verdict == Verdict::Pass {
        return hard;
    }
    let worst = expectations.iter().find(|e| e.verdict == verdict).expect("it is the verdict of one of them");
    let reason = match verdict {
        Verdict::Skip => worst.reason.clone(),
        Verdict::Invalid => format!("{}: {}", worst.metric, worst.reason),
        _ => format!("{}: expected {}, measured {}", worst.metric, worst.expected, worst.measured),
    };
    (verdict, reason)
}

/// A cell that was not run, because something is lacking here.
pub fn skip(cell: &Cell, why: String) -> CellResult {
    CellResult {
        expectations: (cell.expectations.iter().map(|e| skipped(e, why.clone())))
            .chain(steps::not_run(cell, Verdict::Skip, &why))
            .collect(),
        verdict: Verdict::Skip,
        reason: why,
        ..unrun(cell)
    }
}

/// A cell that was to run and did not.
pub fn not_run(cell: &Cell, why: &str) -> CellResult {
    CellResult {
        expectations: (cell.expectations.iter().map(|e| invalid(e, why)))
            .chain(steps::not_run(cell, Verdict::Invalid, why))
            .collect(),
        reason: why.into(),
        ..unrun(cell)
    }
}

/// The hard checks of a cell, as if an experiment had asked for them.
pub fn conservation(cell: &CellResult) -> Judged {
    let tolerant = cell.settings.stranded == Stranded::Count;
    let rest = if tolerant { "the others left and counted" } else { "none left" };
    let mut judged = Judged {
        metric: CONSERVATION.into(),
        expected: format!("{} events fired, each claimed once, {rest}, all sums equal", cell.settings.events),
        measured: String::new(),
        verdict: cell.verdict,
        reason: cell.reason.clone(),
        source: String::new(),
    };
    let script = !cell.settings.script.is_empty();
    if script {
        judged.metric = SCRIPT.into();
        judged.expected = "every step done, all workers asleep after each, all sums equal".into();
    }
    let study = cell.settings.is_study();
    if study {
        judged.metric = STUDY.into();
        judged.expected = "measured to its end, every task that was made was seen to end".into();
    }
    if let Some(seen) = &cell.observation {
        (judged.verdict, judged.reason) = hard_checks(seen, &cell.workers, &cell.settings, &cell.rules);
        judged.measured = match &seen.end {
            End::Refused { call, errno, .. } => format!("{errno} from {call}"),
            _ if study => format!("{} figures", seen.figures.len()),
            _ if script => format!(
                "{} of {} steps reached",
                seen.steps.len(),
                cell.settings.script().map_or(0, |s| s.checks().count())
            ),
            _ => {
                let (fired, claims) = (seen.fired, cell.workers.iter().map(|w| w.claims).sum::<u64>());
                format!("{fired} of {} events fired, {claims} claimed, {} left", cell.settings.events, seen.stranded)
            }
        };
    }
    judged
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

/// Of an observation and its workers, which a result keeps apart.
fn hard_checks(
    seen: &Observation,
    workers: &[WorkerFacts],
    settings: &Settings,
    expectations: &[Expectation],
) -> (Verdict, String) {
    let total = |count: fn(&WorkerFacts) -> u64| workers.iter().map(count).sum::<u64>();
    match &seen.end {
        End::Complete => {}
        End::Interrupted if seen.traffic.is_none() => return (Verdict::Invalid, "interrupted".into()),
        End::Interrupted => return (Verdict::Invalid, format!("interrupted after {} events", seen.fired)),
        End::Invalid { reason, .. } => return (Verdict::Invalid, reason.clone()),
        End::Unable { reason } => return (Verdict::Skip, reason.clone()),
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
    if settings.is_study() {
        return reaped(seen);
    }
    let claims = total(|w| w.claims);
    let tolerant = settings.stranded == Stranded::Count;
    let script = !settings.script.is_empty();
    let by_time = settings.traffic.duration_ms > 0;
    if seen.fired != settings.events && !script && !by_time {
        return (Verdict::Invalid, format!("fired {} of {} events", seen.fired, settings.events));
    }
    // A client that was refused or gave up may have been claimed, or not.
    let lost = seen.traffic.as_ref().map_or(0, |traffic| traffic.clients.lost());
    let accounted = claims + seen.stranded;
    if !(seen.fired - lost.min(seen.fired)..=seen.fired).contains(&accounted) && !script {
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
    let wakeups = total(|w| w.wakeups);
    // A source that knows only the sum has the workers' figures from /proc, which
    // include the uninterruptible sleeps.
    if in_rounds != wakeups && in_rounds + seen.dsleeps.unwrap_or(0) != wakeups {
        let reason = format!("the rounds have {in_rounds} wakeups, the workers {wakeups}");
        return (Verdict::Invalid, reason);
    }
    (Verdict::Pass, String::new())
}

/// Nobody whom a study made may be left.
fn reaped(seen: &Observation) -> (Verdict, String) {
    let count = |name| seen.figures.get(name).map_or(0.0, |figure| figure.max);
    match [TASKS_MADE, TASKS_REAPED].map(count) {
        [made, reaped] if made != reaped => {
            (Verdict::Fail, format!("{} tasks were made, {} were seen to end", short(made), short(reaped)))
        }
        _ => (Verdict::Pass, String::new()),
    }
}

pub(super) fn skipped(expectation: &Expectation, why: String) -> Judged {
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
    let value = || metrics::find(&expectation.metric).and_then(|m| m.value(facts));
    let (holds, measured) = match &expectation.rule {
        Rule::Winners(want) => order(*want, facts),
        Rule::Times(_) | Rule::Growth(_) | Rule::More(_) => return invalid(expectation, relation::OPEN),
        Rule::Share(share) => match facts.seen.workers.get(share.worker as usize) {
            Some(worker) => share_of(share, worker.claims, facts),
            None => return skipped(expectation, format!("there is no worker {}", share.worker)),
        },
        Rule::NeverAbove(bound) => match value() {
            Some(value) if value.max <= bound + 1e-9 => (true, format!("not seen in {} rounds", facts.seen.rounds())),
            Some(value) => (false, format!("{} in {} rounds", number(&value), facts.seen.rounds())),
            None => (false, "no value".into()),
        },
        Rule::Error(want) => match &facts.seen.end {
            End::Refused { errno, call, .. } => (errno == want, format!("{errno} from {call}")),
            _ => (false, "no error".into()),
        },
        rule => match value() {
            None if facts.seen.omitted.contains_key(&expectation.metric) => {
                return skipped(expectation, facts.seen.omitted[&expectation.metric].clone());
            }
            Some(value) => (within(rule, &value, facts), number(&value)),
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

fn within(rule: &Rule, value: &Value, facts: &Facts<'_>) -> bool {
    let workers = f64::from(facts.settings.workers);
    // Sums of whole numbers divided by whole numbers: compare with a hair's width.
    let (at_least, at_most) = (|a: f64, b: f64| a >= b - 1e-9, |a: f64, b: f64| a <= b + 1e-9);
    match rule {
        Rule::Exact(want) => at_least(value.min, *want) && at_most(value.max, *want),
        Rule::PerEvent { per_event } => {
            let want = per_event * facts.seen.fired as f64;
            at_least(value.min, want) && at_most(value.max, want)
        }
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
        _ => false,
    }
}

/// Whether a worker's claims are within the binomial bounds.
fn share_of(share: &Share, claims: u64, facts: &Facts<'_>) -> (bool, String) {
    let part = share.part.unwrap_or(1.0 / f64::from(facts.settings.workers));
    let all = facts.seen.total(|w| w.claims);
    let (low, high) = winners::binomial_bounds(all, part);
    let measured = format!("{claims} of {all}, likely are {low} to {high}");
    ((low..=high).contains(&claims) && all > 0, measured)
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
