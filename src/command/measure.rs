//! Runs planned cells one after the other, with progress, until the end or a
//! signal. Shared by every command that measures.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Failure;
use crate::environment;
use crate::experiment::{Cell, Experiment};
use crate::results::{CellResult, ExperimentFacts, Results, SCHEMA};
use crate::runner::{self, Probes, Wish, local::Local};

/// Runs every cell `repeat` times. The second value is the signal that cut the
/// run short; what was measured until then is in the results.
pub fn measure(
    experiments: &[Experiment],
    cells: &[Cell],
    repeat: u32,
    wish: &Wish,
    quiet: bool,
) -> Result<(Results, Option<i32>), Failure> {
    let mut local = Local::new().map_err(|e| Failure::machine(format!("cannot take over signals: {e}")))?;
    let mut results = Results {
        schema: SCHEMA,
        herd: env!("CARGO_PKG_VERSION").into(),
        environment: environment::read(),
        experiments: experiments.iter().map(ExperimentFacts::from).collect(),
        cells: Vec::new(),
        interrupted: false,
    };
    let bar = progress(cells.len() as u64 * u64::from(repeat), quiet);
    run_all(cells, repeat, wish, &mut local, &bar, &mut results.cells);
    bar.finish_and_clear();
    let stopped = local.stopped();
    results.interrupted = stopped.is_some();
    Ok((results, stopped))
}

fn run_all(cells: &[Cell], repeat: u32, wish: &Wish, local: &mut Local, bar: &ProgressBar, done: &mut Vec<CellResult>) {
    let mut probes = Probes::default();
    for repetition in 1..=repeat {
        for cell in cells {
            if local.stopped().is_some() {
                return;
            }
            bar.set_message(cell.id.clone());
            let mut result = runner::run_cell(cell, local, &mut probes, wish);
            result.repetition = repetition;
            if repetition > 1 {
                result.id = format!("{}#{repetition}", result.id);
            }
            done.push(result);
            bar.inc(1);
        }
    }
}

/// A bar on a terminal, nothing elsewhere. It is drawn between cells only: its
/// CPU time must not fall into a measurement.
fn progress(total: u64, quiet: bool) -> ProgressBar {
    let target = match std::io::stderr().is_terminal() && !quiet {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let bar = ProgressBar::with_draw_target(Some(total), target);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}").expect("a constant template");
    bar.with_style(style)
}
