//! `herd compare`: every branch from made-up results, and the stored results of
//! every schema.
//!
//! The results are made from tests/schemas/1.json, a real run of four workers
//! and 23 connections, by changing what one test is about.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use herd::analysis::compare::{Comparison, Direction, Outcome, compare};
use herd::experiment::Rule;
use herd::observation::{End, Observation};
use herd::report;
use herd::results::{CellResult, Results, Verdict};

fn schemas() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemas")
}

fn sample() -> Results {
    let path = schemas().join("1.json");
    Results::parse("1.json", &std::fs::read_to_string(path).unwrap()).unwrap()
}

fn changed(change: impl FnOnce(&mut Results)) -> Results {
    let mut results = sample();
    change(&mut results);
    results
}

fn cell<'a>(results: &'a mut Results, name: &str) -> &'a mut CellResult {
    let id = format!("sample/{name}");
    results.cells.iter_mut().find(|cell| cell.id == id).unwrap()
}

fn seen<'a>(results: &'a mut Results, name: &str) -> &'a mut Observation {
    cell(results, name).observation.as_mut().unwrap()
}

/// Gives a cell these wakeups per round and judges it anew.
fn woken(results: &mut Results, name: &str, rounds: &[(u64, u64)]) {
    let source = cell(results, name).count_source.clone();
    let seen = seen(results, name);
    seen.wakeups_per_round = rounds.iter().copied().collect();
    seen.count_source = source;
    let total: u64 = rounds.iter().map(|(count, number)| count * number).sum();
    let cell = cell(results, name);
    cell.workers.iter_mut().for_each(|w| w.wakeups = 0);
    cell.workers[0].wakeups = total;
    judge(cell);
}

fn judge(cell: &mut CellResult) {
    let again = herd::experiment::Cell {
        experiment: cell.experiment.clone(),
        id: cell.id.clone(),
        row: cell.row.clone(),
        axes: cell.axes.clone(),
        settings: cell.settings.clone(),
        needs: Vec::new(),
        expectations: cell.rules.clone(),
    };
    let repetition = cell.repetition;
    let here = herd::analysis::judge::Here { release: "", lacks: &|_| None };
    *cell = herd::analysis::judge(&again, cell.whole_observation().unwrap(), &here);
    cell.repetition = repetition;
}

/// Takes the rules away: nothing is expected.
fn unruled(results: &mut Results, name: &str) {
    let cell = cell(results, name);
    cell.rules.clear();
    cell.expectations.clear();
}

fn compared(old: &Results, new: &Results) -> Comparison {
    compare(("old", old), ("new", new)).unwrap()
}

/// The changes as `cell what: old -> new`, worse marked by `-`, better by `+`.
fn said(found: &Comparison) -> Vec<String> {
    let mut lines = Vec::new();
    for cell in &found.cells {
        for change in &cell.changes {
            let mark = match change.direction {
                Direction::Worse => '-',
                Direction::Better => '+',
                Direction::Changed => '=',
            };
            let name = cell.id.strip_prefix("sample/").unwrap_or(&cell.id);
            lines.push(format!("{mark} {name} {}: {} -> {}", change.what, change.old, change.new));
        }
    }
    lines
}

#[track_caller]
fn check(old: &Results, new: &Results, outcome: Outcome, lines: &[&str]) -> Comparison {
    let found = compared(old, new);
    assert_eq!(said(&found), lines, "{found:#?}");
    assert_eq!(found.outcome, outcome, "{found:#?}");
    found
}

#[test]
fn a_result_is_like_itself() {
    let found = check(&sample(), &sample(), Outcome::Same, &[]);
    assert_eq!(found.compared, 5);
    assert!(found.environment.is_empty() && found.only_old.is_empty() && found.explained.is_empty());
}

#[test]
fn a_herd_where_one_was_woken_is_found_and_nothing_else() {
    let new = changed(|r| woken(r, "epoll-exclusive", &[(4, 23)]));
    let line = "epoll-exclusive wakeups_per_event: 1 (pass) -> 4 (FAIL)";
    check(&sample(), &new, Outcome::Worse, &[&format!("- {line}")]);
    let back = "+ epoll-exclusive wakeups_per_event: 4 (FAIL) -> 1 (pass)";
    check(&new, &sample(), Outcome::Better, &[back]);
}

