//! The picture of `herd watch`: one event at one moment, as lines of text. Pure: what is
//! shown was measured before, and the clock of whoever draws is an argument. The same
//! lines go to a terminal, again and again, and to a pipe, once for each event.

mod lane;
mod sums;
#[cfg(test)]
mod tests;

pub use sums::Sums;

use super::timeline::{last_move, us};
use crate::observation::Lane;
use crate::scene::{Opening, Part, Scene};
use lane::State;

/// How a piece of a line is to look; a terminal without colour loses nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    Plain,
    Bold,
    Dim,
    Woken,
    Running,
    Got,
    Nothing,
}

/// Pieces from left to right.
pub type Line = Vec<(Look, String)>;

/// Columns and lines without which there is no picture: two lanes and all the words.
pub const SMALLEST: (usize, usize) = (72, 16);

/// Beside the strip: name in front; words and two counts behind.
const NAME: usize = 7;
const WORDS: usize = 22;
const COUNT: usize = 7;
/// Lines of a note; more would leave no lanes.
const NOTE: usize = 3;
/// In front of the totals.
const TOTAL: usize = 10;

/// All that is seen at one moment.
pub struct Picture<'a> {
    /// Experiment and row.
    pub title: &'a str,
    /// What an event is: a connection, a datagram.
    pub event: &'a str,
    /// Absent until the cell is ready.
    pub opening: Option<&'a Opening>,
    /// Absent until the first event.
    pub scene: Option<&'a Scene>,
    /// The moment within it; at its end or later all is said.
    pub at_ns: u64,
    /// Of the rounds before this one.
    pub before: &'a Sums,
    /// How many rounds there will be.
    pub rounds: u64,
    pub workers: usize,
    /// To the right of the title: row 2 of 11.
    pub place: &'a str,
    /// Such as `paused`, and how much slower than it was.
    pub state: &'a str,
    /// What else is worth knowing; empty if nothing is.
    pub note: &'a str,
    /// The keys; empty where there are none.
    pub keys: &'a str,
}

/// How it is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Canvas {
    pub width: usize,
    /// Lines; `None` where they do not end.
    pub height: Option<usize>,
    pub utf8: bool,
}

/// When the event is over: the last move of a worker, and a little more.
pub fn end_ns(scene: &Scene) -> u64 {
    last_move(&scene.timeline)
}

/// The moments at which something changes, in order; the last one is the end.
pub fn moments(scene: &Scene) -> Vec<u64> {
    let end = end_ns(scene);
    let of = |lane: &Lane| [lane.woken_ns, lane.running_ns, lane.returned_ns, lane.claimed_ns, lane.asleep_ns];
    let mut all: Vec<u64> = scene.timeline.lanes.iter().flat_map(of).flatten().filter(|ns| *ns < end).collect();
    all.push(end);
    all.sort_unstable();
    all.dedup();
    all
}

/// The lines, at most as many and as wide as the canvas.
pub fn frame(picture: &Picture<'_>, canvas: Canvas) -> Vec<Line> {
    let mut lines = head(picture, canvas.width);
    let foot = foot(picture, canvas);
    let room = canvas.height.map_or(super::timeline::LANES, |height| height.saturating_sub(lines.len() + foot.len()));
    // One line is needed to say how many are left out.
    let shown = if picture.workers <= room { picture.workers } else { room.saturating_sub(1) };
    lines.extend((0..shown).map(|worker| lane_of(picture, worker, canvas)));
    if shown < picture.workers {
        lines.push(vec![(Look::Dim, format!("{:NAME$}{}", "", not_shown(picture, shown)))]);
    }
    lines.extend(foot);
    lines.into_iter().map(|line| cut(line, canvas.width)).collect()
}

/// What is said instead of a picture that does not fit.
pub fn too_small(width: usize, height: usize) -> Option<String> {
    let (columns, lines) = SMALLEST;
    (width < columns || height < lines)
        .then(|| format!("this terminal has {width} columns and {height} lines; {columns} and {lines} are needed"))
}

fn over(picture: &Picture<'_>) -> bool {
    picture.scene.is_some_and(|scene| picture.at_ns >= end_ns(scene))
}

fn source<'a>(picture: &Picture<'a>) -> &'a str {
    picture.opening.map_or("", |opening| opening.count_source.as_str())
}

/// The words beside the strip begin here.
fn strip_width(width: usize) -> usize {
    width.saturating_sub(NAME + 1 + WORDS + 2 * COUNT).max(8)
}

