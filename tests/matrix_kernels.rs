//! Results of several kernels in one table: every branch, from made-up ones. The
//! expected bytes of the formats are in tests/golden; after a change that is meant,
//! `HERD_GOLDEN=write cargo test --test matrix_kernels` writes them.

mod lab;
mod sample;

use herd::analysis::matrix::{Entry, Matrix, Row, matrix};
use herd::exit::Exit;
use herd::experiment::expectation::Winners;
use herd::experiment::{Expectation, KernelRange, Rule};
use herd::observation::End;
use herd::report;
use herd::results::{Results, Verdict};
use sample::{cell, changed, judge, woken};

/// A result of that kernel.
fn on(release: &str, change: impl FnOnce(&mut Results)) -> Results {
    changed(|r| {
        r.environment.kernel_release = release.into();
        change(r);
    })
}

fn rule(metric: &str, rule: Rule, since: &str, before: &str, source: &str) -> Expectation {
    let bound = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let kernel = KernelRange { since: bound(since), before: bound(before) };
    Expectation { metric: metric.into(), rule, source: source.into(), needs: Vec::new(), kernel }
}

/// Replaces the rules of a cell and judges it on the kernel of the result.
fn ruled(results: &mut Results, name: &str, rules: Vec<Expectation>) {
    let release = results.environment.kernel_release.clone();
    let cell = cell(results, name);
    cell.rules = rules;
    judge_on(cell, &release);
}

fn judge_on(cell: &mut herd::results::CellResult, release: &str) {
    let again = herd::experiment::Cell {
        experiment: cell.experiment.clone(),
        id: cell.id.clone(),
        row: cell.row.clone(),
        axes: cell.axes.clone(),
        kernel: Default::default(),
        source: String::new(),
        settings: cell.settings.clone(),
        needs: Vec::new(),
        expectations: cell.rules.clone(),
    };
    let here = herd::analysis::judge::Here { release, realtime: false, lacks: &|_| None };
    *cell = herd::analysis::judge(&again, cell.whole_observation().unwrap(), &here);
}

/// The rule of epoll + EXCLUSIVE: a herd up to 6.1, one since.
fn history() -> Vec<Expectation> {
    vec![
        rule("wakeups_per_event", Rule::Exact(4.0), "", "6.1", "the herd of old"),
        rule("wakeups_per_event", Rule::Exact(1.0), "6.1", "", "commit 0123456789ab (\"wake one\")"),
    ]
}

/// epoll + EXCLUSIVE with those wakeups per round, under `history`.
fn with_history(release: &str, rounds: &[(u64, u64)]) -> Results {
    on(release, |r| {
        woken(r, "epoll-exclusive", rounds);
        ruled(r, "epoll-exclusive", history());
    })
}

fn table(results: &[Results]) -> Matrix {
    let names: Vec<String> = (1..=results.len()).map(|n| format!("{n}.json")).collect();
    matrix(&names.iter().map(String::as_str).zip(results).collect::<Vec<_>>()).unwrap()
}

fn row<'a>(matrix: &'a Matrix, wait: &str) -> &'a Row {
    matrix.sections.iter().flat_map(|section| &section.rows).find(|row| row.wait == wait).unwrap()
}

fn texts(row: &Row) -> Vec<String> {
    row.entries.iter().map(|entry| entry.as_ref().map_or("-".into(), Entry::to_string)).collect()
}

#[track_caller]
fn check(results: &[Results], wait: &str, want: &[&str]) -> Matrix {
    let found = table(results);
    assert_eq!(texts(row(&found, wait)), want, "{found:#?}");
    found
}

fn labels(matrix: &Matrix) -> Vec<&str> {
    matrix.columns.iter().map(|column| column.label.as_str()).collect()
}

#[test]
fn kernels_are_columns_in_the_order_of_their_release() {
    let found = table(&["6.18.1", "6.2.0", "6.10.0-rc1", "6.10.0"].map(|release| on(release, |_| {})));
    assert_eq!(labels(&found), ["6.2.0", "6.10.0-rc1", "6.10.0", "6.18.1"]);
    assert_eq!(texts(row(&found, "epoll")), ["4"; 4]);
    assert_eq!(found.exit(), Exit::Pass);
    assert!(found.notes.is_empty() && found.unexplained.is_empty());
}

