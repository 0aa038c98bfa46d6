//! A piece of anonymous memory in small pages, for studies of page faults; and a crash.

use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::ptr::NonNull;

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, munmap};

/// Bytes of a page here.
pub fn page_size() -> usize {
    // SAFETY: only a number is passed.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// Memory nobody else has, or that children share.
pub struct Region {
    base: NonNull<c_void>,
    pages: usize,
    page: usize,
}

impl Region {
    /// Maps so many pages without touching them; `shared`: with children, not copied.
    pub fn new(pages: usize, shared: bool) -> Result<Region, Errno> {
        let page = page_size();
        let bytes = pages.checked_mul(page).and_then(NonZeroUsize::new).ok_or(Errno::EINVAL)?;
        let kind = if shared { MapFlags::MAP_SHARED } else { MapFlags::MAP_PRIVATE };
        // SAFETY: an anonymous mapping at an address the kernel chooses aliases nothing.
        let base = unsafe { mmap_anonymous(None, bytes, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, kind)? };
        let region = Region { base, pages, page };
        // A huge page would be one fault for 512. Without huge pages: EINVAL.
        // SAFETY: the mapping just made; this changes no content.
        let _ = unsafe { madvise(base, bytes.get(), MmapAdvise::MADV_NOHUGEPAGE) };
        Ok(region)
    }

    /// Writes one byte to every page.
    pub fn write(&self, byte: u8) {
        for page in 0..self.pages {
            // SAFETY: inside the mapping, which is writable and handed out to nobody.
            unsafe { self.base.cast::<u8>().add(page * self.page).write_volatile(byte) };
        }
    }

    pub fn pages(&self) -> usize {
        self.pages
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the mapping made in new, to which no reference exists.
        let _ = unsafe { munmap(self.base, self.pages * self.page) };
    }
}

/// Reads the field of a struct behind a null pointer, which ends the process by SIGSEGV.
pub fn crash() {
    let field = std::ptr::without_provenance::<u8>(8);
    // SAFETY: none, that is the point: nothing is mapped at address 8 (vm.mmap_min_addr),
    // so the kernel sends SIGSEGV. Volatile, since an optimiser leaves other reads out; and
    // not address 0 itself, before which a debug build looks and panics.
    std::hint::black_box(unsafe { std::ptr::read_volatile(std::hint::black_box(field)) });
}
