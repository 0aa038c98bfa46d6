//! Reads the statements of a script; every mistake says what was wanted.

use super::words::{article, number, time_us, usage, verbs};
use super::*;
use crate::experiment::cells::slug;
use crate::experiment::keys::did_you_mean;

/// More would take hours.
const MOST_ROUNDS: u64 = 10_000_000;
const MOST_WORKERS: usize = 1000;
/// A listener has no room for more.
const MOST_CONNECTIONS: u64 = 4096;

#[derive(Default)]
struct Parser {
    found: Script,
    handler: bool,
    called: bool,
    network: bool,
    killed: Vec<usize>,
    /// The block that is open: its statement, rounds, whether a race.
    block: Option<(usize, u64, bool)>,
}

pub(super) fn script(statements: &[String]) -> Result<Script, Mistake> {
    let mut parser = Parser::default();
    for (at, statement) in statements.iter().enumerate() {
        let step = parser.step(at, statement).map_err(|message| Mistake { at, message })?;
        parser.found.steps.push(step);
    }
    if let Some((at, ..)) = parser.block {
        return Err(Mistake { at, message: "this block has no end".into() });
    }
    if parser.found.checks().next().is_none() {
        let at = statements.len().saturating_sub(1);
        return Err(Mistake {
            at,
            message: "the script expects nothing; write -> and what must come of a step".into(),
        });
    }
    Ok(parser.found)
}

