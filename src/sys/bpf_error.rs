//! Why the BPF counter cannot be had, in words that say what to do.
//!
//! One variant per failed operation. It must never decide anything: errno is
//! kept, and only its meaning is spelled out.

use std::fmt;
use std::io;

use super::tracepoint::TracepointError;

/// Lines of the verifier's log that are worth showing: the reason is last.
const LOG_LINES: usize = 6;

#[derive(Debug)]
pub enum BpfError {
    /// What `/proc/self/ns/pid` says.
    PidNamespace(String),
    NoProc(&'static str, io::Error),
    Tracepoint(TracepointError),
    CreateMap(io::Error),
    Mmap(io::Error),
    /// Program, errno, verifier's log.
    Load(&'static str, io::Error, String),
    Attach(&'static str, io::Error),
    /// Slot asked for, slots there are.
    NoSuchSlot(usize, usize),
    Watch(u32, io::Error),
    Clear(io::Error),
    Missed(&'static str, io::Error),
    /// Before Linux 5.12.
    MissedUnknown,
}

impl fmt::Display for BpfError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            BpfError::PidNamespace(found) => write!(
                f,
                "thread ids in tracepoints are those of the initial pid namespace, and \
                 this is {found} (run outside the container, or with --pid=host)"
            ),
            BpfError::NoProc(path, e) => write!(f, "cannot read {path}: {e} (is /proc mounted?)"),
            BpfError::Tracepoint(e) => e.fmt(f),
            BpfError::CreateMap(e) => write!(f, "cannot create a bpf map: {e}{}", advice(e)),
            BpfError::Mmap(e) => write!(f, "cannot map a bpf array: {e}{}", advice(e)),
            BpfError::Load(program, e, log) => {
                // A verifier that has got so far as to complain is not about
                // privileges, whatever the errno.
                let advice = match log.is_empty() {
                    true => advice(e),
                    false => " (a kernel we do not know; send us these lines)",
                };
                write!(f, "cannot load bpf program {program}: {e}{advice}")?;
                let lines: Vec<&str> = log.lines().collect();
                for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
                    write!(f, "\n  verifier: {line}")?;
                }
                Ok(())
            }
            BpfError::Attach(event, e) => {
                let advice = advice(e);
                write!(f, "cannot attach a bpf program to {event}: {e}{advice}")
            }
            BpfError::NoSuchSlot(slot, slots) => {
                write!(f, "cannot watch slot {slot}: the counter has {slots}")
            }
            BpfError::Watch(tid, e) => {
                write!(f, "cannot watch thread {tid}: {e}")?;
                match e.raw_os_error() {
                    Some(libc::EEXIST) => write!(f, " (it is watched already)"),
                    Some(libc::E2BIG) => write!(f, " (all slots are taken)"),
                    _ => Ok(()),
                }
            }
            BpfError::Clear(e) => write!(f, "cannot clear a bpf map: {e}"),
            BpfError::Missed(program, e) => {
                write!(f, "cannot ask for the missed runs of {program}: {e}")
            }
            BpfError::MissedUnknown => write!(
                f,
                "this kernel does not count missed runs of bpf programs \
                 (Linux 5.12 does; compare sleeps with voluntary_ctxt_switches instead)"
            ),
        }
    }
}

/// The next step for an errno of bpf(2) or perf_event_open(2).
fn advice(e: &io::Error) -> &'static str {
    match e.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            " (needs CAP_BPF and CAP_PERFMON, or root; in a container also a seccomp \
             profile that allows it; before Linux 5.11 also a higher ulimit -l)"
        }
        Some(libc::ENOSYS) => " (this kernel was built without it: CONFIG_BPF_SYSCALL)",
        Some(libc::EINVAL) => " (needs Linux 5.5)",
        Some(libc::ENOMEM) => " (try fewer workers)",
        _ => "",
    }
}

impl std::error::Error for BpfError {}

impl From<TracepointError> for BpfError {
    fn from(e: TracepointError) -> BpfError {
        BpfError::Tracepoint(e)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_load_shows_the_end_of_the_log() {
        let log: String = (1..=20).map(|n| format!("line {n}\n")).collect();
        let refused = io::Error::from_raw_os_error(libc::EACCES);
        let text = BpfError::Load("sched_switch", refused, log).to_string();
        assert!(text.starts_with("cannot load bpf program sched_switch: Permission denied"));
        assert!(!text.contains("CAP_PERFMON"));
        assert!(!text.contains("line 14"));
        assert!(text.ends_with("verifier: line 20"));
    }
}
