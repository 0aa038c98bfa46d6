//! Clients by the clock or in a loop: begins connections or sends messages, and
//! hears what becomes of them. Never waits for one client, sleeps when there is
//! nothing to do, and knows of workers only what they answer and claim.
//!
//! Latencies count from the intended start of an event, so that neither a slow
//! server nor a slow generator is flattered ("coordinated omission").

mod ends;
mod flight;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use hdrhistogram::Histogram;
use nix::errno::Errno;
use nix::sys::epoll::{EpollEvent, EpollFlags};

use flight::Flight;

use super::contract::{Asks, Begun, Call, During, Injector, SetupError};
use super::coordinator::invalid;
use super::drops::Drops;
use super::tally::Tally;
use crate::client::ears::{Ears, HEARD, HEARS, SPEAKS, TIMER};
use crate::client::latency::{histogram, latency_of, note};
use crate::client::pacer::Pacer;
use crate::client::places::Places;
use crate::experiment::Settings;
use crate::load::Pace;
use crate::observation::{Clients, End, Traffic as Seen};
use crate::sys::clock::{cpu_ns, now_ns};

/// Claims are read at least so often: the ring of a worker is finite.
const READ_NS: u64 = 2_000_000;
/// Events begun before anybody is heard again.
const AT_ONCE: u32 = 32;
/// Turns between two looks for dead workers.
const TURNS: u32 = 256;
/// What the ends of connections that stay are called in the instance, from here on;
/// clients have smaller numbers.
const STAYS: u64 = 1 << 40;

/// One client that has not come to its end.
struct Client {
    end: OwnedFd,
    tag: u32,
    intended: u64,
    /// What it is to say as soon as it is connected.
    unsent: Option<&'static [u8]>,
    /// What it asks after its next answer.
    asks: Asks,
}

/// The clients of one timed round.
pub(super) struct Traffic {
    pacer: Pacer,
    replies: bool,
    patience_ns: u64,
    late_ns: u64,
    ears: Ears,
    clients: Places<Client>,
    /// Where nobody answers: whose place it is that has the tag.
    places: HashMap<u32, VecDeque<usize>>,
    /// Messages on connections that stay, by number, and when they were to be sent.
    messages: HashMap<u32, u64>,
    ends: Vec<i32>,
    /// When the sender of each message gives up, and its number.
    deadlines: VecDeque<(u64, u32)>,
    turns: u32,
    /// Ended early: see `cut_short`.
    cut: bool,
    /// When the claims were read.
    read_at: u64,
    /// No descriptor is left: wait for a client to end.
    starved: bool,
    /// How often that was so.
    starvations: u64,
    flight: Flight,
    seen: Clients,
    answers: u64,
    reply: Histogram<u64>,
    lag: Histogram<u64>,
    cpu_before: u64,
    drops: Drops,
}

impl Traffic {
    /// `events` in all, or as many as there are in `duration_ms` where that is not 0.
    pub fn new(settings: &Settings, pace: Pace, events: u64, duration_ms: u64) -> io::Result<Traffic> {
        Ok(Traffic {
            pacer: Pacer::new(pace, events, duration_ms),
            replies: settings.worker.reply,
            patience_ns: settings.patience_ms() * 1_000_000,
            late_ns: settings.traffic.late_us * 1000,
            ears: Ears::new()?,
            clients: Places::default(),
            places: HashMap::new(),
            messages: HashMap::new(),
            ends: Vec::new(),
            deadlines: VecDeque::new(),
            turns: 0,
            cut: false,
            read_at: 0,
            starved: false,
            starvations: 0,
            flight: Flight::new(now_ns()),
            seen: Clients::default(),
            answers: 0,
            reply: histogram(),
            lag: histogram(),
            cpu_before: cpu_ns(),
            drops: Drops::read(),
        })
    }

    /// Answers come on these, too.
    pub fn hear(&mut self, ends: &[OwnedFd]) -> io::Result<()> {
        for (number, end) in (0..).zip(ends) {
            self.ears.add(end, EpollFlags::EPOLLIN, STAYS + number)?;
            self.ends.push(end.as_raw_fd());
        }
        Ok(())
    }

    /// When which events are made.
    pub fn pacer(&self) -> &Pacer {
        &self.pacer
    }

    /// Whether it is time to read the claims: that costs a look at every worker.
    pub fn should_read(&mut self) -> bool {
        let now = now_ns();
        // Where nobody answers, a claim is what a client waits for.
        let read = !self.replies || now >= self.read_at + READ_NS / 2;
        if read {
            self.read_at = now;
        }
        read
    }

    /// Whether it is time to see that nobody died.
    pub fn should_check(&self) -> bool {
        self.turns.is_multiple_of(TURNS)
    }

    /// Makes what is due and hears what there is; sleeps if that is nothing.
    /// `false` when all events were made and every client has come to its end.
    pub fn turn(&mut self, injector: &mut dyn Injector, tally: &mut Tally) -> Result<bool, End> {
        self.turns = self.turns.wrapping_add(1);
        let mut now = now_ns();
        for _ in 0..AT_ONCE {
            let Some(intended) = self.due(now) else {
                break;
            };
            self.make(injector, tally, intended)?;
            now = now_ns();
        }
        self.give_up(now, tally);
        if self.pacer.is_over(now, self.open()) && self.open() == 0 {
            return Ok(false);
        }
        self.listen(now, tally).map_err(|errno| invalid(format!("cannot hear the clients: {errno}")))?;
        Ok(true)
    }

