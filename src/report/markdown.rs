//! The same tables as Markdown, to paste into an issue or a README.

use std::io::{self, Write};

use tabled::builder::Builder;
use tabled::settings::Style as Lines;

use super::{Report, Style, grid, table};
use crate::results::Results;

/// GitHub's Markdown.
pub struct Markdown;

impl Report for Markdown {
    fn name(&self) -> &'static str {
        "markdown"
    }

    fn about(&self) -> &'static str {
        "the tables as Markdown"
    }

    fn write(&self, results: &Results, _: Style, out: &mut dyn Write) -> io::Result<()> {
        let environment = &results.environment;
        for experiment in &results.experiments {
            writeln!(out, "## {}: {}\n", experiment.name, experiment.title)?;
            writeln!(out, "{}\n", experiment.question)?;
            // Markdown scrolls sideways; nothing needs cutting.
            for grid in grid::grids(results, experiment, usize::MAX) {
                if !grid.heading.is_empty() {
                    writeln!(out, "### {}\n", grid.heading)?;
                }
                let mut builder = Builder::default();
                builder.push_record(grid.header.iter().map(|text| escaped(text)));
                for row in &grid.rows {
                    builder.push_record(row.iter().map(|text| escaped(text)));
                }
                let mut drawn = builder.build();
                drawn.with(Lines::markdown());
                writeln!(out, "{drawn}\n")?;
            }
        }
        for warning in &results.environment.warnings {
            writeln!(out, "note: {}\n", escaped(warning))?;
        }
        writeln!(
            out,
            "Linux {}, {} CPUs, herd {}. {}",
            environment.kernel_release,
            environment.cpus_online,
            results.herd,
            table::verdict(results).trim_end()
        )
    }
}

pub fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}