#[test]
fn a_change_at_the_boundary_of_a_rule_is_explained_by_its_source() {
    let (old, new) = (with_history("6.0.3", &[(4, 23)]), with_history("6.1.7", &[(1, 23)]));
    let found = check(&[new.clone(), old], "epoll + EXCLUSIVE", &["4", "1 [1]"]);
    assert_eq!(found.notes, ["Linux 6.1: commit 0123456789ab (\"wake one\")"]);
    assert_eq!(found.exit(), Exit::Pass);
    // The newer file alone knows the history.
    let before = on("6.0.3", |r| {
        cell(r, "epoll-exclusive").rules.clear();
        cell(r, "epoll-exclusive").expectations.clear();
        woken(r, "epoll-exclusive", &[(4, 23)]);
    });
    check(&[before, new], "epoll + EXCLUSIVE", &["4", "1 [1]"]);
}

#[test]
fn a_realtime_kernel_is_named_where_its_release_does_not_say_so() {
    let realtime = |release| on(release, |r| r.environment.kernel_version = "#1 SMP PREEMPT_RT".into());
    let found = table(&[realtime("6.12.9"), realtime("6.1.0-9-rt-amd64")]);
    assert_eq!(labels(&found), ["6.1.0-9-rt-amd64", "6.12.9, PREEMPT_RT"]);
}

#[test]
fn a_change_elsewhere_is_unexplained() {
    let (old, new) = (with_history("6.2.0", &[(1, 23)]), with_history("6.3.0", &[(4, 23)]));
    let found = check(&[old, new], "epoll + EXCLUSIVE", &["1", "4 FAIL ?"]);
    assert_eq!(found.exit(), Exit::Fail);
    let change = &found.unexplained[0];
    assert_eq!((change.from.as_str(), change.to.as_str()), ("6.2.0", "6.3.0"));
    assert_eq!(change.row, "sample: epoll + EXCLUSIVE");
    // Nothing expects it, nothing explains it.
    let bare = |release, wakeups| {
        on(release, |r| {
            cell(r, "epoll-exclusive").rules.clear();
            woken(r, "epoll-exclusive", &[(wakeups, 23)]);
        })
    };
    check(&[bare("6.0.0", 2), bare("6.2.0", 3)], "epoll + EXCLUSIVE", &["2", "3 ?"]);
}

#[test]
fn a_rule_that_fails_on_its_side_explains_nothing() {
    let (old, new) = (with_history("6.0.0", &[(4, 23)]), with_history("6.1.0", &[(2, 23)]));
    check(&[old, new], "epoll + EXCLUSIVE", &["4", "2 FAIL ?"]);
    let (old, new) = (with_history("6.0.0", &[(3, 23)]), with_history("6.1.0", &[(1, 23)]));
    check(&[old, new], "epoll + EXCLUSIVE", &["3 FAIL", "1 ?"]);
}

#[test]
fn a_rule_that_only_ended_explains_too() {
    let only_old = |release, wakeups| {
        on(release, |r| {
            woken(r, "epoll-exclusive", &[(wakeups, 23)]);
            ruled(r, "epoll-exclusive", history().drain(..1).collect());
        })
    };
    let found = check(&[only_old("6.0.0", 4), only_old("6.1.0", 1)], "epoll + EXCLUSIVE", &["4", "1 [1]"]);
    assert_eq!(found.notes, ["Linux 6.1: the herd of old"]);
}

#[test]
fn a_rule_about_something_else_explains_nothing() {
    let of = |release, wakeups| {
        on(release, |r| {
            woken(r, "epoll-exclusive", &[(wakeups, 23)]);
            let order = rule("winners", Rule::Winners(Winners::First), "6.1", "", "commit about the order");
            ruled(r, "epoll-exclusive", vec![order]);
        })
    };
    check(&[of("6.0.0", 4), of("6.1.0", 1)], "epoll + EXCLUSIVE", &["4", "1 ?"]);
}

#[test]
fn counts_that_race_are_no_change() {
    let racing = |release, rounds: &[(u64, u64)]| {
        on(release, |r| {
            cell(r, "shared-epoll").rules.clear();
            woken(r, "shared-epoll", rounds);
        })
    };
    let all = [
        racing("6.0.0", &[(2, 20), (3, 3)]),
        racing("6.1.0", &[(2, 1), (3, 22)]),
        racing("6.2.0", &[(3, 23)]),
        racing("6.3.0", &[(4, 20), (5, 3)]),
    ];
    check(&all, "shared epoll", &["2 (2-3)", "3 (2-3)", "3", "4 (4-5) ?"]);
}

