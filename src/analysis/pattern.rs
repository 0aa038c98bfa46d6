//! Which pattern a server has, from what was seen of it: how its workers wait, and what
//! a connection cost them. Both must say the same, or it is unclear.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::judge::decimals;
use crate::sighting::{RingRequest, Sighting, Waits, Worker};

/// From here on more than one worker wakes for a connection; two is the least herd.
const MORE_THAN_ONE: f64 = 1.5;
/// This part of the connections is "always".
const ALWAYS: f64 = 0.9;
/// So many in a row to the same worker are no turns.
const A_RUN: u64 = 4;

/// How connections come to workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pattern {
    Herd,
    Exclusive,
    Reuseport,
    AcceptMutex,
    SharedEpoll,
    SingleWorker,
    Unclear,
}

/// Every one.
pub const PATTERNS: [Pattern; 7] = [
    Pattern::Herd,
    Pattern::Exclusive,
    Pattern::Reuseport,
    Pattern::AcceptMutex,
    Pattern::SharedEpoll,
    Pattern::SingleWorker,
    Pattern::Unclear,
];

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Pattern::Herd => "herd",
            Pattern::Exclusive => "exclusive",
            Pattern::Reuseport => "reuseport",
            Pattern::AcceptMutex => "accept mutex",
            Pattern::SharedEpoll => "shared epoll",
            Pattern::SingleWorker => "single worker",
            Pattern::Unclear => "unclear",
        })
    }
}

impl Pattern {
    /// The word of the glossary that explains it.
    pub fn word(self) -> &'static str {
        match self {
            Pattern::Herd => "thundering herd",
            Pattern::Exclusive => "exclusive wait",
            Pattern::Reuseport => "SO_REUSEPORT",
            Pattern::AcceptMutex => "accept mutex",
            Pattern::SharedEpoll => "shared epoll",
            Pattern::SingleWorker => "single worker",
            Pattern::Unclear => "unclear",
        }
    }

    /// An experiment that shows the same.
    pub fn experiment(self) -> &'static str {
        match self {
            Pattern::Herd => "prefork-epoll",
            Pattern::Exclusive => "balance",
            Pattern::Reuseport => "uniform-hash",
            Pattern::AcceptMutex => "accept-mutex",
            Pattern::SharedEpoll => "shared-level",
            Pattern::SingleWorker => "server-models",
            Pattern::Unclear => "herd",
        }
    }
}

/// A pattern and why it is that one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub pattern: Pattern,
    pub why: String,
    /// What to read and to run next.
    pub next: Vec<String>,
}

/// What it is.
pub fn pattern(seen: &Sighting) -> Finding {
    let (pattern, why) = judge(seen);
    let word = pattern.word();
    let word = if word.contains(' ') { format!("\"{word}\"") } else { word.to_owned() };
    Finding { pattern, why, next: vec![format!("herd explain {word}"), format!("herd run {}", pattern.experiment())] }
}

fn judge(seen: &Sighting) -> (Pattern, String) {
    let workers = &seen.workers;
    let at: Vec<&Worker> = workers.iter().filter(|worker| worker.looks_at_listener > 0).collect();
    let aside = workers.iter().filter(|worker| worker.looks_at_lock + worker.looks_without > 0).count();
    match workers.len() {
        0 => return (Pattern::Unclear, "no thread waited at a listener or accepted while herd looked".into()),
        1 => return (Pattern::SingleWorker, "one thread alone waits at the listener".into()),
        _ => {}
    }
    if at.is_empty() {
        let why = format!("{} threads accept, and none was seen asleep at a listener: they are busy", workers.len());
        return (Pattern::Unclear, why);
    }
    if seen.most_at_listener <= 1 && take_turns(workers) {
        return (Pattern::AcceptMutex, mutex(seen, aside));
    }
    let own: Vec<BTreeSet<u64>> = at.iter().map(|worker| worker.place.listeners.iter().copied().collect()).collect();
    let all: BTreeSet<u64> = own.iter().flatten().copied().collect();
    let disjoint = own.iter().map(BTreeSet::len).sum::<usize>() == all.len();
    if at.len() > 1 && disjoint && !all.is_empty() {
        return apart(seen, at.len(), &all);
    }
    let first = at[0].place.instance;
    if at.len() > 1 && first.is_some() && at.iter().all(|worker| worker.place.instance == first) {
        let why = format!("{} workers sleep in one epoll instance{}", at.len(), cost(seen));
        return (Pattern::SharedEpoll, why);
    }
    common(seen, &at)
}

