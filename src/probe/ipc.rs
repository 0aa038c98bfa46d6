//! Probes of futexes, file locks and the two families of IPC objects.

use std::ffi::CString;
use std::sync::atomic::AtomicU64;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::mqueue::{MQ_OFlag, MqAttr, mq_attr_member_t, mq_close, mq_open, mq_send, mq_unlink};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::Mode;

use super::Trying;
use crate::sys::{futex, sysv};

pub fn futex_waitv() -> Result<(), String> {
    // The word has another value than the one waited for: EAGAIN is the answer.
    match futex::wait_any([&AtomicU64::new(1)], [0]) {
        Err(Errno::EAGAIN) => Ok(()),
        other => other.map(drop).trying("futex_waitv"),
    }
}

pub fn futex2() -> Result<(), String> {
    futex::wake2(&AtomicU64::new(0), 1).map(drop).trying("futex_wake")
}

pub fn ofd_locks() -> Result<(), String> {
    // Memory takes locks as well, and leaves no file.
    let file = memfd_create("herd-probe", MFdFlags::MFD_CLOEXEC).trying("memfd_create")?;
    let whole = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_OFD_SETLK(&whole)).map(drop).trying("fcntl(F_OFD_SETLK)")
}

pub fn posix_mq() -> Result<(), String> {
    let one: mq_attr_member_t = 1;
    let small = MqAttr::new(0, one, one, 0);
    let flags = MQ_OFlag::O_CREAT | MQ_OFlag::O_EXCL | MQ_OFlag::O_WRONLY | MQ_OFlag::O_NONBLOCK;
    // Each of our threads has a name of its own, and it is gone at once.
    let name = CString::new(format!("/herd-probe-{}", nix::unistd::gettid())).expect("no NUL in digits");
    let queue = mq_open(name.as_c_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR, Some(&small)).trying("mq_open")?;
    let unlinked = mq_unlink(name.as_c_str());
    let sent = mq_send(&queue, b"x", 0);
    let closed: Result<(), Errno> = mq_close(queue);
    sent.trying("mq_send")?;
    unlinked.trying("mq_unlink")?;
    closed.trying("mq_close")
}

pub fn sysv_sem() -> Result<(), String> {
    sysv::try_once(sysv::Kind::Semaphore).trying("semget, semop")
}

pub fn sysv_msg() -> Result<(), String> {
    sysv::try_once(sysv::Kind::Queue).trying("msgget, msgsnd")
}
