//! Programs that choose the socket in a SO_REUSEPORT group (socket(7)).
//!
//! The kernel runs one for each incoming connection or datagram and takes its
//! answer as the number of the socket, in the order in which they joined; an
//! answer beyond the last one makes it use the hash after all
//! (net/core/sock_reuseport.c, `run_bpf_filter`). Must never be attached to a
//! socket that is not in its group yet, or it makes a group of its own.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::bpf_asm::{Asm, FP, Helper, Insn, R0, R1, R2, Size};
use super::bpf_call::{self, LockedMemoryLimit, MapKind};
use super::bpf_error::BpfError;

/// What to attach.
pub enum Program {
    /// Three classic instructions: the CPU modulo this number.
    ClassicCpu(u32),
    /// A loaded socket filter. It holds the map it uses.
    Loaded(OwnedFd),
}

impl Program {
    /// The number of the CPU the packet is handled on, modulo `sockets`.
    pub fn cpu(sockets: u32) -> io::Result<Program> {
        load("herd_cpu", &cpu(sockets))
    }

    /// 0, 1, .. `sockets` - 1, 0, .. over all runs.
    pub fn rotation(sockets: u32) -> io::Result<Program> {
        let _limit = LockedMemoryLimit::lift();
        let counter = bpf_call::create_map(MapKind::Array, size_of::<u64>() as u32, 1).map_err(reason)?;
        load("herd_rotation", &rotation(sockets, &counter))
    }

    /// Lets the program choose in the whole group of `member`, also for sockets
    /// that join later.
    pub fn attach(&self, member: BorrowedFd<'_>) -> Result<(), Errno> {
        match self {
            Program::ClassicCpu(sockets) => attach_classic(member, &mut classic_cpu(*sockets)),
            Program::Loaded(program) => set(member, libc::SO_ATTACH_REUSEPORT_EBPF, &program.as_raw_fd()),
        }
    }
}

/// Lets socket number `index` of the group of `member` have everything.
pub fn choose(member: BorrowedFd<'_>, index: u32) -> Result<(), Errno> {
    attach_classic(member, &mut [step(libc::BPF_RET | libc::BPF_K, index)])
}

/// Lets the first byte of each datagram, modulo `sockets`, choose in the group of
/// `member`.
pub fn choose_by_first_byte(member: BorrowedFd<'_>, sockets: u32) -> Result<(), Errno> {
    attach_classic(member, &mut classic_first_byte(sockets))
}

fn attach_classic(member: BorrowedFd<'_>, code: &mut [libc::sock_filter]) -> Result<(), Errno> {
    let program = libc::sock_fprog { len: code.len() as u16, filter: code.as_mut_ptr() };
    set(member, libc::SO_ATTACH_REUSEPORT_CBPF, &program)
}

fn load(name: &'static str, code: &[Insn]) -> io::Result<Program> {
    let _limit = LockedMemoryLimit::lift();
    bpf_call::load_socket_filter(name, code).map(Program::Loaded).map_err(reason)
}

/// What the kernel said; the words about it are for who asks the probe.
fn reason(error: BpfError) -> io::Error {
    match error {
        BpfError::CreateMap(e) | BpfError::Load(_, e, _) => e,
        other => io::Error::other(other.to_string()),
    }
}

fn set<T>(socket: BorrowedFd<'_>, option: libc::c_int, value: &T) -> Result<(), Errno> {
    let length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel reads a number, or a program with its instructions, both
    // of which outlive the call.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, std::ptr::from_ref(value).cast(), length)
    };
    Errno::result(result).map(drop)
}

/// One classic instruction that does not jump.
fn step(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

/// ldb [0]; mod #sockets; ret a. The kernel shows the program a datagram without its
/// header (`run_bpf_filter`).
fn classic_first_byte(sockets: u32) -> [libc::sock_filter; 3] {
    [
        step(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0),
        step(libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K, sockets),
        step(libc::BPF_RET | libc::BPF_A, 0),
    ]
}

/// ld #cpu; mod #sockets; ret a
fn classic_cpu(sockets: u32) -> [libc::sock_filter; 3] {
    let cpu = (libc::SKF_AD_OFF + libc::SKF_AD_CPU) as u32;
    [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, cpu),
        step(libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K, sockets),
        step(libc::BPF_RET | libc::BPF_A, 0),
    ]
}

fn cpu(sockets: u32) -> Vec<Insn> {
    let mut asm = Asm::default();
    asm.call(Helper::GetSmpProcessorId);
    asm.mod_imm(R0, sockets as i32);
    asm.exit();
    asm.finish()
}

/// Load, then add: one atomic operation that gives the old value is younger than
/// these programs (5.12). Two CPUs at once may get the same number.
fn rotation(sockets: u32, counter: &OwnedFd) -> Vec<Insn> {
    const KEY: i16 = -4;
    let mut asm = Asm::default();
    let none = asm.label();
    asm.store_imm(Size::U32, FP, KEY, 0);
    asm.mov(R2, FP);
    asm.add_imm(R2, i32::from(KEY));
    asm.map(R1, counter.as_raw_fd());
    asm.call(Helper::MapLookupElem);
    asm.jump_if_eq(R0, 0, none);
    asm.load(Size::U64, R1, R0, 0);
    asm.mov_imm(R2, 1);
    asm.atomic_add(R0, 0, R2);
    asm.mov(R0, R1);
    asm.mod_imm(R0, sockets as i32);
    // Also the way out when the key is not found: then R0 is 0 already.
    asm.bind(none);
    asm.exit();
    asm.finish()
}