#[test]
fn a_constant_is_compared_exactly_without_a_rule() {
    let old = changed(|r| unruled(r, "epoll-exclusive"));
    let new = changed(|r| {
        unruled(r, "epoll-exclusive");
        woken(r, "epoll-exclusive", &[(2, 23)]);
    });
    check(&old, &new, Outcome::Worse, &["- epoll-exclusive wakeups_per_event: 1 -> 2"]);
}

#[test]
fn two_wrong_constants_are_compared_too() {
    let of = |count| changed(|r| woken(r, "epoll-exclusive", &[(count, 23)]));
    check(&of(2), &of(3), Outcome::Worse, &["- epoll-exclusive wakeups_per_event: 2 -> 3"]);
}

#[test]
fn a_race_differs_only_where_the_ranges_lie_apart() {
    let of = |rounds: &[(u64, u64)]| {
        changed(|r| {
            unruled(r, "shared-epoll");
            woken(r, "shared-epoll", rounds);
        })
    };
    let low = of(&[(2, 22), (3, 1)]);
    check(&low, &of(&[(3, 20), (4, 3)]), Outcome::Same, &[]);
    let line = "- shared-epoll wakeups_per_event: 2.043 (2 to 3) -> 4.13 (4 to 5)";
    check(&low, &of(&[(4, 20), (5, 3)]), Outcome::Worse, &[line]);
    // Apart, but three rounds may be apart by accident.
    check(&of(&[(2, 2), (3, 1)]), &of(&[(4, 2), (5, 1)]), Outcome::Same, &[]);
}

#[test]
fn a_few_rounds_of_a_burst_are_no_constant() {
    let of = |count, rounds, more| {
        changed(|r| {
            unruled(r, "epoll");
            seen(r, "epoll").batch = 7;
            let all = [(count, rounds), (count + more, rounds)];
            woken(r, "epoll", if more == 0 { &all[..1] } else { &all });
        })
    };
    check(&of(14, 3, 0), &of(21, 3, 0), Outcome::Same, &[]);
    // Many are one, but ranges of bursts are those of the moment.
    check(&of(14, 30, 0), &of(21, 30, 0), Outcome::Worse, &["- epoll wakeups_per_event: 2 -> 3"]);
    check(&of(14, 30, 1), &of(21, 30, 1), Outcome::Same, &[]);
}

#[test]
fn returns_are_compared_by_their_rule_only() {
    // Two runs of one kernel had poll return once in every round, and twice.
    let of = |name: &'static str, returns: u64| {
        changed(move |r| {
            seen(r, name).returns_per_round = [(returns, 23)].into();
            let cell = cell(r, name);
            cell.workers.iter_mut().for_each(|w| (w.returns, w.empty_returns) = (w.claims, 0));
            cell.workers[0].returns += (returns - 1) * 23;
            cell.workers[0].empty_returns = (returns - 1) * 23;
            judge(cell);
        })
    };
    check(&of("epoll", 1), &of("epoll", 2), Outcome::Same, &[]);
    let line = "- accept returns_per_event: 1 (pass) -> 2 (FAIL)";
    check(&of("accept", 1), &of("accept", 2), Outcome::Worse, &[line]);
}

#[test]
fn other_settings_that_are_right_on_both_sides_are_only_changed() {
    let new = changed(|r| {
        cell(r, "epoll").settings.workers = 8;
        woken(r, "epoll", &[(8, 23)]);
    });
    let found = check(&sample(), &new, Outcome::Changed, &["= epoll wakeups_per_event: 4 -> 8"]);
    assert_eq!(found.cells[0].settings[0].what, "workers");
}

#[test]
fn the_order_is_compared_by_kind() {
    let with = |name: &'static str, winners: &'static str| {
        changed(move |r| {
            unruled(r, name);
            cell(r, name).winners = winners.into();
        })
    };
    let rotates = with("accept", "rotates");
    check(&rotates, &with("accept", "w0 only"), Outcome::Changed, &["= accept order: rotates -> w0 only"]);
    check(&rotates, &with("accept", "3 of 4"), Outcome::Changed, &["= accept order: rotates -> scattered"]);
    check(&with("reuseport", "4 of 4"), &with("reuseport", "3 of 4"), Outcome::Same, &[]);
    check(&with("reuseport", "4 of 4"), &with("reuseport", "even"), Outcome::Same, &[]);
    // Where a herd races, one worker may win every time.
    check(&with("epoll", "4 of 4"), &with("epoll", "w0 only"), Outcome::Same, &[]);
    let few = |winners: &'static str| {
        let mut results = with("accept", winners);
        seen(&mut results, "accept").winners.truncate(7);
        results
    };
    check(&few("rotates"), &few("w0 only"), Outcome::Same, &[]);
}