    /// Clients and messages that have not come to their end.
    fn open(&self) -> u64 {
        self.clients.taken() + self.messages.len() as u64
    }

    /// The intended start of the next event, if it is there.
    fn due(&self, now: u64) -> Option<u64> {
        if self.starved { None } else { self.pacer.due(now, self.open()) }
    }

    fn make(&mut self, injector: &mut dyn Injector, tally: &mut Tally, intended: u64) -> Result<(), End> {
        let now = now_ns();
        let deadline = now + self.patience_ns;
        let open = self.open();
        let begun = if self.ends.is_empty() { injector.begin() } else { Ok(None) };
        let made = begun.and_then(|begun| match begun {
            Some(begun) => self.client(begun, intended, deadline),
            None => injector.fire().inspect(|tag| {
                if self.replies {
                    self.messages.insert(*tag, intended);
                    self.deadlines.push_back((deadline, *tag));
                }
            }),
        });
        match made {
            Ok(tag) => {
                if self.open() > open {
                    self.flight.starts(intended, now);
                }
                tally.open.add(tag, intended)
            }
            Err(SetupError { errno: Errno::EMFILE | Errno::ENFILE, .. }) if self.open() > 0 => {
                self.starved = true;
                self.starvations += 1;
                return Ok(());
            }
            Err(SetupError { errno: Errno::ECONNREFUSED | Errno::EAGAIN, .. }) => self.seen.refused += 1,
            Err(SetupError { errno: Errno::ECONNRESET | Errno::EPIPE, .. }) => self.seen.reset += 1,
            Err(e @ SetupError { errno: Errno::EMFILE | Errno::ENFILE, .. }) => {
                return Err(invalid(format!("event {}: {e}; raise `ulimit -Hn`", self.pacer.fired())));
            }
            Err(_) => self.seen.failed += 1,
        }
        note(&mut self.lag, now.saturating_sub(intended));
        self.pacer.made();
        Ok(())
    }

    fn client(&mut self, begun: Begun, intended: u64, deadline: u64) -> Result<u32, SetupError> {
        let Begun { end, tag, unsent, asks } = begun;
        let place = self.clients.next();
        let what = if unsent.is_some() { SPEAKS } else { HEARS };
        self.ears.add(&end, what, place as u64).during(Call::EpollAdd)?;
        if !self.replies {
            self.places.entry(tag).or_default().push_back(place);
        }
        self.clients.put(Client { end, tag, intended, unsent, asks }, deadline);
        Ok(tag)
    }

    /// Where nobody answers, a client is served when it was claimed.
    pub fn claimed(&mut self, claims: &[(u32, u32)]) {
        if self.replies || self.places.is_empty() {
            return;
        }
        let now = now_ns();
        for (tag, _) in claims {
            let place = self.places.get_mut(tag).and_then(VecDeque::pop_front);
            if let Some(client) = place.and_then(|place| self.clients.take(place)) {
                self.flight.ends(now);
                self.served(client.intended, now);
            }
        }
        self.starved = false;
    }

    fn served(&mut self, intended: u64, now: u64) {
        self.seen.served += 1;
        self.answered(intended, now);
    }

    fn answered(&mut self, intended: u64, now: u64) {
        let latency = now.saturating_sub(intended);
        self.answers += 1;
        self.seen.late += u64::from(self.late_ns > 0 && latency > self.late_ns);
        if self.replies {
            note(&mut self.reply, latency);
        }
    }

    /// Sleeps until somebody is heard or something is due.
    fn listen(&mut self, now: u64, tally: &mut Tally) -> nix::Result<()> {
        let mut events = [EpollEvent::empty(); HEARD];
        let message = self.deadlines.front().map_or(u64::MAX, |(deadline, _)| *deadline);
        let mut wake = self.clients.deadline().min(message).min(now + READ_NS);
        if !self.starved {
            wake = wake.min(self.pacer.next(now, self.open()));
        }
        let count = self.ears.listen(now, wake, &mut events)?;
        for event in &events[..count] {
            match event.data() {
                TIMER => {}
                place if place >= STAYS => self.answers(self.ends[(place - STAYS) as usize]),
                place => self.heard(place as usize, tally),
            }
        }
        Ok(())
    }

    /// That events were late because no descriptor was left, if so.
    pub fn starved(&self) -> Option<String> {
        (self.starvations > 0).then(|| {
            format!(
                "no descriptor was left {} times, and the next event had to wait for a client to end: so many were open \
                 at once; raise `ulimit -Hn`, or choose a lower rate or fewer clients",
                self.starvations
            )
        })
    }

    /// What it came to.
    pub fn into_seen(self) -> Seen {
        Seen {
            clients: self.seen,
            in_flight_ns: self.flight.sum(now_ns()),
            reply_mean_ns: self.reply.mean() as u64,
            answers: self.answers,
            reply: latency_of(&self.reply),
            lag: latency_of(&self.lag),
            busy_ns: now_ns() - self.pacer.started(),
            generator_cpu_ns: cpu_ns() - self.cpu_before,
            drops: self.drops.risen(),
        }
    }
}
