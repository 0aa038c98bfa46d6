//! One event drawn for a terminal: a lane per worker, from fire to quiet.

use std::io::{self, Write};

use super::{Report, Style};
use crate::observation::{Lane, Timeline as Event};
use crate::results::{CellResult, Results};

/// The drawing of `herd timeline`.
pub struct Timeline;

/// Workers that slept on are not drawn when there are more lanes than this.
pub(super) const LANES: usize = 24;
/// Columns beside the lane itself: name in front, outcome behind.
const MARGIN: usize = 19;
/// What a lane's letters mean.
const LETTERS: &str = ". asleep   ~ woken, waiting for a CPU   # on the CPU   R returned   C has it";

impl Report for Timeline {
    fn name(&self) -> &'static str {
        "timeline"
    }

    fn about(&self) -> &'static str {
        "one event as lanes, for cells that kept one (`herd timeline`)"
    }

    fn write(&self, results: &Results, style: Style, out: &mut dyn Write) -> io::Result<()> {
        let drawn = results.cells.iter().filter_map(|cell| Some((cell, cell.observation.as_ref()?.timeline.as_ref()?)));
        let mut none = true;
        for (cell, event) in drawn {
            none = false;
            draw(cell, event, style.width, out)?;
        }
        if none {
            return writeln!(out, "no cell kept the timeline of an event");
        }
        writeln!(out, "{LETTERS}")?;
        let environment = &results.environment;
        writeln!(
            out,
            "Times are of this one event: Linux {}, {} CPUs.",
            environment.kernel_release, environment.cpus_online
        )
    }
}

/// The lanes of a cell's event without the figures, and what their letters mean; empty
/// if it kept none.
pub fn lanes(cell: &CellResult, width: usize) -> String {
    let Some(event) = cell.observation.as_ref().and_then(|seen| seen.timeline.as_ref()) else {
        return String::new();
    };
    let mut text = Vec::new();
    draw_lanes(cell, event, width, &mut text).expect("memory takes all");
    format!("{}{LETTERS}\n", String::from_utf8_lossy(&text))
}

/// Whether the source saw who was woken.
fn is_exact(cell: &CellResult) -> bool {
    cell.count_source == "bpf"
}

fn draw_lanes(cell: &CellResult, event: &Event, width: usize, out: &mut dyn Write) -> io::Result<()> {
    let exact = is_exact(cell);
    writeln!(out, "{}: event {}, counted with {}", cell.id, event.event, cell.count_source)?;
    let shown: Vec<&Lane> =
        event.lanes.iter().filter(|lane| event.lanes.len() <= LANES || outcome(lane, exact) != "slept on").collect();
    let columns = width.saturating_sub(MARGIN).max(20);
    let end = last_move(event);
    for lane in &shown {
        let text: String = (0..columns).map(|i| glyph(lane, i, columns, end)).collect();
        writeln!(out, "{:>5} {text} {}", format!("w{}", lane.worker), outcome(lane, exact))?;
    }
    let left = format!("0{:>width$}", format!("{} us", us(end)), width = columns - 1);
    writeln!(out, "      {left}")?;
    if shown.len() < event.lanes.len() {
        writeln!(out, "      {} more workers slept on", event.lanes.len() - shown.len())?;
    }
    Ok(())
}

/// The lanes, and when each of those who moved did what.
fn draw(cell: &CellResult, event: &Event, width: usize, out: &mut dyn Write) -> io::Result<()> {
    let exact = is_exact(cell);
    draw_lanes(cell, event, width, out)?;
    writeln!(out)?;
    writeln!(
        out,
        "      {:>9} {:>7} {:>9} {:>4} {:>9} {:>9} {:>9}",
        "woken us", "by CPU", "on CPU us", "CPU", "return us", "claim us", "asleep us"
    )?;
    for lane in event.lanes.iter().filter(|lane| outcome(lane, exact) != "slept on") {
        let [worker, woken, by, running, cpu, returned, claimed, asleep] = figures(lane);
        writeln!(out, "{worker:>5} {woken:>9} {by:>7} {running:>9} {cpu:>4} {returned:>9} {claimed:>9} {asleep:>9}")?;
    }
    writeln!(out, "      the call that made the event returned after {} us,", us(event.fire_returned_ns))?;
    writeln!(out, "      all were seen asleep after {} us", us(event.quiet_ns))?;
    if !exact {
        writeln!(out, "      not known: who was woken and when; that takes the bpf source")?;
    }
    writeln!(out)
}

