//! Statements about what has an address: listeners, groups, clients, datagrams,
//! and the network of the cell.

use super::super::words::number;
use super::*;
use crate::experiment::network::{is_setting, no_setting};

/// A listener has no room for more.
const MOST_CONNECTIONS: u64 = 4096;
const MOST_DATAGRAMS: u64 = 1_000_000;
/// The number of a flow is one byte.
const MOST_FLOWS: u64 = 256;
/// Of TCP_DEFER_ACCEPT: longer than any script takes, and the most that it may be.
const DEFER_SECONDS: u32 = 30;
const MOST_SECONDS: u64 = 60;
/// More unaccepted connections than any script makes.
const BACKLOG: i32 = 4096;

impl Parser {
    pub(super) fn network(&mut self, verb: &str, rest: &[&str]) -> Result<Option<Action>, String> {
        Ok(Some(match (verb, rest) {
            ("network", []) => self.own_network()?,
            ("migrate", [on @ ("on" | "off")]) => {
                self.inside_network()?;
                Action::Sysctl { name: MIGRATE.into(), value: if *on == "on" { "1" } else { "0" }.into() }
            }
            ("sysctl", [name, value @ ..]) if !value.is_empty() => {
                self.inside_network()?;
                if !is_setting(name) {
                    return Err(no_setting(name));
                }
                Action::Sysctl { name: (*name).into(), value: value.join(" ") }
            }
            ("counter", [name]) => {
                self.inside_network()?;
                Action::Counter((*name).into())
            }
            ("listener", [a, more @ ..]) => self.listening(Kind::Listener, &[*a], more)?,
            ("group", [_, ..]) => {
                let end = rest.iter().position(|word| *word == "backlog").unwrap_or(rest.len());
                self.listening(Kind::Group, &rest[..end], &rest[end..])?
            }
            ("udp", [_, ..]) => self.open(Kind::Udp, rest)?,
            ("join", [new, of]) => {
                let of = self.of_kind(of, &[Kind::Group, Kind::Udp])?;
                Action::Join { new: self.fresh(new, self.found.kinds[of])?, of }
            }
            ("shutdown", [a]) => Action::Shutdown(self.name(a)?),
            ("reuseport", [a]) => Action::Reuseport(self.name(a)?),
            ("steer", [a, "to", member]) => {
                let name = self.of_kind(a, &[Kind::Group, Kind::Udp])?;
                Action::Steer(name, Steer::To(number(member, 0, 1000)? as u32))
            }
            ("steer", [a, "flow", "mod", members]) => {
                let name = self.of_kind(a, &[Kind::Udp])?;
                Action::Steer(name, Steer::Flow(number(members, 1, 1000)? as u32))
            }
            ("connect", [l]) => self.connect(l, 1)?,
            ("connect", [l, "x", count]) => self.connect(l, number(count, 1, MOST_CONNECTIONS)?)?,
            ("connect", [l, "as", c]) => {
                let to = self.listener(l)?;
                Action::ConnectAs { to, end: self.fresh(c, Kind::Connection)?, deaf: false }
            }
            // Some kernels let only the owner of a network filter what a TCP socket hears
            // (EPERM on 6.18).
            ("syn", [l, "as", c]) => {
                self.inside_network()?;
                let to = self.of_kind(l, &[Kind::Group])?;
                Action::ConnectAs { to, end: self.fresh(c, Kind::Connection)?, deaf: true }
            }
            ("hear", [c]) => Action::Hear(self.of_kind(c, &[Kind::Connection])?),
            ("half-open", [l]) => Action::HalfOpen(self.of_kind(l, &[Kind::Group])?),
            ("defer", [l]) => Action::Defer(self.of_kind(l, &[Kind::Group])?, DEFER_SECONDS),
            ("defer", [l, seconds]) => {
                Action::Defer(self.of_kind(l, &[Kind::Group])?, number(seconds, 1, MOST_SECONDS)? as u32)
            }
            ("accept", [l, "as", s]) => {
                let of = self.listener(l)?;
                Action::AcceptAs { of, end: self.fresh(s, Kind::Connection)? }
            }
            ("accept", [l, more @ ..]) => {
                let (count, read) = match more {
                    [] => (1, false),
                    ["then", "read"] => (1, true),
                    ["x", count] => (number(count, 1, MOST_CONNECTIONS)?, false),
                    _ => return Ok(None),
                };
                Action::Accept(self.listener(l)?, count, read)
            }
            ("send", [a]) => self.send(a, "1", "1")?,
            ("send", [a, "x", count]) => self.send(a, count, "1")?,
            ("send", [a, "x", count, "from", flows]) => self.send(a, count, flows)?,
            ("received", [a]) if self.found.workers.is_empty() => Action::Received(self.of_kind(a, &[Kind::Udp])?),
            ("received", [_]) => return Err("beside workers the main thread reads no datagrams; ask result".into()),
            ("accepted" | "reset" | "accepted+reset", []) if self.found.workers.is_empty() => {
                Action::Clients { accepted: verb != "reset", reset: verb != "accepted" }
            }
            ("accepted" | "reset" | "accepted+reset", []) => {
                return Err(format!("the main thread accepts nothing beside workers; ask clients {verb}"));
            }
            ("clients", [fates]) => Action::Look(fates.split('+').map(fate).collect::<Result<_, _>>()?),
            ("client", [how @ ("resets" | "closes")]) => match self.connected {
                true => Action::Leave { reset: *how == "resets" },
                false => return Err("there is no client yet; write connect first".into()),
            },
            _ => return Ok(None),
        }))
    }

