//! herd: a thundering-herd and wakeup experiment lab for Linux.
//!
//! Workers sleep on one shared object, one event happens, everybody sleeps
//! again; the lab counts who was woken in the kernel, who returned to user
//! space, who got the work and who woke for nothing. ARCHITECTURE.md walks one
//! connection through the code and says which module may import which.

#![deny(unsafe_code)]

pub mod analysis;
pub mod attach;
pub mod cell;
pub mod cgroup;
pub mod checkup;
pub mod cli;
pub mod client;
pub mod command;
pub mod environment;
pub mod exit;
pub mod experiment;
pub mod lessons;
pub mod load;
pub mod loaded;
pub mod object;
pub mod observation;
pub mod probe;
pub mod report;
pub mod results;
pub mod runner;
pub mod scene;
pub mod sighting;
pub mod study;
pub mod sys;
pub mod vm;
pub mod wait;
pub mod words;