#[test]
fn a_rule_about_the_order_is_judged_by_its_verdict() {
    let new = changed(|r| {
        seen(r, "accept").winners = vec![0; 23];
        let cell = cell(r, "accept");
        cell.workers.iter_mut().for_each(|w| w.claims = 0);
        cell.workers[0].claims = 23;
        judge(cell);
    });
    let lines = said(&compared(&sample(), &new));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("- accept winners: rotates"), "{lines:?}");
    assert!(lines[0].ends_with("w0 only [23, 0, 0, 0] (FAIL)"), "{lines:?}");
}

fn counted_with(results: &mut Results, source: &str) {
    for cell in &mut results.cells {
        cell.count_source = source.into();
        cell.observation.as_mut().unwrap().count_source = source.into();
    }
}

#[test]
fn sleeps_on_locks_are_explained_and_not_reported() {
    let proc_with = |rounds: &[(u64, u64)]| {
        changed(|r| {
            counted_with(r, "proc");
            woken(r, "accept", rounds);
        })
    };
    let found = check(&sample(), &proc_with(&[(1, 22), (2, 1)]), Outcome::Same, &[]);
    assert_eq!(found.explained.len(), 1, "{found:#?}");
    assert!(found.explained[0].text.contains("uninterruptible"), "{found:#?}");
    assert!(found.environment.iter().any(|d| d.what == "count_source" && d.old == "bpf" && d.new == "proc"));
    // The same between two runs that both include them.
    check(&proc_with(&[(1, 23)]), &proc_with(&[(1, 22), (2, 1)]), Outcome::Same, &[]);
    // Too many for that.
    let many = "- accept wakeups_per_event: 1 (pass) -> 1.217 (1 to 2) (FAIL)";
    check(&sample(), &proc_with(&[(1, 18), (2, 5)]), Outcome::Worse, &[many]);
}

#[test]
fn returns_instead_of_wakeups_are_not_compared_with_wakeups() {
    let new = changed(|r| {
        counted_with(r, "ledger");
        woken(r, "epoll", &[(1, 23)]);
    });
    check(&sample(), &new, Outcome::Same, &[]);
    // But two of that kind are.
    let more = changed(|r| {
        counted_with(r, "ledger");
        woken(r, "epoll", &[(2, 23)]);
    });
    check(&new, &more, Outcome::Worse, &["- epoll wakeups_per_event: 1 -> 2"]);
}

#[test]
fn a_lost_event_is_worse() {
    let new = changed(|r| {
        let observation = serde_json::json!({ "end": "lost", "event": 7, "workers": ["w0"], "states": ["w0"] });
        let end: End = serde_json::from_value(observation).unwrap();
        seen(r, "accept").end = end;
        let cell = cell(r, "accept");
        cell.verdict = Verdict::Fail;
        cell.reason = "event 7 was fired, everybody sleeps and nobody took it".into();
    });
    let text = "FAIL, event 7 was fired, everybody sleeps and nobody took it";
    check(&sample(), &new, Outcome::Worse, &[&format!("- accept verdict: pass -> {text}")]);
    check(&new, &sample(), Outcome::Better, &[&format!("+ accept verdict: {text} -> pass")]);
}

fn unmeasured(name: &str, verdict: Verdict) -> Results {
    changed(|r| {
        let cell = cell(r, name);
        cell.verdict = verdict;
        cell.reason = "worker 3 is not quiet".into();
        cell.observation = None;
    })
}

#[test]
fn what_is_not_measured_any_more_is_unknown() {
    let invalid = unmeasured("accept", Verdict::Invalid);
    let found = check(&sample(), &invalid, Outcome::Unknown, &[]);
    assert_eq!((found.compared, found.not_measured.len()), (4, 1));
    assert!(found.not_measured[0].text.contains("worker 3 is not quiet"), "{found:#?}");
    check(&invalid, &sample(), Outcome::Same, &[]);
    check(&invalid, &invalid, Outcome::Same, &[]);
    check(&sample(), &unmeasured("accept", Verdict::Skip), Outcome::Same, &[]);
}

