//! The only unsafe code: memory shared over fork, fork itself, futexes, signal
//! handlers and the socket calls that no crate wraps as we need them.
//!
//! Everything exported is safe to call. This module imports nothing of ours.

#![allow(unsafe_code)]

pub mod fork;
pub mod futex;
pub mod pollset;
pub mod shared;
pub mod signal;
pub mod socket;
