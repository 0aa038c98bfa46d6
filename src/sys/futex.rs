//! futex(2) on words of shared memory: the gate at which workers wait for their
//! turn, and every other call of the family, for the object that is about them.
//!
//! Words are u64 in memory and u32 to the kernel, which sees the low half; their
//! values stay below 2^32.

use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;

/// futex_wake(2) and futex_wait(2), the same numbers on every architecture.
pub const SYS_FUTEX_WAKE: libc::c_long = 454;
pub const SYS_FUTEX_WAIT: libc::c_long = 455;
/// Flag of those two and of futex_waitv(2): the word has 32 bits.
const FUTEX2_SIZE_U32: u32 = 2;
const EVERY_BIT: libc::c_ulong = u32::MAX as libc::c_ulong;
/// No limit on how many are woken or moved.
const ALL: i32 = i32::MAX;

/// The half of the word the kernel looks at.
fn low_half(word: &AtomicU64) -> *const u32 {
    let base = std::ptr::from_ref(word).cast::<u32>();
    if cfg!(target_endian = "big") { base.wrapping_add(1) } else { base }
}

/// Sleeps until `word` is no longer `value` (both below 2^32).
pub fn wait_while(word: &AtomicU64, value: u32) {
    while word.load(Ordering::Acquire) == u64::from(value) {
        // EAGAIN, EINTR and spurious returns end in the check above.
        let _ = wait(word, value, Reach::Shared);
    }
}

/// Stores `value` and wakes all sleepers on `word`.
pub fn store_and_wake(word: &AtomicU64, value: u32) {
    word.store(u64::from(value), Ordering::Release);
    let _ = wake(word, ALL, Reach::Shared);
}

/// Who can wake the sleeper: any process that maps the word, or only threads of
/// its own (FUTEX_PRIVATE_FLAG).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Shared,
    Private,
}

impl Reach {
    fn flag(self) -> i32 {
        if self == Reach::Private { libc::FUTEX_PRIVATE_FLAG } else { 0 }
    }
}

fn counted(result: libc::c_long) -> Result<u32, Errno> {
    Errno::result(result).map(|n| n as u32)
}

/// FUTEX_WAIT once: EAGAIN when the word has another value already.
pub fn wait(word: &AtomicU64, value: u32, reach: Reach) -> Result<(), Errno> {
    let forever = std::ptr::null::<libc::timespec>();
    // SAFETY: a live, aligned word, which the kernel only reads.
    let result =
        unsafe { libc::syscall(libc::SYS_futex, low_half(word), libc::FUTEX_WAIT | reach.flag(), value, forever) };
    counted(result).map(drop)
}

/// FUTEX_WAKE; returns how many were woken.
pub fn wake(word: &AtomicU64, most: i32, reach: Reach) -> Result<u32, Errno> {
    // SAFETY: the kernel only looks the address up.
    counted(unsafe { libc::syscall(libc::SYS_futex, low_half(word), libc::FUTEX_WAKE | reach.flag(), most) })
}

/// FUTEX_REQUEUE, or FUTEX_CMP_REQUEUE where `from` must have a value: wakes one
/// sleeper and moves all others. Returns what the kernel does.
pub fn requeue(from: &AtomicU64, to: &AtomicU64, must_be: Option<u32>) -> Result<u32, Errno> {
    let call = if must_be.is_some() { libc::FUTEX_CMP_REQUEUE } else { libc::FUTEX_REQUEUE };
    let value = must_be.unwrap_or_default();
    // SAFETY: two live, aligned words, of which the kernel at most reads one.
    counted(unsafe { libc::syscall(libc::SYS_futex, low_half(from), call, 1, ALL as usize, low_half(to), value) })
}

/// FUTEX_WAKE_OP: adds one to `second`, wakes one sleeper there and one on `first`.
pub fn add_and_wake_both(first: &AtomicU64, second: &AtomicU64) -> Result<u32, Errno> {
    // The second wake depends on the old value being at least 0: as a signed
    // number it is.
    let add_one = libc::FUTEX_OP(libc::FUTEX_OP_ADD, 1, libc::FUTEX_OP_CMP_GE, 0);
    // SAFETY: two live, aligned words; the kernel changes the second atomically,
    // and nobody reaches it other than by atomics.
    counted(unsafe {
        libc::syscall(libc::SYS_futex, low_half(first), libc::FUTEX_WAKE_OP, 1, 1usize, low_half(second), add_one)
    })
}

/// `struct futex_waitv` (futex_waitv(2)).
#[repr(C)]
struct Waiter {
    value: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

/// futex_waitv(2) on several words at once; returns which one was woken.
pub fn wait_any<const N: usize>(words: [&AtomicU64; N], values: [u32; N]) -> Result<u32, Errno> {
    let waiters: [Waiter; N] = std::array::from_fn(|i| Waiter {
        value: values[i].into(),
        address: low_half(words[i]) as u64,
        flags: FUTEX2_SIZE_U32,
        reserved: 0,
    });
    let forever = std::ptr::null::<libc::timespec>();
    // SAFETY: N waiters, each with a live, aligned word, all of which outlive the
    // call; the kernel only reads them.
    counted(unsafe { libc::syscall(libc::SYS_futex_waitv, waiters.as_ptr(), N, 0, forever, 0) })
}

/// futex_wait(2), of the second family.
pub fn wait2(word: &AtomicU64, value: u32) -> Result<(), Errno> {
    let forever = std::ptr::null::<libc::timespec>();
    let value = libc::c_ulong::from(value);
    // SAFETY: a live, aligned word, which the kernel only reads.
    counted(unsafe {
        libc::syscall(SYS_FUTEX_WAIT, low_half(word), value, EVERY_BIT, FUTEX2_SIZE_U32, forever, libc::CLOCK_MONOTONIC)
    })
    .map(drop)
}

/// futex_wake(2), of the second family.
pub fn wake2(word: &AtomicU64, most: i32) -> Result<u32, Errno> {
    // SAFETY: the kernel only looks the address up.
    counted(unsafe { libc::syscall(SYS_FUTEX_WAKE, low_half(word), EVERY_BIT, most, FUTEX2_SIZE_U32) })
}
