//! `herd check` with the null wait, so that every byte is known: the points, the
//! exit codes, and what one point says about another. After a change that is
//! meant, `HERD_GOLDEN=write cargo test --test check` writes the expected bytes.

use std::path::Path;
use std::process::Command;

use points::{check, file, find, herd, read, said, skipped};

mod points;

fn golden_experiment() -> String {
    path("tests/golden/check.toml")
}

fn path(inside: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(inside).to_str().unwrap().to_owned()
}

/// What differs from machine to machine, replaced by a word.
fn everywhere(text: &str) -> String {
    let uname = nix::sys::utsname::uname().unwrap();
    let field = |text: &std::ffi::OsStr| text.to_str().unwrap().to_owned();
    let text = text.replace(&field(uname.version()), "VERSION").replace(&field(uname.release()), "RELEASE");
    let text = text.replace(&format!("value=\"{}\"", field(uname.machine())), "value=\"MACHINE\"");
    let text = text.replace(env!("CARGO_PKG_VERSION"), "HERD");
    let lines = text.lines().map(|line| match line.split_once("RELEASE, ") {
        Some((before, rest)) if rest.ends_with(" CPUs") => format!("{before}RELEASE, some CPUs"),
        _ => line.to_owned(),
    });
    lines.map(|line| line + "\n").collect()
}

#[track_caller]
fn same(name: &str, now: &str) {
    let file = path(&format!("tests/golden/{name}"));
    if std::env::var_os("HERD_GOLDEN").is_some_and(|v| v == "write") {
        std::fs::write(&file, now).unwrap();
    }
    let before = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{file}: {e}"));
    assert_eq!(now, before, "{name}; is the change meant? see the top of tests/check.rs");
}

#[test]
fn points_of_every_verdict_as_ktap_and_junit() {
    for format in ["ktap", "junit"] {
        let said = herd(&["check", &golden_experiment(), "--repeat", "10", "--format", format]);
        assert_eq!((said.code, said.err.as_str()), (Some(1), ""));
        same(&format!("check.{format}"), &everywhere(&said.out));
    }
}

#[test]
fn a_flaky_point_is_one_point_and_shows_both_counts() {
    let experiment = golden_experiment();
    let tests = check(&[&experiment, "--repeat", "10"], 1);
    let shaky = find(&tests, "shaky/wakeups_per_event");
    assert!(!shaky.ok);
    shaky.says("flaky: 7 of 10 passed");
    find(&tests, "good/spurious_per_event-never-above").says("not seen in 80 rounds");
    let junit = herd(&["check", &experiment, "--repeat", "10", "--format", "junit"]).out;
    assert!(junit.contains("message=\"flaky: 7 of 10 passed; expected 1, measured 2\" type=\"flaky\""), "{junit}");
    let kcidb = herd(&["check", &experiment, "--repeat", "10", "--format", "kcidb"]).out;
    assert!(kcidb.contains("\"comment\": \"flaky: 7 of 10 passed; expected 1, measured 2\""), "{kcidb}");
    assert!(kcidb.contains("\"verdict\": \"flaky\""), "{kcidb}");
}

#[test]
fn exit_codes_tell_pass_fail_usage_invalid_and_skipped_apart() {
    let with = |name: &str, rows: &str, code: i32| {
        let text = format!("title = \"t\"\n[defaults]\nkind = \"null\"\nevents = 5\n{rows}");
        let said = herd(&["check", &file(name, &text)]);
        assert_eq!(said.code, Some(code), "{name}: {said:#?}");
        if code == 2 { Vec::new() } else { read(&said.out) }
    };
    with("code0", "[[expect]]\nwakeups_per_event = 1\n", 0);
    with("code0-none", "", 0);
    with("code1", "[[expect]]\nwakeups_per_event = 2\n", 1);
    with("code2", "[[expect]]\nwakeups_per_evnt = 2\n", 2);
    let blind = with("code3", "null_invalid = \"blind\"\n[[expect]]\nwakeups_per_event = 1\n", 3);
    assert!(blind[0].subtests.iter().all(|point| !point.ok), "{blind:#?}");
    blind[0].subtests[1].says("invalid: blind");
    let skipped = with("code4", "[[expect]]\nsince = \"99.1\"\nwakeups_per_event = 1\n", 0);
    assert!(skipped[0].subtests[1].is_skip(), "the cell ran, so its events were counted: {skipped:#?}");
    let skipped = denied("code4");
    assert!(skipped[0].is_skip(), "{skipped:#?}");
}

