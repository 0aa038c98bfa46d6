//! System calls that no crate wraps, each tried once and undone.
//!
//! For finding out what a kernel can do. Nothing here may block, change the
//! process, or leave an object, a descriptor or a child behind.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::AtomicU32;

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::bpf_asm::{Asm, R0};
use super::bpf_call::{self, LockedMemoryLimit, MapKind};
use super::tracepoint::{self, Tracepoint};

/// Size bits of a futex2 word of 32 bits, and "not shared between processes".
const FUTEX2_SIZE_U32: libc::c_uint = 2;
const FUTEX2_PRIVATE: libc::c_uint = 128;
/// futex_wake(2), the same number on every architecture.
const SYS_FUTEX_WAKE: libc::c_long = 454;
/// sched_switch is there on CPU 0 of every machine that has it at all.
const ANY_CPU: u32 = 0;

fn checked(result: libc::c_long) -> Result<libc::c_long, Errno> {
    if result < 0 { Err(Errno::last()) } else { Ok(result) }
}

/// epoll_pwait2(2) with a timeout of 0 on an empty instance.
pub fn epoll_pwait2(instance: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut event = libc::epoll_event { events: 0, u64: 0 };
    let none = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let no_mask = std::ptr::null::<libc::sigset_t>();
    // SAFETY: room for the one event we ask for; event and timeout outlive the
    // call; without a mask its size is not looked at.
    let result = unsafe {
        libc::syscall(libc::SYS_epoll_pwait2, instance.as_raw_fd(), &raw mut event, 1, &raw const none, no_mask, 0usize)
    };
    checked(result).map(drop)
}

/// `struct futex_waitv` (futex_waitv(2)).
#[repr(C)]
struct FutexWaitv {
    value: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

/// futex_waitv(2) on a word that has another value: EAGAIN is its answer.
pub fn futex_waitv() -> Result<(), Errno> {
    let word = AtomicU32::new(1);
    let waiter =
        FutexWaitv { value: 0, address: word.as_ptr() as u64, flags: FUTEX2_SIZE_U32 | FUTEX2_PRIVATE, reserved: 0 };
    let no_timeout = std::ptr::null::<libc::timespec>();
    // SAFETY: one waiter is passed, and it and the word outlive the call, which
    // cannot sleep, as the word never has the value waited for.
    let result = unsafe { libc::syscall(libc::SYS_futex_waitv, &raw const waiter, 1, 0, no_timeout, 0) };
    match checked(result) {
        Err(Errno::EAGAIN) => Ok(()),
        other => other.map(drop),
    }
}

/// futex_wake(2), of the second family of futex calls, on a word nobody sleeps on.
pub fn futex2_wake() -> Result<(), Errno> {
    let word = AtomicU32::new(0);
    let every_bit = libc::c_ulong::from(u32::MAX);
    // SAFETY: the kernel looks only at the address of a live word.
    let result =
        unsafe { libc::syscall(SYS_FUTEX_WAKE, word.as_ptr(), every_bit, 1, FUTEX2_SIZE_U32 | FUTEX2_PRIVATE) };
    checked(result).map(drop)
}

/// pidfd_open(2) on ourselves.
pub fn pidfd_open() -> Result<(), Errno> {
    // SAFETY: only numbers are passed.
    let fd = checked(unsafe { libc::syscall(libc::SYS_pidfd_open, std::process::id() as libc::pid_t, 0) })?;
    // SAFETY: the kernel just made this descriptor, close-on-exec, for us alone.
    drop(unsafe { OwnedFd::from_raw_fd(fd as i32) });
    Ok(())
}

/// A System V semaphore set of our own: made, raised by one, removed.
pub fn sysv_semaphore() -> Result<(), Errno> {
    // SAFETY: only numbers are passed.
    let id = Errno::result(unsafe { libc::semget(libc::IPC_PRIVATE, 1, 0o600) })?;
    let mut raise = libc::sembuf { sem_num: 0, sem_op: 1, sem_flg: libc::IPC_NOWAIT as libc::c_short };
    // SAFETY: one operation is passed and outlives the call, which cannot sleep.
    let used = Errno::result(unsafe { libc::semop(id, &raw mut raise, 1) });
    // SAFETY: removing takes no fourth argument.
    let removed = Errno::result(unsafe { libc::semctl(id, 0, libc::IPC_RMID) });
    used.and(removed).map(drop)
}

/// A System V message queue of our own: made, sent an empty message, removed.
pub fn sysv_queue() -> Result<(), Errno> {
    // SAFETY: only numbers are passed.
    let id = Errno::result(unsafe { libc::msgget(libc::IPC_PRIVATE, 0o600) })?;
    let kind: libc::c_long = 1;
    // SAFETY: a message is its type, a long, and here no byte more.
    let used = Errno::result(unsafe { libc::msgsnd(id, (&raw const kind).cast(), 0, libc::IPC_NOWAIT) });
    // SAFETY: removing takes no buffer.
    let removed = Errno::result(unsafe { libc::msgctl(id, libc::IPC_RMID, std::ptr::null_mut()) });
    used.and(removed).map(drop)
}

/// Lets socket number `index` of the SO_REUSEPORT group of `member` have
/// everything, by a classic BPF program of one instruction.
pub fn steer_group(member: BorrowedFd<'_>, index: u32) -> Result<(), Errno> {
    let mut answer =
        libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as libc::c_ushort, jt: 0, jf: 0, k: index };
    let program = libc::sock_fprog { len: 1, filter: &raw mut answer };
    // SAFETY: the option's value is the program, whose one instruction outlives
    // the call; the kernel copies both.
    let result = unsafe {
        libc::setsockopt(
            member.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    Errno::result(result).map(drop)
}

/// A child in the new namespaces that `flags` (CLONE_NEW..) ask for, which ends
/// at once and takes them along. Our own namespaces stay as they are.
pub fn child_in_namespaces(flags: libc::c_int) -> Result<(), Errno> {
    let flags = (flags | libc::SIGCHLD) as libc::c_ulong;
    // SAFETY: without CLONE_VM and a stack this is fork(2): the child has a copy
    // of our memory, in which another thread may have held a lock, so it calls
    // nothing but _exit, which is async-signal-safe.
    let pid = unsafe {
        // s390 alone has the stack first.
        #[cfg(target_arch = "s390x")]
        let pid = libc::syscall(libc::SYS_clone, 0usize, flags, 0usize, 0usize, 0usize);
        #[cfg(not(target_arch = "s390x"))]
        let pid = libc::syscall(libc::SYS_clone, flags, 0usize, 0usize, 0usize, 0usize);
        if pid == 0 {
            libc::_exit(0);
        }
        pid
    };
    let child = Pid::from_raw(checked(pid)? as i32);
    loop {
        match waitpid(child, Some(WaitPidFlag::__WALL)) {
            Err(Errno::EINTR) => {}
            Ok(WaitStatus::Exited(_, 0)) => return Ok(()),
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
