//! Probes of what we may do here: namespaces, tracing, cgroups, schedulers.

use std::fs;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

use super::Trying;
use crate::cgroup;
use crate::sys::probing;

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
    // Making a group would change the tree that a manager looks after. Ours or
    // one above it must have the files of the controller, or offer it.
    let lists = |file: &String| fs::read_to_string(file).is_ok_and(|t| t.split_whitespace().any(|name| name == "cpu"));
    let offered = cgroup::files("cpu", "cgroup.controllers").into_iter().find(lists);
    let version_1 = || cgroup::files("cpu", "cpu.cfs_quota_us").into_iter().find(|file| Path::new(file).exists());
    let file = offered.or_else(version_1).ok_or("no cgroup of ours has the controller cpu")?;
    let group = Path::new(&file).parent().expect("a file is in a folder");
    access(group, AccessFlags::W_OK).trying(&format!("making a group in {}", group.display()))
}
