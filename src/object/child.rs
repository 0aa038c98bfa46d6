//! Children that end; one event is the end of one child.
//!
//! `do_wait` (kernel/exit.c) puts every waiting thread of the parent on one queue,
//! not exclusive, and `__wake_up_parent` walks it for each child that ends. The
//! entry's callback lets those sleep on that wait for somebody else
//! (`child_wait_callback`; `pid_child_should_wake` since Linux 6.7): so all threads
//! in waitpid(-1) wake, and of threads that each wait for a child of their own
//! only one. A pidfd has a wait queue per process (kernel/fork.c, `pidfd_poll`).
//!
//! A child sleeps in read(2) on a pipe of the injector's; whoever reaps it forks
//! the next one before it waits again. In mode any there is one child more than
//! workers, so that a thread which comes too late sleeps on instead of returning
//! ECHILD.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, pipe2, write};

use super::{Object, mode, refuse_extras};
use crate::cell::contract::{Asleep, Call, Claim, Door, During, Injector, Opened, SetupError, Source};
use crate::experiment::Settings;
use crate::sys::shared::SharedRows;
use crate::sys::{child, spin, stat};

/// waitpid(2), or a pidfd.
pub struct Child {
    pidfd: bool,
}

pub const CHILD: Child = Child { pidfd: false };
pub const PIDFD: Child = Child { pidfd: true };

/// What a worker waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    Any,
    Own,
    Pidfd,
}

impl Object for Child {
    fn name(&self) -> &'static str {
        if self.pidfd { "pidfd" } else { "child" }
    }

    fn about(&self) -> &'static str {
        if self.pidfd {
            "a pidfd of a child for each worker; an event is the end of a child"
        } else {
            "threads in waitpid(2); an event is the end of a child"
        }
    }

    fn modes(&self) -> &'static [(&'static str, &'static str)] {
        if self.pidfd {
            return &[];
        }
        &[("any", "waitpid(-1): every thread waits for any child"), ("own", "every thread waits for its own child")]
    }

    fn needs(&self, _: &Settings) -> Option<&'static str> {
        self.pidfd.then_some("pidfd_open")
    }

    fn has_descriptor(&self) -> bool {
        self.pidfd
    }

    fn refuse(&self, settings: &Settings) -> Option<String> {
        if !self.pidfd && settings.placement().processes > 1 {
            return Some(
                "only a child's parent can wait for it, so the workers must be threads of one process; \
                 use placement = \"threads\", or object = \"pidfd\" with a child for each worker"
                    .into(),
            );
        }
        refuse_extras(self, settings)
    }

    fn open(&self, settings: &Settings, block: bool) -> Result<Opened, SetupError> {
        let waits = match (self.pidfd, mode(self, settings)) {
            (true, _) => Waits::Pidfd,
            (false, "own") => Waits::Own,
            (false, _) => Waits::Any,
        };
        let workers = settings.workers as usize;
        let pipes = if waits == Waits::Any { 1 } else { workers };
        let family = Arc::new(Family {
            waits,
            sleeps: block,
            pipes: (0..pipes).map(|_| pipe2(OFlag::O_CLOEXEC).during(Call::Pipe)).collect::<Result<_, _>>()?,
            living: SharedRows::new(workers + 1).during(Call::Mmap)?,
        });
        Ok(Opened { injector: Box::new(Ender { family: family.clone(), next: 0 }), door: Arc::new(FamilyDoor(family)) })
    }
}

/// All children, as far as workers and injector share them.
struct Family {
    waits: Waits,
    /// Whether a claim sleeps.
    sleeps: bool,
    /// The ends that children read and that the injector writes: one for all, or
    /// one for the child of each worker.
    pipes: Vec<(OwnedFd, OwnedFd)>,
    /// The pid of each child that was not reaped yet.
    living: SharedRows<1>,
}

impl Family {
    fn slot(&self, index: usize) -> &AtomicU64 {
        &self.living.row(index)[0]
    }

    /// Forks the child of slot `index`.
    fn bear(&self, index: usize) -> Result<Pid, Errno> {
        let pipe = if self.pipes.len() == 1 { 0 } else { index };
        let pid = child::fork_sleeper(self.pipes[pipe].0.as_fd())?;
        self.slot(index).store(pid.as_raw() as u64, Ordering::SeqCst);
        Ok(pid)
    }

    /// The slot of a child that was just reaped. In a burst it can have ended
    /// before the thread that forked it has noted its pid, which takes no sleep.
    fn slot_of(&self, pid: Pid) -> usize {
        loop {
            let all = 0..self.living.len();
            if let Some(slot) = all.into_iter().find(|i| self.slot(*i).load(Ordering::SeqCst) == pid.as_raw() as u64) {
                return slot;
            }
            spin::yield_cpu();
        }
    }
}

