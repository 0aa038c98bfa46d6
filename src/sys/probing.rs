//! System calls that no crate wraps, each tried once and undone.
//!
//! For finding out what a kernel can do. Nothing here may block, change the
//! process, or leave an object, a descriptor or a child behind.

use std::io;

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::bpf_asm::{Asm, R0};
use super::bpf_call::{self, LockedMemoryLimit, MapKind};
use super::child::fork_raw;
use super::tracepoint::{self, Tracepoint};

/// sched_switch is there on CPU 0 of every machine that has it at all.
const ANY_CPU: u32 = 0;

/// A child in the new namespaces that `flags` (CLONE_NEW..) ask for, which ends
/// at once and takes them along. Our own namespaces stay as they are.
pub fn child_in_namespaces(flags: libc::c_int) -> Result<(), Errno> {
    in_child(flags, || Ok(()))
}

/// What `call`, which makes nothing but one system call, says in a child.
pub fn in_child(flags: libc::c_int, call: fn() -> Result<(), Errno>) -> Result<(), Errno> {
    // SAFETY: the child makes one system call and then _exit, which is
    // async-signal-safe; an errno fits its exit code.
    let pid = unsafe {
        let pid = fork_raw((flags | libc::SIGCHLD) as libc::c_ulong);
        if pid == 0 {
            libc::_exit(call().map_or_else(|errno| errno as i32, |()| 0));
        }
        pid
    };
    let child = Pid::from_raw(Errno::result(pid)? as i32);
    loop {
        match waitpid(child, Some(WaitPidFlag::__WALL)) {
            Err(Errno::EINTR) => {}
            Ok(WaitStatus::Exited(_, 0)) => return Ok(()),
            Ok(WaitStatus::Exited(_, errno)) => return Err(Errno::from_raw(errno)),
            Ok(_) => return Err(Errno::ECHILD),
            Err(errno) => return Err(errno),
        }
    }
}

/// Whether the sched tracepoints can be read.
pub fn tracefs() -> Result<(), String> {
    Tracepoint::sched("sched_switch").map(drop).map_err(|e| e.to_string())
}

/// Opens a tracepoint as a perf event, for all tasks of one CPU.
pub fn perf_tracepoint() -> Result<(), String> {
    let switch = Tracepoint::sched("sched_switch").map_err(|e| e.to_string())?;
    tracepoint::open_event(&switch, ANY_CPU, 0).map(drop).map_err(|e| format!("perf_event_open: {}", named(&e)))
}

/// Makes a map that can be mapped into memory and loads a program that does
/// nothing; nothing is attached.
pub fn bpf() -> Result<(), String> {
    let _limit = LockedMemoryLimit::lift();
    bpf_call::create_map(MapKind::MappableArray, 8, 1).map_err(|e| e.to_string())?;
    let mut nothing = Asm::default();
    nothing.mov_imm(R0, 1);
    nothing.exit();
    bpf_call::load("probe", &nothing.finish()).map(drop).map_err(|e| e.to_string())
}

/// An error of the system by the name of its errno.
pub fn named(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |raw| format!("{:?}", Errno::from_raw(raw)))
}
