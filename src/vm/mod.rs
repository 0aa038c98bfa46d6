//! Other kernels in QEMU, with herd itself as `/init`.
//!
//! `kernel` finds a kernel in what the user names, `archive` packs ourselves and
//! the plan into initramfs images in memory, `qemu` starts and watches guests,
//! `guest` is what runs inside as PID 1, `protocol` is what the two say to each
//! other, `console` reads what the kernel prints. Knows cells and results, not
//! waits. Nothing is written to disk: images are memory that QEMU reads through
//! /proc/PID/fd.

pub mod archive;
pub mod console;
pub mod guest;
pub mod kernel;
pub mod protocol;
pub mod qemu;
