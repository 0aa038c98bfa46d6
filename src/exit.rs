//! The exit codes, in one place.
//!
//! Scripts and CI rely on these numbers; they never change meaning. The names
//! follow kselftest (4 = skip) and are repeated in the README.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Every expectation that could be judged held.
    Pass,
    /// At least one expectation did not hold, or an event was lost.
    Fail,
    /// The command line, an experiment file or an output path is wrong.
    Usage,
    /// Something could not be measured, so nothing is known about it.
    Invalid,
    /// Nothing ran: every cell was skipped.
    AllSkipped,
    /// Ended by this signal; 130 for SIGINT, 143 for SIGTERM.
    Signal(i32),
}

impl Exit {
    /// The number handed to the shell.
    pub fn code(self) -> u8 {
        match self {
            Exit::Pass => 0,
            Exit::Fail => 1,
            Exit::Usage => 2,
            Exit::Invalid => 3,
            Exit::AllSkipped => 4,
            Exit::Signal(signal) => 128u8.saturating_add(u8::try_from(signal).unwrap_or(0)),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}
