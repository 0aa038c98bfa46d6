//! Studies: each runs here once, and its counts are exact; times are only held against
//! each other by the experiments themselves.

use std::collections::BTreeSet;

use herd::analysis::figures::FIGURES;
use herd::experiment::{Cell, Experiment, embedded};
use herd::observation::End;
use herd::results::{CellResult, Results, Verdict};
use herd::study::LIST;

use lab::processes::{Mark, Tree};
use nix::sys::signal::{Signal, kill};

mod lab;

/// How long killed processes may take to vanish.
const SOON: std::time::Duration = std::time::Duration::from_secs(5);

/// Runs an experiment as a user does, with few samples.
fn run(name: &str, sets: &[&str]) -> Results {
    let mut args = vec!["run", name, "--format", "json", "--set", "samples=3"];
    sets.iter().for_each(|set| args.extend(["--set", set]));
    let said = lab::run(&args);
    Results::parse("stdout", &said.out).unwrap_or_else(|e| panic!("{name}: {e}; {said:#?}"))
}

/// The cells of an experiment that could be had here; each was measured to its end and
/// has left nobody, whatever times were.
#[track_caller]
fn measured(name: &str, sets: &[&str]) -> Vec<CellResult> {
    let cells = run(name, sets).cells;
    assert!(!cells.is_empty(), "{name} has no cell");
    let able = |cell: &CellResult| !matches!(&cell.observation, Some(seen) if matches!(seen.end, End::Unable { .. }));
    let cells: Vec<CellResult> = cells.into_iter().filter(able).collect();
    for cell in &cells {
        let seen = cell.observation.as_ref().unwrap_or_else(|| panic!("{}: {}", cell.id, cell.reason));
        assert_eq!(seen.end, End::Complete, "{}: {}", cell.id, cell.reason);
        assert_eq!(value(cell, "tasks_made"), value(cell, "tasks_reaped"), "{}", cell.id);
        let bad = cell.expectations.iter().find(|e| matches!(e.verdict, Verdict::Fail | Verdict::Invalid));
        assert!(bad.is_none(), "{}: {bad:?}", cell.id);
        let study = herd::study::find(&cell.settings.study.name).unwrap();
        let said: BTreeSet<&str> = seen.figures.keys().chain(seen.omitted.keys()).map(String::as_str).collect();
        let listed: BTreeSet<&str> = study.figures().iter().copied().chain(["tasks_made", "tasks_reaped"]).collect();
        assert_eq!(said, listed, "{} says other figures than it lists", cell.id);
    }
    cells
}

#[track_caller]
fn value(cell: &CellResult, figure: &str) -> f64 {
    let seen = cell.observation.as_ref().unwrap();
    seen.figures.get(figure).unwrap_or_else(|| panic!("{} has no {figure}: {:?}", cell.id, seen.omitted)).median
}

#[track_caller]
fn check(cells: &[CellResult], row: &str, figure: &str, want: f64) {
    let cell = cells.iter().find(|cell| cell.row == row).unwrap_or_else(|| panic!("no row {row}"));
    assert_eq!(value(cell, figure), want, "{}: {figure}", cell.id);
}

fn embedded_cells() -> Vec<Cell> {
    let all = embedded::FILES.iter().map(|(path, text)| Experiment::parse(path, text).unwrap());
    all.flat_map(|experiment| experiment.cells(&[]).unwrap()).collect()
}

#[test]
fn every_study_and_mode_has_an_experiment_and_every_figure_a_study() {
    let cells = embedded_cells();
    for study in LIST {
        let rows = || cells.iter().filter(|cell| cell.settings.study.name == study.name());
        assert!(rows().count() > 0, "{} is in no experiment", study.name());
        for (mode, _) in study.modes() {
            assert!(
                rows().any(|cell| cell.settings.mode == *mode),
                "{}: mode {mode} is in no experiment",
                study.name()
            );
        }
        for figure in study.figures() {
            assert!(FIGURES.iter().any(|known| known.name == *figure), "{figure} is not declared");
        }
    }
    for figure in FIGURES.iter().map(|figure| figure.name).filter(|name| !name.starts_with("tasks_")) {
        assert!(LIST.iter().any(|study| study.figures().contains(&figure)), "no study says {figure}");
    }
}

