//! How many threads fit into an address space: 4 GiB, as much as 32 bits can name, or as
//! much as there is.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use nix::sys::resource::{Resource, setrlimit};

use super::figures::{Figures, Trouble, refused};
use super::memory::Memory;
use super::{Study, here, mode};
use crate::experiment::Settings;
use crate::sys::futex;
use crate::sys::threads::Crowd;

/// As glibc has it, where `ulimit -s` says nothing else.
const STACK: usize = 8 << 20;
const FOUR_GIB: u64 = 4 << 30;
/// Memory of a thread that waits, the kernel's part included, in KiB.
const THREAD_KIB: u64 = 48;

pub struct AddressSpace;

impl Study for AddressSpace {
    fn name(&self) -> &'static str {
        "address-space"
    }

    fn about(&self) -> &'static str {
        "threads with stacks of 8 MiB, until pthread_create(3) refuses or there are `workers` of them"
    }

    fn modes(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("4gib", "in 4 GiB of address space (setrlimit(2), RLIMIT_AS), as a 32-bit process has"),
            ("whole", "in all that there is"),
        ]
    }

    fn figures(&self) -> &'static [&'static str] {
        &["threads_started", "virtual_mib", "resident_mib"]
    }

    fn run(&self, settings: &Settings, figures: &mut Figures) -> Result<(), Trouble> {
        let limited = mode(self, settings) == "4gib";
        let workers = u64::from(settings.workers);
        here::room_for(workers.min(if limited { 512 } else { u64::MAX }) * THREAD_KIB)?;
        let gate = Arc::new(AtomicU64::new(0));
        let theirs = Arc::clone(&gate);
        let mut crowd = Crowd::new(STACK, move |_, _| futex::wait_while(&theirs, 0));
        if limited {
            setrlimit(Resource::RLIMIT_AS, FOUR_GIB, FOUR_GIB).map_err(refused("setrlimit"))?;
        }
        let mut ended_with = None;
        while (crowd.len() as u64) < workers && ended_with.is_none() {
            match crowd.add() {
                Ok(()) => figures.made(1),
                Err(errno) => ended_with = Some(errno),
            }
        }
        let memory = Memory::now();
        let started = crowd.len();
        futex::store_and_wake(&gate, 1);
        figures.reaped(crowd.join() as u64);
        let memory = memory?;
        figures.say(&ended_with.map_or_else(|| "no limit met".into(), |errno| format!("{errno:?}")));
        figures.add("threads_started", started as f64);
        figures.add("virtual_mib", memory.size as f64 / 1024.0);
        figures.add("resident_mib", memory.resident as f64 / 1024.0);
        Ok(())
    }
}
