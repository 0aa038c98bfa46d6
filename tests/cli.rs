//! The command line from outside, with the `null` wait: no kernel is touched,
//! so every byte is known. The expected bytes are in tests/golden; after a
//! change that is meant, `HERD_GOLDEN=write cargo test --test cli` writes them.

use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use herd::exit::Exit;
use lab::{Folder, Running, Said, herd, in_repository, names_in, run};
use serde_json::Value;

mod lab;

fn null() -> String {
    in_repository("tests/golden/null.toml").to_str().unwrap().to_owned()
}

/// A small experiment that passes.
fn passing(folder: &Folder) -> String {
    let text = "title = \"t\"\n[defaults]\nkind = \"null\"\nworkers = 3\nevents = 7\n[[wait]]\nname = \"one\"\n";
    folder.file("passing.toml", text)
}

/// What depends on the machine, made the same everywhere.
fn anywhere(text: &str) -> String {
    let environment = herd::environment::read();
    let here = format!("Linux {}, {} CPUs", environment.kernel_release, environment.cpus_online);
    text.replace(&here, "Linux X, Y CPUs").replace(env!("CARGO_PKG_VERSION"), "VERSION")
}

fn golden(name: &str, now: &str) -> String {
    let path: PathBuf = in_repository("tests/golden").join(name);
    if std::env::var_os("HERD_GOLDEN").is_some_and(|v| v == "write") {
        std::fs::write(&path, now).unwrap();
    }
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The bytes must be those of the golden file.
#[track_caller]
fn check_bytes(name: &str, args: &[&str], code: i32) {
    let said = run(args).exits(code);
    let now = anywhere(&said.out);
    assert_eq!(now, golden(name, &now), "{name}; is the change meant? see the top of tests/cli.rs");
    assert_eq!(said.err, "", "nothing belongs on stderr");
    if !name.ends_with("markdown") {
        plain_and_narrow(&said.out);
    }
}

/// At most 80 columns, no escape, no space at the end of a line.
#[track_caller]
fn plain_and_narrow(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
        assert_eq!(line, line.trim_end(), "space at the end");
    }
    assert!(!text.contains('\u{1b}'), "an escape sequence");
}

#[test]
fn tables_have_these_bytes() {
    check_bytes("null.table", &["run", &null()], 1);
    check_bytes("null.markdown", &["run", &null(), "--format", "markdown"], 1);
    check_bytes("null.quiet", &["run", &null(), "--quiet"], 1);
    let wide = in_repository("tests/golden/wide.toml").to_str().unwrap().to_owned();
    check_bytes("wide.table", &["run", &wide], 0);
}

#[test]
fn the_lesson_has_these_bytes() {
    let said = run(["explain", &null()]).exits(0);
    // Descriptions of metrics may be reworded; the lesson comes before them.
    let lesson = said.out.split("\nThe columns\n").next().unwrap();
    let lesson = lesson.replace(&null(), "null.toml");
    assert_eq!(lesson, golden("null.explain", &lesson));
    plain_and_narrow(&lesson);
}

/// Everything in `old` is in `new`, with the same values; `new` may say more.
fn keeps(old: &Value, new: &Value, at: &str) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (name, value) in old {
                let now = new.get(name).unwrap_or_else(|| panic!("{at}.{name} is gone"));
                keeps(value, now, &format!("{at}.{name}"));
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            assert_eq!(old.len(), new.len(), "{at}");
            for (i, (old, new)) in old.iter().zip(new).enumerate() {
                keeps(old, new, &format!("{at}[{i}]"));
            }
        }
        _ => assert_eq!(old, new, "{at}"),
    }
}

#[test]
fn other_programs_find_every_json_name_they_know() {
    let said = run(["run", &null(), "--format", "json"]).exits(1);
    let mut now: Value = serde_json::from_str(&said.out).unwrap();
    let environment = now["environment"].as_object_mut().unwrap();
    assert!(environment["kernel_release"].as_str().is_some_and(|r| !r.is_empty()));
    assert!(environment["cpus_online"].as_u64().is_some_and(|n| n > 0));
    environment.values_mut().for_each(|value| *value = Value::Null);
    now["herd"] = Value::from("VERSION");
    let text = format!("{}\n", serde_json::to_string_pretty(&now).unwrap());
    keeps(&serde_json::from_str(&golden("null.json", &text)).unwrap(), &now, "");
}