/// Whether all but one were aside as often as at the listener, or more: one look at one
/// of them proves nothing. Who was never seen asleep does not count.
fn take_turns(workers: &[Worker]) -> bool {
    let looks = |worker: &Worker| (worker.looks_at_listener, worker.looks_at_lock + worker.looks_without);
    let seen = workers.iter().map(looks).filter(|(at, aside)| at + aside > 0);
    let (aside, others): (Vec<_>, Vec<_>) = seen.partition(|(at, aside)| *aside > 0 && aside >= at);
    !aside.is_empty() && others.len() <= 1
}

/// One at the listener, the others elsewhere.
fn mutex(seen: &Sighting, aside: usize) -> String {
    let locked = seen.workers.iter().any(|worker| worker.looks_at_lock > 0);
    let place = if locked { "wait for a lock" } else { "sleep in an epoll instance without it" };
    let other: u64 = seen.workers.iter().filter_map(|worker| worker.turns).map(|turns| turns.other).sum();
    let others = match seen.connections {
        // With clients of others it is their data as well.
        Some(count) if count > 0 && other > 0 && seen.own_connections => {
            format!(", and {} for something else, such as the lock", decimals(other as f64 / count as f64, 2))
        }
        _ => String::new(),
    };
    format!(
        "in {} looks at most one of {} workers was at the listener; {aside} of them {place} at other times{}{others}",
        seen.looks,
        seen.workers.len(),
        cost(seen)
    )
}

/// Each worker has listeners of its own.
fn apart(seen: &Sighting, workers: usize, listeners: &BTreeSet<u64>) -> (Pattern, String) {
    let of = |inode: &u64| seen.listeners.iter().find(|listener| listener.inode == *inode);
    let addresses: BTreeSet<&str> = listeners.iter().filter_map(of).map(|listener| listener.address.as_str()).collect();
    if addresses.len() < listeners.len() {
        let at = addresses.into_iter().collect::<Vec<_>>().join(", ");
        return (
            Pattern::Reuseport,
            format!("each of {workers} workers has a listener of its own at {at}{}", cost(seen)),
        );
    }
    (Pattern::Unclear, format!("{workers} workers wait at {} different addresses: they share nothing", addresses.len()))
}

/// All wait at the same listeners, each in a wait of its own.
fn common(seen: &Sighting, at: &[&Worker]) -> (Pattern, String) {
    let exclusive = at.iter().all(|worker| worker.place.exclusive == Some(true));
    let open = at.iter().any(|worker| worker.place.exclusive == Some(false));
    let how = match (exclusive, open) {
        (true, _) => "exclusively",
        (_, true) => "without being exclusive",
        _ => "in a way that cannot be seen",
    };
    let waits = format!("{} workers wait at one listener, {how} ({})", at.len(), calls(at));
    let Some(mean) = seen.per_connection() else {
        return (Pattern::Unclear, format!("{waits}, but no connection came (--connect 100 makes some)"));
    };
    if !seen.separated() {
        return unsorted(seen, at, waits, exclusive);
    }
    if !exclusive && !open {
        return unseen(seen, at, waits, mean);
    }
    match (mean >= MORE_THAN_ONE, exclusive, open) {
        (true, false, _) => (Pattern::Herd, format!("{waits}{}{}", cost(seen), woken(mean, at.len()))),
        (false, _, false) => (Pattern::Exclusive, format!("{waits}{}; {}", cost(seen), order(seen))),
        (true, true, _) => {
            (Pattern::Unclear, format!("{waits}, and yet{} (--connect 100 tells, if others are busy)", cost(seen)))
        }
        (false, _, true) => {
            let advice = "who is awake cannot be woken, and who works alone has nobody beside him: try --connect 100";
            (Pattern::Unclear, format!("{waits}, and yet{} ({advice})", cost(seen)))
        }
    }
}

