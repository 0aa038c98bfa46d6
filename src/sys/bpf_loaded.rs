//! BPF programs as the kernel has them: loaded, hung on their tracepoints, with the maps
//! they write.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use super::bpf_asm::Insn;
use super::bpf_call::{self as call, LockedMemoryLimit, MapKind};
use super::bpf_error::BpfError;
use super::bpf_programs::{self as programs, Maps};
use super::tracepoint::{Tracepoint, TracepointError};

/// Programs and maps, in the kernel until this is dropped.
pub struct Loaded {
    pub memory: Memory,
    /// From thread ids to elements of the array.
    tids: OwnedFd,
    array: OwnedFd,
    programs: Vec<(&'static str, OwnedFd)>,
    /// Closing an event detaches its program.
    _events: Vec<OwnedFd>,
}

impl Loaded {
    /// Makes the maps for so many threads, and loads and attaches what `plan` says.
    pub fn load<'t>(
        slots: usize,
        plan: impl FnOnce(Maps) -> Result<Vec<(&'t Tracepoint, Vec<Insn>)>, TracepointError>,
    ) -> Result<Loaded, BpfError> {
        let entries = u32::try_from(slots + 1).map_err(|_| BpfError::NoSuchSlot(slots, 0))?;
        let _limit = LockedMemoryLimit::lift();
        let tids = call::create_map(MapKind::Hash, 4, entries)?;
        let bytes = programs::SLOT_BYTES as u32;
        let array = call::create_map(MapKind::MappableArray, bytes, entries)?;
        let maps = Maps { tids: tids.as_raw_fd(), slots: array.as_raw_fd() };
        let plan = plan(maps)?;
        let memory = Memory::map(&array, slots + 1)?;
        let mut programs = Vec::new();
        for (tracepoint, code) in &plan {
            programs.push((tracepoint.name, call::load(tracepoint.name, code)?));
        }
        let mut events = Vec::new();
        for ((tracepoint, _), (_, program)) in plan.iter().zip(&programs) {
            events.push(call::attach(tracepoint, program)?);
        }
        Ok(Loaded { memory, tids, array, programs, _events: events })
    }

    /// How many threads it can watch.
    pub fn slots(&self) -> usize {
        self.memory.elements - 1
    }

    /// The programs write what `tid` does to that slot from now on.
    pub fn watch(&self, slot: usize, tid: u32) -> Result<(), BpfError> {
        let element = (slot + 1) as u32;
        call::insert(&self.tids, tid, element).map_err(|e| BpfError::Watch(tid, e))
    }

    /// Watches nobody, and has counted nothing.
    pub fn clear(&self) -> Result<(), BpfError> {
        self.forget().map_err(BpfError::Clear)
    }

    fn forget(&self) -> io::Result<()> {
        let mut used = vec![programs::TOTAL_INDEX as u32];
        // As many keys as there can be; each turn takes one away.
        for _ in 0..self.memory.elements {
            let Some(tid) = call::first_key(&self.tids)? else { break };
            used.push(call::value_of(&self.tids, tid)?);
            call::remove(&self.tids, tid)?;
        }
        // The programs write only of whom they find; one may have found somebody just
        // before, who is on his way out.
        call::await_running_programs()?;
        let nothing = [0; programs::SLOT_BYTES];
        used.into_iter().try_for_each(|element| call::write(&self.array, element, &nothing))
    }

    /// Runs of the programs that the kernel skipped so far.
    pub fn missed(&self) -> Result<u64, BpfError> {
        let mut sum = 0;
        for (name, program) in &self.programs {
            sum += call::recursion_misses(name, program)?;
        }
        Ok(sum)
    }
}

/// The array that the programs write, as read-only memory.
pub struct Memory {
    start: NonNull<libc::c_void>,
    elements: usize,
}

// SAFETY: whoever has it only loads whole words, which the kernel writes at any time.
unsafe impl Send for Memory {}
// SAFETY: as for Send.
unsafe impl Sync for Memory {}

impl Memory {
    fn map(array: &OwnedFd, elements: usize) -> Result<Memory, BpfError> {
        let length =
            NonZeroUsize::new(elements * programs::SLOT_BYTES).expect("there is always the element of the total");
        // SAFETY: a new mapping at an address of the kernel's choice touches
        // no memory of ours.
        let start = unsafe { mmap(None, length, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, array.as_fd(), 0) };
        let start = start.map_err(|e| BpfError::Mmap(e.into()))?;
        Ok(Memory { start, elements })
    }

    pub fn u64(&self, element: usize, offset: usize) -> &AtomicU64 {
        // SAFETY: `at` checks that the word lies in the mapping, which lives
        // as long as self; elements are 192 bytes and offsets of longs are
        // multiples of 8, so it is aligned. The kernel writes it at any time,
        // always as a whole word, and we only load: the page is read-only.
        unsafe { AtomicU64::from_ptr(self.at(element, offset).cast()) }
    }

    pub fn u32(&self, element: usize, offset: usize) -> &AtomicU32 {
        // SAFETY: as for u64, with multiples of 4.
        unsafe { AtomicU32::from_ptr(self.at(element, offset).cast()) }
    }

    fn at(&self, element: usize, offset: usize) -> *mut u8 {
        assert!(element < self.elements && offset < programs::SLOT_BYTES);
        let start = self.start.as_ptr().cast::<u8>();
        start.wrapping_add(element * programs::SLOT_BYTES + offset)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: this range was mapped by `map` and is unmapped only here; all
        // references into it borrow self.
        let _ = unsafe { munmap(self.start, self.elements * programs::SLOT_BYTES) };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::sys::bpf;

    /// Sleeps of this thread that slot 0 has seen.
    fn sleeps(loaded: &Loaded) -> u64 {
        loaded.memory.u64(1, programs::SLEEPS).load(Ordering::Acquire)
    }

    /// Until it was seen, since a sleep whose wake comes at once is none; says whether.
    fn seen_asleep(loaded: &Loaded) -> bool {
        (0..1000).any(|_| {
            std::thread::sleep(std::time::Duration::from_micros(100));
            sleeps(loaded) > 0
        })
    }

    #[test]
    fn one_that_was_cleared_counts_from_nothing() {
        let loaded = match bpf::for_workers(2) {
            Ok(loaded) => loaded,
            Err(why) => return eprintln!("SKIP: {why}"),
        };
        let us = nix::unistd::gettid().as_raw() as u32;
        for _ in 0..3 {
            loaded.watch(0, us).unwrap();
            assert!(seen_asleep(&loaded));
            loaded.clear().unwrap();
            assert_eq!(sleeps(&loaded), 0);
            assert!(!seen_asleep(&loaded), "it watches somebody");
            assert_eq!(loaded.memory.u64(programs::TOTAL_INDEX, programs::TOTAL).load(Ordering::Acquire), 0);
        }
    }
}
