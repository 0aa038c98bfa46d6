//! What objects with two ends have in common: workers read from one end, the
//! coordinator makes events at the other. Who sleeps on which queue, and which
//! function wakes whom, stands in the file of each object.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::cell::contract::{Asleep, Claim, Door, Injector, Member, Opened, Request, SetupError, Source};
use crate::experiment::Settings;
use crate::experiment::settings::{Sharing, Stranded};

/// A descriptor that threads share.
pub(super) type Shared = Arc<dyn AsFd + Send + Sync>;

/// The longest read of a claim: one struct signalfd_siginfo.
const LONGEST: usize = 128;

/// How one read(2) takes one piece of work.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    /// Bytes to ask for, at most [`LONGEST`].
    pub(super) size: u32,
    /// Whether the bytes are the tag; where they are none the kernel hands out
    /// in the order of arrival.
    pub(super) tagged: bool,
    /// Whether io_uring's read does the same: the file must take IOCB_NOWAIT.
    pub(super) by_uring: bool,
}

/// An end to read from, as one worker holds it.
pub(super) struct Reader {
    fd: Shared,
    how: Reading,
    identity: u64,
    buffer: [u8; LONGEST],
}

impl Reader {
    pub(super) fn new(fd: Shared, how: Reading, identity: u64) -> Reader {
        Reader { fd, how, identity, buffer: [0; LONGEST] }
    }
}

impl Source for Reader {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd.as_fd())
    }

    fn claim(&mut self) -> Result<Claim, Errno> {
        let size = self.how.size as usize;
        match nix::unistd::read(self.fd.as_fd(), &mut self.buffer[..size])? {
            // The coordinator holds the other end open, so this is no end of file
            // that a worker could have caused.
            0 => Err(Errno::ENODATA),
            got => Ok(Claim { tag: tag(self.how, &self.buffer[..got]) }),
        }
    }

    fn asleep(&self) -> Asleep {
        Asleep::on(&[libc::SYS_read], &self.fd.as_fd())
    }

    fn identity(&self) -> u64 {
        self.identity
    }

    fn request(&self) -> Option<Request> {
        self.how.by_uring.then_some(Request::Read(self.how.size))
    }

    fn was_read(&mut self, bytes: &[u8]) -> Claim {
        Claim { tag: tag(self.how, bytes) }
    }
}

fn tag(how: Reading, bytes: &[u8]) -> u32 {
    if how.tagged { bytes.try_into().map_or(0, u32::from_ne_bytes) } else { 0 }
}

/// Numbers for events: never 0, and different for the first million events of
/// each of several objects.
pub(super) struct Tags(u32);

impl Tags {
    pub(super) fn of_object(number: u64) -> Tags {
        Tags((number as u32) << 20)
    }

    pub(super) fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(1).max(1);
        self.0
    }
}

/// Both ends of one object.
pub(super) struct Ends {
    /// Makes a worker's hold on it.
    pub(super) hold: Box<dyn Fn() -> Box<dyn Source> + Send + Sync>,
    pub(super) injector: Box<dyn Injector>,
}

impl Ends {
    /// Workers read from `fd`; `fire` makes one event and returns its tag; what
    /// is left is counted by reading it.
    pub(super) fn new(
        fd: Shared,
        how: Reading,
        identity: u64,
        fire: impl FnMut() -> Result<u32, SetupError> + 'static,
    ) -> Ends {
        let injector = Box::new(Firing { fire, rest: Reader::new(fd.clone(), how, identity) });
        Ends { hold: Box::new(move || Box::new(Reader::new(fd.clone(), how, identity))), injector }
    }
}

/// Opens `settings.objects` of them, numbered from 1; events go to each in turn.
pub(super) fn open_each(
    settings: &Settings,
    open: impl Fn(u64) -> Result<Ends, SetupError>,
) -> Result<Opened, SetupError> {
    let (mut holds, mut injectors) = (Vec::new(), Vec::new());
    for number in 1..=u64::from(settings.objects) {
        let ends = open(number)?;
        holds.push(ends.hold);
        injectors.push(ends.injector);
    }
    Ok(Opened { injector: Box::new(InTurn { injectors, next: 0 }), door: Arc::new(Holds(holds)) })
}

struct Holds(Vec<Box<dyn Fn() -> Box<dyn Source> + Send + Sync>>);

impl Door for Holds {
    fn sources(&self, _index: u32) -> Result<Vec<Box<dyn Source>>, SetupError> {
        Ok(self.0.iter().map(|hold| hold()).collect())
    }
}

