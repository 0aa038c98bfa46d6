//! System V semaphores and message queues, which outlive every process that uses
//! them, and the keeper that sees to it that ours do not.
//!
//! The keeper is a process that makes the object, tells its number, and then reads
//! a pipe whose other end all users hold: whatever kills them, the pipe ends, and
//! the keeper removes the object and ends. It has a session of its own, ignores
//! every signal that can be ignored, and holds no other descriptor. Only a SIGKILL
//! of the keeper itself leaves something.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::signal::SigSet;
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, pipe2, setsid};

use super::fork::fork_running;

/// What the keeper keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Semaphore,
    Queue,
}

/// An object of ours, which ends with the last process that has it.
pub struct Kept {
    kind: Kind,
    id: i32,
    maker: Pid,
    keeper: Pid,
    /// Our end of the pipe; dropped before the keeper is waited for.
    users: Option<OwnedFd>,
}

impl Kept {
    /// Makes one. Call it before there are threads; forked children share it.
    pub fn new(kind: Kind) -> io::Result<Kept> {
        let flags = nix::fcntl::OFlag::O_CLOEXEC;
        let (ended, users) = pipe2(flags)?;
        let (answer, told) = pipe2(flags)?;
        let keeper = fork_running(|| keep(kind, ended, told))?;
        let mut id = [0xff; 4];
        let heard = File::from(answer).read_exact(&mut id);
        let id = i32::from_ne_bytes(id);
        let kept = Kept { kind, id, maker: Pid::this(), keeper, users: Some(users) };
        match heard {
            Ok(()) if id >= 0 => Ok(kept),
            // The keeper tells its errno as a negative number.
            Ok(()) => Err(io::Error::from_raw_os_error(-id)),
            Err(e) => Err(e),
        }
    }

    pub fn id(&self) -> i32 {
        self.id
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // A forked child drops only its copy.
        if self.maker == Pid::this() {
            if self.id >= 0 {
                let _ = remove(self.kind, self.id);
            }
            drop(self.users.take());
            let _ = waitpid(self.keeper, None);
        }
    }
}

/// The keeper's life. `ended` ends with the last user.
fn keep(kind: Kind, ended: OwnedFd, told: OwnedFd) -> i32 {
    // Alone in its group, nobody signals it by accident.
    let alone = setsid().map_err(io::Error::from).and_then(|_| Ok(SigSet::all().thread_block()?));
    let closed = alone.and_then(|()| close_all_but(&[ended.as_raw_fd(), told.as_raw_fd()]));
    let made = closed.and_then(|()| make(kind));
    let answer = made.as_ref().map_or_else(|e| -e.raw_os_error().unwrap_or(libc::EIO), |id| *id);
    let heard = File::from(told).write_all(&answer.to_ne_bytes());
    if let Ok(id) = made {
        if heard.is_ok() {
            // Nothing is ever written: this sleeps until the end.
            let _ = File::from(ended).read(&mut [0]);
        }
        // Fails where the maker has removed it already.
        let _ = remove(kind, id);
    }
    0
}

/// Descriptors are inherited: a pipe of somebody else must not stay open here.
fn close_all_but(keep: &[i32]) -> io::Result<()> {
    let open: Vec<i32> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| !keep.contains(fd))
        .collect();
    for fd in open {
        // SAFETY: this process runs nothing but the keeper, which uses no other
        // descriptor; EBADF is that of the directory just read.
        unsafe { libc::close(fd) };
    }
    Ok(())
}

fn make(kind: Kind) -> io::Result<i32> {
    // SAFETY: only numbers are passed.
    let id = unsafe {
        match kind {
            Kind::Semaphore => libc::semget(libc::IPC_PRIVATE, 1, 0o600),
            Kind::Queue => libc::msgget(libc::IPC_PRIVATE, 0o600),
        }
    };
    if id < 0 { Err(io::Error::last_os_error()) } else { Ok(id) }
}

fn remove(kind: Kind, id: i32) -> Result<(), Errno> {
    // SAFETY: removing takes no further argument, and no buffer.
    Errno::result(unsafe {
        match kind {
            Kind::Semaphore => libc::semctl(id, 0, libc::IPC_RMID),
            Kind::Queue => libc::msgctl(id, libc::IPC_RMID, std::ptr::null_mut()),
        }
    })
    .map(drop)
}

/// Makes one, uses it without sleeping, and removes it: whether there are such.
pub fn try_once(kind: Kind) -> io::Result<()> {
    let id = make(kind)?;
    let used = match kind {
        Kind::Semaphore => change(id, 1),
        Kind::Queue => send(id, 0),
    };
    Ok(used.and(remove(kind, id))?)
}

/// semop(2) with one operation on the one semaphore of `id`; sleeps if it takes
/// more than there is.
pub fn change(id: i32, by: i16) -> Result<(), Errno> {
    let mut operation = libc::sembuf { sem_num: 0, sem_op: by, sem_flg: 0 };
    // SAFETY: one operation is passed, and it outlives the call.
    Errno::result(unsafe { libc::semop(id, &raw mut operation, 1) }).map(drop)
}

/// The value of the one semaphore of `id`.
pub fn value(id: i32) -> Result<u64, Errno> {
    // SAFETY: GETVAL takes no fourth argument.
    Errno::result(unsafe { libc::semctl(id, 0, libc::GETVAL) }).map(|n| n as u64)
}

/// A message as msgsnd(2) and msgrcv(2) want it: a type, and here a number.
#[repr(C)]
struct Message {
    kind: libc::c_long,
    tag: u32,
}

/// msgsnd(2) of one number; EAGAIN when the queue is full.
pub fn send(id: i32, tag: u32) -> Result<(), Errno> {
    let message = Message { kind: 1, tag };
    // SAFETY: the message outlives the call; its size is that behind the type.
    Errno::result(unsafe { libc::msgsnd(id, (&raw const message).cast(), size_of::<u32>(), libc::IPC_NOWAIT) })
        .map(drop)
}

/// msgrcv(2) of the first message of any type; sleeps until there is one.
pub fn receive(id: i32) -> Result<u32, Errno> {
    let mut message = Message { kind: 0, tag: 0 };
    let room = size_of::<u32>();
    // SAFETY: there is room for the type and for so many bytes behind it.
    let got = Errno::result(unsafe { libc::msgrcv(id, (&raw mut message).cast(), room, 0, 0) })?;
    if got as usize == room { Ok(message.tag) } else { Err(Errno::EBADMSG) }
}

/// Messages in the queue.
pub fn queued(id: i32) -> Result<u64, Errno> {
    let mut about = std::mem::MaybeUninit::<libc::msqid_ds>::zeroed();
    // SAFETY: the kernel fills the structure, all of which may be zero.
    let about = unsafe {
        Errno::result(libc::msgctl(id, libc::IPC_STAT, about.as_mut_ptr()))?;
        about.assume_init()
    };
    Ok(about.msg_qnum as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_and_come_back_as_sent() {
        let id = make(Kind::Queue).unwrap();
        send(id, 7).unwrap();
        send(id, 8).unwrap();
        assert_eq!((queued(id), receive(id), queued(id)), (Ok(2), Ok(7), Ok(1)));
        remove(Kind::Queue, id).unwrap();
        assert_eq!(queued(id), Err(Errno::EINVAL));
    }

    #[test]
    fn a_semaphore_has_a_value() {
        let id = make(Kind::Semaphore).unwrap();
        change(id, 3).unwrap();
        change(id, -1).unwrap();
        assert_eq!(value(id), Ok(2));
        remove(Kind::Semaphore, id).unwrap();
        assert!(value(id).is_err());
    }
}
