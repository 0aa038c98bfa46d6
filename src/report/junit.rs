//! JUnit XML in the dialect of Jenkins, written by quick-junit.
//!
//! A suite per experiment, a case per test point. Failed and flaky points are
//! failures, what could not be measured is an error: no reader may take either
//! for a pass.

use std::io::{self, Write};
use std::time::Duration;

use quick_junit::{NonSuccessKind, Property, Report as Document, TestCase, TestCaseStatus, TestSuite};

use super::kernels::labels;
use super::{Report, Style};
use crate::analysis::points::{self, Point, Suite};
use crate::results::{Results, Verdict};

/// For every CI that reads JUnit.
pub struct Junit;

impl Report for Junit {
    fn name(&self) -> &'static str {
        "junit"
    }

    fn about(&self) -> &'static str {
        "test points as JUnit XML"
    }

    fn write(&self, results: &Results, _: Style, out: &mut dyn Write) -> io::Result<()> {
        write_suites(points::suites(results).iter().map(|suite| suite_of(suite, results, None)), out)
    }

    /// A suite per kernel and experiment, with the kernel in front of its name.
    fn write_kernels(&self, all: &[Results], _: Style, out: &mut dyn Write) -> io::Result<()> {
        let suites = all.iter().zip(labels(all)).flat_map(|(results, label)| {
            points::suites(results).into_iter().map(move |suite| suite_of(&suite, results, Some(&label)))
        });
        write_suites(suites, out)
    }
}

fn write_suites(suites: impl Iterator<Item = TestSuite>, out: &mut dyn Write) -> io::Result<()> {
    let mut document = Document::new("herd");
    document.add_test_suites(suites);
    let text = document.to_string().map_err(io::Error::other)?;
    // The schema of Jenkins has no such attribute at the root, only at each
    // suite. The first one is the root's: its name is ours.
    let text = text.replacen(&format!(" skipped=\"{}\"", document.skipped), "", 1);
    out.write_all(text.as_bytes())
}

fn suite_of(suite: &Suite, results: &Results, kernel: Option<&str>) -> TestSuite {
    let name = kernel.map_or(suite.name.clone(), |kernel| format!("{kernel}/{}", suite.name));
    // Readers show what stands before the last dot as a package.
    let class = kernel.map_or(String::new(), |kernel| format!("{}.", kernel.replace('.', "_")));
    let class = format!("herd.{class}{}", suite.name);
    let mut found = TestSuite::new(name);
    let environment = &results.environment;
    for (name, value) in [
        ("herd", &results.herd),
        ("title", &suite.title),
        ("kernel_release", &environment.kernel_release),
        ("kernel_version", &environment.kernel_version),
        ("machine", &environment.machine),
    ] {
        found.add_property(Property::new(name, &**value));
    }
    found.set_time(seconds(suite.points.iter().map(|point| point.seconds).sum()));
    found.add_test_cases(suite.points.iter().map(|point| case_of(&class, point)));
    found
}

fn case_of(class: &str, point: &Point) -> TestCase {
    let mut status = match point.verdict {
        Verdict::Pass => TestCaseStatus::success(),
        Verdict::Skip => TestCaseStatus::skipped(),
        Verdict::Fail => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Verdict::Invalid => TestCaseStatus::non_success(NonSuccessKind::Error),
    };
    if point.verdict != Verdict::Pass {
        status.set_message(point.summary());
    }
    if matches!(point.verdict, Verdict::Fail | Verdict::Invalid) {
        status.set_type(match point.verdict {
            Verdict::Invalid => "invalid",
            _ if point.is_flaky() => "flaky",
            _ => "failed",
        });
        status.set_description(point.details().join("\n"));
    }
    let mut case = TestCase::new(&*point.name, status);
    case.set_classname(class);
    case.set_time(seconds(point.seconds));
    if let Some(note) = &point.note {
        case.set_system_out(&**note);
    }
    case
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
