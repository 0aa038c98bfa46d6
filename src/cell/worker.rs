//! The loop of one worker, the same for a process and for a thread.
//!
//! Between `waiting` and the record nothing happens but the wait and the claim:
//! no allocation, lock, print or formatting. The loop counts, so that no wait
//! strategy can forget to. It never ends by itself; the coordinator kills it.

use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{UsageWho, getrusage};

use super::contract::{Claim, Door, Job, SetupError, SharedWait, Sleeper, Source, Woken};
use super::ledger::Slot;
use crate::experiment::settings::{Accept, Busy, Work, WorkerSettings};
pub use crate::sys::clock::now_ns;
use crate::wait::Wait;

/// How long a client may take to say what it wants before its worker hangs up.
const ASKED_WITHIN: Duration = Duration::from_secs(1);

/// Registers when its turn comes, then waits and claims until it is killed.
/// Returns only when setting up failed; the reason is in the ledger.
pub fn run(
    slot: Slot<'_>,
    index: u32,
    settings: &WorkerSettings,
    wait: &dyn Wait,
    shared: &SharedWait,
    door: &dyn Door,
) {
    slot.hello(std::process::id(), nix::unistd::gettid().as_raw() as u32);
    slot.rest(0);
    let (mut sources, mut sleeper) = match set_up(index, settings, wait, shared, door) {
        Ok(ready) => ready,
        Err(error) => return slot.gone(&error),
    };
    let objects: Vec<u64> = sources.iter().map(|source| source.identity()).collect();
    slot.registered(&sleeper.asleep(&sources), &objects);
    if let Err(error) = serve(slot, settings, &mut sources, sleeper.as_mut()) {
        slot.gone(&error);
    }
}

type Ready = (Vec<Box<dyn Source>>, Box<dyn Sleeper>);

fn set_up(
    index: u32,
    settings: &WorkerSettings,
    wait: &dyn Wait,
    shared: &SharedWait,
    door: &dyn Door,
) -> Result<Ready, SetupError> {
    let sources = door.sources(index)?;
    let sleeper = wait.open(settings, shared, &sources)?;
    Ok((sources, sleeper))
}

fn serve(
    slot: Slot<'_>,
    settings: &WorkerSettings,
    sources: &mut Vec<Box<dyn Source>>,
    sleeper: &mut dyn Sleeper,
) -> Result<(), SetupError> {
    let random = fastrand::Rng::with_seed(u64::from(std::process::id()));
    let mut server = Server { slot, settings, random, total: 0, guests: Vec::new() };
    // Places of guests that have gone.
    let mut free = Vec::new();
    let mut ready = Vec::with_capacity(sources.len().max(settings.maxevents as usize));
    loop {
        ready.clear();
        slot.waiting();
        let woken = sleeper.wait(sources, &mut ready);
        let t_return = now_ns();
        slot.returned(t_return);
        let before = server.total;
        match woken {
            Woken::Claimed(claim) => {
                server.claimed(claim, t_return, t_return, sources[0].as_mut());
                while let Some(claim) = sleeper.more(sources) {
                    server.claimed(claim, t_return, now_ns(), sources[0].as_mut());
                }
            }
            Woken::Delegated(claim) => {
                let job = server.delegated(claim, t_return, sources[0].as_mut());
                // Cut off, then: the connection is closed with the job.
                if let Err(errno) = job.map_or(Err(Errno::EOPNOTSUPP), |job| sleeper.delegate(job)) {
                    slot.failed(errno);
                }
                continue;
            }
            Woken::Ready => {
                hold(slot, settings.before_claim_us, settings.busy);
                let mut some_went_on = false;
                let mut some_was_to_claim = false;
                for i in &ready {
                    let Some(done) = sources[*i].go_on() else {
                        some_was_to_claim = true;
                        server.take(sources[*i].as_mut(), t_return);
                        continue;
                    };
                    some_went_on = true;
                    if done != Ok(false) {
                        sleeper.let_go(*i);
                        free.push(*i);
                    }
                    if let Err(errno) = done {
                        slot.failed(errno);
                    }
                }
                while let Some(guest) = server.guests.pop() {
                    let place = free.pop().unwrap_or(sources.len());
                    match sources.get_mut(place) {
                        Some(source) => *source = guest,
                        None => sources.push(guest),
                    }
                    ready.reserve(sources.len());
                    sleeper.adopt(sources, place)?;
                }
                // Served, but for a client that was claimed before. Where a listener woke
                // it, too, and had nothing, it was empty all the same.
                if some_went_on && !some_was_to_claim {
                    continue;
                }
            }
            // Neither a claim nor a return for nothing; the work is another's.
            Woken::Passed => continue,
            Woken::Failed(errno) => slot.failed(errno),
        }
        if server.total == before {
            slot.empty_return();
        } else if !settings.reply {
            server.work();
        }
        while let Some(more) = ready.iter().find_map(|i| sources[*i].connection()) {
            sources.push(more);
            ready.reserve(sources.len());
            sleeper.adopt(sources, sources.len() - 1)?;
        }
        sleeper.after(sources, server.total)?;
    }
}

