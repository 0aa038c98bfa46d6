//! Children of a study. They die with it, and dropping one kills it and waits for it.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, pipe2, read};

use super::figures::{Figures, Trouble, refused};
use crate::sys::fork::{Alone, die_with};

/// A child that was not waited for yet.
pub struct Child {
    pid: Pid,
    waited: bool,
}

impl Child {
    /// Forks; the child runs `body` and exits with what it returns.
    pub fn start(alone: &Alone, figures: &mut Figures, body: impl FnOnce() -> i32) -> Result<Child, Trouble> {
        let parent = nix::unistd::getpid();
        let pid = alone.fork(|| if die_with(parent).is_ok() { body() } else { 1 }).map_err(refused("fork"))?;
        figures.made(1);
        Ok(Child { pid, waited: false })
    }

    pub fn pid(&self) -> Pid {
        self.pid
    }

    pub fn signal(&self, signal: Signal) -> Result<(), Trouble> {
        kill(self.pid, signal).map_err(refused("kill"))
    }

    /// Sleeps until it has ended. The limit is that of the whole study.
    pub fn wait(mut self, figures: &mut Figures) -> Result<WaitStatus, Trouble> {
        let status = waitpid(self.pid, None).map_err(refused("waitpid"))?;
        self.waited = true;
        figures.reaped(1);
        Ok(status)
    }

    /// The same; it must have ended with 0.
    pub fn ends_well(self, who: &str, figures: &mut Figures) -> Result<(), Trouble> {
        match self.wait(figures)? {
            WaitStatus::Exited(_, 0) => Ok(()),
            other => Err(Trouble::Broken(format!("{who} ended as {other:?}"))),
        }
    }

    /// A child that has our memory and does nothing until a byte comes.
    pub fn sleeper(alone: &Alone, figures: &mut Figures) -> Result<(Child, OwnedFd), Trouble> {
        let (from, to) = pipe2(OFlag::O_CLOEXEC).map_err(refused("pipe2"))?;
        let child = Child::start(alone, figures, || i32::from(read(&from, &mut [0]) != Ok(1)))?;
        Ok((child, to))
    }

    /// Sends the byte and sees it end.
    pub fn ends_by_a_byte(self, to: OwnedFd, figures: &mut Figures) -> Result<(), Trouble> {
        let written = File::from(to).write_all(&[1]);
        written.map_err(|e| Trouble::Broken(format!("cannot write to the pipe: {e}")))?;
        self.ends_well("a child", figures)
    }

    /// Computes until it is killed; one that nobody ends does so itself after `longest`.
    pub fn spinner(alone: &Alone, figures: &mut Figures, longest: Duration) -> Result<Child, Trouble> {
        Child::start(alone, figures, || {
            let began = Instant::now();
            while began.elapsed() < longest {
                std::hint::spin_loop();
            }
            0
        })
    }

    /// Kills it, and sees it end.
    pub fn end(self, figures: &mut Figures) -> Result<(), Trouble> {
        self.signal(Signal::SIGKILL)?;
        self.wait(figures).map(drop)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.waited {
            let _ = kill(self.pid, Signal::SIGKILL);
            let _ = waitpid(self.pid, None);
        }
    }
}

/// For a study that forks: there is one thread, which stays alone.
pub fn alone() -> Result<Alone, Trouble> {
    Alone::sure().map_err(|e| Trouble::Broken(e.to_string()))
}
