//! `herd explain`: the lesson of one experiment.

use std::io::{self, Write};

use super::{Failure, load, print};
use crate::analysis::judge::expected;
use crate::analysis::metrics;
use crate::cli::ExplainArgs;
use crate::exit::Exit;
use crate::experiment::{Cell, Expectation};
use crate::report::wrapped;

/// Columns of a terminal.
const WIDTH: usize = 80;
/// What a table shows when its experiment does not say.
const PLAIN: [&str; 4] =
    ["wakeups_per_event", "returns_per_event", "spurious_hidden_per_event", "spurious_visible_per_event"];

pub fn run(args: &ExplainArgs) -> Result<Exit, Failure> {
    let experiment = load(&args.experiment)?;
    let cells = experiment.cells(&[])?;
    print(|out| {
        writeln!(out, "{}\n", experiment.title)?;
        for line in experiment.drawing.lines() {
            writeln!(out, "    {line}")?;
        }
        writeln!(out, "\nThe question\n\n{}", wrapped(&experiment.question, WIDTH).join("\n"))?;
        // These two are wrapped by hand: they may hold lists.
        for (heading, text) in [("What happens in the kernel", &experiment.why), ("How to read it", &experiment.look)] {
            if !text.is_empty() {
                writeln!(out, "\n{heading}\n\n{text}")?;
            }
        }
        writeln!(out, "\nWhat is expected\n")?;
        for (rule, rows) in rules(&cells) {
            indented(out, 2, &format!("{}: {} is {}", rows.join(", "), rule.metric, expected(&rule.rule, None)))?;
            indented(out, 6, &rule.source)?;
        }
        writeln!(out, "\nThe columns\n")?;
        let shown = match experiment.layout.show.is_empty() {
            true => PLAIN.map(String::from).to_vec(),
            false => experiment.layout.show.clone(),
        };
        for name in shown {
            let (about, unit) = metrics::column(&name).expect("checked when the experiment was read");
            indented(out, 2, &format!("{name}: {about} [{unit}]"))?;
        }
        writeln!(out, "\nRun it: herd run {}", args.experiment)
    })?;
    Ok(Exit::Pass)
}

/// Each different expectation once, with the rows it is for.
fn rules(cells: &[Cell]) -> Vec<(&Expectation, Vec<&str>)> {
    let mut found: Vec<(&Expectation, Vec<&str>)> = Vec::new();
    for cell in cells {
        for e in &cell.expectations {
            match found.iter_mut().find(|(known, _)| *known == e) {
                Some((_, rows)) if rows.contains(&cell.row.as_str()) => {}
                Some((_, rows)) => rows.push(&cell.row),
                None => found.push((e, vec![&cell.row])),
            }
        }
    }
    found
}

fn indented(out: &mut dyn Write, by: usize, text: &str) -> io::Result<()> {
    for line in wrapped(text, WIDTH - by) {
        writeln!(out, "{:by$}{line}", "")?;
    }
    Ok(())
}
