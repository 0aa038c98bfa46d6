//! Reads the statements of a script; every mistake says what was wanted.
//!
//! By theme: `objects` are descriptors and locks, `network` is what has an
//! address, `workers` is who waits. Here is what they share: names, blocks, and
//! who is dead or closed by then.

mod network;
mod objects;
mod workers;

use super::words::{article, number, usage, verbs};
use super::*;
use crate::experiment::cells::slug;
use crate::experiment::keys::did_you_mean;

/// More would take hours.
const MOST_ROUNDS: u64 = 10_000_000;

#[derive(Default)]
struct Parser {
    found: Script,
    handler: bool,
    called: bool,
    network: bool,
    killed: Vec<usize>,
    stopped: Vec<usize>,
    /// Numbers that were given up: by the main thread, or by a worker.
    closed: Vec<(Option<usize>, Name)>,
    /// Listeners that somebody else keeps, as a duplicate or in a child.
    kept: Vec<Name>,
    /// How many names there were when the workers were forked.
    inherited: Option<usize>,
    /// What workers got later.
    passed: Vec<(usize, Name)>,
    connected: bool,
    /// What each worker does by now.
    current: Vec<usize>,
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
        let closed = self.closed.len();
        let action = match verb.strip_suffix(':') {
            Some(worker) => self.told(at, worker, rest)?,
            None => self.action(at, verb, rest)?,
        };
        let wanted = wanted.map(|text| Wanted::parse(text, &self.found.worker_names)).transpose()?;
        self.check_closed(&action, closed, wanted.as_ref())?;
        match (action.comes(), &wanted) {
            (Comes::Expected, None) => return Err(format!("{verb} expects something: {text} -> ..")),
            (Comes::Nothing, Some(_)) => {
                return Err(format!("nothing comes of {verb}; leave out what stands behind ->"));
            }
            _ => {}
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
        for theme in [Self::objects, Self::network, Self::workers] {
            if let Some(action) = theme(self, verb, rest)? {
                return Ok(action);
            }
        }
        Ok(match (verb, rest) {
            ("add", [e, a, flags @ ..]) => self.control(Op::Add, e, a, flags)?,
            ("mod", [e, a, flags @ ..]) => self.control(Op::Modify, e, a, flags)?,
            ("del", [e, a]) => self.control(Op::Delete, e, a, &[])?,
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

    /// `w0: close l`: a worker does what the main thread could have done.
    fn told(&mut self, at: usize, name: &str, words: &[&str]) -> Result<Action, String> {
        let worker = self.awake(name)?;
        let Some((verb, rest)) = words.split_first() else {
            return Err(format!("{name} is told nothing; write a statement behind {name}:"));
        };
        let before = self.closed.len();
        let action = self.action(at, verb, rest)?;
        let able = matches!(
            action,
            Action::Dup { .. }
                | Action::Close(_)
                | Action::Shutdown(_)
                | Action::Blocking(..)
                | Action::Pass(..)
                | Action::Limit(_)
                | Action::LimitFull
                | Action::Open(Kind::Spare, ..)
                | Action::Control(_)
                | Action::Write(_)
                | Action::Read(..)
                | Action::Wake(..)
                | Action::Unlock(_)
                | Action::Accept(..)
        );
        if !able || verb.ends_with(':') {
            return Err(format!(
                "a worker cannot be told to {verb}; it does add, mod, del, close, dup, shutdown, block, nonblock, pass, \
                 limit, spare, write, read, accept, wake and unlock"
            ));
        }
        for (who, _) in &mut self.closed[before..] {
            *who = Some(worker);
        }
        match &action {
            Action::Dup { to, .. } => self.passed.push((worker, *to)),
            Action::Open(_, names, _) => self.passed.extend(names.iter().map(|name| (worker, *name))),
            _ => {}
        }
        for name in action.uses() {
            self.check_has(worker, name)?;
        }
        Ok(Action::Told(worker, Box::new(action)))
    }

    /// Whoever names what was closed before must expect an errno.
    fn check_closed(&self, action: &Action, before: usize, wanted: Option<&Wanted>) -> Result<(), String> {
        if wanted.is_some_and(Wanted::has_errno) {
            return Ok(());
        }
        let closed = &self.closed[..before.min(self.closed.len())];
        let who = if let Action::Told(worker, _) = action { Some(*worker) } else { None };
        let gone = |name: &Name| closed.contains(&(who, *name));
        if let Some(name) = action.uses().into_iter().find(gone) {
            let name = &self.found.names[name];
            return Err(format!("{name} is closed by then; expect an errno such as EBADF, or close it later"));
        }
        let (Action::Connect(to, _) | Action::ConnectAs { to, .. } | Action::Send { to, .. }) = action else {
            return Ok(());
        };
        let mates = |name: &Name| self.found.kinds[*name] == self.found.kinds[*to] && *name != *to;
        let mate = (0..self.found.names.len()).filter(mates).any(|name| !gone(&name));
        if gone(to) && !mate && self.inherited.is_none() && !self.kept.contains(to) {
            let name = &self.found.names[*to];
            return Err(format!(
                "{name} is closed by then, and nobody else has it; expect ECONNREFUSED, or connect before that"
            ));
        }
        Ok(())
    }

    /// Workers have what was open when they were forked, and what they were given.
    fn check_has(&self, worker: usize, name: Name) -> Result<(), String> {
        let late = self.inherited.is_some_and(|count| name >= count);
        if late && !self.passed.contains(&(worker, name)) {
            let (worker, name) = (&self.found.worker_names[worker], &self.found.names[name]);
            return Err(format!("{name} was opened after {worker} was forked; write pass {name} {worker} first"));
        }
        Ok(())
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

    /// Whatever has that name.
    fn any(&self, name: &str) -> Result<Name, String> {
        self.found.names.iter().position(|known| known == name).ok_or_else(|| {
            let near = did_you_mean(name, self.found.names.iter().map(String::as_str));
            format!("nothing is called {name:?} here{near}")
        })
    }

    /// The descriptor of that name.
    fn name(&self, text: &str) -> Result<Name, String> {
        let name = self.any(text)?;
        match self.found.kinds[name].is_memory() {
            true => Err(format!("{text} is {}, which has no descriptor", article(self.found.kinds[name]))),
            false => Ok(name),
        }
    }

    fn of_kind(&self, text: &str, kinds: &[Kind]) -> Result<Name, String> {
        let name = self.any(text)?;
        let kind = self.found.kinds[name];
        match kinds.contains(&kind) {
            true => Ok(name),
            false => Err(format!("{text} is {}, not {}", article(kind), article(kinds[0]))),
        }
    }

    fn listener(&self, text: &str) -> Result<Name, String> {
        let name = self.any(text)?;
        match self.found.kinds[name].listens() {
            true => Ok(name),
            false => Err(format!("{text} is {}, not a listener", article(self.found.kinds[name]))),
        }
    }

    /// What a byte can be written to.
    fn written(&self, text: &str) -> Result<Name, String> {
        let name = self.name(text)?;
        match self.found.kinds[name] {
            Kind::Epoll | Kind::Listener | Kind::Group | Kind::Udp | Kind::Spare => {
                Err(format!("{text} is {}; nothing is written to it", article(self.found.kinds[name])))
            }
            _ => Ok(name),
        }
    }

    fn control(&self, op: Op, epoll: &str, target: &str, flags: &[&str]) -> Result<Action, String> {
        let flags = if op == Op::Delete { Flags::default() } else { super::words::flags(flags)? };
        let control = Control { op, epoll: self.of_kind(epoll, &[Kind::Epoll])?, target: self.name(target)?, flags };
        Ok(Action::Control(control))
    }
}

#[cfg(test)]
mod tests;
