//! Expectations that compare two rows, settled on made-up observations.

use herd::analysis::judge::{self, Here};
use herd::analysis::relation::{OPEN, settle, settle_among};
use herd::cell::scripted;
use herd::experiment::Experiment;
use herd::results::{CellResult, Judged, Verdict};

mod points;

/// Two rows, `this` compared with `that`, run by the null wait.
fn settled(this: &str, that: &str, bounds: &str) -> Vec<CellResult> {
    let text = format!(
        "title = \"t\"\n[defaults]\nkind = \"null\"\nevents = 4\n\
         [[wait]]\nname = \"this\"\n{this}\n[[wait]]\nname = \"that\"\n{that}\n\
         [[expect]]\nwait = \"this\"\nwakeups_per_event = {{ times_of = \"that\", {bounds} }}\n"
    );
    let here = Here { release: "6.1", realtime: false, lacks: &|_| None };
    let cells = Experiment::parse("t.toml", &text).unwrap().cells(&[]).unwrap();
    let mut results: Vec<CellResult> =
        cells.iter().map(|cell| judge::judge(cell, scripted::observe(&cell.settings, 1), &here)).collect();
    settle(&mut results);
    results
}

#[track_caller]
fn check(this: &str, that: &str, bounds: &str, verdict: Verdict, words: &str) {
    let cell = settled(this, that, bounds).remove(0);
    let judged = &cell.expectations[0];
    let said = format!("{}; {}", judged.measured, judged.reason);
    assert_eq!((judged.verdict, cell.verdict), (verdict, verdict), "{said}");
    assert!(said.contains(words), "no {words:?} in {said:?}");
}

#[test]
fn the_averages_of_two_rows_are_compared() {
    check("", "null_wakeups = 8", "max = 0.125", Verdict::Pass, "1 to 8, 0.125 times");
    check("", "null_wakeups = 8", "max = 0.12", Verdict::Fail, "1 to 8");
    check("null_wakeups = 16", "null_wakeups = 8", "min = 2, max = 2", Verdict::Pass, "16 to 8, 2 times");
    check("", "null_wakeups = 0", "max = 9", Verdict::Fail, "1 to 0");
    check("null_wakeups = 0", "null_wakeups = 0", "max = 9", Verdict::Pass, "0 to 0");
}

#[test]
fn what_the_other_row_could_not_tell_cannot_be_compared() {
    check("", "null_invalid = \"blind\"", "max = 1", Verdict::Invalid, "that: blind");
    check("null_invalid = \"blind\"", "", "max = 1", Verdict::Invalid, "blind");
    // The kernel lost an event there; that is its own failure, not ours.
    check("", "null_lose = 2", "max = 1", Verdict::Invalid, "that: event 2 was fired");
}

#[test]
fn a_row_that_was_skipped_or_is_missing_skips_or_leaves_it_open() {
    let mut results = settled("", "", "max = 1");
    let open = |judged: &mut Judged| (judged.verdict, judged.reason) = (Verdict::Invalid, OPEN.into());
    open(&mut results[0].expectations[0]);
    (results[1].observation, results[1].verdict, results[1].reason) = (None, Verdict::Skip, "no ipv6".into());
    settle(&mut results);
    let judged = &results[0].expectations[0];
    assert_eq!((judged.verdict, judged.reason.as_str()), (Verdict::Skip, "that: no ipv6"));
    open(&mut results[0].expectations[0]);
    results.truncate(1);
    settle(&mut results);
    assert_eq!(
        (results[0].expectations[0].verdict, results[0].expectations[0].reason.as_str()),
        (Verdict::Invalid, OPEN)
    );
}

