//! What workers leave for the coordinator, in memory that both map.
//!
//! One slot and one ring per worker, one writer each, atomics only. Nothing here
//! blocks, allocates or formats: it is what the hot loop may touch. Counters are
//! relaxed; `phase` and the ring's head are released after what they announce.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::*};

use nix::errno::Errno;

use super::contract::{Asleep, Call, Claim, SetupError};
use super::counts::Counts;
use crate::sys::futex;
use crate::sys::shared::SharedRows;

/// Words of a slot: six cache lines' worth and no line shared with a neighbour.
const SLOT: usize = 48;
/// Words of a record.
const RECORD: usize = 4;

// Words of a slot.
const PHASE: usize = 0;
const TASK: usize = 1;
const RETURNS: usize = 2;
const CLAIMS: usize = 3;
const EMPTY_RETURNS: usize = 4;
const OWN_SLEEPS: usize = 5;
const HEAD: usize = 6;
const FAILED_CALL: usize = 7;
const FAILED_ERRNO: usize = 8;
/// How many places to sleep there are; they stand at the end.
const PLACES: usize = 9;
const GATE: usize = 12;
/// Number of objects, then up to eight of their identities.
const OBJECTS: usize = 13;
/// One word per entry of [`ERRNOS`], and one for all others.
const ERRORS: usize = 22;
const LAST_RETURN: usize = 30;
const LAST_CLAIM: usize = 31;
/// Call and first argument of each place.
const PLACE: usize = 32;

/// Turns of a script begun and ended, when the last one began, what it came to.
const BEGUN: usize = 40;
const ENDED: usize = 41;
const SINCE: usize = 42;
const OUTCOME: usize = 43;
/// What the coordinator wants done in the next turn, and whether the last one paused.
const ORDER: usize = 44;
const PAUSED: usize = 45;

/// Errors counted by name.
const ERRNOS: [Errno; 7] =
    [Errno::EAGAIN, Errno::EINTR, Errno::ECONNABORTED, Errno::EMFILE, Errno::ENFILE, Errno::ETIMEDOUT, Errno::EINVAL];

/// What a worker is doing, by its own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not registered yet.
    Starting,
    /// In its wait call, or about to enter it.
    Waiting,
    /// Between a return and the next wait.
    Busy,
    /// Setting up failed; see [`Slot::failure`].
    Gone,
}

/// The shared memory of one cell.
pub struct Ledger {
    slots: SharedRows<SLOT>,
    rings: SharedRows<RECORD>,
    ring: usize,
}

/// One claim, as the worker saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    pub t_return_ns: u64,
    pub t_claim_ns: u64,
    pub tag: u32,
}

impl Ledger {
    /// Room for `workers`, each with up to `per_round` claims between two barriers.
    pub fn new(workers: u32, per_round: u64) -> io::Result<Ledger> {
        let ring = usize::try_from(per_round).unwrap_or(usize::MAX).max(8).next_power_of_two();
        let records = ring.checked_mul(workers as usize).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Ledger { slots: SharedRows::new(workers as usize)?, rings: SharedRows::new(records)?, ring })
    }

    pub fn workers(&self) -> u32 {
        self.slots.len() as u32
    }

    /// The slot of worker `index`.
    pub fn slot(&self, index: u32) -> Slot<'_> {
        Slot { words: self.slots.row(index as usize), ledger: self, index: index as usize }
    }

    /// All slots, in registration order.
    pub fn slots(&self) -> impl Iterator<Item = Slot<'_>> {
        (0..self.workers()).map(|index| self.slot(index))
    }

    pub fn claims(&self) -> u64 {
        self.slots().map(|slot| slot.claims()).sum()
    }
}

/// One worker's part of the ledger.
#[derive(Clone, Copy)]
pub struct Slot<'a> {
    words: &'a [AtomicU64; SLOT],
    ledger: &'a Ledger,
    index: usize,
}

