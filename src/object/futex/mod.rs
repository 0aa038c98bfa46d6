//! A futex: a word of shared memory on which the kernel lets tasks sleep.
//!
//! An event adds a ticket and wakes as the mode says (kernel/futex/waitwake.c,
//! `futex_wake`; kernel/futex/requeue.c, `futex_requeue`). Sleepers of one word
//! are queued first in, first out, and the kernel wakes exactly as many as it is
//! asked to, or all there are; it returns the number, which `fire` holds against
//! what it knows. Every wake is a return: the kernel never looks at the tickets.
//!
//! The word itself counts events, so that a worker who looked before an event
//! cannot fall asleep after it: FUTEX_WAIT compares. Tickets are a word of their
//! own, which nobody sleeps on.

mod hand;

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;

use self::hand::Hand;
use super::{Object, mode, refuse_extras};
use crate::cell::contract::{Asleep, Call, Claim, Door, During, Injector, Opened, SetupError, Source};
use crate::experiment::Settings;
use crate::sys::futex::{self, Reach};
use crate::sys::shared::SharedRows;

/// futex(2) and its relatives.
pub struct Futex;

/// How an event wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    One,
    All,
    Private,
    Requeue,
    CompareRequeue,
    WakeOp,
    WaitAny,
    Second,
}

const MODES: &[(&str, &str)] = &[
    ("wake-one", "FUTEX_WAKE of one sleeper"),
    ("wake-all", "FUTEX_WAKE of all: one finds the ticket"),
    ("private", "wake-one with FUTEX_PRIVATE_FLAG, fired by a thread of the workers' process"),
    ("requeue", "FUTEX_REQUEUE: one is woken, the others are moved to a second word asleep"),
    ("cmp-requeue", "the same by FUTEX_CMP_REQUEUE"),
    ("wake-op", "FUTEX_WAKE_OP: one sleeper of each of two words"),
    ("waitv", "each sleeps on four words by futex_waitv(2), one of them is woken"),
    ("futex2", "wake-one by futex_wait(2) and futex_wake(2)"),
];

impl Mode {
    fn of(settings: &Settings) -> Mode {
        match mode(&Futex, settings) {
            "wake-all" => Mode::All,
            "private" => Mode::Private,
            "requeue" => Mode::Requeue,
            "cmp-requeue" => Mode::CompareRequeue,
            "wake-op" => Mode::WakeOp,
            "waitv" => Mode::WaitAny,
            "futex2" => Mode::Second,
            _ => Mode::One,
        }
    }

    /// What the kernel returns when `workers` sleep: the requeues count those
    /// they moved as well.
    fn answer(self, workers: u32) -> u32 {
        match self {
            Mode::All | Mode::Requeue | Mode::CompareRequeue => workers,
            Mode::WakeOp => workers.min(2),
            Mode::One | Mode::Private | Mode::WaitAny | Mode::Second => 1,
        }
    }
}

impl Object for Futex {
    fn name(&self) -> &'static str {
        "futex"
    }

    fn about(&self) -> &'static str {
        "a word in shared memory; an event is a ticket and a wake"
    }

    fn modes(&self) -> &'static [(&'static str, &'static str)] {
        MODES
    }

    fn needs(&self, settings: &Settings) -> Option<&'static str> {
        match Mode::of(settings) {
            Mode::WaitAny => Some("futex_waitv"),
            Mode::Second => Some("futex2"),
            _ => None,
        }
    }

    fn has_descriptor(&self) -> bool {
        false
    }

    fn refuse(&self, settings: &Settings) -> Option<String> {
        if Mode::of(settings) == Mode::Private && settings.placement().processes > 1 {
            return Some(
                "a private futex is known inside one process only: others neither sleep on it nor wake it; \
                 use placement = \"threads\", or mode = \"wake-one\""
                    .into(),
            );
        }
        refuse_extras(self, settings)
    }

    fn open(&self, settings: &Settings, _block: bool) -> Result<Opened, SetupError> {
        let mode = Mode::of(settings);
        let ground = Arc::new(Ground { rows: SharedRows::new(1).during(Call::Mmap)?, mode });
        let hand = (mode == Mode::Private).then(Hand::new).transpose()?.map(Arc::new);
        Ok(Opened {
            injector: Box::new(Bell {
                ground: ground.clone(),
                hand: hand.clone(),
                workers: settings.workers,
                all_asleep: true,
            }),
            door: Arc::new(FutexDoor { ground, hand }),
        })
    }
}

/// Words one can sleep on.
const WORDS: usize = 4;
/// Where tickets are counted, and events.
const TICKETS: usize = WORDS;
const EVENTS: usize = WORDS + 1;

/// The memory that all share.
struct Ground {
    rows: SharedRows<8>,
    mode: Mode,
}

impl Ground {
    fn word(&self, index: usize) -> &AtomicU64 {
        &self.rows.row(0)[index]
    }

    fn tickets(&self) -> &AtomicU64 {
        self.word(TICKETS)
    }

    fn value(&self, index: usize) -> u32 {
        self.word(index).load(Ordering::SeqCst) as u32
    }

    /// Takes a ticket if there is one.
    fn take(&self) -> bool {
        let less = |n: u64| n.checked_sub(1);
        self.tickets().fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok()
    }