#[test]
fn nothing_measured_is_no_success() {
    let nothing = changed(|r| r.cells.iter_mut().for_each(|cell| cell.verdict = Verdict::Skip));
    let found = check(&nothing, &nothing, Outcome::Unknown, &[]);
    assert_eq!(found.compared, 0);
}

/// `count` repetitions of every cell, each changed by its number.
fn repeated(count: u32, change: impl Fn(u32, &mut Results)) -> Results {
    let mut all = sample();
    all.cells.clear();
    for repetition in 1..=count {
        let mut one = sample();
        change(repetition, &mut one);
        for mut cell in one.cells {
            cell.repetition = repetition;
            if repetition > 1 {
                cell.id = format!("{}#{repetition}", cell.id);
            }
            all.cells.push(cell);
        }
    }
    all
}

#[test]
fn repetitions_are_one_cell_and_count_their_failures() {
    let good = repeated(5, |_, _| ());
    let flaky = repeated(5, |n, r| {
        if n == 3 {
            woken(r, "accept", &[(2, 23)]);
        }
    });
    let line = "- accept wakeups_per_event: 1 (pass) -> 2 (FAIL 1 of 5)";
    let found = check(&good, &flaky, Outcome::Worse, &[line]);
    assert_eq!(found.compared, 5);
    check(&flaky, &flaky, Outcome::Same, &[]);
    // A different number of repetitions is no difference.
    check(&sample(), &good, Outcome::Same, &[]);
    // One invalid repetition does not hide the others.
    let shaky = repeated(5, |n, r| {
        if n == 2 {
            cell(r, "accept").verdict = Verdict::Invalid;
        }
    });
    assert_eq!(check(&good, &shaky, Outcome::Same, &[]).compared, 5);
}

#[test]
fn latencies_are_shown_when_repetitions_agree_and_never_judged() {
    let of = |count: u32, base: u64, noise: u64| {
        repeated(count, |n, r| {
            r.cells.iter_mut().for_each(|c| c.observation.as_mut().unwrap().claim_latency.p50 = 1000);
            seen(r, "accept").claim_latency.p50 = base + noise * u64::from(n);
        })
    };
    let found = check(&of(7, 50_000, 500), &of(7, 90_000, 500), Outcome::Same, &[]);
    assert_eq!(found.latencies.len(), 1, "{found:#?}");
    let latency = &found.latencies[0];
    assert_eq!((latency.old_us, latency.new_us, latency.superiority), (52.0, 92.0, 1.0));
    assert!(latency.p < 0.001 && found.latencies_not_compared.is_none());
    // Significant but small; large but within the spread; too few.
    assert!(compared(&of(7, 50_000, 500), &of(7, 58_000, 500)).latencies.is_empty());
    assert!(compared(&of(7, 50_000, 14_000), &of(7, 120_000, 14_000)).latencies.is_empty());
    let few = compared(&of(6, 50_000, 500), &of(6, 90_000, 500));
    assert!(few.latencies.is_empty());
    assert!(few.latencies_not_compared.unwrap().starts_with("6 of 7 repetitions"));
}

#[test]
fn cells_of_one_side_are_listed() {
    let fewer = changed(|r| r.cells.retain(|cell| cell.id != "sample/epoll"));
    let found = check(&sample(), &fewer, Outcome::Same, &[]);
    assert_eq!((found.only_old, found.only_new.len()), (vec!["sample/epoll".to_owned()], 0));
    assert_eq!(compared(&fewer, &sample()).only_new, ["sample/epoll"]);
}

#[test]
fn a_renamed_cell_is_found_by_its_settings() {
    let new = changed(|r| {
        let cell = cell(r, "epoll");
        cell.id = "sample/level-triggered".into();
    });
    let found = check(&sample(), &new, Outcome::Same, &[]);
    assert_eq!((found.compared, found.only_old.len()), (5, 0));
    let twice = changed(|r| {
        cell(r, "epoll").id = "sample/one".into();
        let mut copy = cell(r, "one").clone();
        copy.id = "sample/two".into();
        r.cells.push(copy);
    });
    // Which of the two it is cannot be known.
    let found = compared(&sample(), &twice);
    assert_eq!((found.only_old.len(), found.only_new.len()), (1, 2));
}

