//! What this machine gives a study: CPUs, memory, pages. What it does not give makes the
//! cell a skip with a reason, never a figure of something else.

use super::figures::{Trouble, refused};
use crate::sys;

/// The CPUs that this process may use; never empty.
pub fn cpus() -> Result<Vec<usize>, Trouble> {
    sys::cpus::allowed().map_err(refused("sched_getaffinity"))
}

/// Binds the calling thread, and whomever it makes, to the last of them.
pub fn pin_to_last() -> Result<usize, Trouble> {
    let last = *cpus()?.last().expect("a process has a CPU");
    sys::cpus::pin_to(last).map_err(refused("sched_setaffinity"))?;
    Ok(last)
}