/// When the last worker moved, and a little more: the barrier may notice much later.
pub(super) fn last_move(event: &Event) -> u64 {
    let times = |lane: &Lane| {
        [lane.woken_ns, lane.running_ns, lane.returned_ns, lane.claimed_ns, lane.asleep_ns].into_iter().flatten()
    };
    let last = event.lanes.iter().flat_map(times).max().unwrap_or(event.quiet_ns);
    (last + last / 20).clamp(1, event.quiet_ns.max(1))
}

/// Worker, when and by which CPU it was woken, when and where it ran, returned, claimed,
/// fell asleep; times in microseconds.
pub(super) fn figures(lane: &Lane) -> [String; 8] {
    let time = |ns: Option<u64>| ns.map_or("-".into(), us);
    let number = |n: Option<u32>| n.map_or("-".into(), |n| n.to_string());
    [
        format!("w{}", lane.worker),
        time(lane.woken_ns),
        number(lane.waker_cpu),
        time(lane.running_ns),
        number(lane.cpu),
        time(lane.returned_ns),
        time(lane.claimed_ns),
        time(lane.asleep_ns),
    ]
}

/// Microseconds with one digit.
pub(super) fn us(ns: u64) -> String {
    format!("{:.1}", ns as f64 / 1000.0)
}

/// What became of a worker, in words.
pub fn outcome(lane: &Lane, exact: bool) -> &'static str {
    match (lane.claimed_ns, lane.returned_ns, lane.woken_ns) {
        (Some(_), ..) => "got it",
        (None, Some(_), _) => "EAGAIN",
        (None, None, Some(_)) => "slept again",
        (None, None, None) if exact => "slept on",
        (None, None, None) => "no return",
    }
}

/// The character for column `i` of `columns`, which spans `end` nanoseconds.
pub(super) fn glyph(lane: &Lane, i: usize, columns: usize, end: u64) -> char {
    let span = |at: usize| end * at as u64 / columns as u64;
    let (from, to) = (span(i), span(i + 1));
    let here = |t: Option<u64>| t.is_some_and(|t| (from..to).contains(&t));
    let past = |t: Option<u64>| t.is_some_and(|t| t < to);
    if here(lane.claimed_ns) {
        'C'
    } else if here(lane.returned_ns) {
        'R'
    } else if past(lane.asleep_ns) && !here(lane.asleep_ns) {
        '.'
    } else if past(lane.running_ns) {
        '#'
    } else if past(lane.woken_ns) {
        '~'
    } else {
        '.'
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_goes_through_its_states() {
        let lane = Lane {
            woken_ns: Some(20),
            running_ns: Some(40),
            returned_ns: Some(55),
            claimed_ns: Some(65),
            asleep_ns: Some(85),
            ..Lane::default()
        };
        let text: String = (0..10).map(|i| glyph(&lane, i, 10, 100)).collect();
        assert_eq!(text, "..~~#RC##.");
        assert_eq!(outcome(&lane, true), "got it");
    }

    #[test]
    fn outcomes_say_no_more_than_is_known() {
        assert_eq!(outcome(&Lane::default(), true), "slept on");
        assert_eq!(outcome(&Lane::default(), false), "no return");
        assert_eq!(outcome(&Lane { woken_ns: Some(1), ..Lane::default() }, true), "slept again");
        assert_eq!(outcome(&Lane { returned_ns: Some(1), ..Lane::default() }, false), "EAGAIN");
    }
}
