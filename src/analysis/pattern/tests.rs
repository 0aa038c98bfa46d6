//! Sightings of servers, and which pattern each is.

use super::*;
use crate::sighting::{Ending, Listener, Place, Turns};

/// A worker at listener 7, which slept in `waits` and got `took` of the connections.
fn worker(tid: u32, waits: Waits, exclusive: Option<bool>, took: u64, hidden: u64) -> Worker {
    let instance = (waits == Waits::Epoll).then_some(tid);
    Worker {
        pid: tid,
        tid,
        name: "server".into(),
        place: Place { waits, call: "a call".into(), listeners: vec![7], exclusive, instance, request: None },
        looks_at_listener: 5,
        looks_at_lock: 0,
        looks_without: 0,
        came: false,
        went: false,
        wakeups: took + hidden,
        turns: Some(Turns { took, refused: 0, hidden, other: 0 }),
        connections: Some(took),
        empties: Some(0),
        cpu_ns: 0,
    }
}

fn seen(workers: Vec<Worker>) -> Sighting {
    let inodes: BTreeSet<u64> = workers.iter().flat_map(|worker| worker.place.listeners.iter().copied()).collect();
    Sighting {
        herd: "0",
        environment: Default::default(),
        parent: 1,
        name: "server".into(),
        source: "bpf",
        sources_refused: Vec::new(),
        own_connections: false,
        elapsed_ns: 1,
        ending: Ending::Done,
        listeners: inodes.into_iter().map(|inode| Listener { inode, address: "a:80".into(), processes: 1 }).collect(),
        connections: Some(workers.iter().filter_map(|worker| worker.connections).sum()),
        most_at_listener: workers.len() as u64,
        workers,
        other_threads: 0,
        other_wakeups: 0,
        looks: 5,
        connections_from: "accept",
        wakeups_of_connections: Default::default(),
        longest_run: None,
        wakeups_between: 0,
        warnings: Vec::new(),
    }
}

#[track_caller]
fn check(seen: &Sighting, want: Pattern, parts: &[&str]) {
    let found = pattern(seen);
    assert_eq!(found.pattern, want, "{}", found.why);
    for part in parts {
        assert!(found.why.contains(part), "no {part:?} in {}", found.why);
    }
}

/// Four of them; the first `n` took the connections in equal parts.
fn four(waits: Waits, exclusive: Option<bool>, n: u64, hidden: u64) -> Sighting {
    let took = |index: u64| if index < n { 100 / n } else { 0 };
    seen((0..4).map(|index| worker(10 + index as u32, waits, exclusive, took(index), hidden)).collect())
}

#[test]
fn a_herd_needs_both_waits_that_wake_all_and_wakeups() {
    check(&four(Waits::Select, Some(false), 4, 75), Pattern::Herd, &["select", ", 4 wakeups", "all of them"]);
    check(&four(Waits::Epoll, Some(false), 4, 25), Pattern::Herd, &["own epoll", ", 2 wakeups", "of 4 possible"]);
    check(&four(Waits::Poll, Some(false), 4, 0), Pattern::Unclear, &["without being exclusive", "--connect 100"]);
    check(&four(Waits::Accept, Some(true), 4, 75), Pattern::Unclear, &["exclusively", ", 4 wakeups"]);
}

#[test]
fn exclusive_says_who_is_first() {
    check(&four(Waits::Accept, Some(true), 4, 0), Pattern::Exclusive, &["accept", "take turns"]);
    let first = four(Waits::Epoll, Some(true), 1, 0);
    check(&first, Pattern::Exclusive, &["EPOLLEXCLUSIVE", "the same one is first, 10 got 100 %"]);
    let mut uneven = four(Waits::Epoll, Some(true), 2, 0);
    uneven.workers[0].connections = Some(80);
    check(&uneven, Pattern::Exclusive, &["shares differ, 10 got 62 %"]);
    // As nginx: to the end of the queue after every 16th.
    let mut turns = four(Waits::Epoll, Some(true), 4, 0);
    turns.longest_run = Some(16);
    check(&turns, Pattern::Exclusive, &["for up to 16 in a row"]);
}

#[test]
fn own_listeners_are_a_group_only_at_one_address() {
    let mut apart = four(Waits::Epoll, Some(false), 4, 0);
    for (index, worker) in apart.workers.iter_mut().enumerate() {
        worker.place.listeners = vec![20 + index as u64];
    }
    let apart = seen(apart.workers);
    check(&apart, Pattern::Reuseport, &["each of 4 workers", "a:80"]);
    let mut ports = apart.clone();
    for (index, listener) in ports.listeners.iter_mut().enumerate() {
        listener.address = format!("a:{index}");
    }
    check(&ports, Pattern::Unclear, &["different addresses"]);
}

