//! futex(2) on a shared word, for the gate at which workers wait for their turn.
//!
//! Private futexes would not work between processes. The gate is passed once
//! per worker, before any count is taken.

use std::sync::atomic::{AtomicU64, Ordering};

/// The half of the word the kernel looks at.
pub(super) fn low_half(word: &AtomicU64) -> *const u32 {
    let base = std::ptr::from_ref(word).cast::<u32>();
    if cfg!(target_endian = "big") { base.wrapping_add(1) } else { base }
}

/// Sleeps until `word` is no longer `value` (both below 2^32).
pub fn wait_while(word: &AtomicU64, value: u32) {
    while word.load(Ordering::Acquire) == u64::from(value) {
        // SAFETY: the address is that of a live, aligned word; the kernel only
        // reads it. EAGAIN, EINTR and spurious returns end in the check above.
        unsafe {
            libc::syscall(libc::SYS_futex, low_half(word), libc::FUTEX_WAIT, value, std::ptr::null::<libc::timespec>());
        }
    }
}

/// Stores `value` and wakes all sleepers on `word`.
pub fn store_and_wake(word: &AtomicU64, value: u32) {
    word.store(u64::from(value), Ordering::Release);
    // SAFETY: as in wait_while; FUTEX_WAKE only looks the address up.
    unsafe {
        libc::syscall(libc::SYS_futex, low_half(word), libc::FUTEX_WAKE, i32::MAX);
    }
}
