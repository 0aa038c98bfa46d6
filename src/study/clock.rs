//! CPU time: what a busy machine changes least.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_gettime};

use super::figures::{Trouble, refused};
use crate::sys::clock::cpu_ns_of;

/// CPU time of the calling thread.
pub fn of_thread() -> Result<Duration, Trouble> {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).map_err(refused("clock_gettime"))
}

/// CPU time of this process, all threads together.
pub fn of_process() -> Result<Duration, Trouble> {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map(Duration::from).map_err(refused("clock_gettime"))
}

/// CPU time of all children that were waited for (getrusage(2), RUSAGE_CHILDREN).
pub fn of_children() -> Result<Duration, Trouble> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(refused("getrusage"))?;
    Ok(Duration::from_nanos(cpu_ns_of(&usage)))
}

/// Context switches of either kind (getrusage(2)).
pub fn switches(who: UsageWho) -> Result<u64, Trouble> {
    let usage = getrusage(who).map_err(refused("getrusage"))?;
    Ok((usage.voluntary_context_switches() + usage.involuntary_context_switches()) as u64)
}
