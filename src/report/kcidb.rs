//! KernelCI's common report format, schema 5.0, as `kcidb-io` validates it.
//!
//! One checkout and one build stand for each kernel: herd did not build it and knows
//! its release only. Every test point is a test with a dot-separated
//! path that begins with `herd`.

use std::io::{self, Write};

use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value, json};

use super::kernels::labels;
use super::{Report, Style};
use crate::analysis::points::{self, Point};
use crate::results::{Results, Verdict};

const ORIGIN: &str = "herd";
/// Characters that the schema takes in `log_excerpt`.
const LONGEST_EXCERPT: usize = 16_384;

/// For KernelCI.
pub struct Kcidb;

impl Report for Kcidb {
    fn name(&self) -> &'static str {
        "kcidb"
    }

    fn about(&self) -> &'static str {
        "test points for KernelCI, as kcidb-io validates them"
    }

    fn write(&self, results: &Results, style: Style, out: &mut dyn Write) -> io::Result<()> {
        self.write_kernels(std::slice::from_ref(results), style, out)
    }

    /// A checkout and a build for each kernel.
    fn write_kernels(&self, all: &[Results], _: Style, out: &mut dyn Write) -> io::Result<()> {
        let (mut checkouts, mut builds, mut tests) = (Vec::new(), Vec::new(), Vec::new());
        for (results, label) in all.iter().zip(labels(all)) {
            let (checkout, build) = kernel(results);
            tests.extend(tests_of(results, &label, &build["id"]));
            for (known, new) in [(&mut checkouts, checkout), (&mut builds, build)] {
                if !known.iter().any(|other: &Value| other["id"] == new["id"]) {
                    known.push(new);
                }
            }
        }
        let document = json!({
            "version": { "major": 5, "minor": 0 },
            "checkouts": checkouts,
            "builds": builds,
            "tests": tests,
        });
        serde_json::to_writer_pretty(&mut *out, &document)?;
        writeln!(out)
    }
}

/// The checkout and the build that stand for a kernel.
fn kernel(results: &Results) -> (Value, Value) {
    let environment = &results.environment;
    let release = clean(&environment.kernel_release);
    let checkout = id(&["linux", &release]);
    let build = json!({
        "id": id(&["linux", &release, &environment.machine]),
        "checkout_id": checkout,
        "origin": ORIGIN,
        "comment": clean(&environment.kernel_version),
        "architecture": architecture(&environment.machine),
        "status": "PASS",
        "misc": { "environment": environment },
    });
    let checkout = json!({
        "id": checkout,
        "origin": ORIGIN,
        "comment": format!("the running kernel, Linux {release}"),
        "valid": true,
    });
    (checkout, build)
}

/// The points of a kernel; `label` tells two runs of one kernel apart.
fn tests_of(results: &Results, label: &str, build: &Value) -> Vec<Value> {
    let environment = &results.environment;
    let started = environment.started.parse().ok().and_then(|s| DateTime::from_timestamp(s, 0));
    let started = started.map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, false));
    let mut tests = Vec::new();
    for suite in points::suites(results) {
        for point in &suite.points {
            let unique = id(&[label, &environment.machine, &environment.started, &suite.name, &point.name]);
            let mut test = test(point);
            test.insert("id".into(), unique.into());
            test.insert("build_id".into(), build.clone());
            test.insert("path".into(), path(&suite.name, &point.name).into());
            test.insert("environment".into(), machine(results));
            test.extend(started.iter().map(|time| ("start_time".into(), time.as_str().into())));
            tests.push(Value::Object(test));
        }
    }
    tests
}

fn test(point: &Point) -> Map<String, Value> {
    let judged = &point.judged;
    let mut test = Map::new();
    let mut set = |key: &str, value: Value| test.insert(key.into(), value);
    set("origin", ORIGIN.into());
    set("status", status(point.verdict).into());
    set("duration", point.seconds.into());
    let comment = match point.verdict {
        Verdict::Pass => format!("expected {}, measured {}", judged.expected, judged.measured),
        _ => point.summary(),
    };
    set("comment", clean(&comment).into());
    if matches!(point.verdict, Verdict::Fail | Verdict::Invalid) {
        let text: String = clean(&point.details().join("\n")).chars().take(LONGEST_EXCERPT).collect();
        set("log_excerpt", text.into());
    }
    // A number of a test that did not run would be void.
    if let Some((value, unit)) = point.value.filter(|(value, _)| value.is_finite() && point.verdict != Verdict::Skip) {
        set("number", json!({ "value": value, "unit": unit }));
    }
    set(
        "misc",
        json!({
            "verdict": if point.is_flaky() { "flaky" } else { word(point.verdict) },
            "passed": point.passed,
            "tried": point.tried,
            "expected": judged.expected,
            "measured": judged.measured,
            "reason": judged.reason,
            "source": judged.source,
        }),
    );
    test
}

fn machine(results: &Results) -> Value {
    let environment = &results.environment;
    json!({
        "comment": format!(
            "Linux {}, {} CPUs, herd {}",
            clean(&environment.kernel_release), environment.cpus_online, clean(&results.herd)
        ),
    })
}

fn status(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "PASS",
        Verdict::Fail => "FAIL",
        Verdict::Skip => "SKIP",
        Verdict::Invalid => "ERROR",
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Skip => "skip",
        Verdict::Invalid => "invalid",
    }
}

fn id(parts: &[&str]) -> String {
    clean(&format!("{ORIGIN}:{}", parts.join(":")))
}

/// `herd.growth.epoll.workers-8.wakeups_per_event`: letters, digits, `_` and `-`.
fn path(suite: &str, point: &str) -> String {
    let part = |text: &str| -> String {
        text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect()
    };
    let parts = [ORIGIN, suite].into_iter().chain(point.split('/')).filter(|text| !text.is_empty());
    parts.map(part).collect::<Vec<_>>().join(".")
}

fn architecture(machine: &str) -> String {
    let kept = machine.to_ascii_lowercase();
    kept.chars().filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '_').collect()
}

/// The schema refuses the zero character everywhere.
fn clean(text: &str) -> String {
    text.replace('\0', " ")
}
