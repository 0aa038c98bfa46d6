//! A worker of a script: rests at its gate, has one turn, rests again.
//!
//! By its own word it waits all the time, at the gate as in the wait under test;
//! the numbers of turns begun and ended say in which of the two. It never ends by
//! itself; the coordinator kills it.
//!
//! A turn does what its order says: a wait and what follows it, the rest of one
//! that paused, or a statement of the script.

use nix::errno::Errno;

use super::table::{Outcome, Table, bits, greet, hear};
use super::waits::Got;
use crate::cell::contract::{Asleep, Claim};
use crate::cell::ledger::Slot;
use crate::cell::worker::now_ns;
use crate::experiment::script::{Job, Name, Script, Then, Waiting};
use crate::sys::by_number;

/// What a turn is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The job of that number.
    Job(usize),
    /// What the step of that number tells a worker.
    Step(usize),
    /// What is left after a pause.
    GoOn,
    /// Take what another process passed, under that name.
    Take(Name),
}

impl Order {
    /// As one word of the ledger.
    pub fn word(self) -> u64 {
        let (what, number) = match self {
            Order::Job(number) => (0, number),
            Order::Step(number) => (1, number),
            Order::GoOn => (2, 0),
            Order::Take(name) => (3, name),
        };
        what << 32 | number as u64
    }

    fn of_word(word: u64) -> Order {
        let number = word as u32 as usize;
        match word >> 32 {
            0 => Order::Job(number),
            1 => Order::Step(number),
            2 => Order::GoOn,
            _ => Order::Take(number),
        }
    }
}

/// Where a worker is in what it does with its events.
struct Hands {
    got: Got,
    event: usize,
    then: usize,
    paused: bool,
    /// What the wait came to.
    outcome: Outcome,
}

/// Never returns.
pub fn run(slot: Slot<'_>, script: &Script, index: usize, table: &Table) {
    let mut hands = Hands { got: Got::new(), event: 0, then: 0, paused: false, outcome: Ok(0) };
    let mut job = script.workers[index];
    slot.registered(&table.asleep(&script.jobs[job]), &[]);
    slot.hello(std::process::id(), nix::unistd::gettid().as_raw() as u32);
    for turn in 0.. {
        slot.waiting();
        slot.rest(turn);
        let order = Order::of_word(slot.order());
        if let Order::Job(next) = order {
            job = next;
        }
        let asleep = match order {
            Order::Step(_) | Order::Take(_) => Asleep::at(&[libc::SYS_futex], None),
            Order::Job(_) | Order::GoOn => table.asleep(&script.jobs[job]),
        };
        slot.registered(&asleep, &[]);
        slot.begun(turn, now_ns());
        let outcome = match (order, &script.jobs[job]) {
            (Order::Step(step), _) => table.told(&script.steps[step].action),
            (Order::Take(name), _) => table.take(name),
            (Order::Job(_), Job::Wait { waiting, then, times }) => hands.waits(slot, waiting, then, *times, table),
            (Order::GoOn, Job::Wait { waiting, then, .. }) => hands.goes_on(waiting, then, table),
            (Order::Job(_), Job::Storm(control)) => loop {
                if let Err(errno) = table.control(control) {
                    slot.failed(errno);
                }
            },
            (_, Job::Storm(_) | Job::Idle) => Err(Errno::EINVAL),
        };
        slot.ended(turn, hands.paused, number(outcome));
    }
}

impl Hands {
    /// One turn. With several times a signal does not end it.
    fn waits(&mut self, slot: Slot<'_>, waiting: &Waiting, then: &[Then], times: u32, table: &Table) -> Outcome {
        let mut done = Ok(0);
        let mut left = times;
        while left > 0 {
            self.outcome = table.wait(waiting, &mut self.got);
            let t_return = now_ns();
            slot.returned(t_return);
            match self.outcome {
                Ok(0) => slot.empty_return(),
                Ok(_) => slot.claimed(Claim { tag: 0 }, t_return, t_return),
                Err(errno) => {
                    slot.failed(errno);
                    slot.empty_return();
                }
            }
            (self.event, self.then, self.paused) = (0, 0, false);
            let waited = self.outcome;
            done = self.goes_on(waiting, then, table);
            match (waited, done) {
                (Err(Errno::EINTR), _) if times > 1 => {}
                (Err(_), _) => return done,
                (Ok(_), Err(errno)) => {
                    slot.failed(errno);
                    left -= 1;
                }
                (Ok(_), Ok(_)) => left -= 1,
            }
            if left > 0 {
                slot.waiting();
            }
        }
        done
    }

    /// Does what is left to be done with the events. What fails there is what the
    /// turn came to: it was part of it.
    fn goes_on(&mut self, waiting: &Waiting, then: &[Then], table: &Table) -> Outcome {
        self.paused = false;
        while self.event < self.got.count {
            let name = self.got.name(self.event);
            while let Some(next) = then.get(self.then) {
                self.then += 1;
                let done = match next {
                    Then::Pause => {
                        self.paused = true;
                        return self.outcome;
                    }
                    Then::Read => match &self.got.connection {
                        Some(connection) => hear(connection),
                        None => table.read(name, usize::MAX),
                    },
                    Then::Write(to) => table.write(*to),
                    Then::Accept { all } => accept(table, name, *all),
                    Then::Busy(us) => {
                        busy(*us);
                        Ok(0)
                    }
                    Then::Rearm(flags) => {
                        let (epoll, target) = (table.number(waiting.on), table.number(name));
                        by_number::epoll_control(epoll, libc::EPOLL_CTL_MOD, target, bits(*flags), name as u64)
                            .map(|()| 0)
                    }
                };
                if done.is_err() {
                    self.outcome = self.outcome.and(done);
                }
            }
            self.say_accepted();
            (self.event, self.then) = (self.event + 1, 0);
        }
        self.outcome
    }

    fn say_accepted(&mut self) {
        if let Some(connection) = self.got.connection.take() {
            greet(&connection);
        }
    }
}

/// Accepts from what an event names: one, or until there is none.
fn accept(table: &Table, name: Name, all: bool) -> Outcome {
    let mut count = 0;
    loop {
        match by_number::accept(table.number(name)) {
            Ok(connection) => greet(&connection),
            Err(Errno::EAGAIN) if count > 0 => return Ok(count),
            Err(errno) => return Err(errno),
        }
        count += 1;
        if !all {
            return Ok(count);
        }
    }
}

/// Works: what a handler does that needs no other call.
fn busy(us: u64) {
    let end = now_ns() + us * 1000;
    while now_ns() < end {
        std::hint::spin_loop();
    }
}

/// For the ledger: events, or an errno below zero.
fn number(outcome: Outcome) -> i64 {
    outcome.map_or_else(|errno| -(errno as i64), |count| count as i64)
}
