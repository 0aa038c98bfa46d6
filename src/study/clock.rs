//! CPU time: what a busy machine changes least.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use super::figures::{Trouble, refused};

/// CPU time of the calling thread.
pub fn of_thread() -> Result<Duration, Trouble> {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).map_err(refused("clock_gettime"))
}
