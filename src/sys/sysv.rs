//! System V semaphores and message queues, which outlive every process that uses
//! them, so that a keeper has to see to it that ours do not.

use std::io;

use nix::errno::Errno;

use super::keeper::Keeper;

/// What the keeper keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Semaphore,
    Queue,
}

/// An object of ours, which ends with the last process that has it.
pub struct Kept {
    kind: Kind,
    keeper: Keeper,
}

impl Kept {
    /// Makes one. Call it before there are threads; forked children share it.
    pub fn new(kind: Kind) -> io::Result<Kept> {
        // Removing fails where the maker has done it already.
        let keeper = Keeper::start(
            || make(kind),
            |id| {
                let _ = remove(kind, id);
            },
        )?;
        Ok(Kept { kind, keeper })
    }

    pub fn id(&self) -> i32 {
        self.keeper.number()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.keeper.is_ours() {
            let _ = remove(self.kind, self.id());
        }
    }
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
