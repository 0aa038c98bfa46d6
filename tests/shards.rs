//! Parts of a run: `--shard` takes them, `herd merge` puts them together. With the
//! null wait, whose results are the same in every run.

mod lab;

use herd::results::{Results, Verdict};
use lab::{Folder, Said, in_repository, results, run};
use serde_json::Value;

fn null() -> String {
    in_repository("tests/golden/null.toml").to_str().unwrap().to_owned()
}

/// Another experiment, with rows that are compared with each other.
fn related(folder: &Folder) -> String {
    let text = "title = \"t\"\n[defaults]\nkind = \"null\"\nworkers = 3\nevents = 7\n[matrix]\nworkers = [2, 3, 4]\n\
                [[wait]]\nname = \"a\"\n[[wait]]\nname = \"b\"\nnull_wakeups = 2\n[[wait]]\nname = \"c\"\n\
                [[expect]]\nwait = \"b\"\nwakeups_per_event = { times_of = \"a\", min = 2, max = 2 }\n";
    folder.file("related.toml", text)
}

/// The document without what differs between any two runs.
fn steady(text: &str) -> String {
    let mut value: Value = serde_json::from_str(text).unwrap();
    for passing in ["started", "load_average"] {
        value["environment"][passing] = Value::Null;
    }
    serde_json::to_string_pretty(&value).unwrap()
}

/// Runs every part as a process of its own and keeps each in a file.
fn parts(folder: &Folder, of: u32, args: &[&str]) -> Vec<String> {
    let mut files = Vec::new();
    for number in 1..=of {
        let shard = format!("{number}/{of}");
        let said = run([&["run"], args, &["--format", "json", "--shard", &shard]].concat());
        assert!(said.err.is_empty(), "{said:?}");
        files.push(folder.file(&format!("part-{number}-of-{of}.json"), said.out));
    }
    files
}

fn merge(files: &[String]) -> Said {
    run(std::iter::once("merge").chain(files.iter().map(String::as_str)))
}

#[test]
fn parts_merge_to_the_bytes_of_one_run() {
    let folder = Folder::new();
    let (null, related) = (null(), related(&folder));
    let args = [null.as_str(), related.as_str(), "--repeat", "2", "--set", "events=5,7"];
    let whole = run([&["run"], &args[..], &["--format", "json"]].concat()).exits(1).out;
    for of in [1, 2, 3, 5, 40] {
        let mut files = parts(&folder, of, &args);
        files.reverse();
        let merged = merge(&files).exits(1).out;
        assert!(steady(&merged) == steady(&whole), "{of} parts: {merged}");
    }
    // As bytes: what run wrote is what merge writes, down to the order of the names.
    let merged = merge(&parts(&folder, 3, &args)).out;
    let steady = |line: &&str| !line.contains("\"started\"") && !line.contains("\"load_average\"");
    let (merged, whole) = (merged.lines().filter(steady), whole.lines().filter(steady));
    assert_eq!(merged.clone().count(), whole.clone().count());
    merged.zip(whole).for_each(|(merged, whole)| assert_eq!(merged, whole));
}

#[test]
fn a_part_judges_its_relations_itself() {
    let folder = Folder::new();
    let file = related(&folder);
    let mut seen = 0;
    for part in parts(&folder, 4, &[&file]) {
        let part = results(&std::fs::read_to_string(part).unwrap());
        assert!(part.cells.iter().all(|cell| cell.verdict == Verdict::Pass), "{:#?}", part.cells);
        seen += part.cells.len();
    }
    assert_eq!(seen, 9);
}

#[test]
fn a_part_without_a_cell_is_skipped_and_merges() {
    let folder = Folder::new();
    let null = null();
    let files = parts(&folder, 7, &[&null]);
    assert!(results(&std::fs::read_to_string(&files[6]).unwrap()).cells.is_empty());
    run(["run", &null, "--shard", "7/7"]).exits(4).shows(&["SKIPPED: 0 of 0"]);
    run(["check", &null, "--shard", "7/7"]).exits(4).shows(&["1..0"]);
    run(["matrix", &files[0], &files[6]]).exits(0);
    run(["matrix", &files[6]]).exits(2).complains(&["has no cells"]);
    assert_eq!(results(&merge(&files).exits(1).out).cells.len(), 6);
}

