//! A lock whose waiters never sleep, for what threads of one process share
//! while their sleeps are counted. Meant for a few instructions.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, Ordering};

/// Lets whoever wants it have the CPU, for a loop that looks at something again and
/// again. Not a sleep: the kernel counts a preemption at most.
///
/// The PAUSE first is for a host that emulates several CPUs with one thread: QEMU
/// goes on to the next CPU there (target/i386, `do_pause`), and would else let this
/// one look for nothing until its slice of 100 ms ends.
pub fn yield_cpu() {
    std::hint::spin_loop();
    let _ = nix::sched::sched_yield();
}

/// Spins this often before it lets the holder have the CPU.
const SPINS: u32 = 100;

/// A value that one thread at a time may touch.
#[derive(Default)]
pub struct Spin<T> {
    held: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: `with` lets one thread at a time at the value, so it only ever moves
// between threads.
unsafe impl<T: Send> Sync for Spin<T> {}

impl<T> Spin<T> {
    pub fn new(value: T) -> Spin<T> {
        Spin { held: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// Runs `body` alone. It must not come back here: that would spin for ever.
    pub fn with<R>(&self, body: impl FnOnce(&mut T) -> R) -> R {
        let mut spins = 0;
        while self.held.swap(true, Ordering::Acquire) {
            spins += 1;
            if spins < SPINS {
                std::hint::spin_loop();
            } else {
                yield_cpu();
            }
        }
        let _release = Release(&self.held);
        // SAFETY: held was false and is true now, and only this thread, in the
        // guard above, makes it false again.
        body(unsafe { &mut *self.value.get() })
    }
}

/// Also when the body panics.
struct Release<'a>(&'a AtomicBool);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_take_turns() {
        let sum = Spin::new(0u64);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| sum.with(|n| *n += 1)));
            }
        });
        assert_eq!(sum.with(|n| *n), 40_000);
    }
}
