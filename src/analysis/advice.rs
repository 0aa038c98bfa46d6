//! Which accept strategy suits this machine, out of cells that ran. Pure.
//!
//! Says only what the cells show: of each figure the best strategies are those whose
//! range over the repetitions reaches into that of the best one, and every statement
//! names the cell it rests on.

use serde::Serialize;

use crate::results::{CellResult, Results, Verdict};

/// Experiments that advice is drawn from, by name.
pub const LOAD: &str = "advise-load";
pub const SLOW: &str = "advise-slow";
pub const RELOAD: &str = "advise-reload";

/// The row of [`RELOAD`] that stands for every strategy without one of its own.
const ONE_QUEUE: &str = "one queue";

/// A figure over the repetitions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figure {
    pub min: f64,
    pub median: f64,
    pub max: f64,
}

/// What is looked at, each better the smaller it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Criterion {
    pub name: &'static str,
    /// Heading of its column.
    pub heading: &'static str,
    experiment: &'static str,
    metric: &'static str,
    /// Who should choose by it.
    pub matters: &'static str,
    /// A difference smaller than this is none, whatever the ranges say.
    tolerance: f64,
}

// Places in the list below.
const CPU: usize = 1;
const P50: usize = 2;

/// Every figure of the table, in its order.
pub const CRITERIA: &[Criterion] = &[
    Criterion {
        name: "wakeups per connection",
        heading: "wakeups",
        experiment: LOAD,
        metric: "wakeups_per_event",
        matters: "the machine has other work to do, or the workers are many",
        tolerance: 0.2,
    },
    Criterion {
        name: "CPU time per connection",
        heading: "CPU us",
        experiment: LOAD,
        metric: "cpu_us_per_event",
        matters: "the CPUs are busy",
        tolerance: 0.0,
    },
    Criterion {
        name: "median latency",
        heading: "p50 us",
        experiment: LOAD,
        metric: "reply_latency_us_p50",
        matters: "the usual client matters",
        tolerance: 0.0,
    },
    Criterion {
        name: "99th percentile of latency",
        heading: "p99 us",
        experiment: LOAD,
        metric: "reply_latency_us_p99",
        matters: "the slow clients matter",
        tolerance: 0.0,
    },
    Criterion {
        name: "busiest worker over the mean",
        heading: "max/mean",
        experiment: LOAD,
        metric: "max_mean",
        matters: "connections stay long, so that their worker keeps their load",
        tolerance: 0.25,
    },
    Criterion {
        name: "clients that one stuck worker delays",
        heading: "stuck",
        experiment: SLOW,
        metric: "late",
        matters: "single requests can be slow",
        tolerance: 3.0,
    },
    Criterion {
        name: "connections lost when a worker leaves",
        heading: "lost",
        experiment: RELOAD,
        metric: "reset",
        matters: "workers are restarted under load, or may crash",
        tolerance: 0.0,
    },
];

/// One strategy with its figures, in the order of [`CRITERIA`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    pub strategy: String,
    pub figures: Vec<Option<Figure>>,
    /// Why it has none, or which of its cells is not to be relied on.
    pub note: String,
}

/// Who is best at one thing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Statement {
    pub criterion: &'static str,
    pub matters: &'static str,
    /// Alike as far as these runs can tell.
    pub best: Vec<String>,
    /// The cell of the first of them.
    pub cell: String,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Advice {
    pub lines: Vec<Line>,
    pub statements: Vec<Statement>,
    /// Whether repetitions of one cell differ so much that no choice can rest on them.
    pub unsteady: bool,
    /// Strategies that are among the best at most of these things, and at how many.
    pub choice: Vec<String>,
    pub best_at: usize,
}

/// Draws it from the cells of the three experiments.
pub fn advise(results: &Results) -> Advice {
    let mut names: Vec<&str> = Vec::new();
    for cell in results.cells.iter().filter(|cell| cell.experiment == LOAD) {
        if !names.contains(&cell.row.as_str()) {
            names.push(&cell.row);
        }
    }
    let lines: Vec<Line> = names.iter().map(|name| line(results, name)).collect();
    let statements: Vec<Statement> =
        CRITERIA.iter().enumerate().filter_map(|(at, criterion)| statement(results, &lines, at, criterion)).collect();
    let times = |name: &str| statements.iter().filter(|s| s.best.iter().any(|best| best == name)).count();
    let unsteady = unsteady(&lines);
    let best_at = names.iter().map(|name| times(name)).max().unwrap_or(0);
    let choice =
        names.iter().filter(|name| best_at > 0 && !unsteady && times(name) == best_at).map(|name| name.to_string());
    Advice { choice: choice.collect(), unsteady, best_at, lines, statements }
}

/// Whether half of the strategies or more have a CPU time or a median latency that
/// varies by more than half of itself.
fn unsteady(lines: &[Line]) -> bool {
    let varies = |figure: &Figure| figure.max - figure.min > 0.5 * figure.median;
    [CPU, P50].iter().any(|at| {
        let known: Vec<Figure> = lines.iter().filter_map(|line| line.figures[*at]).collect();
        2 * known.iter().filter(|figure| varies(figure)).count() >= known.len().max(1)
    })
}

