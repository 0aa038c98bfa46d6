//! Without a terminal: each event once, at its end, as plain text.

use std::io::{self, Write};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::act::Act;
use super::{Failure, Show, exit};
use crate::exit::Exit;
use crate::report::Style;
use crate::report::watch::{Canvas, end_ns, frame, plain};
use crate::runner::{local::Local, stepper::Stepper};

/// Why nothing more is shown.
enum Stop {
    /// The reader has had enough.
    Closed,
    Signal(i32),
    Failed(Failure),
}

impl From<io::Error> for Stop {
    fn from(e: io::Error) -> Stop {
        match e.kind() {
            io::ErrorKind::BrokenPipe => Stop::Closed,
            _ => Stop::Failed(Failure::machine(format!("cannot write to stdout: {e}"))),
        }
    }
}

pub(super) fn run(show: &Show<'_>) -> Result<Exit, Failure> {
    let mut local = crate::command::local()?;
    let mut acts = Vec::new();
    for row in &show.rows {
        let mut act = Act::new(row);
        let stopped = one(show, &mut act, &mut local);
        acts.push(act);
        match stopped {
            Ok(()) => {}
            Err(Stop::Closed) => break,
            Err(Stop::Signal(signal)) => return Ok(Exit::Signal(signal)),
            Err(Stop::Failed(failure)) => return Err(failure),
        }
    }
    Ok(exit(&acts))
}

/// All events of one row.
fn one(show: &Show<'_>, act: &mut Act<'_>, local: &mut Local) -> Result<(), Stop> {
    if act.outcome.is_none() {
        let failed = |e: io::Error| Stop::Failed(Failure::machine(format!("cannot start the cell's process: {e}")));
        let mut stepper = Stepper::start(&act.row.cell.settings, show.args.count_with.as_deref()).map_err(failed)?;
        while act.outcome.is_none() {
            wait(&stepper, local)?;
            match stepper.hear() {
                Ok(Some(words)) => {
                    for said in words {
                        if act.take(said, &show.release) {
                            draw(show, act)?;
                        }
                    }
                }
                Ok(None) | Err(_) => act.lost(),
            }
            if act.ready() {
                stepper.next();
            }
        }
    }
    let mut out = io::stdout();
    writeln!(out, "{}\n", act.summary())?;
    Ok(out.flush()?)
}

/// Until the cell says something, or a signal comes.
fn wait(stepper: &Stepper, local: &mut Local) -> Result<(), Stop> {
    loop {
        let mut fds = [PollFd::new(stepper.fd(), PollFlags::POLLIN), PollFd::new(local.signals(), PollFlags::POLLIN)];
        // Each barrier of the cell has its limit, after which it says so.
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Stop::Failed(Failure::machine(format!("poll: {errno}")))),
        }
        let speaks = fds[0].any() == Some(true);
        match local.stopped() {
            Some(signal) => return Err(Stop::Signal(signal)),
            None if speaks => return Ok(()),
            None => {}
        }
    }
}

fn draw(show: &Show<'_>, act: &Act<'_>) -> io::Result<()> {
    let Some(scene) = &act.scene else { return Ok(()) };
    let picture = act.picture(end_ns(scene), &show.machine, "", "", "");
    let canvas = Canvas { width: Style::default().width, height: None, utf8: show.utf8 };
    let mut out = io::stdout().lock();
    for line in frame(&picture, canvas) {
        writeln!(out, "{}", plain(&line))?;
    }
    writeln!(out)?;
    out.flush()
}