/// Each line of a CSV document as name and value.
fn records(text: &str) -> Vec<Vec<(String, String)>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let named = |record: csv::StringRecord| {
        header.iter().map(str::to_owned).zip(record.iter().map(str::to_owned)).collect::<Vec<_>>()
    };
    reader.records().map(|record| named(record.unwrap())).collect()
}

#[test]
fn spreadsheets_find_every_column_they_know() {
    let said = run(["run", &null(), "--format", "csv"]).exits(1);
    let (old, new) = (records(&golden("null.csv", &said.out)), records(&said.out));
    assert_eq!(old.len(), new.len());
    for (old, new) in old.iter().zip(&new) {
        for (name, value) in old.iter().filter(|(name, _)| !["kernel", "cpus", "herd"].contains(&name.as_str())) {
            assert!(new.contains(&(name.clone(), value.clone())), "{name} was {value}, now {new:?}");
        }
    }
}

#[test]
fn show_renders_what_run_did() {
    let folder = Folder::new();
    let document = run(["run", &null(), "--format", "json"]).exits(1).out;
    let file = folder.file("kept.json", &document);
    assert_eq!(run(["show", &file, "-f", "json"]).exits(1).out, document);
    for format in ["table", "csv", "markdown"] {
        let ran = run(["run", &null(), "-f", format]).exits(1).out;
        assert_eq!(run(["show", &file, "-f", format]).exits(1).out, ran, "{format}");
    }
    for flag in ["--verbose", "--quiet"] {
        let ran = run(["run", &null(), flag]).exits(1).out;
        assert_eq!(run(["show", &file, flag]).exits(1).out, ran, "{flag}");
    }
}

/// The ids of a run's cells, without the experiment and the row.
#[track_caller]
fn check_set(sets: &[&str], want: &[&str]) {
    let folder = Folder::new();
    let mut args = vec!["run".to_owned(), passing(&folder), "-f".into(), "json".into()];
    args.extend(sets.iter().flat_map(|set| ["--set".to_owned(), (*set).to_owned()]));
    let results = lab::results(&run(args).exits(0).out);
    let ids: Vec<&str> = results.cells.iter().map(|c| c.id.strip_prefix("passing/one").unwrap()).collect();
    assert_eq!(ids, want, "{sets:?}");
}

#[test]
fn settings_are_set_from_the_command_line() {
    check_set(&[], &[""]);
    check_set(&["workers=5"], &[""]);
    check_set(&["workers=2,4"], &["/workers=2", "/workers=4"]);
    check_set(&["placement=processes,threads"], &["/placement=processes", "/placement=threads"]);
    let both = ["/workers=2/events=3", "/workers=2/events=5", "/workers=4/events=3", "/workers=4/events=5"];
    check_set(&["workers=2,4", "events=3,5"], &both);
    check_set(&["placement=2x3,1x2"], &["/placement=2x3", "/placement=1x2"]);
    let folder = Folder::new();
    let said = run(["run", &passing(&folder), "--set", "workers=5", "-f", "json"]).exits(0);
    assert_eq!(lab::results(&said.out).cells[0].settings.workers, 5);
}

#[test]
fn axes_keep_the_order_of_the_file() {
    // They were sorted by the alphabet, and so were the ids.
    let folder = Folder::new();
    let text = "title = \"t\"\n[defaults]\nkind = \"null\"\n[matrix]\nworkers = [3, 2]\nevents = [7, 5]\n";
    let said = run(["run", &folder.file("o.toml", text), "-f", "json"]).exits(0);
    let ids: Vec<String> = lab::results(&said.out).cells.into_iter().map(|c| c.id).collect();
    let want = ["workers=3/events=7", "workers=3/events=5", "workers=2/events=7", "workers=2/events=5"];
    assert_eq!(ids, want.map(|axes| format!("o/null/{axes}")));
}

