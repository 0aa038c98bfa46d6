//! Two tasks that hand a token to and fro: what one hop costs in CPU time of both. Used
//! wherever two are enough: threads or processes, one CPU or two, with others beside them.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::resource::UsageWho;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::{pipe2, read, write};

use super::figures::{Figures, Trouble, refused};
use super::{clock, here};
use crate::sys::futex;
use crate::sys::shared::SharedRows;

/// Rows of the board: the token's word of each side, what is wanted, what side 1 says.
const WANT: usize = 2;
const SAYS: usize = 3;
/// What side 0 wants with the token.
const TOKEN: u64 = 0;
const ACCOUNT: u64 = 1;
const STOP: u64 = 2;

/// With fewer rounds the accounts around them would be a part of the figure.
const LEAST: u64 = 100;

/// How the token goes over.
enum Way {
    Futex,
    /// For each side, what it reads and what it writes.
    Descriptors([(OwnedFd, OwnedFd); 2]),
}

/// What two tasks share. Made before the second one.
pub struct Table {
    board: SharedRows<8>,
    way: Way,
}

/// What one side has used so far.
#[derive(Clone, Copy)]
struct Used {
    cpu_ns: u64,
    switches: u64,
}

impl Used {
    fn now() -> Result<Used, Trouble> {
        let switches = clock::switches(UsageWho::RUSAGE_THREAD)?;
        Ok(Used { cpu_ns: clock::of_thread()?.as_nanos() as u64, switches })
    }
}

impl Table {
    /// `way` is futex, pipe or socketpair.
    pub fn new(way: &str) -> Result<Arc<Table>, Trouble> {
        let board = here::shared(4)?;
        let pipe = || pipe2(OFlag::O_CLOEXEC).map_err(refused("pipe2"));
        let way = match way {
            "pipe" => {
                let ((from_0, to_1), (from_1, to_0)) = (pipe()?, pipe()?);
                Way::Descriptors([(from_0, to_0), (from_1, to_1)])
            }
            "socketpair" => {
                let pair = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC);
                let (a, b) = pair.map_err(refused("socketpair"))?;
                let copy = |fd: &OwnedFd| fd.try_clone().map_err(|e| Trouble::Broken(format!("dup: {e}")));
                Way::Descriptors([(copy(&a)?, a), (copy(&b)?, b)])
            }
            _ => Way::Futex,
        };
        Ok(Arc::new(Table { board, way }))
    }

    fn word(&self, row: usize) -> &AtomicU64 {
        &self.board.row(row)[0]
    }

    /// Sleeps until the token is here.
    fn take(&self, side: usize) -> Result<(), Errno> {
        match &self.way {
            Way::Futex => {
                futex::wait_while(self.word(side), 0);
                self.word(side).store(0, Ordering::Relaxed);
                Ok(())
            }
            Way::Descriptors(ends) => match read(&ends[side].0, &mut [0]) {
                Ok(1) => Ok(()),
                Ok(_) => Err(Errno::EPIPE),
                Err(errno) => Err(errno),
            },
        }
    }

    fn pass(&self, from: usize) -> Result<(), Errno> {
        match &self.way {
            Way::Futex => {
                let word = self.word(1 - from);
                word.store(1, Ordering::Release);
                futex::wake(word, 1, futex::Reach::Shared).map(drop)
            }
            Way::Descriptors(ends) => write(&ends[from].1, &[1]).map(drop),
        }
    }

    /// Side 1: hands the token back until it is told to stop.
    pub fn answer(&self) -> Result<(), Trouble> {
        loop {
            self.take(1).map_err(refused("read"))?;
            match self.word(WANT).load(Ordering::Acquire) {
                STOP => return Ok(()),
                ACCOUNT => {
                    let used = Used::now()?;
                    self.board.row(SAYS)[0].store(used.cpu_ns, Ordering::Release);
                    self.board.row(SAYS)[1].store(used.switches, Ordering::Release);
                }
                _ => {}
            }
            self.pass(1).map_err(refused("write"))?;
        }
    }

    fn round(&self, want: u64) -> Result<(), Trouble> {
        self.word(WANT).store(want, Ordering::Release);
        self.pass(0).map_err(refused("write"))?;
        self.take(0).map_err(refused("read"))
    }

    /// Both sides' use, by a round in which side 1 says its own.
    fn used(&self) -> Result<Used, Trouble> {
        self.round(ACCOUNT)?;
        let [cpu_ns, switches] = [0, 1].map(|i| self.board.row(SAYS)[i].load(Ordering::Acquire));
        let mine = Used::now()?;
        Ok(Used { cpu_ns: cpu_ns + mine.cpu_ns, switches: switches + mine.switches })
    }

    /// Side 0: one sample of `rounds` rounds, or as many as fit into `limit`. Says
    /// hop_ns, switches_per_hop and hops, and hop_wall_ns where it is `timed`; nothing,
    /// and false, when there were too few to say anything.
    pub fn measure(&self, rounds: u64, limit: Duration, timed: bool, figures: &mut Figures) -> Result<bool, Trouble> {
        let before = self.used()?;
        let began = Instant::now();
        let mut done = 0;
        while done < rounds && (done == 0 || began.elapsed() < limit) {
            self.round(TOKEN)?;
            done += 1;
        }
        let passed = began.elapsed();
        let after = self.used()?;
        if done < rounds.min(LEAST) {
            return Ok(false);
        }
        // The second account is a round of its own, and has two calls more.
        let hops = (2 * (done + 1)) as f64;
        figures.add("hop_ns", (after.cpu_ns - before.cpu_ns) as f64 / hops);
        figures.add("switches_per_hop", (after.switches - before.switches) as f64 / hops);
        figures.add("hops", (2 * done) as f64);
        if timed {
            figures.add("hop_wall_ns", passed.as_nanos() as f64 / (2 * done) as f64);
        }
        Ok(true)
    }

    /// Side 0: lets side 1 end.
    pub fn stop(&self) -> Result<(), Trouble> {
        self.word(WANT).store(STOP, Ordering::Release);
        self.pass(0).map_err(refused("write"))
    }
}
