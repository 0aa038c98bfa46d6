//! The kernel's threads that walk wait queues for us, where it has such.
//!
//! Usually the walk runs in softirq on the injector's CPU, which nothing can
//! interrupt but hardware: whenever the injector runs, it has ended or not begun.
//! On PREEMPT_RT softirqs are preempted like any program, and some run in threads:
//! ksoftirqd, ktimers (timers, Linux 6.1) and backlog_napi (packets on loopback,
//! Linux 6.10; elsewhere with the boot option thread_backlog_napi). Such a thread
//! may lose its CPU to the injector with half of the workers woken. So quiet needs
//! these threads asleep, too: in state S, since they set it only when their work
//! is done; waiting for a lock in the middle of a walk they are in D.
//!
//! Must never guess: where /proc does not show them, that is an error.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;

use crate::sys::stat;

/// Names of the threads, before `/` and the CPU.
const NAMES: [&str; 4] = ["ksoftirqd", "ktimers", "ktimersoftd", "backlog_napi"];
/// The one that every kernel has.
const ALWAYS: &str = NAMES[0];

/// The threads of one CPU; none where the kernel does all that in softirq.
#[derive(Default)]
pub struct SoftirqThreads {
    threads: Vec<(String, File)>,
}

impl SoftirqThreads {
    /// Those of `cpu`, the injector's.
    pub fn of(cpu: usize) -> io::Result<SoftirqThreads> {
        let command_line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
        if !threaded(crate::sys::realtime::here(), &command_line) {
            return Ok(SoftirqThreads::default());
        }
        let mut threads = Vec::new();
        for entry in fs::read_dir("/proc")?.flatten() {
            let Ok(name) = fs::read_to_string(entry.path().join("comm")) else {
                continue;
            };
            if is_one(name.trim_end(), cpu) {
                threads.push((name.trim_end().to_owned(), File::open(entry.path().join("stat"))?));
            }
        }
        if threads.iter().any(|(name, _)| name.starts_with(ALWAYS)) {
            return Ok(SoftirqThreads { threads });
        }
        Err(io::Error::other(format!(
            "this kernel wakes workers from threads of its own (PREEMPT_RT, or thread_backlog_napi), and /proc does \
             not show {ALWAYS}/{cpu}: quiet cannot be told (run outside the container, where /proc shows all processes)"
        )))
    }

    /// The first that has work, if any has.
    pub fn busy(&self) -> io::Result<Option<&str>> {
        for (name, stat) in &self.threads {
            let mut buffer = [0; 512];
            let length = stat.read_at(&mut buffer, 0)?;
            if stat::state(&String::from_utf8_lossy(&buffer[..length])) != Some('S') {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }
}

fn threaded(realtime: bool, command_line: &str) -> bool {
    realtime || backlog_threads(command_line)
}

/// Whether a kernel was booted with threads for packets on loopback.
pub fn backlog_threads(command_line: &str) -> bool {
    command_line.split_ascii_whitespace().any(|word| word.starts_with("thread_backlog_napi"))
}

fn is_one(name: &str, cpu: usize) -> bool {
    name.split_once('/').is_some_and(|(what, of)| NAMES.contains(&what) && of == cpu.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threads_of_one_cpu_are_told_from_the_others() {
        assert!(is_one("ksoftirqd/1", 1) && is_one("backlog_napi/1", 1) && is_one("ktimers/1", 1));
        assert!(!is_one("ksoftirqd/11", 1) && !is_one("kworker/1", 1) && !is_one("ksoftirqd", 1));
        assert!(!is_one("migration/1", 1) && !is_one("", 0));
    }

    #[test]
    fn only_kernels_with_such_threads_are_looked_at() {
        assert!(threaded(true, "quiet"));
        assert!(threaded(false, "quiet thread_backlog_napi panic=-1"));
        assert!(!threaded(false, "quiet"));
    }

    #[test]
    fn a_thread_that_runs_is_busy_and_one_that_sleeps_is_not() {
        let of = |pid: &str| File::open(format!("/proc/{pid}/stat")).unwrap();
        // Who reads its own state runs.
        let threads = SoftirqThreads { threads: vec![("ksoftirqd/0".into(), of("thread-self"))] };
        assert_eq!(threads.busy().unwrap(), Some("ksoftirqd/0"));
        assert_eq!(SoftirqThreads::default().busy().unwrap(), None);
    }
}
