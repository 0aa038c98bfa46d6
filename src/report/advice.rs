//! What `herd advise` found, for a terminal or a program. Pure.

use std::io::{self, Write};

use tabled::builder::Builder;
use tabled::settings::Style as Lines;

use super::table as tables;
use crate::analysis::advice::{Advice, CRITERIA, Figure};
use crate::analysis::judge::short;
use crate::results::Results;

/// A paragraph of that width.
fn wrapped(text: &str, width: usize) -> String {
    tables::wrapped(text, width).join("\n")
}

/// The whole document, with every cell it rests on.
pub fn json(advice: &Advice, results: &Results, out: &mut dyn Write) -> io::Result<()> {
    let document = serde_json::json!({ "advice": advice, "results": results });
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

/// One table, then who is best at what.
pub fn table(advice: &Advice, results: &Results, asked: &str, width: usize, out: &mut dyn Write) -> io::Result<()> {
    let environment = &results.environment;
    let said = format!(
        "Accept strategies on Linux {}, {} CPUs: {asked}.",
        environment.kernel_release, environment.cpus_allowed
    );
    writeln!(out, "{}\n", wrapped(&said, width))?;
    let mut lines = Builder::default();
    lines.push_record(std::iter::once("strategy").chain(CRITERIA.iter().map(|criterion| criterion.heading)));
    for line in &advice.lines {
        let figures = line.figures.iter().map(|figure| figure.as_ref().map_or("-".into(), shown));
        lines.push_record(std::iter::once(line.strategy.clone()).chain(figures));
    }
    let mut table = lines.build();
    table.with(Lines::psql().remove_horizontals());
    writeln!(out, "{}\n", table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n"))?;
    let explained = "Medians, ± half the range of the repetitions. stuck: clients, of those in one second, that \
                     wait because one worker is stuck for 200 ms; lost: of 40 connections in the queue when a worker \
                     leaves.";
    writeln!(out, "{}\n", wrapped(explained, width))?;
    for line in advice.lines.iter().filter(|line| !line.note.is_empty()) {
        writeln!(out, "{}", wrapped(&format!("note: {}", line.note), width))?;
    }
    for statement in &advice.statements {
        let best = match statement.best.len() == advice.lines.len() {
            true => "all alike".to_owned(),
            false => statement.best.join(", "),
        };
        let text = format!("If {}: {best} ({}; {}).", statement.matters, statement.criterion, statement.cell);
        writeln!(out, "{}", wrapped(&text, width))?;
    }
    let all = advice.statements.len();
    let verdict = match advice.choice.as_slice() {
        [] if advice.unsteady => {
            "The repetitions differ too much for a choice: CPU time or median latency by more than \
                                  half of itself. Run it on a quieter machine, or with a larger --repeat."
                .to_owned()
        }
        [] => "No strategy could be measured.".to_owned(),
        [one] => format!("Here, under this load: {one}; it is among the best at {} of {all}.", advice.best_at),
        some => {
            let names = some.join(", ");
            format!("Here, under this load: {names}; each is among the best at {} of {all}.", advice.best_at)
        }
    };
    writeln!(out, "\n{}", wrapped(&verdict, width))
}

fn shown(figure: &Figure) -> String {
    let rounded = |number: f64| {
        let digits = if number.abs() >= 100.0 { number.round() } else { (number * 10.0).round() / 10.0 };
        short(digits)
    };
    let spread = rounded((figure.max - figure.min) / 2.0);
    let median = rounded(figure.median);
    if spread == "0" { median } else { format!("{median}±{spread}") }
}
