//! Numbers of the system calls in which a task may wait for connections.

/// The system calls of epoll_wait(3); C libraries differ, and some machines have
/// only the younger one.
pub const EPOLL_WAIT: &[i64] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
];
/// Those of poll(3).
pub const POLL: &[i64] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    libc::SYS_ppoll,
];
/// Those of select(3).
pub const SELECT: &[i64] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_select,
    libc::SYS_pselect6,
];
/// Those of accept(2). s390x has the younger one alone, as far as libc knows.
pub const ACCEPT: &[i64] = &[
    #[cfg(not(target_arch = "s390x"))]
    libc::SYS_accept,
    libc::SYS_accept4,
];

/// All of these, and epoll_pwait2(2), which no C library calls by itself.
pub fn listening() -> impl Iterator<Item = i64> {
    [ACCEPT, EPOLL_WAIT, &[libc::SYS_epoll_pwait2], POLL, SELECT].into_iter().flatten().copied()
}