#[test]
fn a_changed_rule_is_no_change_of_the_kernel() {
    let new = changed(|r| {
        let cell = cell(r, "epoll");
        cell.rules[0].rule = Rule::Exact(1.0);
        judge(cell);
        assert_eq!(cell.verdict, Verdict::Fail);
    });
    check(&sample(), &new, Outcome::Same, &[]);
}

#[test]
fn what_passes_by_in_the_environment_is_no_difference() {
    let new = changed(|r| {
        r.environment.load_average = "9 9 9 1/1 1".into();
        r.environment.started = "2".into();
    });
    assert!(compared(&sample(), &new).environment.is_empty());
    let other = changed(|r| {
        r.environment.kernel_release = "6.19.0".into();
        r.environment.cpus_online = 64;
        r.herd = "9".into();
    });
    let found = compared(&sample(), &other);
    let names: Vec<&str> = found.environment.iter().map(|d| d.what.as_str()).collect();
    assert!(["kernel_release", "cpus_online", "herd"].iter().all(|name| names.contains(name)), "{names:?}");
}

#[test]
fn results_of_other_experiments_have_nothing_in_common() {
    let other = changed(|r| {
        for cell in &mut r.cells {
            cell.id = cell.id.replace("sample", "other");
            cell.settings.events = 5;
        }
    });
    let message = compare(("a.json", &sample()), ("b.json", &other)).unwrap_err().to_string();
    assert!(message.contains("a.json (sample) and b.json (sample) have no cell in common"), "{message}");
}

#[test]
fn every_format_shows_what_changed_in_80_columns() {
    let new = changed(|r| {
        woken(r, "epoll-exclusive", &[(4, 23)]);
        r.cells.retain(|cell| cell.id != "sample/epoll");
        r.environment.kernel_release = "6.19.0".into();
    });
    let found = compared(&sample(), &new);
    for format in report::comparison::FORMATS {
        let mut out = Vec::new();
        format.write(&found, 80, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        for part in ["sample/epoll-exclusive", "wakeups_per_event", "6.19.0", "sample/epoll", "worse"] {
            assert!(text.contains(part), "{}: no {part} in\n{text}", format.name);
        }
        match format.name {
            "json" => assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap()["outcome"], "worse"),
            "table" => {
                assert!(text.lines().all(|line| line.chars().count() < 80), "{text}");
                assert_eq!(text.lines().last(), Some("WORSE: 4 cells compared, 1 worse"));
            }
            _ => {}
        }
    }
}

// The stored results of every schema.

#[test]
fn every_schema_is_still_read_shown_and_compared() {
    let mut numbers: Vec<u32> = std::fs::read_dir(schemas())
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().parse().unwrap())
        .collect();
    numbers.sort_unstable();
    let want: Vec<u32> = (1..=herd::results::SCHEMA).collect();
    assert_eq!(numbers, want, "one stored result per schema in tests/schemas");
    for number in numbers {
        let name = format!("{number}.json");
        let text = std::fs::read_to_string(schemas().join(&name)).unwrap();
        let results = Results::parse(&name, &text).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(results.schema, number);
        for format in report::LIST {
            let mut out = Vec::new();
            format.write(&results, report::Style { verbose: true, ..Default::default() }, &mut out).unwrap();
            assert!(!out.is_empty(), "{name} as {}", format.name());
        }
        assert_eq!(compared(&results, &results).outcome, Outcome::Same, "{name}");
    }
}

// The command.

fn herd(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_herd")).args(args).output().unwrap()
}

/// A folder that goes with its owner.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("herd-compare-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn result(&self, name: &str, results: &Results) -> String {
        self.file(name, &serde_json::to_string(results).unwrap())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[track_caller]
fn check_exit(args: &[&str], code: i32, out: &str, err: &str) {
    let said = herd(args);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(said.status.code(), Some(code), "{said:?}");
    assert!(text(&said.stdout).contains(out), "{said:?}");
    assert!(text(&said.stderr).contains(err), "{said:?}");
    assert_eq!(said.stderr.is_empty(), err.is_empty(), "{said:?}");
}

