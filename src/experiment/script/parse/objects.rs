//! Statements about descriptors and locks: open, duplicate, close, pass on, write,
//! read, and what a process may have of them.

use super::super::words::number;
use super::*;

/// More descriptors than most machines give one process.
const MOST_PIPES: u64 = 100_000;
/// Seconds, not hours.
const MOST_HANDOVERS: u64 = 10_000_000;
/// As many as fit a read.
const MOST_BYTES: u64 = 64;

impl Parser {
    pub(super) fn objects(&mut self, verb: &str, rest: &[&str]) -> Result<Option<Action>, String> {
        Ok(Some(match (verb, rest) {
            ("socketpair", [a, b]) => self.open(Kind::Socketpair, &[a, b])?,
            ("pipe", [r, w]) => self.open(Kind::Pipe, &[r, w])?,
            ("pipes", [count]) => Action::Pipes(number(count, 1, MOST_PIPES)?),
            ("eventfd", [_, ..]) => self.open(Kind::Eventfd, rest)?,
            ("epoll", [_, ..]) => self.open(Kind::Epoll, rest)?,
            ("word", [_, ..]) => self.memory(Kind::Word, rest)?,
            ("rwlock", [_, ..]) => self.memory(Kind::RwLock, rest)?,
            ("mutex", [_, ..]) => self.memory(Kind::Mutex, rest)?,
            ("robust", [_, ..]) => self.memory(Kind::Robust, rest)?,
            ("dup", [from, to]) => {
                let from = self.name(from)?;
                self.kept.push(from);
                Action::Dup { from, to: self.fresh(to, self.found.kinds[from])? }
            }
            ("close", [a]) => {
                let name = self.name(a)?;
                self.closed.push((None, name));
                Action::Close(name)
            }
            ("hold", []) => {
                self.kept.extend(0..self.found.names.len());
                Action::Hold
            }
            ("release", []) => {
                self.kept.clear();
                Action::Release
            }
            ("pass", [a, w]) => {
                let (name, worker) = (self.name(a)?, self.awake(w)?);
                self.passed.push((worker, name));
                self.closed.retain(|gone| *gone != (Some(worker), name));
                Action::Pass(name, worker)
            }
            ("block", [_, ..]) => Action::Blocking(self.all(rest)?, true),
            ("nonblock", [_, ..]) => Action::Blocking(self.all(rest)?, false),
            ("write", [a, "as", w, "times", "out"]) => {
                let worker = self.awake(w)?;
                match self.found.jobs[self.current[worker]] {
                    Job::Wait { waiting: Waiting { within_us: Some(_), .. }, .. } => {
                        Action::WriteAt(self.written(a)?, worker)
                    }
                    _ => return Err(format!("{w} never times out; start it with within 1ms")),
                }
            }
            ("write", [_, ..]) => Action::Write(rest.iter().map(|a| self.written(a)).collect::<Result<_, _>>()?),
            ("read", [a]) => Action::Read(self.name(a)?, MOST_BYTES as usize),
            ("read", [a, most]) => Action::Read(self.name(a)?, number(most, 1, MOST_BYTES)? as usize),
            ("fill", [a]) => Action::Fill(self.of_kind(a, &[Kind::Pipe])?),
            ("capacity", [a]) => Action::Capacity(self.of_kind(a, &[Kind::Pipe])?),
            ("wake", [a]) => Action::Wake(self.of_kind(a, &[Kind::Word])?, 1),
            ("wake", [a, count]) => {
                Action::Wake(self.of_kind(a, &[Kind::Word])?, number(count, 1, i32::MAX as u64)? as u32)
            }
            ("unlock", [a]) => Action::Unlock(self.of_kind(a, &[Kind::RwLock, Kind::Mutex, Kind::Robust])?),
            ("limit", ["nofile", "off"]) => Action::Limit(None),
            ("limit", ["nofile", "full"]) => Action::LimitFull,
            ("spare", [a]) => self.open(Kind::Spare, &[a])?,
            ("limit", ["nofile", count]) => Action::Limit(Some(number(count, 1, 1 << 20)?)),
            ("latch", [times, how @ ("fenced" | "bare")]) => {
                Action::Latch { times: number(times, 1, MOST_HANDOVERS)?, fenced: *how == "fenced" }
            }
            ("unprivileged", []) => {
                self.before_workers("root is given up")?;
                Action::Unprivileged
            }
            ("handler", ["restart"]) => self.handler(true)?,
            ("handler", ["interrupt"]) => self.handler(false)?,
            _ => return Ok(None),
        }))
    }

    pub(super) fn open(&mut self, kind: Kind, names: &[&str]) -> Result<Action, String> {
        let names = names.iter().map(|name| self.fresh(name, kind)).collect::<Result<_, _>>()?;
        Ok(Action::Open(kind, names, 0))
    }

    /// What cannot be given to a worker that is there already.
    fn memory(&mut self, kind: Kind, names: &[&str]) -> Result<Action, String> {
        self.before_workers("a lock is made")?;
        self.open(kind, names)
    }

    fn all(&self, names: &[&str]) -> Result<Vec<Name>, String> {
        names.iter().map(|name| self.name(name)).collect()
    }

    fn handler(&mut self, restart: bool) -> Result<Action, String> {
        self.before_workers("a handler is set")?;
        self.handler = true;
        Ok(Action::Handler { restart })
    }
}
