//! Locks of the C library in memory that processes share: mutex, condition
//! variable, read-write lock, semaphore.
//!
//! All are PTHREAD_PROCESS_SHARED and are never destroyed: their memory goes, and
//! with it whoever still sleeps on them has gone. Each call is the plain one, so
//! that what it does with futexes can be watched.

use std::io;
use std::time::Duration;

use nix::errno::Errno;
use nix::time::{ClockId, clock_gettime};

use super::shared::SharedCell;

unsafe extern "C" {
    /// pthread_rwlock_timedwrlock(3), which the libc crate does not have.
    fn pthread_rwlock_timedwrlock(lock: *mut libc::pthread_rwlock_t, end: *const libc::timespec) -> libc::c_int;
}

fn done(result: libc::c_int) -> Result<(), Errno> {
    if result == 0 { Ok(()) } else { Err(Errno::from_raw(result)) }
}

/// The end of `limit` by the only clock that pthread_mutex_timedlock(3) knows.
fn end_of(limit: Duration) -> Result<libc::timespec, Errno> {
    let end = Duration::from(clock_gettime(ClockId::CLOCK_REALTIME)?) + limit;
    Ok(libc::timespec { tv_sec: end.as_secs() as libc::time_t, tv_nsec: end.subsec_nanos().into() })
}

/// A mutex, robust or not.
pub struct Mutex {
    at: SharedCell<libc::pthread_mutex_t>,
}

impl Mutex {
    pub fn new(robust: bool) -> io::Result<Mutex> {
        let at = SharedCell::<libc::pthread_mutex_t>::new()?;
        let mut attributes = std::mem::MaybeUninit::uninit();
        // SAFETY: the attributes are initialised first and destroyed last; the
        // mutex is live memory that nobody uses yet.
        unsafe {
            done(libc::pthread_mutexattr_init(attributes.as_mut_ptr()))?;
            done(libc::pthread_mutexattr_setpshared(attributes.as_mut_ptr(), libc::PTHREAD_PROCESS_SHARED))?;
            if robust {
                done(libc::pthread_mutexattr_setrobust(attributes.as_mut_ptr(), libc::PTHREAD_MUTEX_ROBUST))?;
            }
            done(libc::pthread_mutex_init(at.get(), attributes.as_ptr()))?;
            done(libc::pthread_mutexattr_destroy(attributes.as_mut_ptr()))?;
        }
        Ok(Mutex { at })
    }

    /// EOWNERDEAD also means that it is ours now.
    pub fn lock(&self) -> Result<(), Errno> {
        // SAFETY: an initialised mutex.
        done(unsafe { libc::pthread_mutex_lock(self.at.get()) })
    }

    pub fn try_lock(&self) -> Result<(), Errno> {
        // SAFETY: as in lock.
        done(unsafe { libc::pthread_mutex_trylock(self.at.get()) })
    }

    /// ETIMEDOUT when it is not to be had that soon.
    pub fn lock_within(&self, limit: Duration) -> Result<(), Errno> {
        let end = end_of(limit)?;
        // SAFETY: as in lock; the time outlives the call.
        done(unsafe { libc::pthread_mutex_timedlock(self.at.get(), &raw const end) })
    }

    /// A robust mutex whose owner died is in order again.
    pub fn repair(&self) -> Result<(), Errno> {
        // SAFETY: as in lock; fails if there is nothing to repair.
        done(unsafe { libc::pthread_mutex_consistent(self.at.get()) })
    }

    /// Only for the thread that locked it.
    pub fn unlock(&self) -> Result<(), Errno> {
        // SAFETY: an initialised mutex. Unlocking what one does not hold breaks
        // the promises of the mutex, on which no memory here rests.
        done(unsafe { libc::pthread_mutex_unlock(self.at.get()) })
    }
}

/// A condition variable and its mutex.
pub struct Monitor {
    pub mutex: Mutex,
    condition: SharedCell<libc::pthread_cond_t>,
}

impl Monitor {
    pub fn new() -> io::Result<Monitor> {
        let mutex = Mutex::new(false)?;
        let condition = SharedCell::<libc::pthread_cond_t>::new()?;
        let mut attributes = std::mem::MaybeUninit::uninit();
        // SAFETY: as in Mutex::new.
        unsafe {
            done(libc::pthread_condattr_init(attributes.as_mut_ptr()))?;
            done(libc::pthread_condattr_setpshared(attributes.as_mut_ptr(), libc::PTHREAD_PROCESS_SHARED))?;
            done(libc::pthread_cond_init(condition.get(), attributes.as_ptr()))?;
            done(libc::pthread_condattr_destroy(attributes.as_mut_ptr()))?;
        }
        Ok(Monitor { mutex, condition })
    }

    /// Sleeps once, without the mutex, and has it again afterwards. Only for the
    /// thread that holds the mutex.
    pub fn wait(&self) -> Result<(), Errno> {
        // SAFETY: both are initialised, and all use this one mutex.
        done(unsafe { libc::pthread_cond_wait(self.condition.get(), self.mutex.at.get()) })
    }

