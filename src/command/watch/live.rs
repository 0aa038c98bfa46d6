//! On a terminal: the picture, the keys, the cell and the signals, each when it comes.
//! While an event goes on nothing is drawn, so that it has the machine for itself.

use std::io;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use std::os::fd::AsFd;

use super::act::Act;
use super::player::{Key, Player, Wish};
use super::screen::{Input, Screen};
use super::{Failure, Show, exit};
use crate::exit::Exit;
use crate::report::watch::{Canvas, Line, Look, frame, too_small};
use crate::results::Verdict;
use crate::runner::{local::Local, stepper::Stepper};

/// Between two pictures of one event.
const TICK: Duration = Duration::from_millis(40);
/// Between two looks when nothing moves; whatever comes is seen at once.
const IDLE: Duration = Duration::from_secs(1);

const KEYS: &str = "space pause  n step  b back  e event  w next wait  +- speed  q quit";

/// What comes after a row.
enum Then {
    Row,
    Quit,
    Signal(i32),
}

struct Live<'a> {
    show: &'a Show<'a>,
    local: Local,
    screen: Screen,
    player: Player,
}

pub(super) fn run(show: &Show<'_>) -> Result<Exit, Failure> {
    let local = crate::command::local()?;
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let screen = Screen::open(colour).map_err(terminal)?;
    let mut live = Live { show, local, screen, player: Player::new(show.args.speed) };
    let mut acts: Vec<Act<'_>> = Vec::new();
    let mut then = Ok(Then::Row);
    for number in 0..show.rows.len() {
        let mut act = Act::new(&show.rows[number]);
        then = live.row(&mut act, number);
        acts.push(act);
        if !matches!(then, Ok(Then::Row)) {
            break;
        }
    }
    // The terminal is itself again before anything is said.
    drop(live);
    let exit = match then? {
        Then::Signal(signal) => Exit::Signal(signal),
        Then::Row | Then::Quit => exit(&acts),
    };
    super::super::print(|out| {
        acts.iter().try_for_each(|act| writeln!(out, "{}", act.summary()))?;
        writeln!(out, "Measured just now: {}.", show.machine)
    })?;
    Ok(exit)
}

fn terminal(e: io::Error) -> Failure {
    Failure::machine(format!("the terminal cannot be used: {e}"))
}

impl Live<'_> {
    /// Shows one row until it ends or somebody has had enough of it.
    fn row(&mut self, act: &mut Act<'_>, number: usize) -> Result<Then, Failure> {
        let last = number + 1 == self.show.rows.len();
        self.player.restart();
        let mut stepper = match act.outcome {
            Some(_) => None,
            None => {
                let started = Stepper::start(&act.row.cell.settings, self.show.args.count_with.as_deref());
                Some(started.map_err(|e| Failure::machine(format!("cannot start the cell's process: {e}")))?)
            }
        };
        let mut now = Instant::now();
        loop {
            if !self.player.asked() {
                self.draw(act, number)?;
            }
            let (speaks, gone) = self.wait(stepper.as_ref())?;
            if let Some(signal) = self.local.stopped() {
                return Ok(Then::Signal(signal));
            }
            if gone {
                return Ok(Then::Signal(Signal::SIGHUP as i32));
            }
            let elapsed = now.elapsed();
            now = Instant::now();
            if speaks {
                self.hear(&mut stepper, act);
            }
            let more = act.ready() || (act.outcome.is_some() && !last);
            let mut wish = self.player.tick(elapsed, act.scene.as_ref(), more);
            for input in self.screen.inputs().map_err(terminal)? {
                match input {
                    Input::Resized => {
                        self.screen.forget();
                        self.draw(act, number)?;
                    }
                    Input::Key(Key::Quit) => return Ok(Then::Quit),
                    Input::Key(Key::Interrupt) => return Ok(Then::Signal(Signal::SIGINT as i32)),
                    Input::Key(Key::Row) if !last => return Ok(Then::Row),
                    Input::Key(key) => {
                        if self.player.press(key, act.scene.as_ref(), more) == Wish::Next {
                            wish = Wish::Next;
                        }
                    }
                }
            }
            match (wish, &mut stepper) {
                (Wish::Next, Some(stepper)) if act.ready() => stepper.next(),
                (Wish::Next, _) => return Ok(Then::Row),
                (Wish::Nothing, _) => {}
            }
        }
    }

    /// Takes in what the cell says.
    fn hear(&mut self, stepper: &mut Option<Stepper>, act: &mut Act<'_>) {
        let Some(cell) = stepper else { return };
        match cell.hear() {
            Ok(Some(words)) => {
                for said in words {
                    if act.take(said, &self.show.release)
                        && let Some(scene) = &act.scene
                    {
                        self.player.begin(scene);
                    }
                }
            }
            Ok(None) | Err(_) => {
                act.lost();
                *stepper = None;
            }
        }
        if act.outcome.as_ref().is_some_and(|outcome| outcome.verdict != Verdict::Pass) {
            self.player.halt();
        }
    }

    /// Until something comes or the picture is to move. Whether the cell speaks, and
    /// whether the terminal is gone.
    fn wait(&self, stepper: Option<&Stepper>) -> Result<(bool, bool), Failure> {
        let stdin = io::stdin();
        let mut fds =
            vec![PollFd::new(stdin.as_fd(), PollFlags::POLLIN), PollFd::new(self.local.signals(), PollFlags::POLLIN)];
        fds.extend(stepper.map(|stepper| PollFd::new(stepper.fd(), PollFlags::POLLIN)));
        let time = if self.player.moves() { TICK } else { IDLE };
        match poll(&mut fds, PollTimeout::try_from(time).expect("a second fits")) {
            // A signal of ours, or another size of the terminal.
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Failure::machine(format!("poll: {errno}"))),
        }
        let lost = fds[0].revents().is_some_and(|seen| seen.intersects(PollFlags::POLLHUP | PollFlags::POLLERR));
        Ok((fds.get(2).is_some_and(|fd| fd.any() == Some(true)), lost))
    }

    fn draw(&mut self, act: &Act<'_>, number: usize) -> Result<(), Failure> {
        let (width, height) = Screen::size().map_err(terminal)?;
        let lines = match too_small(width, height) {
            Some(why) => vec![vec![(Look::Bold, why)], vec![(Look::Plain, "Make it larger, or q to quit.".into())]],
            None => self.picture(act, number, Canvas { width, height: Some(height), utf8: self.show.utf8 }),
        };
        self.screen.draw(lines).map_err(terminal)
    }

    fn picture(&self, act: &Act<'_>, number: usize, canvas: Canvas) -> Vec<Line> {
        let rows = self.show.rows.len();
        let machine = &self.show.machine;
        let place = if rows > 1 { format!("wait {} of {rows}   {machine}", number + 1) } else { machine.clone() };
        let state = match &act.scene {
            _ if self.player.paused() => "PAUSED".to_owned(),
            Some(scene) => format!("1 s shows {:.1} us", self.player.us_per_second(scene)),
            None => String::new(),
        };
        let note = match &act.outcome {
            Some(outcome) if outcome.verdict != Verdict::Pass => format!("{}: {}", outcome.verdict, outcome.reason),
            Some(outcome) if !outcome.reason.is_empty() => outcome.reason.clone(),
            Some(_) if number + 1 == rows => "These were all events.".into(),
            _ => String::new(),
        };
        frame(&act.picture(self.player.at_ns(), &place, &state, &note, KEYS), canvas)
    }
}
