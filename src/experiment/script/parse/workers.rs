//! Statements about workers: who waits, what for, what happens to them, and what
//! came of it.

use super::super::words::{number, time_us};
use super::*;

const MOST_WORKERS: usize = 1000;
/// Of one turn.
const MOST_TIMES: u64 = 10_000_000;
const OPTIONS: &str = "max 1, within 1ms, times 10, then read, then write a, then accept, then accept all, then pause, \
                       then busy 5ms, then rearm edge oneshot";

impl Parser {
    pub(super) fn workers(&mut self, verb: &str, rest: &[&str]) -> Result<Option<Action>, String> {
        Ok(Some(match (verb, rest) {
            ("wait", [e, options @ ..]) => self.wait(Call::EpollWait, e, options)?,
            ("pwait2", [e, options @ ..]) => self.wait(Call::EpollPwait2, e, options)?,
            ("poll", [a, options @ ..]) => self.wait(Call::Poll, a, options)?,
            ("worker", [w, "idle"]) => {
                self.new_worker(w, Job::Idle)?;
                Action::Start(Vec::new())
            }
            ("worker", [w, call, on, options @ ..]) => self.new_workers(&[(*w).to_owned()], call, on, options)?,
            ("workers", [count, call, on, options @ ..]) => {
                let count = number(count, 1, MOST_WORKERS as u64)?;
                let names: Vec<String> = (0..count).map(|i| format!("w{i}")).collect();
                self.new_workers(&names, call, on, options)?
            }
            ("now", [w, call, on, options @ ..]) => {
                let worker = self.awake(w)?;
                let job = self.job(call, on, options)?;
                self.check_job(worker, &job)?;
                self.found.jobs.push(job);
                self.current[worker] = self.found.jobs.len() - 1;
                Action::Assign(worker, self.found.jobs.len() - 1)
            }
            ("start", ["all", "under", "signals"]) if self.handler => Action::StartUnderSignals(self.everybody()),
            ("start", ["all", "under", "signals"]) => return Err(no_handler()),
            ("start", ["all"]) => Action::Start(self.everybody()),
            ("start", [_, ..]) => {
                let workers = rest.iter().map(|w| self.awake(w)).collect::<Result<Vec<_>, _>>()?;
                if let Some(idle) = workers.iter().find(|w| self.found.jobs[self.current[**w]] == Job::Idle) {
                    let name = &self.found.worker_names[*idle];
                    return Err(format!("{name} is idle; give it something to wait for: now {name} accept l"));
                }
                Action::Start(workers)
            }
            ("go", ["all"]) => Action::Go(self.everybody()),
            ("go", [_, ..]) => {
                let workers = rest.iter().map(|w| self.awake(w)).collect::<Result<Vec<_>, _>>()?;
                let pauses = |job: &Job| matches!(job, Job::Wait { then, .. } if then.contains(&Then::Pause));
                match workers.iter().find(|w| !pauses(&self.found.jobs[self.current[**w]])) {
                    None => Action::Go(workers),
                    Some(other) => {
                        let name = &self.found.worker_names[*other];
                        return Err(format!("{name} never pauses; start it with then pause"));
                    }
                }
            }
            ("storm", [w, "mod", e, a, flags @ ..]) => self.storm(w, e, a, flags)?,
            ("signal", [w]) if self.handler => Action::Signal(self.awake(w)?),
            ("signal", [_]) => return Err(no_handler()),
            ("kill" | "stop" | "continue", [_]) if self.block.is_some() => {
                let why = if verb == "kill" { "a worker dies only once" } else { "who is stopped must be known" };
                return Err(format!("{why}; {verb} it outside"));
            }
            ("kill", [w]) => {
                let worker = self.worker(w)?;
                self.killed.push(worker);
                Action::Kill(worker)
            }
            ("stop", [w]) => {
                let worker = self.awake(w)?;
                self.stopped.push(worker);
                Action::Stop(worker)
            }
            ("continue", [w]) => {
                let worker = self.worker(w)?;
                let Some(at) = self.stopped.iter().position(|stopped| *stopped == worker) else {
                    return Err(format!("{w} is not stopped; write stop {w} first"));
                };
                self.stopped.remove(at);
                Action::Continue(worker)
            }
            ("await", [w]) => Action::Await(self.awake(w)?),
            ("came", []) if !self.found.workers.is_empty() => Action::Came,
            ("came", []) => return Err("there is no worker that could have come".into()),
            ("result", [w]) => Action::Result(self.worker(w)?),
            ("wakeups", [w]) => Action::Wakeups(self.worker(w)?),
            ("returns", [w]) => Action::Returns(self.worker(w)?),
            ("lasted", []) if self.called => Action::Lasted,
            ("lasted", []) => return Err("the main thread has not waited for anything yet".into()),
            _ => return Ok(None),
        }))
    }

