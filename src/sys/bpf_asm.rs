//! A tiny BPF assembler: the few instructions our programs use, with
//! labels for forward jumps.
//!
//! It only builds instructions. It must never load, run or interpret them, and
//! it knows nothing of maps but their descriptor number (see
//! Documentation/bpf/standardization/instruction-set.rst of the kernel).

use std::os::fd::RawFd;

/// One BPF register.
#[derive(Clone, Copy)]
pub struct Reg(u8);

/// Return value of a program and of a helper.
pub const R0: Reg = Reg(0);
/// First argument: the context at entry, then whatever a helper takes.
pub const R1: Reg = Reg(1);
/// Second argument of a helper.
pub const R2: Reg = Reg(2);
/// R6 to R9 survive a helper call; R0 to R5 do not.
pub const R6: Reg = Reg(6);
pub const R7: Reg = Reg(7);
pub const R8: Reg = Reg(8);
/// The frame pointer, read only; the stack grows down from it.
pub const FP: Reg = Reg(10);

/// How many bytes a load or store moves.
#[derive(Clone, Copy)]
pub enum Size {
    U32,
    U64,
}

/// Helper functions of the kernel, by their number in bpf.h.
#[derive(Clone, Copy)]
pub enum Helper {
    MapLookupElem = 1,
    KtimeGetNs = 5,
    GetSmpProcessorId = 8,
    GetCurrentPidTgid = 14,
}

/// `struct bpf_insn`. The two register numbers share a byte, destination low.
/// That is right on little endian only, hence the check below.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Insn {
    code: u8,
    regs: u8,
    off: i16,
    imm: i32,
}

#[cfg(target_endian = "big")]
compile_error!("struct bpf_insn has its register fields swapped on big endian");

/// A place to jump to, bound once, usually after the jumps.
#[derive(Clone, Copy)]
pub struct Label(usize);

/// A program being written.
#[derive(Default)]
pub struct Asm {
    code: Vec<Insn>,
    jumps: Vec<(usize, Label)>,
    places: Vec<Option<usize>>,
}

impl Asm {
    pub fn label(&mut self) -> Label {
        self.places.push(None);
        Label(self.places.len() - 1)
    }

    /// Jumps to `label` land on the next instruction.
    pub fn bind(&mut self, label: Label) {
        self.places[label.0] = Some(self.code.len());
    }

    pub fn mov(&mut self, dst: Reg, src: Reg) {
        self.push(0xbf, dst, src, 0, 0);
    }

    pub fn mov_imm(&mut self, dst: Reg, imm: i32) {
        self.push(0xb7, dst, R0, 0, imm);
    }

    pub fn add_imm(&mut self, dst: Reg, imm: i32) {
        self.push(0x07, dst, R0, 0, imm);
    }

    pub fn and_imm(&mut self, dst: Reg, imm: i32) {
        self.push(0x57, dst, R0, 0, imm);
    }

    /// dst %= imm, unsigned; not by 0.
    pub fn mod_imm(&mut self, dst: Reg, imm: i32) {
        self.push(0x97, dst, R0, 0, imm);
    }

    /// dst = *(src + off)
    pub fn load(&mut self, size: Size, dst: Reg, src: Reg, off: i16) {
        self.push(0x61 | size.bits(), dst, src, off, 0);
    }

    /// *(dst + off) = src
    pub fn store(&mut self, size: Size, dst: Reg, off: i16, src: Reg) {
        self.push(0x63 | size.bits(), dst, src, off, 0);
    }

    /// *(dst + off) = imm
    pub fn store_imm(&mut self, size: Size, dst: Reg, off: i16, imm: i32) {
        self.push(0x62 | size.bits(), dst, R0, off, imm);
    }

    /// *(u64 *)(dst + off) += src, atomically. The one atomic operation that
    /// kernels before 5.12 have.
    pub fn atomic_add(&mut self, dst: Reg, off: i16, src: Reg) {
        self.push(0xdb, dst, src, off, 0);
    }

    pub fn call(&mut self, helper: Helper) {
        self.push(0x85, R0, R0, 0, helper as i32);
    }

    /// dst = the map behind `fd`; the kernel replaces the number at load time.
    /// Takes two instructions.
    pub fn map(&mut self, dst: Reg, fd: RawFd) {
        const PSEUDO_MAP_FD: Reg = Reg(1);
        self.push(0x18, dst, PSEUDO_MAP_FD, 0, fd);
        self.push(0x00, R0, R0, 0, 0);
    }

    pub fn jump(&mut self, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.push(0x05, R0, R0, 0, 0);
    }

    pub fn jump_if_eq(&mut self, reg: Reg, imm: i32, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.push(0x15, reg, R0, 0, imm);
    }

    pub fn jump_if_ne(&mut self, reg: Reg, imm: i32, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.push(0x55, reg, R0, 0, imm);
    }

    /// Signed; the register is 64 bits wide. Linux 4.14.
    pub fn jump_if_below(&mut self, reg: Reg, imm: i32, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.push(0xc5, reg, R0, 0, imm);
    }

    pub fn exit(&mut self) {
        self.push(0x95, R0, R0, 0, 0);
    }

    /// The finished program, with every jump resolved.
    pub fn finish(mut self) -> Vec<Insn> {
        for (at, label) in self.jumps {
            let place = self.places[label.0].expect("every label is bound by its author");
            let distance = place as i64 - at as i64 - 1;
            self.code[at].off = i16::try_from(distance).expect("our programs are short");
        }
        self.code
    }

    fn push(&mut self, code: u8, dst: Reg, src: Reg, off: i16, imm: i32) {
        let regs = dst.0 | src.0 << 4;
        self.code.push(Insn { code, regs, off, imm });
    }
}

impl Size {
    fn bits(self) -> u8 {
        match self {
            Size::U32 => 0x00,
            Size::U64 => 0x18,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_count_from_the_next_instruction() {
        let mut asm = Asm::default();
        let end = asm.label();
        asm.jump_if_eq(R7, 0, end);
        asm.map(R1, 5);
        asm.bind(end);
        asm.exit();
        let code = asm.finish();
        assert_eq!(code.len(), 4);
        assert_eq!(code[0].off, 2);
        assert_eq!((code[1].code, code[1].regs, code[1].imm), (0x18, 0x11, 5));
    }

    #[test]
    fn an_instruction_is_eight_bytes_in_kernel_order() {
        let mut asm = Asm::default();
        asm.store(Size::U64, R7, 16, R0);
        let expected = Insn { code: 0x7b, regs: 0x07, off: 16, imm: 0 };
        assert_eq!(asm.finish(), [expected]);
        assert_eq!(size_of::<Insn>(), 8);
    }
}
