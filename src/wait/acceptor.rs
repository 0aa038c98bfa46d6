//! One worker accepts and hands each connection to the others.
//!
//! The loop of the first worker: accept (blocking), send the connection over a
//! unix socket (SCM_RIGHTS), accept again; it never claims. That of the others:
//! recvmsg on the other end, which all of them share; the connection they get is
//! their claim. There the kernel queues them as exclusive waiters, at the tail
//! (net/core/datagram.c, `__skb_wait_for_more_packets`), and sendmsg wakes the
//! first (net/unix/af_unix.c, `unix_dgram_sendmsg`, `sk->sk_data_ready`). So a
//! connection costs two wakeups, one on each side.

use std::os::fd::{AsFd, OwnedFd};

use super::{Demand, Wait, one_shared_listener, whole_cells_only};
use crate::cell::contract::{Asleep, Call, During, Refusal, SetupError, SharedWait, Sleeper, Source, Woken};
use crate::experiment::Settings;
use crate::experiment::settings::WorkerSettings;
use crate::sys;
use crate::sys::handover::{Handover, give, take};

/// A dedicated acceptor.
pub struct Acceptor;

impl Wait for Acceptor {
    fn name(&self) -> &'static str {
        "acceptor"
    }

    fn about(&self) -> &'static str {
        "worker 0 accepts and hands connections to the others (SCM_RIGHTS)"
    }

    fn demand(&self) -> Demand {
        Demand::Connections
    }

    fn shares(&self, _: &WorkerSettings) -> bool {
        true
    }

    fn refuse(&self, worker: &WorkerSettings, cell: &Settings) -> Option<Refusal> {
        let reason = if cell.workers < 2 {
            "acceptor needs somebody to hand connections to: workers = 2 or more"
        } else {
            return whole_cells_only(cell, self.name()).or_else(|| one_shared_listener(worker, cell, self.name()));
        };
        Some(Refusal { reason: reason.into(), forcible: false })
    }

    fn share(&self, _: &WorkerSettings, _: &[Box<dyn Source>]) -> Result<SharedWait, SetupError> {
        let handover = Handover::new().during(Call::Socketpair)?;
        Ok(SharedWait { handover: Some(handover), ..SharedWait::default() })
    }

    fn open(
        &self,
        _: &WorkerSettings,
        shared: &SharedWait,
        _: &[Box<dyn Source>],
    ) -> Result<Box<dyn Sleeper>, SetupError> {
        let handover = shared.handover.as_ref().expect("share() made it");
        // Workers register one by one, in their order.
        Ok(match handover.take_seat() {
            0 => Box::new(Accepting { giver: handover.giver().try_clone_to_owned().during(Call::Fcntl)? }),
            _ => Box::new(Receiving { taker: handover.taker().try_clone_to_owned().during(Call::Fcntl)? }),
        })
    }
}

struct Accepting {
    giver: OwnedFd,
}

impl Sleeper for Accepting {
    fn wait(&mut self, sources: &mut [Box<dyn Source>], _ready: &mut Vec<usize>) -> Woken {
        let listener = sources[0].descriptor().expect("a listener has a descriptor");
        let passed =
            sys::socket::accept(listener).and_then(|(connection, _)| give(self.giver.as_fd(), connection.as_fd()));
        passed.map_or_else(Woken::Failed, |()| Woken::Passed)
    }

    fn asleep(&self, sources: &[Box<dyn Source>]) -> Asleep {
        sources[0].asleep()
    }
}

struct Receiving {
    taker: OwnedFd,
}

impl Sleeper for Receiving {
    fn wait(&mut self, sources: &mut [Box<dyn Source>], _ready: &mut Vec<usize>) -> Woken {
        match take(self.taker.as_fd()) {
            Ok(connection) => Woken::Claimed(sources[0].accepted(connection)),
            Err(errno) => Woken::Failed(errno),
        }
    }

    fn asleep(&self, _: &[Box<dyn Source>]) -> Asleep {
        Asleep::on(&[libc::SYS_recvmsg], &self.taker)
    }
}
