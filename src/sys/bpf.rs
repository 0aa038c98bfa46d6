//! Counts the sleeps of watched threads and says how many are awake, or what they
//! were good for, with BPF programs on tracepoints. No clang, BTF or libbpf.
//!
//! It must never change what other tools see (the programs return 1), outlive
//! its descriptors (nothing is pinned), mount anything, or guess: what it
//! cannot prove exact it refuses with the reason. Needs Linux 5.5.

use std::fs;
use std::ops::Deref;
use std::sync::OnceLock;
use std::sync::atomic::{Ordering, fence};

pub use super::bpf_error::BpfError;
use super::bpf_loaded::Loaded;
use super::bpf_programs as programs;
use super::tracepoint::Tracepoint;

/// `/proc/self/ns/pid` of the initial PID namespace: PROC_PID_INIT_INO, a
/// constant of the kernel since 3.8.
const INITIAL_PID_NS: &str = "pid:[4026531836]";

/// What happened to one watched thread since `watch`. Times are
/// CLOCK_MONOTONIC, 0 for never, and always those of the last occurrence.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BpfFacts {
    /// Switch-outs in state S.
    pub sleeps: u64,
    /// Switch-outs in any other sleeping state: D, stopped, dead.
    pub d_sleeps: u64,
    /// Switch-outs while runnable. Before Linux 5.18 also a sleep whose wake
    /// came before the switch was over: the tracepoint read the state too late
    /// (fa2c3254d7cf). Such a sleep cannot start from a quiet point.
    pub preempted: u64,
    pub wakings: u64,
    pub wakeups: u64,
    pub t_waking_ns: u64,
    pub t_wakeup_ns: u64,
    pub t_switch_in_ns: u64,
    pub t_switch_out_ns: u64,
    /// The CPU that woke it.
    pub cpu_waking: u32,
    /// The CPU that it ran on.
    pub cpu_in: u32,
    /// The thread that was current when it was woken; 0 is the idle task.
    pub waker: u32,
}

/// What a server's thread, not one of ours, did with its wakeups since `watch`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BpfTurns {
    /// Calls of accept(2) that gave a connection, and that said EAGAIN.
    pub accepts: u64,
    pub empties: u64,
    /// Sleeps before which it had got a connection since the last sleep.
    pub took: u64,
    /// Sleeps before which it had only been told EAGAIN by accept.
    pub refused: u64,
    /// Sleeps before which no call had ended: woken, and slept on inside a call in which
    /// one waits for connections.
    pub hidden: u64,
    /// The same in the call that it is in now, whichever that is.
    pub within: u64,
}

/// Loaded and attached programs and the memory they write.
///
/// Open it after the workers were forked: a child inherits the descriptors,
/// and the programs run as long as anybody holds one.
pub struct BpfCounter {
    slots: usize,
    loaded: Held,
    /// Runs that were skipped before this one was opened; 0 where it is not told.
    skipped: u64,
}

/// Ours alone, or kept for one counter after another.
enum Held {
    Own(Loaded),
    Kept(&'static Loaded),
}

impl Deref for Held {
    type Target = Loaded;

    fn deref(&self) -> &Loaded {
        match self {
            Held::Own(loaded) => loaded,
            Held::Kept(loaded) => loaded,
        }
    }
}

/// What [`keep`] has loaded.
static KEPT: OnceLock<Loaded> = OnceLock::new();

/// Loads what a counter for workers needs, and keeps it until this process and its
/// children end: from now on such a counter of up to so many slots is opened by clearing
/// it, if that can be done. For a machine where nothing else runs, one counter at a time: to load and to
/// attach takes an emulated CPU longer than many a cell.
///
/// # Errors
/// As of [`BpfCounter::open`]; then each counter loads its own, or fails by itself.
pub fn keep(slots: usize) -> Result<(), BpfError> {
    let loaded = for_workers(slots)?;
    let _ = KEPT.set(loaded);
    Ok(())
}

/// All before anything is made: an absent tracefs or a foreign format is the usual
/// failure.
pub(super) fn for_workers(slots: usize) -> Result<Loaded, BpfError> {
    refuse_pid_namespace()?;
    let waking = Tracepoint::sched("sched_waking")?;
    let wakeup = Tracepoint::sched("sched_wakeup")?;
    let switch = Tracepoint::sched("sched_switch")?;
    Loaded::load(slots, |maps| {
        Ok(vec![
            (&waking, programs::waking(&waking, maps)?),
            (&wakeup, programs::wakeup(&wakeup, maps)?),
            (&switch, programs::switch(&switch, maps, false)?),
        ])
    })
}

impl BpfCounter {
    /// For the lab's workers: sleeps, and who is awake.
    pub fn open(slots: usize) -> Result<BpfCounter, BpfError> {
        let kept = KEPT.get().filter(|kept| kept.slots() >= slots && kept.clear().is_ok());
        let (loaded, skipped) = match kept {
            Some(kept) => (Held::Kept(kept), kept.missed().unwrap_or(0)),
            None => (Held::Own(for_workers(slots)?), 0),
        };
        Ok(BpfCounter { slots, loaded, skipped })
    }

