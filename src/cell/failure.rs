//! What can fail while an object or a wait is set up, in a form that fits into the
//! ledger: a worker can only leave numbers there.

use nix::errno::Errno;

/// Something failed while an object or a wait was set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{call}: {}{}", errno.desc(), way_out(*.call, *.errno))]
pub struct SetupError {
    /// The call that failed, with its operand, such as `epoll_ctl(ADD)`.
    pub call: Call,
    pub errno: Errno,
}

/// What to do about it, where that is known.
fn way_out(call: Call, errno: Errno) -> &'static str {
    match (call, errno) {
        (Call::Setsockopt, Errno::ENOBUFS) => " (the socket buffer stays too small; raise net.core.rmem_max)",
        (Call::Connect, Errno::ENETUNREACH | Errno::EADDRNOTAVAIL) => " (is loopback up? ip link set lo up)",
        _ => "",
    }
}

macro_rules! calls {
    ($($name:ident => $text:literal,)*) => {
        /// The calls that can fail in a worker, by number, since a worker can only
        /// leave numbers in the ledger.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u64)]
        pub enum Call {
            $($name,)*
        }

        impl Call {
            const ALL: &[Call] = &[$(Call::$name,)*];
        }

        impl std::fmt::Display for Call {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self {
                    $(Call::$name => $text,)*
                })
            }
        }
    };
}

// `calls!` takes one line for each; the order is that of the numbers.
calls! {
    Other => "a call in the worker",
    Socket => "socket",
    Bind => "bind",
    Listen => "listen",
    EpollCreate => "epoll_create1",
    EpollAdd => "epoll_ctl(EPOLL_CTL_ADD)",
    EpollModify => "epoll_ctl(EPOLL_CTL_MOD)",
    EpollDelete => "epoll_ctl(EPOLL_CTL_DEL)",
    Select => "select (a descriptor above 1023 does not fit an fd_set; use poll)",
    Affinity => "sched_setaffinity",
    Policy => "sched_setscheduler",
    Nice => "setpriority",
    Thread => "pthread_create",
    Fcntl => "fcntl",
    Connect => "connect",
    TemporaryDirectory => "mkdtemp (TMPDIR must name a directory that can be written)",
    Setsockopt => "setsockopt",
    Socketpair => "socketpair",
    Send => "send",
    Receive => "recv",
    Read => "read",
    Write => "write",
    Pipe => "pipe2",
    Fifo => "mkfifo",
    Eventfd => "eventfd",
    Timerfd => "timerfd_create",
    TimerfdSet => "timerfd_settime",
    Signalfd => "signalfd",
    Sigmask => "pthread_sigmask",
    Kill => "kill",
    Inotify => "inotify_add_watch",
    Memfd => "memfd_create",
    Mmap => "mmap",
    MqOpen => "mq_open",
    MqSend => "mq_send",
    Msgget => "msgget",
    Msgsnd => "msgsnd",
    Semget => "semget",
    Semop => "semop",
    Futex => "futex",
    FutexAnswer => "futex (woke another number than slept)",
    Pthread => "a pthread call",
    Flock => "flock",
    SemInit => "sem_init",
    LockFile => "opening the lock file anew through /proc/self/fd",
    Lock => "fcntl(F_SETLK)",
    Fork => "fork",
    Pidfd => "pidfd_open",
    Bpf => "bpf",
    Sigio => "fcntl(F_SETSIG, F_SETOWN_EX, O_ASYNC)",
    UringSetup => "io_uring_setup",
    UringEnter => "io_uring_enter",
}

impl Call {
    /// The call of that number.
    pub fn from_number(number: u64) -> Call {
        Call::ALL.iter().copied().find(|call| *call as u64 == number).unwrap_or(Call::Other)
    }
}

/// Attaches the call to an errno.
pub trait During<T> {
    fn during(self, call: Call) -> Result<T, SetupError>;
}

impl<T> During<T> for nix::Result<T> {
    fn during(self, call: Call) -> Result<T, SetupError> {
        self.map_err(|errno| SetupError { call, errno })
    }
}

impl<T> During<T> for std::io::Result<T> {
    fn during(self, call: Call) -> Result<T, SetupError> {
        self.map_err(|e| SetupError { call, errno: Errno::from_raw(e.raw_os_error().unwrap_or(0)) })
    }
}
