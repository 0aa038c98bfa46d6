//! What each statement does, and what it comes to.

use std::os::fd::AsFd;
use std::time::Instant;

use nix::errno::Errno;
use nix::unistd::{Gid, Uid, geteuid, setgroups, setresgid, setresuid};

use super::clients::{self, senders};
use super::holder;
use super::table::{Outcome, errno};
use super::waiter::Order;
use super::{Run, latch, network, staff};
use crate::cell::coordinator::invalid;
use crate::cell::worker::now_ns;
use crate::experiment::script::{Action, Fate, Job, Kind, Name, Steer, Step};
use crate::observation::End;
use crate::sys;
use crate::sys::{by_number, steering};

/// Around the moment at which a wait times out, in microseconds: the timer has
/// 50 us of slack, and the sleeper a way to the CPU.
const SWEEP_US: std::ops::Range<i64> = -20..100;

/// Who has no rights, by convention.
const NOBODY: u32 = 65534;
/// Datagrams that fit the smallest receive buffer there is.
const BATCH: u64 = 32;

/// Whether an action itself sees to it that everybody sleeps.
pub fn settles(action: &Action) -> bool {
    use Action::*;
    matches!(action, Start(_) | StartUnderSignals(_) | Assign(..) | Go(_) | Told(..) | Pass(..))
}

fn said(outcome: Outcome) -> Result<String, Errno> {
    outcome.map(|count| count.to_string())
}

fn done(result: Result<(), Errno>) -> Result<String, Errno> {
    result.map(|()| String::new())
}

const DONE: Result<String, Errno> = Ok(String::new());

