//! One cell, old and new: rules, counts and order.

use super::pairing::Group;
use super::{Change, Direction, ERROR_RATE, steps};
use crate::analysis::judge::{self, short};
use crate::analysis::metrics::Facts;
use crate::analysis::rank::{Histogram, mann_whitney};
use crate::experiment::{Expectation, Rule};
use crate::observation::End;
use crate::results::{CellResult, Judged, Verdict};

const WAKEUPS: &str = "wakeups_per_event";
/// A count that is the same in so many rounds is a constant, not luck.
const ROUNDS: u64 = 20;
/// How far a count that includes uninterruptible sleeps may lie above one that
/// does not. Up to 2 % was seen; the experiments allow 1 in 8.
const DSLEEPS: f64 = 0.125;
/// More than one wakeup in so many events is not one worker for each.
const HARDLY: f64 = 0.05;
/// So many winners show a pattern.
const WINNERS: usize = 20;

/// What there is to say about a pair.
#[derive(Default)]
pub struct Found {
    pub changes: Vec<Change>,
    pub explained: Vec<String>,
}

/// What a source's wakeups are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counts {
    /// Interruptible sleeps.
    Exact,
    /// The uninterruptible ones as well.
    UpperBound,
    /// Returns to user space, or made up.
    Other,
}

fn counts(source: &str) -> Counts {
    match source {
        "bpf" | "perf" => Counts::Exact,
        "proc" => Counts::UpperBound,
        _ => Counts::Other,
    }
}

/// Compares two groups that were both measured.
pub fn compare(old: &Group<'_>, new: &Group<'_>) -> Found {
    let mut found = Found::default();
    hard_checks(old, new, &mut found);
    let sources = [old, new].map(|group| counts(&group.first().count_source));
    let names = [old, new].map(|group| group.first().count_source.as_str());
    // Returns say nothing about wakeups, and the other way round.
    let comparable = names[0] == names[1] || !sources.contains(&Counts::Other);
    let wakeups = [old, new].map(|group| Figures::of(group));
    let within_dsleeps = sources.contains(&Counts::UpperBound) && within_dsleeps(&wakeups);
    let mut explain = false;
    let rules = rules(old, new);
    for (rule, standings) in &rules {
        let Some(change) = of_rule(rule, standings) else {
            continue;
        };
        match counts_wakeups(&rule.metric) {
            true if !comparable => {}
            true if within_dsleeps => explain = true,
            _ => found.changes.push(change),
        }
    }
    let known = found.changes.iter().any(|change| change.what == WAKEUPS);
    let asked_alike = old.first().settings == new.first().settings;
    let script = !new.first().settings.script.is_empty();
    if script {
        found.changes.extend(steps::changes(old, new));
    }
    // What a script may come to differs from run to run; its steps say what is right.
    let events = new.first().settings.has_events();
    if let ([Some(was), Some(is)], false) = (&wakeups, known || !events)
        && comparable
        && !(asked_alike && may_race(&rules))
        && was.differ(is)
    {
        if within_dsleeps {
            explain = true;
        } else {
            let judged = || rules.iter().filter(|(rule, _)| rule.metric == WAKEUPS);
            let holds = judged().count() > 0 && judged().all(|(_, s)| s.iter().all(Standing::holds));
            found.changes.push(Change {
                what: WAKEUPS.into(),
                // Other settings, and right for both: neither is worse.
                direction: if holds && !asked_alike { Direction::Changed } else { more_is_worse(was.mean, is.mean) },
                old: was.to_string(),
                new: is.to_string(),
                expected: String::new(),
                source: String::new(),
            });
        }
    }
    if explain {
        let [was, is] = wakeups.map(|figures| figures.map(|f| f.to_string()).unwrap_or_default());
        found.explained.push(format!(
            "{WAKEUPS} {was} ({}) -> {is} ({}): proc counts uninterruptible sleeps as well",
            names[0], names[1]
        ));
    }
    // What a study says in words is shown, not judged.
    if events {
        order(old, new, &mut found);
    }
    refusal(old, new, &mut found);
    found
}

/// Whether the rules of the count leave room, and it keeps to them on both sides.
/// Such a count is a race even where it looks like a constant: two runs of one
/// kernel had 32 workers on a shared epoll wake 2 in all rounds, and 3.
fn may_race(rules: &[(&Expectation, [Standing; 2])]) -> bool {
    let mut known = rules.iter().filter(|(rule, s)| rule.metric == WAKEUPS && s.iter().all(Standing::known)).peekable();
    let leaves_room = |rule: &Rule| matches!(rule, Rule::Range(_) | Rule::NeverAbove(_));
    known.peek().is_some() && known.all(|(rule, s)| leaves_room(&rule.rule) && s.iter().all(Standing::holds))
}

