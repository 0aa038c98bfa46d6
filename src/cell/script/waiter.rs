//! A worker of a script: rests at its gate, has one turn, rests again.
//!
//! By its own word it waits all the time, at the gate as in the wait under test;
//! the numbers of turns begun and ended say in which of the two. It never ends by
//! itself; the coordinator kills it.

use super::table::{Outcome, Table};
use crate::cell::contract::{Asleep, Claim};
use crate::cell::ledger::Slot;
use crate::cell::worker::now_ns;
use crate::experiment::script::{Job, Then, Waiting};

/// Never returns.
pub fn run(slot: Slot<'_>, job: &Job, table: &Table) {
    let asleep = match job {
        Job::Wait(waiting, _) => table.asleep(waiting),
        Job::Storm(_) => Asleep::at(&[libc::SYS_futex], None),
    };
    slot.registered(&asleep, &[]);
    slot.hello(std::process::id(), nix::unistd::gettid().as_raw() as u32);
    for turn in 0.. {
        slot.waiting();
        slot.rest(turn);
        slot.begun(turn, now_ns());
        match job {
            Job::Wait(waiting, then) => one_turn(slot, turn, waiting, *then, table),
            Job::Storm(control) => loop {
                if let Err(errno) = table.control(control) {
                    slot.failed(errno);
                }
            },
        }
    }
}

fn one_turn(slot: Slot<'_>, turn: u32, waiting: &Waiting, then: Then, table: &Table) {
    let mut first = waiting.on;
    let outcome = table.wait(waiting, &mut first);
    let t_return = now_ns();
    slot.returned(t_return);
    match outcome {
        Ok(0) => slot.empty_return(),
        Ok(_) => slot.claimed(Claim { tag: 0 }, t_return, t_return),
        Err(errno) => {
            slot.failed(errno);
            slot.empty_return();
        }
    }
    let done = match (outcome, then) {
        (Ok(1..), Then::Read) => table.read(first),
        (Ok(1..), Then::Write(name)) => table.write(name),
        _ => Ok(0),
    };
    // A read or write that fails is what the turn came to: it was part of it.
    slot.ended(turn, number(done.and(outcome)));
}

/// For the ledger: events, or an errno below zero.
fn number(outcome: Outcome) -> i64 {
    outcome.map_or_else(|errno| -(errno as i64), |count| count as i64)
}