impl Run<'_> {
    /// Does it; what it came to, in words.
    pub fn act(&mut self, at: usize, step: &Step, round: u64) -> Result<Result<String, Errno>, End> {
        Ok(match &step.action {
            Action::Open(kind, names, backlog) => done(self.table.open(*kind, names, *backlog)),
            Action::Join { new, of } => done(self.table.join(*new, *of)),
            Action::Pipes(count) => done(self.pipes(*count)),
            Action::Hold => {
                self.holder = Some(holder::start().map_err(|e| invalid(format!("cannot fork a holder: {e}")))?);
                DONE
            }
            Action::Release => {
                self.holder = None;
                DONE
            }
            Action::Unprivileged => done(unprivileged()),
            Action::Handler { restart } => {
                sys::interrupt::handle(*restart).map_err(|e| invalid(format!("cannot handle SIGUSR1: {e}")))?;
                DONE
            }
            Action::WriteAt(name, worker) => {
                self.until_timeout(*worker, round);
                said(self.table.write(*name))
            }
            Action::Pass(name, worker) => {
                let passed = self.table.act(&step.action);
                match passed {
                    Ok(_) => done(self.staff()?.tell(*worker, Order::Take(*name))?.map(drop)),
                    Err(errno) => Err(errno),
                }
            }
            Action::Connect(name, count) => said(self.connect(*name, *count)?),
            Action::ConnectAs { to, end, deaf } => said(self.connect_as(*to, *end, *deaf)?),
            Action::Hear(name) => done(self.table.with(*name, clients::hear)),
            Action::AcceptAs { of, end } => said(self.table.accept_as(*of, *end)),
            Action::Defer(name, seconds) => {
                done(self.table.with(*name, |fd| sys::socket::defer_accept(fd.as_fd(), *seconds)))
            }
            Action::HalfOpen(name) => {
                self.let_arrive()?;
                said(self.table.address(*name).cloned().and_then(|address| network::half_open(&address)))
            }
            Action::Latch { times, fenced } => {
                let missed = latch::missed(*times, *fenced, &self.cpus);
                self.home()?;
                said(Ok(missed.map_err(|e| invalid(format!("latch: {e}")))?))
            }
            Action::Send { to, count, flows } => said(self.send(*to, *count, *flows)?),
            Action::Received(name) => {
                self.let_arrive()?;
                let drained = self.drain();
                said(drained.map(|()| self.received.remove(name).unwrap_or(0)))
            }
            Action::Steer(name, how) => done(self.table.with(*name, |fd| match how {
                Steer::To(member) => steering::choose(fd.as_fd(), *member),
                Steer::Flow(members) => steering::choose_by_first_byte(fd.as_fd(), *members),
            })),
            Action::Network => {
                network::enter_own().map_err(invalid)?;
                DONE
            }
            Action::Sysctl { name, value } => done(network::set(name, value)),
            Action::Counter(name) => {
                self.let_arrive()?;
                said(network::counter(name))
            }
            Action::Reuseport(name) => {
                let set = |fd: &std::os::fd::OwnedFd| socket2::SockRef::from(fd).set_reuse_port(true).map_err(errno);
                said(self.table.with(*name, set).map(|()| 0))
            }
            Action::Clients { accepted, reset } => {
                self.let_arrive()?;
                let taken = self.accept_all();
                self.let_arrive()?;
                let fates = [(*accepted, Fate::Accepted), (*reset, Fate::Reset)];
                let fates: Vec<Fate> = fates.into_iter().filter_map(|(wanted, fate)| wanted.then_some(fate)).collect();
                said(taken.and_then(|()| self.clients.count(0, &fates)))
            }
            Action::Look(fates) => {
                self.let_arrive()?;
                said(self.clients.count(0, fates))
            }
            Action::Leave { reset } => {
                let left = self.clients.leave(*reset);
                self.let_arrive()?;
                done(left)
            }
            Action::Wait(waiting) => {
                let started = Instant::now();
                let outcome = self.table.wait(waiting, &mut self.got);
                self.lasted = started.elapsed();
                said(outcome)
            }
            Action::Start(workers) => {
                self.staff()?.give_turns(workers)?;
                DONE
            }
            Action::StartUnderSignals(workers) => {
                self.staff()?.give_turns_under_signals(workers)?;
                DONE
            }
            Action::Assign(worker, job) => {
                self.staff()?.assign(*worker, *job)?;
                DONE
            }
            Action::Go(workers) => {
                let all = step.text == "go all";
                self.staff()?.go_on(workers, all)?;
                DONE
            }
            Action::Told(worker, told) => {
                let outcome = self.staff()?.tell(*worker, Order::Step(at))?;
                if let (Action::Pass(name, to), Ok(_)) = (&**told, outcome) {
                    return Ok(done(self.staff()?.tell(*to, Order::Take(*name))?.map(drop)));
                }
                said(outcome)
            }
            Action::Await(worker) => {
                self.staff()?.wait_for(*worker)?;
                self.result(*worker)?
            }
            Action::Kill(worker) => done(self.staff()?.kill(*worker)),
            Action::Stop(worker) => done(self.staff()?.stop(*worker)),
            Action::Continue(worker) => done(self.staff()?.resume(*worker)),
            Action::Signal(worker) => done(self.staff()?.signal(*worker)),
            Action::Came => Ok(self.came()?),
            Action::Result(worker) => self.result(*worker)?,
            Action::Returns(worker) => Ok(self.staff()?.returns(*worker).to_string()),
            Action::Wakeups(worker) => Ok(self.staff()?.wakeups(*worker)?.to_string()),
            Action::Lasted => Ok(self.lasted.as_millis().to_string()),
            Action::Repeat { .. } | Action::End => DONE,
            other => said(self.table.act(other)),
        })
    }

    /// The main thread goes back to its CPU.
    fn home(&self) -> Result<(), End> {
        sys::cpus::pin_to(staff::home(&self.cpus)).map_err(|e| invalid(format!("cannot pin the main thread: {e}")))
    }

    fn let_arrive(&self) -> Result<(), End> {
        network::let_arrive(&self.cpus, staff::home(&self.cpus)).map_err(invalid)
    }

    fn connect(&mut self, name: Name, count: u64) -> Result<Outcome, End> {
        let first = self.clients.len();
        let address = self.table.address(name).cloned();
        let mut refused = None;
        for _ in 0..count {
            // Where one is refused, so are those behind it: say it of one.
            refused = refused.or(address.clone().and_then(|address| self.clients.connect(&address)).err());
        }
        self.let_arrive()?;
        let there = [Fate::Waiting, Fate::Accepted, Fate::Reset];
        let completed = self.clients.count(first, &there);
        let lost = self.clients.count(first, &[Fate::Refused]);
        Ok(match (refused, completed, lost) {
            (Some(errno), Ok(0), _) => Err(errno),
            (_, Ok(0), Ok(lost)) if lost == count => Err(Errno::ECONNREFUSED),
            (_, completed, _) => completed,
        })
    }

    fn connect_as(&mut self, to: Name, end: Name, deaf: bool) -> Result<Outcome, End> {
        let begun = self.table.address(to).cloned().and_then(|address| clients::begin(&address, deaf));
        let client = match begun {
            Ok(client) => client,
            Err(errno) => return Ok(Err(errno)),
        };
        self.table.put(end, client);
        self.let_arrive()?;
        Ok(self.table.with(end, clients::is_connected).map(u64::from))
    }

    fn accept_all(&self) -> Result<(), Errno> {
        for listener in self.table.open_ones(Kind::listens) {
            self.table.act(&Action::Accept(listener, u64::MAX, false))?;
        }
        Ok(())
    }

    /// Reads them in between, if nobody else does: a buffer is soon full.
    fn send(&mut self, to: Name, count: u64, flows: u64) -> Result<Outcome, End> {
        let made = self.table.address(to).cloned().and_then(|address| senders(&address, flows));
        let sockets = match made {
            Ok(sockets) => sockets,
            Err(errno) => return Ok(Err(errno)),
        };
        for number in 0..count {
            let flow = number % flows;
            if let Err(e) = sockets[flow as usize].send(&[flow as u8]) {
                return Ok(Err(errno(e)));
            }
            if number % BATCH == BATCH - 1 && self.script.workers.is_empty() {
                self.let_arrive()?;
                if let Err(errno) = self.drain() {
                    return Ok(Err(errno));
                }
            }
        }
        self.let_arrive()?;
        Ok(Ok(count))
    }

    fn drain(&mut self) -> Result<(), Errno> {
        for name in self.table.open_ones(|kind| kind == Kind::Udp) {
            let fd = self.table.number(name);
            while by_number::poll(fd, 0)? > 0 {
                by_number::read(fd, &mut [0; 8])?;
                *self.received.entry(name).or_default() += 1;
            }
        }
        Ok(())
    }

    fn pipes(&mut self, count: u64) -> Result<(), Errno> {
        for _ in 0..count {
            let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
            self.more.extend([read, write]);
        }
        Ok(())
    }

    fn result(&mut self, worker: usize) -> Result<Result<String, Errno>, End> {
        Ok(match self.staff()?.result(worker) {
            Some(outcome) => said(outcome),
            None => Ok("asleep".into()),
        })
    }

    /// Who came back with an event since it was started.
    fn came(&mut self) -> Result<String, End> {
        let names = &self.script.worker_names;
        let staff = self.staff()?;
        let came = |worker: &usize| matches!(staff.result(*worker), Some(Ok(1..)));
        let came: Vec<&str> = (0..names.len()).filter(came).map(|worker| names[worker].as_str()).collect();
        Ok(if came.is_empty() { "none".into() } else { came.join("+") })
    }

    /// Spins until about the moment at which the wait of `worker` times out; a
    /// little earlier or later in each round. A point in time is the condition.
    fn until_timeout(&self, worker: usize, round: u64) {
        let job = &self.script.jobs[self.script.workers[worker]];
        let (Some(staff), Job::Wait { waiting, .. }) = (&self.staff, job) else {
            return;
        };
        let width = (SWEEP_US.end - SWEEP_US.start) as u64;
        // A step that shares no factor with the width visits every offset.
        let offset_us = SWEEP_US.start + (round * 7 % width) as i64;
        let end_us = waiting.within_us.unwrap_or(0) as i64 + offset_us;
        let end = staff.since_ns(worker).saturating_add_signed(end_us * 1000);
        while now_ns() < end {
            std::hint::spin_loop();
        }
    }
}

/// Gives up root for good. Whoever is not root has nothing to give up, and neither
/// has the root of a user namespace that maps nobody else: the limits we are about
/// ask for rights in the first one.
fn unprivileged() -> Result<(), Errno> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    let given_up = setgroups(&[]).and_then(|()| setresgid(group, group, group));
    match given_up.and_then(|()| setresuid(user, user, user)) {
        Err(Errno::EPERM | Errno::EINVAL) if !in_first_namespace() => Ok(()),
        other => other,
    }
}

fn in_first_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().eq(["0", "0", "4294967295"])
}
