//! One worker at one moment of an event: what it is doing, in words and as a strip.

use super::super::timeline::glyph;
use super::Look;
use crate::observation::Lane;
use crate::scene::Part;

/// What a worker is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Asleep,
    /// Runnable, without a CPU.
    Woken,
    Running,
    /// The wait call came back.
    Returned,
    /// It took the event.
    Has,
    /// Asleep again after that.
    Over,
}

/// By the last of its moments that is not after `at_ns`.
pub fn state(lane: &Lane, at_ns: u64) -> State {
    let moments = [
        (lane.woken_ns, State::Woken),
        (lane.running_ns, State::Running),
        (lane.returned_ns, State::Returned),
        (lane.claimed_ns, State::Has),
        (lane.asleep_ns, State::Over),
    ];
    let past = moments.into_iter().filter_map(|(ns, state)| Some((ns.filter(|ns| *ns <= at_ns)?, state)));
    past.max_by_key(|(ns, _)| *ns).map_or(State::Asleep, |(_, state)| state)
}

/// The state in words of at most 22 letters.
pub fn words(lane: &Lane, state: State) -> (Look, String) {
    let cpu = |cpu: Option<u32>| cpu.map_or(String::new(), |cpu| format!(" {cpu}"));
    match state {
        State::Asleep => (Look::Dim, "asleep".into()),
        State::Woken => (Look::Woken, format!("woken by CPU{}", cpu(lane.waker_cpu))),
        State::Running => (Look::Running, format!("runs on CPU{}", cpu(lane.cpu))),
        State::Returned => (Look::Running, "back in the program".into()),
        State::Has => (Look::Got, "has it".into()),
        // Whether it slept by now is the source's secret; that it has nothing is not.
        State::Over if lane.claimed_ns.is_some() => (Look::Got, "got it, asleep".into()),
        State::Over => (Look::Nothing, "nothing, asleep".into()),
    }
}

/// What the event was to a worker, when all sleep again.
pub fn outcome(part: &Part, source: &str) -> (Look, String) {
    let times = if part.wakeups > 1 { format!(" ({} wakes)", part.wakeups) } else { String::new() };
    match part {
        Part { claims: 2.., .. } => (Look::Got, format!("got {}{times}", part.claims)),
        Part { claims: 1, .. } => (Look::Got, format!("got it{times}")),
        Part { empties: 1.., .. } => (Look::Nothing, format!("EAGAIN{times}")),
        Part { wakeups: 1.., .. } => (Look::Nothing, format!("slept again{times}")),
        _ if source == "bpf" => (Look::Dim, "slept on".into()),
        _ if source == "proc" || source == "perf" => (Look::Dim, "asleep".into()),
        _ => (Look::Dim, "no return".into()),
    }
}

/// The strip up to `at_ns` of an event that spans `end_ns`, as pieces of one look.
pub fn strip(lane: &Lane, at_ns: u64, end_ns: u64, columns: usize, utf8: bool) -> Vec<(Look, String)> {
    let mut pieces: Vec<(Look, String)> = Vec::new();
    for i in 0..columns {
        let begins = end_ns * i as u64 / columns as u64;
        let letter = match glyph(lane, i, columns, end_ns) {
            _ if begins > at_ns => ' ',
            // What comes later within this column has not happened yet.
            'R' if lane.returned_ns.is_some_and(|ns| ns > at_ns) => '#',
            'C' if lane.claimed_ns.is_some_and(|ns| ns > at_ns) => '#',
            letter => letter,
        };
        let (look, letter) = match letter {
            '~' => (Look::Woken, if utf8 { '\u{2592}' } else { '~' }),
            '#' => (Look::Running, if utf8 { '\u{2588}' } else { '#' }),
            'R' => (Look::Running, 'R'),
            'C' => (Look::Got, 'C'),
            '.' => (Look::Dim, if utf8 { '\u{b7}' } else { '.' }),
            other => (Look::Plain, other),
        };
        match pieces.last_mut() {
            Some((known, text)) if *known == look => text.push(letter),
            _ => pieces.push((look, letter.into())),
        }
    }
    pieces
}