#[test]
fn a_task_is_in_each_state_once() {
    let cells = measured("states", &[]);
    for (row, state) in [("running", "r"), ("asleep in read", "s"), ("asleep in vfork", "d"), ("stopped", "t")] {
        for other in ["r", "s", "d", "t", "z"] {
            check(&cells, row, &format!("state_{other}"), f64::from(u8::from(other == state)));
        }
    }
    check(&cells, "ended", "state_z", 1.0);
    check(&cells, "ready", "state_r", 2.0);
}

#[test]
fn a_system_call_is_measured_beside_a_function() {
    for cell in measured("entry-cost", &[]) {
        assert_eq!(cell.observation.as_ref().unwrap().figures["call_ns"].samples, 3, "{}", cell.id);
        assert!(value(&cell, "call_ns") > 0.0, "{}", cell.id);
    }
}

#[test]
fn a_token_goes_round_among_all_tasks() {
    for cell in measured("switch-cost", &["workers=2,64"]) {
        assert_eq!(value(&cell, "tasks_made"), f64::from(cell.settings.workers - 1), "{}", cell.id);
        let least = if cell.row == "ring" { f64::from(cell.settings.workers) } else { 2.0 };
        assert!(value(&cell, "hops") >= least, "{}", cell.id);
    }
    for cell in measured("talk", &[]) {
        assert!(value(&cell, "hops") >= 2.0 && value(&cell, "hops") <= 800.0, "{}", cell.id);
    }
}

#[test]
fn stacks_cost_what_was_touched() {
    for cell in measured("stacks", &["workers=20"]) {
        assert_eq!(value(&cell, "tasks_made"), 20.0, "{}", cell.id);
        let (there, touched) = (value(&cell, "resident_kib"), cell.settings.study.touched_kib as f64);
        let kept = if cell.settings.mode == "kept" { touched } else { 0.0 };
        assert!((kept..kept + 32.0).contains(&there), "{}: {there} KiB", cell.id);
    }
}

#[test]
fn four_gib_hold_some_five_hundred_stacks() {
    let cells = measured("address-space", &[]);
    for cell in &cells {
        let started = value(cell, "threads_started");
        assert_eq!(started, value(cell, "tasks_made"), "{}", cell.id);
        let (least, most) = if cell.row == "4 GiB" { (500.0, 512.0) } else { (1000.0, 1000.0) };
        assert!((least..=most).contains(&started), "{}: {started}", cell.id);
        assert!(value(cell, "virtual_mib") >= 8.0 * started, "{}", cell.id);
    }
    let four = cells.iter().find(|cell| cell.row == "4 GiB").expect("it needs little memory");
    assert_eq!(four.winners, "EAGAIN");
}

#[test]
fn making_a_task_is_timed_and_nobody_is_left() {
    let cells = measured("spawn-cost", &[]);
    assert!(cells.iter().all(|cell| value(cell, "tasks_made") >= 4.0), "one for each sample, and one before");
    assert!(cells.iter().all(|cell| value(cell, "spawn_us") > 0.0));
}

#[test]
fn the_first_writer_of_each_page_faults_once() {
    let cells = measured("fork-cow", &[]);
    let pages = f64::from(16 << 20) / herd::sys::region::page_size() as f64;
    // The kernel may write to a page of the task's own in between (rseq): a fault in a
    // thousand, as the experiment has it, is none of the memory's.
    let faults_once = |row: &str, times: f64| {
        let cell = cells.iter().find(|cell| cell.row == row).unwrap_or_else(|| panic!("no row {row}"));
        let faults = value(cell, "faults");
        assert!((times * pages..=(times + 0.001) * pages).contains(&faults), "{}: {faults} faults", cell.id);
    };
    ["untouched", "parent", "child", "child gone"].into_iter().for_each(|row| faults_once(row, 1.0));
    ["no child", "shared"].into_iter().for_each(|row| faults_once(row, 0.0));
    check(&cells, "one CPU", "tasks_made", 3.0);
}

