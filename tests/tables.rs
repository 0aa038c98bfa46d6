//! The tables of a terminal: none of an experiment that comes with herd is wider than 80
//! columns, whatever was measured, and no figure is cut to get there.

use herd::experiment::Experiment;
use herd::experiment::embedded;
use herd::observation::Figure;
use herd::report::{self, Style};
use herd::results::{CellResult, ExperimentFacts, Results, Verdict};
use herd::words::columns;
use sample::sample;

mod sample;

/// Six digits each, with the extremes where there are some; about what a slow machine has.
fn measured(experiment: &Experiment) -> Results {
    let mut results = sample();
    let one = results.cells[0].clone();
    let figure = Figure { samples: 9, min: 100_001.0, median: 200_002.0, max: 300_003.0 };
    let cell = |cell: herd::experiment::Cell| {
        let mut made = CellResult { verdict: Verdict::Pass, winners: "64 of 64".into(), ..one.clone() };
        (made.experiment, made.id, made.row, made.axes) = (cell.experiment, cell.id, cell.row, cell.axes);
        let study = cell.settings.is_study();
        made.settings = cell.settings;
        for metric in &experiment.layout.show {
            made.metrics.insert(metric.clone(), Some(200_002.0));
            if study {
                made.observation.as_mut().unwrap().figures.insert(metric.clone(), figure);
            }
        }
        made
    };
    results.cells = experiment.cells(&[]).unwrap().into_iter().map(cell).collect();
    results.experiments = vec![ExperimentFacts::from(experiment)];
    results
}

#[test]
fn no_table_that_comes_with_herd_is_wider_than_80_columns() {
    for name in embedded::names() {
        let experiment = embedded::find(&name).unwrap().unwrap();
        let results = measured(&experiment);
        let mut out = Vec::new();
        report::find("table").unwrap().write(&results, Style::default(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        for line in text.lines() {
            assert!(columns(line) <= 80, "{name}: {} columns: {line}", columns(line));
        }
        // One field for each figure of each cell, whole.
        let shown = experiment.layout.show.iter().filter(|metric| *metric != "claims_by_worker").count();
        let found = text.split([' ', '\n']).filter(|word| *word == "200002").count();
        assert_eq!(found, shown * results.cells.len(), "{name}: {text}");
    }
}

#[test]
fn an_expectation_that_was_not_judged_says_why() {
    let mut results = sample();
    let skipped = results.cells.iter().position(|cell| !cell.expectations.is_empty()).unwrap();
    let judged = &mut results.cells[skipped].expectations[0];
    (judged.verdict, judged.measured, judged.reason) =
        (Verdict::Skip, String::new(), "compared with poll, which was not run".into());
    let mut out = Vec::new();
    let style = Style { verbose: true, ..Style::default() };
    report::find("table").unwrap().write(&results, style, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains(", compared with poll, which was not run ("), "{text}");
    assert!(!text.contains("measured  ("), "{text}");
}