#[test]
fn the_exit_code_says_whether_something_got_worse() {
    let folder = Folder::new("exit");
    let old = folder.result("old.json", &sample());
    let new = folder.result("new.json", &changed(|r| woken(r, "epoll-exclusive", &[(4, 23)])));
    let invalid = folder.result("invalid.json", &unmeasured("accept", Verdict::Invalid));
    check_exit(&["compare", &old, &old], 0, "SAME: 5 cells compared, no difference", "");
    check_exit(&["compare", &old, &new], 1, "WORSE: 5 cells compared, 1 worse", "");
    check_exit(&["compare", &new, &old], 0, "BETTER: 5 cells compared, 1 better", "");
    check_exit(&["compare", &old, &invalid], 3, "UNKNOWN: 4 cells compared", "");
    check_exit(&["compare", &old, &new, "--format", "json"], 1, "\"outcome\": \"worse\"", "");
    check_exit(&["compare", &old, &new, "--format", "markdown"], 1, "| sample/epoll-exclusive | worse |", "");
}

#[test]
fn files_that_cannot_be_compared_are_named() {
    let folder = Folder::new("bad");
    let good = folder.result("good.json", &sample());
    let text = std::fs::read_to_string(&good).unwrap();
    let cut = folder.file("cut.json", &text[..text.len() / 2]);
    let newer = folder.file("newer.json", &text.replacen("\"schema\":1", "\"schema\":99", 1));
    let foreign = folder.file("foreign.json", "{\"results\":[]}");
    let prose = folder.file("prose.json", "not a result");
    let binary = folder.0.join("binary.json");
    std::fs::write(&binary, [0xff, 0xfe, 0]).unwrap();
    let binary = binary.display().to_string();
    let missing = folder.0.join("missing.json").display().to_string();
    let directory = folder.0.display().to_string();
    let other = folder.result(
        "other.json",
        &changed(|r| {
            for cell in &mut r.cells {
                cell.id = cell.id.replace("sample", "other");
                cell.settings.events = 5;
            }
        }),
    );
    for (file, message) in [
        (&cut, "is cut off or damaged"),
        (&newer, "has schema 99"),
        (&foreign, "is not a herd result"),
        (&prose, "is not a herd result"),
        (&binary, "not a text file"),
        (&missing, "cannot read"),
        (&directory, "is a directory; name a file that --output wrote there"),
        (&other, "have no cell in common"),
    ] {
        check_exit(&["compare", &good, file], 2, "", message);
        check_exit(&["compare", file, &good], 2, "", message);
        let name = herd(&["compare", &good, file]);
        assert!(String::from_utf8_lossy(&name.stderr).contains(file.as_str()), "{name:?}");
    }
    check_exit(&["compare", &good], 2, "", "<NEW>");
}

#[test]
fn a_reader_that_has_had_enough_is_no_failure() {
    let folder = Folder::new("pipe");
    let old = folder.result("old.json", &sample());
    let mut child = Command::new(env!("CARGO_BIN_EXE_herd"))
        .args(["compare", &old, &old, "--format", "json"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// Runs the headline as `text` has it and returns the stored result.
fn run_headline(folder: &Folder, name: &str, text: &str) -> String {
    let place = folder.0.join(name);
    std::fs::create_dir_all(&place).unwrap();
    // The same file name gives the same experiment, and so the same ids.
    let file = place.join("01-herd.toml");
    std::fs::write(&file, text).unwrap();
    let (file, place) = (file.display().to_string(), place.join("kept"));
    let sets = ["--set", "events=41", "--set", "placement=threads"];
    let kept = place.display().to_string();
    let said = herd(&[&["run", &file, "--quiet", "--output", &kept], &sets[..]].concat());
    assert!(matches!(said.status.code(), Some(0 | 1)), "{said:?}");
    let stored = std::fs::read_dir(&place).unwrap().next().unwrap().unwrap().path();
    stored.display().to_string()
}

#[test]
fn a_swapped_flag_of_a_real_run_is_found_and_nothing_else() {
    let folder = Folder::new("swapped");
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/01-herd.toml")).unwrap();
    let plain = text.replace("exclusive = true", "exclusive = false");
    assert_ne!(text, plain);
    let [old, again, new] =
        [("old", &text), ("again", &text), ("new", &plain)].map(|(name, text)| run_headline(&folder, name, text));
    check_exit(&["compare", &old, &again], 0, "no difference", "");
    let said = herd(&["compare", &old, &new, "--format", "json"]);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    let found: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    let cells = found["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 1, "{cells:#?}");
    assert_eq!(cells[0]["id"], "herd/epoll-exclusive/placement=threads");
    assert_eq!(cells[0]["settings"][0]["what"], "exclusive");
}
