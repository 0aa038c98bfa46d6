//! Quiet, as far as one sees it of a server that is not ours: no ledger says that a
//! worker is about to wait, so it must be seen asleep twice, without a run in between.

use std::time::{Duration, Instant};

use super::processes::has_gone;
use super::server::{Server, has_listener, mark};
use super::stop::Stop;
use crate::sighting::Ending;
use crate::sys::spin::yield_cpu;

/// How long a server may take to fall asleep.
pub const PATIENCE: Duration = Duration::from_secs(2);

impl Server {
    /// Waits until every thread of the processes with a listener sleeps, and none has run
    /// between two looks at all of them.
    pub fn quiet(&mut self, stop: &mut Stop) -> Result<(), Ending> {
        let deadline = Instant::now() + PATIENCE;
        self.refresh();
        let mut before = None;
        loop {
            let why = match self.asleep() {
                Ok(marks) if before.as_ref() == Some(&marks) => return Ok(()),
                Ok(marks) => {
                    let first = before.replace(marks).is_none();
                    if first {
                        continue;
                    }
                    "its threads run between two looks".to_owned()
                }
                Err(why) => {
                    before = None;
                    why
                }
            };
            if Instant::now() > deadline {
                let limit = PATIENCE.as_secs();
                return Err(Ending::Broken(format!(
                    "the server was not quiet within {limit} s: {why} (other clients? count them with --for)"
                )));
            }
            if let Some(ending) = stop.asked() {
                return Err(ending);
            }
            yield_cpu();
        }
    }

    /// How often each has run, if all sleep; else who does not.
    fn asleep(&mut self) -> Result<Vec<Option<u64>>, String> {
        let mut marks = Vec::with_capacity(self.watched.len());
        for watched in &mut self.watched {
            let Some(task) = watched.there() else { continue };
            if !has_listener(self.sockets.get(&watched.pid), &self.listening) {
                continue;
            }
            let mark = mark(task);
            match task.call() {
                Ok(Some(_)) => marks.push(mark),
                Ok(None) => return Err(format!("thread {} ({}) runs, or is stopped", watched.tid, watched.name)),
                Err(e) if has_gone(&e) => watched.went = true,
                Err(e) => return Err(format!("thread {} ({}): {e}", watched.tid, watched.name)),
            }
        }
        Ok(marks)
    }
}