#[test]
fn a_matrix_of_the_file_is_replaced_not_extended() {
    let results = lab::results(&run(["run", &null(), "--set", "placement=3x1", "-f", "json"]).exits(1).out);
    let ids: Vec<&str> = results.cells.iter().map(|c| c.id.as_str()).collect();
    assert_eq!(ids, ["null/one-each/placement=3x1", "null/a-herd/placement=3x1", "null/unlucky/placement=3x1"]);
}

#[test]
fn repetitions_are_cells_of_their_own() {
    let folder = Folder::new();
    let results = lab::results(&run(["run", &passing(&folder), "--repeat", "3", "-f", "json"]).exits(0).out);
    let ids: Vec<(&str, u32)> = results.cells.iter().map(|c| (c.id.as_str(), c.repetition)).collect();
    assert_eq!(ids, [("passing/one", 1), ("passing/one#2", 2), ("passing/one#3", 3)]);
    run(["run", &passing(&folder), "--repeat", "3"]).exits(0).shows(&["one #3", "3 of 3 cells"]);
}

#[test]
fn results_are_kept_and_never_overwritten() {
    let folder = Folder::new();
    let kept = folder.path().join("a/b");
    let args = ["run".to_owned(), passing(&folder), "--output".into(), kept.to_str().unwrap().into()];
    for count in 1..=3 {
        let said = run(&args).exits(0).complains(&["kept as "]);
        let path = said.err.trim().strip_prefix("kept as ").unwrap();
        assert_eq!(run(["show", path]).exits(0).out, said.out);
        assert_eq!(names_in(&kept).len(), count, "one file more for each run");
    }
}

