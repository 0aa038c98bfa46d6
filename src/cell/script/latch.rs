//! A latch of two flags, as programs build them to spare a system call: who has news
//! sets `news` and looks whether somebody is `waiting`; who wants news sets `waiting`
//! and looks whether there are `news`. If both look before the other one's flag has
//! arrived, neither does anything, and the waiter sleeps on.
//!
//! Each CPU keeps its stores in a buffer for a while and reads past them, x86 too. A
//! full fence between the store and the load forbids it (the kernel's
//! tools/memory-model/litmus-tests, SB+poonceonces and SB+fencembonceonces;
//! waitqueue_active() in include/linux/wait.h has the same warning).
//!
//! Never relies on a time: that a hand-over was missed is seen when both are done with
//! it and the eventfd, on which the waiter would sleep now, is still 0.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::sys;

/// How long all of them may take, on a starved machine.
const LIMIT: Duration = Duration::from_secs(120);
/// Looks before the CPU is given to whoever else may have something to do there; where
/// both have to share one, that is the other one.
const SPINS: u32 = 2000;

/// Steps, each a nanosecond or a few.
const SWEEP: u64 = 256;

/// A flag alone in its cache line, so that writing one does not carry the other along.
#[repr(align(128))]
#[derive(Default)]
struct Alone<T>(T);

struct Latch {
    news: Alone<AtomicU32>,
    waiting: Alone<AtomicU32>,
    /// Hand-overs begun, and those that the setter is done with.
    begun: Alone<AtomicU64>,
    set: Alone<AtomicU64>,
    /// One of the two gave up.
    stop: AtomicBool,
    event: EventFd,
    fenced: bool,
    spins: u32,
}

/// How many of `times` hand-overs were missed, between two threads on the first and the
/// last of `cpus`. The caller is left on the first one.
pub fn missed(times: u64, fenced: bool, cpus: &[usize]) -> io::Result<u64> {
    let latch = Latch {
        news: Alone::default(),
        waiting: Alone::default(),
        begun: Alone::default(),
        set: Alone::default(),
        stop: AtomicBool::new(false),
        event: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
        fenced,
        spins: if cpus.len() > 1 { SPINS } else { 1 },
    };
    let (first, last) = (cpus[0], *cpus.last().expect("a process has a CPU"));
    let deadline = Instant::now() + LIMIT;
    std::thread::scope(|scope| {
        let setter = scope.spawn(|| latch.guarded(|| latch.sets(times, last, deadline)));
        let missed = latch.guarded(|| latch.waits(times, first, deadline));
        setter.join().expect("the setter does not panic").and(missed)
    })
}

impl Latch {
    /// Whoever gives up has the other one give up, too.
    fn guarded<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        work().inspect_err(|_| self.stop.store(true, Ordering::Relaxed))
    }

    /// Store one flag, load the other one.
    fn swap_looks(&self, mine: &AtomicU32, other: &AtomicU32) -> bool {
        mine.store(1, Ordering::Relaxed);
        if self.fenced {
            fence(Ordering::SeqCst);
        }
        other.load(Ordering::Relaxed) == 1
    }

    fn sets(&self, times: u64, cpu: usize, deadline: Instant) -> io::Result<()> {
        sys::cpus::pin_to(cpu)?;
        for number in 1..=times {
            self.until(&self.begun.0, number, deadline)?;
            if self.swap_looks(&self.news.0, &self.waiting.0) {
                self.event.write(1)?;
            }
            self.set.0.store(number, Ordering::Release);
        }
        Ok(())
    }

    fn waits(&self, times: u64, cpu: usize, deadline: Instant) -> io::Result<u64> {
        sys::cpus::pin_to(cpu)?;
        let mut missed = 0;
        for number in 1..=times {
            self.news.0.store(0, Ordering::Relaxed);
            self.waiting.0.store(0, Ordering::Relaxed);
            self.begun.0.store(number, Ordering::Release);
            // The setter hears of it a little later, how much depends on the machine: so
            // that the two sometimes meet, this one comes later and later, up to the sweep.
            for step in 0..number % SWEEP {
                std::hint::black_box(step);
            }
            let told = self.swap_looks(&self.waiting.0, &self.news.0);
            self.until(&self.set.0, number, deadline)?;
            // What it would find if it slept now: a wakeup, or none for ever.
            match self.event.read() {
                Ok(_) => {}
                Err(Errno::EAGAIN) => missed += u64::from(!told),
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(missed)
    }

    /// Spins until `count` is `number`.
    fn until(&self, count: &AtomicU64, number: u64, deadline: Instant) -> io::Result<()> {
        let mut looks = 0u32;
        while count.load(Ordering::Acquire) != number {
            std::hint::spin_loop();
            looks += 1;
            if looks.is_multiple_of(self.spins) {
                if self.stop.load(Ordering::Relaxed) || Instant::now() > deadline {
                    return Err(io::Error::other(format!("hand-over {number} was not done after {LIMIT:?}")));
                }
                sys::spin::yield_cpu();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_a_fence_nothing_is_missed() {
        // In a thread of its own: it is pinned meanwhile.
        let cpus = sys::cpus::allowed().unwrap();
        let run = move |cpus: &[usize]| missed(2_000, true, cpus).unwrap();
        let both = move || (run(&cpus), run(&cpus[..1]));
        assert_eq!(std::thread::spawn(both).join().unwrap(), (0, 0));
    }
}
