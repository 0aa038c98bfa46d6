//! The time stamp counter of x86: time in ticks of a constant rate, which are about
//! cycles of the CPU at its nominal speed, and not those of its present one.

/// Ticks since some moment (RDTSC); `None` on other architectures.
pub fn ticks() -> Option<u64> {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 CPU has the instruction, and no program of ours forbids it
    // to itself (PR_SET_TSC).
    return Some(unsafe { std::arch::x86_64::_rdtsc() });
    #[cfg(not(target_arch = "x86_64"))]
    None
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    #[test]
    fn it_goes_on() {
        let first = super::ticks().unwrap();
        assert!((0..1_000_000).any(|_| super::ticks().unwrap() > first));
    }
}
