//! Probes of what we may do here: namespaces, tracing, cgroups, schedulers.

use std::fs;

use nix::errno::Errno;

use super::Trying;
use crate::cgroup::CpuGroup;
use crate::sys::{cpus, probing};

/// What a probing group may use; nobody is ever in it.
const QUOTA_US: u64 = 10_000;
const PERIOD_US: u64 = 100_000;

pub fn netns() -> Result<(), String> {
    match probing::child_in_namespaces(libc::CLONE_NEWNET) {
        // The owner of a new user namespace may make all others in it.
        Err(Errno::EPERM) => probing::child_in_namespaces(libc::CLONE_NEWUSER | libc::CLONE_NEWNET)
            .trying("clone(CLONE_NEWUSER, CLONE_NEWNET)"),
        other => other.trying("clone(CLONE_NEWNET)"),
    }
}

pub fn userns() -> Result<(), String> {
    probing::child_in_namespaces(libc::CLONE_NEWUSER).trying("clone(CLONE_NEWUSER)")
}

pub fn tracefs() -> Result<(), String> {
    probing::tracefs()
}

pub fn perf_tracepoint() -> Result<(), String> {
    probing::perf_tracepoint()
}

pub fn bpf() -> Result<(), String> {
    probing::bpf()
}

pub fn sched_ext() -> Result<(), String> {
    // Loading one would change the scheduler of everybody, so its switchboard
    // must do.
    let file = "/sys/kernel/sched_ext/state";
    fs::read_to_string(file).map(drop).trying(file)
}

pub fn cgroup_cpu_controller() -> Result<(), String> {
    // Each of our threads has a name of its own, and it is gone at once.
    let group = CpuGroup::place(&format!("herd-probe-{}", nix::unistd::gettid()))?;
    group.make(QUOTA_US, PERIOD_US).trying(&format!("making the group {}", group.folder().display()))?;
    group.remove().trying("removing it")
}

pub fn sched_fifo() -> Result<(), String> {
    probing::in_child(0, || cpus::set_policy(libc::SCHED_FIFO, 1)).trying("sched_setscheduler(SCHED_FIFO)")
}

pub fn nice_below_zero() -> Result<(), String> {
    probing::in_child(0, || cpus::set_nice(-1)).trying("setpriority")
}