fn head(picture: &Picture<'_>, width: usize) -> Vec<Line> {
    let title = vec![(Look::Bold, apart(picture.title, picture.place, width))];
    let number = picture.before.rounds + u64::from(picture.scene.is_some());
    let what = match picture.scene {
        None if picture.opening.is_none() => "the workers go to sleep, one after the other".to_owned(),
        None => format!("all {} workers asleep; no {} yet", picture.workers, picture.event),
        Some(scene) if scene.fired == 1 => format!("{} {number} of {}", picture.event, picture.rounds),
        Some(scene) => format!("{} {}s at once, {number} of {}", scene.fired, picture.event, picture.rounds),
    };
    let now = match picture.scene {
        None => String::new(),
        Some(_) if over(picture) => ", all asleep again".into(),
        Some(scene) => format!(", {} us of {} us", us(picture.at_ns), us(end_ns(scene))),
    };
    let status = vec![(Look::Plain, apart(&format!("{what}{now}"), picture.state, width))];
    let strip = strip_width(width);
    let end = picture.scene.map_or(String::new(), |scene| format!("{} us", us(end_ns(scene))));
    let scale =
        format!("{:NAME$}0{end:>rest$} {:WORDS$}{:>COUNT$}{:>COUNT$}", "", "", "woken", "got", rest = strip - 1);
    vec![title, status, vec![(Look::Dim, scale)], event_lane(picture, strip)]
}

/// The event itself, from the call that makes it to the one who takes it.
fn event_lane(picture: &Picture<'_>, strip: usize) -> Line {
    let mut line = vec![(Look::Bold, format!("{:NAME$}", "event"))];
    let Some(scene) = picture.scene else {
        line.push((Look::Plain, format!("{:strip$} not made yet", "")));
        return line;
    };
    let end = end_ns(scene);
    let begun = |i: usize| end * i as u64 / strip as u64;
    let made = scene.timeline.fire_returned_ns;
    let letter = |i: usize| if begun(i) <= made.min(picture.at_ns) { '=' } else { ' ' };
    line.push((Look::Bold, (0..strip).map(letter).collect()));
    let taken = |lane: &&Lane| lane.claimed_ns.is_some_and(|ns| ns <= picture.at_ns);
    let taker = scene.timeline.lanes.iter().filter(taken).min_by_key(|lane| lane.claimed_ns);
    let sums = Sums::of(scene);
    line.push((Look::Plain, " ".into()));
    line.push(match taker {
        _ if over(picture) && sums.left() > 0 => (Look::Nothing, format!("{} left in the queue", sums.left())),
        Some(lane) if scene.fired == 1 => (Look::Got, format!("taken by w{}", lane.worker)),
        Some(_) if over(picture) => (Look::Got, "all taken".into()),
        Some(_) => (Look::Got, "some are taken".into()),
        None if over(picture) => (Look::Got, "taken".into()),
        None if picture.at_ns >= made => (Look::Plain, "made, not taken".into()),
        None => (Look::Plain, "is being made".into()),
    });
    line
}

fn lane_of(picture: &Picture<'_>, worker: usize, canvas: Canvas) -> Line {
    let strip = strip_width(canvas.width);
    let mut line = vec![(Look::Plain, format!("{:<NAME$}", format!("w{worker}")))];
    let (look, words) = match (picture.scene, picture.opening) {
        (None, None) => (Look::Dim, String::new()),
        (None, Some(_)) => (Look::Dim, "asleep".into()),
        (Some(scene), _) if over(picture) => lane::outcome(&part(scene, worker), source(picture)),
        (Some(scene), _) => lane_at(scene, worker, picture.at_ns),
    };
    match picture.scene.and_then(|scene| Some((scene, scene.timeline.lanes.get(worker)?))) {
        Some((scene, lane)) => line.extend(lane::strip(lane, picture.at_ns, end_ns(scene), strip, canvas.utf8)),
        None => line.push((Look::Plain, " ".repeat(strip))),
    }
    line.push((Look::Plain, " ".into()));
    line.push((look, format!("{words:WORDS$}")));
    let (mut woken, mut got) = picture.before.workers.get(worker).copied().unwrap_or_default();
    if let Some(scene) = picture.scene.filter(|_| over(picture)) {
        let part = part(scene, worker);
        (woken, got) = (woken + part.wakeups, got + part.claims);
    }
    line.push((Look::Plain, format!("{woken:>COUNT$}{got:>COUNT$}")));
    line
}

fn part(scene: &Scene, worker: usize) -> Part {
    scene.parts.get(worker).copied().unwrap_or_default()
}

fn lane_at(scene: &Scene, worker: usize, at_ns: u64) -> (Look, String) {
    let lane = scene.timeline.lanes.get(worker).cloned().unwrap_or_default();
    lane::words(&lane, lane::state(&lane, at_ns))
}

