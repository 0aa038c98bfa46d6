//! The whole table of objects and waits: every pair runs and loses nothing, or
//! says why it cannot be had. No pair is forgotten, since the lists are walked.

use herd::command::pairs::{objects, pair};
use herd::results::{Results, Verdict};
use herd::wait;
use points::{file, herd, skipped};

mod points;

/// One experiment with a row for each pair that is not refused.
fn rows() -> (String, usize) {
    let mut text = String::from("title = \"every pair\"\n[defaults]\nlimit_ms = 20000\n");
    let mut count = 0;
    for (object, mode) in objects() {
        for kind in wait::names() {
            let Ok(settings) = pair(object, mode, kind) else {
                continue;
            };
            let placement = String::from(settings.placement);
            text.push_str(&format!(
                "[[wait]]\nname = \"{object} {mode} {kind}\"\nobject = \"{object}\"\nkind = \"{kind}\"\n\
                 placement = \"{placement}\"\nworkers = 4\nburst = {}\nevents = 16\n",
                if settings.burst > 1 { 4 } else { 1 }
            ));
            if !mode.is_empty() {
                text.push_str(&format!("mode = \"{mode}\"\n"));
            }
            count += 1;
        }
    }
    (text, count)
}

#[test]
fn every_object_runs_with_every_wait_or_says_why_not() {
    let (text, count) = rows();
    let said = herd(&["run", &file("matrix", &text), "--format", "json"]);
    let results = Results::parse("stdout", &said.out).unwrap_or_else(|e| panic!("{e}\n{said:#?}"));
    assert_eq!(results.cells.len(), count);
    for cell in &results.cells {
        match cell.verdict {
            Verdict::Skip => skipped(&cell.id, &cell.reason),
            // Conservation is in the verdict: each event claimed once, none left.
            verdict => assert_eq!(verdict, Verdict::Pass, "{}: {}", cell.id, cell.reason),
        }
    }
    let ran = results.cells.iter().filter(|cell| cell.verdict == Verdict::Pass).count();
    assert!(ran * 2 > count, "only {ran} of {count} pairs could be had");
}

#[test]
fn a_refusal_names_the_way_out() {
    for (object, mode) in objects() {
        for kind in wait::names() {
            if let Err(reason) = pair(object, mode, kind) {
                assert!(reason.len() > 20, "{object} {mode} {kind}: {reason:?}");
            }
        }
    }
}
