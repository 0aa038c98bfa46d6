//! One wait under watch: what its cell has said so far, and the picture of it.

use crate::analysis::judge::{Here, judge};
use crate::experiment::Cell;
use crate::observation::{End, Observation};
use crate::report::watch::{Picture, Sums};
use crate::report::wrapped;
use crate::results::Verdict;
use crate::scene::{Opening, Said, Scene};

/// Of a summary, beside its two spaces.
const WIDTH: usize = 78;

/// A row of the experiment that is shown.
pub struct Row {
    pub cell: Cell,
    /// Experiment and row.
    pub title: String,
    /// What one event is called.
    pub event: &'static str,
    /// Why it cannot be had here.
    pub lacking: Option<String>,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub verdict: Verdict,
    /// Why, unless all went well.
    pub reason: String,
}

/// What was said of one row so far.
pub struct Act<'a> {
    pub row: &'a Row,
    pub opening: Option<Opening>,
    pub scene: Option<Scene>,
    /// Of the scenes before that.
    pub before: Sums,
    pub outcome: Option<Outcome>,
}

impl<'a> Act<'a> {
    pub fn new(row: &'a Row) -> Act<'a> {
        let lacking = |why: &String| Outcome { verdict: Verdict::Skip, reason: why.clone() };
        let outcome = row.lacking.as_ref().map(lacking);
        Act { row, opening: None, scene: None, before: Sums::default(), outcome }
    }

    /// Takes a word of the cell in; true if it is a new scene.
    pub fn take(&mut self, said: Said, release: &str) -> bool {
        match said {
            Said::Ready(opening) => self.opening = Some(opening),
            Said::Round(scene) => {
                self.scene.replace(scene).iter().for_each(|old| self.before.add(old));
                return true;
            }
            Said::End(seen) => self.outcome = Some(self.judged(*seen, release)),
        }
        false
    }

    /// The cell has ended without a result.
    pub fn lost(&mut self) {
        let reason = "the cell's process ended without a result".to_owned();
        self.outcome.get_or_insert(Outcome { verdict: Verdict::Invalid, reason });
    }

    /// By what always holds; a few events prove nothing about expectations.
    fn judged(&self, seen: Observation, release: &str) -> Outcome {
        let refused = match &seen.end {
            End::Refused { call, errno, .. } => format!("the kernel refuses this wait: {errno} from {call}"),
            _ => String::new(),
        };
        let here = Here { release, realtime: crate::sys::realtime::here(), lacks: &|_| None };
        let judged = judge(&self.row.cell, seen, &here);
        Outcome { verdict: judged.verdict, reason: if refused.is_empty() { judged.reason } else { refused } }
    }

    /// Whether it would make another event.
    pub fn ready(&self) -> bool {
        self.opening.is_some() && self.outcome.is_none()
    }

    /// All rounds, the one that is shown among them.
    pub fn sums(&self) -> Sums {
        let mut all = self.before.clone();
        self.scene.iter().for_each(|scene| all.add(scene));
        all
    }

    /// Rounds there will be, if nobody stops it.
    pub fn rounds(&self) -> u64 {
        let settings = &self.row.cell.settings;
        let load = crate::load::find(&settings.load).expect("checked in the plan");
        settings.events / load.batch(settings).max(1)
    }

    pub fn picture(&'a self, at_ns: u64, place: &'a str, state: &'a str, note: &'a str, keys: &'a str) -> Picture<'a> {
        Picture {
            title: &self.row.title,
            event: self.row.event,
            opening: self.opening.as_ref(),
            scene: self.scene.as_ref(),
            at_ns,
            before: &self.before,
            rounds: self.rounds(),
            workers: self.row.cell.settings.workers as usize,
            place,
            state,
            note,
            keys,
        }
    }

    /// A few lines for when the terminal is itself again.
    pub fn summary(&self) -> String {
        let (sums, title) = (self.sums(), &self.row.title);
        let source = self.opening.as_ref().map_or("", |opening| opening.count_source.as_str());
        let plural = if sums.fired == 1 { "" } else { "s" };
        let seen = match sums.fired {
            0 => String::new(),
            fired => format!("{fired} {}{plural}, counted with {source}: {}", self.row.event, sums.words(source)),
        };
        let end = match &self.outcome {
            Some(Outcome { verdict: Verdict::Pass, reason }) => reason.clone(),
            Some(Outcome { verdict, reason }) => format!("{verdict}: {reason}"),
            None if seen.is_empty() => "no event was made".into(),
            None => String::new(),
        };
        let parts: Vec<String> = [seen, end].into_iter().filter(|part| !part.is_empty()).collect();
        let said = wrapped(&parts.join("; "), WIDTH).join("\n  ");
        format!("{title}\n  {said}")
    }
}