/// As `herd run t:this`: the others are no fault of the row that was asked for.
#[test]
fn a_row_that_was_not_chosen_is_skipped_with_the_reason() {
    let text = "title = \"t\"\n[defaults]\nkind = \"null\"\nevents = 4\n[matrix]\nsample = [1, 2, 3]\n\
                [[wait]]\nname = \"this\"\n[[wait]]\nname = \"that\"\n[[wait]]\nname = \"other\"\n\
                [[expect]]\nwait = \"this\"\nwakeups_per_event = 1\n\
                [[expect]]\nwait = \"this\"\nwakeups_per_event = { times_of = \"that\", max = 1 }\n\
                [[expect]]\nwait = \"this\"\nreturns_per_event = { times_of = \"other\", max = 1 }\n\
                [[expect]]\nwait = \"this\"\nsample = 1\n\
                wakeups_per_event = { growth_from = \"this\", below = \"that\", below_from = \"other\" }\n";
    let chosen = |rows: &[&str]| {
        let mut experiment = Experiment::parse("t.toml", text).unwrap();
        experiment.rows.retain(|row| rows.contains(&row.name.as_str()));
        let here = Here { release: "6.1", realtime: false, lacks: &|_| None };
        let cells = experiment.cells(&[]).unwrap();
        let observe = |cell| judge::judge(cell, scripted::observe(&cell.settings, 1), &here);
        let mut results: Vec<CellResult> = cells.iter().map(observe).collect();
        settle_among(&mut results, &[experiment]);
        results.swap_remove(0)
    };
    let said = |cell: &CellResult| -> Vec<(Verdict, String)> {
        cell.expectations.iter().map(|judged| (judged.verdict, judged.reason.clone())).collect()
    };
    let not_run = |row: &str| (Verdict::Skip, format!("compared with {row}, which was not run"));
    let alone = chosen(&["this"]);
    let held = (Verdict::Pass, String::new());
    assert_eq!(said(&alone), [held.clone(), not_run("that"), not_run("other"), not_run("that")]);
    assert_eq!((alone.verdict, alone.reason.as_str()), (Verdict::Pass, ""), "what holds for itself is its verdict");
    let two = chosen(&["this", "that"]);
    assert_eq!(said(&two), [held.clone(), held, not_run("other"), not_run("other")]);
    // With all of them a row without a result is still a fault.
    let mut whole = vec![chosen(&["this", "that", "other"])];
    (whole[0].expectations[1].verdict, whole[0].expectations[1].reason) = (Verdict::Invalid, OPEN.into());
    settle_among(&mut whole, &[Experiment::parse("t.toml", text).unwrap()]);
    assert_eq!(whole[0].expectations[1].verdict, Verdict::Invalid);
}

/// Four rows; what the growth of `this` came to in the first sample.
fn growth(rows: [(&str, &[u64]); 4]) -> (Verdict, String) {
    over_samples(&rows, "{ growth_from = \"this from\", below = \"that\", below_from = \"that from\" }")
}

/// Rows with as many samples as there are figures of each, as wakeups per event of the
/// null wait; what the rule of `this` came to in the first sample.
fn over_samples(rows: &[(&str, &[u64])], rule: &str) -> (Verdict, String) {
    let samples = rows[0].1.len();
    let axis: Vec<usize> = (1..=samples).collect();
    let waits: String = rows.iter().map(|(row, _)| format!("[[wait]]\nname = {row:?}\n")).collect();
    let text = format!(
        "title = \"t\"\n[defaults]\nkind = \"null\"\nevents = 4\n[matrix]\nsample = {axis:?}\n{waits}\
         [[expect]]\nwait = \"this\"\nsample = 1\nwakeups_per_event = {rule}\n"
    );
    let here = Here { release: "6.1", realtime: false, lacks: &|_| None };
    let cells = Experiment::parse("t.toml", &text).unwrap().cells(&[]).unwrap();
    let judged = cells.iter().map(|cell| {
        let mut settings = cell.settings.clone();
        let (_, figures) = rows.iter().find(|(row, _)| *row == cell.row).unwrap();
        settings.null.wakeups = figures[settings.traffic.sample as usize - 1];
        judge::judge(cell, scripted::observe(&settings, 1), &here)
    });
    let mut results: Vec<CellResult> = judged.collect();
    settle(&mut results);
    let cell = results.iter().find(|cell| cell.row == "this").unwrap();
    assert_eq!(cell.verdict, cell.expectations[0].verdict);
    (cell.verdict, format!("{}; {}", cell.expectations[0].measured, cell.expectations[0].reason))
}

