//! Memory that survives fork as shared: a fixed array of rows of atomic words.
//!
//! Only atomics are ever handed out, so processes on both sides may read and
//! write at any time. An anonymous mapping cannot be truncated by anybody, so
//! an access never faults with SIGBUS.

use std::ffi::c_void;
use std::io;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// Fresh zeroed pages that all later children share, there from the start.
fn map(bytes: NonZeroUsize) -> io::Result<NonNull<c_void>> {
    let (access, kind) = (ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED | MapFlags::MAP_POPULATE);
    // SAFETY: an anonymous mapping at an address the kernel chooses aliases nothing.
    Ok(unsafe { mmap_anonymous(None, bytes, access, kind)? })
}

/// `len` rows of `WORDS` zeroed words each, shared with all later children.
pub struct SharedRows<const WORDS: usize> {
    base: NonNull<[AtomicU64; WORDS]>,
    len: usize,
}

// SAFETY: the mapping is owned by this value until drop, and hands out only
// references to atomics, which any thread may use.
unsafe impl<const WORDS: usize> Send for SharedRows<WORDS> {}
// SAFETY: as above.
unsafe impl<const WORDS: usize> Sync for SharedRows<WORDS> {}

impl<const WORDS: usize> SharedRows<WORDS> {
    /// Maps and prefaults the rows, so that no first touch happens later.
    pub fn new(len: usize) -> io::Result<Self> {
        let bytes = len
            .checked_mul(size_of::<[AtomicU64; WORDS]>())
            .and_then(NonZeroUsize::new)
            .ok_or(io::ErrorKind::InvalidInput)?;
        // Zero is a valid AtomicU64, and pages are aligned for u64.
        Ok(SharedRows { base: map(bytes)?.cast(), len })
    }

    /// Row `index`.
    ///
    /// # Panics
    /// When `index` is out of bounds.
    pub fn row(&self, index: usize) -> &[AtomicU64; WORDS] {
        assert!(index < self.len, "row {index} of {}", self.len);
        // SAFETY: index is in bounds of the mapping, which lives as long as self.
        unsafe { self.base.add(index).as_ref() }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<const WORDS: usize> Drop for SharedRows<WORDS> {
    fn drop(&mut self) {
        let bytes = self.len * size_of::<[AtomicU64; WORDS]>();
        // SAFETY: base and bytes are those of the mapping made in new, and no
        // reference handed out by row can outlive self.
        let _ = unsafe { munmap(self.base.cast(), bytes) };
    }
}

/// One zeroed value, shared with all later children. For what only the C library
/// knows how to use: nobody but it ever reads or writes through the pointer.
pub(super) struct SharedCell<T> {
    base: NonNull<T>,
}

// SAFETY: the mapping is owned by this value until drop. The pointer is only
// passed to functions that many threads and processes may call at once.
unsafe impl<T> Send for SharedCell<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for SharedCell<T> {}

impl<T> SharedCell<T> {
    pub(super) fn new() -> io::Result<Self> {
        let bytes = NonZeroUsize::new(size_of::<T>()).ok_or(io::ErrorKind::InvalidInput)?;
        // Pages are aligned for any type of the C library.
        Ok(SharedCell { base: map(bytes)?.cast() })
    }

    pub(super) fn get(&self) -> *mut T {
        self.base.as_ptr()
    }
}

impl<T> Drop for SharedCell<T> {
    fn drop(&mut self) {
        // SAFETY: base and size are those of the mapping made in new, which
        // nobody can reach any more.
        let _ = unsafe { munmap(self.base.cast(), size_of::<T>()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn a_child_writes_what_the_parent_reads() {
        let rows = SharedRows::<4>::new(3).unwrap();
        assert_eq!(rows.row(2)[3].load(Ordering::Relaxed), 0);
        rows.row(2)[3].store(7, Ordering::Relaxed);
        assert_eq!(rows.row(2)[3].load(Ordering::Relaxed), 7);
        assert_eq!(rows.len(), 3);
    }

    #[test]
    #[should_panic(expected = "row 3 of 3")]
    fn a_row_out_of_bounds_panics() {
        SharedRows::<4>::new(3).unwrap().row(3);
    }
}