/// Several failures in one, colliding names, the last one wins: the ways in which
/// nested results were lost between a test and its dashboard.
#[test]
fn names_are_unique_and_one_failure_changes_no_other_line() {
    let text = |wakeups: u32| {
        format!(
            "title = \"t\"\n[defaults]\nkind = \"null\"\nevents = 5\n[matrix]\nworkers = [1, 2]\n\
             [[wait]]\nname = \"1 # a\"\n[[wait]]\nname = \"a\"\nnull_wakeups = {wakeups}\n\
             [[expect]]\nwakeups_per_event = 1\nclaims = 5\n[[expect]]\nwakeups_per_event = {{ min = 1 }}\n"
        )
    };
    // Two files, so that the experiments are two as well.
    let other = file("collide-other", &text(1));
    let good = check(&[&file("collide", &text(1)), &other], 0);
    let bad = check(&[&file("collide", &text(2)), &other], 1);
    let lines = |tests: &[points::Test]| -> Vec<(String, bool, String)> {
        let all = tests.iter().flat_map(|t| std::iter::once(t).chain(&t.subtests));
        all.map(|t| (t.name.clone(), t.ok, t.directive.clone())).collect()
    };
    let (before, after) = (lines(&good), lines(&bad));
    assert_eq!(before.len(), after.len());
    let changed: Vec<&str> = before.iter().zip(&after).filter(|(a, b)| a != b).map(|(a, _)| a.0.as_str()).collect();
    assert_eq!(changed, ["collide", "a/workers=1/wakeups_per_event", "a/workers=2/wakeups_per_event"]);
    assert_eq!((bad[0].ok, bad[1].ok), (false, true), "the top line fails, and only its own");
    // The same names in every run, whatever the verdicts; the reader checked the rest.
    let again = check(&[&file("collide", &text(1)), &other, "--repeat", "3"], 0);
    assert_eq!(lines(&again), before);
}

#[test]
fn every_embedded_experiment_has_readable_names() {
    // The reader checks each of them. Nothing is run.
    let tests = denied("");
    let names: Vec<&str> = tests.iter().map(|test| test.name.as_str()).collect();
    assert_eq!(names, herd::experiment::embedded::unasked());
    assert!(!names.contains(&"server-models-wide"), "long ones must be named");
    assert!(tests.iter().all(|test| test.subtests.len() > 1));
}

/// Checks with too few descriptors for any cell; the file of that name, or all
/// embedded experiments.
#[track_caller]
fn denied(name: &str) -> Vec<points::Test> {
    let experiment =
        if name.is_empty() { String::new() } else { format!("{}/{name}.toml", env!("CARGO_TARGET_TMPDIR")) };
    let script = "ulimit -n 32 && exec \"$0\" check $1";
    let said = said(Command::new("sh").args(["-c", script, env!("CARGO_BIN_EXE_herd"), &experiment]));
    assert_eq!(said.code, Some(4), "{said:#?}");
    let tests = read(&said.out);
    for point in tests.iter().flat_map(|test| &test.subtests) {
        assert!(point.is_skip(), "{point:?}");
        point.says("RLIMIT_NOFILE is 32");
    }
    tests
}