/// What a worker does with what it gets.
struct Server<'a> {
    slot: Slot<'a>,
    settings: &'a WorkerSettings,
    random: fastrand::Rng,
    /// Claims so far.
    total: u64,
    /// Clients of this return who may ask for more.
    guests: Vec<Box<dyn Source>>,
}

impl Server<'_> {
    /// Takes one piece of work, or all there is.
    fn take(&mut self, source: &mut dyn Source, t_return: u64) {
        loop {
            match source.claim() {
                Ok(claim) => {
                    self.note(claim, t_return, now_ns());
                    self.serve_or_host(claim, source);
                }
                Err(errno) => return self.slot.failed(errno),
            }
            if self.settings.accept == Accept::One {
                return;
            }
        }
    }

    /// Notes a claim; a worker that answers does its work and answers before it
    /// takes the next.
    fn claimed(&mut self, claim: Claim, t_return: u64, t_claim: u64, source: &mut dyn Source) {
        self.note(claim, t_return, t_claim);
        self.serve(claim, source);
    }

    /// The same in a loop, where a client who may ask again is not waited for.
    fn serve_or_host(&mut self, claim: Claim, source: &mut dyn Source) {
        match source.guest() {
            None => self.serve(claim, source),
            Some(mut guest) => match guest.go_on() {
                Some(Ok(true)) => {}
                Some(Err(errno)) => self.slot.failed(errno),
                Some(Ok(false)) | None => self.guests.push(guest),
            },
        }
    }

    fn serve(&mut self, claim: Claim, source: &mut dyn Source) {
        if self.settings.reply {
            self.work();
            // A client that has gone is no failure of the worker; it is counted.
            if let Err(errno) = self.reply(claim, source) {
                self.slot.failed(errno);
            }
        }
    }

    fn note(&mut self, claim: Claim, t_return: u64, t_claim: u64) {
        self.slot.claimed(claim, t_return, t_claim);
        self.total += 1;
        if self.settings.stall_us > 0 && self.total == self.settings.stall_at {
            hold(self.slot, self.settings.stall_us, self.settings.busy);
        }
    }

    /// Notes a claim whose client somebody else serves: work, answer and all.
    fn delegated(&mut self, claim: Claim, t_return: u64, source: &mut dyn Source) -> Option<Job> {
        self.note(claim, t_return, t_return);
        let silent = source.connection();
        let (connection, silent) = match silent {
            Some(stays) => (stays, true),
            None => (source.detach()?, false),
        };
        let (us, busy, reply) = (self.service_us(), self.settings.busy, self.settings.reply);
        Some(Job { connection, claim, us, busy, reply, silent })
    }

    /// Answers; sleeps where the client has not said yet what it wants, which is no
    /// wakeup by an event: such sleeps are the lab's own.
    fn reply(&self, claim: Claim, source: &mut dyn Source) -> Result<(), Errno> {
        let answered = source.reply(claim);
        if answered != Err(Errno::EAGAIN) || source.unasked().is_none() {
            return answered;
        }
        let before = voluntary_switches();
        let answered = reply_when_asked(claim, source);
        self.slot.own_sleeps_add(voluntary_switches() - before);
        answered
    }

    /// The busy time after a claim.
    fn work(&mut self) {
        hold(self.slot, self.service_us(), self.settings.busy);
    }

    fn service_us(&mut self) -> u64 {
        match self.settings.work {
            Work::Constant => self.settings.after_claim_us,
            // Of 1 - [0, 1), whose logarithm is finite.
            Work::Exponential => (-(1.0 - self.random.f64()).ln() * self.settings.after_claim_us as f64) as u64,
        }
    }
}

/// Keeps the worker busy: this is the thing under test, not a wait for anything.
fn hold(slot: Slot<'_>, us: u64, busy: Busy) {
    match busy {
        Busy::Spin => spend(us, busy),
        Busy::Sleep if us == 0 => {}
        Busy::Sleep => {
            // Measured, not assumed to be one: a timer that fires before the switch
            // leaves none, and a signal or a stop makes it two.
            let before = voluntary_switches();
            spend(us, busy);
            slot.own_sleeps_add(voluntary_switches() - before);
        }
    }
}

