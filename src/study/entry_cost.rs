//! What it costs to enter the kernel: a call that does nearly nothing there, against one
//! that stays in user space. CPU time of many calls in a row, on one CPU.

use std::hint::black_box;
use std::time::{Duration, Instant};

use super::figures::{Figures, Trouble};
use super::{Study, clock, here, mode};
use crate::experiment::Settings;
use crate::sys;

const CALLS: u32 = 20_000;
const SAMPLES: u32 = 15;
/// The rate of the counter is taken over at least this long.
const RATE_OVER: Duration = Duration::from_millis(20);

pub struct EntryCost;

#[inline(never)]
fn empty() {}

fn clock_gettime() {
    let _ = black_box(nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC));
}

fn getppid() {
    black_box(nix::unistd::getppid());
}

fn bad_read() {
    let _ = black_box(sys::by_number::read(-1, &mut [0; 1]));
}

fn sched_yield() {
    let _ = black_box(nix::sched::sched_yield());
}

impl Study for EntryCost {
    fn name(&self) -> &'static str {
        "entry-cost"
    }

    fn about(&self) -> &'static str {
        "CPU time of one call: system calls that do little, and calls that stay in user space"
    }

    fn modes(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("empty-call", "a function that does nothing"),
            ("vdso-clock", "clock_gettime(2), which the vDSO answers in user space"),
            ("getppid", "getppid(2): in, one number, out"),
            ("bad-read", "read(2) of descriptor -1: in, EBADF, out"),
            ("sched-yield", "sched_yield(2) with nobody to yield to: through the scheduler as well"),
        ]
    }

    fn tasks(&self) -> Option<u32> {
        Some(1)
    }

    fn figures(&self) -> &'static [&'static str] {
        &["call_ns", "call_cycles"]
    }

    fn run(&self, settings: &Settings, figures: &mut Figures) -> Result<(), Trouble> {
        let call: fn() = match mode(self, settings) {
            "vdso-clock" => clock_gettime,
            "getppid" => getppid,
            "bad-read" => bad_read,
            "sched-yield" => sched_yield,
            _ => empty,
        };
        here::pin_to_last()?;
        let (began, ticks) = (Instant::now(), sys::tsc::ticks());
        let mut samples = Vec::new();
        repeat(call);
        for _ in 0..settings.study.samples_or(SAMPLES) {
            let before = clock::of_thread()?;
            repeat(call);
            samples.push((clock::of_thread()? - before).as_nanos() as f64 / f64::from(CALLS));
        }
        while began.elapsed() < RATE_OVER {
            std::hint::spin_loop();
        }
        for sample in &samples {
            figures.add("call_ns", *sample);
        }
        match ticks.zip(sys::tsc::ticks()) {
            // Ticks go on while somebody else has the CPU, CPU time does not: so they are
            // counted over everything, and only tell how many there are in a nanosecond.
            Some((first, last)) => {
                let per_ns = (last - first) as f64 / began.elapsed().as_nanos() as f64;
                samples.iter().for_each(|sample| figures.add("call_cycles", sample * per_ns));
            }
            None => figures.omit("call_cycles", "there is no time stamp counter on this architecture"),
        }
        if let Some(mitigations) = mitigations() {
            figures.note(format!("mitigations that may make entries dearer here: {mitigations}"));
        }
        Ok(())
    }
}

#[inline(never)]
fn repeat(call: fn()) {
    let mut left = black_box(CALLS);
    while left > 0 {
        black_box(call)();
        left -= 1;
    }
}

/// What the kernel does against faults of the CPU, each to its first comma.
fn mitigations() -> Option<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/sys/devices/system/cpu/vulnerabilities").ok()?.flatten() {
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        if let Some(how) = text.trim().strip_prefix("Mitigation: ") {
            let short = how.split([';', ',']).next().unwrap_or(how).trim();
            found.push(format!("{} ({short})", entry.file_name().to_string_lossy()));
        }
    }
    found.sort();
    Some(if found.is_empty() { "none".into() } else { found.join(", ") })
}