/// A call that one kernel refuses and the other does not, where no rule says more:
/// each of the two may have its own.
fn refusal(old: &Group<'_>, new: &Group<'_>, found: &mut Found) {
    let errno = |group: &Group<'_>| {
        let ends = group.measured().filter_map(|cell| Some(&cell.observation.as_ref()?.end));
        let mut refused = ends.filter_map(|end| match end {
            End::Refused { errno, call, .. } => Some(format!("{errno} from {call}")),
            _ => None,
        });
        refused.next().unwrap_or_else(|| "no error".into())
    };
    let (old, new) = (errno(old), errno(new));
    if found.changes.is_empty() && old != new {
        let (expected, source) = (String::new(), String::new());
        found.changes.push(Change { what: "error".into(), direction: Direction::Changed, old, new, expected, source });
    }
}

/// Lost and left events, and whatever else fails a cell without a rule of its own.
fn hard_checks(old: &Group<'_>, new: &Group<'_>, found: &mut Found) {
    let broken = |group: &Group<'_>| -> Option<String> {
        let unruled = |cell: &&CellResult| {
            cell.verdict == Verdict::Fail && cell.expectations.iter().all(|e| e.verdict != Verdict::Fail)
        };
        group.measured().find(unruled).map(|cell| format!("FAIL, {}", cell.reason))
    };
    let (direction, old, new) = match (broken(old), broken(new)) {
        (None, Some(reason)) => (Direction::Worse, "pass".to_owned(), reason),
        (Some(reason), None) => (Direction::Better, reason, "pass".to_owned()),
        _ => return,
    };
    let (expected, source) = (String::new(), String::new());
    found.changes.push(Change { what: "verdict".into(), direction, old, new, expected, source });
}

/// How often a rule held and did not.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    passed: usize,
    failed: usize,
    /// Of the first repetition that decides.
    measured: String,
}

impl Standing {
    pub(super) fn of<'a>(judged: impl Iterator<Item = Judged> + 'a) -> Standing {
        let mut found = Standing::default();
        for one in judged {
            let failed = one.verdict == Verdict::Fail;
            if !failed && one.verdict != Verdict::Pass {
                continue;
            }
            if found.measured.is_empty() || (failed && found.failed == 0) {
                found.measured = one.measured;
            }
            *if failed { &mut found.failed } else { &mut found.passed } += 1;
        }
        found
    }

    pub(super) fn known(&self) -> bool {
        self.passed + self.failed > 0
    }

    pub(super) fn holds(&self) -> bool {
        self.failed == 0 && self.passed > 0
    }
}

impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = self.passed + self.failed;
        match (self.failed, all) {
            (0, _) => write!(f, "{} (pass)", self.measured),
            (1, 1) => write!(f, "{} (FAIL)", self.measured),
            (failed, all) => write!(f, "{} (FAIL {failed} of {all})", self.measured),
        }
    }
}

/// The rules of the new result, with their standing on both sides: the old one is
/// judged by them too, so that a changed rule is no change of the kernel.
fn rules<'a>(old: &Group<'a>, new: &Group<'a>) -> Vec<(&'a Expectation, [Standing; 2])> {
    let rules = new.first().rules.iter();
    let standing = |group: &Group<'a>, rule: &'a Expectation| {
        Standing::of(group.measured().filter_map(|cell| judged(cell, rule)).collect::<Vec<_>>().into_iter())
    };
    rules.map(|rule| (rule, [standing(old, rule), standing(new, rule)])).collect()
}

/// Whether a rule fails in one of the cells.
pub fn fails(group: &Group<'_>, rule: &Expectation) -> bool {
    group.measured().filter_map(|cell| judged(cell, rule)).any(|judged| judged.verdict == Verdict::Fail)
}

/// A rule judged in one cell: as stored, or anew where the cell had another rule.
/// The same rule may stand there twice, for other kernels.
fn judged(cell: &CellResult, rule: &Expectation) -> Option<Judged> {
    let same = |other: &Expectation| other.metric == rule.metric && other.rule == rule.rule;
    let for_same = |other: &Expectation| same(other) && other.kernel == rule.kernel;
    if let Some(at) = cell.rules.iter().position(for_same).or_else(|| cell.rules.iter().position(same)) {
        return cell.expectations.get(at).cloned();
    }
    let seen = cell.whole_observation()?;
    let judgeable = matches!(seen.end, End::Complete | End::Refused { .. });
    judgeable.then(|| judge::one(rule, &Facts { seen: &seen, settings: &cell.settings }))
}

fn of_rule(rule: &Expectation, [was, is]: &[Standing; 2]) -> Option<Change> {
    if !was.known() || !is.known() || was.holds() == is.holds() {
        return None;
    }
    Some(Change {
        what: rule.metric.clone(),
        direction: if is.holds() { Direction::Better } else { Direction::Worse },
        old: was.to_string(),
        new: is.to_string(),
        expected: judge::expected(&rule.rule, None),
        source: rule.source.clone(),
    })
}

