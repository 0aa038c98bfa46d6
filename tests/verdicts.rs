//! Observation in, verdict out: recorded ones from tests/observations, made-up
//! ones for what cannot be recorded at will. Adding a case is adding a file or
//! a line. Touches no kernel.

use herd::analysis;
use herd::exit::Exit;
use herd::experiment::{Cell, Experiment};
use herd::observation::{End, Observation, WorkerFacts};
use herd::results::{CellResult, Environment, Results, SCHEMA, Verdict};

mod lab;

/// The only cell of an experiment: `settings` for [defaults], `expects` for one
/// [[expect]] each.
fn cell(settings: &str, expects: &[&str]) -> Cell {
    let events = if settings.contains("events") { "" } else { "events = 6" };
    let mut text = format!("title = \"made up\"\n[defaults]\nworkers = 3\n{events}\n{settings}\n");
    for expect in expects {
        text.push_str(&format!("[[expect]]\n{expect}\n"));
    }
    only_cell(&text)
}

#[track_caller]
fn only_cell(text: &str) -> Cell {
    let experiment = Experiment::parse("case.toml", text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let mut cells = experiment.cells(&[]).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert_eq!(cells.len(), 1, "a case is one cell\n{text}");
    cells.remove(0)
}

/// Judges `seen` and compares. `reason` is a part of the cell's reason; nothing
/// else may be said of a pass.
#[track_caller]
fn check(cell: &Cell, seen: Observation, lacks: &[&str], verdict: Verdict, reason: &str) -> CellResult {
    let lacking = |need: &str| lacks.contains(&need).then(|| format!("no {need}: ENOSYS"));
    let here = analysis::judge::Here { release: "6.18.0", realtime: false, lacks: &lacking };
    let judged = analysis::judge(cell, seen, &here);
    let said: Vec<String> = judged
        .expectations
        .iter()
        .map(|e| format!("{:?} {}: expected {}, measured {}", e.verdict, e.metric, e.expected, e.measured))
        .collect();
    assert_eq!(judged.verdict, verdict, "reason {:?}, expectations {said:#?}", judged.reason);
    assert!(judged.reason.contains(reason), "no {reason:?} in {:?}", judged.reason);
    assert_eq!(judged.reason.is_empty(), reason.is_empty(), "reason {:?}", judged.reason);
    // Metrics must never panic or be nonsense, whatever the verdict.
    for (name, value) in &judged.metrics {
        assert!(value.is_none_or(|v| v.is_finite() && v >= 0.0), "{name} is {value:?}");
    }
    judged
}

/// Three workers, six events, two each, in rotation, one wakeup for each.
fn rotating() -> Observation {
    dealt(&[0, 1, 2, 0, 1, 2], 1)
}

/// Those winners of three workers, with `wakeups` wakeups in every round, the
/// spare ones hidden.
fn dealt(winners: &[u32], wakeups: u64) -> Observation {
    let mut seen = Observation::empty(End::Complete);
    seen.fired = winners.len() as u64;
    seen.winners = winners.to_vec();
    seen.workers = vec![WorkerFacts::default(); 3];
    for winner in winners {
        let worker = &mut seen.workers[*winner as usize];
        worker.claims += 1;
        worker.returns += 1;
        worker.wakeups += 1;
    }
    seen.workers[0].wakeups += (wakeups - 1) * seen.fired;
    seen.wakeups_per_round = [(wakeups, seen.fired)].into();
    seen.returns_per_round = [(1, seen.fired)].into();
    seen
}

/// [`rotating`] with one thing changed.
fn but(change: impl FnOnce(&mut Observation)) -> Observation {
    let mut seen = rotating();
    change(&mut seen);
    seen
}

fn refused(errno: &str) -> Observation {
    let call = "epoll_ctl(EPOLL_CTL_ADD)".into();
    Observation::empty(End::Refused { worker: Some(2), call, errno: errno.into() })
}

#[test]
fn recorded_observations() {
    #[derive(serde::Deserialize)]
    struct Case {
        experiment: Vec<String>,
        #[serde(default)]
        lacks: Vec<String>,
        verdict: Verdict,
        #[serde(default)]
        reason: String,
        /// Of the expectations, in the order of the file.
        expectations: Vec<Verdict>,
        observation: Observation,
    }
    let folder = lab::in_repository("tests/observations");
    let names = lab::names_in(&folder);
    assert!(!names.is_empty());
    for name in names {
        println!("{name}");
        let text = std::fs::read_to_string(folder.join(&name)).unwrap();
        let case: Case = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let lacks: Vec<&str> = case.lacks.iter().map(String::as_str).collect();
        let cell = only_cell(&case.experiment.join("\n"));
        let judged = check(&cell, case.observation, &lacks, case.verdict, &case.reason);
        let verdicts: Vec<Verdict> = judged.expectations.iter().map(|e| e.verdict).collect();
        assert_eq!(verdicts, case.expectations, "{name}");
    }
}

#[test]
fn a_cell_without_expectations_passes_when_nothing_got_lost() {
    check(&cell("", &[]), rotating(), &[], Verdict::Pass, "");
}

#[test]
fn lost_events() {
    let lost = End::Lost { event: 4, states: vec!["w0: state S in inet_csk_accept".into()] };
    let judged = check(
        &cell("", &["wakeups_per_event = 1"]),
        but(|seen| seen.end = lost),
        &[],
        Verdict::Fail,
        "event 4 was fired, everybody sleeps and nobody took it; w0: state S in inet_csk_accept",
    );
    assert_eq!(judged.observation.map(|o| o.fired), Some(6), "the facts are kept");
    let left = but(|seen| {
        seen.stranded = 1;
        seen.workers[0].claims -= 1;
    });
    check(&cell("", &[]), left.clone(), &[], Verdict::Fail, "1 events left in the object");
    check(&cell("stranded = \"count\"", &["stranded = 1"]), left, &[], Verdict::Pass, "");
    let gone = but(|seen| seen.workers[0].claims -= 1);
    check(&cell("", &[]), gone.clone(), &[], Verdict::Fail, "6 events fired, 5 claimed, 0 left: 1 lost");
    // Counting what is left does not excuse what vanished.
    check(&cell("stranded = \"count\"", &[]), gone, &[], Verdict::Fail, "1 lost");
    let twice = but(|seen| seen.workers[0].claims += 1);
    check(&cell("", &[]), twice, &[], Verdict::Fail, "6 events fired, 7 claimed, 0 left: -1 lost");
}

#[test]
fn what_could_not_be_measured_is_invalid() {
    let expects = ["wakeups_per_event = 1"];
    let invalid = |seen, reason| {
        let judged = check(&cell("", &expects), seen, &[], Verdict::Invalid, reason);
        assert_eq!(judged.expectations[0].verdict, Verdict::Invalid);
        assert!(judged.expectations[0].reason.contains(reason));
    };
    invalid(but(|seen| seen.end = End::Interrupted), "interrupted");
    invalid(Observation::empty(End::Interrupted), "interrupted");
    invalid(
        but(|seen| seen.end = End::Invalid { reason: "worker 1 was killed".into(), again: false }),
        "worker 1 was killed",
    );
    invalid(but(|seen| seen.fired = 5), "fired 5 of 6 events");
    invalid(but(|seen| seen.workers[1].wakeups += 1), "the rounds have 6 wakeups, the workers 7");
    invalid(but(|seen| seen.wakeups_per_round = [(1, 5)].into()), "the rounds have 5 wakeups, the workers 6");
    // Nothing seen at all is never a pass.
    invalid(Observation::empty(End::Complete), "fired 0 of 6 events");
}

#[test]
fn refused_calls() {
    let plain = cell("", &["wakeups_per_event = 1"]);
    check(&plain, refused("EINVAL"), &[], Verdict::Invalid, "worker 2: epoll_ctl(EPOLL_CTL_ADD): EINVAL");
    let coordinator = End::Refused { worker: None, call: "bind to port 80".into(), errno: "EACCES".into() };
    let seen = Observation::empty(coordinator);
    check(&plain, seen, &[], Verdict::Invalid, "coordinator: bind to port 80: EACCES");
    let expecting = cell("", &["error = \"EINVAL\""]);
    let judged = check(&expecting, refused("EINVAL"), &[], Verdict::Pass, "");
    assert_eq!(judged.expectations[0].measured, "EINVAL from epoll_ctl(EPOLL_CTL_ADD)");
    check(&expecting, refused("EPERM"), &[], Verdict::Fail, "error: expected EINVAL, measured EPERM");
    check(&expecting, rotating(), &[], Verdict::Fail, "error: expected EINVAL, measured no error");
}

/// One rule against a rotating run of one wakeup per event, and against one of
/// three per event; which of the two hold?
#[track_caller]
fn check_rule(rule: &str, one_each: bool, three_each: bool) {
    let cell = cell("", &[rule]);
    let metric = &cell.expectations[0].metric;
    for (seen, holds) in [(rotating(), one_each), (dealt(&[0, 1, 2, 0, 1, 2], 3), three_each)] {
        match holds {
            true => check(&cell, seen, &[], Verdict::Pass, ""),
            false => check(&cell, seen, &[], Verdict::Fail, metric),
        };
    }
}

#[test]
fn every_kind_of_number_rule_holds_and_fails() {
    check_rule("wakeups_per_event = 1", true, false);
    check_rule("wakeups_per_event = 3.0", false, true);
    check_rule("wakeups_per_event = { per_worker = 1 }", false, true);
    check_rule("wakeups_per_event = { per_worker = 0.5, slack = 1.5 }", false, true);
    check_rule("wakeups_per_event = { per_worker = 0.5, slack = 1.4 }", false, false);
    check_rule("wakeups_per_event = { min = 2 }", false, true);
    check_rule("wakeups_per_event = { max = 2 }", true, false);
    check_rule("wakeups_per_event = { min_per_worker = 1 }", false, true);
    check_rule("wakeups_per_event = { max_per_worker = 0.5 }", true, false);
    check_rule("wakeups_per_event = { mean_min = 1.1 }", false, true);
    check_rule("wakeups_per_event = { mean_max = 1.1 }", true, false);
    check_rule("wakeups_per_event = { min = 1, max = 3, mean_min = 1, mean_max = 3 }", true, true);
    check_rule("spurious_hidden_per_event = 2", false, true);
    check_rule("spurious_visible_per_event = 0", true, true);
    check_rule("claims = 6", true, true);
    check_rule("claims = { per_event = 1 }", true, true);
    check_rule("wakeups = { per_event = 1 }", true, false);
    check_rule("wakeups = { per_event = 3 }", false, true);
    check_rule("wakeups = { per_event = 0.999 }", false, false);
    check_rule("idle_workers = 1", false, false);
    // A metric without a value cannot be as expected.
    check_rule("dsleeps = 0", false, false);
    check_rule("trial_max_mean = { max = 99 }", false, false);
}

#[test]
fn exact_holds_in_every_event_and_means_on_average() {
    // The mean of 1, 1, 1, 1, 1, 7 is 2, but no event had two.
    let spiky = but(|seen| {
        seen.workers[2].wakeups += 6;
        seen.wakeups_per_round = [(1, 5), (7, 1)].into();
    });
    let judge = |rule: &str, verdict, reason: &str| {
        check(&cell("", &[rule]), spiky.clone(), &[], verdict, reason);
    };
    judge("wakeups_per_event = 2", Verdict::Fail, "expected 2, measured 2 (1 to 7)");
    judge("wakeups_per_event = { mean_min = 2, mean_max = 2 }", Verdict::Pass, "");
    judge("wakeups_per_event = { min = 2 }", Verdict::Fail, "expected at least 2, measured 2 (1 to 7)");
    judge("wakeups_per_event = { max = 6 }", Verdict::Fail, "expected at most 6, measured 2 (1 to 7)");
    judge("wakeups_per_event_max = 7", Verdict::Pass, "");
    judge("wakeups_per_event_median = 1", Verdict::Pass, "");
}

#[test]
fn every_order_of_winners_holds_and_fails() {
    let orders = ["rotation", "first", "last", "even", "uniform", "decreasing"];
    let mut fair: Vec<u32> = (0..6).map(|i| i % 3).collect();
    fair.reverse();
    let runs: [(&[u32], [bool; 6]); 6] = [
        (&[0, 1, 2, 0, 1, 2], [true, false, false, true, true, true]),
        (&[0, 0, 0, 0, 0, 0], [false, true, false, false, true, true]),
        (&[2, 2, 2, 2, 2, 2], [false, false, true, false, true, false]),
        (&fair, [false, false, false, true, true, true]),
        (&[0, 0, 0, 1, 1, 2], [false, false, false, false, true, true]),
        (&[2, 0, 2, 0, 2, 0], [false, false, false, false, true, false]),
    ];
    for (winners, holds) in runs {
        for (order, holds) in orders.iter().zip(holds) {
            println!("{order} of {winners:?}");
            let cell = cell("", &[&format!("winners = \"{order}\"")]);
            let (verdict, reason) = if holds { (Verdict::Pass, "") } else { (Verdict::Fail, "winners: expected ") };
            check(&cell, dealt(winners, 1), &[], verdict, reason);
        }
    }
    // Sixty events to one of three workers are no accident; 22, 20, 18 may be one.
    let uniform = cell("events = 60", &["winners = \"uniform\""]);
    check(&uniform, dealt(&[1; 60], 1), &[], Verdict::Fail, "winners: expected uniform, measured chi-square 120");
    let even: Vec<u32> = (0..60).map(|i| if i < 22 { 0 } else { 1 + i / 42 }).collect();
    check(&uniform, dealt(&even, 1), &[], Verdict::Pass, "");
}

#[test]
fn lacking_features_skip() {
    let needy = "wakeups_per_event = 3\nneeds = \"epoll_exclusive\"";
    let lacks = ["epoll_exclusive"];
    check(&cell("", &[needy]), rotating(), &lacks, Verdict::Skip, "no epoll_exclusive: ENOSYS");
    // With another expectation to hold, the cell passes and the skip still shows.
    let judged = check(&cell("", &[needy, "claims = 6"]), rotating(), &lacks, Verdict::Pass, "");
    assert_eq!(judged.expectations[0].verdict, Verdict::Skip);
    check(&cell("", &[needy, "claims = 5"]), rotating(), &lacks, Verdict::Fail, "claims: expected 5, measured 6");
    check(&cell("", &[needy]), but(|s| s.end = End::Interrupted), &lacks, Verdict::Invalid, "interrupted");
    let skipped = analysis::judge::skip(&cell("", &[needy]), "no ipv6".into());
    assert_eq!((skipped.verdict, skipped.reason.as_str()), (Verdict::Skip, "no ipv6"));
    assert!(skipped.observation.is_none());
    assert!(skipped.expectations.iter().all(|e| e.verdict == Verdict::Skip));
}

/// The exit code of a run whose cells have those verdicts.
#[track_caller]
fn check_exit(verdicts: &[Verdict], want: Exit, code: u8) {
    let of =
        |verdict: &Verdict| CellResult { verdict: *verdict, ..analysis::judge::skip(&cell("", &[]), String::new()) };
    let results = Results {
        schema: SCHEMA,
        herd: "0".into(),
        environment: Environment::default(),
        experiments: Vec::new(),
        cells: verdicts.iter().map(of).collect(),
        interrupted: false,
        shard: None,
    };
    assert_eq!((results.exit(), results.exit().code()), (want, code), "{verdicts:?}");
}

#[test]
fn the_exit_code_is_never_a_pass_when_nothing_ran() {
    use Verdict::*;
    check_exit(&[], Exit::AllSkipped, 4);
    check_exit(&[Skip], Exit::AllSkipped, 4);
    check_exit(&[Skip, Skip], Exit::AllSkipped, 4);
    check_exit(&[Pass], Exit::Pass, 0);
    check_exit(&[Pass, Skip], Exit::Pass, 0);
    check_exit(&[Invalid], Exit::Invalid, 3);
    check_exit(&[Pass, Invalid, Skip], Exit::Invalid, 3);
    check_exit(&[Pass, Invalid, Fail, Skip], Exit::Fail, 1);
    assert_eq!(Exit::Usage.code(), 2);
    assert_eq!((Exit::Signal(2).code(), Exit::Signal(15).code()), (130, 143));
}

/// The first seconds are not like the rest: shown as a drift, never judged, and
/// the counts do not care.
#[test]
fn latencies_that_had_not_settled_show_as_drift() {
    let drift = |middle, last| {
        let seen = but(|seen| seen.late_p99 = [middle, last]);
        check(&cell("", &[]), seen, &[], Verdict::Pass, "").metrics["claim_latency_p99_drift"]
    };
    assert_eq!(drift(10_000, 12_000), Some(1.2));
    assert_eq!(drift(10_000, 45_000), Some(4.5));
    assert_eq!(drift(0, 0), None, "nothing was claimed in a third");
}

/// Judges 6 events with `wakeups` each, counted by `source`, as on PREEMPT_RT.
#[track_caller]
fn check_realtime(source: &str, wakeups: u64, expect: &str, verdict: Verdict) {
    let mut seen = dealt(&[0, 1, 2, 0, 1, 2], wakeups);
    seen.count_source = source.into();
    let here = analysis::judge::Here { release: "6.18.0", realtime: true, lacks: &|_| None };
    let judged = analysis::judge(&cell("", &[expect]), seen, &here);
    assert_eq!(judged.verdict, verdict, "{}", judged.reason);
    assert_eq!(judged.reason.contains("PREEMPT_RT"), verdict == Verdict::Skip, "{}", judged.reason);
}

/// /proc counts a wait for a spin lock as a sleep there; bpf and perf do not.
#[test]
fn on_a_realtime_kernel_proc_is_a_floor_and_no_ceiling() {
    for ceiling in ["= 1", "= { max = 1 }", "= { min = 1, max_per_worker = 0.5 }", "= { never_above = 1 }"] {
        let expect = format!("wakeups_per_event {ceiling}");
        check_realtime("proc", 2, &expect, Verdict::Skip);
        check_realtime("bpf", 2, &expect, Verdict::Fail);
        check_realtime("perf", 2, &expect, Verdict::Fail);
        check_realtime("proc", 1, &expect, Verdict::Pass);
    }
    check_realtime("proc", 4, "wakeups_per_event = { per_worker = 1, slack = 0.5 }", Verdict::Skip);
    // Too few is too few, whatever else was counted.
    check_realtime("proc", 2, "wakeups_per_event = 3", Verdict::Fail);
    check_realtime("proc", 2, "wakeups_per_event = { per_worker = 1, slack = 0.5 }", Verdict::Fail);
    check_realtime("proc", 2, "wakeups_per_event = { mean_min = 3, max = 9 }", Verdict::Fail);
    check_realtime("proc", 2, "returns_per_event = 2", Verdict::Fail);
}
