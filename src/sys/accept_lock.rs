//! One lock for all workers, processes or threads: a futex word, a POSIX
//! semaphore, flock(2) or fcntl(2), behind the same two calls.
//!
//! Nothing is left behind: word and semaphore lie in an anonymous mapping, the
//! file is a memfd. Not recursive, not robust: a holder that dies keeps the
//! first two for ever, while the kernel releases the last two.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::futex::{low_half, wait_while};
use super::shared::SharedRows;

/// Room for the word, or for a `sem_t`.
const WORDS: usize = 8;
const _: () = assert!(size_of::<libc::sem_t>() <= size_of::<[AtomicU64; WORDS]>());
const _: () = assert!(align_of::<libc::sem_t>() <= align_of::<AtomicU64>());

type Memory = Arc<SharedRows<WORDS>>;

/// The word of a futex lock: what is free, what is taken, and whether somebody
/// may sleep (Drepper, "Futexes Are Tricky", the second mutex).
const FREE: u64 = 0;
const TAKEN: u64 = 1;
const AWAITED: u64 = 2;

/// Which calls make the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Futex,
    Semaphore,
    /// Belongs to the open file.
    Flock,
    /// Belongs to the process: no lock at all between its threads.
    Record,
}

/// Made before the workers, and inherited or shared by them.
pub struct SharedLock {
    kind: Kind,
    at: Place,
}

enum Place {
    Memory(Memory),
    File(OwnedFd),
}

/// The lock as one worker holds it.
pub struct Lock {
    kind: Kind,
    at: Place,
}

impl SharedLock {
    /// Makes a free lock.
    pub fn new(kind: Kind) -> io::Result<SharedLock> {
        let at = match kind {
            Kind::Futex => Place::Memory(Arc::new(SharedRows::new(1)?)),
            Kind::Semaphore => {
                let memory = Arc::new(SharedRows::new(1)?);
                // SAFETY: the memory is ours, shared, zeroed, large and aligned
                // enough, and nobody else knows of it yet.
                Errno::result(unsafe { libc::sem_init(semaphore(&memory), 1, 1) })?;
                Place::Memory(memory)
            }
            Kind::Flock | Kind::Record => Place::File(memfd_create(c"herd-lock", MFdFlags::MFD_CLOEXEC)?),
        };
        Ok(SharedLock { kind, at })
    }

    /// A worker's handle. Of a file it opens its own, since flock(2) on one open
    /// file locks out nobody who shares that.
    pub fn open(&self) -> io::Result<Lock> {
        let at = match &self.at {
            Place::Memory(memory) => Place::Memory(memory.clone()),
            Place::File(file) => {
                let path = format!("/proc/self/fd/{}", file.as_raw_fd());
                Place::File(std::fs::File::options().read(true).write(true).open(path)?.into())
            }
        };
        Ok(Lock { kind: self.kind, at })
    }
}

