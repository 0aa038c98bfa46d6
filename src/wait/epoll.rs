//! epoll_wait(2) or epoll_pwait2(2), then a claim that does not block; every
//! setting is data.
//!
//! The loop: wait, claim, and where asked re-arm (ONESHOT) or delete and add
//! again. Registration is `ep_ptable_queue_proc`: at the head of the object's
//! queue, or with EPOLLEXCLUSIVE at its tail; `ep_poll_callback` wakes one
//! sleeper of the instance (fs/eventpoll.c).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::epoll::{Epoll as Instance, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::{EPOLL_KEYS, Wait, foreign};
use crate::cell::contract::{
    Asleep, Call, During, EPOLL_WAIT, Interest, Refusal, SetupError, SharedWait, Sleeper, Source, Woken,
};
use crate::experiment::Settings;
use crate::experiment::settings::{Instance as Whose, Sharing, Trigger, WaitCall, WorkerSettings};
use crate::sys::by_number::epoll_pwait2;

/// epoll(7).
pub struct Epoll;

/// The flags a registration is made with, besides what the source is watched for.
fn flags(worker: &WorkerSettings) -> EpollFlags {
    let mut flags = EpollFlags::empty();
    flags.set(EpollFlags::EPOLLET, worker.trigger == Trigger::Edge);
    flags.set(EpollFlags::EPOLLONESHOT, worker.oneshot);
    flags.set(EpollFlags::EPOLLEXCLUSIVE, worker.exclusive);
    for bit in &worker.interest {
        flags |= match bit.as_str() {
            "out" => EpollFlags::EPOLLOUT,
            "rdhup" => EpollFlags::EPOLLRDHUP,
            _ => EpollFlags::EPOLLPRI,
        };
    }
    flags
}

fn of_source(source: &dyn Source, flags: EpollFlags) -> EpollFlags {
    match source.interest() {
        Interest::Readable => flags | EpollFlags::EPOLLIN,
        Interest::Writable => flags | EpollFlags::EPOLLOUT,
    }
}

/// An instance is readable when it has something, whatever it watches for.
fn of_inner(flags: EpollFlags) -> EpollFlags {
    flags | EpollFlags::EPOLLIN
}

fn create() -> Result<Instance, SetupError> {
    Instance::new(EpollCreateFlags::EPOLL_CLOEXEC).during(Call::EpollCreate)
}

fn add_all(instance: &Instance, sources: &[Box<dyn Source>], flags: EpollFlags) -> Result<(), SetupError> {
    for (i, source) in sources.iter().enumerate() {
        let event = EpollEvent::new(of_source(source.as_ref(), flags), i as u64);
        instance.add(descriptor(source.as_ref()), event).during(Call::EpollAdd)?;
    }
    Ok(())
}

fn modify_all(instance: &Instance, sources: &[Box<dyn Source>], flags: EpollFlags) -> Result<(), SetupError> {
    for (i, source) in sources.iter().enumerate() {
        let mut event = EpollEvent::new(of_source(source.as_ref(), flags), i as u64);
        instance.modify(descriptor(source.as_ref()), &mut event).during(Call::EpollModify)?;
    }
    Ok(())
}

fn descriptor(source: &dyn Source) -> BorrowedFd<'_> {
    source.descriptor().expect("refused for objects without a descriptor")
}

