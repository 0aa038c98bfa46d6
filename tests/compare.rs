//! What `herd compare` says about two results: every branch, from made-up ones.

mod sample;

use herd::analysis::compare::{Comparison, Direction, Outcome, compare};
use herd::experiment::Rule;
use herd::observation::End;
use herd::results::{Results, Verdict};
use sample::{cell, changed, judge, sample, seen, unmeasured, woken};

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
fn a_race_within_its_rule_is_none_even_if_it_looks_like_a_constant() {
    let of = |count| changed(|r| woken(r, "shared-epoll", &[(count, 23)]));
    check(&of(2), &of(3), Outcome::Same, &[]);
    check(&of(2), &of(9), Outcome::Worse, &["- shared-epoll wakeups_per_event: 2 (pass) -> 9 (FAIL)"]);
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
