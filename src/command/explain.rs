//! `herd explain`: the lesson of one experiment.

use super::{Failure, load, print};
use crate::analysis::judge::expected;
use crate::analysis::metrics;
use crate::cli::ExplainArgs;
use crate::exit::Exit;

pub fn run(args: &ExplainArgs) -> Result<Exit, Failure> {
    let experiment = load(&args.experiment)?;
    let cells = experiment.cells(&[])?;
    print(|out| {
        writeln!(out, "{}\n", experiment.title)?;
        for line in experiment.drawing.lines() {
            writeln!(out, "    {line}")?;
        }
        for (heading, text) in [
            ("The question", &experiment.question),
            ("What happens in the kernel", &experiment.why),
            ("How to read it", &experiment.look),
        ] {
            if !text.is_empty() {
                writeln!(out, "\n{heading}\n\n{text}")?;
            }
        }
        writeln!(out, "\nWhat is expected\n")?;
        let mut said = Vec::new();
        for cell in &cells {
            for e in &cell.expectations {
                let line = format!("{}: {} is {}", cell.row, e.metric, expected(&e.rule, None));
                if said.contains(&line) {
                    continue;
                }
                writeln!(out, "  {line}\n      {}", e.source)?;
                said.push(line);
            }
        }
        writeln!(out, "\nThe columns\n")?;
        for name in
            ["wakeups_per_event", "returns_per_event", "spurious_hidden_per_event", "spurious_visible_per_event"]
                .into_iter()
                .chain(experiment.layout.show.iter().map(String::as_str))
        {
            let metric = metrics::find(name).expect("checked when the experiment was read");
            writeln!(out, "  {name}: {} [{}]", metric.about, metric.unit)?;
        }
        writeln!(out, "\nRun it: herd run {}", args.experiment)
    })?;
    Ok(Exit::Pass)
}
