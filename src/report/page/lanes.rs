//! One event from fire to quiet, a lane for each worker.

use super::super::timeline::{LANES, figures, last_move, outcome, us};
use super::chosen::Plot;
use super::markup::{figure, key, table};
use super::svg::{Drawing, GRID, Scale, WIDTH};
use crate::observation::{Lane, Timeline};
use crate::results::{CellResult, Results};

/// So many events are drawn.
const DRAWN: usize = 12;
const LEFT: f64 = 32.0;
/// The longest outcome stands beside it.
const RIGHT: f64 = WIDTH - 90.0;
const LANE: f64 = 22.0;

pub fn plot(results: &Results, experiment: &str) -> Plot {
    let of = |cell: &CellResult| cell.observation.as_ref().and_then(|seen| seen.timeline.clone());
    let cells = results.cells.iter().filter(|cell| cell.experiment == experiment);
    let drawn: String = cells.filter_map(|cell| Some(one(cell, &of(cell)?))).take(DRAWN).collect();
    match drawn.is_empty() {
        true => Err(format!(
            "the lanes of one event: no cell kept one; herd timeline {experiment} --format json makes a result that does"
        )),
        false => Ok(drawn),
    }
}

fn one(cell: &CellResult, event: &Timeline) -> String {
    let exact = cell.count_source == "bpf";
    let few = event.lanes.len() <= LANES;
    let lanes: Vec<&Lane> = event.lanes.iter().filter(|lane| few || outcome(lane, exact) != "slept on").collect();
    let end = last_move(event) as f64;
    let x = Scale::new((0.0, end), (LEFT, RIGHT), false);
    let bottom = LANE * lanes.len() as f64 + 4.0;
    let title = format!("{}, event {}: a lane for each worker; the times follow as a table", cell.row, event.event);
    let mut drawing = Drawing::new(bottom + 34.0, title);
    for (at, lane) in lanes.iter().enumerate() {
        let middle = LANE * at as f64 + 14.0;
        let place = |ns: u64| x.at((ns as f64).min(end));
        drawing.text(LEFT - 6.0, middle + 4.0, "end", &format!("w{}", lane.worker));
        drawing.line(&[(LEFT, middle), (RIGHT, middle)], GRID);
        let asleep = lane.asleep_ns.map_or(RIGHT, place);
        let running = lane.running_ns.map_or(asleep, place);
        if let Some(woken) = lane.woken_ns {
            let words = format!(
                "w{}: woken at {} us, {}",
                lane.worker,
                us(woken),
                match lane.running_ns {
                    Some(ran) => format!("on a CPU {} us later", us(ran.saturating_sub(woken))),
                    None => "never seen on a CPU".into(),
                }
            );
            drawing.told((place(woken), middle - 5.0), (running - place(woken), 10.0), "visible", &words);
        }
        if let Some(ran) = lane.running_ns {
            let until = lane.asleep_ns.map_or(String::new(), |ns| format!(" to {} us", us(ns)));
            let words = format!(
                "w{}: on CPU {} from {} us{until}",
                lane.worker,
                lane.cpu.map_or("?".into(), |n| n.to_string()),
                us(ran)
            );
            // A short run is still seen.
            drawing.told((running, middle - 6.0), ((asleep - running).max(1.5), 12.0), "needed", &words);
        }
        if let Some(claimed) = lane.claimed_ns {
            drawing.line(&[(place(claimed), middle - 9.0), (place(claimed), middle + 9.0)], "line c1");
        }
        drawing.text(RIGHT + 6.0, middle + 4.0, "start", outcome(lane, exact));
    }
    drawing.line(&[(LEFT, bottom), (RIGHT, bottom)], "axis");
    drawing.text(LEFT, bottom + 14.0, "middle", "0");
    drawing.text(RIGHT, bottom + 14.0, "end", &format!("{} us", us(last_move(event))));
    let keys = key(&[
        ("visible", "woken, waiting for a CPU"),
        ("needed", "on a CPU"),
        ("fill c1", "the upright line: it has the event"),
    ]);
    let more = match event.lanes.len() - lanes.len() {
        0 => String::new(),
        left => format!(" {left} more workers slept on."),
    };
    let unknown = if exact { "" } else { " Who was woken, and when, is not known; that takes the bpf source." };
    let caption = format!(
        "{}: event {}, counted with {}. The call that made it returned after {} us; all were seen asleep after {} us. \
         Times are of this one event.{more}{unknown}",
        cell.row,
        event.event,
        cell.count_source,
        us(event.fire_returned_ns),
        us(event.quiet_ns)
    );
    figure(&(drawing.finish() + &keys), &caption, &times(&lanes, exact))
}

fn times(lanes: &[&Lane], exact: bool) -> String {
    let header =
        ["worker", "woken us", "by CPU", "on a CPU us", "CPU", "return us", "claim us", "asleep us", "outcome"];
    let line = |lane: &&Lane| {
        let known = figures(lane).into_iter();
        known.chain([outcome(lane, exact).to_owned()]).collect()
    };
    table("Times after the event", &header.map(str::to_owned), &lanes.iter().map(line).collect::<Vec<Vec<String>>>())
}
