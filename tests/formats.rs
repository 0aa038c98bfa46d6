//! Our reports, read by programs that we did not write: tap.py, kcidb-io, and the
//! JUnit schema of Jenkins. contrib/readers.sh installs them; where they are not,
//! each test says SKIP and why.

use std::path::{Path, PathBuf};

use points::{herd, reader};

mod points;

fn path(inside: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(inside)
}

fn report(format: &str) -> String {
    let experiment = path("tests/golden/check.toml");
    herd(&["check", experiment.to_str().unwrap(), "--repeat", "3", "--format", format]).out
}

#[test]
fn tap_py_reads_every_level() {
    let found = reader("ktap", "tap", None, &report("ktap"));
    assert!(found.is_none_or(|text| text == "16 points, 5 failed, 3 skipped"));
}

#[test]
fn the_schema_of_jenkins_accepts_our_junit() {
    let schema = path("target/readers/junit-10.xsd");
    let found = reader("junit", "xmlschema", Some(&schema), &report("junit"));
    assert!(found.is_none_or(|text| text == "16 cases, 16 names"));
}

#[test]
fn kcidb_io_accepts_our_report() {
    let found = reader("kcidb", "kcidb_io", None, &report("kcidb"));
    assert!(found.is_none_or(|text| text == "16 tests, 16 ids"));
}
