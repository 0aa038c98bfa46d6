//! What handing the CPU on costs, against the number of tasks: all of them runnable, one
//! runnable at a time, and two at work beside others that run or sleep. All on one CPU.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::resource::UsageWho;

use super::figures::{Figures, Trouble, refused};
use super::pair::Table;
use super::{Study, clock, here, mode};
use crate::experiment::Settings;
use crate::sys::cpus;
use crate::sys::futex::{self, Reach};
use crate::sys::shared::SharedRows;
use crate::sys::threads::Crowd;

const SAMPLES: u32 = 5;
/// One sample has about so many hops, and every task one at least.
const HOPS: usize = 1000;
/// A sample takes no longer, and the start of all tasks.
const LIMIT: Duration = Duration::from_millis(100);
/// All samples of a pair that gets the CPU seldom.
const ALL: Duration = Duration::from_millis(500);
const STACK: usize = 64 * 1024;
/// Stack touched, kernel stack, page tables and the task itself, in KiB.
const TASK_KIB: u64 = 40;

/// What `Common::order` says, besides 0: all are to run, all are to end.
const RUN: u32 = 1;
const STOP: u32 = 2;

pub struct SwitchCost;

/// What all threads of a run share.
struct Common {
    /// The word of each: its hops, or its turn. A cache line each, as they are far apart.
    words: SharedRows<8>,
    /// How many have begun, and what they are told then.
    begun: AtomicU64,
    order: AtomicU64,
}

impl Common {
    fn new(tasks: usize) -> Result<Arc<Common>, Trouble> {
        let words = here::shared(tasks)?;
        Ok(Arc::new(Common { words, begun: AtomicU64::new(0), order: AtomicU64::new(0) }))
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        &self.words.row(index)[0]
    }

    fn stopped(&self) -> bool {
        self.order.load(Ordering::Acquire) == u64::from(STOP)
    }

    /// Says that one more is there, and sleeps until there is an order. Threads that ran
    /// at once would leave the one that makes them a small part of the CPU.
    fn begin(&self) {
        self.begun.fetch_add(1, Ordering::AcqRel);
        futex::wait_while(&self.order, 0);
    }

    fn say(&self, order: u32) {
        futex::store_and_wake(&self.order, order);
    }

    fn all_begun(&self, tasks: usize) -> Result<(), Trouble> {
        here::all_there(&self.begun, tasks as u64, "tasks have begun")
    }
}

impl Study for SwitchCost {
    fn name(&self) -> &'static str {
        "switch-cost"
    }

    fn about(&self) -> &'static str {
        "CPU time for the CPU to go from one task to the next, against the number of tasks (`workers`)"
    }

    fn modes(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("yield", "all are runnable and call sched_yield(2)"),
            ("ring", "a token goes round: one is runnable, all the others sleep on a futex"),
            ("pair-beside-runnable", "two hand a token to and fro, the others are runnable (SCHED_IDLE)"),
            ("pair-beside-blocked", "two hand a token to and fro, the others sleep"),
        ]
    }

    fn figures(&self) -> &'static [&'static str] {
        &["hop_ns", "switches_per_hop", "hops"]
    }

    fn refuse(&self, settings: &Settings) -> Option<String> {
        (settings.workers < 2).then(|| "a switch needs two tasks; choose workers = 2 or more".into())
    }

    fn run(&self, settings: &Settings, figures: &mut Figures) -> Result<(), Trouble> {
        let tasks = settings.workers as usize;
        here::room_for(tasks as u64 * TASK_KIB)?;
        here::pin_to_last()?;
        let samples = settings.study.samples_or(SAMPLES);
        match mode(self, settings) {
            "ring" => ring(tasks, samples, figures),
            "pair-beside-runnable" => pair(tasks, true, samples, figures),
            "pair-beside-blocked" => pair(tasks, false, samples, figures),
            _ => yielders(tasks, samples, figures),
        }
    }
}

/// Starts `more` threads; the calling one is a task of the study as well.
fn crowd(more: usize, figures: &mut Figures, body: impl Fn(usize) + Sync + 'static) -> Result<Crowd, Trouble> {
    let mut crowd = Crowd::new(STACK, move |index, _| body(index));
    for _ in 0..more {
        crowd.add().map_err(refused("pthread_create"))?;
        figures.made(1);
    }
    Ok(crowd)
}

/// CPU time and context switches of all threads.
fn used() -> Result<(u64, u64), Trouble> {
    Ok((clock::of_process()?.as_nanos() as u64, clock::switches(UsageWho::RUSAGE_SELF)?))
}

/// One sample: `hops` says how many there have been, `go` makes some more.
fn sample(
    figures: &mut Figures,
    hops: impl Fn() -> u64,
    mut go: impl FnMut() -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let (before, first) = (used()?, hops());
    go()?;
    let (after, done) = (used()?, hops() - first);
    figures.add("hop_ns", (after.0 - before.0) as f64 / done as f64);
    figures.add("switches_per_hop", (after.1 - before.1) as f64 / done as f64);
    figures.add("hops", done as f64);
    Ok(())
}