impl Parser {
    fn step(&mut self, at: usize, statement: &str) -> Result<Step, String> {
        let (text, wanted) = match statement.split_once("->") {
            Some((text, wanted)) => (text.trim(), Some(wanted.trim())),
            None => (statement.trim(), None),
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let Some((verb, rest)) = words.split_first() else {
            return Err("an empty statement".into());
        };
        let action = self.action(at, verb, rest)?;
        let wanted = wanted.map(|text| Wanted::parse(text, &self.found.worker_names)).transpose()?;
        match (&action, &wanted) {
            (Action::Came | Action::Result(_) | Action::Lasted | Action::Clients { .. }, None) => {
                return Err(format!("{verb} expects something: {text} -> .."));
            }
            (
                Action::Control(_)
                | Action::Wait(_)
                | Action::Read(_)
                | Action::Write(_)
                | Action::Connect(..)
                | Action::Reuseport(_)
                | Action::Clients { .. }
                | Action::Came
                | Action::Result(_)
                | Action::Lasted,
                _,
            )
            | (_, None) => {}
            _ => return Err(format!("nothing comes of {verb}; leave out what stands behind ->")),
        }
        let (rounds, race) = self.block.map_or((1, false), |(_, rounds, race)| (rounds, race));
        Ok(Step {
            slug: self.unique(&slug(text), wanted.is_some()),
            text: words.join(" "),
            action,
            wanted,
            rounds,
            race,
        })
    }

    /// The slug, with a number behind it when an earlier check has it.
    fn unique(&self, base: &str, checked: bool) -> String {
        let taken = |name: &str| self.found.checks().any(|(_, step, _)| step.slug == name);
        let mut name = base.to_owned();
        let mut number = 2;
        while checked && taken(&name) {
            name = format!("{base}-{number}");
            number += 1;
        }
        name
    }

    fn action(&mut self, at: usize, verb: &str, rest: &[&str]) -> Result<Action, String> {
        Ok(match (verb, rest) {
            ("socketpair", [a, b]) => self.open(Kind::Socketpair, &[a, b])?,
            ("pipe", [r, w]) => self.open(Kind::Pipe, &[r, w])?,
            ("eventfd", [_, ..]) => self.open(Kind::Eventfd, rest)?,
            ("epoll", [_, ..]) => self.open(Kind::Epoll, rest)?,
            ("network", []) => self.network()?,
            ("migrate", [on @ ("on" | "off")]) if self.network => Action::Migrate(*on == "on"),
            ("migrate", ["on" | "off"]) => {
                return Err("that would change the network of this machine; write network first".into());
            }
            ("group", [_, ..]) => self.open(Kind::Group, rest)?,
            ("reuseport", [a]) => Action::Reuseport(self.name(a)?),
            ("listener", [a]) => self.open(Kind::Listener, &[a])?,
            ("dup", [from, to]) => {
                let from = self.name(from)?;
                Action::Dup { from, to: self.fresh(to, self.found.kinds[from])? }
            }
            ("close", [a]) => Action::Close(self.name(a)?),
            ("hold", []) => Action::Hold,
            ("release", []) => Action::Release,
            ("handler", ["restart"]) => self.handler(true)?,
            ("handler", ["interrupt"]) => self.handler(false)?,
            ("add", [e, a, flags @ ..]) => self.control(Op::Add, e, a, flags)?,
            ("mod", [e, a, flags @ ..]) => self.control(Op::Modify, e, a, flags)?,
            ("del", [e, a]) => self.control(Op::Delete, e, a, &[])?,
            ("write", [a, "as", w, "times", "out"]) => {
                let worker = self.worker(w)?;
                match self.found.workers[worker] {
                    Job::Wait(Waiting { within_us: Some(_), .. }, _) => Action::WriteAt(self.written(a)?, worker),
                    _ => return Err(format!("{w} never times out; start it with within 1ms")),
                }
            }
            ("write", [_, ..]) => Action::Write(rest.iter().map(|a| self.written(a)).collect::<Result<_, _>>()?),
            ("read", [a]) => Action::Read(self.name(a)?),
            ("connect", [l]) => Action::Connect(self.listener(l)?, 1),
            ("connect", [l, "x", count]) => Action::Connect(self.listener(l)?, number(count, 1, MOST_CONNECTIONS)?),
            ("accepted" | "reset" | "accepted+reset", []) if self.found.workers.is_empty() => {
                Action::Clients { accepted: verb != "reset", reset: verb != "accepted" }
            }
            ("accepted" | "reset" | "accepted+reset", []) => {
                return Err("the main thread accepts nothing beside workers; ask came or result".into());
            }
            ("wait", [e, options @ ..]) => self.wait(Call::EpollWait, e, options)?,
            ("pwait2", [e, options @ ..]) => self.wait(Call::EpollPwait2, e, options)?,
            ("poll", [a, options @ ..]) => self.wait(Call::Poll, a, options)?,
            ("worker", [w, call, on, options @ ..]) => self.new_workers(&[(*w).to_owned()], call, on, options)?,
            ("workers", [count, call, on, options @ ..]) => {
                let count = number(count, 1, MOST_WORKERS as u64)?;
                let names: Vec<String> = (0..count).map(|i| format!("w{i}")).collect();
                self.new_workers(&names, call, on, options)?
            }
            ("start", ["all"]) => {
                Action::Start((0..self.found.workers.len()).filter(|worker| !self.killed.contains(worker)).collect())
            }
            ("start", [_, ..]) => Action::Start(rest.iter().map(|w| self.worker(w)).collect::<Result<_, _>>()?),
            ("storm", [w, "mod", e, a, flags @ ..]) => self.storm(w, e, a, flags)?,
            ("signal", [w]) if self.handler => Action::Signal(self.worker(w)?),
            ("signal", [_]) => {
                return Err("SIGUSR1 would kill the worker; write handler restart or handler interrupt first".into());
            }
            ("kill", [_]) if self.block.is_some() => return Err("a worker dies only once; kill it outside".into()),
            ("kill", [w]) => {
                let worker = self.worker(w)?;
                self.killed.push(worker);
                Action::Kill(worker)
            }
            ("came", []) if !self.found.workers.is_empty() => Action::Came,
            ("came", []) => return Err("there is no worker that could have come".into()),
            ("result", [w]) => Action::Result(self.worker(w)?),
            ("lasted", []) if self.called => Action::Lasted,
            ("lasted", []) => return Err("the main thread has not waited for anything yet".into()),
            ("repeat" | "race", [rounds]) => {
                if let Some((first, ..)) = self.block {
                    return Err(format!("a block inside that of statement {}; end that first", first + 1));
                }
                let (rounds, race) = (number(rounds, 1, MOST_ROUNDS)?, verb == "race");
                self.block = Some((at, rounds, race));
                Action::Repeat { rounds, race }
            }
            ("end", []) => match self.block.take() {
                Some(_) => Action::End,
                None => return Err("end without repeat or race".into()),
            },
            _ if verbs().any(|known| known == verb) => return Err(format!("{verb} {}", usage(verb))),
            _ => {
                let near = did_you_mean(verb, verbs());
                return Err(format!("unknown statement {verb:?}{near}"));
            }
        })
    }

    fn network(&mut self) -> Result<Action, String> {
        if !self.found.steps.is_empty() {
            return Err("network is the first statement, since what is open stays in the network it was made in".into());
        }
        self.network = true;
        Ok(Action::Network)
    }

    fn open(&mut self, kind: Kind, names: &[&str]) -> Result<Action, String> {
        self.before_workers("everything is opened")?;
        let names = names.iter().map(|name| self.fresh(name, kind)).collect::<Result<_, _>>()?;
        Ok(Action::Open(kind, names))
    }

    fn handler(&mut self, restart: bool) -> Result<Action, String> {
        self.before_workers("a handler is set")?;
        self.handler = true;
        Ok(Action::Handler { restart })
    }

    /// Workers are forked when the first one is named, with what is there.
    fn before_workers(&self, what: &str) -> Result<(), String> {
        match self.found.workers.is_empty() {
            true => Ok(()),
            false => Err(format!("{what} before the first worker, which takes along what is there by then")),
        }
    }

    fn fresh(&mut self, name: &str, kind: Kind) -> Result<Name, String> {
        if self.block.is_some() {
            return Err("nothing can be opened inside a block".into());
        }
        if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(format!("{name:?} is no name; use small letters and digits, such as e0"));
        }
        if self.found.names.iter().any(|known| known == name) {
            return Err(format!("a second {name:?}"));
        }
        self.found.names.push(name.into());
        self.found.kinds.push(kind);
        Ok(self.found.kinds.len() - 1)
    }