/// Whether the counts alone make it a change, and no rule.
pub fn by_figures(change: &Change) -> bool {
    change.what == WAKEUPS && change.expected.is_empty()
}

fn counts_wakeups(metric: &str) -> bool {
    metric.starts_with("wakeups") || metric.starts_with("spurious")
}

fn more_is_worse(old: f64, new: f64) -> Direction {
    if new > old { Direction::Worse } else { Direction::Better }
}

/// Wakeups per round, over all repetitions of a cell. Returns have no such
/// figures: they are the outcome of a race in user space, and a machine may be
/// in the mood for 1 in all rounds of one run and for 2 in all of the next.
pub struct Figures {
    rounds: Histogram,
    batch: u64,
    pub mean: f64,
    pub min: f64,
    pub max: f64,
}

impl Figures {
    pub fn of(group: &Group<'_>) -> Option<Figures> {
        let mut rounds = Histogram::new();
        let mut batch = 1;
        for (_, seen) in group.complete() {
            batch = seen.batch.max(1);
            seen.wakeups_per_round.iter().for_each(|(count, n)| *rounds.entry(*count).or_default() += n);
        }
        let per_event = |count: &u64| *count as f64 / batch as f64;
        let (min, max) = (per_event(rounds.keys().next()?), per_event(rounds.keys().next_back()?));
        let sum: f64 = rounds.iter().map(|(count, number)| per_event(count) * *number as f64).sum();
        let number: u64 = rounds.values().sum();
        Some(Figures { batch, mean: sum / number as f64, min, max, rounds })
    }

    /// At least half of the rounds have so many or fewer.
    pub fn median(&self) -> f64 {
        let (all, mut below) = (self.rounds.values().sum::<u64>(), 0);
        let half = self.rounds.iter().find(|(_, number)| {
            below += **number;
            2 * below >= all
        });
        half.map_or(self.min, |(count, _)| *count as f64 / self.batch as f64)
    }

    /// The same in every round, and not by luck: a few bursts alike say nothing.
    fn constant(&self) -> bool {
        self.min == self.max && (self.batch == 1 || self.rounds.values().sum::<u64>() >= ROUNDS)
    }

    /// Constants differ by being different; other counts of single events when
    /// their ranges lie apart and that is no accident. In a burst workers are
    /// awake when the next event comes: then only a rule can tell.
    fn differ(&self, new: &Figures) -> bool {
        if self.constant() && new.constant() {
            return self.min != new.min;
        }
        if self.batch.max(new.batch) > 1 || (self.min <= new.max && new.min <= self.max) {
            return false;
        }
        mann_whitney(&self.rounds, &new.rounds).is_some_and(|ranked| ranked.p < ERROR_RATE)
    }

    /// One worker for each event: then the kernel chose it, and nobody raced.
    fn wakes_one(&self) -> bool {
        self.batch == 1 && self.min == 1.0 && self.mean <= 1.0 + HARDLY
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.min == self.max {
            return f.write_str(&short(self.mean));
        }
        write!(f, "{} ({} to {})", short(self.mean), short(self.min), short(self.max))
    }
}

/// The same floor, and no more above it than sleeps on locks amount to.
fn within_dsleeps([old, new]: &[Option<Figures>; 2]) -> bool {
    let (Some(old), Some(new)) = (old, new) else {
        return false;
    };
    old.min == new.min && (old.mean - new.mean).abs() <= DSLEEPS * old.mean.min(new.mean)
}

/// The order of the winners, where the kernel alone chose them.
fn order(old: &Group<'_>, new: &Group<'_>, found: &mut Found) {
    let chosen = |group: &Group<'_>| {
        let counted = counts(&group.first().count_source) != Counts::Other || group.first().count_source == "scripted";
        counted && Figures::of(group).is_some_and(|figures| figures.wakes_one())
    };
    let judged = found.changes.iter().any(|change| change.what == "winners");
    if judged || !chosen(old) || !chosen(new) {
        return;
    }
    if let (Some(was), Some(is)) = (kind(old), kind(new))
        && was != is
    {
        found.changes.push(Change {
            what: "order".into(),
            direction: Direction::Changed,
            old: was.into(),
            new: is.into(),
            expected: String::new(),
            source: String::new(),
        });
    }
}

/// The kind of order, where all repetitions have the same. How many workers a
/// hash or a race happened to reach is no kind.
fn kind<'a>(group: &Group<'a>) -> Option<&'a str> {
    let mut kinds = group.complete().map(|(cell, seen)| match cell.winners.as_str() {
        _ if seen.winners.len() < WINNERS => "few",
        pattern if pattern == "rotates" || pattern.ends_with(" only") => pattern,
        _ => "scattered",
    });
    let first = kinds.next()?;
    (first != "few" && kinds.all(|other| other == first)).then_some(first)
}