/// What the worker writes. Only the worker calls these.
impl Slot<'_> {
    fn add(&self, word: usize, count: u64) {
        // One writer: a plain load and store is enough and costs no lock prefix.
        let cell = &self.words[word];
        cell.store(cell.load(Relaxed) + count, Relaxed);
    }

    pub fn hello(&self, pid: u32, tid: u32) {
        self.words[TASK].store(u64::from(pid) << 32 | u64::from(tid), Release);
    }

    /// Sleeps at this worker's gate until turn number `turn`, counted from 0, is given.
    pub fn rest(&self, turn: u32) {
        futex::wait_while(&self.words[GATE], turn);
    }

    /// Turn number `turn` of a script begins now.
    pub fn begun(&self, turn: u32, now_ns: u64) {
        self.words[SINCE].store(now_ns, Relaxed);
        self.words[BEGUN].store(u64::from(turn) + 1, Release);
    }

    /// What this turn is to do, as the coordinator put it.
    pub fn order(&self) -> u64 {
        self.words[ORDER].load(Relaxed)
    }

    /// And ends with this: events, or an errno below zero.
    pub fn ended(&self, turn: u32, paused: bool, outcome: i64) {
        self.words[PAUSED].store(paused.into(), Relaxed);
        self.words[OUTCOME].store(outcome as u64, Relaxed);
        self.words[ENDED].store(u64::from(turn) + 1, Release);
    }

    pub fn registered(&self, asleep: &Asleep, objects: &[u64]) {
        for (words, place) in self.words[PLACE..BEGUN].chunks(2).zip(asleep.places()) {
            words[0].store(place.call as u64, Relaxed);
            words[1].store(place.first.unwrap_or(u64::MAX), Relaxed);
        }
        self.words[PLACES].store(asleep.places().len() as u64, Relaxed);
        self.words[OBJECTS].store(objects.len() as u64, Relaxed);
        for (word, object) in self.words[OBJECTS + 1..ERRORS].iter().zip(objects) {
            word.store(*object, Relaxed);
        }
    }

    pub fn waiting(&self) {
        self.words[PHASE].store(1, Release);
    }

    pub fn returned(&self, t_return_ns: u64) {
        self.words[LAST_RETURN].store(t_return_ns, Relaxed);
        self.words[PHASE].store(2, Release);
        // After the phase: who sees this return also sees the worker busy.
        let returns = &self.words[RETURNS];
        returns.store(returns.load(Relaxed) + 1, Release);
    }

    pub fn claimed(&self, claim: Claim, t_return_ns: u64, t_claim_ns: u64) {
        let head = self.words[HEAD].load(Relaxed);
        let record = self.record(head);
        record[0].store(t_return_ns, Relaxed);
        record[1].store(t_claim_ns, Relaxed);
        record[2].store(u64::from(claim.tag), Relaxed);
        self.words[LAST_CLAIM].store(t_claim_ns, Relaxed);
        self.words[HEAD].store(head + 1, Release);
        self.words[CLAIMS].store(self.words[CLAIMS].load(Relaxed) + 1, Release);
    }

    pub fn empty_return(&self) {
        self.add(EMPTY_RETURNS, 1);
    }

    pub fn failed(&self, errno: Errno) {
        let known = ERRNOS.iter().position(|known| *known == errno);
        self.add(ERRORS + known.unwrap_or(ERRNOS.len()), 1);
    }

    /// So many context switches were ours, not the event's.
    pub fn own_sleeps_add(&self, count: u64) {
        self.add(OWN_SLEEPS, count);
    }

    pub fn gone(&self, error: &SetupError) {
        self.words[FAILED_CALL].store(error.call as u64, Relaxed);
        self.words[FAILED_ERRNO].store(error.errno as i32 as u64, Relaxed);
        self.words[PHASE].store(3, Release);
    }
}

