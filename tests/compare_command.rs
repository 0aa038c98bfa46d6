//! `herd compare` as a command, and the stored results of every schema.

mod sample;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use herd::analysis::compare::{Outcome, compare};
use herd::report;
use herd::results::{Results, Verdict};
use sample::{changed, sample, schemas, unmeasured, woken};

#[test]
fn every_format_shows_what_changed_in_80_columns() {
    let new = changed(|r| {
        woken(r, "epoll-exclusive", &[(4, 23)]);
        r.cells.retain(|cell| cell.id != "sample/epoll");
        r.environment.kernel_release = "6.19.0".into();
    });
    let found = compare(("old", &sample()), ("new", &new)).unwrap();
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
        assert_eq!(compare(("old", &results), ("new", &results)).unwrap().outcome, Outcome::Same, "{name}");
    }
}

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