    pub fn signal(&self) -> Result<(), Errno> {
        // SAFETY: an initialised condition variable.
        done(unsafe { libc::pthread_cond_signal(self.condition.get()) })
    }

    pub fn broadcast(&self) -> Result<(), Errno> {
        // SAFETY: as in signal.
        done(unsafe { libc::pthread_cond_broadcast(self.condition.get()) })
    }
}

/// A read-write lock.
pub struct RwLock {
    at: SharedCell<libc::pthread_rwlock_t>,
}

impl RwLock {
    pub fn new() -> io::Result<RwLock> {
        let at = SharedCell::<libc::pthread_rwlock_t>::new()?;
        let mut attributes = std::mem::MaybeUninit::uninit();
        // SAFETY: as in Mutex::new.
        unsafe {
            done(libc::pthread_rwlockattr_init(attributes.as_mut_ptr()))?;
            done(libc::pthread_rwlockattr_setpshared(attributes.as_mut_ptr(), libc::PTHREAD_PROCESS_SHARED))?;
            done(libc::pthread_rwlock_init(at.get(), attributes.as_ptr()))?;
            done(libc::pthread_rwlockattr_destroy(attributes.as_mut_ptr()))?;
        }
        Ok(RwLock { at })
    }

    pub fn read(&self) -> Result<(), Errno> {
        // SAFETY: an initialised lock.
        done(unsafe { libc::pthread_rwlock_rdlock(self.at.get()) })
    }

    pub fn write(&self) -> Result<(), Errno> {
        // SAFETY: as in read.
        done(unsafe { libc::pthread_rwlock_wrlock(self.at.get()) })
    }

    /// ETIMEDOUT when it is not to be had that soon.
    pub fn write_within(&self, limit: Duration) -> Result<(), Errno> {
        let end = end_of(limit)?;
        // SAFETY: as in read; the time outlives the call.
        done(unsafe { pthread_rwlock_timedwrlock(self.at.get(), &raw const end) })
    }

    pub fn try_read(&self) -> Result<(), Errno> {
        // SAFETY: as in read.
        done(unsafe { libc::pthread_rwlock_tryrdlock(self.at.get()) })
    }

    pub fn try_write(&self) -> Result<(), Errno> {
        // SAFETY: as in read.
        done(unsafe { libc::pthread_rwlock_trywrlock(self.at.get()) })
    }

    /// Only for the thread that locked it.
    pub fn unlock(&self) -> Result<(), Errno> {
        // SAFETY: as in Mutex::unlock.
        done(unsafe { libc::pthread_rwlock_unlock(self.at.get()) })
    }
}

/// A semaphore, at first 0.
pub struct Semaphore {
    at: SharedCell<libc::sem_t>,
}

impl Semaphore {
    pub fn new() -> io::Result<Semaphore> {
        let at = SharedCell::<libc::sem_t>::new()?;
        // SAFETY: live memory that nobody uses yet.
        Errno::result(unsafe { libc::sem_init(at.get(), 1, 0) })?;
        Ok(Semaphore { at })
    }

    pub fn post(&self) -> Result<(), Errno> {
        // SAFETY: an initialised semaphore.
        Errno::result(unsafe { libc::sem_post(self.at.get()) }).map(drop)
    }

    pub fn wait(&self) -> Result<(), Errno> {
        // SAFETY: as in post.
        Errno::result(unsafe { libc::sem_wait(self.at.get()) }).map(drop)
    }

    pub fn value(&self) -> Result<u64, Errno> {
        let mut value = 0;
        // SAFETY: as in post; the value outlives the call.
        Errno::result(unsafe { libc::sem_getvalue(self.at.get(), &raw mut value) })?;
        Ok(u64::try_from(value).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutex_is_had_once_and_a_dead_owner_is_told() {
        let mutex = std::sync::Arc::new(Mutex::new(true).unwrap());
        let other = mutex.clone();
        std::thread::spawn(move || other.lock().unwrap()).join().unwrap();
        assert_eq!(mutex.lock(), Err(Errno::EOWNERDEAD));
        mutex.repair().unwrap();
        mutex.unlock().unwrap();
        mutex.try_lock().unwrap();
        let other = mutex.clone();
        let second = std::thread::spawn(move || other.lock_within(Duration::from_millis(1)));
        assert_eq!(second.join().unwrap(), Err(Errno::ETIMEDOUT));
    }

    #[test]
    fn readers_share_and_writers_do_not() {
        let lock = RwLock::new().unwrap();
        lock.read().unwrap();
        lock.try_read().unwrap();
        assert_eq!(lock.try_write(), Err(Errno::EBUSY));
    }

    #[test]
    fn a_semaphore_counts() {
        let semaphore = Semaphore::new().unwrap();
        semaphore.post().unwrap();
        semaphore.post().unwrap();
        semaphore.wait().unwrap();
        assert_eq!(semaphore.value(), Ok(1));
    }
}