/// What those do for whom there is no line.
fn not_shown(picture: &Picture<'_>, shown: usize) -> String {
    let left = picture.workers - shown;
    let Some(scene) = picture.scene else { return format!("and {left} more workers, not shown") };
    let lanes = scene.timeline.lanes.get(shown..).unwrap_or_default();
    let (woken, got) = match over(picture) {
        true => {
            let parts = scene.parts.get(shown..).unwrap_or_default();
            (parts.iter().filter(|part| part.wakeups > 0).count(), parts.iter().filter(|part| part.claims > 0).count())
        }
        false => {
            let now = |lane: &&Lane| lane::state(lane, picture.at_ns) != State::Asleep;
            let has = |lane: &&Lane| lane.claimed_ns.is_some_and(|ns| ns <= picture.at_ns);
            (lanes.iter().filter(now).count(), lanes.iter().filter(has).count())
        }
    };
    format!("and {left} more workers, not shown: {woken} of them woken, {got} got it")
}

/// Totals, what the letters mean, what cannot be known, the keys.
fn foot(picture: &Picture<'_>, canvas: Canvas) -> Vec<Line> {
    let source = source(picture);
    let mut all = picture.before.clone();
    let this = match picture.scene {
        None => "nothing yet".to_owned(),
        Some(scene) if over(picture) => {
            all.add(scene);
            Sums::of(scene).words(source)
        }
        Some(scene) => so_far(scene, picture.at_ns),
    };
    let mut lines = vec![Line::new(), vec![(Look::Bold, format!("{:TOTAL$}", "this one")), (Look::Plain, this)]];
    lines
        .push(vec![(Look::Bold, format!("{:TOTAL$}", format!("all {}", all.fired))), (Look::Plain, all.words(source))]);
    let mean = if all.fired > 0 { format!("{:.2} wakeups", all.wakeups as f64 / all.fired as f64) } else { "-".into() };
    lines.push(vec![(Look::Bold, format!("{:TOTAL$}", "each")), (Look::Plain, mean)]);
    let [asleep, woken, running] = if canvas.utf8 { ["\u{b7}", "\u{2592}", "\u{2588}"] } else { [".", "~", "#"] };
    let legend = [
        (Look::Dim, format!("{asleep} asleep   ")),
        (Look::Woken, format!("{woken} woken, waits for a CPU   ")),
        (Look::Running, format!("{running} runs   R returned   ")),
        (Look::Got, "C has it".to_owned()),
    ];
    lines.push(legend.to_vec());
    let note = match source {
        "" | "bpf" => "",
        "ledger" => "counted with ledger: it sees who returns; who slept again inside the kernel, it does not",
        "perf" => "counted with perf: only the sum is exact, and wakeups have no times (bpf, as root, has)",
        _ => "counted with proc: hidden wakeups have no times, only a count at the end (bpf, as root, has)",
    };
    for (look, text) in [(Look::Dim, note), (Look::Bold, picture.note)] {
        let wrapped = super::wrapped(text, canvas.width).into_iter().filter(|text| !text.is_empty());
        lines.extend(wrapped.take(NOTE).map(|text| vec![(look, text)]));
    }
    if !picture.keys.is_empty() {
        lines.push(vec![(Look::Dim, picture.keys.to_owned())]);
    }
    lines
}

/// The same while the event goes on, as far as there are times.
fn so_far(scene: &Scene, at_ns: u64) -> String {
    let lanes = &scene.timeline.lanes;
    let count = |is: &dyn Fn(&Lane) -> bool| lanes.iter().filter(|lane| is(lane)).count();
    let woken = count(&|lane| lane::state(lane, at_ns) != State::Asleep);
    let got = count(&|lane| lane.claimed_ns.is_some_and(|ns| ns <= at_ns));
    let nothing = count(&|lane| lane::state(lane, at_ns) == State::Over && lane.claimed_ns.is_none());
    format!("{woken} woken, {got} got it, {nothing} for nothing so far")
}

/// One text at each edge.
fn apart(left: &str, right: &str, width: usize) -> String {
    let gap = width.saturating_sub(left.chars().count() + right.chars().count()).max(1);
    if right.is_empty() { left.to_owned() } else { format!("{left}{}{right}", " ".repeat(gap)) }
}

/// No longer than the canvas is wide, no space at the end.
fn cut(line: Line, width: usize) -> Line {
    let mut left = width;
    let mut whole: Line = Vec::new();
    for (look, text) in line {
        let text: String = text.chars().take(left).collect();
        left -= text.chars().count();
        whole.push((look, text));
    }
    while let Some((_, last)) = whole.last_mut() {
        last.truncate(last.trim_end().len());
        if !last.is_empty() {
            break;
        }
        whole.pop();
    }
    whole
}

/// Without any look.
pub fn plain(line: &Line) -> String {
    line.iter().map(|(_, text)| text.as_str()).collect()
}
