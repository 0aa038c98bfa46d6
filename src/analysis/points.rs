//! Results as test points: one per expectation of a cell and one for its hard
//! checks, whatever the number of repetitions.
//!
//! Pure. A name is unique, the same in every run, made of letters, digits and
//! `-_=.+/`, and begins with a letter: parsers take leading numbers for test
//! numbers, and `#` for a directive.

use std::collections::BTreeMap;
use std::collections::HashSet;

use super::{judge, metrics, sources};
use crate::exit::Exit;
use crate::experiment::Rule;
use crate::experiment::cells::slug;
use crate::results::{CellResult, Judged, Results, Verdict};

/// The points of one experiment.
pub struct Suite {
    pub name: String,
    pub title: String,
    pub points: Vec<Point>,
}

/// One test point.
pub struct Point {
    /// Row and axes, then what is asserted.
    pub name: String,
    /// The worst of its repetitions.
    pub verdict: Verdict,
    /// The repetition that shows that verdict best.
    pub judged: Judged,
    /// Repetitions that passed, and those that were not skipped.
    pub passed: usize,
    pub tried: usize,
    /// What to say although nothing is wrong.
    pub note: Option<String>,
    /// What was measured as a number, with its unit, in that repetition.
    pub value: Option<(f64, &'static str)>,
    /// Seconds from the first event to the last barrier, over all repetitions; only
    /// the point of the hard checks has them, so that sums are right.
    pub seconds: f64,
}

impl Point {
    /// Some repetitions passed and others failed.
    pub fn is_flaky(&self) -> bool {
        self.passed > 0 && self.verdict == Verdict::Fail
    }

    /// How the repetitions ended, where that is not the same as how one ended.
    fn tally(&self) -> Option<String> {
        let counts = format!("{} of {} passed", self.passed, self.tried);
        match self.verdict {
            Verdict::Fail | Verdict::Invalid if self.tried < 2 => None,
            _ if self.is_flaky() => Some(format!("flaky: {counts}")),
            Verdict::Fail | Verdict::Invalid => Some(format!("repetitions: {counts}")),
            Verdict::Pass | Verdict::Skip => None,
        }
    }

    /// What went wrong in one line: the counts where it is flaky.
    pub fn summary(&self) -> String {
        let what = match self.verdict {
            Verdict::Invalid => format!("invalid: {}", self.judged.reason),
            Verdict::Skip => self.judged.reason.clone(),
            _ if !self.judged.reason.is_empty() => self.judged.reason.clone(),
            _ => format!("expected {}, measured {}", self.judged.expected, self.judged.measured),
        };
        let what = self.tally().map_or(what.clone(), |tally| format!("{tally}; {what}"));
        one_line(&what)
    }

    /// One line each: what a person needs to judge the verdict.
    pub fn details(&self) -> Vec<String> {
        let judged = &self.judged;
        let mut lines: Vec<String> = self.tally().into_iter().collect();
        let mut add = |word: &str, text: &str| {
            if !text.is_empty() {
                lines.push(format!("{word}: {}", one_line(text)));
            }
        };
        if self.verdict == Verdict::Invalid {
            add("invalid", &judged.reason);
        } else {
            add("reason", &judged.reason);
        }
        add("expected", &judged.expected);
        add("measured", &judged.measured);
        add("source", &judged.source);
        lines
    }
}

/// The points of a run, by experiment, in the order of the files.
pub fn suites(results: &Results) -> Vec<Suite> {
    let mut suites = Vec::new();
    let mut names = Names::default();
    for experiment in &results.experiments {
        let cells = results.cells.iter().filter(|cell| cell.experiment == experiment.name);
        let points = points(cells);
        suites.push(Suite { name: names.unique(&experiment.name), title: experiment.title.clone(), points });
    }
    suites
}

/// One failed point fails the run; one that could not be measured makes it
/// invalid; a run without a point that passed is no pass.
pub fn exit(suites: &[Suite]) -> Exit {
    let worst = suites.iter().flat_map(|suite| &suite.points).map(|point| point.verdict);
    let has = |verdict| worst.clone().any(|v| v == verdict);
    match () {
        () if has(Verdict::Fail) => Exit::Fail,
        () if has(Verdict::Invalid) => Exit::Invalid,
        () if has(Verdict::Pass) => Exit::Pass,
        () => Exit::AllSkipped,
    }
}

/// How many points have that verdict.
pub fn count(suites: &[Suite], verdict: Verdict) -> usize {
    suites.iter().flat_map(|suite| &suite.points).filter(|point| point.verdict == verdict).count()
}

fn points<'a>(cells: impl Iterator<Item = &'a CellResult>) -> Vec<Point> {
    // The repetitions of a cell, in the order of first appearance.
    let mut order: Vec<String> = Vec::new();
    let mut by_cell: BTreeMap<String, Vec<&CellResult>> = BTreeMap::new();
    for cell in cells {
        let place = place(cell);
        let known = by_cell.entry(place.clone()).or_default();
        if known.is_empty() {
            order.push(place);
        }
        known.push(cell);
    }
    let mut names = Names::default();
    let mut found = Vec::new();
    for place in order {
        let runs = &by_cell[&place];
        let conservation: Vec<(&CellResult, Judged)> =
            runs.iter().map(|cell| (*cell, judge::conservation(cell))).collect();
        let metric = &conservation[0].1.metric;
        found.push(point(names.unique(&format!("{place}/{metric}")), &conservation, None));
        let asserted = runs.iter().map(|cell| cell.expectations.len()).max().unwrap_or(0);
        for index in 0..asserted {
            let judged: Vec<(&CellResult, Judged)> =
                runs.iter().filter_map(|cell| Some((*cell, cell.expectations.get(index)?.clone()))).collect();
            let rule = runs[0].rules.get(index).map(|e| &e.rule);
            let name = names.unique(&format!("{place}/{}", asserts(&judged[0].1.metric, rule)));
            found.push(point(name, &judged, rule));
        }
    }
    found
}

