//! What the counts of the real kernel can be trusted for: the same in every
//! repetition beside load, the same from every source, the same from the first
//! event to the last. Nothing here depends on time. A source that cannot be had
//! is a SKIP with the reason.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use herd::observation::End;
use herd::results::{CellResult, Results};
use herd::sys::bpf::BpfCounter;
use points::{file, find, herd, read, skipped};

mod points;

const HEAD: &str = "title = \"t\"\n[defaults]\nlimit_ms = 20000\nworkers = 8\n";
const ROWS: &str = "[[wait]]\nname = \"accept\"\nkind = \"block\"\n\
                    [[wait]]\nname = \"exclusive\"\nkind = \"epoll\"\nexclusive = true\nneeds = \"epoll_exclusive\"\n\
                    [[wait]]\nname = \"shared edge\"\nkind = \"epoll\"\ninstance = \"shared\"\ntrigger = \"edge\"\n\
                    [[wait]]\nname = \"epoll\"\nkind = \"epoll\"\n\
                    [[expect]]\nwait = [\"accept\", \"exclusive\", \"shared edge\"]\nwakeups_per_event = 1\n\
                    [[expect]]\nwait = \"epoll\"\nwakeups_per_event = { per_worker = 1, slack = 1 }\n";

/// How long a state may take to come on a starved machine.
const LIMIT: Duration = Duration::from_secs(20);

#[track_caller]
fn run(experiment: &str, args: &[&str]) -> Results {
    let said = herd(&[&["run", experiment, "--format", "json"], args].concat());
    Results::parse("stdout", &said.out).unwrap_or_else(|e| panic!("{e}\n{said:#?}"))
}

/// The cells that were measured. On a machine shared with other users of BPF, or
/// much too slow, a cell may be invalid, and then it says so instead of counting
/// wrongly; that some are measured is asserted by the callers.
fn measured(results: &Results) -> Vec<&CellResult> {
    let done = |cell: &&CellResult| matches!(&cell.observation, Some(seen) if seen.end == End::Complete);
    for cell in results.cells.iter().filter(|cell| !done(cell)) {
        skipped(&cell.id, &cell.reason);
    }
    results.cells.iter().filter(done).collect()
}

/// Four threads that never sleep, on two CPUs or however many there are.
fn beside_spinners<T>(body: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let found = body();
        over.store(true, Ordering::Relaxed);
        found
    })
}

#[test]
fn counts_are_identical_in_every_repetition_beside_spinners() {
    let experiment = file("spinners", &format!("{HEAD}events = 11\n{ROWS}"));
    let results = beside_spinners(|| run(&experiment, &["--repeat", "5"]));
    let cells = measured(&results);
    for row in ["accept", "exclusive", "shared edge", "epoll"] {
        let mine: Vec<&&CellResult> = cells.iter().filter(|cell| cell.row == row).collect();
        assert!(!mine.is_empty(), "{row} was never measured");
        for cell in mine {
            let seen = cell.observation.as_ref().unwrap();
            let per_event = if row == "epoll" { 8 } else { 1 };
            // /proc cannot tell a sleep on the socket's own lock from a wait.
            let exact = cell.count_source != "proc";
            let same = seen.wakeups_per_round.keys().all(|count| *count == per_event);
            assert!(same || !exact, "{}: {:?}", cell.id, seen.wakeups_per_round);
            assert!(seen.wakeups_per_round.keys().all(|count| *count >= per_event), "{}: {seen:?}", cell.id);
        }
    }
}

