//! The only unsafe code: memory shared over fork, fork itself, futexes, signal
//! handlers, the counters in the kernel, and the socket calls that no crate wraps
//! as we need them; and beside it the line of /proc that all of us read.
//!
//! Everything exported is safe to call. This module imports nothing of ours.

#![allow(unsafe_code)]

pub mod accept_lock;
pub mod boot;
pub mod bpf;
mod bpf_asm;
mod bpf_call;
mod bpf_error;
mod bpf_loaded;
mod bpf_programs;
pub mod by_number;
pub mod calls;
pub mod child;
pub mod clock;
pub mod cpus;
pub mod descriptors;
pub mod fork;
pub mod futex;
pub mod handover;
pub mod interrupt;
pub mod keeper;
pub mod lock;
pub mod perf;
pub mod pollset;
pub mod probing;
pub mod pthread;
pub mod realtime;
pub mod region;
pub mod ring;
pub mod same_file;
pub mod shared;
pub mod sigio;
pub mod signal;
pub mod socket;
pub mod spin;
pub mod stat;
pub mod steering;
pub mod sysv;
pub mod threads;
mod tracepoint;
pub mod tsc;
pub mod vfork;