/// The cell's id without the experiment and the repetition.
fn place(cell: &CellResult) -> String {
    let id = cell.id.strip_prefix(&format!("{}/", cell.experiment)).unwrap_or(&cell.id);
    id.strip_suffix(&format!("#{}", cell.repetition)).unwrap_or(id).to_owned()
}

fn asserts(metric: &str, rule: Option<&Rule>) -> String {
    match rule {
        Some(Rule::Times(times)) => format!("{metric}-times-{}", slug(&times.times_of)),
        Some(Rule::Growth(growth)) => format!("{metric}-growth-below-{}", slug(&growth.below)),
        Some(Rule::More(more)) => format!("{metric}-more-than-{}", slug(&more.more_than)),
        Some(Rule::NeverAbove(_)) => format!("{metric}-never-above"),
        Some(Rule::Share(share)) => format!("{metric}-w{}", share.worker),
        _ => metric.to_owned(),
    }
}

fn point(name: String, runs: &[(&CellResult, Judged)], rule: Option<&Rule>) -> Point {
    let with = |verdict| runs.iter().filter(|(_, j)| j.verdict == verdict).count();
    let (passed, skipped) = (with(Verdict::Pass), with(Verdict::Skip));
    let tried = runs.len() - skipped;
    // A skipped repetition says nothing beside one that was tried.
    let worst = runs.iter().map(|(_, j)| j.verdict).filter(|v| tried == 0 || *v != Verdict::Skip).max();
    let verdict = worst.unwrap_or(Verdict::Invalid);
    let (cell, shown) = runs.iter().find(|(_, j)| j.verdict == verdict).expect("a cell has a repetition");
    let mut judged = shown.clone();
    if let (Verdict::Pass, Some(Rule::NeverAbove(_))) = (verdict, rule) {
        let rounds: u64 = runs.iter().filter_map(|(cell, _)| cell.observation.as_ref()).map(|seen| seen.rounds()).sum();
        judged.measured = format!("not seen in {rounds} rounds");
    }
    let telling = rule.is_none() || matches!(rule, Some(Rule::NeverAbove(_)));
    let note = match verdict {
        Verdict::Pass if telling && judged.metric == sources::AGREE && !judged.reason.is_empty() => {
            Some(format!("{}; not counted with {}", judged.measured, judged.reason))
        }
        Verdict::Pass if telling => Some(judged.measured.clone()),
        _ => None,
    };
    let metric = metrics::find(&judged.metric);
    let number = cell.metrics.get(&judged.metric).copied().flatten();
    let elapsed = runs.iter().filter_map(|(cell, _)| cell.observation.as_ref()).map(|seen| seen.elapsed_ns as f64);
    Point {
        name,
        verdict,
        passed,
        tried,
        note: note.filter(|text| !text.is_empty()),
        value: number.zip(metric.map(|m| m.unit)),
        seconds: if matches!(&*judged.metric, judge::CONSERVATION | judge::SCRIPT | judge::STUDY) {
            elapsed.sum::<f64>() / 1e9
        } else {
            0.0
        },
        judged,
    }
}

/// `wanted` in characters that every format takes.
pub fn name(wanted: &str) -> String {
    let kept = |c: char| if c.is_ascii_alphanumeric() || "-_=.+/".contains(c) { c } else { '-' };
    let mut name: String = wanted.chars().map(kept).collect();
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        name.insert_str(0, "x-");
    }
    name
}

/// Names given so far.
#[derive(Default)]
struct Names(HashSet<String>);

impl Names {
    /// [`name`], with a number behind it when it is taken.
    fn unique(&mut self, wanted: &str) -> String {
        let mut name = name(wanted);
        let mut number = 2;
        let base = name.clone();
        while !self.0.insert(name.clone()) {
            name = format!("{base}-{number}");
            number += 1;
        }
        name
    }
}

/// A text without line ends and control characters.
pub fn one_line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}