/// A timer may wake a worker unseen by tracepoints, so such a barrier looks at
/// /proc; one in 1,500 ended before the worker slept again.
#[test]
fn a_round_ends_only_after_the_sleep_that_follows_a_hold() {
    let rows = "[[wait]]\nname = \"late\"\nkind = \"epoll\"\nexclusive = true\nneeds = \"epoll_exclusive\"\n\
                before_claim_us = 3000\nafter_claim_us = 500\nbusy = \"sleep\"\n\
                [[expect]]\nwait = \"late\"\nwakeups_per_event = 1\n";
    let experiment = file("holds", &format!("{HEAD}events = 400\n{rows}"));
    for cell in measured(&run(&experiment, &["--set", "workers=2"])) {
        let seen = cell.observation.as_ref().unwrap();
        assert_eq!(seen.wakeups_per_round, [(1, 400)].into(), "{}", cell.id);
        assert_eq!(seen.returns_per_round, [(1, 400)].into(), "{}", cell.id);
    }
}

#[test]
fn wakeups_are_the_same_in_the_first_middle_and_last_third() {
    let experiment = file("thirds", &format!("{HEAD}events = 33\n{ROWS}"));
    let results = run(&experiment, &["--trace"]);
    let mut seen_any = false;
    for cell in measured(&results).iter().filter(|cell| cell.count_source != "proc") {
        let seen = cell.observation.as_ref().unwrap();
        let sums: Vec<u64> = seen.rounds.chunks(11).map(|third| third.iter().map(|r| r.wakeups).sum()).collect();
        assert_eq!(sums.len(), 3);
        assert!(sums.iter().all(|sum| *sum == sums[0]), "{}: {sums:?}", cell.id);
        seen_any = true;
    }
    if !seen_any {
        skipped("thirds", "no source here tells D-sleeps apart");
    }
}

/// A trace that loses events counts too little and does not say so. Ours is held
/// against the context switches of each worker, and is invalid when they differ.
#[test]
fn a_burst_for_many_workers_is_counted_in_full_or_marked_invalid() {
    let text = format!("{HEAD}events = 200\nburst = 100\n[[wait]]\nname = \"epoll\"\nkind = \"epoll\"\n");
    let experiment = file("burst", &text);
    let results = run(&experiment, &["--set", "workers=64", "--count-with", "bpf"]);
    let cell = &results.cells[0];
    let seen = cell.observation.as_ref().unwrap();
    match &seen.end {
        End::Complete => {
            let rounds: u64 = seen.wakeups_per_round.iter().map(|(count, rounds)| count * rounds).sum();
            assert_eq!(rounds, cell.workers.iter().map(|w| w.wakeups).sum::<u64>());
            assert!(rounds >= 2, "at least one worker woke in each burst");
            assert_eq!((seen.fired, seen.stranded), (200, 0));
        }
        End::Invalid { reason, .. } => {
            let said = ["counted", "skipped by the kernel", "cannot count with bpf", "after 20000 ms"];
            assert!(said.iter().any(|part| reason.contains(part)), "{reason}");
            skipped("burst", reason);
        }
        end => panic!("{end:?}"),
    }
}

#[test]
fn all_sources_agree_or_say_why_they_cannot() {
    let experiment = file("sources", &format!("{HEAD}events = 23\n{ROWS}"));
    let said = herd(&["check", &experiment, "--cross-check"]);
    let tests = read(&said.out);
    for row in ["accept", "exclusive", "shared-edge", "epoll"] {
        let point = find(&tests, &format!("{row}/sources_agree"));
        if point.passed() {
            let per_event = if row == "epoll" { 8 } else { 1 };
            let count = 23 * per_event;
            point.says(&format!("bpf {count}, ")); // and perf, or /proc, or both
        } else {
            let why = point.said.iter().find(|line| line.starts_with("invalid:")).unwrap_or(&point.directive);
            assert!(why.contains("SKIP") || why.contains("invalid"), "the sources disagree: {point:#?}");
            skipped(row, why);
        }
    }
}

/// "Waking" is not "wakeup": a wake of a task that did not sleep yet has no queue
/// insertion. When everybody sleeps before each event the two are equal, and equal
/// to the sleeps; when events come back to back there may be more of the former.
#[test]
fn wakings_wakeups_and_sleeps_are_equal_when_everybody_is_quiet() {
    let mut why = String::new();
    // Another user of BPF on this machine may make the kernel skip our programs.
    for _ in 0..5 {
        match watched(8, 101) {
            Ok(()) => return,
            Err(refused) => why = refused,
        }
    }
    skipped("wakings and wakeups", &why);
}

