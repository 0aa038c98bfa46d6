//! Cells that are scripts: what is wrong in a file, what is seen by a run, and
//! what each report makes of it. Needs no privilege.

use std::collections::HashSet;

use herd::results::{Results, Verdict};
use points::{file, find, herd, read};

mod points;

/// The statements as a row of an experiment.
fn row(name: &str, statements: &[&str]) -> String {
    format!("[[wait]]\nname = {name:?}\nsource = \"the test\"\nscript = {statements:?}\n")
}

fn experiment(name: &str, rows: &str) -> String {
    file(name, &format!("title = \"t\"\n[matrix]\nplacement = [\"processes\", \"threads\"]\n{rows}"))
}

fn results(path: &str, code: i32) -> Results {
    let said = herd(&["run", path, "--format", "json"]);
    assert_eq!(said.code, Some(code), "{said:#?}");
    Results::parse("stdout", &said.out).unwrap_or_else(|e| panic!("{e}\n{said:#?}"))
}

const TWO: [&str; 5] = [
    "socketpair s0 s1",
    "epoll e0",
    "add e0 s0 edge",
    "worker w0 epoll_wait e0 max 1",
    "worker w1 epoll_wait e0 max 1",
];

/// A script with these steps behind two waiters.
fn two(more: &[&'static str]) -> Vec<&'static str> {
    [&TWO[..], more].concat()
}

#[test]
fn a_right_script_passes_and_a_wrong_one_says_what_it_saw() {
    let right = row("right", &two(&["write s1", "came -> w1", "result w0 -> asleep"]));
    let wrong = row("wrong", &two(&["write s1", "came -> 2", "wait e0 -> EBADF"]));
    let path = experiment("script-two", &(right + &wrong));
    for cell in results(&path, 1).cells {
        let seen = cell.observation.as_ref().unwrap();
        assert_eq!(seen.steps.len(), 2, "{cell:#?}");
        let wakeups: Vec<u64> = cell.workers.iter().map(|w| w.wakeups).collect();
        assert_eq!(wakeups, [0, 1], "{}", cell.id);
        assert_eq!(cell.verdict, if cell.row == "right" { Verdict::Pass } else { Verdict::Fail });
    }
    let said = herd(&["run", &path]);
    assert!(said.out.contains("came: expected 2, measured w1"), "{}", said.out);
    assert!(said.out.contains("    wait-e0: expected EBADF, measured 0"), "{}", said.out);
    assert!(said.out.lines().all(|line| line.chars().count() < 80), "{}", said.out);
}

#[test]
fn each_step_is_a_point_of_its_own_in_every_run() {
    let path = experiment(
        "script-points",
        &(row("good", &["epoll e0", "wait e0 -> 0", "wait e0 -> 0"])
            + &row("bad", &two(&["race 3", "wait e0 -> 0", "came -> 1", "end"]))
            + &row("refused", &["epoll e0", "add e0 e0 level", "wait e0 -> 0"])),
    );
    let said = herd(&["check", &path]);
    assert_eq!(said.code, Some(1), "{said:#?}");
    let tests = read(&said.out);
    let names: Vec<&String> = tests.iter().flat_map(|test| &test.subtests).map(|test| &test.name).collect();
    assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len(), "{names:?}");
    assert!(find(&tests, "good/placement=threads/script").passed());
    assert!(find(&tests, "good/placement=threads/wait-e0").passed());
    assert!(find(&tests, "good/placement=threads/wait-e0-2").passed());
    find(&tests, "bad/placement=threads/wait-e0").says("nothing else seen in 3 rounds");
    let lost = find(&tests, "bad/placement=processes/came");
    lost.says("expected: 1 in each of 3 rounds");
    lost.says("measured: none 3 times, first in round 1");
    lost.says("source: the test");
    // A call that was not expected to fail leaves nothing to judge.
    find(&tests, "refused/placement=threads/wait-e0").says("add e0 e0 level: EINVAL");
    let again = read(&herd(&["check", &path]).out);
    let names_again: Vec<&String> = again.iter().flat_map(|test| &test.subtests).map(|test| &test.name).collect();
    assert_eq!(names, names_again);
}

#[test]
fn every_format_takes_a_script_and_so_does_a_stored_result() {
    let path = experiment("script-formats", &row("two", &two(&["write s1", "came -> 1"])));
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("script-stored");
    let _ = std::fs::remove_dir_all(&folder);
    let said = herd(&["run", &path, "--output", folder.to_str().unwrap()]);
    assert_eq!(said.code, Some(0), "{said:#?}");
    let stored = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let stored = stored.into_iter().find(|path| path.extension().is_some_and(|e| e == "json")).expect("a result");
    // These two draw single events, of which a script has none.
    for format in herd::report::names().into_iter().filter(|format| !matches!(*format, "timeline" | "perfetto")) {
        let shown = herd(&["show", stored.to_str().unwrap(), "--format", format]);
        assert_eq!(shown.code, Some(0), "{format}: {shown:#?}");
        assert!(shown.out.contains("script-formats"), "{format}: {}", shown.out);
    }
    let explained = herd(&["explain", &path]);
    assert!(explained.out.contains("write s1; came -> 1"), "{}", explained.out);
    let drawn = herd(&["timeline", &path]);
    assert_eq!(drawn.code, Some(2), "{drawn:#?}");
}

/// The file is refused with this message at that line.
#[track_caller]
fn check(name: &str, text: &str, line: usize, message: &str) {
    let path = file(name, &format!("title = \"t\"\n{text}\n"));
    let said = herd(&["run", &path]);
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{said:#?}");
    assert_eq!(said.err, format!("herd: {path}:{line}: {message}\n"));
}

#[test]
fn a_mistake_in_a_script_names_its_own_line() {
    let lines = "[[wait]]\nname = \"row\"\nscript = [\n  \"epoll e0\",\n  \"wiat e0 -> 0\",\n]";
    check("script-bad-1", lines, 6, "script, \"wiat e0 -> 0\": unknown statement \"wiat\"; did you mean \"wait\"?");
    let lines = "[[wait]]\nname = \"row\"\nscript = [\n  \"epoll e0\",\n  \"repeat 3\",\n  \"wait e0 -> 0\",\n]";
    check("script-bad-2", lines, 6, "script, \"repeat 3\": this block has no end");
    let wanted = "script must be a list of statements such as [\"epoll e0\", \"wait e0 -> 0\"]";
    check("script-bad-3", "[[wait]]\nname = \"row\"\nscript = \"epoll e0\"", 4, &format!("{wanted}, not \"epoll e0\""));
    check("script-bad-4", "[[wait]]\nname = \"row\"\nscript = []", 4, &format!("{wanted}, not []"));
}

#[test]
fn a_killed_worker_is_no_accident_and_leaves_the_others_alone() {
    let steps = [
        "listener l",
        "worker w0 accept l",
        "worker w1 accept l",
        "kill w0",
        "connect l x 2 -> 2",
        "came -> w1",
        "start all",
        "result w1 -> 1",
    ];
    let path = file("script-kill", &format!("title = \"t\"\n{}placement = \"processes\"\n", row("killed", &steps)));
    let cell = results(&path, 0).cells.remove(0);
    assert_eq!(cell.workers.iter().map(|w| w.claims).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(cell.workers.iter().map(|w| w.wakeups).collect::<Vec<_>>(), [0, 1]);
    check(
        "script-kill-threads",
        &format!("{}placement = \"threads\"\n", row("killed", &steps)),
        2,
        "\"killed\": kill ends a process and all workers in it; write placement = \"processes\"",
    );
}

#[test]
fn clients_are_accepted_or_reset() {
    let steps = [
        "group l0",
        "connect l0 x 3",
        "accepted -> 3",
        "reset -> 0",
        "connect l0 x 2",
        "close l0",
        "reset -> 2",
        "accepted+reset -> 5",
        "connect l0 -> ECONNREFUSED",
        "clients refused -> 1",
    ];
    let cell = results(&file("script-clients", &format!("title = \"t\"\n{}", row("clients", &steps))), 0);
    assert_eq!(cell.cells[0].verdict, Verdict::Pass, "{cell:#?}");
}

#[test]
fn only_a_network_of_its_own_is_changed() {
    let setting = || std::fs::read_to_string("/proc/sys/net/ipv4/tcp_migrate_req").ok();
    let before = setting();
    let steps = ["network", "migrate on", "group l0 l1", "connect l0 x 9", "close l1", "accepted -> 9", "reset -> 0"];
    let path = file("script-network", &format!("title = \"t\"\n{}", row("own", &steps)));
    let cell = results(&path, 0).cells.remove(0);
    assert!(matches!(cell.verdict, Verdict::Pass | Verdict::Skip), "{cell:#?}");
    assert_eq!(setting(), before);
    let lines = "[[wait]]\nname = \"row\"\nscript = [\n  \"group l0\",\n  \"migrate on\",\n]";
    let message = "that is about the network of this machine; write network first";
    check("script-network-bad", lines, 6, &format!("script, \"migrate on\": {message}"));
}

#[test]
fn a_stopped_worker_is_left_alone_and_one_that_is_told_does_it() {
    let steps = [
        "worker w0 idle",
        "worker w1 idle",
        "group l",
        "pass l w0",
        "close l",
        "connect l x 3 -> 3",
        "w0: pass l w1",
        "w0: close l",
        "w0: accept l -> EBADF",
        "stop w0",
        "w1: accept l x 9 -> 3",
        "clients accepted -> 3",
        "continue w0",
        "now w1 accept l",
        "result w1 -> asleep",
        "client resets",
        "connect l -> 1",
        "result w1 -> 1",
        "returns w1 -> 1",
    ];
    let path = file("script-told", &format!("title = \"t\"\n{}placement = \"processes\"\n", row("told", &steps)));
    let cell = results(&path, 0).cells.remove(0);
    assert_eq!(cell.workers.iter().map(|w| w.wakeups).collect::<Vec<_>>(), [0, 1], "{cell:#?}");
    let busy = ["group l", "worker w0 accept l", "w0: close l", "connect l -> 1"];
    let path = file("script-busy", &format!("title = \"t\"\n{}", row("busy", &busy)));
    let said = herd(&["run", &path]);
    assert!(said.out.contains("w0 still waits, so it can be told nothing"), "{}", said.out);
}

/// The experiments about accidents; each value in them is exact or a bound.
#[test]
fn accidents_come_to_what_they_say() {
    let names = herd::experiment::embedded::FILES.iter().filter_map(|(path, _)| {
        let number: u32 = path.strip_prefix("experiments/")?.get(..2)?.parse().ok()?;
        (60..75).contains(&number).then(|| path.strip_prefix("experiments/")?[3..].strip_suffix(".toml")).flatten()
    });
    for name in names {
        let said = herd(&["run", name, "--format", "json"]);
        let found = Results::parse("stdout", &said.out).unwrap_or_else(|e| panic!("{e}\n{said:#?}"));
        for cell in found.cells {
            let fine = match cell.verdict {
                Verdict::Pass => true,
                Verdict::Skip => !cell.reason.is_empty(),
                _ => false,
            };
            assert!(fine, "{}: {:?} {}", cell.id, cell.verdict, cell.reason);
        }
    }
}

#[test]
fn a_script_stands_alone() {
    let script = "script = [\"epoll e0\", \"wait e0 -> 0\"]";
    check(
        "script-alone-1",
        &format!("[[wait]]\nname = \"row\"\nobject = \"unix\"\n{script}"),
        2,
        "\"row\": a script says itself what is opened, who waits and what happens; only placement, affinity and \
         limit_ms go with it",
    );
    check(
        "script-alone-2",
        &format!("[[wait]]\nname = \"row\"\n{script}\nworkers = 3"),
        2,
        "\"row\": the script has 0 workers, but workers = 3",
    );
    check(
        "script-alone-3",
        "[[wait]]\nname = \"row\"\nsource = \"here\"",
        2,
        "\"row\": source, since and before belong to a script; for rules write them in [[expect]]",
    );
    check(
        "script-alone-4",
        &format!("[[wait]]\nname = \"row\"\n{script}\nsince = \"5.14\"\nbefore = \"5.5\""),
        2,
        "Linux 5.14 up to but without 5.5 is no kernel at all; exchange since and before",
    );
}

/// What the script came to, step by step, where it passes.
#[track_caller]
fn passes(name: &str, statements: &[&str]) {
    // A SYN-ACK is sent again after 1 s, then after 2, then after 4.
    let text = format!(
        "title = \"t\"\n[defaults]\nlimit_ms = 20000\n[matrix]\nplacement = [\"processes\", \"threads\"]\n{}",
        row("row", statements)
    );
    for cell in results(&file(name, &text), 0).cells {
        assert!(matches!(cell.verdict, Verdict::Pass | Verdict::Skip), "{}: {}", cell.id, cell.reason);
    }
}

#[test]
fn both_ends_of_a_connection_can_be_named() {
    for listener in ["listener l", "group l"] {
        passes(
            "named-ends",
            &[
                listener,
                "accept l as none -> EAGAIN",
                "connect l as c -> 1",
                "accept l as s -> 1",
                "worker w0 read s max 3",
                "read c -> EAGAIN",
                "write c c -> 2",
                "await w0 -> 1 or 2",
                "wakeups w0 -> 1",
                "write s -> 1",
                "read c -> 1",
                "read c -> EAGAIN",
            ],
        );
    }
}

#[test]
fn a_deaf_client_is_half_open_until_it_hears() {
    passes(
        "deaf",
        &[
            "network",
            "group l",
            "syn l as c -> 0",
            "half-open l -> 1",
            "accept l -> EAGAIN",
            "connect l as d -> 1",
            "half-open l -> 1",
            "accept l as s -> 1",
            "hear c",
            "worker w0 accept l",
            "await w0 -> 1",
            "half-open l -> 0",
        ],
    );
}

#[test]
fn a_fence_loses_no_hand_over() {
    passes("latch", &["latch 5000 fenced -> 0", "latch 5000 bare -> >= 0"]);
}
