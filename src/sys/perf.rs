//! Counts the sleeps of all threads with a given name, with one perf counter
//! per CPU on sched_switch and a filter in the kernel.
//!
//! The second source beside the BPF counter, for the whole group and not per
//! worker. It must never return a number that it knows to be short: unknown
//! CPUs and lost time are errors. It cannot see another tool's BPF program that
//! returns 0 on this tracepoint, which keeps all perf counters at 0 silently:
//! hence the self-test at start.

use std::ffi::CString;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};

use super::calls::ACCEPT;
use super::tracepoint::{self, Tracepoint, TracepointError};

/// `struct task_struct` keeps 16 bytes of a name, the last of them 0.
const COMM_BYTES: usize = 15;

/// PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING.
const READ_FORMAT: u64 = 1 | 2;

/// `_IO('$', 0)` and `_IOW('$', 6, char *)`.
const PERF_EVENT_IOC_ENABLE: libc::c_ulong = 0x2400;
const PERF_EVENT_IOC_SET_FILTER: libc::c_ulong = 0x4008_2406;

const ONLINE: &str = "/sys/devices/system/cpu/online";

/// `prev_state` as the tracepoint shows it: S, and D.
const SLEEPING: u32 = 1;
const DISK_SLEEP: u32 = 2;

/// Of what an event counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    Cpu(u32),
    Thread(u32),
}

impl fmt::Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Of::Cpu(cpu) => write!(f, "on CPU {cpu}"),
            Of::Thread(tid) => write!(f, "of thread {tid}"),
        }
    }
}

#[derive(Debug)]
pub enum PerfError {
    Tracepoint(TracepointError),
    BadComm(String),
    Cpus(String),
    Open(Of, io::Error),
    Filter(String, io::Error),
    Enable(Of, io::Error),
    Read(Of, io::Error),
    /// Nanoseconds enabled, nanoseconds running.
    LostTime(Of, u64, u64),
    /// The list of CPUs before and now.
    CpusChanged(String, String),
}

/// Two counters per CPU: sleeps and D-sleeps of the threads named `comm`.
pub struct PerfCounter {
    online: String,
    sleeps: Vec<Counter>,
    d_sleeps: Vec<Counter>,
}

struct Counter {
    of: Of,
    file: File,
}

impl PerfCounter {
    /// Counting starts here. `comm` is matched when a thread leaves its CPU.
    pub fn open(comm: &str) -> Result<PerfCounter, PerfError> {
        check_comm(comm)?;
        let switch = Tracepoint::sched("sched_switch").map_err(PerfError::Tracepoint)?;
        let online = online()?;
        let cpus = parse_cpus(&online).ok_or_else(|| PerfError::Cpus(online.clone()))?;
        let open_all = |state| -> Result<Vec<Counter>, PerfError> {
            let filter = format!("prev_comm==\"{comm}\" && prev_state=={state}");
            cpus.iter().map(|&cpu| Counter::open(&switch, cpu, &filter)).collect()
        };
        Ok(PerfCounter { sleeps: open_all(SLEEPING)?, d_sleeps: open_all(DISK_SLEEP)?, online })
    }

    /// Switch-outs in state S, over all CPUs.
    pub fn sleeps(&self) -> Result<u64, PerfError> {
        self.sum(&self.sleeps)
    }

    /// Switch-outs in state D, over all CPUs.
    pub fn d_sleeps(&self) -> Result<u64, PerfError> {
        self.sum(&self.d_sleeps)
    }

    fn sum(&self, counters: &[Counter]) -> Result<u64, PerfError> {
        // A CPU that came would count nothing, one that went has lost its
        // counter.
        let now = online()?;
        if now != self.online {
            return Err(PerfError::CpusChanged(self.online.clone(), now));
        }
        counters.iter().map(Counter::read).sum()
    }
}

/// Counters of one thread: its sleeps, and what its calls of accept(2) came to. For a
/// server that is not ours, whose threads have any names.
pub struct ThreadCounter {
    sleeps: Counter,
    accepts: Counter,
    empties: Counter,
}

/// What is counted of each thread, found once for all of them.
pub struct ThreadEvents {
    switch: Tracepoint,
    call: Tracepoint,
}

impl ThreadEvents {
    /// Looks the tracepoints up.
    pub fn find() -> Result<ThreadEvents, PerfError> {
        Ok(ThreadEvents {
            switch: Tracepoint::sched("sched_switch").map_err(PerfError::Tracepoint)?,
            call: Tracepoint::system_call().map_err(PerfError::Tracepoint)?,
        })
    }

    /// Counting starts here. A thread's counter sees what happens while the thread is
    /// current, which is right for its own switch-outs and calls.
    pub fn open(&self, tid: u32) -> Result<ThreadCounter, PerfError> {
        let ids: Vec<String> = ACCEPT.iter().map(|call| format!("id=={call}")).collect();
        let accept = format!("({})", ids.join(" || "));
        Ok(ThreadCounter {
            sleeps: Counter::of_thread(&self.switch, tid, &format!("prev_state=={SLEEPING}"))?,
            accepts: Counter::of_thread(&self.call, tid, &format!("{accept} && ret >= 0"))?,
            empties: Counter::of_thread(&self.call, tid, &format!("{accept} && ret == -{}", libc::EAGAIN))?,
        })
    }
}

impl ThreadCounter {
    /// Switch-outs in state S, connections got, EAGAIN from accept.
    pub fn read(&self) -> Result<[u64; 3], PerfError> {
        Ok([self.sleeps.read()?, self.accepts.read()?, self.empties.read()?])
    }
}

