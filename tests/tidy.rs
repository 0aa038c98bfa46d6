//! The rules of ARCHITECTURE.md that a reader relies on: who imports whom, where
//! unsafe code and sleeps may be, and that every list holds all of its folder.

use std::path::{Path, PathBuf};

/// Longer files lose their reader.
const LINES: usize = 400;

fn source(inside: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(inside)
}

/// All Rust files below a folder, with their path inside the repository.
fn rust_files(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(source(folder)).unwrap_or_else(|e| panic!("{folder}: {e}")) {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let inside = format!("{folder}/{name}");
        if source(&inside).is_dir() {
            found.extend(rust_files(&inside));
        } else if name.ends_with(".rs") {
            let text = std::fs::read_to_string(source(&inside)).unwrap();
            found.push((inside, text));
        }
    }
    found
}

/// The lines of code above the tests, without comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
    lines.filter(|line| !line.trim_start().starts_with("//"))
}

/// No file in `folder` has a line of code that contains one of `words`.
#[track_caller]
fn check_free_of(folder: &str, words: &[&str], except: &[&str]) {
    let mut bad = Vec::new();
    let files = rust_files(folder);
    assert!(!files.is_empty(), "{folder} has no Rust files");
    for (path, text) in files.iter().filter(|(path, _)| !except.contains(&path.as_str())) {
        for line in code(text) {
            bad.extend(words.iter().filter(|word| line.contains(**word)).map(|word| format!("{path}: {word}: {line}")));
        }
    }
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn sys_knows_nothing_of_ours() {
    check_free_of("src/sys", &["crate::cell", "crate::experiment", "crate::object", "crate::wait"], &[]);
    check_free_of("src/sys", &["crate::analysis", "crate::report", "crate::runner", "crate::observation"], &[]);
}

#[test]
fn objects_waits_and_loads_know_neither_each_other_nor_the_ledger() {
    let cell = ["cell::ledger", "cell::quiet", "cell::worker", "cell::rounds", "cell::coordinator", "cell::crew"];
    for folder in ["src/object", "src/wait", "src/load"] {
        check_free_of(folder, &cell, &[]);
        let others =
            ["crate::object", "crate::wait", "crate::load", "crate::analysis", "crate::report", "crate::runner"];
        check_free_of(folder, &others, &[]);
    }
}

#[test]
fn the_pure_half_knows_no_kernel_clock_or_file() {
    let impure =
        ["nix::", "libc::", "socket2", "Instant", "SystemTime", "std::fs", "std::net", "std::process", "crate::sys"];
    for folder in ["src/analysis", "src/report"] {
        check_free_of(folder, &impure, &[]);
        check_free_of(folder, &["crate::cell::", "crate::runner", "crate::wait", "crate::object", "crate::probe"], &[]);
    }
    let others = ["crate::cell", "crate::object", "crate::wait", "crate::load", "crate::analysis", "crate::runner"];
    check_free_of("src/study", &others, &[]);
    check_free_of(
        "src/experiment",
        &["nix::", "libc::", "socket2", "Instant", "SystemTime", "std::fs", "crate::sys"],
        &[],
    );
    check_free_of("src/words", &impure, &[]);
    check_free_of("src/words", &["crate::", "std::env"], &["src/words/tests.rs"]);
    check_free_of("src/lessons", &impure, &["src/lessons/tests.rs"]);
    check_free_of(
        "src/lessons",
        &["std::env", "crate::command", "crate::cli", "crate::cell", "crate::runner", "crate::report"],
        &["src/lessons/tests.rs"],
    );
    check_free_of("src/runner", &["crate::wait"], &[]);
    check_free_of(
        "src/client",
        &["crate::cell", "crate::wait", "crate::object", "crate::runner", "crate::report"],
        &[],
    );
    // A server that is not ours: no ledger, no crew, and no verdict.
    check_free_of(
        "src/attach",
        &["crate::wait", "crate::object", "crate::experiment", "crate::analysis", "crate::report", "cell::ledger"],
        &[],
    );
    check_free_of("src/vm", &["crate::wait", "crate::object", "crate::cell"], &[]);
}

#[test]
fn unsafe_code_is_in_sys_alone() {
    for (path, text) in rust_files("src").iter().filter(|(path, _)| !path.starts_with("src/sys/")) {
        let bad: Vec<&str> =
            code(text).filter(|line| line.contains("unsafe ") || line.contains("allow(unsafe")).collect();
        assert!(bad.is_empty(), "{path}: {bad:#?}");
    }
}

#[test]
fn nothing_sleeps_in_place_of_a_condition() {
    // The busy time of a worker is the thing under test.
    check_free_of("src", &["thread::sleep", "usleep(", "nanosleep("], &["src/cell/worker.rs"]);
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    for (path, text) in rust_files("src").into_iter().chain(rust_files("tests")) {
        let lines = text.lines().count();
        assert!(lines <= LINES || path.starts_with("tests/"), "{path} has {lines} lines, more than {LINES}");
        assert!(text.starts_with("//!"), "{path} does not begin with what it is for");
    }
}

/// Every file of `folder` is a module of its `mod.rs`, and its list has one entry
/// or more from it.
#[track_caller]
fn check_listed(folder: &str, not_listed: &[&str]) {
    let list = std::fs::read_to_string(source(&format!("{folder}/mod.rs"))).unwrap();
    for (path, _) in rust_files(folder) {
        let name = path.strip_prefix(&format!("{folder}/")).unwrap().strip_suffix(".rs").unwrap();
        if name == "mod" || name.contains('/') {
            continue;
        }
        assert!(list.contains(&format!("mod {name};")), "{path} is no module of {folder}/mod.rs");
        let listed = list.contains(&format!("&{name}::"));
        assert!(listed != not_listed.contains(&name), "{path}: in the list: {listed}");
    }
}

#[test]
fn every_list_holds_its_folder() {
    // What all objects with a reading and a firing end have in common.
    check_listed("src/object", &["two_ends"]);
    check_listed("src/wait", &[]);
    check_listed("src/load", &[]);
    // What studies share: children, clocks, memory, two that hand a token on, the figures
    // they say, what the machine gives.
    check_listed("src/study", &["child", "clock", "figures", "here", "memory", "pair"]);
    // The cells as rows, which the table formats share, tables made to fit, the pictures below a table, what is
    // drawn against what, and what `herd advise`, `attach`, `compare`, `doctor`, `load` and `vm` say.
    check_listed(
        "src/report",
        &["advice", "checkup", "comparison", "curves", "fit", "grid", "kernels", "load", "plot", "sighting"],
    );
}

#[test]
fn every_experiment_is_embedded_and_whole() {
    let mut files: Vec<String> = std::fs::read_dir(source("experiments"))
        .unwrap()
        .map(|entry| format!("experiments/{}", entry.unwrap().file_name().into_string().unwrap()))
        .collect();
    files.sort();
    let embedded: Vec<String> = herd::experiment::embedded::FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(files, embedded, "in teaching order");
    for (path, text) in herd::experiment::embedded::FILES {
        let found = herd::experiment::Experiment::parse(path, text).unwrap_or_else(|e| panic!("{e}"));
        for (what, text) in [
            ("drawing", &found.drawing),
            ("question", &found.question),
            ("why", &found.why),
            ("look", &found.look),
            ("moral", &found.moral),
        ] {
            assert!(!text.trim().is_empty(), "{path} has no {what}");
            assert!(!text.contains("TODO"), "{path}: {what} is unfinished");
        }
        let cells = found.cells(&[]).unwrap_or_else(|e| panic!("{e}"));
        let rules: Vec<_> = cells.iter().flat_map(|cell| &cell.expectations).collect();
        let scripts = cells.iter().filter(|cell| !cell.settings.script.is_empty());
        assert!(!rules.is_empty() || scripts.clone().count() > 0, "{path} expects nothing");
        assert!(scripts.clone().all(|cell| !cell.source.is_empty()), "{path} has a script without a source");
        assert!(rules.iter().all(|rule| !rule.source.is_empty()), "{path} has an expectation without a source");
    }
}