#[test]
fn mistakes_in_the_new_rules_name_their_line() {
    let wrong = |line: &str, want: &str| {
        let text = format!(
            "title = \"t\"\n[[wait]]\nname = \"a\"\n[[wait]]\nname = \"b\"\n[[expect]]\nwait = \"a\"\n{line}\n"
        );
        let said = herd(&["check", &file("mistake", &text)]);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{said:#?}");
        assert!(said.err.contains(want), "no {want:?} in {}", said.err);
    };
    wrong(
        "wakeups_per_event = { times_of = \"bb\", max = 1 }",
        "mistake.toml:6: unknown wait \"bb\" in times_of; did you mean \"b\"?",
    );
    wrong(
        "wakeups_per_event = { times_of = \"a\", max = 1 }",
        "mistake.toml:6: times_of = \"a\" compares that row with itself",
    );
    wrong("wakeups_per_event = { times_of = \"b\" }", "mistake.toml:8: wakeups_per_event must be { times_of");
    wrong(
        "wakeups_per_event = { growth_from = \"b\", below = \"bb\", below_from = \"b\" }",
        "mistake.toml:6: unknown wait \"bb\" in growth_from; did you mean \"b\"?",
    );
    wrong("wakeups_per_event = { growth_from = \"b\" }", "wakeups_per_event must be { growth_from = \"a row\", below");
    wrong(
        "wakeups_per_event = { more_than = \"b\", over = \"worker\" }",
        "mistake.toml:6: unknown axis \"worker\" in over; name a key of [matrix]",
    );
    wrong("wakeups_per_event = { never_above = 0, max = 1 }", "mistake.toml:8: wakeups_per_event must be");
    wrong("share = { worker = 0, part = 1 }", "mistake.toml:8: share must be { worker = 0 }");
    wrong(
        "claims = 1\nsince = \"new\"",
        "mistake.toml:9: since must be a kernel release such as \"5.14\", not \"new\"",
    );
    wrong(
        "claims = 1\nsince = \"6.1\"\nbefore = \"5.4\"",
        "mistake.toml:6: Linux 6.1 up to but without 5.4 is no kernel",
    );
}

#[test]
fn a_stored_result_can_be_shown_as_points_later() {
    let experiment = golden_experiment();
    let json = herd(&["check", &experiment, "--repeat", "10", "--format", "json"]).out;
    let kept = file("kept", &json);
    for format in ["ktap", "junit", "kcidb"] {
        let shown = herd(&["show", &kept, "--format", format]);
        assert!(!shown.out.is_empty(), "{shown:#?}");
        if format == "ktap" {
            same("check.ktap", &everywhere(&shown.out));
        }
    }
}

/// A set-up that fails in the sandbox must not count as done: whatever is denied,
/// there is no pass, and the reason stands in the line.
#[test]
fn what_is_denied_is_skipped_with_the_reason_and_never_passes() {
    denied("");
    // Without a loopback device no event can be made.
    let alone =
        said(Command::new("unshare").args(["-n", env!("CARGO_BIN_EXE_herd"), "check", "herd", "--set", "events=5"]));
    if alone.out.is_empty() {
        return skipped("no loopback", &format!("unshare -n: {}", alone.err.trim()));
    }
    assert!(matches!(alone.code, Some(3 | 4)), "{alone:#?}");
    for point in read(&alone.out).iter().flat_map(|test| &test.subtests) {
        assert!(!point.passed(), "{point:?}");
    }
}

#[test]
fn events_done_are_held_against_events_asked() {
    let tests = check(&[&golden_experiment()], 1);
    find(&tests, "good/conservation").says("8 of 8 events fired, 8 claimed, 0 left");
    let blind = find(&tests, "blind/conservation");
    assert!(!blind.ok);
    blind.says("0 of 8 events fired");
}

#[test]
fn a_check_that_is_interrupted_is_no_pass() {
    use std::process::Stdio;
    let text = "title = \"t\"\n[defaults]\nkind = \"block\"\nworkers = 2\nevents = 50000\n[matrix]\nbacklog = [64, 65]\n\
                [[expect]]\nclaims = 50000\n";
    let child = Command::new(env!("CARGO_BIN_EXE_herd"))
        .args(["check", &file("interrupted", text)])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // It has taken over the signal when it has a child: the cell's process.
    let pid = child.id();
    let children = format!("/proc/{pid}/task/{pid}/children");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while std::fs::read_to_string(&children).is_ok_and(|text| text.is_empty()) {
        assert!(std::time::Instant::now() < deadline, "no cell was started");
        std::thread::yield_now();
    }
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), nix::sys::signal::Signal::SIGTERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143));
    let tests = read(&String::from_utf8(output.stdout).unwrap());
    assert!(!tests[0].ok && tests[0].subtests.iter().all(|point| !point.passed()), "{tests:#?}");
    find(&tests, "block/backlog=65/claims").says("interrupted before it ran");
}
