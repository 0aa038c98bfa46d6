//! Our reports, read by programs that we did not write: tap.py, kcidb-io, and the
//! JUnit schema of Jenkins. contrib/readers.sh installs them; where they are not,
//! each test says SKIP and why.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use points::{herd, skipped};

mod points;

fn path(inside: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(inside)
}

/// What the reader in tests/readers says about `text`; `None` where it lacks.
#[track_caller]
fn read(reader: &str, module: &str, argument: Option<&Path>, text: &str) -> Option<String> {
    let installed = path("target/readers/bin/python3");
    let python = if installed.exists() { installed } else { PathBuf::from("python3") };
    let there = Command::new(&python).args(["-c", &format!("import {module}")]).output();
    if !there.is_ok_and(|output| output.status.success()) || argument.is_some_and(|file| !file.exists()) {
        skipped(reader, &format!("{} has no {module}; contrib/readers.sh installs it", python.display()));
        return None;
    }
    let mut child = Command::new(&python)
        .arg(path(&format!("tests/readers/{reader}.py")))
        .args(argument)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{err}\n{text}");
    Some(out.trim().to_owned())
}

fn report(format: &str) -> String {
    let experiment = path("tests/golden/check.toml");
    herd(&["check", experiment.to_str().unwrap(), "--repeat", "3", "--format", format]).out
}

#[test]
fn tap_py_reads_every_level() {
    let found = read("ktap", "tap", None, &report("ktap"));
    assert!(found.is_none_or(|text| text == "16 points, 5 failed, 3 skipped"));
}

#[test]
fn the_schema_of_jenkins_accepts_our_junit() {
    let schema = path("target/readers/junit-10.xsd");
    let found = read("junit", "xmlschema", Some(&schema), &report("junit"));
    assert!(found.is_none_or(|text| text == "16 cases, 16 names"));
}

#[test]
fn kcidb_io_accepts_our_report() {
    let found = read("kcidb", "kcidb_io", None, &report("kcidb"));
    assert!(found.is_none_or(|text| text == "16 tests, 16 ids"));
}
