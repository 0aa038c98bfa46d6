//! Many HTTP clients in one thread: each visit is a request and its answer, on a new
//! connection or on one that stays. Never waits for one client, sleeps when there is
//! nothing to do, and skips no intended start: one that finds no free connection is made
//! later, and its latency counts from when it was to start ("coordinated omission").

mod ends;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use hdrhistogram::Histogram;
use nix::errno::Errno;
use nix::sys::epoll::EpollEvent;
use socket2::{Socket, Type};

use super::answer::Answer;
use super::ears::{Ears, HEARD, HEARS, SPEAKS, TIMER};
use super::latency::histogram;
use super::pacer::Pacer;
use super::places::Places;
use super::target::Target;
use crate::load::Pace;
use crate::loaded::Errors;
use crate::sys::clock::{cpu_ns, now_ns};
use crate::sys::socket::send_now;

/// A signal is looked for so often, even if nobody is heard.
const LOOK_NS: u64 = 100_000_000;
/// After a signal, those under way get so long.
const GRACE_NS: u64 = 500_000_000;
/// How long a load goes on: requests, and time that is 0 for no end; whichever ends first.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    pub requests: u64,
    pub ms: u64,
}

/// What became of the clients of one stretch.
pub struct Seen {
    pub errors: Errors,
    pub answered: u64,
    /// Made in this stretch.
    pub requests: u64,
    /// Used in it; some may have been opened before.
    pub connections: u64,
    pub again: u64,
    pub latency: Histogram<u64>,
    pub from_making: Histogram<u64>,
    pub began_ns: u64,
    /// The last answer.
    pub last_ns: u64,
    pub cpu_ns: u64,
    /// How often one was due and all connections were busy.
    pub crowded: u64,
}

/// Why a load ended before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    Signal,
    /// The server is gone, or was never one: what it did last.
    Gone(String),
    /// This machine cannot go on.
    Machine(String),
}

struct Client {
    end: OwnedFd,
    answer: Answer,
    intended: u64,
    made: u64,
    /// The request could not be sent yet: not connected.
    unsent: bool,
    /// Requests answered on this connection.
    served: u64,
    /// It waits for nobody.
    idle: bool,
}

/// The clients.
pub struct Visitors<'a> {
    target: &'a Target,
    request: Vec<u8>,
    keep_alive: bool,
    most: u64,
    patience_ns: u64,
    ears: Ears,
    places: Places<Client>,
    /// Connections that stay and have nothing to do.
    idle: Vec<usize>,
    pacer: Pacer,
    buffer: Box<[u8; 65536]>,
    seen: Seen,
    /// Answered so far, warm-up and all.
    ever: u64,
    in_a_row: u64,
    /// No port or descriptor is left: wait for a client to end.
    starved: bool,
    stop: Option<Stop>,
}

