//! One lock for all workers, processes or threads: a futex word, a POSIX
//! semaphore, flock(2) or fcntl(2), behind the same two calls.
//!
//! Nothing is left behind: word and semaphore lie in an anonymous mapping, the
//! file is a memfd. Not recursive, not robust: a holder that dies keeps the
//! first two for ever, while the kernel releases the last two.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::futex::{Reach, wait_while, wake};
use super::lock::flock;
use super::pthread::Semaphore;
use super::shared::SharedRows;

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
pub struct SharedLock(Lock);

/// The lock as one worker holds it.
pub struct Lock(Means);

enum Means {
    Futex(Arc<SharedRows<1>>),
    Semaphore(Arc<Semaphore>),
    Flock(File),
    Record(File),
}

impl SharedLock {
    /// Makes a free lock.
    pub fn new(kind: Kind) -> io::Result<SharedLock> {
        let file = || memfd_create(c"herd-lock", MFdFlags::MFD_CLOEXEC).map(File::from);
        let means = match kind {
            Kind::Futex => Means::Futex(Arc::new(SharedRows::new(1)?)),
            Kind::Semaphore => {
                let semaphore = Semaphore::new()?;
                semaphore.post()?;
                Means::Semaphore(Arc::new(semaphore))
            }
            Kind::Flock => Means::Flock(file()?),
            Kind::Record => Means::Record(file()?),
        };
        Ok(SharedLock(Lock(means)))
    }

    /// A worker's handle. Of a file it opens its own, since flock(2) on one open
    /// file locks out nobody who shares that.
    pub fn open(&self) -> io::Result<Lock> {
        let anew = |file: &File| {
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            File::options().read(true).write(true).open(path)
        };
        Ok(Lock(match &self.0.0 {
            Means::Futex(memory) => Means::Futex(memory.clone()),
            Means::Semaphore(semaphore) => Means::Semaphore(semaphore.clone()),
            Means::Flock(file) => Means::Flock(anew(file)?),
            Means::Record(file) => Means::Record(anew(file)?),
        }))
    }
}

impl Lock {
    /// Sleeps until the lock is ours. errno is data: EINTR is not retried, but
    /// for the futex, where the C libraries retry as well.
    pub fn acquire(&self) -> Result<(), Errno> {
        match &self.0 {
            Means::Futex(memory) => {
                let word = &memory.row(0)[0];
                if word.compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                    return Ok(());
                }
                while word.swap(AWAITED, Ordering::Acquire) != FREE {
                    wait_while(word, AWAITED as u32);
                }
                Ok(())
            }
            Means::Semaphore(semaphore) => semaphore.wait(),
            Means::Flock(file) => flock(file.as_fd(), libc::LOCK_EX),
            Means::Record(file) => record(file, libc::F_WRLCK),
        }
    }

    /// Gives it to whoever comes next. Call it only as the holder; then none of
    /// these can fail.
    pub fn release(&self) {
        let _ = match &self.0 {
            Means::Futex(memory) => {
                let word = &memory.row(0)[0];
                match word.swap(FREE, Ordering::Release) {
                    AWAITED => wake(word, 1, Reach::Shared).map(drop),
                    _ => Ok(()),
                }
            }
            Means::Semaphore(semaphore) => semaphore.post(),
            Means::Flock(file) => flock(file.as_fd(), libc::LOCK_UN),
            Means::Record(file) => record(file, libc::F_UNLCK),
        };
    }

    /// The system calls in which [`Lock::acquire`] sleeps.
    pub fn calls(&self) -> &'static [libc::c_long] {
        match self.0 {
            #[cfg(target_pointer_width = "64")]
            Means::Futex(_) | Means::Semaphore(_) => &[libc::SYS_futex],
            // SYS_futex_time64, the same number on every architecture.
            #[cfg(target_pointer_width = "32")]
            Means::Futex(_) | Means::Semaphore(_) => &[libc::SYS_futex, 422],
            Means::Flock(_) => &[libc::SYS_flock],
            #[cfg(target_pointer_width = "64")]
            Means::Record(_) => &[libc::SYS_fcntl],
            #[cfg(target_pointer_width = "32")]
            Means::Record(_) => &[libc::SYS_fcntl64],
        }
    }

    /// The descriptor that is the first argument of these calls, if one is.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.0 {
            Means::Futex(_) | Means::Semaphore(_) => None,
            Means::Flock(file) | Means::Record(file) => Some(file.as_fd()),
        }
    }
}

/// Locks or unlocks the whole file for this process.
fn record(file: &File, kind: libc::c_int) -> Result<(), Errno> {
    let whole = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(file, FcntlArg::F_SETLKW(&whole)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

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