/// The cells of a strategy in one experiment.
fn cells<'a>(results: &'a Results, experiment: &str, strategy: &str) -> Vec<&'a CellResult> {
    let of = |row: &str| -> Vec<&'a CellResult> {
        results.cells.iter().filter(|cell| cell.experiment == experiment && cell.row == row).collect()
    };
    match of(strategy) {
        none if none.is_empty() && experiment == RELOAD => of(ONE_QUEUE),
        found => found,
    }
}

fn line(results: &Results, strategy: &str) -> Line {
    let figures = CRITERIA.iter().map(|criterion| figure(&cells(results, criterion.experiment, strategy), criterion));
    let mine = || results.cells.iter().filter(|cell| cell.row == strategy);
    let bad = mine().find(|cell| cell.verdict != Verdict::Pass).map(|cell| format!("{}: {}", cell.id, cell.reason));
    let warned = || {
        let warned = mine().filter(|cell| cell.experiment == LOAD).find_map(|cell| {
            let warning = cell.observation.as_ref()?.warnings.first()?;
            Some(format!("{}: {warning}", cell.id))
        });
        warned.unwrap_or_default()
    };
    Line { strategy: strategy.into(), figures: figures.collect(), note: bad.unwrap_or_else(warned) }
}

fn figure(cells: &[&CellResult], criterion: &Criterion) -> Option<Figure> {
    let value = |cell: &CellResult| match criterion.experiment {
        RELOAD => reset(cell),
        _ => cell.metrics.get(criterion.metric).copied().flatten(),
    };
    let mut values: Vec<f64> =
        cells.iter().filter(|cell| cell.verdict == Verdict::Pass).filter_map(|cell| value(cell)).collect();
    values.sort_by(f64::total_cmp);
    Some(Figure { min: *values.first()?, median: values[values.len() / 2], max: *values.last()? })
}

/// What the last step of a script that counts resets came to.
fn reset(cell: &CellResult) -> Option<f64> {
    let script = cell.settings.script()?;
    let (at, ..) = script.checks().filter(|(_, step, _)| step.text == "reset").last()?;
    let seen = cell.observation.as_ref()?.steps.iter().find(|seen| seen.step == at)?;
    seen.outcomes.keys().next()?.parse().ok()
}

fn statement(results: &Results, lines: &[Line], at: usize, criterion: &Criterion) -> Option<Statement> {
    let known = || lines.iter().filter_map(|line| line.figures[at].map(|figure| (line, figure)));
    let (first, best) = known().min_by(|(_, a), (_, b)| a.median.total_cmp(&b.median))?;
    let alike = |figure: &Figure| figure.min <= best.max || figure.median - best.median <= criterion.tolerance;
    let mut names: Vec<String> = vec![first.strategy.clone()];
    names.extend(
        known().filter(|(line, f)| line.strategy != first.strategy && alike(f)).map(|(l, _)| l.strategy.clone()),
    );
    let cell = cells(results, criterion.experiment, &first.strategy).first()?.id.clone();
    Some(Statement { criterion: criterion.name, matters: criterion.matters, best: names, cell })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(strategy: &str, min: f64, median: f64, max: f64) -> Line {
        let mut figures = vec![None; CRITERIA.len()];
        figures[1] = Some(Figure { min, median, max });
        Line { strategy: strategy.into(), figures, note: String::new() }
    }

    fn nobody() -> Results {
        Results::parse("empty", r#"{"schema":1,"herd":"0","environment":{},"experiments":[],"cells":[]}"#).unwrap()
    }

    #[test]
    fn ranges_that_overlap_are_alike() {
        let lines = [line("a", 9.0, 10.0, 12.0), line("b", 11.0, 14.0, 20.0), line("c", 13.0, 14.0, 15.0)];
        let known = lines.iter().map(|l| l.figures[1].unwrap());
        let best = known.clone().min_by(|a, b| a.median.total_cmp(&b.median)).unwrap();
        let alike: Vec<bool> = known.map(|f| f.min <= best.max).collect();
        assert_eq!(alike, [true, true, false]);
        // Without a cell there is no proof, and without proof no statement.
        assert_eq!(statement(&nobody(), &lines, 1, &CRITERIA[1]), None);
    }

    #[test]
    fn what_varies_more_than_it_differs_is_no_ground_for_a_choice() {
        assert!(!unsteady(&[line("a", 9.0, 10.0, 12.0), line("b", 11.0, 14.0, 16.0), line("c", 1.0, 14.0, 99.0)]));
        assert!(unsteady(&[line("a", 9.0, 10.0, 12.0), line("c", 1.0, 14.0, 99.0)]));
    }

    #[test]
    fn nothing_that_ran_is_no_advice() {
        let advice = advise(&nobody());
        assert!(advice.lines.is_empty() && advice.statements.is_empty() && advice.choice.is_empty());
    }
}
