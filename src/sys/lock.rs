//! flock(2) as it is: nix unlocks when its guard is dropped, and hides waiting.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

/// One call, with LOCK_SH, LOCK_EX or LOCK_UN, and LOCK_NB so as not to wait.
pub fn flock(file: BorrowedFd<'_>, operation: i32) -> Result<(), Errno> {
    // SAFETY: only numbers are passed.
    Errno::result(unsafe { libc::flock(file.as_raw_fd(), operation) }).map(drop)
}