/// What the coordinator reads.
impl<'a> Slot<'a> {
    fn record(&self, number: u64) -> &'a [AtomicU64; RECORD] {
        let at = number as usize & (self.ledger.ring - 1);
        self.ledger.rings.row(self.index * self.ledger.ring + at)
    }

    pub fn phase(&self) -> Phase {
        match self.words[PHASE].load(Acquire) {
            0 => Phase::Starting,
            1 => Phase::Waiting,
            2 => Phase::Busy,
            _ => Phase::Gone,
        }
    }

    /// Process and thread id; `None` until the worker has said hello.
    pub fn task(&self) -> Option<(u32, u32)> {
        let both = self.words[TASK].load(Acquire);
        (both != 0).then_some(((both >> 32) as u32, both as u32))
    }

    /// Opens the gate: the worker has turns up to, without, number `turns`, and does
    /// `order` in the last, where it is a worker of a script.
    pub fn give_turns(&self, turns: u32, order: u64) {
        self.words[ORDER].store(order, Relaxed);
        futex::store_and_wake(&self.words[GATE], turns);
    }

    /// How many turns have begun.
    pub fn turns_begun(&self) -> u32 {
        self.words[BEGUN].load(Acquire) as u32
    }

    /// How many turns have ended, and what the last of them came to.
    pub fn turns_ended(&self) -> (u32, i64) {
        (self.words[ENDED].load(Acquire) as u32, self.words[OUTCOME].load(Relaxed) as i64)
    }

    /// Whether the last turn that ended is to be gone on with.
    pub fn paused(&self) -> bool {
        self.words[PAUSED].load(Relaxed) != 0
    }

    /// When the last turn began.
    pub fn since_ns(&self) -> u64 {
        self.words[SINCE].load(Relaxed)
    }

    pub fn returns(&self) -> u64 {
        self.words[RETURNS].load(Acquire)
    }

    pub fn claims(&self) -> u64 {
        self.words[CLAIMS].load(Acquire)
    }

    pub fn last_return_ns(&self) -> u64 {
        self.words[LAST_RETURN].load(Relaxed)
    }

    pub fn last_claim_ns(&self) -> u64 {
        self.words[LAST_CLAIM].load(Relaxed)
    }

    pub fn empty_returns(&self) -> u64 {
        self.words[EMPTY_RETURNS].load(Relaxed)
    }

    /// All its counts so far.
    pub fn counts(&self) -> Counts {
        Counts {
            returns: self.returns(),
            claims: self.claims(),
            empty_returns: self.empty_returns(),
            own_sleeps: self.own_sleeps(),
            errors: self.errors().collect(),
        }
    }

    pub fn own_sleeps(&self) -> u64 {
        self.words[OWN_SLEEPS].load(Relaxed)
    }

    /// Failed claims and waits by errno name.
    pub fn errors(&self) -> impl Iterator<Item = (String, u64)> + 'a {
        let names = ERRNOS.iter().map(|e| format!("{e:?}")).chain(["other".to_owned()]);
        let counts = self.words[ERRORS..LAST_RETURN].iter().map(|word| word.load(Relaxed));
        names.zip(counts).filter(|(_, count)| *count > 0)
    }

    /// Identities of the objects watched; at most eight are kept.
    pub fn objects(&self) -> Vec<u64> {
        let count = (self.words[OBJECTS].load(Relaxed) as usize).min(ERRORS - OBJECTS - 1);
        self.words[OBJECTS + 1..][..count].iter().map(|word| word.load(Relaxed)).collect()
    }

    pub fn asleep(&self) -> Asleep {
        let count = (self.words[PLACES].load(Relaxed) as usize).min(Asleep::MOST);
        let place = |words: &[AtomicU64]| {
            let first = words[1].load(Relaxed);
            Asleep::at(&[words[0].load(Relaxed) as i64], (first != u64::MAX).then_some(first))
        };
        self.words[PLACE..BEGUN].chunks(2).take(count).map(place).fold(Asleep::default(), Asleep::or)
    }

    /// Why setting up failed.
    pub fn failure(&self) -> SetupError {
        SetupError {
            call: Call::from_number(self.words[FAILED_CALL].load(Relaxed)),
            errno: Errno::from_raw(self.words[FAILED_ERRNO].load(Relaxed) as i32),
        }
    }

    /// The records since `seen`, which is moved on. `Err` is the number of
    /// records that were overwritten before anybody read them.
    pub fn records(&self, seen: &mut u64) -> Result<Vec<Record>, u64> {
        let head = self.words[HEAD].load(Acquire);
        let fresh = head - *seen;
        let room = self.ledger.ring as u64;
        if fresh > room {
            *seen = head;
            return Err(fresh - room);
        }
        let read = |number| {
            let words = self.record(number);
            Record {
                t_return_ns: words[0].load(Relaxed),
                t_claim_ns: words[1].load(Relaxed),
                tag: words[2].load(Relaxed) as u32,
            }
        };
        let records = (*seen..head).map(read).collect();
        *seen = head;
        Ok(records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_once_and_in_order() {
        let ledger = Ledger::new(2, 4).unwrap();
        let slot = ledger.slot(1);
        for tag in 0..5 {
            slot.claimed(Claim { tag }, 10, 20);
        }
        let mut seen = 0;
        let tags: Vec<u32> = slot.records(&mut seen).unwrap().iter().map(|r| r.tag).collect();
        assert_eq!(tags, [0, 1, 2, 3, 4]);
        assert_eq!(slot.records(&mut seen).unwrap(), []);
        assert_eq!(ledger.slot(0).claims(), 0, "slots do not overlap");
        assert_eq!(ledger.claims(), 5);
    }

    #[test]
    fn an_overrun_is_reported_not_hidden() {
        let ledger = Ledger::new(1, 8).unwrap();
        for tag in 0..11 {
            ledger.slot(0).claimed(Claim { tag }, 0, 0);
        }
        assert_eq!(ledger.slot(0).records(&mut 0), Err(3));
    }

    #[test]
    fn errors_are_counted_by_name() {
        let ledger = Ledger::new(1, 1).unwrap();
        let slot = ledger.slot(0);
        slot.failed(Errno::EAGAIN);
        slot.failed(Errno::EAGAIN);
        slot.failed(Errno::ENOTTY);
        let errors: Vec<_> = slot.errors().collect();
        assert_eq!(errors, [("EAGAIN".to_owned(), 2), ("other".to_owned(), 1)]);
    }

    #[test]
    fn phases_and_failures_survive_the_ledger() {
        let ledger = Ledger::new(1, 1).unwrap();
        let slot = ledger.slot(0);
        assert_eq!(slot.phase(), Phase::Starting);
        slot.waiting();
        assert_eq!(slot.phase(), Phase::Waiting);
        let error = SetupError { call: Call::EpollAdd, errno: Errno::EINVAL };
        slot.gone(&error);
        assert_eq!((slot.phase(), slot.failure()), (Phase::Gone, error));
    }
}
