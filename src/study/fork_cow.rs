//! Copy on write: how many page faults it takes to write memory that a fork has made
//! common, and memory that it has not.

use std::sync::atomic::Ordering;

use nix::poll::poll;
use nix::sys::resource::{UsageWho, getrusage};

use super::child::{Child, alone};
use super::figures::{Figures, Trouble, refused};
use super::{Study, Takes, clock, here, mode};
use crate::experiment::Settings;
use crate::sys::region::{Region, page_size};

const SAMPLES: u32 = 5;

pub struct ForkCow;

/// What writing every page once took.
struct Took {
    faults: u64,
    ns: u64,
}

impl Study for ForkCow {
    fn name(&self) -> &'static str {
        "fork-cow"
    }

    fn about(&self) -> &'static str {
        "page faults while every page of `touched` is written once, after a fork or without"
    }

    fn modes(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("no-child", "the memory is private and was written before"),
            ("first-write", "nobody has written it before"),
            ("parent-writes", "the parent writes while a child has the pages in common with it"),
            ("child-writes", "the child writes them"),
            ("child-gone", "the parent writes after the child has ended"),
            ("shared-memory", "the parent writes a mapping that parent and child share for good"),
        ]
    }

    fn tasks(&self) -> Option<u32> {
        Some(1)
    }

    fn takes(&self) -> &'static [Takes] {
        &[Takes::Touched]
    }

    fn figures(&self) -> &'static [&'static str] {
        &["pages", "faults", "faults_per_page", "fault_ns"]
    }

    fn refuse(&self, settings: &Settings) -> Option<String> {
        (settings.study.touched_kib < 1024).then(|| "fork-cow needs memory to write; add touched = \"16MiB\"".into())
    }

    fn run(&self, settings: &Settings, figures: &mut Figures) -> Result<(), Trouble> {
        let touched = settings.study.touched_kib;
        here::room_for(2 * touched + 8 * 1024)?;
        here::pin_to_last()?;
        let pages = touched as usize * 1024 / page_size();
        let mode = mode(self, settings);
        let alone = alone()?;
        let told = here::shared::<2>(1)?;
        for _ in 0..settings.study.samples_or(SAMPLES) {
            let memory = Region::new(pages, mode == "shared-memory").map_err(refused("mmap"))?;
            if mode != "first-write" {
                memory.write(1);
            }
            let took = match mode {
                "parent-writes" | "shared-memory" => {
                    let (child, go) = Child::sleeper(&alone, figures)?;
                    let took = write(&memory)?;
                    child.ends_by_a_byte(go, figures)?;
                    took
                }
                "child-gone" => {
                    let (child, go) = Child::sleeper(&alone, figures)?;
                    child.ends_by_a_byte(go, figures)?;
                    write(&memory)?
                }
                "child-writes" => {
                    let child = Child::start(&alone, figures, || match write(&memory) {
                        Ok(took) => {
                            told.row(0)[0].store(took.faults, Ordering::Release);
                            told.row(0)[1].store(took.ns, Ordering::Release);
                            0
                        }
                        Err(_) => 1,
                    })?;
                    child.ends_well("a child", figures)?;
                    let [faults, ns] = [0, 1].map(|i| told.row(0)[i].load(Ordering::Acquire));
                    Took { faults, ns }
                }
                _ => write(&memory)?,
            };
            let pages = memory.pages() as f64;
            figures.add("pages", pages);
            figures.add("faults", took.faults as f64);
            figures.add("faults_per_page", took.faults as f64 / pages);
            figures.add("fault_ns", took.ns as f64 / pages);
        }
        Ok(())
    }
}

/// Writes every page once, and counts the faults of this thread alone.
#[inline(never)]
fn write(memory: &Region) -> Result<Took, Trouble> {
    // After a fork our stack and heap are common as well, and a child must look up its
    // code anew: all that is done below is done once before, so that those faults fall
    // before the count begins.
    let warm = Region::new(1, false).map_err(refused("mmap"))?;
    // The kernel itself writes to a page of ours when a task that uses rseq(2), as glibc
    // does, was switched out, or, on some kernels, has changed its CPU. So it is
    // switched out once before the count, and stays on its CPU.
    switched_out()?;
    for _ in 0..2 {
        faults()?;
        clock::of_thread()?;
        warm.write(1);
    }
    let (before, began) = (faults()?, clock::of_thread()?);
    memory.write(2);
    let (ended, after) = (clock::of_thread()?, faults()?);
    Ok(Took { faults: after - before, ns: (ended - began).as_nanos() as u64 })
}

/// Comes back when this thread has left its CPU and is on it again.
fn switched_out() -> Result<(), Trouble> {
    let switches = || {
        let usage = getrusage(UsageWho::RUSAGE_THREAD).map_err(refused("getrusage"))?;
        Ok(usage.voluntary_context_switches())
    };
    let before = switches()?;
    for _ in 0..1000 {
        poll(&mut [], 1u8).map_err(refused("poll"))?;
        if switches()? > before {
            return Ok(());
        }
    }
    Err(Trouble::Broken("a sleep of 1 ms, a thousand times, was never a switch".into()))
}

fn faults() -> Result<u64, Trouble> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).map_err(refused("getrusage"))?;
    Ok((usage.minor_page_faults() + usage.major_page_faults()) as u64)
}
