//! What statements become: things that are opened, calls, what workers do, what
//! happens.

use crate::experiment::settings::Lock;

/// A descriptor or a lock of the script, by its place in [`Script::names`](super::Script::names).
pub type Name = usize;

/// What can be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Two connected AF_UNIX stream ends.
    Socketpair,
    Pipe,
    Eventfd,
    Epoll,
    /// A listening AF_UNIX stream socket.
    Listener,
    /// TCP listeners on one port of loopback, by SO_REUSEPORT.
    Group,
    /// UDP sockets on one port of loopback, by SO_REUSEPORT.
    Udp,
    /// One end of a connection.
    Connection,
    /// A descriptor that is kept to be given up when no other can be had.
    Spare,
    /// A futex word, at first 0.
    Word,
    RwLock,
    Mutex,
    /// A robust mutex.
    Robust,
}

impl Kind {
    /// Whether it is a listening socket.
    pub fn listens(self) -> bool {
        matches!(self, Kind::Listener | Kind::Group)
    }

    /// Whether it lies in memory that all share, and has no number.
    pub fn is_memory(self) -> bool {
        matches!(self, Kind::Word | Kind::RwLock | Kind::Mutex | Kind::Robust)
    }
}

/// How an epoll entry is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    pub edge: bool,
    pub oneshot: bool,
    pub exclusive: bool,
    /// EPOLLOUT instead of EPOLLIN.
    pub out: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Add,
    Modify,
    Delete,
}

/// An epoll_ctl call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control {
    pub op: Op,
    pub epoll: Name,
    pub target: Name,
    pub flags: Flags,
}

/// A call to wait with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    EpollWait,
    EpollPwait2,
    Poll,
    /// poll on the epoll descriptor, then epoll_wait that does not block; again, if
    /// that finds nothing.
    PollThenWait,
    Select,
    Accept,
    /// accept inside a lock that all workers of the script share.
    Locked(Lock),
    /// read of at most `max` bytes.
    Read,
    /// recv of at most `max` bytes.
    Receive,
    /// FUTEX_WAIT while the word is 0.
    Futex,
    ReadLock,
    WriteLock,
    Lock,
}

/// One wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub call: Call,
    pub on: Name,
    pub max: u32,
    /// Microseconds; `None` is without a limit.
    pub within_us: Option<u64>,
}

/// What a worker does with an event it came back with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Reads what the event names, or the connection that was accepted.
    Read,
    Write(Name),
    /// Accepts one from what the event names, or all there are.
    Accept {
        all: bool,
    },
    /// Rests until it is told to go on.
    Pause,
    /// Works for so many microseconds.
    Busy(u64),
    /// EPOLL_CTL_MOD of the entry, as ONESHOT asks for.
    Rearm(Flags),
}

/// What a worker does in one turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// Waits so many times, and does all of `then` with each event.
    Wait { waiting: Waiting, then: Vec<Then>, times: u32 },
    /// Does nothing but this, without end.
    Storm(Control),
    /// Only what it is told.
    Idle,
}

/// What became of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its handshake is not done.
    Connecting,
    /// Connected, and nobody has accepted it yet.
    Waiting,
    /// Whoever accepted it said so.
    Accepted,
    /// Reset or cut off before that.
    Reset,
    Refused,
}

/// Who gets a packet in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steer {
    /// Always this member.
    To(u32),
    /// The number of the flow, which its datagrams begin with, modulo this.
    Flow(u32),
}

