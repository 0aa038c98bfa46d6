//! What this machine gives a study: CPUs, memory, pages. What it does not give makes the
//! cell a skip with a reason, never a figure of something else.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::figures::{Trouble, refused};
use crate::sys;
use crate::sys::shared::SharedRows;

/// How long all tasks of a study may take to begin.
pub const STARTS: Duration = Duration::from_secs(20);

/// Left to everybody else, in KiB.
const SPARE: u64 = 32 * 1024;

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

/// Memory that children have in common with us.
pub fn shared<const WORDS: usize>(rows: usize) -> Result<SharedRows<WORDS>, Trouble> {
    SharedRows::new(rows).map_err(|e| Trouble::Broken(format!("cannot map shared memory: {e}")))
}

/// Lets others have the CPU until `count` is `wanted`; `what` ends the complaint that it
/// never was.
pub fn all_there(count: &AtomicU64, wanted: u64, what: &str) -> Result<(), Trouble> {
    let began = Instant::now();
    while count.load(Ordering::Acquire) < wanted {
        if began.elapsed() > STARTS {
            let there = count.load(Ordering::Acquire);
            return Err(Trouble::Broken(format!("only {there} of {wanted} {what}")));
        }
        sys::spin::yield_cpu();
    }
    Ok(())
}

/// Whether so much memory can be used without harm to others.
pub fn room_for(kib: u64) -> Result<(), Trouble> {
    let free = available_kib();
    if kib + SPARE <= free {
        return Ok(());
    }
    let mib = |kib: u64| kib.div_ceil(1024);
    Err(Trouble::Unable(format!(
        "this needs {} MiB of memory, and {} MiB are free (MemAvailable, and the limits of our cgroups); choose fewer workers or less \
         touched memory",
        mib(kib + SPARE),
        mib(free)
    )))
}

/// By /proc/meminfo and by the limits of our cgroups, whichever is less.
fn available_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free = text.lines().find_map(|line| line.strip_prefix("MemAvailable:")).and_then(kib).unwrap_or(u64::MAX);
    let groups = crate::cgroup::memory_limits().into_iter();
    groups.filter_map(|limit| Some(limit.most.saturating_sub(limit.used?) / 1024)).fold(free, u64::min)
}

/// The number in `  123 kB`.
pub fn kib(field: &str) -> Option<u64> {
    field.trim().trim_end_matches("kB").trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_no_mistake() {
        assert_eq!(room_for(1), Ok(()));
        assert!(matches!(room_for(1 << 50), Err(Trouble::Unable(why)) if why.contains("MiB are free")));
        assert_eq!(kib("   1234 kB"), Some(1234));
    }
}