#[test]
fn an_output_that_cannot_be_written_is_found_before_the_run() {
    let folder = Folder::new();
    let file = folder.file("a-file", "precious");
    // Would run for minutes if it ran.
    let long = ["run", "herd", "--set", "events=10000000"];
    for output in [file.as_str(), "/proc/herd-results", &format!("{file}/below")] {
        let said = run(long.iter().copied().chain(["--output", output])).exits(2);
        said.complains(&["herd: cannot write results to ", output, "choose another --output"]);
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}

#[test]
fn there_is_a_list_of_everything() {
    let lists: [(&str, Vec<&str>); 6] = [
        ("--objects", herd::object::names()),
        ("--waits", herd::wait::names()),
        ("--loads", herd::load::names()),
        ("--settings", herd::experiment::keys::KEYS.iter().map(|k| k.name).collect()),
        ("--metrics", herd::analysis::metrics::names().collect()),
        ("--probes", herd::probe::names().collect()),
    ];
    for (flag, names) in lists {
        let said = run(["list", flag]).exits(0);
        // Below an object stand its modes.
        let own = said.out.lines().filter(|line| !line.starts_with(' '));
        let listed: Vec<&str> = own.map(|line| line.split_whitespace().next().unwrap()).collect();
        assert_eq!(listed, names, "{flag}");
        assert!(said.out.lines().all(|line| line.split_whitespace().count() > 1), "{flag} explains each");
    }
    let said = run(["list"]).exits(0);
    let names = herd::experiment::embedded::names();
    assert!(said.out.lines().zip(&names).all(|(line, name)| line.starts_with(name.as_str())), "{}", said.out);
    assert_eq!(said.out.lines().count(), names.len());
    run(["list", "--waits", "--objects"]).exits(2);
}

#[test]
fn every_experiment_is_explained() {
    for name in herd::experiment::embedded::names() {
        run(["explain", &name]).exits(0).shows(&["The question", "The columns", &format!("herd run {name}")]);
    }
}

#[test]
fn help_has_an_example_and_goes_to_stdout() {
    for command in [vec!["run", "--help"], vec!["explain", "--help"], vec!["list", "--help"], vec!["show", "-h"]] {
        let said = run(&command).exits(0).shows(&["Example"]);
        assert!(said.err.is_empty() && !said.out.contains("__cell"), "{command:?}: {said:?}");
    }
    run(["--version"]).exits(0).shows(&[&format!("herd {}", env!("CARGO_PKG_VERSION"))]);
}

/// Runs herd with a stdout whose reader takes one line and goes.
fn into_head(args: &[&str]) -> (Said, String) {
    let mut head = std::process::Command::new("head")
        .args(["-n", "1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pipe = head.stdin.take().unwrap();
    let child = herd(args).stdout(pipe).stderr(Stdio::piped()).spawn().unwrap();
    let said = lab::finish(Running(child));
    let first = String::from_utf8(head.wait_with_output().unwrap().stdout).unwrap();
    (said, first)
}

#[test]
fn a_reader_that_has_had_enough_is_no_failure() {
    // CSV wrapped the error and did not know it as a closed pipe: exit 3. More
    // than a pipe holds (64 KiB) must be written for the writer to notice.
    let folder = Folder::new();
    let many = (1..=400).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let many = format!("events={many}");
    let passing = passing(&folder);
    for format in herd::report::names() {
        let (said, first) = into_head(&["run", &passing, "--set", &many, "-v", "-f", format]);
        assert!(!first.is_empty());
        assert_eq!((said.code(), said.err.as_str()), (Some(i32::from(Exit::Pass.code())), ""), "{format}");
    }
    let (said, _) = into_head(&["list", "--settings"]);
    assert_eq!((said.code(), said.err.as_str()), (Some(0), ""));
}

#[test]
fn a_full_disk_is_a_failure_of_the_machine() {
    let folder = Folder::new();
    for args in [&["list"][..], &["learn", "--list"], &["learn", "--lesson", "where", "--no-questions"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = herd(args.iter().copied());
        command.env("XDG_STATE_HOME", folder.path());
        let child = command.stdout(full).stderr(Stdio::piped()).spawn().unwrap();
        lab::finish(Running(child)).exits(3).complains(&["cannot write to stdout: No space left"]);
    }
}

#[test]
fn there_is_no_progress_and_no_colour_without_a_terminal() {
    let folder = Folder::new();
    let mut command = herd(["run", &passing(&folder), "--repeat", "20"]);
    let said = lab::said(command.env("CLICOLOR_FORCE", "1").env("TERM", "xterm-256color")).exits(0);
    assert_eq!(said.err, "");
    assert!(!said.out.contains('\u{1b}'));
    plain_and_narrow(&said.out);
    let wrong = lab::said(herd(["run", "--no-such"]).env("TERM", "xterm-256color")).exits(2);
    assert!(!wrong.err.contains('\u{1b}'), "{wrong:?}");
}

#[test]
fn the_headline_fits_80_columns() {
    let said = run(["--set", "kind=block", "--set", "events=1"]);
    assert_eq!(said.code(), Some(2), "the epoll rows refuse block: {said:?}");
    plain_and_narrow(&run(["--set", "events=11"]).out);
}

#[test]
fn a_cell_process_reads_a_plan_and_nothing_else() {
    let mut child = lab::spawn(herd(["__cell"]).stdin(Stdio::piped()));
    child.0.stdin.take().unwrap().write_all(b"no plan").unwrap();
    lab::finish(child).exits(3).complains(&["herd: cell: "]);
}

#[test]
fn last_words_are_said_of_what_ran_alone() {
    let folder = Folder::new();
    let file =
        folder.file("t.toml", "title = \"t\"\nmoral = \"One wakes.\"\n[[wait]]\nname = \"one\"\nkind = \"null\"\n");
    assert!(run(["run", &file]).exits(0).out.contains("One wakes."));
    let text = run(["run", &file, "--format", "json"]).exits(0).out;
    let mut document: Value = serde_json::from_str(&text).unwrap();
    for cell in document["cells"].as_array_mut().unwrap() {
        cell["verdict"] = "skip".into();
    }
    let skipped = folder.file("skipped.json", document.to_string());
    let said = run(["show", &skipped]).exits(4);
    assert!(!said.out.contains("One wakes."), "{said:?}");
}