/// How they wait cannot be seen (io_uring), and no call shows what a wakeup was for. Only
/// connections of our own, with nothing else in their cost, tell.
fn unseen(seen: &Sighting, at: &[&Worker], waits: String, mean: f64) -> (Pattern, String) {
    let pattern = match mean {
        _ if !seen.own_connections => Pattern::Unclear,
        one if (ALWAYS..MORE_THAN_ONE).contains(&one) => Pattern::Exclusive,
        _ if woke_for_each(seen, at) == at.len() => Pattern::Herd,
        _ => Pattern::Unclear,
    };
    let more = match pattern {
        Pattern::Exclusive => format!("; {}", order(seen)),
        Pattern::Herd => woken(mean, at.len()),
        _ => ": all their wakeups, whatever they were for".into(),
    };
    (pattern, format!("{waits}{}{more}", cost(seen)))
}

/// How many of them woke about once for each connection, or more often.
fn woke_for_each(seen: &Sighting, at: &[&Worker]) -> usize {
    let connections = seen.connections.unwrap_or(0) as f64;
    at.iter().filter(|worker| worker.wakeups as f64 >= ALWAYS * connections).count()
}

/// The counts hold data and timers as well: only who waits how can decide, and whether
/// all woke about as often.
fn unsorted(seen: &Sighting, at: &[&Worker], waits: String, exclusive: bool) -> (Pattern, String) {
    let note = "its counts hold data and timers; --connect 100, or counting by bpf, tells them apart";
    if exclusive {
        return (Pattern::Exclusive, format!("{waits}; {} ({note})", order(seen)));
    }
    if woke_for_each(seen, at) == at.len() {
        return (Pattern::Herd, format!("{waits}, and each woke at least once for a connection ({note})"));
    }
    (Pattern::Unclear, format!("{waits}, and not all woke for every connection ({note})"))
}

/// What a connection cost, as the end of a sentence.
fn cost(seen: &Sighting) -> String {
    match seen.per_connection() {
        Some(mean) if seen.separated() => format!(", {} per connection", wakeups(mean)),
        _ => String::new(),
    }
}

/// The number with its noun.
pub fn wakeups(mean: f64) -> String {
    let number = decimals(mean, 2);
    let noun = if number == "1" { "wakeup" } else { "wakeups" };
    format!("{number} {noun}")
}

fn woken(mean: f64, workers: usize) -> String {
    if mean >= ALWAYS * workers as f64 {
        return ": all of them".into();
    }
    format!(", of {workers} possible: who is awake cannot be woken")
}

/// Who gets the connections.
fn order(seen: &Sighting) -> String {
    let got = |worker: &Worker| worker.connections.unwrap_or(worker.wakeups);
    let total: u64 = seen.workers.iter().map(got).sum();
    let Some(first) = seen.workers.iter().max_by_key(|worker| got(worker)).filter(|_| total > 0) else {
        return "nobody got any".into();
    };
    let share = got(first) as f64 / total as f64;
    let percent = (share * 100.0).round();
    if share >= ALWAYS {
        return format!("the same one is first, {} got {percent} %", first.tid);
    }
    if let Some(run) = seen.longest_run.filter(|run| *run >= A_RUN) {
        return format!("the same one is first for up to {run} in a row, then another");
    }
    if share <= 1.5 / seen.workers.len() as f64 {
        return "they take turns".into();
    }
    format!("shares differ, {} got {percent} %", first.tid)
}

fn calls(at: &[&Worker]) -> String {
    let name = |worker: &&Worker| match (worker.place.waits, worker.place.exclusive) {
        (Waits::Accept, _) => "accept",
        (Waits::Poll, _) => "poll",
        (Waits::Select, _) => "select",
        (Waits::Epoll, Some(true)) => "own epoll, EPOLLEXCLUSIVE",
        (Waits::Epoll, _) => "own epoll",
        (Waits::IoUring, _) => match worker.place.request {
            Some(RingRequest::Accept) => "io_uring accept",
            Some(RingRequest::Poll) => "io_uring poll",
            None => "io_uring",
        },
        (Waits::Lock | Waits::Elsewhere, _) => "elsewhere",
    };
    at.iter().map(name).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
