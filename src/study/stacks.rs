//! What the stacks of many threads cost: address space, memory, and the kernel's part; and
//! whether memory that was touched can be given back while the thread lives.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::prctl::set_thp_disable;

use super::figures::{Figures, Trouble, refused};
use super::memory::Memory;
use super::{Study, Takes, here, mode};
use crate::experiment::Settings;
use crate::sys::futex;
use crate::sys::region::page_size;
use crate::sys::threads::Crowd;

/// As glibc has it, where `ulimit -s` says nothing else.
const STACK: usize = 8 << 20;
/// How deep a call may go in a stack of that size, in KiB.
const DEEPEST: u64 = 4096;
/// Memory of a thread besides what it touches, the kernel's part included, in KiB.
const THREAD_KIB: u64 = 48;

pub struct Stacks;

impl Study for Stacks {
    fn name(&self) -> &'static str {
        "stacks"
    }

    fn about(&self) -> &'static str {
        "memory of `workers` threads with stacks of 8 MiB, for each of them"
    }

    fn modes(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("kept", "each has gone `touched` deep into its stack, and come back"),
            ("given-back", "and has then given the pages back (madvise(2), MADV_DONTNEED)"),
        ]
    }

    fn takes(&self) -> &'static [Takes] {
        &[Takes::Touched]
    }

    fn figures(&self) -> &'static [&'static str] {
        &["virtual_kib", "resident_kib", "kernel_stack_kib", "page_table_kib"]
    }

    fn refuse(&self, settings: &Settings) -> Option<String> {
        let deep = settings.study.touched_kib > DEEPEST;
        deep.then(|| format!("a stack has 8 MiB; choose touched = \"{DEEPEST}KiB\" or less"))
    }

    fn run(&self, settings: &Settings, figures: &mut Figures) -> Result<(), Trouble> {
        let (touched, workers) = (settings.study.touched_kib, u64::from(settings.workers));
        here::room_for(workers * (touched + THREAD_KIB))?;
        if page_size() != 4096 {
            let why = format!("a page has {} KiB here, and this study is about pages of 4 KiB", page_size() / 1024);
            return Err(Trouble::Unable(why));
        }
        // A huge page would make 2 MiB of the first byte. Linux before 3.15 has no such call.
        let _ = set_thp_disable(true);
        let gives_back = mode(self, settings) == "given-back";
        // How many have done their part, the gate, and how many madvise refused.
        let words = Arc::new([const { AtomicU64::new(0) }; 3]);
        let theirs = Arc::clone(&words);
        let mut crowd = Crowd::new(STACK, move |_, stack| {
            let bytes = touched as usize * 1024;
            if bytes > 0 {
                stack.touch(bytes);
            }
            if gives_back && stack.give_back(bytes).is_err() {
                theirs[2].fetch_add(1, Ordering::AcqRel);
            }
            theirs[0].fetch_add(1, Ordering::AcqRel);
            futex::wait_while(&theirs[1], 0);
        });
        // The first look takes memory of its own.
        Memory::now()?;
        let before = Memory::now()?;
        let mut outcome = Ok(());
        for _ in 0..workers {
            outcome = crowd.add();
            if outcome.is_err() {
                break;
            }
            figures.made(1);
        }
        let all = outcome
            .map_err(refused("pthread_create"))
            .and_then(|()| here::all_there(&words[0], workers, "threads have begun"));
        let after = all.and_then(|()| Memory::now());
        futex::store_and_wake(&words[1], 1);
        figures.reaped(crowd.join() as u64);
        let after = after?;
        if words[2].load(Ordering::Acquire) > 0 {
            return Err(Trouble::Refused { call: "madvise".into(), errno: "see madvise(2)".into() });
        }
        let each = |after: u64, before: u64| (after as f64 - before as f64) / workers as f64;
        figures.add("virtual_kib", each(after.size, before.size));
        // The program's own pages come in as threads begin; they are not the stacks'.
        figures.add("resident_kib", each(after.anonymous, before.anonymous));
        figures.add("page_table_kib", each(after.tables, before.tables));
        match after.kernel_stacks.zip(before.kernel_stacks) {
            Some((after, before)) => figures.add("kernel_stack_kib", each(after, before)),
            None => figures.omit("kernel_stack_kib", "/proc/meminfo has no KernelStack"),
        }
        Ok(())
    }
}
