//! KTAP version 1 (docs.kernel.org/dev-tools/ktap.html), for kselftest, KUnit's
//! parser and kernel CI.
//!
//! Two levels: an experiment, and in it one point per expectation of a cell; of
//! several kernels three, with the kernel on top. All that belongs to a result line stands before it. Names never hold a `#`, and
//! an invalid point is `not ok`: it must not look like a pass to any parser.

use std::io::{self, Write};

use super::kernels::labels;
use super::{Report, Style};
use crate::analysis::points::{self, Point, Suite, one_line};
use crate::results::{Results, Verdict};

/// What every level begins with.
const VERSION: &str = "KTAP version 1";

/// The default of `herd check`.
pub struct Ktap;

impl Report for Ktap {
    fn name(&self) -> &'static str {
        "ktap"
    }

    fn about(&self) -> &'static str {
        "test points as KTAP version 1, for kernel CI"
    }

    fn write(&self, results: &Results, _: Style, out: &mut dyn Write) -> io::Result<()> {
        let suites = points::suites(results);
        write_kernel(results, &suites, None, out)?;
        if suites.is_empty() { Ok(()) } else { write_totals(&suites, out) }
    }

    /// A level more: a kernel, and in it its experiments.
    fn write_kernels(&self, all: &[Results], _: Style, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{VERSION}")?;
        writeln!(out, "1..{}", all.len())?;
        let mut whole = Vec::new();
        for ((results, label), number) in all.iter().zip(labels(all)).zip(1..) {
            let (suites, name) = (points::suites(results), points::name(&format!("linux-{label}")));
            let mut text = Vec::new();
            write_kernel(results, &suites, Some(&name), &mut text)?;
            for line in String::from_utf8_lossy(&text).lines() {
                writeln!(out, "  {line}")?;
            }
            let points: Vec<&Point> = suites.iter().flat_map(|suite| &suite.points).collect();
            write_result(&points, number, &name, out)?;
            whole.extend(suites);
        }
        write_totals(&whole, out)
    }
}

/// All that one kernel said, up to its last experiment.
fn write_kernel(results: &Results, suites: &[Suite], name: Option<&str>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{VERSION}")?;
    if let Some(name) = name {
        writeln!(out, "# Subtest: {name}")?;
    }
    if suites.is_empty() {
        return writeln!(out, "1..0 # SKIP no experiment was run");
    }
    writeln!(out, "1..{}", suites.len())?;
    let environment = &results.environment;
    let (release, cpus) = (one_line(&environment.kernel_release), environment.cpus_online);
    writeln!(out, "# herd {} on Linux {release}, {cpus} CPUs", one_line(&results.herd))?;
    for line in sources(results) {
        writeln!(out, "# {line}")?;
    }
    suites.iter().zip(1..).try_for_each(|(suite, number)| write_suite(suite, number, out))
}

fn write_totals(suites: &[Suite], out: &mut dyn Write) -> io::Result<()> {
    let count = |verdict| points::count(suites, verdict);
    writeln!(
        out,
        "# Totals: pass:{} fail:{} xfail:0 xpass:0 skip:{} error:{}",
        count(Verdict::Pass),
        count(Verdict::Fail),
        count(Verdict::Skip),
        count(Verdict::Invalid)
    )
}

fn write_suite(suite: &Suite, number: usize, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "  {VERSION}")?;
    writeln!(out, "  # Subtest: {}", suite.name)?;
    writeln!(out, "  1..{}", suite.points.len())?;
    writeln!(out, "  # {}", one_line(&suite.title))?;
    for (i, point) in suite.points.iter().enumerate() {
        write_point(point, i + 1, out)?;
    }
    write_result(&suite.points.iter().collect::<Vec<_>>(), number, &suite.name, out)
}

/// The result line of a subtest, from the points in it.
fn write_result(points: &[&Point], number: usize, name: &str, out: &mut dyn Write) -> io::Result<()> {
    let with = |verdict| points.iter().filter(|point| point.verdict == verdict).count();
    let (failed, invalid, skipped) = (with(Verdict::Fail), with(Verdict::Invalid), with(Verdict::Skip));
    if failed + invalid > 0 {
        writeln!(out, "# {failed} failed and {invalid} invalid of {} points", points.len())?;
        return writeln!(out, "not ok {number} {name}");
    }
    if skipped == points.len() {
        let reason = points.first().map_or("it has no points".into(), |point| point.summary());
        return writeln!(out, "ok {number} {name} # SKIP {reason}");
    }
    writeln!(out, "ok {number} {name}")
}

fn write_point(point: &Point, number: usize, out: &mut dyn Write) -> io::Result<()> {
    let name = &point.name;
    match point.verdict {
        Verdict::Pass => {
            if let Some(note) = &point.note {
                writeln!(out, "  # {}", one_line(note))?;
            }
            writeln!(out, "  ok {number} {name}")
        }
        Verdict::Skip => writeln!(out, "  ok {number} {name} # SKIP {}", point.summary()),
        verdict => {
            for line in point.details() {
                writeln!(out, "  # {line}")?;
            }
            // Parsers that do not know this directive fall back to "not ok".
            let directive = if verdict == Verdict::Invalid { " # ERROR could not be measured" } else { "" };
            writeln!(out, "  not ok {number} {name}{directive}")
        }
    }
}

/// Which sources counted, and why better ones could not be had; each once.
fn sources(results: &Results) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut once = |line: String| {
        if !lines.contains(&line) {
            lines.push(line);
        }
    };
    for cell in &results.cells {
        if !cell.count_source.is_empty() {
            once(format!("wakeups counted with {}", one_line(&cell.count_source)));
        }
        for why in cell.observation.iter().flat_map(|seen| &seen.sources_refused) {
            once(format!("not counted with {}", one_line(why)));
        }
    }
    lines
}