/// `workers` threads, each asleep in read(2) on a pipe of its own.
fn watched(workers: usize, events: u64) -> Result<(), String> {
    let mut counter = BpfCounter::open(workers).map_err(|e| e.to_string())?;
    let pipes: Vec<(OwnedFd, OwnedFd)> = (0..workers).map(|_| nix::unistd::pipe().unwrap()).collect();
    let (readers, writers): (Vec<OwnedFd>, Vec<OwnedFd>) = pipes.into_iter().unzip();
    let tids: Vec<AtomicU32> = (0..workers).map(|_| AtomicU32::new(0)).collect();
    let taken = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for (reader, tid) in readers.into_iter().zip(&tids) {
            let taken = &taken;
            scope.spawn(move || {
                tid.store(nix::unistd::gettid().as_raw() as u32, Ordering::Release);
                let mut pipe = std::fs::File::from(reader);
                let mut byte = [0];
                while pipe.read(&mut byte).unwrap() == 1 {
                    taken.fetch_add(1, Ordering::AcqRel);
                }
            });
        }
        let mut writers: Vec<std::fs::File> = writers.into_iter().map(Into::into).collect();
        until("a thread has not started", || tids.iter().all(|tid| tid.load(Ordering::Acquire) != 0));
        for (slot, tid) in tids.iter().enumerate() {
            let tid = tid.load(Ordering::Acquire);
            until("a thread does not sleep in read", || {
                std::fs::read_to_string(format!("/proc/self/task/{tid}/syscall"))
                    .is_ok_and(|text| text.starts_with("0 "))
            });
            counter.watch(slot, tid).map_err(|e| e.to_string())?;
        }
        for event in 0..events {
            writers[event as usize % workers].write_all(b"x").unwrap();
            until("an event was not taken", || taken.load(Ordering::Acquire) == event + 1);
            if !quiet(&counter) {
                return Err(format!("{} runs of the BPF programs were skipped", counter.missed().unwrap_or(0)));
            }
        }
        let facts: Vec<_> = (0..workers).map(|slot| counter.facts(slot)).collect();
        let sum = |fact: &dyn Fn(&herd::sys::bpf::BpfFacts) -> u64| facts.iter().map(fact).sum::<u64>();
        let quiet_sums = (sum(&|f| f.wakings), sum(&|f| f.wakeups), sum(&|f| f.sleeps));
        if counter.missed().is_ok_and(|missed| missed > 0) {
            return Err("the kernel skipped BPF programs".into());
        }
        assert_eq!(quiet_sums, (events, events, events), "wakings, wakeups, sleeps");
        // Back to back: nobody waits for anybody to sleep again.
        for _ in 0..100 {
            writers.iter_mut().for_each(|writer| writer.write_all(b"x").unwrap());
        }
        let all = events + 100 * workers as u64;
        until("events were not taken", || taken.load(Ordering::Acquire) == all);
        if !quiet(&counter) || counter.missed().is_ok_and(|missed| missed > 0) {
            return Err("the kernel skipped BPF programs".into());
        }
        let facts: Vec<_> = (0..workers).map(|slot| counter.facts(slot)).collect();
        for f in &facts {
            assert!(f.wakings >= f.wakeups, "{f:?}");
        }
        // The pipes close here, and the threads end.
        drop(writers);
        Ok(())
    })
}

fn quiet(counter: &BpfCounter) -> bool {
    let deadline = Instant::now() + LIMIT;
    while counter.awake() != 0 {
        if Instant::now() > deadline || counter.missed().is_ok_and(|missed| missed > 0) {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

#[track_caller]
fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} within {LIMIT:?}");
        std::thread::yield_now();
    }
}