impl Wait for Epoll {
    fn name(&self) -> &'static str {
        "epoll"
    }

    fn about(&self) -> &'static str {
        "epoll_wait(2), then a claim that does not block"
    }

    fn needs(&self, worker: &WorkerSettings) -> Option<&'static str> {
        (worker.call == WaitCall::EpollPwait2).then_some("epoll_pwait2")
    }

    fn refuse(&self, worker: &WorkerSettings, cell: &Settings) -> Option<Refusal> {
        let einval = |reason: &str| {
            Some(Refusal {
                reason: format!("the kernel refuses {reason} with EINVAL (epoll_ctl(2), Linux 4.5)"),
                forcible: true,
            })
        };
        if worker.exclusive && worker.oneshot {
            return einval("EPOLLEXCLUSIVE together with EPOLLONESHOT");
        }
        if worker.exclusive && worker.interest.iter().any(|bit| bit != "out") {
            return einval("EPOLLEXCLUSIVE with any event but EPOLLIN and EPOLLOUT");
        }
        if worker.exclusive && worker.modify {
            return einval("EPOLL_CTL_MOD of an EPOLLEXCLUSIVE registration");
        }
        if worker.exclusive && worker.instance == Whose::Nested {
            return einval("EPOLLEXCLUSIVE on an epoll descriptor as target");
        }
        if worker.instance == Whose::Nested && (worker.modify || worker.readd_every > 0) {
            return Some(Refusal {
                reason: "modify and readd_every change the registration of the object, which the outer one of \
                         nested instances has not; use instance = \"private\" or \"shared\""
                    .into(),
                forcible: false,
            });
        }
        if cell.sharing == Sharing::Own && worker.instance != Whose::Private {
            return Some(Refusal {
                reason: "a shared instance watches objects that all workers hold, and sharing = \"own\" gives each \
                         another; use sharing = \"shared\" with objects = N and group = true"
                    .into(),
                forcible: false,
            });
        }
        foreign(worker, self.name(), EPOLL_KEYS)
    }

    fn shares(&self, worker: &WorkerSettings) -> bool {
        worker.instance != Whose::Private
    }

    fn share(&self, worker: &WorkerSettings, sources: &[Box<dyn Source>]) -> Result<SharedWait, SetupError> {
        let inner_flags = match worker.instance {
            Whose::Private => return Ok(SharedWait::default()),
            Whose::Shared => flags(worker),
            // The trigger under test is that of the outer instance.
            Whose::Nested => EpollFlags::empty(),
        };
        let instance = create()?;
        add_all(&instance, sources, inner_flags)?;
        Ok(SharedWait { epoll: Some(instance.0), ..SharedWait::default() })
    }

    fn open(
        &self,
        worker: &WorkerSettings,
        shared: &SharedWait,
        sources: &[Box<dyn Source>],
    ) -> Result<Box<dyn Sleeper>, SetupError> {
        let flags = flags(worker);
        let common = || -> Result<OwnedFd, SetupError> {
            let fd = shared.epoll.as_ref().expect("share() made it for this instance kind");
            fd.try_clone().during(Call::Fcntl)
        };
        let (instance, inner) = match worker.instance {
            Whose::Private => {
                let instance = create()?;
                add_all(&instance, sources, flags)?;
                (instance, None)
            }
            Whose::Shared => (Instance(common()?), None),
            Whose::Nested => {
                let (outer, inner) = (create()?, common()?);
                outer.add(inner.as_fd(), EpollEvent::new(of_inner(flags), 0)).during(Call::EpollAdd)?;
                (outer, Some(inner))
            }
        };
        if worker.modify {
            modify_all(&instance, sources, flags)?;
        }
        Ok(Box::new(Waiting {
            instance,
            inner,
            pwait2: worker.call == WaitCall::EpollPwait2,
            flags,
            events: vec![EpollEvent::empty(); worker.maxevents as usize],
            rearm: worker.oneshot && worker.rearm,
            readd_every: worker.readd_every,
            readd_at: worker.readd_every,
        }))
    }
}

struct Waiting {
    instance: Instance,
    /// The shared instance that a nested one watches.
    inner: Option<OwnedFd>,
    pwait2: bool,
    flags: EpollFlags,
    events: Vec<EpollEvent>,
    rearm: bool,
    readd_every: u64,
    /// The claim count at which the registration moves to the tail next.
    readd_at: u64,
}

impl Sleeper for Waiting {
    fn wait(&mut self, sources: &mut [Box<dyn Source>], ready: &mut Vec<usize>) -> Woken {
        let woken = match self.pwait2 {
            true => epoll_pwait2(self.instance.0.as_raw_fd(), &mut self.events, None),
            false => self.instance.wait(&mut self.events, EpollTimeout::NONE),
        };
        match woken {
            // A nested instance only says that the inner one has something.
            Ok(_) if self.inner.is_some() => ready.extend(0..sources.len()),
            Ok(count) => ready.extend(self.events[..count].iter().map(|e| e.data() as usize)),
            Err(errno) => return Woken::Failed(errno),
        }
        Woken::Ready
    }

    fn adopt(&mut self, sources: &[Box<dyn Source>], number: usize) -> Result<(), SetupError> {
        // One that is closed leaves the instance by itself.
        let source = sources[number].as_ref();
        // Nobody else watches it.
        let flags = self.flags.difference(EpollFlags::EPOLLEXCLUSIVE);
        let event = EpollEvent::new(of_source(source, flags), number as u64);
        self.instance.add(descriptor(source), event).during(Call::EpollAdd)
    }

    fn after(&mut self, sources: &[Box<dyn Source>], claims: u64) -> Result<(), SetupError> {
        if self.rearm {
            match &self.inner {
                Some(inner) => {
                    let mut event = EpollEvent::new(of_inner(self.flags), 0);
                    self.instance.modify(inner.as_fd(), &mut event).during(Call::EpollModify)?;
                }
                None => modify_all(&self.instance, sources, self.flags)?,
            }
        }
        if self.readd_every > 0 && claims >= self.readd_at {
            self.readd_at = claims + self.readd_every;
            for source in sources {
                self.instance.delete(descriptor(source.as_ref())).during(Call::EpollDelete)?;
            }
            add_all(&self.instance, sources, self.flags)?;
        }
        Ok(())
    }

    fn asleep(&self, _: &[Box<dyn Source>]) -> Asleep {
        Asleep::on(if self.pwait2 { &[libc::SYS_epoll_pwait2] } else { EPOLL_WAIT }, &self.instance.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exclusive_with_oneshot_is_refused_and_forcible() {
        let worker = WorkerSettings { exclusive: true, oneshot: true, ..WorkerSettings::default() };
        let refusal = Epoll.refuse(&worker, &Settings::default()).unwrap();
        assert!(refusal.forcible);
        assert!(refusal.reason.contains("EINVAL"), "{refusal}");
    }
}