    /// All workers that can run and have something to wait for.
    fn everybody(&self) -> Vec<usize> {
        let able = |worker: &usize| {
            let idle = self.found.jobs[self.current[*worker]] == Job::Idle;
            !idle && !self.killed.contains(worker) && !self.stopped.contains(worker)
        };
        (0..self.found.workers.len()).filter(able).collect()
    }

    /// A worker that lives.
    pub(super) fn worker(&self, name: &str) -> Result<usize, String> {
        let found = self.found.worker_names.iter().position(|known| known == name);
        match found {
            Some(worker) if self.killed.contains(&worker) => Err(format!("{name} is dead by then")),
            Some(worker) => Ok(worker),
            None => {
                let near = did_you_mean(name, self.found.worker_names.iter().map(String::as_str));
                Err(format!("there is no worker {name:?}{near}"))
            }
        }
    }

    /// And that can run.
    pub(super) fn awake(&self, name: &str) -> Result<usize, String> {
        let worker = self.worker(name)?;
        match self.stopped.contains(&worker) {
            true => Err(format!("{name} is stopped by then; write continue {name} first")),
            false => Ok(worker),
        }
    }

    fn wait(&mut self, call: Call, on: &str, options: &[&str]) -> Result<Action, String> {
        self.called = true;
        let (waiting, then, times) = self.waiting(call, on, options)?;
        if !then.is_empty() || times != 1 {
            return Err("only a worker can do something then, or more than once".into());
        }
        let within_us = waiting.within_us.or(Some(0));
        Ok(Action::Wait(Waiting { within_us, ..waiting }))
    }

    fn waiting(&self, call: Call, on: &str, options: &[&str]) -> Result<(Waiting, Vec<Then>, u32), String> {
        let on = match call {
            Call::Poll | Call::Select => self.name(on)?,
            Call::Accept | Call::Locked(_) => self.listener(on)?,
            Call::Read => self.of_kind(on, &[Kind::Pipe, Kind::Socketpair, Kind::Eventfd, Kind::Connection])?,
            Call::Receive => self.of_kind(on, &[Kind::Udp, Kind::Socketpair, Kind::Connection])?,
            Call::Futex => self.of_kind(on, &[Kind::Word])?,
            Call::ReadLock | Call::WriteLock => self.of_kind(on, &[Kind::RwLock])?,
            Call::Lock => self.of_kind(on, &[Kind::Mutex, Kind::Robust])?,
            _ => self.of_kind(on, &[Kind::Epoll])?,
        };
        let (mut found, mut then, mut times) = (Waiting { call, on, max: 8, within_us: None }, Vec::new(), 1);
        let mut rest = options;
        while !rest.is_empty() {
            rest = match rest {
                ["max", n, rest @ ..] => {
                    found.max = number(n, 1, 1024)? as u32;
                    rest
                }
                ["within", time, rest @ ..] => {
                    found.within_us = Some(time_us(time)?);
                    rest
                }
                ["times", n, rest @ ..] => {
                    times = number(n, 1, MOST_TIMES)? as u32;
                    rest
                }
                ["then", rest @ ..] => self.then(rest, &mut then)?,
                [other, ..] => return Err(format!("unknown option {other:?}; known are {OPTIONS}")),
                [] => unreachable!("the loop ends before"),
            };
        }
        use Call::*;
        if found.within_us.is_some() && !matches!(call, EpollWait | EpollPwait2 | Poll | WriteLock | Lock) {
            return Err("within goes with epoll_wait, epoll_pwait2, poll, wrlock and lock".into());
        }
        let epoll = matches!(call, EpollWait | EpollPwait2 | PollThenWait);
        let accepts = matches!(call, Accept | Locked(_));
        if then.contains(&Then::Read) && !epoll && !accepts {
            return Err("then read goes with epoll, which says what to read, and with accept".into());
        }
        if then.iter().any(|then| matches!(then, Then::Rearm(_))) && !epoll {
            return Err("then rearm goes with epoll".into());
        }
        if then.iter().any(|then| matches!(then, Then::Accept { .. })) && !epoll && !matches!(call, Poll | Select) {
            return Err("then accept goes with epoll, poll and select".into());
        }
        if then.contains(&Then::Pause) && times > 1 {
            return Err("a worker that pauses has one wait in a turn; leave out times".into());
        }
        Ok((found, then, times))
    }