#[test]
fn a_growth_is_settled_over_samples_or_left_undecided() {
    let of = |this: &[u64], that: &[u64]| {
        let base = vec![10; this.len()];
        growth([("this from", &base), ("this", this), ("that from", &base), ("that", that)])
    };
    let check = |found: (Verdict, String), verdict: Verdict, words: &str| {
        assert!(found.0 == verdict && found.1.contains(words), "{found:?}");
    };
    check(of(&[11, 12, 12], &[15, 16, 14]), Verdict::Pass, "x 1.2 (1.1 to 1.2) against x 1.5 (1.4 to 1.6)");
    // Ranges that touch, while each median is outside of the other one.
    check(of(&[11, 11, 14], &[13, 16, 16]), Verdict::Pass, "x 1.1");
    check(of(&[11, 14, 15], &[13, 16, 16]), Verdict::Skip, "undecided, the spread is too large: x 1.4");
    check(of(&[18, 19, 20], &[13, 16, 16]), Verdict::Fail, "x 1.9");
    check(of(&[15, 16, 20], &[13, 16, 16]), Verdict::Skip, "undecided");
    check(of(&[11, 11], &[16, 16]), Verdict::Skip, "2 samples");
    // Of five, one on each side may be anything, for it; against it none may.
    check(
        of(&[11, 11, 12, 12, 40], &[5, 15, 16, 16, 17]),
        Verdict::Pass,
        "x 1.2 (1.1 to 4) against x 1.6 (0.5 to 1.7)",
    );
    check(of(&[11, 11, 12, 17, 40], &[5, 15, 16, 16, 17]), Verdict::Skip, "undecided");
    check(of(&[17, 18, 19, 19, 20], &[5, 15, 16, 16, 16]), Verdict::Fail, "x 1.9");
    check(of(&[12, 18, 19, 19, 20], &[5, 15, 16, 16, 16]), Verdict::Skip, "undecided");
}

#[test]
fn two_rows_are_compared_along_an_axis_or_left_undecided() {
    let of = |this: &[u64], that: &[u64], more: &str| {
        over_samples(&[("this", this), ("that", that)], &format!("{{ more_than = \"that\", over = \"sample\"{more} }}"))
    };
    let check = |found: (Verdict, String), verdict: Verdict, words: &str| {
        assert!(found.0 == verdict && found.1.contains(words), "{found:?}");
    };
    check(of(&[8, 9, 12], &[5, 7, 6], ""), Verdict::Pass, "9 (8 to 12) to 6 (5 to 7)");
    // Each is more at its own place, but the ranges touch: no more is known than that.
    check(of(&[8, 9, 12], &[7, 8, 11], ""), Verdict::Skip, "undecided");
    check(of(&[5, 7, 6], &[8, 9, 12], ""), Verdict::Fail, "6 (5 to 7) to 9 (8 to 12)");
    check(of(&[5, 7, 9], &[8, 9, 12], ""), Verdict::Skip, "undecided");
    check(of(&[8, 9, 12], &[2, 2, 3], ", times = 2"), Verdict::Pass, "9 (8 to 12) to 2 (2 to 3)");
    check(of(&[8, 9, 12], &[2, 2, 4], ", times = 2"), Verdict::Skip, "undecided");
    check(of(&[8, 9], &[1, 2], ""), Verdict::Skip, "2 values over sample");
}

#[test]
fn the_table_says_what_a_growth_came_to() {
    let rows = [("this from", 10), ("this", 12), ("that from", 10), ("that", 15)];
    let waits = rows.map(|(row, wakeups)| format!("[[wait]]\nname = {row:?}\nnull_wakeups = {wakeups}\n")).concat();
    let text = |samples: &str| {
        format!(
            "title = \"t\"\n[defaults]\nkind = \"null\"\nevents = 4\n[matrix]\nsample = {samples}\n{waits}\
             [[expect]]\nwait = \"this\"\nsample = 1\n\
             wakeups_per_event = {{ growth_from = \"this from\", below = \"that\", below_from = \"that from\" }}\n"
        )
    };
    let said = |name: &str, samples: &str| {
        let said = points::herd(&["run", &points::file(name, &text(samples))]);
        assert_eq!(said.code, Some(0), "{said:#?}");
        said.out.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let grows = "wakeups_per_event grows to \"this\" and to \"that\": ";
    let found = said("growth", "[1, 2, 3]");
    let figures = "x 1.2 (1.2 to 1.2) against x 1.5 (1.5 to 1.5), as expected";
    assert!(found.contains(&format!("{grows}{figures}")), "{found}");
    let found = said("growth-few", "[1, 2]");
    assert!(found.contains(&format!("{grows}undecided: 2 samples")), "{found}");
}
