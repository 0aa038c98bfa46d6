//! Somebody watches: after each round the cell says what it measured, and makes no
//! event before it is told to. Meanwhile its workers sleep in their waits as between
//! any two events. It does nothing between fire and quiet, so it changes no count.

use std::io::{self, Read, Write};

use super::coordinator::invalid;
use super::counts::Counts;
use super::ledger::Ledger;
use super::quiet::Watch;
use crate::observation::{End, Timeline};
use crate::scene::{Opening, Part, Said, Scene};
use crate::sys;

/// What each worker had counted before the round.
pub struct Before {
    counts: Vec<Counts>,
    wakeups: Vec<u64>,
    own: Vec<u64>,
}

impl Before {
    /// Call it at a barrier.
    pub fn of(ledger: &Ledger, watch: &Watch) -> Before {
        Before {
            counts: ledger.slots().map(|slot| slot.counts()).collect(),
            wakeups: watch.sleeps().map(|sleeps| sleeps.wakeups).collect(),
            own: ledger.slots().map(|slot| slot.own_sleeps()).collect(),
        }
    }

    /// What was added since, at the next barrier.
    pub fn parts(&self, ledger: &Ledger, watch: &Watch) -> Vec<Part> {
        let sleeps = watch.sleeps().map(|sleeps| sleeps.wakeups);
        let workers = ledger.slots().zip(sleeps).enumerate();
        let part = |(i, (slot, wakeups)): (usize, (super::ledger::Slot<'_>, u64))| {
            let since = slot.counts().since(&self.counts[i]);
            let own = watch.counter().holds(slot.own_sleeps() - self.own[i]);
            Part {
                wakeups: (wakeups - self.wakeups[i]).saturating_sub(own),
                returns: since.returns,
                claims: since.claims,
                empties: since.empty_returns,
            }
        };
        workers.map(part).collect()
    }
}

/// Everybody sleeps, and somebody waits to see more.
pub fn ready(watch: &Watch) -> Result<(), End> {
    let count_source = watch.counter().name().into();
    say(&Said::Ready(Opening { count_source }))
}

/// What came of a round.
pub fn show(fired: u64, wakeups: u64, parts: Vec<Part>, timeline: Timeline) -> Result<(), End> {
    say(&Said::Round(Scene { fired, wakeups, parts, timeline }))
}

/// One line for whoever watches.
pub fn say(said: &Said) -> Result<(), End> {
    let mut line = serde_json::to_vec(said).map_err(|e| invalid(e.to_string()))?;
    line.push(b'\n');
    let mut out = io::stdout();
    out.write_all(&line).and_then(|()| out.flush()).map_err(|e| invalid(format!("cannot say what was seen: {e}")))
}

/// Waits until the next round is wanted; false when nobody wants another. A person
/// thinks as long as he likes, so this wait alone has no limit: it ends with the front
/// end, whose death closes the pipe and kills us.
pub fn wanted() -> Result<bool, End> {
    let mut byte = [0];
    loop {
        if sys::signal::termination_asked() {
            return Err(End::Interrupted);
        }
        match io::stdin().read(&mut byte) {
            Ok(count) => return Ok(count > 0),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(invalid(format!("cannot hear whether to go on: {e}"))),
        }
    }
}