    /// One thing to do, behind the word `then`; what is left of the words.
    fn then<'w>(&self, words: &'w [&'w str], then: &mut Vec<Then>) -> Result<&'w [&'w str], String> {
        let (one, rest) = match words {
            ["read", rest @ ..] => (Then::Read, rest),
            ["write", a, rest @ ..] => (Then::Write(self.written(a)?), rest),
            ["accept", "all", rest @ ..] => (Then::Accept { all: true }, rest),
            ["accept", rest @ ..] => (Then::Accept { all: false }, rest),
            ["pause", rest @ ..] => (Then::Pause, rest),
            ["busy", time, rest @ ..] => (Then::Busy(time_us(time)?), rest),
            ["rearm", rest @ ..] => {
                let flag = |word: &&&str| matches!(**word, "level" | "edge" | "oneshot" | "exclusive" | "out");
                let count = rest.iter().take_while(flag).count();
                (Then::Rearm(super::super::words::flags(&rest[..count])?), &rest[count..])
            }
            _ => return Err(format!("unknown thing to do then; known are {OPTIONS}")),
        };
        then.push(one);
        Ok(rest)
    }

    fn job(&self, call: &str, on: &str, options: &[&str]) -> Result<Job, String> {
        let (waiting, then, times) = self.waiting(super::super::words::call(call)?, on, options)?;
        if self.found.storms() {
            return Err("beside a storm nobody is ever seen asleep; let the main thread wait".into());
        }
        Ok(Job::Wait { waiting, then, times })
    }

    fn check_job(&self, worker: usize, job: &Job) -> Result<(), String> {
        let Job::Wait { waiting, then, .. } = job else {
            return Ok(());
        };
        self.check_has(worker, waiting.on)?;
        let written = then.iter().filter_map(|then| if let Then::Write(name) = then { Some(*name) } else { None });
        written.into_iter().try_for_each(|name| self.check_has(worker, name))
    }

    fn new_workers(&mut self, names: &[String], call: &str, on: &str, options: &[&str]) -> Result<Action, String> {
        let job = self.job(call, on, options)?;
        let first = self.found.workers.len();
        for name in names {
            self.new_worker(name, job.clone())?;
            self.check_job(self.found.workers.len() - 1, &job)?;
        }
        Ok(Action::Start((first..first + names.len()).collect()))
    }

    fn storm(&mut self, name: &str, epoll: &str, target: &str, flags: &[&str]) -> Result<Action, String> {
        if !self.found.workers.is_empty() {
            return Err("beside a storm nobody is ever seen asleep; let it be the only worker".into());
        }
        let Action::Control(control) = self.control(Op::Modify, epoll, target, flags)? else {
            unreachable!("control makes one");
        };
        self.new_worker(name, Job::Storm(control))?;
        Ok(Action::Start(vec![0]))
    }

    fn new_worker(&mut self, name: &str, job: Job) -> Result<(), String> {
        if self.block.is_some() {
            return Err("a worker is named before the block; write start inside".into());
        }
        if self.found.worker_names.iter().any(|known| known == name) {
            return Err(format!("a second worker {name:?}"));
        }
        if name != format!("w{}", self.found.workers.len()) {
            return Err(format!("workers are called w0, w1 and so on; this one is w{}", self.found.workers.len()));
        }
        self.inherited.get_or_insert(self.found.names.len());
        self.found.worker_names.push(name.into());
        self.found.jobs.push(job);
        self.found.workers.push(self.found.jobs.len() - 1);
        self.current.push(self.found.jobs.len() - 1);
        Ok(())
    }
}

fn no_handler() -> String {
    "SIGUSR1 would kill the worker; write handler restart or handler interrupt first".into()
}
