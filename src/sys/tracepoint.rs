//! Tracepoints: where tracefs is, what number a tracepoint has, at which offset
//! its fields lie, and how to open one as a perf event.
//!
//! Shared by the BPF and the perf counter. It must never mount tracefs where
//! anybody sees it, or write to it: the machine may be somebody else's. Where it
//! is not mounted, root gets a detached mount that ends with its descriptor.

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Where tracefs is mounted by custom; the second is the place before Linux 4.1.
const ROOTS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// Why a tracepoint cannot be used.
#[derive(Debug)]
pub enum TracepointError {
    NoTracefs,
    Read(PathBuf, io::Error),
    Malformed(PathBuf, String),
}

/// One tracepoint, as its `format` file describes it.
pub struct Tracepoint {
    pub name: &'static str,
    pub id: u64,
    path: PathBuf,
    format: String,
}

/// Where a field lies in the record that a BPF program gets as its context.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field {
    pub offset: i16,
    pub size: u8,
}

impl Tracepoint {
    pub fn sched(name: &'static str) -> Result<Tracepoint, TracepointError> {
        Self::of("sched", name)
    }

    /// The end of any system call of anybody, with its number and its result.
    pub fn system_call() -> Result<Tracepoint, TracepointError> {
        Self::of("raw_syscalls", "sys_exit")
    }

    fn of(group: &str, name: &'static str) -> Result<Tracepoint, TracepointError> {
        let root = tracefs()?;
        let path = root.path.join("events").join(group).join(name).join("format");
        let format = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) => return Err(TracepointError::Read(path, e)),
        };
        Tracepoint::parse(name, path, format)
    }

    fn parse(name: &'static str, path: PathBuf, format: String) -> Result<Tracepoint, TracepointError> {
        let id = format.lines().find_map(|line| line.strip_prefix("ID:")).and_then(|text| text.trim().parse().ok());
        match id {
            Some(id) => Ok(Tracepoint { name, id, path, format }),
            None => Err(TracepointError::Malformed(path, "ID".to_owned())),
        }
    }

    #[cfg(test)]
    pub fn for_test(format: String) -> Tracepoint {
        Tracepoint::parse("test", PathBuf::new(), format).expect("a test gives an ID")
    }

    pub fn field(&self, name: &str) -> Result<Field, TracepointError> {
        self.format
            .lines()
            .find_map(|line| parse_field(line, name))
            .ok_or_else(|| TracepointError::Malformed(self.path.clone(), name.to_owned()))
    }
}

/// Reads a line such as
/// `field:pid_t prev_pid; offset:24; size:4; signed:1;`, tabs between.
fn parse_field(line: &str, name: &str) -> Option<Field> {
    let mut parts = line.trim().split(';').map(str::trim);
    let declaration = parts.next()?.strip_prefix("field:")?;
    if declaration.split_whitespace().last()? != name {
        return None;
    }
    Some(Field {
        offset: parts.next()?.strip_prefix("offset:")?.parse().ok()?,
        size: parts.next()?.strip_prefix("size:")?.parse().ok()?,
    })
}

/// Where tracefs can be read, and what keeps it there.
struct Root {
    path: PathBuf,
    _detached: Option<OwnedFd>,
}

/// A tracefs of our own that is attached nowhere (fsopen(2), Linux 5.2; needs
/// CAP_SYS_ADMIN). Its files are reached through the descriptor.
fn detached() -> Option<Root> {
    const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
    const FS_CLOEXEC: libc::c_uint = 1;
    let owned = |fd: libc::c_long| {
        // SAFETY: the call just made this descriptor for us alone.
        (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd as i32) })
    };
    let null = std::ptr::null::<libc::c_char>();
    // SAFETY: the name is a C string, and no other memory is passed.
    let context = owned(unsafe { libc::syscall(libc::SYS_fsopen, c"tracefs".as_ptr(), FS_CLOEXEC) })?;
    let fd = context.as_raw_fd();
    // SAFETY: this command takes no key and no value.
    let made = unsafe { libc::syscall(libc::SYS_fsconfig, fd, FSCONFIG_CMD_CREATE, null, null, 0) };
    if made != 0 {
        return None;
    }
    // SAFETY: only numbers are passed.
    let mount = owned(unsafe { libc::syscall(libc::SYS_fsmount, fd, FS_CLOEXEC, 0) })?;
    Some(Root { path: format!("/proc/self/fd/{}", mount.as_raw_fd()).into(), _detached: Some(mount) })
}

