//! Somebody who holds descriptors and does nothing else.

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::sys;

/// A child that keeps open what was open when it was forked.
pub struct Holder(Pid);

impl Holder {
    pub fn start() -> std::io::Result<Holder> {
        let parent = nix::unistd::getpid();
        let pid = sys::fork::fork_running(|| {
            if sys::fork::die_with(parent).is_err() || sys::signal::default_termination().is_err() {
                return 1;
            }
            loop {
                nix::unistd::pause();
            }
        })?;
        Ok(Holder(pid))
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // Not reaped yet, so the number is still ours.
        let _ = kill(self.0, Signal::SIGKILL);
        let _ = waitpid(self.0, None);
    }
}