#[test]
fn one_instance_is_shared_and_one_at_a_time_is_a_mutex() {
    let mut shared = four(Waits::Epoll, Some(false), 4, 25);
    shared.workers.iter_mut().for_each(|worker| worker.place.instance = Some(1));
    check(&shared, Pattern::SharedEpoll, &["one epoll instance, 2 wakeups"]);
    let mut mutex = four(Waits::Accept, Some(true), 4, 0);
    mutex.most_at_listener = 1;
    check(&mutex, Pattern::Exclusive, &[]);
    // One look at one of them, or few of many, may be anything.
    mutex.workers[1].looks_without = 1;
    check(&mutex, Pattern::Exclusive, &[]);
    mutex.workers[1..].iter_mut().for_each(|worker| worker.looks_without = 1);
    check(&mutex, Pattern::Exclusive, &[]);
    mutex.workers[1..].iter_mut().for_each(|worker| worker.looks_without = 5);
    check(&mutex, Pattern::AcceptMutex, &["at most one of 4", "an epoll instance without it"]);
    mutex.workers[1].looks_at_lock = 3;
    check(&mutex, Pattern::AcceptMutex, &["3 of them wait for a lock"]);
    // One was never seen asleep.
    (mutex.workers[2].looks_at_listener, mutex.workers[2].looks_without) = (0, 0);
    check(&mutex, Pattern::AcceptMutex, &["2 of them wait for a lock"]);
    mutex.own_connections = true;
    mutex.workers[1].turns = Some(Turns { took: 25, other: 100, ..Turns::default() });
    check(&mutex, Pattern::AcceptMutex, &["1 wakeup per connection, and 1 for something else"]);
}

#[test]
fn too_little_is_unclear() {
    check(&seen(Vec::new()), Pattern::Unclear, &["no thread"]);
    check(&seen(vec![worker(1, Waits::Accept, Some(true), 9, 0)]), Pattern::SingleWorker, &[]);
    let mut idle = four(Waits::Select, Some(false), 4, 0);
    idle.connections = Some(0);
    check(&idle, Pattern::Unclear, &["no connection came"]);
    let mut busy = four(Waits::Accept, Some(true), 4, 0);
    busy.workers.iter_mut().for_each(|worker| worker.looks_at_listener = 0);
    check(&busy, Pattern::Unclear, &["none was seen asleep"]);
}

#[test]
fn counts_with_data_in_them_decide_nothing_alone() {
    let mut mixed = four(Waits::Accept, Some(true), 4, 900);
    mixed.workers.iter_mut().for_each(|worker| worker.turns = None);
    check(&mixed, Pattern::Exclusive, &["hold data and timers"]);
    let mut mixed = four(Waits::Select, Some(false), 4, 75);
    mixed.workers.iter_mut().for_each(|worker| worker.turns = None);
    check(&mixed, Pattern::Herd, &["each woke at least once"]);
    mixed.workers[3].wakeups = 20;
    check(&mixed, Pattern::Unclear, &["not all woke"]);
    mixed.own_connections = true;
    check(&mixed, Pattern::Herd, &["of 4 possible"]);
}

#[test]
fn waits_that_cannot_be_seen_need_our_own_connections() {
    let mut rings = four(Waits::IoUring, None, 4, 0);
    check(&rings, Pattern::Unclear, &["io_uring", "all their wakeups"]);
    // As attach gives them: neither sorted nor with connections.
    for worker in &mut rings.workers {
        (worker.turns, worker.connections, worker.empties) = (None, None, None);
    }
    rings.connections = Some(100);
    check(&rings, Pattern::Unclear, &["hold data and timers"]);
    rings.own_connections = true;
    check(&rings, Pattern::Exclusive, &["cannot be seen", "1 wakeup per connection", "take turns"]);
    rings.workers.iter_mut().for_each(|worker| worker.wakeups = 100);
    check(&rings, Pattern::Herd, &["4 wakeups per connection: all of them"]);
    rings.workers[0].wakeups = 20;
    check(&rings, Pattern::Unclear, &["3.2 wakeups per connection"]);
    rings.workers.iter_mut().for_each(|worker| worker.wakeups = 0);
    check(&rings, Pattern::Unclear, &["0 wakeups per connection"]);
}

#[test]
fn every_pattern_leads_to_a_word_and_an_experiment() {
    for found in PATTERNS {
        assert!(crate::words::find(found.word()).is_some(), "{found}");
        assert!(crate::experiment::embedded::text(found.experiment()).is_some(), "{found}");
        assert!(crate::words::find("pattern").unwrap().see.iter().any(|word| word == found.word()), "{found}");
    }
}