#[test]
fn a_race_that_looks_like_a_constant_is_no_change() {
    // By its rule, which leaves room ..
    let ruled = |release, count| on(release, |r| woken(r, "shared-epoll", &[(count, 23)]));
    check(&[ruled("6.0.0", 2), ruled("6.1.0", 3)], "shared epoll", &["2", "3"]);
    check(&[ruled("6.0.0", 2), ruled("6.1.0", 9)], "shared epoll", &["2", "9 FAIL ?"]);
    // .. or since another kernel had both.
    let bare = |release, rounds: &[(u64, u64)]| {
        on(release, |r| {
            cell(r, "shared-epoll").rules.clear();
            woken(r, "shared-epoll", rounds);
        })
    };
    let [two, three] = [bare("6.0.0", &[(2, 23)]), bare("6.1.0", &[(3, 23)])];
    check(&[two.clone(), three.clone()], "shared epoll", &["2", "3 ?"]);
    check(&[two, three, bare("6.2.0", &[(2, 20), (4, 3)])], "shared epoll", &["2", "3", "2 (2-4)"]);
}

#[test]
fn two_counts_that_proc_cannot_tell_apart_are_no_change() {
    let proc = on("6.1.0", |r| {
        woken(r, "epoll", &[(4, 22), (5, 1)]);
        r.cells.iter_mut().for_each(|cell| cell.count_source = "proc".into());
    });
    check(&[on("6.0.0", |_| {}), proc], "epoll", &["4", "4 (4-5)"]);
}

#[test]
fn what_is_no_number_is_a_word_and_is_looked_past() {
    let unmeasured = |release, verdict| {
        on(release, |r| {
            let cell = cell(r, "epoll-exclusive");
            cell.verdict = verdict;
            cell.observation = None;
        })
    };
    let all = [
        with_history("6.0.0", &[(4, 23)]),
        unmeasured("6.0.1", Verdict::Skip),
        unmeasured("6.0.2", Verdict::Invalid),
        with_history("6.1.0", &[(1, 23)]),
    ];
    let found = check(&all, "epoll + EXCLUSIVE", &["4", "skip", "invalid", "1 [1]"]);
    assert_eq!(found.exit(), Exit::Invalid);
    let lost = on("6.2.0", |r| {
        sample::seen(r, "accept").end = End::Lost { event: 3, states: Vec::new() };
        judge(cell(r, "accept"));
    });
    let found = check(&[on("6.1.0", |_| {}), lost], "accept", &["1", "FAIL ?"]);
    assert!(found.unexplained[0].what.starts_with("verdict"), "{found:#?}");
}

#[test]
fn a_refused_call_shows_its_errno_and_a_rule_about_it_explains_the_rest() {
    let rules = || {
        vec![
            rule("error", Rule::Error("EINVAL".into()), "", "4.5", "EPOLLEXCLUSIVE is of 4.5"),
            rule("wakeups_per_event", Rule::Exact(1.0), "4.5", "", "commit df0108c5da56"),
        ]
    };
    let refused = on("4.4.0", |r| {
        let seen = sample::seen(r, "epoll-exclusive");
        seen.end = End::Refused { worker: Some(0), call: "epoll_ctl".into(), errno: "EINVAL".into() };
        seen.wakeups_per_round.clear();
        ruled(r, "epoll-exclusive", rules());
    });
    let works = on("4.5.0", |r| ruled(r, "epoll-exclusive", rules()));
    let found = check(&[refused, works], "epoll + EXCLUSIVE", &["EINVAL", "1 [1]"]);
    assert_eq!(found.notes, ["Linux 4.5: commit df0108c5da56"]);
}

/// Sets the whole cell aside, as a probe or a kernel range does.
fn set_aside(results: &mut Results, name: &str, why: &str) {
    let cell = cell(results, name);
    (cell.verdict, cell.reason, cell.observation) = (Verdict::Skip, why.into(), None);
    for judged in &mut cell.expectations {
        (judged.verdict, judged.reason) = (Verdict::Skip, why.into());
    }
}