    /// For a server that was there before us: sleeps, and the turns between them.
    /// Its threads may be awake when they are watched, so that `awake` and all about
    /// wakes say nothing; sleeps are right, since switch-outs need no beginning.
    pub fn open_for_server(slots: usize) -> Result<BpfCounter, BpfError> {
        refuse_pid_namespace()?;
        let switch = Tracepoint::sched("sched_switch")?;
        let call = Tracepoint::system_call()?;
        let loaded = Loaded::load(slots, |maps| {
            Ok(vec![(&switch, programs::switch(&switch, maps, true)?), (&call, programs::call(&call, maps)?)])
        })?;
        Ok(BpfCounter { slots, loaded: Held::Own(loaded), skipped: 0 })
    }

    /// Starts watching thread `tid`, which sleeps and is not being woken: it
    /// counts as asleep from here. A slot is used once.
    ///
    /// Watch all threads before the first event. This call keeps BPF programs
    /// off its CPU for a moment (bpf_disable_instrumentation), so a wake of
    /// another watched thread could be lost meanwhile.
    pub fn watch(&mut self, slot: usize, tid: u32) -> Result<(), BpfError> {
        if slot >= self.slots {
            return Err(BpfError::NoSuchSlot(slot, self.slots));
        }
        self.loaded.watch(slot, tid)
    }

    /// How many watched threads are awake, wakes on their way included. 0 is
    /// the proof that all sleep. A number above the threads watched means that
    /// an event was lost: it never returns to 0, and the counts are void.
    pub fn awake(&self) -> u64 {
        let total = self.loaded.memory.u64(programs::TOTAL_INDEX, programs::TOTAL).load(Ordering::Relaxed);
        // Relaxed loads are all that read-only memory allows; the fence keeps
        // later reads of facts behind this one.
        fence(Ordering::Acquire);
        if total != 0 {
            return total;
        }
        // A wake that the kernel hid from `waking` leaves the total one too low
        // for good, so that 0 would mean one awake. The flags tell.
        let awake = |slot: &usize| self.loaded.memory.u64(slot + 1, programs::FLAG).load(Ordering::Relaxed) != 0;
        let flagged = (0..self.slots).filter(awake).count() as u64;
        fence(Ordering::Acquire);
        flagged
    }

    /// The facts of one slot, one load each: a consistent set only while its
    /// thread sleeps.
    pub fn facts(&self, slot: usize) -> BpfFacts {
        assert!(slot < self.slots, "slot index checked in plan");
        let long = |offset| self.loaded.memory.u64(slot + 1, offset).load(Ordering::Relaxed);
        let short = |offset| self.loaded.memory.u32(slot + 1, offset).load(Ordering::Relaxed);
        BpfFacts {
            sleeps: long(programs::SLEEPS),
            d_sleeps: long(programs::D_SLEEPS),
            preempted: long(programs::PREEMPTED),
            wakings: long(programs::WAKINGS),
            wakeups: long(programs::WAKEUPS),
            t_waking_ns: long(programs::T_WAKING),
            t_wakeup_ns: long(programs::T_WAKEUP),
            t_switch_in_ns: long(programs::T_SWITCH_IN),
            t_switch_out_ns: long(programs::T_SWITCH_OUT),
            cpu_waking: short(programs::CPU_WAKING),
            cpu_in: short(programs::CPU_IN),
            waker: short(programs::WAKER),
        }
    }

    /// The turns of one slot, of a counter for servers.
    pub fn turns(&self, slot: usize) -> BpfTurns {
        assert!(slot < self.slots, "slot index checked in plan");
        let long = |offset| self.loaded.memory.u64(slot + 1, offset).load(Ordering::Relaxed);
        BpfTurns {
            accepts: long(programs::ACCEPTS),
            empties: long(programs::EMPTIES),
            took: long(programs::TURNS_TOOK),
            refused: long(programs::TURNS_REFUSED),
            hidden: long(programs::TURNS_HIDDEN),
            within: long(programs::WITHIN),
        }
    }

    /// How often the kernel skipped one of our programs since `open`, because
    /// another BPF program or map call was active on that CPU. Not 0 makes the
    /// counts invalid. Linux before 5.12 does not say; before 6.7 it says 0
    /// whatever happens, and only `awake` that stays off 0 tells.
    pub fn missed(&self) -> Result<u64, BpfError> {
        Ok(self.loaded.missed()?.saturating_sub(self.skipped))
    }
}

/// Thread ids in tracepoints are those of the initial namespace. In another
/// one ours would match nobody, or strangers.
fn refuse_pid_namespace() -> Result<(), BpfError> {
    // NSpid in /proc/self/status would not do: a container's own /proc shows
    // one number there as well.
    let link = "/proc/self/ns/pid";
    let found = fs::read_link(link).map_err(|e| BpfError::NoProc(link, e))?;
    if found.as_os_str() == INITIAL_PID_NS {
        return Ok(());
    }
    Err(BpfError::PidNamespace(found.display().to_string()))
}