#[test]
fn check_takes_parts_and_keeps_them_under_their_number() {
    let folder = Folder::new();
    let kept = folder.path().join("kept").display().to_string();
    for shard in ["1/2", "2/2"] {
        let said = run(["check", &null(), "--quiet", "--output", &kept, "--shard", shard]);
        assert!(matches!(said.code(), Some(0 | 1)), "{said:?}");
    }
    let names = lab::names_in(kept.as_ref());
    assert!(names[0].starts_with("null-shard-1-of-2-") && names[1].starts_with("null-shard-2-of-2-"), "{names:?}");
    let files: Vec<String> = names.iter().map(|name| format!("{kept}/{name}")).collect();
    let whole = folder.path().join("whole.json").display().to_string();
    let said = run(["merge", &files[0], &files[1], "--output", &whole]).exits(1);
    assert_eq!((said.out.as_str(), said.err.as_str()), ("FAIL: 4 of 6 cells as expected, 2 failed\n", ""));
    assert_eq!(results(&std::fs::read_to_string(&whole).unwrap()).cells.len(), 6);
    run(["show", &whole, "--quiet"]).exits(1);
    run(["merge", &files[0], &files[1], "--output", &whole]).exits(2).complains(&[&whole, "exists already"]);
    let nowhere = folder.path().join("no/such/file").display().to_string();
    run(["merge", &files[0], &files[1], "--output", &nowhere]).exits(2).complains(&[&nowhere]);
}

#[test]
fn parts_on_unlike_machines_are_one_column() {
    let folder = Folder::new();
    let null = null();
    let mut files = parts(&folder, 2, &[&null]);
    let mut part = results(&std::fs::read_to_string(&files[1]).unwrap());
    part.environment.cpus_online += 6;
    files[1] = folder.file("other.json", serde_json::to_string(&part).unwrap());
    let said = run(["matrix", &files[1], &files[0]]).exits(1);
    let whole = run(["run", &null, "--format", "json"]).out;
    let whole = run(["matrix", &folder.file("whole.json", whole)]).exits(1);
    let table = |said: &Said| said.out.split("Kernels:").next().unwrap().to_owned();
    assert_eq!(table(&said), table(&whole), "rows in the order of the plan");
    let merged = results(&merge(&files).exits(1).out);
    let warned = merged.environment.warnings.iter().any(|w| w.contains("part 2 of 2 ran elsewhere: cpus_online"));
    assert!(warned, "{:?}", merged.environment.warnings);
}

#[track_caller]
fn refused(files: &[String], messages: &[&str]) {
    let said = merge(files).exits(2).complains(messages);
    assert_eq!((said.out.as_str(), said.err.lines().count()), ("", 1), "one message: {said:?}");
}

#[test]
fn what_are_not_the_parts_of_one_run_is_refused() {
    let folder = Folder::new();
    let null = null();
    let files = parts(&folder, 3, &[&null]);
    let of = |at: &[usize]| at.iter().map(|at| files[*at].clone()).collect::<Vec<_>>();
    refused(&of(&[0, 2]), &["part 2 of 3 is missing beside", &files[0]]);
    refused(&of(&[1]), &["parts 1, 3 of 3 are missing beside", &files[1]]);
    refused(&of(&[0, 1, 2, 1]), &["are both part 2 of 3"]);
    let whole = folder.file("whole.json", run(["run", &null, "--format", "json"]).out);
    refused(&[whole.clone(), files[0].clone()], &[&whole, "is no part of a run"]);
    let changed = |name: &str, change: &dyn Fn(&mut Results)| {
        let mut part = results(&std::fs::read_to_string(&files[2]).unwrap());
        change(&mut part);
        let file = folder.file(name, serde_json::to_string(&part).unwrap());
        (vec![files[0].clone(), files[1].clone(), file.clone()], file)
    };
    let check = |name: &str, change: &dyn Fn(&mut Results), message: &str| {
        let (all, file) = changed(name, change);
        refused(&all, &[&file, message]);
    };
    check("kernel.json", &|r| r.environment.kernel_release = "1.2.3".into(), "kernel_release");
    check("herd.json", &|r| r.herd = "9.9".into(), "herd 0.1.0 and 9.9");
    check("plan.json", &|r| r.shard.as_mut().unwrap().plan = "x".into(), "other experiments, --set or --repeat");
    check("of.json", &|r| r.shard.as_mut().unwrap().of = 4, "one is of 3, the other of 4");
    check("zero.json", &|r| r.shard.as_mut().unwrap().number = 0, "there is no part 0 of 3");
    check("order.json", &|r| r.shard.as_mut().unwrap().places.reverse(), "does not say where its cells belong");
    check("places.json", &|r| r.shard.as_mut().unwrap().places.clear(), "does not say where its cells belong");
    check("repeat.json", &|r| r.cells[0].repetition = 5, "do not stand where they belong");
    let (all, _) = changed("overlap.json", &|r| r.shard.as_mut().unwrap().places = vec![0, 1]);
    refused(&all, &["the parts do not make up a whole"]);
}

#[test]
fn a_shard_that_is_none_is_one_message() {
    for bad in ["", "1", "0/2", "3/2", "1/0", "a/b", "1/2/3", "-1/2"] {
        for command in ["run", "check"] {
            let said = run([command, &null(), &format!("--shard={bad}")]).exits(2).complains(&["--shard <I/N>"]);
            assert_eq!(said.out, "");
        }
    }
    run(["run", "--shard", "0/4"]).exits(2).complains(&["counted from 1"]);
    run(["run", "--shard", "5/4"]).exits(2).complains(&["such as 1/4"]);
}