#[test]
fn a_cell_that_only_one_of_two_kernels_can_run_has_a_note() {
    let old = on("5.10.0", |r| set_aside(r, "accept", "no multishot accept (Linux 5.19)"));
    let mut new = on("6.1.0", |_| {});
    let source = cell(&mut new, "accept").expectations[0].source.clone();
    let found = check(&[old, new.clone(), on("6.2.0", |_| {})], "accept", &["skip", "1 [1]", "1"]);
    assert_eq!(found.notes, [format!("no multishot accept (Linux 5.19): {source}")]);
    assert_eq!(found.exit(), Exit::Pass);
    // Not where one that has a figure is merely not judged there, nor without a reason.
    let unjudged = on("5.10.0", |r| cell(r, "accept").verdict = Verdict::Skip);
    check(&[unjudged, new.clone()], "accept", &["1", "1"]);
    check(&[on("5.10.0", |r| set_aside(r, "accept", "")), new], "accept", &["skip", "1"]);
}

/// A script of three steps on that kernel, so many of which held; none is skipped.
fn script(release: &str, held: Option<usize>) -> Results {
    on(release, |r| {
        let cell = cell(r, "accept");
        cell.settings.script = vec!["epoll e".into()];
        (cell.rules, cell.verdict) = (Vec::new(), Verdict::Pass);
        let mut step = cell.expectations[0].clone();
        step.source = "commit 0123456789ab, Linux 6.1".into();
        cell.expectations =
            (0..3).map(|at| herd::results::Judged { metric: format!("step-{at}"), ..step.clone() }).collect();
        match held {
            None => {
                // It ran, and nothing is said about this kernel.
                let seen = cell.observation.clone();
                set_aside(r, "accept", "Linux 6.1 and newer only, this is 5.10.0");
                sample::cell(r, "accept").observation = seen;
            }
            Some(held) if held < 3 => {
                cell.expectations[held..].iter_mut().for_each(|step| step.verdict = Verdict::Fail);
                cell.verdict = Verdict::Fail;
            }
            Some(_) => {}
        }
    })
}

#[test]
fn a_script_shows_its_steps() {
    let found = check(&[script("5.10.0", None), script("6.1.0", Some(3))], "accept", &["skip", "3 of 3 [1]"]);
    assert_eq!(found.notes, ["Linux 6.1 and newer only: commit 0123456789ab, Linux 6.1"]);
    let found = check(&[script("6.1.0", Some(3)), script("6.2.0", Some(2))], "accept", &["3 of 3", "2 of 3 FAIL ?"]);
    assert!(found.unexplained[0].what.starts_with("step-2"), "{found:#?}");
    // The worst repetition is shown.
    check(&[script("6.2.0", Some(3)), script("6.2.0", Some(1))], "accept", &["1 of 3 FAIL"]);
}

#[test]
fn results_of_one_kernel_are_repetitions_of_each_other() {
    let day = |rounds: &[(u64, u64)]| on("6.1.0", |r| woken(r, "shared-epoll", rounds));
    let found = check(&[day(&[(2, 20), (3, 3)]), day(&[(2, 20), (4, 3)])], "shared epoll", &["2 (2-4)"]);
    assert_eq!(found.columns[0].files, ["1.json", "2.json"]);
}

#[test]
fn other_machines_share_a_column_only_without_a_common_cell() {
    let part = |cpus, keep: &dyn Fn(usize) -> bool| {
        on("6.1.0", |r| {
            r.environment.cpus_online = cpus;
            let mut at = 0..;
            r.cells.retain(|_| keep(at.next().unwrap()));
        })
    };
    let apart = table(&[part(2, &|at| at < 2), part(8, &|at| at >= 2)]);
    assert_eq!((labels(&apart), apart.columns[0].cpus.as_slice()), (vec!["6.1.0"], &[2, 8][..]));
    let common = table(&[part(8, &|_| true), part(2, &|at| at < 2)]);
    assert_eq!(labels(&common), ["6.1.0, 2 CPUs", "6.1.0, 8 CPUs"]);
    assert_eq!(texts(row(&common, "reuseport")), ["-", "1"]);
    let build = |version: &str| on("6.1.0", |r| r.environment.kernel_version = version.into());
    assert_eq!(labels(&table(&[build("#10"), build("#9")])), ["6.1.0, build 1", "6.1.0, build 2"]);
    let arm = on("6.1.0", |r| r.environment.machine = "aarch64".into());
    assert_eq!(labels(&table(&[on("6.1.0", |_| {}), arm])), ["6.1.0, aarch64", "6.1.0, x86_64"]);
}

