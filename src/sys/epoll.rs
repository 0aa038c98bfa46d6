//! epoll_pwait2(2), which not every C library wraps.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::epoll::EpollEvent;

/// Sleeps without a limit until events are there; returns how many were written.
pub fn pwait2(instance: BorrowedFd<'_>, events: &mut [EpollEvent]) -> Result<usize, Errno> {
    let (forever, no_mask) = (std::ptr::null::<libc::timespec>(), std::ptr::null::<libc::sigset_t>());
    // SAFETY: EpollEvent is a transparent epoll_event, and the list is live,
    // exclusively ours, and its length is given; without a mask its size is not
    // looked at.
    let count = unsafe {
        libc::syscall(
            libc::SYS_epoll_pwait2,
            instance.as_raw_fd(),
            events.as_mut_ptr(),
            events.len() as libc::c_int,
            forever,
            no_mask,
            0usize,
        )
    };
    Errno::result(count).map(|count| count as usize)
}