    /// One more ticket, one more event, then the wake. Returns what the kernel
    /// returned.
    fn ring(&self) -> Result<u32, Errno> {
        self.tickets().fetch_add(1, Ordering::SeqCst);
        let event = self.word(EVENTS).fetch_add(1, Ordering::SeqCst) as usize;
        let add = |index: usize| self.word(index).fetch_add(1, Ordering::SeqCst);
        match self.mode {
            Mode::One | Mode::All => {
                add(0);
                let most = if self.mode == Mode::All { i32::MAX } else { 1 };
                futex::wake(self.word(0), most, Reach::Shared)
            }
            Mode::Private => {
                add(0);
                futex::wake(self.word(0), 1, Reach::Private)
            }
            Mode::Requeue | Mode::CompareRequeue => {
                let (from, to) = (event % 2, (event + 1) % 2);
                let now = add(from) as u32 + 1;
                let must_be = (self.mode == Mode::CompareRequeue).then_some(now);
                futex::requeue(self.word(from), self.word(to), must_be)
            }
            Mode::WakeOp => {
                add(0);
                futex::add_and_wake_both(self.word(0), self.word(1))
            }
            Mode::WaitAny => {
                add(event % WORDS);
                futex::wake(self.word(event % WORDS), 1, Reach::Shared)
            }
            Mode::Second => {
                add(0);
                futex::wake2(self.word(0), 1)
            }
        }
    }

    /// The word that sleepers are on after the events so far, and its value.
    fn meeting_place(&self) -> (usize, u32) {
        loop {
            let events = self.word(EVENTS).load(Ordering::SeqCst);
            let at = events as usize % 2;
            let value = self.value(at);
            // Nobody fired in between, so whoever fires next changes that value
            // or finds us asleep.
            if self.word(EVENTS).load(Ordering::SeqCst) == events {
                return (at, value);
            }
        }
    }
}

struct FutexDoor {
    ground: Arc<Ground>,
    hand: Option<Arc<Hand>>,
}

impl Door for FutexDoor {
    fn sources(&self, index: u32) -> Result<Vec<Box<dyn Source>>, SetupError> {
        if let (Some(hand), 0) = (&self.hand, index) {
            let ground = self.ground.clone();
            hand.start(move || ground.ring())?;
        }
        Ok(vec![Box::new(Sleeping { ground: self.ground.clone(), index: index as usize })])
    }
}

/// The futex as one worker has it.
struct Sleeping {
    ground: Arc<Ground>,
    index: usize,
}

impl Source for Sleeping {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// One sleep at most, whatever it brings.
    fn claim(&mut self) -> Result<Claim, Errno> {
        let ground = &*self.ground;
        let (at, value) = match ground.mode {
            Mode::Requeue | Mode::CompareRequeue => ground.meeting_place(),
            Mode::WakeOp => (self.index % 2, ground.value(self.index % 2)),
            _ => (0, ground.value(0)),
        };
        let values: [u32; WORDS] = std::array::from_fn(|i| ground.value(i));
        if ground.take() {
            return Ok(Claim { tag: 0 });
        }
        let slept = match ground.mode {
            Mode::WaitAny => futex::wait_any(std::array::from_fn(|i| ground.word(i)), values).map(drop),
            Mode::Second => futex::wait2(ground.word(at), value),
            Mode::Private => futex::wait(ground.word(at), value, Reach::Private),
            _ => futex::wait(ground.word(at), value, Reach::Shared),
        };
        match slept {
            // An event came before we could fall asleep.
            Ok(()) | Err(Errno::EAGAIN) => {}
            Err(errno) => return Err(errno),
        }
        if ground.take() { Ok(Claim { tag: 0 }) } else { Err(Errno::EAGAIN) }
    }

    fn asleep(&self) -> Asleep {
        let call = match self.ground.mode {
            Mode::WaitAny => libc::SYS_futex_waitv,
            Mode::Second => futex::SYS_FUTEX_WAIT,
            _ => libc::SYS_futex,
        };
        // The first argument is an address.
        Asleep::at(&[call], None)
    }

    fn identity(&self) -> u64 {
        1
    }
}

/// Fires.
struct Bell {
    ground: Arc<Ground>,
    hand: Option<Arc<Hand>>,
    workers: u32,
    /// Nothing was fired since all were seen asleep, so the kernel's answer is known.
    all_asleep: bool,
}

impl Injector for Bell {
    fn fire(&mut self) -> Result<u32, SetupError> {
        let answer = match &self.hand {
            Some(hand) => hand.ring().during(Call::Futex)?,
            None => self.ground.ring().during(Call::Futex)?,
        };
        if std::mem::take(&mut self.all_asleep) && answer != self.ground.mode.answer(self.workers) {
            return Err(SetupError { call: Call::FutexAnswer, errno: Errno::EPROTO });
        }
        Ok(0)
    }

    fn under_way(&mut self, _missing: u64) -> io::Result<bool> {
        Ok(false)
    }

    fn left(&mut self) -> io::Result<u64> {
        Ok(self.ground.tickets().load(Ordering::SeqCst))
    }

    fn retire(&mut self, _left: bool) {
        self.all_asleep = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_taken_once_and_one_event_is_one_ticket() {
        let ground = Ground { rows: SharedRows::new(1).unwrap(), mode: Mode::One };
        assert!(!ground.take());
        assert_eq!(ground.ring(), Ok(0), "nobody sleeps");
        assert!(ground.take());
        assert!(!ground.take());
    }

    #[test]
    fn requeueing_events_change_the_word_that_was_slept_on() {
        let ground = Ground { rows: SharedRows::new(1).unwrap(), mode: Mode::CompareRequeue };
        assert_eq!(ground.meeting_place(), (0, 0));
        ground.ring().unwrap();
        assert_eq!((ground.meeting_place(), ground.value(0)), ((1, 0), 1));
        ground.ring().unwrap();
        assert_eq!((ground.meeting_place(), ground.value(1)), ((0, 1), 1));
    }
}
