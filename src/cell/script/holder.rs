//! Somebody who holds descriptors and does nothing else.

use crate::sys;
use crate::sys::fork::Owned;

/// A child that keeps open what was open when it was forked.
///
/// # Errors
/// Those of fork(2).
pub fn start() -> std::io::Result<Owned> {
    let parent = nix::unistd::getpid();
    let pid = sys::fork::fork_running(|| {
        if sys::fork::die_with(parent).is_err() || sys::signal::default_termination().is_err() {
            return 1;
        }
        loop {
            nix::unistd::pause();
        }
    })?;
    Ok(Owned::new(pid))
}