/// Everybody yields and counts; task 0 is this thread.
fn yielders(tasks: usize, samples: u32, figures: &mut Figures) -> Result<(), Trouble> {
    let common = Common::new(tasks)?;
    let theirs = Arc::clone(&common);
    let mut crowd = crowd(tasks - 1, figures, move |index| {
        theirs.begin();
        let word = theirs.word(index + 1);
        while !theirs.stopped() {
            word.fetch_add(1, Ordering::Relaxed);
            let _ = nix::sched::sched_yield();
        }
    })?;
    common.all_begun(tasks - 1)?;
    common.say(RUN);
    let hops = || -> u64 { (0..tasks).map(|index| common.word(index).load(Ordering::Relaxed)).sum() };
    // Until each has had its turn, not all of them are runnable.
    let began = Instant::now();
    while (1..tasks).any(|index| common.word(index).load(Ordering::Relaxed) == 0) {
        if began.elapsed() > here::STARTS {
            return Err(Trouble::Broken("some tasks never got the CPU".into()));
        }
        let _ = nix::sched::sched_yield();
    }
    for _ in 0..samples {
        let began = Instant::now();
        sample(figures, hops, || {
            let first = hops();
            // Not by turns of this task: one that has slept gets several in a row.
            while hops() - first < HOPS.max(tasks) as u64 && began.elapsed() < LIMIT {
                common.word(0).fetch_add(1, Ordering::Relaxed);
                let _ = nix::sched::sched_yield();
            }
            Ok(())
        })?;
    }
    common.say(STOP);
    figures.reaped(crowd.join() as u64);
    Ok(())
}

/// Each has a word that counts its turns; the token is a turn more.
fn ring(tasks: usize, samples: u32, figures: &mut Figures) -> Result<(), Trouble> {
    let common = Common::new(tasks)?;
    let theirs = Arc::clone(&common);
    let turn = move |common: &Common, index: usize, seen: &mut u64| -> bool {
        futex::wait_while(common.word(index), *seen as u32);
        *seen += 1;
        !common.stopped()
    };
    let pass = |common: &Common, from: usize| {
        let next = common.word((from + 1) % common.words.len());
        next.fetch_add(1, Ordering::AcqRel);
        let _ = futex::wake(next, 1, Reach::Shared);
    };
    let mut crowd = crowd(tasks - 1, figures, move |index| {
        theirs.begun.fetch_add(1, Ordering::AcqRel);
        let (index, mut seen) = (index + 1, 0);
        while turn(&theirs, index, &mut seen) {
            pass(&theirs, index);
        }
        // The token that says stop goes round once more.
        if index + 1 < theirs.words.len() {
            pass(&theirs, index);
        }
    })?;
    common.all_begun(tasks - 1)?;
    let mut seen = 0;
    let mut lap = || {
        pass(&common, 0);
        turn(&common, 0, &mut seen);
    };
    lap();
    let hops = || -> u64 { (0..tasks).map(|index| common.word(index).load(Ordering::Relaxed)).sum() };
    let laps = HOPS.div_ceil(tasks);
    for _ in 0..samples {
        let began = Instant::now();
        sample(figures, hops, || {
            for round in 0..laps {
                if round > 0 && began.elapsed() > LIMIT {
                    break;
                }
                lap();
            }
            Ok(())
        })?;
    }
    common.say(STOP);
    pass(&common, 0);
    figures.reaped(crowd.join() as u64);
    Ok(())
}

/// This thread and the first of the others are at work, the rest are there.
fn pair(tasks: usize, runnable: bool, samples: u32, figures: &mut Figures) -> Result<(), Trouble> {
    let common = Common::new(1)?;
    let table = Table::new("futex")?;
    let (theirs, of_two) = (Arc::clone(&common), Arc::clone(&table));
    let mut crowd = crowd(tasks - 1, figures, move |index| {
        if index == 0 {
            theirs.begun.fetch_add(1, Ordering::AcqRel);
            // What went wrong leaves the other side waiting, until the cell's limit.
            let _ = of_two.answer();
            return;
        }
        // Asked for before the gate: beside thousands that are not idle yet, the thread
        // that opens it would hardly get the CPU.
        if runnable && cpus::set_policy(nix::libc::SCHED_IDLE, 0).is_err() {
            return;
        }
        theirs.begin();
        while !theirs.stopped() {
            std::hint::spin_loop();
        }
    })?;
    common.all_begun(tasks - 1)?;
    if runnable {
        common.say(RUN);
    }
    table.measure(10, LIMIT, false, &mut Figures::default())?;
    let (began, mut taken) = (Instant::now(), 0);
    for _ in 0..samples {
        if began.elapsed() < ALL {
            taken += u32::from(table.measure(HOPS as u64 / 2, LIMIT, false, figures)?);
        }
    }
    if taken == 0 {
        let why = format!("beside {} runnable tasks the two got the CPU too seldom", tasks - 2);
        SwitchCost.figures().iter().for_each(|figure| figures.omit(figure, &why));
    }
    common.say(STOP);
    table.stop()?;
    figures.reaped(crowd.join() as u64);
    Ok(())
}
