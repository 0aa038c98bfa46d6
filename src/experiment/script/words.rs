//! The words of a script and what stands for numbers and times in it.

use super::{Call, Flags, Kind};
use crate::experiment::keys::did_you_mean;

/// What a statement can begin with.
pub(super) const VERBS: &[&str] = &[
    "socketpair",
    "pipe",
    "eventfd",
    "epoll",
    "listener",
    "dup",
    "close",
    "hold",
    "release",
    "handler",
    "add",
    "mod",
    "del",
    "write",
    "read",
    "connect",
    "wait",
    "pwait2",
    "poll",
    "worker",
    "workers",
    "start",
    "storm",
    "signal",
    "came",
    "result",
    "lasted",
    "repeat",
    "race",
    "end",
];

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
    const KNOWN: [(&str, Call); 6] = [
        ("epoll_wait", Call::EpollWait),
        ("epoll_pwait2", Call::EpollPwait2),
        ("poll", Call::Poll),
        ("poll+epoll_wait", Call::PollThenWait),
        ("select", Call::Select),
        ("accept", Call::Accept),
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
    }
}

/// How a statement is written, for whoever wrote it otherwise.
pub(super) fn usage(verb: &str) -> &'static str {
    match verb {
        "socketpair" | "pipe" | "dup" => "takes two names",
        "eventfd" | "epoll" | "write" | "start" => "takes one name or more",
        "close" | "connect" | "listener" | "read" | "signal" | "result" => "takes one name",
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
