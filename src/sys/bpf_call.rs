//! bpf(2) itself: make a map, load a program, attach it, ask about it.
//!
//! It must never interpret a result beyond the errno, and keeps no state; every
//! descriptor it returns is owned by the caller and close-on-exec.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::bpf_asm::Insn;
use super::bpf_error::BpfError;
use super::tracepoint::{self, Tracepoint};

/// Not "GPL" alone: the instructions are ours, and the kernel asks only that
/// they be compatible.
const LICENSE: &[u8] = b"Dual MIT/GPL\0";

const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_MAP_LOOKUP_ELEM: libc::c_int = 1;
const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
const BPF_MAP_DELETE_ELEM: libc::c_int = 3;
const BPF_MAP_GET_NEXT_KEY: libc::c_int = 4;
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;

const BPF_NOEXIST: u64 = 1;
const BPF_PROG_TYPE_SOCKET_FILTER: u32 = 1;
const BPF_PROG_TYPE_TRACEPOINT: u32 = 5;

/// `_IOW('$', 8, __u32)`.
const PERF_EVENT_IOC_SET_BPF: libc::c_ulong = 0x4004_2408;

/// Room for the verifier's log; ours are a few KiB.
const LOG_BYTES: usize = 1 << 18;

/// The kinds of map we use; keys are u32 in all.
#[derive(Clone, Copy)]
pub enum MapKind {
    Hash,
    Array,
    /// Linux 5.5.
    MappableArray,
}

// Prefixes of `union bpf_attr`: the kernel takes any length and reads the rest
// as 0. Each field lies where bpf.h puts it, with no implicit padding.

#[repr(C)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
}

#[repr(C)]
struct MapUpdate {
    map_fd: u32,
    _pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    /// At most 15 bytes and a 0; bpftool shows it.
    prog_name: [u8; 16],
}

