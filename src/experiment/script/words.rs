//! The words of a script and what stands for numbers and times in it.

use super::{Call, Flags, Kind, Lock};
use crate::experiment::keys::did_you_mean;

/// Every statement, and what it does; `herd list --statements`.
pub const STATEMENTS: &[(&str, &str)] = &[
    ("socketpair A B", "two connected AF_UNIX stream ends, O_NONBLOCK"),
    ("pipe R W", "a pipe, O_NONBLOCK"),
    ("pipes N", "so many pipes that have no name and stay open"),
    ("eventfd A ..", "eventfds, O_NONBLOCK"),
    ("epoll A ..", "epoll instances"),
    ("word A ..", "futex words in shared memory, at first 0"),
    ("rwlock A ..", "process-shared read-write locks; mutex A .., robust A .. (robust mutexes)"),
    ("mutex A ..", "process-shared mutexes"),
    ("robust A ..", "robust process-shared mutexes"),
    ("network", "a network of the cell's own, with loopback; before all else"),
    ("migrate on", "tcp_migrate_req of that network is 1: queued connections outlive their listener; migrate off"),
    ("sysctl net.NAME VALUE", "any other setting of that network"),
    (
        "counter NAME",
        "comes to that line of its /proc/net/netstat, such as ListenOverflows; at first 0, ENOENT without",
    ),
    ("listener A", "a listening AF_UNIX stream socket, which blocks; listener A backlog 8"),
    ("group A ..", "listening TCP sockets on one port of loopback, by SO_REUSEPORT, which block; backlog 8"),
    ("udp A ..", "UDP sockets on one port of loopback, by SO_REUSEPORT, O_NONBLOCK"),
    ("join B A", "B is one more member of the group of A, from now on"),
    ("steer A to 2", "a program gives all that comes to the group of A to its third member"),
    ("steer A flow mod 2", "the same by the number of the flow, which each datagram carries, modulo 2"),
    ("reuseport A", "SO_REUSEPORT is set; comes to 0 or an errno"),
    ("block A ..", "O_NONBLOCK is cleared"),
    ("nonblock A ..", "O_NONBLOCK is set"),
    ("dup A B", "B is a second number for A"),
    ("close A", "the number of A is given up"),
    ("shutdown A", "shutdown(SHUT_RDWR), whoever else has a descriptor of A"),
    ("pass A W", "A goes to the process of W by SCM_RIGHTS; ours stays open"),
    ("hold", "a forked child keeps open all that is"),
    ("release", "that child ends"),
    ("limit nofile N", "no descriptor gets a number of N or more; limit nofile off"),
    ("limit nofile full", "the same for the lowest number that is free, so that only what is closed makes room"),
    ("spare A", "a descriptor kept in reserve (/dev/null), at the lowest number that is free"),
    ("unprivileged", "the cell gives up root, if it is root"),
    ("handler restart", "SIGUSR1 does nothing, with SA_RESTART"),
    ("handler interrupt", "SIGUSR1 does nothing, without SA_RESTART"),
    ("add E A level", "EPOLL_CTL_ADD; flags are level or edge, and oneshot, exclusive, out"),
    ("mod E A edge", "EPOLL_CTL_MOD"),
    ("del E A", "EPOLL_CTL_DEL"),
    ("write A ..", "one event each, back to back"),
    ("write A as W times out", "one event at about the moment at which the wait of W ends by itself"),
    ("read A", "comes to the bytes read, or to the value of an eventfd; read A 1 takes at most one byte"),
    ("fill W", "one byte after the other until no more fits; comes to their number"),
    ("capacity R", "comes to the bytes that a pipe has room for"),
    ("wake A", "the word is 1 more and FUTEX_WAKE; comes to how many were woken; wake A 8"),
    ("unlock A", "of a lock, by whoever has it"),
    ("connect L", "one connection; connect L x 40 makes so many, and comes to how many were completed"),
    ("connect L as C", "one connection whose client is C, O_NONBLOCK; comes to 1 if it is completed, else 0"),
    ("syn L as C", "the same, but C does not hear the answer to its SYN, so the handshake is not done; after network"),
    ("hear C", "it does from now on: the next answer, about a second later, ends the handshake"),
    ("half-open L", "comes to the handshakes that the kernel has begun for L and not done"),
    ("defer L", "TCP_DEFER_ACCEPT for 30 seconds: accept is for connections with data; defer L 5"),
    ("accept L", "one connection that is there, EAGAIN without; then read, or x 40 for at most so many"),
    ("accept L as S", "the same, kept open under that name; S blocks"),
    ("accepted", "the main thread accepts all there is, from every listener: clients accepted so far"),
    ("reset", "the same, but clients that were reset or cut off"),
    ("accepted+reset", "both together"),
    ("clients FATE+..", "accepts nothing: how many clients are connecting, waiting, accepted, reset or refused"),
    ("client resets", "the client that came last ends by a reset; client closes"),
    ("send A x 40 from 4", "so many datagrams to the group of A from so many sockets; comes to their number"),
    ("received A", "datagrams that came to A since this was last asked"),
    ("wait E", "epoll_wait by the main thread; max 8, within 10ms (without: 0)"),
    ("pwait2 E", "the same by epoll_pwait2"),
    ("poll A", "the same by poll"),
    (
        "worker W CALL A",
        "a worker waits: epoll_wait, epoll_pwait2, poll, poll+epoll_wait, select, accept, flock+accept (or futex, sem, fcntl), read, recv, futex, rdlock, wrlock, lock; max 1, within 1ms, times 10, then read, then write A, then accept, then accept all, then pause, then busy 5ms, then rearm edge oneshot",
    ),
    ("worker W idle", "a worker that only does what it is told"),
    ("workers N CALL A", "the same for w0 to w(N-1)"),
    ("now W CALL A", "a worker that has come back waits for something else from now on"),
    ("start W ..", "workers that have come back wait again; start all"),
    ("start all under signals", "the same at once, and SIGUSR1 to each over and over until all have come back"),
    ("go W ..", "paused workers do the rest; go all"),
    ("W: STATEMENT", "that worker does it: w0: close l, w0: limit nofile 3, w0: pass l w1"),
    ("storm W mod E A edge", "a worker that does nothing but this, over and over"),
    ("signal W", "SIGUSR1 to that worker"),
    ("kill W", "SIGKILL to the process of that worker, which is dead then"),
    ("stop W", "SIGSTOP to the process of that worker, which is stopped then"),
    ("continue W", "SIGCONT to it"),
    ("await W", "what the wait of a worker came to, as soon as it ends"),
    ("came", "who came back with an event since it was started: a number, w0+w1, none"),
    ("result W", "what the wait of a worker came to: a number, an errno, asleep"),
    ("returns W", "how often the wait of a worker has come back in all"),
    ("wakeups W", "how often the kernel woke that worker, between one quiet moment and the next, in all"),
    (
        "latch N fenced",
        "two threads hand over N times by two flags and an eventfd, with a fence between writing the one and reading \
         the other; comes to how often both missed each other; latch N bare is without",
    ),
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
    const KNOWN: [(&str, Call); 16] = [
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
        ("read", Call::Read),
        ("recv", Call::Receive),
        ("futex", Call::Futex),
        ("rdlock", Call::ReadLock),
        ("wrlock", Call::WriteLock),
        ("lock", Call::Lock),
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
        Kind::Udp => "a UDP socket",
        Kind::Connection => "an end of a connection",
        Kind::Spare => "a spare descriptor",
        Kind::Word => "a futex word",
        Kind::RwLock => "a read-write lock",
        Kind::Mutex => "a mutex",
        Kind::Robust => "a robust mutex",
    }
}