/// Answers, if need be when the client has said what it wants.
pub(super) fn reply_when_asked(claim: Claim, source: &mut dyn Source) -> Result<(), Errno> {
    let mut answered = source.reply(claim);
    while let (Err(Errno::EAGAIN), Some(client)) = (answered, source.unasked()) {
        let mut asked = [PollFd::new(client, PollFlags::POLLIN)];
        if poll(&mut asked, PollTimeout::try_from(ASKED_WITHIN).unwrap_or(PollTimeout::ZERO)) == Ok(0) {
            source.hang_up();
            answered = Err(Errno::ETIMEDOUT);
        } else {
            // The next of several that it may ask, or a further piece of this one.
            answered = source.reply(claim);
        }
    }
    answered
}

/// The same, where nobody counts the sleeps.
pub(super) fn spend(us: u64, busy: Busy) {
    match busy {
        _ if us == 0 => {}
        Busy::Spin => {
            let end = now_ns() + us * 1000;
            while now_ns() < end {
                std::hint::spin_loop();
            }
        }
        Busy::Sleep => std::thread::sleep(Duration::from_micros(us)),
    }
}

/// How often this thread has given up the CPU; the same number as
/// voluntary_ctxt_switches in its status file (getrusage(2), RUSAGE_THREAD).
fn voluntary_switches() -> u64 {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).expect("getrusage cannot fail for ourselves");
    usage.voluntary_context_switches() as u64
}

#[cfg(test)]
mod tests {
    use std::os::fd::BorrowedFd;

    use super::*;
    use crate::cell::contract::{Asleep, Call};
    use crate::cell::ledger::Ledger;

    /// A guest who asks on for ever, or a listener with some clients.
    enum Scripted {
        Guest,
        Listener(u32),
    }

    impl Source for Scripted {
        fn descriptor(&self) -> Option<BorrowedFd<'_>> {
            None
        }
        fn claim(&mut self) -> Result<Claim, Errno> {
            match self {
                Scripted::Listener(left @ 1..) => {
                    *left -= 1;
                    Ok(Claim { tag: 7 })
                }
                _ => Err(Errno::EAGAIN),
            }
        }
        fn asleep(&self) -> Asleep {
            Asleep::at(&[], None)
        }
        fn identity(&self) -> u64 {
            0
        }
        fn go_on(&mut self) -> Option<Result<bool, Errno>> {
            matches!(self, Scripted::Guest).then_some(Ok(false))
        }
    }

    /// Returns with these sources, one list after the other, and ends with the last.
    struct Returns(std::vec::IntoIter<Vec<usize>>);

    impl Sleeper for Returns {
        fn wait(&mut self, _: &mut [Box<dyn Source>], ready: &mut Vec<usize>) -> Woken {
            ready.extend(self.0.next().expect("it ended with the last one"));
            Woken::Ready
        }
        fn after(&mut self, _: &[Box<dyn Source>], _: u64) -> Result<(), SetupError> {
            let over = self.0.len() == 0;
            if over { Err(SetupError { call: Call::Other, errno: Errno::ECANCELED }) } else { Ok(()) }
        }
        fn asleep(&self, _: &[Box<dyn Source>]) -> Asleep {
            Asleep::at(&[], None)
        }
    }

    /// A worker with a guest (0) and a listener that has one client (1).
    #[track_caller]
    fn check(returns: &[&[usize]], claims: u64, empties: u64) {
        let ledger = Ledger::new(1, 8).unwrap();
        let slot = ledger.slot(0);
        let mut sources: Vec<Box<dyn Source>> = vec![Box::new(Scripted::Guest), Box::new(Scripted::Listener(1))];
        let lists: Vec<Vec<usize>> = returns.iter().map(|list| list.to_vec()).collect();
        let mut sleeper = Returns(lists.into_iter());
        serve(slot, &WorkerSettings::default(), &mut sources, &mut sleeper).unwrap_err();
        assert_eq!((slot.claims(), slot.empty_returns()), (claims, empties), "{returns:?}");
    }

    #[test]
    fn a_herd_that_is_lost_is_empty_although_a_guest_was_served() {
        // The listener's only client is claimed by the first return with it.
        check(&[&[1]], 1, 0);
        check(&[&[1], &[1]], 1, 1);
        check(&[&[0], &[0], &[1]], 1, 0);
        check(&[&[0, 1], &[0, 1], &[0], &[1, 0]], 1, 2);
    }
}
