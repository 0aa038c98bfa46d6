//! A cell that makes one round at a time, when told to, and says what came of each.
//! Judges nothing and decides nothing: it starts, passes on and ends. No worker outlives
//! it, however it ends.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ChildStdin;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};

use super::local;
use super::process::Process;
use crate::cell::Plan;
use crate::experiment::Settings;
use crate::scene::Said;

/// How long a cell may take to let go of its counters and end.
const GRACE: Duration = Duration::from_secs(2);

/// One cell under way.
pub struct Stepper {
    process: Process,
    /// A byte for each round that is wanted; closed when no more are.
    wanted: Option<ChildStdin>,
    /// A line that has not all come yet.
    begun: Vec<u8>,
}

impl Stepper {
    /// Starts the cell. It says [`Said::Ready`] and then waits. Call it after
    /// [`local::Local::new`], which makes us the reaper of its orphans.
    pub fn start(settings: &Settings, count_with: Option<&str>) -> io::Result<Stepper> {
        let plan = Plan {
            parent: std::process::id() as i32,
            trace: false,
            count_with: count_with.map(str::to_owned),
            timeline: None,
            step: true,
            repetition: 1,
            settings: settings.clone(),
        };
        let (process, wanted) = Process::stepping(&plan)?;
        Ok(Stepper { process, wanted: Some(wanted), begun: Vec::new() })
    }

    /// Readable when the cell has said something, or ended.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.process.says.as_fd()
    }

    /// Asks for the next round. A cell that has ended is seen by [`Stepper::hear`].
    pub fn next(&mut self) {
        if let Some(pipe) = &mut self.wanted {
            let _ = pipe.write_all(b"n");
        }
    }

    /// What it has said since the last call; waits for a word. `None` when it has ended.
    pub fn hear(&mut self) -> io::Result<Option<Vec<Said>>> {
        let mut chunk = [0; 65_536];
        let length = loop {
            match self.process.says.read(&mut chunk) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if length == 0 {
            return Ok(None);
        }
        self.begun.extend_from_slice(&chunk[..length]);
        let Some(end) = self.begun.iter().rposition(|byte| *byte == b'\n') else { return Ok(Some(Vec::new())) };
        let whole: Vec<u8> = self.begun.drain(..=end).collect();
        let lines = whole.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).map_err(io::Error::other)).collect::<io::Result<_>>().map(Some)
    }

    /// Reads on until it has ended, for so long as it may take.
    fn drain(&mut self) {
        let deadline = Instant::now() + GRACE;
        let mut chunk = [0; 65_536];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).expect("the grace fits");
            let mut fds = [PollFd::new(self.process.says.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, timeout) {
                Err(Errno::EINTR) if !left.is_zero() => {}
                Ok(1..) if !left.is_zero() => match self.process.says.read(&mut chunk) {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => return,
                },
                _ => {
                    let _ = kill(self.process.pid(), Signal::SIGKILL);
                    return;
                }
            }
        }
    }
}

impl Drop for Stepper {
    fn drop(&mut self) {
        drop(self.wanted.take());
        self.drain();
        let _ = self.process.wait();
        local::reap_orphans(self.process.pid());
    }
}