impl<'a> Visitors<'a> {
    /// At most `most` connections at a time, each with one request at a time.
    pub fn new(target: &'a Target, keep_alive: bool, most: u64, patience: Duration) -> io::Result<Visitors<'a>> {
        Ok(Visitors {
            target,
            request: target.request(keep_alive),
            keep_alive,
            most,
            patience_ns: patience.as_nanos() as u64,
            ears: Ears::new()?,
            places: Places::default(),
            idle: Vec::new(),
            pacer: Pacer::new(Pace::Clients(0), 0, 0),
            buffer: Box::new([0; 65536]),
            seen: fresh(),
            ever: 0,
            in_a_row: 0,
            starved: false,
            stop: None,
        })
    }

    /// Makes requests at that pace until it is over or `asked` says that it is to end,
    /// and hears what becomes of them. Those that are under way from an earlier stretch
    /// do not count.
    ///
    /// # Errors
    /// When epoll itself fails, which it has no reason to.
    pub fn go(&mut self, pace: Pace, length: Length, asked: &dyn Fn() -> bool) -> io::Result<Option<Stop>> {
        self.stretch(pace, length, asked, true)
    }

    /// The same before anything counts: ends with its time, and with requests under way.
    ///
    /// # Errors
    /// As above.
    pub fn warm_up(&mut self, pace: Pace, ms: u64, asked: &dyn Fn() -> bool) -> io::Result<Option<Stop>> {
        self.stretch(pace, Length { requests: u64::MAX, ms }, asked, false)
    }

    fn stretch(
        &mut self,
        pace: Pace,
        length: Length,
        asked: &dyn Fn() -> bool,
        to_the_end: bool,
    ) -> io::Result<Option<Stop>> {
        self.seen = fresh();
        self.seen.connections = self.places.taken();
        let cpu_before = cpu_ns();
        self.pacer = Pacer::new(pace, length.requests, length.ms);
        loop {
            let mut now = now_ns();
            for _ in 0..HEARD {
                let Some(intended) = self.due(now) else { break };
                self.begin(intended, now);
                // The pacer takes a time for the only end; here whichever comes first is.
                if self.pacer.fired() >= length.requests {
                    self.pacer.stop();
                }
                now = now_ns();
            }
            while let Some((_, client)) = self.places.expired(now) {
                self.starved = false;
                // After a signal it was us who did not wait.
                if self.stop.is_none() {
                    self.seen.errors.timed_out += u64::from(client.intended >= self.seen.began_ns);
                    self.unanswered("no answer came in time".into(), 2 * self.most);
                }
            }
            if self.stop.is_none() && asked() {
                self.stop = Some(Stop::Signal);
                self.pacer.stop();
                self.places.hurry(now + GRACE_NS);
            }
            let over = self.pacer.is_over(now, self.busy());
            let gone = matches!(self.stop, Some(Stop::Gone(_) | Stop::Machine(_)));
            if gone || over && (self.busy() == 0 || !to_the_end) {
                break;
            }
            self.listen(now)?;
        }
        self.seen.requests = self.pacer.fired();
        self.seen.cpu_ns = cpu_ns() - cpu_before;
        Ok(self.stop.clone())
    }

    /// What was seen so far does not count.
    pub fn forget(&mut self) {
        self.seen = fresh();
        self.pacer = Pacer::new(Pace::Clients(0), 0, 0);
    }

    /// Whether there was an answer to any request, warm-up and all.
    pub fn ever_answered(&self) -> bool {
        self.ever > 0
    }

    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    pub fn pacer(&self) -> &Pacer {
        &self.pacer
    }

    /// Clients that wait for an answer.
    fn busy(&self) -> u64 {
        self.places.taken() - self.idle.len() as u64
    }

    fn due(&mut self, now: u64) -> Option<u64> {
        if self.stop.is_some() || self.starved {
            return None;
        }
        let due = self.pacer.due(now, self.busy())?;
        if self.busy() < self.most {
            return Some(due);
        }
        self.seen.crowded += 1;
        None
    }

    fn begin(&mut self, intended: u64, now: u64) {
        if let Some(place) = self.idle.pop() {
            let client = &mut self.places[place];
            (client.intended, client.made, client.idle) = (intended, now, false);
            self.places.begin(place, now + self.patience_ns);
            self.pacer.made();
            self.say(place);
            return;
        }
        match self.connect(intended, now, now + self.patience_ns) {
            Ok(()) => self.pacer.made(),
            Err(e) => match e.raw_os_error().map(Errno::from_raw) {
                Some(Errno::EMFILE | Errno::ENFILE | Errno::EADDRNOTAVAIL) if self.places.taken() > 0 => {
                    self.starved = true;
                }
                Some(Errno::EADDRNOTAVAIL) => self.stop = Some(Stop::Machine(no_ports())),
                errno => {
                    self.pacer.made();
                    self.lost(intended, errno.unwrap_or(Errno::UnknownErrno));
                }
            },
        }
    }

    /// `made` is what the latency of the request counts from, `deadline` when its client
    /// gives up: later than those of all before it.
    fn connect(&mut self, intended: u64, made: u64, deadline: u64) -> io::Result<()> {
        let address = &self.target.address;
        let socket = Socket::new(address.domain(), Type::STREAM.nonblocking(), None)?;
        // Zero linger: close sends a reset, and leaves no port in TIME_WAIT. The answer has
        // been read by then.
        socket.set_linger(Some(Duration::ZERO))?;
        match socket.connect(address) {
            Err(e) if e.raw_os_error() != Some(Errno::EINPROGRESS as i32) => return Err(e),
            _ => {}
        }
        // On loopback the handshake has ended by now, if the queue had room. A refusal is
        // told once, here.
        let unsent = match send_now(socket.as_fd(), &self.request) {
            Err(Errno::EAGAIN) => true,
            sent => sent.map(|_| false)?,
        };
        let end = OwnedFd::from(socket);
        let place = self.places.next();
        self.ears.add(&end, if unsent { SPEAKS } else { HEARS }, place as u64)?;
        let answer = Answer::default();
        let client = Client { end, answer, intended, made, unsent, served: 0, idle: false };
        self.places.put(client, deadline);
        self.seen.connections += 1;
        Ok(())
    }

    /// Sends the request of a connection that stays, or of one that is connected now.
    fn say(&mut self, place: usize) {
        let client = &mut self.places[place];
        match send_now(client.end.as_fd(), &self.request) {
            Ok(sent) if sent == self.request.len() => {
                if std::mem::take(&mut client.unsent) {
                    // It is in the instance, and stays there until it is closed.
                    let _ = self.ears.change(&client.end, HEARS, place as u64);
                }
            }
            // A buffer that has room for no request is none of a server we know.
            Ok(_) => self.cut_off(place, Errno::EMSGSIZE),
            Err(errno) => self.cut_off(place, errno),
        }
    }

    /// Sleeps until somebody is heard or something is due.
    fn listen(&mut self, now: u64) -> io::Result<()> {
        let mut events = [EpollEvent::empty(); HEARD];
        let mut wake = self.places.deadline().min(now + LOOK_NS);
        if self.stop.is_none() && !self.starved && self.busy() < self.most {
            wake = wake.min(self.pacer.next(now, self.busy()));
        }
        let count = self.ears.listen(now, wake, &mut events)?;
        for event in &events[..count] {
            if event.data() != TIMER {
                self.heard(event.data() as usize);
            }
        }
        Ok(())
    }
}

fn fresh() -> Seen {
    let now = now_ns();
    Seen {
        errors: Errors::default(),
        answered: 0,
        requests: 0,
        connections: 0,
        again: 0,
        latency: histogram(),
        from_making: histogram(),
        began_ns: now,
        last_ns: now,
        cpu_ns: 0,
        crowded: 0,
    }
}

fn no_ports() -> String {
    "no port is left for a client (net.ipv4.ip_local_port_range); use --keep-alive, or wait until those in TIME_WAIT \
     are free"
        .into()
}
