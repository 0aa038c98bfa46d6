//! The one clock of the lab, and what this process has used of the CPUs.

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_gettime};

/// CLOCK_MONOTONIC in nanoseconds, comparable between processes of one machine.
pub fn now_ns() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("CLOCK_MONOTONIC always exists");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

/// CPU time of the calling thread in nanoseconds (CLOCK_THREAD_CPUTIME_ID).
pub fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("CLOCK_THREAD_CPUTIME_ID always exists");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

/// CPU time in nanoseconds, to the microsecond.
pub fn cpu_ns_of(usage: &Usage) -> u64 {
    (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as u64 * 1000
}

/// CPU time of this process so far, in nanoseconds.
pub fn cpu_ns() -> u64 {
    cpu_ns_of(&getrusage(UsageWho::RUSAGE_SELF).expect("getrusage cannot fail for ourselves"))
}
