//! The CPUs of the calling thread, and its place among others there.

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Those it may run on, in order.
pub fn allowed() -> Result<Vec<usize>, Errno> {
    let set = sched_getaffinity(Pid::from_raw(0))?;
    Ok((0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false)).collect())
}

/// Binds it to one.
pub fn pin_to(cpu: usize) -> Result<(), Errno> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &set)
}

/// Schedules it by `policy` (SCHED_..) with that priority, which is 0 for all but
/// SCHED_FIFO and SCHED_RR. Called directly: musl's function only says ENOSYS.
pub fn set_policy(policy: i32, priority: i32) -> Result<(), Errno> {
    // SAFETY: the kernel reads the first word of a live struct sched_param.
    let result = unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, policy, &raw const priority) };
    Errno::result(result).map(drop)
}

/// Sets the nice value of this thread alone, not of its process (setpriority(2), BUGS).
pub fn set_nice(nice: i32) -> Result<(), Errno> {
    // SAFETY: only numbers are passed.
    Errno::result(unsafe { libc::syscall(libc::SYS_setpriority, libc::PRIO_PROCESS, 0, nice) }).map(drop)
}
