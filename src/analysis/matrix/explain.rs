//! Why an entry differs from the one to its left, where an expectation knows it.
//!
//! An expectation whose kernel range covers one of the two releases and not the
//! other says that something changed in between, and its source says in which
//! commit. It explains a change of what it is about, and only if it holds on its
//! side: a kernel that differs from the old one *and* from what it should be has
//! an unexplained change.

use super::Column;
use crate::analysis::compare::Change;
use crate::analysis::compare::cell::fails;
use crate::analysis::compare::pairing::Group;
use crate::analysis::points::one_line;
use crate::experiment::Expectation;
use crate::experiment::kernel::{Release, stable_release};
use crate::results::Verdict;

/// A cell on a kernel.
type Side<'a, 'b> = (&'b Group<'a>, &'b Column);

/// The explanations, and the changes that have none; each once.
pub fn explain(
    changes: &[Change],
    rules: &[&Expectation],
    old: Side<'_, '_>,
    new: Side<'_, '_>,
) -> (Vec<String>, Vec<String>) {
    let (mut explained, mut unexplained) = (Vec::new(), Vec::new());
    for change in changes {
        let about = || rules.iter().copied().filter(|rule| is_about(&rule.metric, &change.what));
        let turns: Vec<Turn<'_>> = about().filter_map(|rule| turn(rule, old, new)).collect();
        // What begins says more than what ends; of what only ended, the new is unknown.
        let begins = turns.iter().any(|turn| turn.begins);
        let wrong = turns.iter().any(|turn| turn.fails);
        let texts: Vec<String> =
            turns.iter().filter(|turn| turn.begins == begins && !wrong).map(ToString::to_string).collect();
        if texts.is_empty() {
            unexplained.push(format!("{} {} -> {}", change.what, change.old, change.new));
        }
        for text in texts {
            if !explained.contains(&text) {
                explained.push(text);
            }
        }
    }
    (explained, unexplained)
}

/// Why a cell is skipped on one of two kernels, and the source of what holds on the
/// other. A skip without a reason says nothing, nor does one of a single judgement.
pub fn skipped(skipped: &Group<'_>, ran: &Group<'_>) -> Option<String> {
    let cell = skipped.all().find(|cell| !cell.reason.is_empty())?;
    if cell.expectations.iter().any(|judged| judged.verdict != Verdict::Skip) {
        return None;
    }
    let judged = ran.measured().flat_map(|cell| &cell.expectations);
    let holds = { judged }.find(|judged| judged.verdict == Verdict::Pass && !judged.source.is_empty())?;
    // Of a range, without the release: that is in the heading of the column.
    let why = cell.reason.split(", this is ").next().unwrap_or_default();
    Some(format!("{}: {}", one_line(why), one_line(&holds.source)))
}

/// A rule whose range begins or ends between two kernels.
struct Turn<'a> {
    begins: bool,
    /// Whether it fails on the side that it speaks about.
    fails: bool,
    at: &'a str,
    source: &'a str,
}

impl std::fmt::Display for Turn<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let source = if self.source.is_empty() { "an expectation without a source" } else { self.source };
        write!(f, "Linux {}: {}", self.at, one_line(source))
    }
}

fn turn<'a>(rule: &'a Expectation, old: Side<'_, '_>, new: Side<'_, '_>) -> Option<Turn<'a>> {
    let from = stable_release(&old.1.release, &old.1.version);
    let to = stable_release(&new.1.release, &new.1.version);
    // Whatever is no release is in no range, which says nothing.
    Release::parse(from)?;
    Release::parse(to)?;
    let covers = |release: &str| rule.kernel.excludes(release).is_none();
    let (begins, at, side) = match (covers(from), covers(to)) {
        (false, true) => (true, rule.kernel.since.as_deref()?, new.0),
        (true, false) => (false, rule.kernel.before.as_deref()?, old.0),
        _ => return None,
    };
    Some(Turn { begins, fails: fails(side, rule), at, source: &rule.source })
}

/// What a metric or a kind of change is about.
#[derive(PartialEq, Eq)]
enum Subject<'a> {
    Wakeups,
    Returns,
    Order,
    /// Whether the call works at all, and whether anything is lost.
    Everything,
    Other(&'a str),
}

fn subject(name: &str) -> Subject<'_> {
    match name {
        "winners" | "order" | "share" => Subject::Order,
        "error" | "verdict" => Subject::Everything,
        _ if name.starts_with("wakeups") || name.starts_with("spurious") => Subject::Wakeups,
        _ if name.starts_with("returns") => Subject::Returns,
        _ if name.starts_with("claims") => Subject::Order,
        other => Subject::Other(other),
    }
}

/// Whether a rule about `metric` can explain a change of `what`. Whoever is woken
/// returns, so that other wakeups explain other returns.
fn is_about(metric: &str, what: &str) -> bool {
    let (rule, change) = (subject(metric), subject(what));
    rule == change
        || rule == Subject::Everything
        || change == Subject::Everything
        || (rule == Subject::Wakeups && change == Subject::Returns)
}