#[test]
fn who_blocks_gives_the_cpu_up_and_who_computes_loses_it() {
    for cell in measured("slice", &[]) {
        assert_eq!(value(&cell, "tasks_made"), 3.0, "{}", cell.id);
        assert!(value(&cell, "voluntary") + value(&cell, "involuntary") > 0.0, "{}", cell.id);
    }
}

#[test]
fn a_crash_takes_all_threads_and_one_process() {
    for workers in [50, 5] {
        let cells = measured("crash-one", &[&format!("workers={workers}")]);
        let workers = f64::from(workers);
        check(&cells, "threads", "survivors", 0.0);
        check(&cells, "threads", "tasks_made", workers + 1.0);
        check(&cells, "processes", "survivors", workers - 1.0);
        check(&cells, "processes", "tasks_made", workers);
    }
}

/// A run of a study under way: its 512 threads sleep and yield in a process of their own.
fn under_way() -> (Mark, lab::Running, Tree) {
    let mark = Mark::new();
    let args = ["run", "switch-cost", "--set", "workers=512", "--set", "mode=yield", "--set", "samples=1000"];
    let herd = lab::spawn(mark.on(&mut lab::herd(args)));
    let tree = mark.with_workers(1);
    (mark, herd, tree)
}

#[test]
fn a_study_that_is_stopped_or_orphaned_leaves_nobody() {
    for (signal, code) in [(Signal::SIGINT, Some(130)), (Signal::SIGTERM, Some(143))] {
        let (mark, herd, tree) = under_way();
        kill(herd.pid(), signal).unwrap();
        assert_eq!(lab::finish(herd).code(), code);
        mark.ends_within(SOON, &tree);
    }
    let (mark, herd, tree) = under_way();
    herd.kill();
    mark.ends_within(SOON, &tree);
}

#[test]
fn what_a_study_does_not_take_is_refused() {
    let check = |lines: &str, want: &str| {
        let text = format!("title = \"t\"\n[[wait]]\nname = \"row\"\n{lines}\n");
        let found = Experiment::parse("x.toml", &text).and_then(|found| found.cells(&[]));
        let message = found.expect_err(lines).to_string();
        assert!(message.contains(want) && message.contains("x.toml:"), "{lines}: {message}");
    };
    check("study = \"entry-cots\"", "unknown study \"entry-cots\"; did you mean \"entry-cost\"?");
    check(
        "study = \"entry-cost\"\nmode = \"getpid\"",
        "unknown mode \"getpid\" of entry-cost; did you mean \"getppid\"?",
    );
    check(
        "study = \"entry-cost\"\nkind = \"epoll\"",
        "the study entry-cost takes mode, samples, limit_ms and nothing else",
    );
    check("study = \"entry-cost\"\nworkers = 2", "entry-cost has 1 tasks of its own; leave out workers");
    check("study = \"entry-cost\"\ntouched = \"1MiB\"", "and nothing else; leave out the rest");
    check("touched = \"1MiB\"", "touched and samples are settings of a study");
    check("touched = \"1GB\"", "touched must be a size such as");
    check("samples = 1001", "samples must be a whole number from 0 to 1000");
    check("study = \"states\"\n[[expect]]\ncall_ns = { more_than = \"row\" }\nsource = \"s\"", "with itself");
    check(
        "study = \"states\"\n[[expect]]\nwait = \"row\"\ncall_ns = { more_than = \"now\" }\nsource = \"s\"",
        "unknown wait",
    );
}
