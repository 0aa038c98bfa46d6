//! What ends the counting early: a signal to us, or the end of the server's parent.
//! Signals arrive through a descriptor, so they interrupt nothing.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signalfd::SignalFd;
use nix::unistd::Pid;

use crate::sighting::Ending;
use crate::sys::child::pidfd;
use crate::sys::signal::take_over;

pub struct Stop {
    signals: SignalFd,
    parent: OwnedFd,
}

impl Stop {
    /// Takes over SIGINT, SIGTERM and SIGHUP of this process.
    pub fn new(parent: u32) -> Result<Stop, String> {
        let parent = i32::try_from(parent).map_err(|_| format!("no process {parent}"))?;
        let parent = pidfd(Pid::from_raw(parent)).map_err(|errno| match errno {
            Errno::ESRCH => format!("no process {parent} (name the server's parent: ss -ltnp, or its pid file)"),
            // Kernels say one or the other of the number of a thread.
            Errno::EINVAL | Errno::ENOENT => format!("{parent} is a thread or no process: name the server's parent"),
            _ => format!("pidfd_open of process {parent}: {}", errno.desc()),
        })?;
        let signals = take_over().map_err(|errno| format!("cannot take over signals: {}", errno.desc()))?;
        Ok(Stop { signals, parent })
    }

    /// Waits until something ends the counting, at most so long.
    pub fn wait(&mut self, limit: Duration) -> Option<Ending> {
        let timeout = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
        let mut fds =
            [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN), PollFd::new(self.parent.as_fd(), PollFlags::POLLIN)];
        if !matches!(poll(&mut fds, timeout), Ok(count) if count > 0) {
            return None;
        }
        let ended = fds[1].any() == Some(true);
        if let Ok(Some(signal)) = self.signals.read_signal() {
            return Some(Ending::Interrupted(signal.ssi_signo as i32));
        }
        ended.then_some(Ending::ParentEnded)
    }

    /// Whether something has ended it by now.
    pub fn asked(&mut self) -> Option<Ending> {
        self.wait(Duration::ZERO)
    }
}
