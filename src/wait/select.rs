//! select(2) or pselect(2) without a limit, then a claim that does not block.
//!
//! The loop: select on a fresh set; registered and woken like poll (fs/select.c,
//! `do_select`). Must refuse a descriptor that does not fit an fd_set: the C
//! library would write past its end.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::select::{FD_SETSIZE, FdSet, pselect, select};

use super::poll::{above_all, watched};
use super::{Wait, only_for_epoll};
use crate::cell::contract::{Asleep, Call, Interest, Refusal, SELECT, SetupError, SharedWait, Sleeper, Source, Woken};
use crate::experiment::Settings;
use crate::experiment::settings::{WaitCall, WorkerSettings};

/// select(2).
pub struct Select;

impl Wait for Select {
    fn name(&self) -> &'static str {
        "select"
    }

    fn about(&self) -> &'static str {
        "select(2), then a claim that does not block"
    }

    fn refuse(&self, worker: &WorkerSettings, _: &Settings) -> Option<Refusal> {
        only_for_epoll(worker, self.name())
    }

    fn open(
        &self,
        worker: &WorkerSettings,
        _: &SharedWait,
        sources: &[Box<dyn Source>],
    ) -> Result<Box<dyn Sleeper>, SetupError> {
        let fds = watched(sources)?;
        let above = above_all(&fds);
        if above as usize > FD_SETSIZE {
            return Err(SetupError { call: Call::Select, errno: Errno::EINVAL });
        }
        let interest = sources.iter().map(|source| source.interest());
        let fds = fds.into_iter().zip(interest).collect();
        Ok(Box::new(Selecting { fds, above, pselect: worker.call == WaitCall::Pselect6 }))
    }
}

struct Selecting {
    fds: Vec<(OwnedFd, Interest)>,
    above: i32,
    pselect: bool,
}

impl Sleeper for Selecting {
    fn wait(&mut self, _: &mut [Box<dyn Source>], ready: &mut Vec<usize>) -> Woken {
        let (mut readable, mut writable) = (FdSet::new(), FdSet::new());
        for (fd, interest) in &self.fds {
            match interest {
                Interest::Readable => readable.insert(fd.as_fd()),
                Interest::Writable => writable.insert(fd.as_fd()),
            }
        }
        let woken = match self.pselect {
            true => pselect(self.above, &mut readable, &mut writable, None, None, None),
            false => select(self.above, &mut readable, &mut writable, None, None),
        };
        match woken {
            Ok(_) => {
                let hit = |fd: &OwnedFd| readable.contains(fd.as_fd()) || writable.contains(fd.as_fd());
                let hits = self.fds.iter().enumerate().filter(|(_, (fd, _))| hit(fd));
                ready.extend(hits.map(|(i, _)| i));
                Woken::Ready
            }
            Err(errno) => Woken::Failed(errno),
        }
    }

    fn asleep(&self, _: &[Box<dyn Source>]) -> Asleep {
        Asleep::at(if self.pselect { &[libc::SYS_pselect6] } else { SELECT }, u64::try_from(self.above).ok())
    }
}
