//! What it costs to make a task, let it end and see it end, and how that depends on the
//! memory of the one that makes it.

use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::wait::{WaitStatus, waitpid};

use super::child::alone;
use super::figures::{Figures, Trouble, refused};
use super::{Study, Takes, clock, here, mode};
use crate::experiment::Settings;
use crate::sys::fork::Alone;
use crate::sys::region::{Region, page_size};
use crate::sys::threads::Crowd;
use crate::sys::vfork::Vfork;

const SAMPLES: u32 = 15;
/// One sample is as many tasks as fit into so much time, one at least.
const SAMPLE: Duration = Duration::from_millis(3);
/// As glibc has it, where `ulimit -s` says nothing else.
const STACK: usize = 8 << 20;
/// What `herd __nothing` is asked by: it ends at once.
const NOTHING: &str = "__nothing";

pub struct SpawnCost;

/// Whether this process was only started to end.
pub fn is_nothing() -> bool {
    std::env::args_os().nth(1).is_some_and(|first| first == NOTHING)
}

impl Study for SpawnCost {
    fn name(&self) -> &'static str {
        "spawn-cost"
    }

    fn about(&self) -> &'static str {
        "time to make a thread or a process, let it end and see it end"
    }

    fn modes(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("thread", "pthread_create(3) and pthread_join(3)"),
            ("fork", "fork(2), the child ends, waitpid(2)"),
            ("vfork", "the same with clone(2), CLONE_VM and CLONE_VFORK: no address space of its own"),
            ("posix-spawn", "posix_spawn(3) of a program that ends at once, here herd itself"),
            ("fork-exec", "fork(2), and execve(2) of that program in the child"),
        ]
    }

    fn tasks(&self) -> Option<u32> {
        Some(1)
    }

    fn takes(&self) -> &'static [Takes] {
        &[Takes::Touched]
    }

    fn figures(&self) -> &'static [&'static str] {
        &["spawn_us", "spawn_cpu_us"]
    }

    fn run(&self, settings: &Settings, figures: &mut Figures) -> Result<(), Trouble> {
        let touched = settings.study.touched_kib;
        // Page tables are copied, pages are not.
        here::room_for(touched + touched / 256 + 8 * 1024)?;
        let pages = touched as usize * 1024 / page_size();
        let memory = (pages > 0).then(|| Region::new(pages, false)).transpose().map_err(refused("mmap"))?;
        if let Some(memory) = &memory {
            memory.write(1);
        }
        let alone = alone()?;
        let mut place = Vfork::default();
        let mut program = Command::new("/proc/self/exe");
        program.arg(NOTHING);
        let mut once: Box<dyn FnMut() -> Result<(), Trouble>> = match mode(self, settings) {
            "fork" => Box::new(|| fork(&alone, || 0)),
            "vfork" => Box::new(move || ended(waitpid(place.run(None).map_err(refused("clone"))?, None))),
            "posix-spawn" => Box::new(move || spawn(&mut program)),
            "fork-exec" => Box::new(move || fork(&alone, || exec(&mut program))),
            _ => Box::new(thread),
        };
        let mut run = |figures: &mut Figures| {
            figures.made(1);
            once()?;
            figures.reaped(1);
            Ok(())
        };
        // The first one fills caches, and the one of stacks in the C library.
        run(figures)?;
        for _ in 0..settings.study.samples_or(SAMPLES) {
            let (began, before, mut times) = (Instant::now(), cpu()?, 0);
            while times == 0 || began.elapsed() < SAMPLE {
                run(figures)?;
                times += 1;
            }
            figures.add("spawn_us", began.elapsed().as_secs_f64() * 1e6 / f64::from(times));
            figures.add("spawn_cpu_us", (cpu()? - before).as_secs_f64() * 1e6 / f64::from(times));
        }
        Ok(())
    }
}

/// Of this process and of the children it has waited for.
fn cpu() -> Result<Duration, Trouble> {
    Ok(clock::of_process()? + clock::of_children()?)
}

fn ended(status: nix::Result<WaitStatus>) -> Result<(), Trouble> {
    match status.map_err(refused("waitpid"))? {
        WaitStatus::Exited(_, 0) => Ok(()),
        other => Err(Trouble::Broken(format!("the child ended as {other:?}"))),
    }
}

fn fork(alone: &Alone, body: impl FnOnce() -> i32) -> Result<(), Trouble> {
    ended(waitpid(alone.fork(body).map_err(refused("fork"))?, None))
}

fn thread() -> Result<(), Trouble> {
    let mut crowd = Crowd::new(STACK, |_, _| {});
    crowd.add().map_err(refused("pthread_create"))?;
    crowd.join();
    Ok(())
}

fn spawn(program: &mut Command) -> Result<(), Trouble> {
    let status = program.status().map_err(|e| Trouble::Broken(format!("cannot start {NOTHING}: {e}")))?;
    if status.success() { Ok(()) } else { Err(Trouble::Broken(format!("{NOTHING} ended with {status}"))) }
}

/// Comes back only when it fails.
fn exec(program: &mut Command) -> i32 {
    use std::os::unix::process::CommandExt;
    program.exec().raw_os_error().unwrap_or(1)
}