/// What the main thread does, or a worker that is told to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// With the backlog of listeners.
    Open(Kind, Vec<Name>, i32),
    /// So many pipes that have no name.
    Pipes(u64),
    /// One more member of a group.
    Join {
        new: Name,
        of: Name,
    },
    Dup {
        from: Name,
        to: Name,
    },
    Close(Name),
    Shutdown(Name),
    /// Clears O_NONBLOCK, or sets it.
    Blocking(Vec<Name>, bool),
    /// By SCM_RIGHTS to the process of that worker.
    Pass(Name, usize),
    Hold,
    Release,
    /// The soft RLIMIT_NOFILE; `None` is the hard one.
    Limit(Option<u64>),
    /// The same, at the lowest number that is free.
    LimitFull,
    /// Gives up root.
    Unprivileged,
    Handler {
        restart: bool,
    },
    Control(Control),
    Write(Vec<Name>),
    /// At the moment at which the wait of that worker times out.
    WriteAt(Name, usize),
    /// At most so many bytes.
    Read(Name, usize),
    /// Writes until nothing fits.
    Fill(Name),
    Capacity(Name),
    /// FUTEX_WAKE of so many.
    Wake(Name, u32),
    Unlock(Name),
    /// So many connections.
    Connect(Name, u64),
    /// One, whose client has a name; one that is deaf does not hear the answer to
    /// its SYN.
    ConnectAs {
        to: Name,
        end: Name,
        deaf: bool,
    },
    /// It hears again.
    Hear(Name),
    /// One connection that is there, under a name.
    AcceptAs {
        of: Name,
        end: Name,
    },
    /// TCP_DEFER_ACCEPT, for so many seconds.
    Defer(Name, u32),
    /// Handshakes with that listener that are begun and not done.
    HalfOpen(Name),
    /// Hands over so many times by two flags, with or without a fence.
    Latch {
        times: u64,
        fenced: bool,
    },
    /// At most so many; then reads each.
    Accept(Name, u64, bool),
    /// So many datagrams from so many sockets.
    Send {
        to: Name,
        count: u64,
        flows: u64,
    },
    Received(Name),
    Steer(Name, Steer),
    /// The cell gets a network of its own.
    Network,
    /// Of that network.
    Sysctl {
        name: String,
        value: String,
    },
    /// A line of its /proc/net/netstat.
    Counter(String),
    /// Sets SO_REUSEPORT.
    Reuseport(Name),
    /// Accepts what is queued anywhere; then the clients that were accepted, that
    /// were reset, or both.
    Clients {
        accepted: bool,
        reset: bool,
    },
    /// How many clients have one of these fates.
    Look(Vec<Fate>),
    /// The client that came last ends, by a reset or by a close.
    Leave {
        reset: bool,
    },
    /// SIGKILL to the process of that worker.
    Kill(usize),
    Stop(usize),
    Continue(usize),
    Wait(Waiting),
    /// Workers that are to wait; those that still do are left alone.
    Start(Vec<usize>),
    /// The same, all at once, and SIGUSR1 to each of them all the time until they
    /// have come back.
    StartUnderSignals(Vec<usize>),
    /// A worker gets another job.
    Assign(usize, usize),
    /// Paused workers go on.
    Go(Vec<usize>),
    /// Waits until the turn of that worker ends.
    Await(usize),
    Signal(usize),
    Came,
    Result(usize),
    Returns(usize),
    /// How often the kernel woke that worker.
    Wakeups(usize),
    Lasted,
    /// That worker does it.
    Told(usize, Box<Action>),
    /// Up to the matching `End`.
    Repeat {
        rounds: u64,
        race: bool,
    },
    End,
}

/// Whether something comes of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comes {
    Nothing,
    /// And may be left out.
    Something,
    /// That is what it is for.
    Expected,
}

impl Action {
    pub fn comes(&self) -> Comes {
        match self {
            Action::Came
            | Action::Result(_)
            | Action::Returns(_)
            | Action::Wakeups(_)
            | Action::HalfOpen(_)
            | Action::Latch { .. }
            | Action::Await(_)
            | Action::Lasted
            | Action::Counter(_)
            | Action::Received(_)
            | Action::Capacity(_)
            | Action::Look(_)
            | Action::Clients { .. } => Comes::Expected,
            Action::Control(_)
            | Action::Wait(_)
            | Action::Read(..)
            | Action::Write(_)
            | Action::WriteAt(..)
            | Action::Fill(_)
            | Action::Wake(..)
            | Action::Unlock(_)
            | Action::Connect(..)
            | Action::ConnectAs { .. }
            | Action::AcceptAs { .. }
            | Action::Accept(..)
            | Action::Send { .. }
            | Action::Shutdown(_)
            | Action::Reuseport(_) => Comes::Something,
            Action::Told(_, told) => told.comes(),
            _ => Comes::Nothing,
        }
    }

    /// The descriptors it is about, but for those it opens and those it connects
    /// or sends to: an address outlives the number.
    pub fn uses(&self) -> Vec<Name> {
        match self {
            Action::Dup { from: name, .. }
            | Action::Close(name)
            | Action::Shutdown(name)
            | Action::Pass(name, _)
            | Action::Read(name, _)
            | Action::WriteAt(name, _)
            | Action::Fill(name)
            | Action::Capacity(name)
            | Action::Wake(name, _)
            | Action::Unlock(name)
            | Action::Accept(name, ..)
            | Action::AcceptAs { of: name, .. }
            | Action::Hear(name)
            | Action::Defer(name, _)
            | Action::Received(name)
            | Action::Steer(name, _)
            | Action::Reuseport(name) => vec![*name],
            Action::Blocking(names, _) | Action::Write(names) => names.clone(),
            Action::Control(control) => vec![control.epoll, control.target],
            Action::Wait(waiting) => vec![waiting.on],
            Action::Told(_, told) => told.uses(),
            _ => Vec::new(),
        }
    }
}