    fn own_network(&mut self) -> Result<Action, String> {
        if !self.found.steps.is_empty() {
            return Err("network is the first statement, since what is open stays in the network it was made in".into());
        }
        self.network = true;
        Ok(Action::Network)
    }

    fn inside_network(&self) -> Result<(), String> {
        match self.network {
            true => Ok(()),
            false => Err("that is about the network of this machine; write network first".into()),
        }
    }

    fn listening(&mut self, kind: Kind, names: &[&str], more: &[&str]) -> Result<Action, String> {
        let backlog = match more {
            [] => BACKLOG,
            ["backlog", backlog] => number(backlog, 0, BACKLOG as u64)? as i32,
            _ => return Err("a listener takes its name, then perhaps backlog 8".into()),
        };
        match self.open(kind, names)? {
            Action::Open(kind, names, _) if !names.is_empty() => Ok(Action::Open(kind, names, backlog)),
            _ => Err("group takes one name or more".into()),
        }
    }

    fn connect(&mut self, to: &str, count: u64) -> Result<Action, String> {
        self.connected = true;
        Ok(Action::Connect(self.listener(to)?, count))
    }

    fn send(&self, to: &str, count: &str, flows: &str) -> Result<Action, String> {
        let (count, flows) = (number(count, 1, MOST_DATAGRAMS)?, number(flows, 1, MOST_FLOWS)?);
        Ok(Action::Send { to: self.of_kind(to, &[Kind::Udp])?, count, flows })
    }
}

fn fate(word: &str) -> Result<Fate, String> {
    const KNOWN: [(&str, Fate); 5] = [
        ("connecting", Fate::Connecting),
        ("waiting", Fate::Waiting),
        ("accepted", Fate::Accepted),
        ("reset", Fate::Reset),
        ("refused", Fate::Refused),
    ];
    let found = KNOWN.iter().find(|(name, _)| *name == word).map(|(_, fate)| *fate);
    found.ok_or_else(|| {
        let near = did_you_mean(word, KNOWN.iter().map(|(name, _)| *name));
        format!("clients are connecting, waiting, accepted, reset or refused, never {word:?}{near}")
    })
}