/// How a statement is written, for whoever wrote it otherwise.
pub(super) fn usage(verb: &str) -> &'static str {
    match verb {
        "socketpair" | "pipe" | "dup" | "join" => "takes two names",
        "eventfd" | "epoll" | "group" | "udp" | "word" | "rwlock" | "mutex" | "robust" | "write" | "start" | "go"
        | "block" | "nonblock" => "takes one name or more",
        "close" | "listener" | "reuseport" | "signal" | "kill" | "stop" | "continue" | "await" | "result"
        | "returns" | "wakeups" | "hear" | "half-open" | "spare" | "shutdown" | "unlock" | "fill" | "capacity"
        | "received" => "takes one name",
        "read" => "takes one name, then perhaps a number of bytes up to 64",
        "wake" => "takes one name, then perhaps a number",
        "connect" => "takes one name, then perhaps x 40, or as and a new name",
        "syn" => "takes a TCP listener, as, and a new name, such as syn l as c",
        "accept" => "takes one name, then perhaps x 40 or then read, or as and a new name",
        "defer" => "takes a TCP listener, then perhaps seconds",
        "latch" => "takes how often, and fenced or bare",
        "send" => "takes one name, then perhaps x 40 and from 4",
        "pass" => "takes what to pass and a worker",
        "steer" => "is written steer a to 2, or for UDP steer a flow mod 2",
        "sysctl" => "takes a name and a value, such as sysctl net.ipv4.tcp_abort_on_overflow 1",
        "counter" => "takes a name of /proc/net/netstat, such as ListenOverflows",
        "clients" => "takes what became of them, such as clients accepted+reset",
        "client" => "is either client resets or client closes",
        "limit" => "is written limit nofile 3, limit nofile full, or limit nofile off",
        "pipes" => "takes a number",
        "migrate" => "is either migrate on or migrate off",
        "handler" => "is either handler restart or handler interrupt",
        "add" | "mod" => "takes an epoll, what to watch and flags, such as add e0 s0 edge",
        "del" => "takes an epoll and what is watched",
        "wait" | "pwait2" | "poll" => "takes one name, then perhaps max 8 and within 10ms",
        "worker" => "takes a name, a call and what to wait on, such as worker w0 epoll_wait e0",
        "now" => "takes a worker, a call and what to wait on, such as now w0 accept l",
        "workers" => "takes a number, a call and what to wait on, such as workers 16 epoll_wait e0",
        "storm" => "is written storm w0 mod e0 s0 edge",
        "repeat" | "race" => "takes a number of rounds",
        _ => "takes nothing",
    }
}