/// Two axes for epoll: placement and workers.
fn with_axes(release: &str, wakeups: &dyn Fn(&str, u32) -> u64) -> Results {
    on(release, |r| {
        let mut cells = Vec::new();
        for placement in ["processes", "threads"] {
            for workers in [4, 8] {
                woken(r, "epoll", &[(wakeups(placement, workers), 23)]);
                let mut one = cell(r, "epoll").clone();
                one.axes = vec![("placement".into(), placement.into()), ("workers".into(), workers.to_string())];
                one.id = format!("sample/epoll/placement={placement}/workers={workers}");
                one.rules.clear();
                one.expectations.clear();
                (one.verdict, one.settings.workers) = (Verdict::Pass, workers);
                one.settings.placement = placement.parse().unwrap();
                cells.push(one);
            }
        }
        r.cells = cells;
    })
}

fn rows(matrix: &Matrix) -> Vec<String> {
    matrix.sections[0].rows.iter().map(|row| format!("{}: {}", row.axes_text(), texts(row).join(" "))).collect()
}

#[test]
fn an_axis_that_makes_no_difference_is_folded() {
    let even = |_: &str, workers: u32| u64::from(workers);
    let found = table(&[with_axes("6.1.0", &even), with_axes("6.2.0", &even)]);
    assert_eq!(rows(&found), ["workers = 4: 4 4", "workers = 8: 8 8"]);
    assert_eq!(found.sections[0].folded, [("placement".into(), vec!["processes".into(), "threads".into()])]);
    // One place in one column keeps the axis.
    let uneven = |placement: &str, workers: u32| u64::from(workers) + u64::from(placement == "threads" && workers == 8);
    let found = table(&[with_axes("6.1.0", &even), with_axes("6.2.0", &uneven)]);
    let want = [
        "placement = processes, workers = 4: 4 4",
        "placement = processes, workers = 8: 8 8",
        "placement = threads, workers = 4: 4 4",
        "placement = threads, workers = 8: 8 9 ?",
    ];
    assert_eq!(rows(&found), want);
    let constant = |_: &str, _: u32| 1;
    assert_eq!(rows(&table(&[with_axes("6.1.0", &constant)])), [": 1"]);
}

#[test]
fn other_settings_are_another_row_but_more_events_are_not() {
    let asked = |release, workers| {
        on(release, |r| {
            let cell = cell(r, "accept");
            cell.settings.workers = workers;
            (cell.settings.events, cell.settings.limit_ms) = (u64::from(workers) * 100, 9);
            r.cells.retain(|cell| cell.id == "sample/accept");
        })
    };
    let found = table(&[asked("6.1.0", 4), asked("6.2.0", 4), asked("6.3.0", 6)]);
    assert_eq!(rows(&found), ["workers = 4: 1 1 -", "workers = 6: - - 1"]);
    let mut longer = asked("6.3.0", 4);
    longer.cells[0].settings.events = 999;
    assert_eq!(rows(&table(&[asked("6.1.0", 4), longer])), [": 1 1"]);
}

#[test]
fn a_file_without_a_cell_is_named() {
    let empty = on("6.1.0", |r| r.cells.clear());
    let said = |files: &[(&str, &Results)]| matrix(files).unwrap_err().to_string();
    assert!(said(&[("a.json", &on("6.1.0", |_| {})), ("b.json", &empty)]).starts_with("b.json has no cells"));
    assert!(said(&[("c.json", &empty)]).starts_with("c.json has no cells"));
}

/// Three kernels with all there is: notes, an unexplained change, words, races.
fn rich() -> Matrix {
    let mut all = vec![
        with_history("5.10.0-28-cloud-amd64", &[(4, 23)]),
        with_history("6.1.0-18-cloud-amd64", &[(1, 23)]),
        with_history("6.12.9+deb13-cloud-amd64", &[(1, 23)]),
        with_history("6.18.44-fc-v595", &[(1, 23)]),
    ];
    woken(&mut all[1], "shared-epoll", &[(3, 20), (4, 3)]);
    woken(&mut all[3], "accept", &[(2, 23)]);
    cell(&mut all[2], "reuseport").verdict = Verdict::Skip;
    cell(&mut all[2], "reuseport").observation = None;
    all[3].cells.retain(|cell| cell.id != "sample/epoll");
    for results in &mut all {
        results.experiments[0].title = "A <sample> of waits | and \"more\"".into();
        results.herd = "0.1.0".into();
    }
    table(&all)
}

