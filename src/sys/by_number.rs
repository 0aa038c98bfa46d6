//! System calls on descriptors by number, open or not: a script may ask what the
//! kernel says about a number that was given up.
//!
//! No owned or borrowed descriptor could stand for that. The kernel checks numbers
//! itself; memory is at risk nowhere.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::EpollEvent;

/// epoll_ctl(2).
pub fn epoll_control(epoll: RawFd, op: i32, target: RawFd, events: u32, data: u64) -> Result<(), Errno> {
    let mut event = libc::epoll_event { events, u64: data };
    // SAFETY: the kernel reads one live event; any numbers are allowed.
    Errno::result(unsafe { libc::epoll_ctl(epoll, op, target, &raw mut event) }).map(drop)
}

/// epoll_wait(2); a negative timeout is none.
pub fn epoll_wait(epoll: RawFd, events: &mut [EpollEvent], timeout_ms: i32) -> Result<usize, Errno> {
    let room = i32::try_from(events.len()).unwrap_or(i32::MAX);
    // SAFETY: EpollEvent is a transparent epoll_event; the kernel writes at most
    // `room` of them into a live list of that length.
    let count = unsafe { libc::epoll_wait(epoll, events.as_mut_ptr().cast(), room, timeout_ms) };
    Errno::result(count).map(|count| count as usize)
}

/// epoll_pwait2(2), called directly: C libraries got it late. `None` is no limit.
pub fn epoll_pwait2(epoll: RawFd, events: &mut [EpollEvent], limit: Option<Duration>) -> Result<usize, Errno> {
    // struct __kernel_timespec: two 64-bit words on every architecture.
    let timeout = limit.map(|limit| [limit.as_secs() as i64, i64::from(limit.subsec_nanos())]);
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the kernel writes at most as many events as the live list has, and
    // reads a live timespec or none; there is no signal mask.
    let count = unsafe {
        libc::syscall(
            libc::SYS_epoll_pwait2,
            epoll,
            events.as_mut_ptr(),
            events.len() as libc::c_int,
            timeout,
            std::ptr::null::<libc::c_void>(),
            0usize,
        )
    };
    Errno::result(count).map(|count| count as usize)
}

/// poll(2) of one descriptor for input; a negative timeout is none.
pub fn poll(fd: RawFd, timeout_ms: i32) -> Result<usize, Errno> {
    let mut entry = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one live entry, and the count says one.
    Errno::result(unsafe { libc::poll(&raw mut entry, 1, timeout_ms) }).map(|count| count as usize)
}

/// read(2).
pub fn read(fd: RawFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel writes at most as many bytes as the live buffer has.
    let count = unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) };
    Errno::result(count).map(|count| count as usize)
}

/// write(2).
pub fn write(fd: RawFd, bytes: &[u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel reads at most as many bytes as there are.
    let count = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
    Errno::result(count).map(|count| count as usize)
}

/// A second number for the same open file, not below `lowest`.
pub fn duplicate(fd: RawFd, lowest: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: F_DUPFD_CLOEXEC takes a number and makes a new one.
    let new = Errno::result(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, lowest) })?;
    // SAFETY: the kernel just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(new) })
}

/// accept4(2), close-on-exec.
pub fn accept(listener: RawFd) -> Result<OwnedFd, Errno> {
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: no address is asked for.
    let new = Errno::result(unsafe { libc::accept4(listener, none.cast(), none.cast(), libc::SOCK_CLOEXEC) })?;
    // SAFETY: the kernel just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(new) })
}

/// select(2) of one descriptor for input, without a limit. EINVAL for a number that
/// does not fit an fd_set.
pub fn select(fd: RawFd) -> Result<usize, Errno> {
    if !usize::try_from(fd).is_ok_and(|fd| fd < libc::FD_SETSIZE) {
        return Err(Errno::EINVAL);
    }
    let none = std::ptr::null_mut();
    // SAFETY: all zeroes is an empty set; the number was found to fit it; the set
    // is live during the call.
    let count = unsafe {
        let mut set: libc::fd_set = std::mem::zeroed();
        libc::FD_SET(fd, &raw mut set);
        libc::select(fd + 1, &raw mut set, none, none, std::ptr::null_mut())
    };
    Errno::result(count).map(|count| count as usize)
}

/// shutdown(2) of both directions.
pub fn shutdown(fd: RawFd) -> Result<(), Errno> {
    // SAFETY: only numbers are passed.
    Errno::result(unsafe { libc::shutdown(fd, libc::SHUT_RDWR) }).map(drop)
}

/// Sets or clears O_NONBLOCK, which belongs to the open file.
pub fn set_nonblock(fd: RawFd, on: bool) -> Result<(), Errno> {
    // SAFETY: only numbers are passed.
    let flags = Errno::result(unsafe { libc::fcntl(fd, libc::F_GETFL) })?;
    let flags = if on { flags | libc::O_NONBLOCK } else { flags & !libc::O_NONBLOCK };
    // SAFETY: as above.
    Errno::result(unsafe { libc::fcntl(fd, libc::F_SETFL, flags) }).map(drop)
}

/// Bytes that a pipe has room for (F_GETPIPE_SZ).
pub fn pipe_capacity(fd: RawFd) -> Result<usize, Errno> {
    // SAFETY: only numbers are passed.
    Errno::result(unsafe { libc::fcntl(fd, libc::F_GETPIPE_SZ) }).map(|bytes| bytes as usize)
}
