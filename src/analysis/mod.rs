//! From raw facts to numbers and verdicts. Pure: no kernel, clock or file.

pub mod advice;
pub mod compare;
pub mod disturbance;
mod facts;
pub mod figures;
mod growth;
pub mod judge;
pub mod matrix;
pub mod merge;
pub mod metrics;
pub mod pattern;
pub mod points;
pub mod rank;
pub mod realtime;
pub mod relation;
pub mod sources;
pub mod steps;
pub mod winners;
mod wording;

pub use judge::judge;
