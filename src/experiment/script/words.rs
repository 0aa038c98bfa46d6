//! The words of a script and what stands for numbers and times in it.

use super::{Call, Flags, Kind, Lock};
use crate::experiment::keys::did_you_mean;

/// Every statement, and what it does; `herd list --statements`.
pub const STATEMENTS: &[(&str, &str)] = &[
    ("socketpair A B", "two connected AF_UNIX stream ends, O_NONBLOCK"),
    ("pipe R W", "a pipe, O_NONBLOCK"),
    ("eventfd A ..", "eventfds, O_NONBLOCK"),
    ("epoll A ..", "epoll instances"),
    ("network", "a network of the cell's own, with loopback; before all else"),
    ("migrate on", "tcp_migrate_req of that network is 1: queued connections outlive their listener; migrate off"),
    ("listener A", "a listening AF_UNIX stream socket, which blocks"),
    ("group A ..", "listening TCP sockets on one port of loopback, by SO_REUSEPORT, which block"),
    ("reuseport A", "SO_REUSEPORT is set; comes to 0 or an errno"),
    ("dup A B", "B is a second number for A"),
    ("close A", "the number of A is given up"),
    ("hold", "a forked child keeps open all that is"),
    ("release", "that child ends"),
    ("handler restart", "SIGUSR1 does nothing, with SA_RESTART"),
    ("handler interrupt", "SIGUSR1 does nothing, without SA_RESTART"),
    ("add E A level", "EPOLL_CTL_ADD; flags are level or edge, and oneshot, exclusive, out"),
    ("mod E A edge", "EPOLL_CTL_MOD"),
    ("del E A", "EPOLL_CTL_DEL"),
    ("write A ..", "one event each, back to back"),
    ("write A as W times out", "one event at about the moment at which the wait of W ends by itself"),
    ("read A", "comes to the bytes read, or to the value of an eventfd"),
    ("connect L", "one connection; connect L x 40 makes so many, and comes to their number"),
    ("accepted", "the main thread accepts all there is, from every listener: clients accepted so far"),
    ("reset", "the same, but clients that were reset or cut off"),
    ("accepted+reset", "both together"),
    ("wait E", "epoll_wait by the main thread; max 8, within 10ms (without: 0)"),
    ("pwait2 E", "the same by epoll_pwait2"),
    ("poll A", "the same by poll"),
    (
        "worker W CALL A",
        "a worker waits: epoll_wait, epoll_pwait2, poll, poll+epoll_wait, select, accept, flock+accept (or futex, sem, fcntl); max 1, within 1ms, then read, then write A",
    ),
    ("workers N CALL A", "the same for w0 to w(N-1)"),
    ("start W ..", "workers that have come back wait again; start all"),
    ("storm W mod E A edge", "a worker that does nothing but this, over and over"),
    ("signal W", "SIGUSR1 to that worker"),
    ("kill W", "SIGKILL to the process of that worker, which is dead then"),
    ("came", "who came back with an event since it was started: a number, w0+w1, none"),
    ("result W", "what the wait of a worker came to: a number, an errno, asleep"),
    ("lasted", "milliseconds that the last wait of the main thread took"),
    ("repeat N", "so many rounds of what follows"),
    ("race N", "the same, of something that may be lost in any round"),
    ("end", "of repeat or race"),
];

/// What a statement can begin with.
pub(super) fn verbs() -> impl Iterator<Item = &'static str> {
    STATEMENTS.iter().filter_map(|(form, _)| form.split(' ').next())
}

/// Of an epoll entry.
pub(super) fn flags(words: &[&str]) -> Result<Flags, String> {
    let mut flags = Flags::default();
    for word in words {
        match *word {
            "level" => {}
            "edge" => flags.edge = true,
            "oneshot" => flags.oneshot = true,
            "exclusive" => flags.exclusive = true,
            "out" => flags.out = true,
            other => return Err(format!("unknown flag {other:?}; known are level, edge, oneshot, exclusive, out")),
        }
    }
    match words.iter().filter(|word| matches!(**word, "level" | "edge")).count() {
        1 => Ok(flags),
        _ => Err("say either level or edge".into()),
    }
}

/// A call that a worker can wait with.
pub(super) fn call(word: &str) -> Result<Call, String> {
    const KNOWN: [(&str, Call); 10] = [
        ("epoll_wait", Call::EpollWait),
        ("epoll_pwait2", Call::EpollPwait2),
        ("poll", Call::Poll),
        ("poll+epoll_wait", Call::PollThenWait),
        ("select", Call::Select),
        ("accept", Call::Accept),
        ("futex+accept", Call::Locked(Lock::Futex)),
        ("sem+accept", Call::Locked(Lock::Sem)),
        ("flock+accept", Call::Locked(Lock::Flock)),
        ("fcntl+accept", Call::Locked(Lock::Fcntl)),
    ];
    let found = KNOWN.iter().find(|(name, _)| *name == word).map(|(_, call)| *call);
    found.ok_or_else(|| format!("unknown call {word:?}{}", did_you_mean(word, KNOWN.iter().map(|(name, _)| *name))))
}

/// A whole number in these bounds.
pub(super) fn number(text: &str, min: u64, max: u64) -> Result<u64, String> {
    let number = text.parse().ok().filter(|n| (min..=max).contains(n));
    number.ok_or_else(|| format!("{text:?} is no number from {min} to {max}"))
}

/// `10ms` or `50us`, up to a minute.
pub(super) fn time_us(text: &str) -> Result<u64, String> {
    let scaled = |unit: &str, by: u64| text.strip_suffix(unit)?.parse::<u64>().ok()?.checked_mul(by);
    let found = scaled("ms", 1000).or_else(|| scaled("us", 1)).filter(|us| *us <= 60_000_000);
    found.ok_or_else(|| format!("{text:?} is no time; write 10ms or 50us, at most 60000ms"))
}

pub(super) fn article(kind: Kind) -> &'static str {
    match kind {
        Kind::Socketpair => "an end of a socketpair",
        Kind::Pipe => "an end of a pipe",
        Kind::Eventfd => "an eventfd",
        Kind::Epoll => "an epoll",
        Kind::Listener => "a listener",
        Kind::Group => "a listener of a group",
    }
}

/// How a statement is written, for whoever wrote it otherwise.
pub(super) fn usage(verb: &str) -> &'static str {
    match verb {
        "socketpair" | "pipe" | "dup" => "takes two names",
        "eventfd" | "epoll" | "group" | "write" | "start" => "takes one name or more",
        "close" | "listener" | "read" | "reuseport" | "signal" | "kill" | "result" => "takes one name",
        "connect" => "takes one name, then perhaps x 40",
        "migrate" => "is either migrate on or migrate off",
        "handler" => "is either handler restart or handler interrupt",
        "add" | "mod" => "takes an epoll, what to watch and flags, such as add e0 s0 edge",
        "del" => "takes an epoll and what is watched",
        "wait" | "pwait2" | "poll" => "takes one name, then perhaps max 8 and within 10ms",
        "worker" => "takes a name, a call and what to wait on, such as worker w0 epoll_wait e0",
        "workers" => "takes a number, a call and what to wait on, such as workers 16 epoll_wait e0",
        "storm" => "is written storm w0 mod e0 s0 edge",
        "repeat" | "race" => "takes a number of rounds",
        _ => "takes nothing",
    }
}