impl Lock {
    /// Sleeps until the lock is ours. errno is data: EINTR is not retried, but
    /// for the futex, where the C libraries retry as well.
    pub fn acquire(&self) -> Result<(), Errno> {
        match (&self.at, self.kind) {
            (Place::Memory(memory), Kind::Futex) => {
                let word = &memory.row(0)[0];
                if word.compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                    return Ok(());
                }
                while word.swap(AWAITED, Ordering::Acquire) != FREE {
                    wait_while(word, AWAITED as u32);
                }
                Ok(())
            }
            (Place::Memory(memory), _) => {
                // SAFETY: initialised in SharedLock::new, and mapped as long as
                // we hold the memory.
                Errno::result(unsafe { libc::sem_wait(semaphore(memory)) }).map(drop)
            }
            (Place::File(file), Kind::Flock) => flock(file, libc::LOCK_EX),
            (Place::File(file), _) => record(file, libc::F_WRLCK),
        }
    }

    /// Gives it to whoever comes next. Call it only as the holder; then none of
    /// these can fail.
    pub fn release(&self) {
        match (&self.at, self.kind) {
            (Place::Memory(memory), Kind::Futex) => {
                let word = &memory.row(0)[0];
                if word.swap(FREE, Ordering::Release) == AWAITED {
                    wake_one(word);
                }
            }
            (Place::Memory(memory), _) => {
                // SAFETY: as in acquire.
                unsafe { libc::sem_post(semaphore(memory)) };
            }
            (Place::File(file), Kind::Flock) => {
                let _ = flock(file, libc::LOCK_UN);
            }
            (Place::File(file), _) => {
                let _ = record(file, libc::F_UNLCK);
            }
        }
    }

    /// The system calls in which [`Lock::acquire`] sleeps.
    pub fn calls(&self) -> &'static [libc::c_long] {
        match self.kind {
            #[cfg(target_pointer_width = "64")]
            Kind::Futex | Kind::Semaphore => &[libc::SYS_futex],
            // SYS_futex_time64, the same number on every architecture.
            #[cfg(target_pointer_width = "32")]
            Kind::Futex | Kind::Semaphore => &[libc::SYS_futex, 422],
            Kind::Flock => &[libc::SYS_flock],
            #[cfg(target_pointer_width = "64")]
            Kind::Record => &[libc::SYS_fcntl],
            #[cfg(target_pointer_width = "32")]
            Kind::Record => &[libc::SYS_fcntl64],
        }
    }

    /// The descriptor that is the first argument of these calls, if one is.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.at {
            Place::Memory(_) => None,
            Place::File(file) => Some(file.as_fd()),
        }
    }
}

fn semaphore(memory: &SharedRows<WORDS>) -> *mut libc::sem_t {
    std::ptr::from_ref(memory.row(0)).cast_mut().cast()
}

fn wake_one(word: &AtomicU64) {
    // SAFETY: FUTEX_WAKE only looks up the address, that of a live word.
    unsafe { libc::syscall(libc::SYS_futex, low_half(word), libc::FUTEX_WAKE, 1) };
}

fn flock(file: &OwnedFd, operation: libc::c_int) -> Result<(), Errno> {
    // SAFETY: only numbers are passed.
    Errno::result(unsafe { libc::flock(file.as_raw_fd(), operation) }).map(drop)
}

/// Locks or unlocks the whole file for this process.
fn record(file: &OwnedFd, kind: libc::c_int) -> Result<(), Errno> {
    // SAFETY: all zeroes is a valid struct flock: from the start to the end.
    let mut whole: libc::flock = unsafe { std::mem::zeroed() };
    whole.l_type = kind as libc::c_short;
    whole.l_whence = libc::SEEK_SET as libc::c_short;
    // SAFETY: the kernel reads one struct flock, a local.
    Errno::result(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLKW, &raw const whole) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two handles, two threads: a sum that is not atomic comes out right.
    #[track_caller]
    fn check_excludes(kind: Kind) {
        const ROUNDS: u64 = 2000;
        let shared = SharedLock::new(kind).unwrap();
        let sum = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let lock = shared.open().unwrap();
                    for _ in 0..ROUNDS {
                        lock.acquire().unwrap();
                        let before = sum.load(Ordering::Relaxed);
                        std::hint::spin_loop();
                        sum.store(before + 1, Ordering::Relaxed);
                        lock.release();
                    }
                });
            }
        });
        assert_eq!(sum.into_inner(), 2 * ROUNDS, "{kind:?}");
    }

    #[test]
    fn one_holder_at_a_time() {
        check_excludes(Kind::Futex);
        check_excludes(Kind::Semaphore);
        check_excludes(Kind::Flock);
    }

    #[test]
    fn a_record_lock_is_taken_again_by_its_own_process() {
        let shared = SharedLock::new(Kind::Record).unwrap();
        let (one, other) = (shared.open().unwrap(), shared.open().unwrap());
        one.acquire().unwrap();
        other.acquire().unwrap();
        other.release();
    }
}
