//! Other kernels in QEMU, or run as programs, with herd itself as `/init`.
//!
//! `kernel` finds a kernel in what the user names, `package` unpacks it, `archive`
//! packs ourselves and the plan into initramfs images in memory, `qemu` starts and
//! watches guests, `command_line` and `uml` are how they are started, `farm` runs many,
//! `guest` is what runs inside as PID 1, `protocol` is what the two say to each
//! other, `console` reads what the kernel prints. Knows cells and results, not
//! waits. Nothing is written to disk: images are memory that QEMU reads through
//! /proc/PID/fd.

pub mod archive;
mod command_line;
pub mod console;
pub mod farm;
pub mod guest;
pub mod kernel;
pub mod package;
pub mod protocol;
pub mod qemu;
pub mod uml;

use nix::sys::memfd::{MFdFlags, memfd_create};

/// An empty file that lives in memory alone, as `name` in /proc (memfd_create(2)).
pub fn memory(name: &str) -> std::io::Result<std::fs::File> {
    Ok(memfd_create(name, MFdFlags::MFD_CLOEXEC)?.into())
}
