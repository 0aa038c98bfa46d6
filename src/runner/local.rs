//! Runs cells on this machine, each in a process of its own.
//!
//! SIGINT and SIGTERM arrive through a descriptor, so they are seen between two
//! reads and never interrupt anything. Whatever happens, no worker outlives a
//! call: this process adopts and reaps the orphans of a killed coordinator.

use std::collections::VecDeque;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::Wish;
use super::process::{Body, Process};
use crate::cell::Plan;
use crate::experiment::Settings;
use crate::observation::{End, Observation};
use crate::sys;

/// How long a cell may take to end by itself after a signal.
const GRACE: Duration = Duration::from_secs(2);
/// How long killed processes may take to vanish.
const REAP_LIMIT: Duration = Duration::from_secs(10);
/// How long a cell may take at all; each of its barriers has its own limit.
const CELL_LIMIT: Duration = Duration::from_secs(3600);

/// So many cells may be ending while another runs.
const ENDING: usize = 8;

/// Starts cells and watches for signals.
pub struct Local {
    signals: SignalFd,
    stopped: Option<i32>,
    /// Cells that have said their result. They have no workers any more, and let
    /// go of their counters, which takes the kernel a while.
    ending: VecDeque<Process>,
    /// What a cell's process runs that is a copy of this one; it is a program of its
    /// own where there is none.
    body: Option<Body>,
}

impl Local {
    /// As [`Local::new`], for a process of one thread that forks its cells. An exec of
    /// this program takes an emulated machine longer than many a cell.
    pub fn forking(body: Body) -> nix::Result<Local> {
        let mut local = Local::new()?;
        local.body = Some(body);
        Ok(local)
    }

    /// Takes over SIGINT, SIGTERM and SIGHUP of this process.
    pub fn new() -> nix::Result<Local> {
        let signals = sys::signal::take_over()?;
        prctl::set_child_subreaper(true)?;
        Ok(Local { signals, stopped: None, ending: VecDeque::new(), body: None })
    }

    /// The signal that asked us to stop, if one did.
    pub fn stopped(&mut self) -> Option<i32> {
        self.take_signal();
        self.stopped
    }

    /// Readable when a signal has come.
    pub fn signals(&self) -> BorrowedFd<'_> {
        self.signals.as_fd()
    }

    fn take_signal(&mut self) -> bool {
        let mut seen = false;
        while let Ok(Some(info)) = self.signals.read_signal() {
            self.stopped.get_or_insert(info.ssi_signo as i32);
            seen = true;
        }
        seen
    }

    /// Runs one cell to its end.
    pub fn observe(&mut self, settings: &Settings, wish: &Wish) -> Observation {
        let plan = Plan {
            parent: std::process::id() as i32,
            trace: wish.trace,
            count_with: wish.count_with.clone(),
            timeline: wish.timeline,
            step: false,
            repetition: wish.repetition,
            settings: settings.clone(),
        };
        let invalid = |reason: String| Observation::empty(End::Invalid { reason, again: false });
        let mut child = match Process::start(&plan, self.body) {
            Ok(child) => child,
            Err(e) => return invalid(format!("cannot start the cell's process: {e}")),
        };
        let said = self.listen(&mut child);
        if let Ok(text) = &said
            && let Ok(found) = serde_json::from_str(text)
        {
            self.ending.push_back(child);
            self.reap(ENDING);
            return found;
        }
        let status = end(&mut child);
        match said {
            Err(reason) => invalid(reason),
            Ok(_) if self.stopped.is_some() => Observation::empty(End::Interrupted),
            Ok(_) => invalid(match status {
                Ok(how) => format!("the cell's process ended without a result ({how})"),
                Err(e) => format!("the cell's process was lost: {e}"),
            }),
        }
    }

    /// Waits for ending cells until at most `left` are left.
    fn reap(&mut self, left: usize) {
        while self.ending.len() > left
            && let Some(mut child) = self.ending.pop_front()
        {
            let _ = end(&mut child);
        }
    }

    /// Reads the one line that the child says; passes signals on.
    fn listen(&mut self, child: &mut Process) -> Result<String, String> {
        let pid = child.pid();
        let out = &mut child.says;
        let mut text = Vec::new();
        let mut deadline = Instant::now() + CELL_LIMIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let _ = kill(pid, Signal::SIGKILL);
                if self.stopped.is_some() {
                    return Ok(String::new());
                }
                return Err(format!("the cell did not end within {} s", CELL_LIMIT.as_secs()));
            }
            let timeout = PollTimeout::try_from(left.min(Duration::from_secs(1))).expect("one second fits");
            let mut fds =
                [PollFd::new(out.as_fd(), PollFlags::POLLIN), PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(format!("poll: {errno}")),
            }
            let (speaks, signalled) = (fds[0].any() == Some(true), fds[1].any() == Some(true));
            if signalled {
                let again = self.stopped.is_some();
                if self.take_signal() {
                    // The second one means now.
                    let how = if again { Signal::SIGKILL } else { Signal::SIGTERM };
                    let _ = kill(pid, how);
                    deadline = deadline.min(Instant::now() + GRACE);
                }
            }
            if speaks {
                let mut chunk = [0; 65_536];
                match out.read(&mut chunk) {
                    Ok(0) => return Ok(String::from_utf8_lossy(&text).into_owned()),
                    Ok(length) => text.extend_from_slice(&chunk[..length]),
                    Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(format!("cannot read from the cell: {e}")),
                }
                if text.last() == Some(&b'\n') {
                    return Ok(String::from_utf8_lossy(&text).into_owned());
                }
            }
        }
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.reap(0);
    }
}

/// Waits for a cell that says nothing more, and for what it left; says how it ended.
fn end(child: &mut Process) -> std::io::Result<String> {
    let how = child.wait();
    reap_orphans(child.pid());
    how
}

/// Reaps workers whose coordinator is gone; they die with it (PDEATHSIG).
///
/// Only those of its process group: who starts herd by exec may have left us
/// children of his own, and those live as long as they like.
pub(super) fn reap_orphans(coordinator: Pid) {
    let group = Pid::from_raw(-coordinator.as_raw());
    let deadline = Instant::now() + REAP_LIMIT;
    while Instant::now() < deadline {
        match waitpid(group, Some(WaitPidFlag::WNOHANG)) {
            Err(_) => return,
            Ok(WaitStatus::StillAlive) => {
                let _ = nix::sched::sched_yield();
            }
            Ok(_) => {}
        }
    }
}