impl Counter {
    fn open(switch: &Tracepoint, cpu: u32, filter: &str) -> Result<Counter, PerfError> {
        let of = Of::Cpu(cpu);
        let event = tracepoint::open_event(switch, cpu, READ_FORMAT).map_err(|e| PerfError::Open(of, e))?;
        Self::start(event, of, filter)
    }

    fn of_thread(tracepoint: &Tracepoint, tid: u32, filter: &str) -> Result<Counter, PerfError> {
        let of = Of::Thread(tid);
        let event = tracepoint::open_event_of(tracepoint, tid, READ_FORMAT).map_err(|e| PerfError::Open(of, e))?;
        Self::start(event, of, filter)
    }

    fn start(event: OwnedFd, of: Of, filter: &str) -> Result<Counter, PerfError> {
        let text = CString::new(filter).expect("check_comm allows no zero byte");
        // SAFETY: the kernel copies a string that ends in 0 and lives until the
        // call returns.
        let result = unsafe { libc::ioctl(event.as_raw_fd(), PERF_EVENT_IOC_SET_FILTER, text.as_ptr()) };
        if result < 0 {
            let e = io::Error::last_os_error();
            return Err(PerfError::Filter(filter.to_owned(), e));
        }
        // SAFETY: this request takes a number and no address.
        let result = unsafe { libc::ioctl(event.as_raw_fd(), PERF_EVENT_IOC_ENABLE, 0) };
        if result < 0 {
            return Err(PerfError::Enable(of, io::Error::last_os_error()));
        }
        Ok(Counter { of, file: File::from(event) })
    }

    fn read(&self) -> Result<u64, PerfError> {
        let mut words = [[0; 8]; 3];
        // Short or empty when the event is in error; read_exact says so.
        (&self.file).read_exact(words.as_flattened_mut()).map_err(|e| PerfError::Read(self.of, e))?;
        let [count, enabled, running] = words.map(u64::from_ne_bytes);
        if enabled != running {
            return Err(PerfError::LostTime(self.of, enabled, running));
        }
        Ok(count)
    }
}

/// The filter language has quotes, globs and operators, and no escapes.
fn check_comm(comm: &str) -> Result<(), PerfError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if comm.is_empty() || comm.len() > COMM_BYTES || !comm.chars().all(plain) {
        return Err(PerfError::BadComm(comm.to_owned()));
    }
    Ok(())
}

fn online() -> Result<String, PerfError> {
    match fs::read_to_string(ONLINE) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(e) => Err(PerfError::Cpus(format!("cannot read {ONLINE}: {e}"))),
    }
}

/// "0-3,5" is 0, 1, 2, 3, 5.
fn parse_cpus(list: &str) -> Option<Vec<u32>> {
    let mut cpus = Vec::new();
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        cpus.extend(first.parse::<u32>().ok()?..=last.parse().ok()?);
    }
    Some(cpus)
}

impl fmt::Display for PerfError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            PerfError::Tracepoint(e) => e.fmt(f),
            PerfError::BadComm(comm) => write!(
                f,
                "cannot filter on the thread name \"{comm}\" \
                 (use 1 to {COMM_BYTES} letters, digits, - or _)"
            ),
            PerfError::Cpus(text) => write!(f, "cannot tell which CPUs are online: {text}"),
            PerfError::Open(of, e) => {
                write!(f, "cannot open a perf counter {of}: {e}{}", advice(e))
            }
            PerfError::Filter(text, e) => {
                write!(f, "cannot set the perf filter {text}: {e}")
            }
            PerfError::Enable(of, e) => {
                write!(f, "cannot start the perf counter {of}: {e}")
            }
            PerfError::Read(of, e) => {
                write!(f, "cannot read the perf counter {of}: {e}")
            }
            PerfError::LostTime(of, enabled, running) => write!(
                f,
                "the perf counter {of} ran for {running} of {enabled} ns: \
                 its count is short"
            ),
            PerfError::CpusChanged(before, now) => {
                write!(f, "CPUs {before} were online and now {now} are: the count is short (run again)")
            }
        }
    }
}

/// The next step for an errno of perf_event_open(2).
fn advice(e: &io::Error) -> &'static str {
    match e.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => " (needs CAP_PERFMON, or root)",
        Some(libc::EMFILE) => " (raise the limit: ulimit -n)",
        _ => "",
    }
}

impl std::error::Error for PerfError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists_are_ranges_and_numbers() {
        assert_eq!(parse_cpus("0-2,5"), Some(vec![0, 1, 2, 5]));
        assert_eq!(parse_cpus("0"), Some(vec![0]));
        assert_eq!(parse_cpus(""), None);
    }

    #[test]
    fn an_error_says_of_which_counter_it_is() {
        let gone = || io::Error::from_raw_os_error(libc::ENOENT);
        let said = |of| PerfError::Read(of, gone()).to_string();
        assert!(said(Of::Thread(77)).starts_with("cannot read the perf counter of thread 77: "));
        assert!(said(Of::Cpu(0)).starts_with("cannot read the perf counter on CPU 0: "));
    }

    #[test]
    fn names_that_the_filter_would_misread_are_refused() {
        assert!(check_comm("herd-1a2b").is_ok());
        for bad in ["", "sixteen-letters-", "a\"b", "a*b"] {
            assert!(check_comm(bad).is_err(), "{bad}");
        }
    }
}