#[repr(C)]
struct GetInfo {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// `struct bpf_prog_info` up to the one field we read.
#[repr(C)]
struct ProgInfo {
    before: [u64; 26],
    recursion_misses: u64,
}

/// bpf(2). The result is a descriptor for some commands.
///
/// # Safety
/// Every address in `attr` must point to memory of the length that the command
/// reads or writes there, alive during the call.
unsafe fn bpf<T>(command: libc::c_int, attr: &mut T) -> io::Result<i32> {
    // SAFETY: the kernel accesses size_of::<T>() bytes of `attr`, all of them
    // initialised, as T has no padding; the caller vouches for what they point to.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<T>() as libc::c_uint) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result as i32)
}

pub fn create_map(kind: MapKind, value_size: u32, max_entries: u32) -> Result<OwnedFd, BpfError> {
    let (map_type, map_flags) = match kind {
        MapKind::Hash => (1, 0),
        MapKind::Array => (2, 0),
        MapKind::MappableArray => (2, 1 << 10),
    };
    let mut attr = MapCreate { map_type, key_size: 4, value_size, max_entries, map_flags };
    // SAFETY: the attributes hold no address.
    let fd = unsafe { bpf(BPF_MAP_CREATE, &mut attr) }.map_err(BpfError::CreateMap)?;
    // SAFETY: the kernel just made this descriptor, close-on-exec, for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// map[key] = value, for a new key.
pub fn insert(map: &OwnedFd, key: u32, value: u32) -> io::Result<()> {
    let mut attr = MapUpdate {
        map_fd: map.as_raw_fd() as u32,
        _pad: 0,
        key: &raw const key as u64,
        value: &raw const value as u64,
        flags: BPF_NOEXIST,
    };
    // SAFETY: key and value are locals of four bytes each, the sizes that the
    // only map we insert into was made with.
    unsafe { bpf(BPF_MAP_UPDATE_ELEM, &mut attr) }.map(drop)
}

/// map[index] = value, of an array whose elements are so long.
pub fn write<const BYTES: usize>(map: &OwnedFd, index: u32, value: &[u8; BYTES]) -> io::Result<()> {
    let key = &raw const index as u64;
    let mut attr = MapUpdate { map_fd: map.as_raw_fd() as u32, _pad: 0, key, value: value.as_ptr() as u64, flags: 0 };
    // SAFETY: the key is a local of four bytes; the kernel reads the size that the map
    // was made with, which the caller says is `BYTES`.
    unsafe { bpf(BPF_MAP_UPDATE_ELEM, &mut attr) }.map(drop)
}

/// Some key of the map, unless it is empty.
pub fn first_key(map: &OwnedFd) -> io::Result<Option<u32>> {
    let mut found = 0u32;
    let value = &raw mut found as u64;
    let mut attr = MapUpdate { map_fd: map.as_raw_fd() as u32, _pad: 0, key: 0, value, flags: 0 };
    // SAFETY: without a key the kernel writes the first one, of four bytes, into a local.
    match unsafe { bpf(BPF_MAP_GET_NEXT_KEY, &mut attr) } {
        Ok(_) => Ok(Some(found)),
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(e) => Err(e),
    }
}

/// What a key of the map has.
pub fn value_of(map: &OwnedFd, key: u32) -> io::Result<u32> {
    let mut found = 0u32;
    let (key, value) = (&raw const key as u64, &raw mut found as u64);
    let mut attr = MapUpdate { map_fd: map.as_raw_fd() as u32, _pad: 0, key, value, flags: 0 };
    // SAFETY: the kernel reads a key of four bytes and writes a value of four, the size
    // that the only map we ask was made with, into locals.
    unsafe { bpf(BPF_MAP_LOOKUP_ELEM, &mut attr) }.map(|_| found)
}

/// Returns when every program that runs on any CPU now has ended: they run without
/// preemption, for which RCU waits (membarrier(2), MEMBARRIER_CMD_GLOBAL).
pub fn await_running_programs() -> io::Result<()> {
    const GLOBAL: libc::c_int = 1;
    // SAFETY: the call takes numbers alone.
    match unsafe { libc::syscall(libc::SYS_membarrier, GLOBAL, 0, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Takes a key out of the map.
pub fn remove(map: &OwnedFd, key: u32) -> io::Result<()> {
    let key = &raw const key as u64;
    let mut attr = MapUpdate { map_fd: map.as_raw_fd() as u32, _pad: 0, key, value: 0, flags: 0 };
    // SAFETY: the kernel reads a key of four bytes from a local.
    unsafe { bpf(BPF_MAP_DELETE_ELEM, &mut attr) }.map(drop)
}

/// Loads a program for a tracepoint.
pub fn load(name: &'static str, code: &[Insn]) -> Result<OwnedFd, BpfError> {
    load_as(BPF_PROG_TYPE_TRACEPOINT, name, code)
}

/// Loads a program that looks at packets.
pub fn load_socket_filter(name: &'static str, code: &[Insn]) -> Result<OwnedFd, BpfError> {
    load_as(BPF_PROG_TYPE_SOCKET_FILTER, name, code)
}

/// A refusal is repeated with the verifier's log on.
fn load_as(prog_type: u32, name: &'static str, code: &[Insn]) -> Result<OwnedFd, BpfError> {
    let mut prog_name = [0; 16];
    let shown = name.len().min(15);
    prog_name[..shown].copy_from_slice(&name.as_bytes()[..shown]);
    let mut attr = ProgLoad {
        prog_type,
        insn_cnt: code.len() as u32,
        insns: code.as_ptr() as u64,
        license: LICENSE.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
        prog_name,
    };
    // SAFETY: `insns` are `insn_cnt` instructions of eight bytes in `code`, the
    // license ends in 0, and there is no log buffer.
    let error = match unsafe { bpf(BPF_PROG_LOAD, &mut attr) } {
        // SAFETY: the kernel just made this descriptor, close-on-exec, for us.
        Ok(fd) => return Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        Err(error) => error,
    };
    let mut log = vec![0u8; LOG_BYTES];
    attr.log_level = 1;
    attr.log_size = log.len() as u32;
    attr.log_buf = log.as_mut_ptr() as u64;
    // SAFETY: as above; the log buffer is `log_size` bytes that we own.
    if let Ok(fd) = unsafe { bpf(BPF_PROG_LOAD, &mut attr) } {
        // Refused once and taken now, e.g. for memory that is free again.
        // SAFETY: the kernel just made this descriptor, close-on-exec, for us.
        return Ok(unsafe { OwnedFd::from_raw_fd(fd) });
    }
    let end = log.iter().position(|&byte| byte == 0).unwrap_or(log.len());
    let log = String::from_utf8_lossy(&log[..end]).into_owned();
    Err(BpfError::Load(name, error, log))
}

/// Runs the program at each hit of the tracepoint on every CPU, until the
/// returned event is closed. The event is bound to CPU 0 and stays disabled:
/// it only holds the program, which hangs on the tracepoint itself.
pub fn attach(tracepoint: &Tracepoint, program: &OwnedFd) -> Result<OwnedFd, BpfError> {
    let refused = |e| BpfError::Attach(tracepoint.name, e);
    let event = tracepoint::open_event(tracepoint, 0, 0).map_err(refused)?;
    // SAFETY: this request takes a descriptor by value and no address.
    let result = unsafe { libc::ioctl(event.as_raw_fd(), PERF_EVENT_IOC_SET_BPF, program.as_raw_fd()) };
    if result < 0 {
        return Err(refused(io::Error::last_os_error()));
    }
    Ok(event)
}

/// How often the kernel left the program out. See `BpfCounter::missed`.
pub fn recursion_misses(name: &'static str, program: &OwnedFd) -> Result<u64, BpfError> {
    let mut info = ProgInfo { before: [0; 26], recursion_misses: 0 };
    let mut attr = GetInfo {
        bpf_fd: program.as_raw_fd() as u32,
        info_len: size_of::<ProgInfo>() as u32,
        info: &raw mut info as u64,
    };
    // SAFETY: the kernel writes at most `info_len` bytes into `info`, which is
    // that long; lengths inside it are 0, so it follows no address there.
    unsafe { bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr) }.map_err(|e| BpfError::Missed(name, e))?;
    // The kernel shortens the length to what it knows.
    if (attr.info_len as usize) < size_of::<ProgInfo>() {
        return Err(BpfError::MissedUnknown);
    }
    Ok(info.recursion_misses)
}

/// Before Linux 5.11 maps and programs are charged to RLIMIT_MEMLOCK, which is
/// often 64 KiB. Lifts it, as far as we may, and puts it back when dropped: the
/// workers of an experiment should not inherit our limit.
pub struct LockedMemoryLimit {
    before: Option<libc::rlimit>,
}

impl LockedMemoryLimit {
    pub fn lift() -> LockedMemoryLimit {
        let mut before = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the kernel writes one rlimit, into a local.
        if unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut before) } != 0 {
            return LockedMemoryLimit { before: None };
        }
        let unlimited = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
        let up_to_hard = libc::rlimit { rlim_cur: before.rlim_max, rlim_max: before.rlim_max };
        // Beyond the hard limit takes CAP_SYS_RESOURCE. A failure of both is
        // told by the call that needs the memory.
        for wanted in [unlimited, up_to_hard] {
            // SAFETY: the kernel reads one rlimit, a local.
            if unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &wanted) } == 0 {
                break;
            }
        }
        LockedMemoryLimit { before: Some(before) }
    }
}

impl Drop for LockedMemoryLimit {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // SAFETY: the kernel reads one rlimit that we own. Lowering a limit
            // to what it was cannot fail.
            unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, before) };
        }
    }
}