/// Events that have arrived when `fire` returns.
struct Firing<F> {
    fire: F,
    rest: Reader,
}

impl<F: FnMut() -> Result<u32, SetupError>> Injector for Firing<F> {
    fn fire(&mut self) -> Result<u32, SetupError> {
        (self.fire)()
    }

    fn under_way(&mut self, _missing: u64) -> io::Result<bool> {
        Ok(false)
    }

    fn left(&mut self) -> io::Result<u64> {
        let mut taken = 0;
        while ready(self.rest.fd.as_fd(), PollFlags::POLLIN)? {
            self.rest.claim()?;
            taken += 1;
        }
        Ok(taken)
    }

    fn retire(&mut self, _left: bool) {}
}

/// Several objects, one after the other.
struct InTurn {
    injectors: Vec<Box<dyn Injector>>,
    next: usize,
}

impl Injector for InTurn {
    fn meet(&mut self, workers: &[Member]) -> Result<(), SetupError> {
        self.injectors.iter_mut().try_for_each(|injector| injector.meet(workers))
    }

    fn fire(&mut self) -> Result<u32, SetupError> {
        let turn = self.next % self.injectors.len();
        self.next += 1;
        self.injectors[turn].fire()
    }

    fn under_way(&mut self, missing: u64) -> io::Result<bool> {
        for injector in &mut self.injectors {
            if injector.under_way(missing)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn left(&mut self) -> io::Result<u64> {
        self.injectors.iter_mut().map(|injector| injector.left()).sum()
    }

    fn retire(&mut self, left: bool) {
        self.injectors.iter_mut().for_each(|injector| injector.retire(left));
    }
}

/// Whether `fd` is ready for `what` now.
pub(super) fn ready(fd: BorrowedFd<'_>, what: PollFlags) -> io::Result<bool> {
    Ok(poll(&mut [PollFd::new(fd, what)], PollTimeout::ZERO)? == 1)
}

/// The most events that may lie in the object at one time.
pub(super) fn kept(settings: &Settings) -> u64 {
    let all = settings.stranded == Stranded::Count || crate::experiment::cells::is_timed(settings);
    if all { settings.events } else { settings.burst }
}

/// Refuses more events at one time than the object holds.
pub(super) fn refuse_more_than(room: u64, settings: &Settings, holds: &str) -> Option<String> {
    let kept = kept(settings);
    (kept > room).then(|| {
        format!(
            "{holds}, and these settings leave up to {kept} unclaimed; use a burst of at most {room}, \
             and with stranded = \"count\" or a timed load no more events than that"
        )
    })
}

/// Refuses what only sockets with an address have.
pub(super) fn refuse_address(settings: &Settings, name: &str) -> Option<String> {
    if settings.sharing == Sharing::Own || settings.group {
        return Some(format!(
            "SO_REUSEPORT groups are for tcp and udp; {name} is shared by all workers, so use sharing = \"shared\" \
             and leave out group"
        ));
    }
    if settings.port != 0 {
        return Some(format!("{name} has no port; leave out port"));
    }
    (settings.backlog != Settings::default().backlog).then(|| format!("{name} takes no connections; leave out backlog"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_never_zero_and_differ_between_objects() {
        let (mut first, mut second) = (Tags::of_object(1), Tags::of_object(2));
        assert_ne!(first.next(), second.next());
        let mut last = Tags(u32::MAX);
        assert_eq!(last.next(), 1);
        let tagged = Reading { size: 4, tagged: true, by_uring: false };
        assert_eq!(tag(tagged, &7u32.to_ne_bytes()), 7);
        assert_eq!(tag(Reading { tagged: false, ..tagged }, &[9]), 0);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_way_out() {
        let burst = Settings { burst: 11, events: 11, load: "burst".into(), ..Settings::default() };
        assert_eq!(refuse_more_than(11, &burst, "it holds 11"), None);
        assert!(refuse_more_than(10, &burst, "it holds 10").unwrap().contains("at most 10"));
        let counted = Settings { stranded: Stranded::Count, events: 500, ..Settings::default() };
        assert!(refuse_more_than(10, &counted, "it holds 10").is_some());
    }

    #[test]
    fn settings_of_listeners_are_refused() {
        let with = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            refuse_address(&settings, "pipe")
        };
        assert_eq!(with(|_| ()), None);
        assert!(with(|s| s.sharing = Sharing::Own).unwrap().contains("tcp and udp"));
        assert!(with(|s| s.port = 80).unwrap().contains("port"));
        assert!(with(|s| s.backlog = 1).unwrap().contains("backlog"));
    }
}
