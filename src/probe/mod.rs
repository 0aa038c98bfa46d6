//! What this kernel can do, found by using it, never by comparing versions:
//! stable kernels carry later changes. A version only explains.
//!
//! A probe leaves nothing behind, waits for nothing longer than `PATIENCE`,
//! and says the same when asked again.

mod descriptors;
mod epoll;
mod ipc;
mod rights;
mod sockets;
mod uring;

use std::time::Duration;

use nix::errno::Errno;

use crate::sys::probing::named;

/// How long a probe waits for something that should be there at once.
const PATIENCE: Duration = Duration::from_millis(100);

/// One thing a kernel may or may not do.
pub struct Probe {
    pub name: &'static str,
    pub about: &'static str,
    run: fn() -> Result<(), String>,
}

impl Probe {
    const fn new(name: &'static str, about: &'static str, run: fn() -> Result<(), String>) -> Probe {
        Probe { name, about, run }
    }

    /// `Err` says why it is not to be had, with the errno.
    pub fn run(&self) -> Result<(), String> {
        (self.run)()
    }
}

/// Every probe, in the order of `herd doctor`.
pub const PROBES: &[Probe] = &[
    Probe::new("epoll_exclusive", "EPOLLEXCLUSIVE (Linux 4.5, df0108c5da56)", epoll::exclusive),
    Probe::new("epoll_pwait2", "epoll_wait with a timeout in nanoseconds", epoll::pwait2),
    Probe::new("io_uring", "io_uring_setup(2)", uring::setup),
    Probe::new("io_uring_accept", "IORING_OP_ACCEPT", uring::accept),
    Probe::new("io_uring_multishot_accept", "one request, many connections (Linux 5.19)", uring::multishot_accept),
    Probe::new("io_uring_poll_exclusive", "IORING_OP_POLL_ADD heeds EPOLLEXCLUSIVE", uring::poll_exclusive),
    Probe::new("io_uring_single_issuer", "IORING_SETUP_SINGLE_ISSUER (Linux 6.0)", uring::single_issuer),
    Probe::new("io_uring_defer_taskrun", "IORING_SETUP_DEFER_TASKRUN (Linux 6.1)", uring::defer_taskrun),
    Probe::new("ipv6", "IPv6 on loopback", sockets::ipv6),
    Probe::new("reuseport", "SO_REUSEPORT on TCP", sockets::reuseport),
    Probe::new("reuseport_unix_refused", "SO_REUSEPORT on AF_UNIX is an error", sockets::reuseport_unix_refused),
    Probe::new("reuseport_cbpf", "a classic BPF program chooses in the group", sockets::reuseport_cbpf),
    Probe::new("reuseport_ebpf", "a program that counts chooses in the group", sockets::reuseport_ebpf),
    Probe::new("so_incoming_cpu", "SO_INCOMING_CPU can be set", sockets::incoming_cpu),
    Probe::new("so_incoming_cpu_group", "it chooses in the group (b261eda84ec1)", sockets::incoming_cpu_group),
    Probe::new("tcp_migrate_req", "net.ipv4.tcp_migrate_req (Linux 5.14, f9ac779f881c)", sockets::tcp_migrate_req),
    Probe::new("futex_waitv", "one thread sleeps on many futexes", ipc::futex_waitv),
    Probe::new("futex2", "futex_wake(2) as a call of its own", ipc::futex2),
    Probe::new("ofd_locks", "file locks that belong to the open file", ipc::ofd_locks),
    Probe::new("posix_mq", "POSIX message queues", ipc::posix_mq),
    Probe::new("sysv_sem", "System V semaphores", ipc::sysv_sem),
    Probe::new("sysv_msg", "System V message queues", ipc::sysv_msg),
    Probe::new("eventfd", "eventfd(2), with EFD_SEMAPHORE", descriptors::eventfd),
    Probe::new("timerfd", "timerfd_create(2)", descriptors::timerfd),
    Probe::new("signalfd", "signalfd(2)", descriptors::signalfd),
    Probe::new("inotify", "inotify(7)", descriptors::inotify),
    Probe::new("memfd", "memfd_create(2)", descriptors::memfd),
    Probe::new("pidfd_open", "a descriptor for a process", descriptors::pidfd_open),
    Probe::new("netns", "a network of our own", rights::netns),
    Probe::new("userns", "a user namespace of our own", rights::userns),
    Probe::new("tracefs", "the sched tracepoints can be read", rights::tracefs),
    Probe::new("perf_tracepoint", "perf events on them, for all tasks", rights::perf_tracepoint),
    Probe::new("bpf", "BPF maps and tracepoint programs", rights::bpf),
    Probe::new("sched_ext", "schedulers in BPF can be loaded", rights::sched_ext),
    Probe::new("cgroup_cpu_controller", "CPU time can be limited for our cgroup", rights::cgroup_cpu_controller),
    Probe::new("sched_fifo", "a worker may be SCHED_FIFO or SCHED_RR", rights::sched_fifo),
    Probe::new("nice_below_zero", "a worker may be more than nice 0", rights::nice_below_zero),
];

/// The names of all probes.
pub fn names() -> impl Iterator<Item = &'static str> {
    PROBES.iter().map(|probe| probe.name)
}

/// The probe of that name.
pub fn find(name: &str) -> Option<&'static Probe> {
    PROBES.iter().find(|probe| probe.name == name)
}

/// Puts the call that failed before its errno.
trait Trying<T> {
    fn trying(self, call: &str) -> Result<T, String>;
}

impl<T> Trying<T> for nix::Result<T> {
    fn trying(self, call: &str) -> Result<T, String> {
        self.map_err(|errno| format!("{call}: {}", explained(errno)))
    }
}

impl<T> Trying<T> for std::io::Result<T> {
    fn trying(self, call: &str) -> Result<T, String> {
        self.map_err(|e| match e.raw_os_error() {
            Some(raw) => format!("{call}: {}", explained(Errno::from_raw(raw))),
            None => format!("{call}: {}", named(&e)),
        })
    }
}

/// The errno, and for the two that a container answers what may stand behind.
fn explained(errno: Errno) -> String {
    let may_be = match errno {
        Errno::ENOSYS => " (not in this kernel, or refused by seccomp)",
        Errno::EPERM => " (no right to it, or refused by seccomp)",
        _ => "",
    };
    format!("{errno:?}{may_be}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = names().collect();
        names.sort_unstable();
        let before = names.len();
        names.dedup();
        assert_eq!(names.len(), before);
    }

    #[test]
    fn a_reason_has_the_call_and_the_errno() {
        let refused: Result<(), String> = Err::<(), Errno>(Errno::ENOSYS).trying("futex_waitv");
        assert_eq!(refused.unwrap_err(), "futex_waitv: ENOSYS (not in this kernel, or refused by seccomp)");
        let denied: Result<(), String> = Err::<(), _>(std::io::Error::from_raw_os_error(13)).trying("bind");
        assert_eq!(denied.unwrap_err(), "bind: EACCES");
    }
}