fn tracefs() -> Result<Root, TracepointError> {
    mounted().or_else(|e| detached().ok_or(e))
}

fn mounted() -> Result<Root, TracepointError> {
    let mut denied = None;
    for root in ROOTS {
        let events = Path::new(root).join("events");
        match fs::metadata(&events) {
            Ok(_) => return Ok(Root { path: root.into(), _detached: None }),
            // Mode 0700 hides the events from everybody but root, so this
            // means "mounted, not for us". /sys/kernel/debug alone is 0700 too
            // and says nothing about tracefs: the first root decides.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                denied.get_or_insert((root, events, e));
            }
            Err(_) => {}
        }
    }
    match denied {
        Some((root, events, e)) if root == ROOTS[0] => Err(TracepointError::Read(events, e)),
        _ => Err(TracepointError::NoTracefs),
    }
}

impl fmt::Display for TracepointError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            TracepointError::NoTracefs => write!(
                f,
                "tracefs is not mounted at {} or {} \
                 (as root: mount -t tracefs tracefs {})",
                ROOTS[0], ROOTS[1], ROOTS[0]
            ),
            TracepointError::Read(path, e) => {
                let path = path.display();
                write!(f, "cannot read {path}: {e}")?;
                match e.kind() {
                    io::ErrorKind::PermissionDenied => write!(
                        f,
                        " (tracefs needs root; the counters then need \
                         CAP_PERFMON, and CAP_BPF for BPF)"
                    ),
                    io::ErrorKind::NotFound => {
                        write!(f, " (this kernel has no such tracepoint; it needs CONFIG_EVENT_TRACING)")
                    }
                    _ => Ok(()),
                }
            }
            TracepointError::Malformed(path, what) => {
                let path = path.display();
                write!(f, "no usable {what} in {path} (a kernel we do not know; send us that file)")
            }
        }
    }
}

impl std::error::Error for TracepointError {}

/// `struct perf_event_attr` in its first published size, which every kernel
/// takes: we use nothing newer.
#[repr(C)]
#[derive(Default)]
struct PerfEventAttr {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    bp_type: u32,
    bp_addr: u64,
}

/// Bit 0 of `flags`.
const DISABLED: u64 = 1;
const PERF_TYPE_TRACEPOINT: u32 = 2;
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 8;

/// Opens `tracepoint` for all tasks on one CPU, disabled. `read_format` says
/// what a read returns (perf_event_open(2)).
pub fn open_event(tracepoint: &Tracepoint, cpu: u32, read_format: u64) -> io::Result<OwnedFd> {
    let every_task = -1;
    open(tracepoint, every_task, cpu as libc::c_int, read_format)
}

/// The same for one thread on every CPU: what happens while that thread is current.
pub fn open_event_of(tracepoint: &Tracepoint, tid: u32, read_format: u64) -> io::Result<OwnedFd> {
    let every_cpu = -1;
    open(tracepoint, tid as libc::c_int, every_cpu, read_format)
}

fn open(tracepoint: &Tracepoint, tid: libc::c_int, cpu: libc::c_int, read_format: u64) -> io::Result<OwnedFd> {
    let attr = PerfEventAttr {
        kind: PERF_TYPE_TRACEPOINT,
        size: size_of::<PerfEventAttr>() as u32,
        config: tracepoint.id,
        read_format,
        flags: DISABLED,
        ..PerfEventAttr::default()
    };
    let no_group = -1;
    // SAFETY: the kernel reads `attr.size` bytes of `attr`, which is that long
    // and outlives the call; it keeps no pointer to it.
    let fd =
        unsafe { libc::syscall(libc::SYS_perf_event_open, &raw const attr, tid, cpu, no_group, PERF_FLAG_FD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_exact_name() {
        let line = "\tfield:pid_t prev_pid;\toffset:24;\tsize:4;\tsigned:1;";
        let field = Field { offset: 24, size: 4 };
        assert_eq!(parse_field(line, "prev_pid"), Some(field));
        assert_eq!(parse_field(line, "pid"), None);
        assert_eq!(parse_field("print fmt: \"field:pid\"", "pid"), None);
    }
}
