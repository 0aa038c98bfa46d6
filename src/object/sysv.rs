//! System V semaphore and message queue; one event is one unit or one message.
//!
//! Both are made so that nobody wakes for nothing: the waker does the sleeper's
//! operation for it and wakes those whose operation is done. A semaphore:
//! ipc/sem.c, `do_smart_update`, `update_queue`, `perform_atomic_semop`. A queue:
//! ipc/msg.c, `pipelined_send` hands the message to the first receiver it suits.
//! Both serve first come, first served.
//!
//! The objects outlive their processes; see `sys::sysv` for what removes them.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use nix::errno::Errno;

use super::{Object, refuse_extras};
use crate::cell::contract::{Asleep, Call, Claim, Door, During, Injector, Opened, SetupError, Source};
use crate::experiment::Settings;
use crate::sys::sysv::{self, Kept, Kind};

/// One of the two.
pub struct SysV(Kind);

pub const SEMAPHORE: SysV = SysV(Kind::Semaphore);
pub const QUEUE: SysV = SysV(Kind::Queue);

impl Object for SysV {
    fn name(&self) -> &'static str {
        match self.0 {
            Kind::Semaphore => "sysv-sem",
            Kind::Queue => "sysv-msg",
        }
    }

    fn about(&self) -> &'static str {
        match self.0 {
            Kind::Semaphore => "System V semaphore; an event is semop(+1)",
            Kind::Queue => "System V message queue; an event is a message",
        }
    }

    fn needs(&self, _: &Settings) -> Option<&'static str> {
        Some(match self.0 {
            Kind::Semaphore => "sysv_sem",
            Kind::Queue => "sysv_msg",
        })
    }

    fn has_descriptor(&self) -> bool {
        false
    }

    fn queues(&self) -> bool {
        true
    }

    fn refuse(&self, settings: &Settings) -> Option<String> {
        refuse_extras(self, settings)
    }

    fn open(&self, _: &Settings, _block: bool) -> Result<Opened, SetupError> {
        let call = match self.0 {
            Kind::Semaphore => Call::Semget,
            Kind::Queue => Call::Msgget,
        };
        let kept = Kept::new(self.0).during(call)?;
        let door = Arc::new(SysVDoor { kind: self.0, id: kept.id() });
        Ok(Opened { injector: Box::new(Sender { kind: self.0, kept, sent: 0 }), door })
    }
}

struct SysVDoor {
    kind: Kind,
    id: i32,
}

impl Door for SysVDoor {
    fn sources(&self, _index: u32) -> Result<Vec<Box<dyn Source>>, SetupError> {
        Ok(vec![Box::new(Taker { kind: self.kind, id: self.id })])
    }
}

/// The object as one worker has it.
struct Taker {
    kind: Kind,
    id: i32,
}

impl Source for Taker {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn claim(&mut self) -> Result<Claim, Errno> {
        let tag = match self.kind {
            Kind::Semaphore => sysv::change(self.id, -1).map(|()| 0),
            Kind::Queue => sysv::receive(self.id),
        };
        tag.map(|tag| Claim { tag })
    }

    fn asleep(&self) -> Asleep {
        let calls: &[i64] = match self.kind {
            Kind::Semaphore => &[libc::SYS_semop, libc::SYS_semtimedop],
            Kind::Queue => &[libc::SYS_msgrcv],
        };
        Asleep::at(calls, u64::try_from(self.id).ok())
    }

    fn identity(&self) -> u64 {
        self.id as u64
    }
}

struct Sender {
    kind: Kind,
    kept: Kept,
    sent: u32,
}

impl Injector for Sender {
    fn fire(&mut self) -> Result<u32, SetupError> {
        match self.kind {
            Kind::Semaphore => sysv::change(self.kept.id(), 1).during(Call::Semop)?,
            Kind::Queue => {
                // 0 would mean "cannot tell".
                self.sent = self.sent.checked_add(1).unwrap_or(1);
                sysv::send(self.kept.id(), self.sent).during(Call::Msgsnd)?;
            }
        }
        Ok(self.sent)
    }

    fn under_way(&mut self, _missing: u64) -> io::Result<bool> {
        Ok(false)
    }

    fn left(&mut self) -> io::Result<u64> {
        Ok(match self.kind {
            Kind::Semaphore => sysv::value(self.kept.id())?,
            Kind::Queue => sysv::queued(self.kept.id())?,
        })
    }

    fn retire(&mut self, _left: bool) {}
}