struct FamilyDoor(Arc<Family>);

impl Door for FamilyDoor {
    fn sources(&self, index: u32) -> Result<Vec<Box<dyn Source>>, SetupError> {
        let (family, index) = (self.0.clone(), index as usize);
        let pid = family.bear(index).during(Call::Fork)?;
        let source: Box<dyn Source> = match family.waits {
            Waits::Any => {
                if index == 0 {
                    // The one that is always left.
                    family.bear(family.living.len() - 1).during(Call::Fork)?;
                }
                Box::new(Parent { family, own: None })
            }
            Waits::Own => Box::new(Parent { family, own: Some((index, pid)) }),
            Waits::Pidfd => {
                let watched = match family.sleeps {
                    true => None,
                    false => Some(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).during(Call::EpollCreate)?),
                };
                let pidfd = child::pidfd(pid).during(Call::Pidfd)?;
                watch(watched.as_ref(), &pidfd).during(Call::EpollAdd)?;
                Box::new(Guardian { family, index, pidfd, watched })
            }
        };
        Ok(vec![source])
    }
}

/// A thread in waitpid.
struct Parent {
    family: Arc<Family>,
    /// The child it waits for, with its slot; `None` waits for any.
    own: Option<(usize, Pid)>,
}

impl Source for Parent {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn claim(&mut self) -> Result<Claim, Errno> {
        let ended = waitpid(self.own.map(|(_, pid)| pid), Some(WaitPidFlag::empty()))?;
        let ended = ended.pid().ok_or(Errno::ECHILD)?;
        let slot = self.family.slot_of(ended);
        let next = self.family.bear(slot)?;
        if let Some((_, pid)) = &mut self.own {
            *pid = next;
        }
        Ok(Claim { tag: 0 })
    }

    fn asleep(&self) -> Asleep {
        // The child changes.
        Asleep::at(&[libc::SYS_wait4], None)
    }

    fn identity(&self) -> u64 {
        self.own.map_or(0, |(slot, _)| slot as u64 + 1)
    }
}

/// A worker with a pidfd of its own child.
struct Guardian {
    family: Arc<Family>,
    index: usize,
    pidfd: OwnedFd,
    /// Waits keep the descriptor they were opened with, and the next child has
    /// another: they get this instance, in which there is always the right one.
    watched: Option<Epoll>,
}

fn watch(in_instance: Option<&Epoll>, pidfd: &OwnedFd) -> nix::Result<()> {
    in_instance.map_or(Ok(()), |instance| instance.add(pidfd, EpollEvent::new(EpollFlags::EPOLLIN, 0)))
}

impl Source for Guardian {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.watched.as_ref().map_or(self.pidfd.as_fd(), |instance| instance.0.as_fd()))
    }

    fn claim(&mut self) -> Result<Claim, Errno> {
        child::reap(self.pidfd.as_fd(), self.family.sleeps)?;
        // Closing it would not do: children have the open file too, and while one
        // of them lives it stays in the instance, ready for ever.
        self.watched.as_ref().map_or(Ok(()), |instance| instance.delete(&self.pidfd))?;
        let next = child::pidfd(self.family.bear(self.index)?)?;
        watch(self.watched.as_ref(), &next)?;
        self.pidfd = next;
        Ok(Claim { tag: 0 })
    }

    fn asleep(&self) -> Asleep {
        Asleep::at(&[libc::SYS_waitid], Some(libc::P_PIDFD.into()))
    }

    fn identity(&self) -> u64 {
        self.index as u64 + 1
    }
}

/// Tells one child to end: any, or those of the workers in turn.
struct Ender {
    family: Arc<Family>,
    next: usize,
}

impl Ender {
    /// Children that have ended and that nobody has reaped.
    fn ended(&self) -> io::Result<u64> {
        let mut ended = 0;
        for index in 0..self.family.living.len() {
            let pid = self.family.slot(index).load(Ordering::SeqCst);
            // Zero where there never was one; no file where it was just reaped.
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            ended += u64::from(stat::state(&stat) == Some('Z'));
        }
        Ok(ended)
    }
}

impl Injector for Ender {
    fn fire(&mut self) -> Result<u32, SetupError> {
        let pipe = &self.family.pipes[self.next % self.family.pipes.len()].1;
        self.next += 1;
        write(pipe, &[1]).during(Call::Write)?;
        Ok(0)
    }

    fn under_way(&mut self, missing: u64) -> io::Result<bool> {
        Ok(self.ended()? < missing)
    }

    fn left(&mut self) -> io::Result<u64> {
        self.ended()
    }

    fn retire(&mut self, _left: bool) {}
}