    fn name(&self, name: &str) -> Result<Name, String> {
        self.found.names.iter().position(|known| known == name).ok_or_else(|| {
            let near = did_you_mean(name, self.found.names.iter().map(String::as_str));
            format!("nothing is called {name:?} here{near}")
        })
    }

    fn of_kind(&self, text: &str, kind: Kind) -> Result<Name, String> {
        let name = self.name(text)?;
        match self.found.kinds[name] == kind {
            true => Ok(name),
            false => Err(format!("{text} is {}, not {}", article(self.found.kinds[name]), article(kind))),
        }
    }

    fn listener(&self, text: &str) -> Result<Name, String> {
        let name = self.name(text)?;
        match self.found.kinds[name] {
            Kind::Listener | Kind::Group => Ok(name),
            other => Err(format!("{text} is {}, not a listener", article(other))),
        }
    }

    /// What a byte can be written to.
    fn written(&self, text: &str) -> Result<Name, String> {
        let name = self.name(text)?;
        match self.found.kinds[name] {
            Kind::Epoll | Kind::Listener | Kind::Group => {
                Err(format!("{text} is {}; nothing is written to it", article(self.found.kinds[name])))
            }
            _ => Ok(name),
        }
    }

    fn worker(&self, name: &str) -> Result<usize, String> {
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

    fn control(&self, op: Op, epoll: &str, target: &str, flags: &[&str]) -> Result<Action, String> {
        let flags = if op == Op::Delete { Flags::default() } else { super::words::flags(flags)? };
        let control = Control { op, epoll: self.of_kind(epoll, Kind::Epoll)?, target: self.name(target)?, flags };
        Ok(Action::Control(control))
    }

    fn wait(&mut self, call: Call, on: &str, options: &[&str]) -> Result<Action, String> {
        self.called = true;
        let (waiting, then) = self.waiting(call, on, options)?;
        if then != Then::Nothing {
            return Err("only a worker can do something then".into());
        }
        let within_us = waiting.within_us.or(Some(0));
        Ok(Action::Wait(Waiting { within_us, ..waiting }))
    }

    fn waiting(&self, call: Call, on: &str, options: &[&str]) -> Result<(Waiting, Then), String> {
        let on = match call {
            Call::Poll | Call::Select => self.name(on)?,
            Call::Accept | Call::Locked(_) => self.listener(on)?,
            _ => self.of_kind(on, Kind::Epoll)?,
        };
        let (mut found, mut then) = (Waiting { call, on, max: 8, within_us: None }, Then::Nothing);
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
                ["then", "read", rest @ ..] => {
                    then = Then::Read;
                    rest
                }
                ["then", "write", a, rest @ ..] => {
                    then = Then::Write(self.written(a)?);
                    rest
                }
                [other, ..] => {
                    return Err(format!(
                        "unknown option {other:?}; known are max 1, within 1ms, then read, then write a"
                    ));
                }
                [] => unreachable!("the loop ends before"),
            };
        }
        let timed = matches!(call, Call::EpollWait | Call::EpollPwait2 | Call::Poll);
        if found.within_us.is_some() && !timed {
            return Err("within goes with epoll_wait, epoll_pwait2 and poll".into());
        }
        if then == Then::Read && !matches!(call, Call::EpollWait | Call::EpollPwait2 | Call::PollThenWait) {
            return Err("then read goes with epoll, which says what to read".into());
        }
        Ok((found, then))
    }

    fn new_workers(&mut self, names: &[String], call: &str, on: &str, options: &[&str]) -> Result<Action, String> {
        let call = super::words::call(call)?;
        let (waiting, then) = self.waiting(call, on, options)?;
        if self.found.storms() {
            return Err("beside a storm nobody is ever seen asleep; let the main thread wait".into());
        }
        let first = self.found.workers.len();
        for name in names {
            self.new_worker(name, Job::Wait(waiting, then))?;
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
        self.found.worker_names.push(name.into());
        self.found.workers.push(job);
        Ok(())
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
