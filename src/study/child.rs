//! Children of a study. They die with it, and dropping one kills it and waits for it.

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

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
