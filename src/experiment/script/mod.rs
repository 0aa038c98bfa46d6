//! Scripts: what a cell does that is no row of equal workers on one object.
//!
//! A list of statements, one string each: the descriptors, who watches whom, who
//! waits, what happens, and behind `->` what must come of it. One line is one
//! step of the program that a person would write, has its own line in messages and
//! is a test point of its own; nesting tables would have hidden the order, which
//! is all that matters here.
//!
//! [`STATEMENTS`] lists them; `herd list --statements` shows that list.
//!
//! After each statement the cell goes on only when every worker is asleep, in its
//! wait or after it: seen, not assumed.

mod parse;
mod wanted;
mod words;

use super::settings::Lock;
pub use wanted::Wanted;
pub use words::STATEMENTS;

/// A descriptor of the script, by its place in [`Script::names`].
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

/// What a worker does with the event it came back with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Nothing,
    /// Reads the descriptor that the event names.
    Read,
    Write(Name),
}

/// What a worker does in one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    Wait(Waiting, Then),
    /// Does nothing but this, without end.
    Storm(Control),
}

/// What the main thread does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Open(Kind, Vec<Name>),
    Dup {
        from: Name,
        to: Name,
    },
    Close(Name),
    Hold,
    Release,
    Handler {
        restart: bool,
    },
    Control(Control),
    Write(Vec<Name>),
    /// At the moment at which the wait of that worker times out.
    WriteAt(Name, usize),
    Read(Name),
    /// So many connections.
    Connect(Name, u64),
    /// The cell gets a network of its own.
    Network,
    /// net.ipv4.tcp_migrate_req of that network.
    Migrate(bool),
    /// Sets SO_REUSEPORT.
    Reuseport(Name),
    /// Accepts what is queued anywhere; then the clients that were accepted, that
    /// were reset, or both.
    Clients {
        accepted: bool,
        reset: bool,
    },
    /// SIGKILL to the process of that worker.
    Kill(usize),
    Wait(Waiting),
    /// Workers that are to wait; those that still do are left alone.
    Start(Vec<usize>),
    Signal(usize),
    Came,
    Result(usize),
    Lasted,
    /// Up to the matching `End`.
    Repeat {
        rounds: u64,
        race: bool,
    },
    End,
}

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// As it is written, without what is wanted.
    pub text: String,
    pub action: Action,
    pub wanted: Option<Wanted>,
    /// Unique in the script; names the test point.
    pub slug: String,
    /// How often it runs, and whether it is part of a race.
    pub rounds: u64,
    pub race: bool,
}

/// A script that makes sense.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    pub names: Vec<String>,
    /// What each name stands for.
    pub kinds: Vec<Kind>,
    pub workers: Vec<Job>,
    pub worker_names: Vec<String>,
    pub steps: Vec<Step>,
}

/// A mistake in statement `at`, counted from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    pub at: usize,
    pub message: String,
}

impl Script {
    /// Reads statements. Names must be there before they are used.
    pub fn parse(statements: &[String]) -> Result<Script, Mistake> {
        parse::script(statements)
    }

    /// The steps with something wanted of them.
    pub fn checks(&self) -> impl Iterator<Item = (usize, &Step, &Wanted)> {
        self.steps.iter().enumerate().filter_map(|(i, step)| Some((i, step, step.wanted.as_ref()?)))
    }

    /// Whether some worker never sleeps, so that there are no quiet moments.
    pub fn storms(&self) -> bool {
        self.workers.iter().any(|job| matches!(job, Job::Storm(_)))
    }

    /// Whether a worker is killed, and with it all that share its process.
    pub fn kills(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.action, Action::Kill(_)))
    }

    /// Whether the wait of some worker ends by a timer.
    pub fn has_timers(&self) -> bool {
        self.workers.iter().any(|job| matches!(job, Job::Wait(Waiting { within_us: Some(_), .. }, _)))
    }

    /// The probes it cannot do without.
    pub fn needs(&self) -> impl Iterator<Item = &'static str> {
        let exclusive = |c: &Control| c.flags.exclusive;
        let controls = self.steps.iter().filter_map(|step| match &step.action {
            Action::Control(control) => Some(control),
            _ => None,
        });
        let waits = self.steps.iter().filter_map(|step| match &step.action {
            Action::Wait(waiting) => Some(waiting.call),
            _ => None,
        });
        let of_workers = self.workers.iter().filter_map(|job| match job {
            Job::Wait(waiting, _) => Some(waiting.call),
            Job::Storm(_) => None,
        });
        let has_exclusive = { controls }.any(exclusive);
        let has_pwait2 = waits.chain(of_workers).any(|call| call == Call::EpollPwait2);
        let has = |wanted: fn(&Action) -> bool| self.steps.iter().any(|step| wanted(&step.action));
        [
            (has_exclusive, "epoll_exclusive"),
            (has_pwait2, "epoll_pwait2"),
            (has(|action| *action == Action::Network), "netns"),
            (has(|action| matches!(action, Action::Open(Kind::Group, _))), "reuseport"),
            (has(|action| matches!(action, Action::Migrate(_))), "tcp_migrate_req"),
        ]
        .into_iter()
        .filter_map(|(has, probe)| has.then_some(probe))
    }
}
