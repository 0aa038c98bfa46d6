//! `herd timeline`: one event of an experiment, drawn.

use super::measure::{How, Planned, Purpose, measure};
use super::{Failure, load};
use crate::cli::{FormatArgs, TimelineArgs};
use crate::exit::Exit;
use crate::experiment::Experiment;
use crate::observation::End;
use crate::results::Results;
use crate::runner::Wish;

pub fn run(args: &TimelineArgs) -> Result<Exit, Failure> {
    let experiment = load(&args.experiment)?;
    let cells = chosen(&experiment, args)?;
    let wish = Wish { timeline: Some(args.event), count_with: args.count_with.clone(), ..Wish::default() };
    let how = How { repeat: 1, wish: &wish, quiet: args.quiet, purpose: Purpose::Show };
    let (results, stopped) = measure(&[experiment], &cells, &how)?;
    super::run::show(&results, &FormatArgs { format: args.format.clone(), quiet: false, verbose: false, plot: false })?;
    Ok(stopped.map_or_else(|| exit(&results), Exit::Signal))
}

/// The rows asked for, at the first value of every axis, up to the event.
fn chosen(experiment: &Experiment, args: &TimelineArgs) -> Result<Vec<Planned>, Failure> {
    let mut cells = experiment.cells(&args.sets)?;
    let first = cells.first().map(|cell| cell.axes.clone()).unwrap_or_default();
    cells.retain(|cell| cell.axes == first && (args.waits.is_empty() || args.waits.contains(&cell.row)));
    if cells.is_empty() {
        let rows: Vec<&str> = experiment.rows.iter().map(|row| row.name.as_str()).collect();
        return Err(Failure::usage(format!("{} has no such wait; it has: {}", experiment.name, rows.join(", "))));
    }
    cells.retain(|cell| cell.settings.has_events());
    if cells.is_empty() {
        let message = format!(
            "{} is made of scripts or studies; a timeline draws one event of a row of workers",
            experiment.name
        );
        return Err(Failure::usage(message));
    }
    for cell in &mut cells {
        // Whole rounds, and no event after the one to be drawn.
        let round = cell.settings.burst;
        cell.settings.events = (args.event + 1).next_multiple_of(round);
        // A single event proves nothing about an experiment's expectations.
        cell.expectations.clear();
    }
    Ok(cells.into_iter().map(|cell| Planned { cell, refused: None }).collect())
}

fn exit(results: &Results) -> Exit {
    let ends = results.cells.iter().filter_map(|cell| cell.observation.as_ref());
    match ends.clone().all(|seen| seen.end == End::Complete) && ends.count() > 0 {
        true => Exit::Pass,
        false => results.exit(),
    }
}
