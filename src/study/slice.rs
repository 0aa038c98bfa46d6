//! Two processes that only compute and one that blocks, on one CPU: who gives the CPU up
//! by itself, and from whom it is taken.

use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::unistd::Pid;

use super::child::{Child, alone};
use super::figures::{Figures, Trouble};
use super::{Study, here, mode};
use crate::experiment::Settings;
use crate::sys::shared::SharedRows;

/// How often the one that blocks waits, and for how long each time.
const WAITS: u32 = 250;
const EVERY: Duration = Duration::from_millis(2);
/// A hog that nobody ends does so itself.
const SPINS: Duration = Duration::from_secs(50);
const HOGS: usize = 2;

pub struct Slice;

impl Study for Slice {
    fn name(&self) -> &'static str {
        "slice"
    }

    fn about(&self) -> &'static str {
        "context switches of tasks on one CPU: two that only compute, one that blocks"
    }

    fn modes(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("hog", "the switches of the two that compute"),
            ("blocker", "the switches of the one that waits for a timer"),
        ]
    }

    fn tasks(&self) -> Option<u32> {
        Some(3)
    }

    fn figures(&self) -> &'static [&'static str] {
        &["voluntary", "involuntary", "voluntary_share"]
    }

    fn run(&self, settings: &Settings, figures: &mut Figures) -> Result<(), Trouble> {
        here::pin_to_last()?;
        let alone = alone()?;
        let board = here::shared(1)?;
        let hogs: Vec<Child> =
            (0..HOGS).map(|_| Child::spinner(&alone, figures, SPINS)).collect::<Result<_, Trouble>>()?;
        let blocker = Child::start(&alone, figures, || i32::from(block(&board).is_err()))?;
        blocker.ends_well("the task that blocks", figures)?;
        let [mut voluntary, mut involuntary] = [0, 1].map(|i| board.row(0)[i].load(Ordering::Acquire));
        if mode(self, settings) == "hog" {
            (voluntary, involuntary) = (0, 0);
            for hog in &hogs {
                let [v, i] = switches(hog.pid())?;
                (voluntary, involuntary) = (voluntary + v, involuntary + i);
            }
        }
        hogs.into_iter().try_for_each(|hog| hog.end(figures))?;
        figures.add("voluntary", voluntary as f64);
        figures.add("involuntary", involuntary as f64);
        figures.add("voluntary_share", voluntary as f64 / (voluntary + involuntary).max(1) as f64);
        Ok(())
    }
}

/// Waits for a timer again and again; then says its switches (getrusage(2)).
fn block(board: &SharedRows<2>) -> nix::Result<()> {
    let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC)?;
    timer.set(Expiration::Interval(TimeSpec::from_duration(EVERY)), TimerSetTimeFlags::empty())?;
    for _ in 0..WAITS {
        timer.wait()?;
    }
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    board.row(0)[0].store(usage.voluntary_context_switches() as u64, Ordering::Release);
    board.row(0)[1].store(usage.involuntary_context_switches() as u64, Ordering::Release);
    Ok(())
}

/// Voluntary and involuntary switches of a task that lives.
fn switches(pid: Pid) -> Result<[u64; 2], Trouble> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).map_err(|e| Trouble::Broken(format!("{path}: {e}")))?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.trim().parse().ok()).ok_or_else(|| Trouble::Broken(format!("{path} has no {name}")))
    };
    Ok([field("voluntary_ctxt_switches:")?, field("nonvoluntary_ctxt_switches:")?])
}
