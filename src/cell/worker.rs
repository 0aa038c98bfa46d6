//! The loop of one worker, the same for a process and for a thread.
//!
//! Between `waiting` and the record nothing happens but the wait and the claim:
//! no allocation, lock, print or formatting. The loop counts, so that no wait
//! strategy can forget to. It never ends by itself; the coordinator kills it.

use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_gettime};

use super::contract::{Door, SetupError, SharedWait, Sleeper, Source, Woken};
use super::ledger::Slot;
use crate::experiment::settings::{Accept, Busy, WorkerSettings};
use crate::wait::Wait;

/// CLOCK_MONOTONIC in nanoseconds, comparable between processes of one machine.
pub fn now_ns() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("CLOCK_MONOTONIC always exists");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

/// Registers when its turn comes, then waits and claims until it is killed.
/// Returns only when setting up failed; the reason is in the ledger.
pub fn run(
    slot: Slot<'_>,
    index: u32,
    settings: &WorkerSettings,
    wait: &dyn Wait,
    shared: &SharedWait,
    door: &dyn Door,
) {
    slot.hello(std::process::id(), nix::unistd::gettid().as_raw() as u32);
    slot.rest(0);
    let (mut sources, mut sleeper) = match set_up(index, settings, wait, shared, door) {
        Ok(ready) => ready,
        Err(error) => return slot.gone(&error),
    };
    let objects: Vec<u64> = sources.iter().map(|source| source.identity()).collect();
    slot.registered(&sleeper.asleep(&sources), &objects);
    if let Err(error) = serve(slot, settings, &mut sources, sleeper.as_mut()) {
        slot.gone(&error);
    }
}

type Ready = (Vec<Box<dyn Source>>, Box<dyn Sleeper>);

fn set_up(
    index: u32,
    settings: &WorkerSettings,
    wait: &dyn Wait,
    shared: &SharedWait,
    door: &dyn Door,
) -> Result<Ready, SetupError> {
    let sources = door.sources(index)?;
    let sleeper = wait.open(settings, shared, &sources)?;
    Ok((sources, sleeper))
}

fn serve(
    slot: Slot<'_>,
    settings: &WorkerSettings,
    sources: &mut [Box<dyn Source>],
    sleeper: &mut dyn Sleeper,
) -> Result<(), SetupError> {
    let mut ready = Vec::with_capacity(sources.len().max(settings.maxevents as usize));
    let mut total = 0;
    loop {
        ready.clear();
        slot.waiting();
        let woken = sleeper.wait(sources, &mut ready);
        let t_return = now_ns();
        slot.returned(t_return);
        let claims = match woken {
            Woken::Claimed(claim) => {
                slot.claimed(claim, t_return, t_return);
                1 + brought_along(slot, sources, sleeper, t_return)
            }
            Woken::Ready => {
                hold(slot, settings.before_claim_us, settings.busy);
                ready.iter().map(|i| take(slot, sources[*i].as_mut(), settings.accept, t_return)).sum()
            }
            // Neither a claim nor a return for nothing; the work is another's.
            Woken::Passed => continue,
            Woken::Failed(errno) => {
                slot.failed(errno);
                0
            }
        };
        if claims == 0 {
            slot.empty_return();
        } else {
            hold(slot, settings.after_claim_us, settings.busy);
        }
        total += claims;
        sleeper.after(sources, total)?;
    }
}

/// Counts what else came with a return that was a claim.
fn brought_along(slot: Slot<'_>, sources: &mut [Box<dyn Source>], sleeper: &mut dyn Sleeper, t_return: u64) -> u64 {
    let mut more = 0;
    while let Some(claim) = sleeper.more(sources) {
        slot.claimed(claim, t_return, now_ns());
        more += 1;
    }
    more
}

/// Takes one piece of work, or all there is. Returns how many.
fn take(slot: Slot<'_>, source: &mut dyn Source, accept: Accept, t_return: u64) -> u64 {
    let mut taken = 0;
    loop {
        match source.claim() {
            Ok(claim) => {
                slot.claimed(claim, t_return, now_ns());
                taken += 1;
            }
            Err(errno) => {
                slot.failed(errno);
                return taken;
            }
        }
        if accept == Accept::One {
            return taken;
        }
    }
}

/// Keeps the worker busy: this is the thing under test, not a wait for anything.
fn hold(slot: Slot<'_>, us: u64, busy: Busy) {
    if us == 0 {
        return;
    }
    match busy {
        Busy::Spin => {
            let end = now_ns() + us * 1000;
            while now_ns() < end {
                std::hint::spin_loop();
            }
        }
        Busy::Sleep => {
            // Measured, not assumed to be one: a timer that fires before the switch
            // leaves none, and a signal or a stop makes it two.
            let before = voluntary_switches();
            std::thread::sleep(std::time::Duration::from_micros(us));
            slot.own_sleeps_add(voluntary_switches() - before);
        }
    }
}

/// How often this thread has given up the CPU; the same number as
/// voluntary_ctxt_switches in its status file (getrusage(2), RUSAGE_THREAD).
fn voluntary_switches() -> u64 {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).expect("getrusage cannot fail for ourselves");
    usage.voluntary_context_switches() as u64
}