#[track_caller]
fn check_bytes(name: &str, format: &str) {
    let mut bytes = Vec::new();
    report::matrix::find(format).unwrap().write(&rich(), 80, &mut bytes).unwrap();
    let path = lab::in_repository("tests/golden").join(name);
    if std::env::var_os("HERD_GOLDEN").is_some_and(|v| v == "write") {
        std::fs::write(&path, &bytes).unwrap();
    }
    let want = std::fs::read_to_string(&path).unwrap();
    assert_eq!(String::from_utf8(bytes).unwrap(), want, "{name}; is the change meant?");
    if name.ends_with("table") {
        assert!(want.lines().all(|line| line.chars().count() <= 80 && line == line.trim_end()), "{want}");
    }
}

#[test]
fn the_formats_have_these_bytes() {
    check_bytes("kernels.table", "table");
    check_bytes("kernels.markdown", "markdown");
    check_bytes("kernels.csv", "csv");
    check_bytes("kernels.html", "html");
}

#[test]
fn many_kernels_are_cut_into_tables_that_fit() {
    let all: Vec<Results> = (1..12).map(|minor| on(&format!("6.{minor}.0-12-generic"), |_| {})).collect();
    let mut bytes = Vec::new();
    report::matrix::find("table").unwrap().write(&table(&all), 80, &mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let headings: Vec<&str> = text.lines().filter(|line| line.starts_with("wait ")).collect();
    assert_eq!(headings.len(), 3, "{text}");
    assert_eq!(headings.concat().matches(" | ").count(), 11, "each kernel once: {text}");
}

#[test]
fn a_page_is_whole_and_loads_nothing() {
    let mut bytes = Vec::new();
    report::matrix::find("html").unwrap().write(&rich(), 80, &mut bytes).unwrap();
    let page = String::from_utf8(bytes).unwrap();
    assert!(!page.contains("<script") && !page.contains("http") && !page.contains("<sample>"));
    for tag in ["html", "head", "body", "table", "thead", "tbody", "tr", "td", "th", "ul", "ol", "sup", "style"] {
        let (open, close) = (format!("<{tag}"), format!("</{tag}>"));
        let opened = page.matches(&open).filter(|_| true).count() - page.matches(&format!("{open}ead")).count();
        assert_eq!(opened, page.matches(&close).count(), "{tag}");
    }
}

#[track_caller]
fn refused(args: &[&str], message: &str) {
    let said = lab::run(args).exits(2).complains(&[message]);
    assert_eq!((said.out.as_str(), said.err.lines().count()), ("", 1), "one message: {said:?}");
}

#[test]
fn files_that_cannot_be_shown_are_named() {
    let folder = lab::Folder::new();
    let text = serde_json::to_string(&on("6.1.0", |_| {})).unwrap();
    let good = folder.file("good.json", &text);
    let empty = serde_json::to_string(&on("6.1.0", |r| r.cells.clear())).unwrap();
    for (name, bytes, message) in [
        ("cut.json", text.as_bytes()[..text.len() / 2].to_vec(), "is cut off or damaged"),
        ("newer.json", text.replacen("\"schema\":1", "\"schema\":99", 1).into_bytes(), "has schema 99"),
        ("foreign.json", b"{\"results\":[]}".to_vec(), "is not a herd result"),
        ("binary.json", vec![0xff, 0xfe, 0], "not a text file"),
        ("empty.json", empty.into_bytes(), "has no cells"),
    ] {
        let bad = folder.file(name, bytes);
        refused(&["matrix", &good, &bad], message);
        refused(&["matrix", &bad, &good], &bad);
        refused(&["merge", &bad], &bad);
    }
    let missing = folder.path().join("missing.json").display().to_string();
    refused(&["matrix", &missing], "cannot read");
    refused(&["merge", &good], "is no part of a run");
    lab::run(["matrix"]).exits(2).complains(&["<FILE>"]);
    lab::run(["matrix", &good]).exits(0).shows(&["PASS: 5 rows, 1 kernel"]);
    let old = folder.file("old.json", serde_json::to_string(&with_history("6.0.0", &[(4, 23)])).unwrap());
    let new = folder.file("new.json", serde_json::to_string(&with_history("6.1.0", &[(3, 23)])).unwrap());
    lab::run(["matrix", &new, &old]).exits(1).shows(&["3 FAIL ?", "0 explained, 1 not"]);
}
