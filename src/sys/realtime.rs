//! Whether this kernel is built with PREEMPT_RT: spin locks that sleep, softirqs
//! that run in threads.
//!
//! `/sys/kernel/realtime` is of the RT patches alone; what was merged into Linux
//! 6.12 has no such file (looked at: Debian's 7.3-rc7), so the build says it.

/// What the kernel says of how it was built (`uname -v`), and the file of the
/// patches, which is empty text where there is none.
pub fn is_realtime(version: &str, file: &str) -> bool {
    file.trim() == "1" || version.contains("PREEMPT_RT") || version.contains("PREEMPT RT")
}

/// Whether the kernel we run on is one.
pub fn here() -> bool {
    let file = std::fs::read_to_string("/sys/kernel/realtime").unwrap_or_default();
    let version = nix::sys::utsname::uname().map(|u| u.version().to_string_lossy().into_owned());
    is_realtime(&version.unwrap_or_default(), &file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_the_build_or_the_file_says_it() {
        assert!(is_realtime("#1 SMP PREEMPT_RT Debian 7.3~rc7-1~exp1 (2026-10-16)", ""));
        assert!(is_realtime("#1 SMP PREEMPT RT Debian 4.19.67-2 (2019-08-28)", ""));
        assert!(is_realtime("#1 SMP", "1\n"));
        for version in ["#1 SMP PREEMPT_DYNAMIC Debian 6.12.107-1", "#1 SMP PREEMPT Debian", "#1 SMP", ""] {
            assert!(!is_realtime(version, ""), "{version}");
        }
    }
}
