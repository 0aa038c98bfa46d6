//! What guest and host say: the plan in, one JSON line after the other out.
//!
//! Only an end line with the number of cells and a checksum of everything before
//! it is success: QEMU exits with 0 when a guest panics as well.

use serde::{Deserialize, Serialize};

use crate::analysis::metrics::{self, Facts};
use crate::experiment::Cell;
use crate::observation::{Observation, WorkerFacts};
use crate::results::{CellResult, Environment, Judged, Verdict, numbered};

/// What a guest is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GuestPlan {
    pub cells: Vec<Cell>,
    pub repeat: u32,
    pub trace: bool,
    pub count_with: Option<String>,
}

impl GuestPlan {
    /// How many results there will be.
    pub fn runs(&self) -> usize {
        self.cells.len() * self.repeat as usize
    }

    /// The cell that was told of, unless nobody asked for it.
    pub fn cell_of(&self, told: &Told) -> Option<&Cell> {
        self.cells.iter().find(|cell| told.id == numbered(&cell.id, told.repetition))
    }
}

/// One line of a guest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// PID 1 has begun.
    Ready(Box<Environment>),
    /// The cell whose result will have this id runs now.
    Start(String),
    /// It has run.
    Cell(Box<Told>),
    /// PID 1 could not go on.
    Broken(String),
    /// So many cells ran, and this is the checksum of all lines before.
    End { cells: usize, crc32: u32 },
}

/// A cell that has run, without what the plan says of it and what follows from the rest:
/// an emulated serial port takes byte after byte.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    pub id: String,
    pub repetition: u32,
    count_source: String,
    workers: Vec<WorkerFacts>,
    winners: String,
    expectations: Vec<Judged>,
    verdict: Verdict,
    reason: String,
    pub observation: Option<Observation>,
}

impl From<CellResult> for Told {
    fn from(cell: CellResult) -> Told {
        Told {
            id: cell.id,
            repetition: cell.repetition,
            count_source: cell.count_source,
            workers: cell.workers,
            winners: cell.winners,
            expectations: cell.expectations,
            verdict: cell.verdict,
            reason: cell.reason,
            observation: cell.observation,
        }
    }
}

impl Told {
    /// The whole result, of the cell of the plan that it is of.
    pub fn whole(self, cell: &Cell) -> CellResult {
        let mut whole = CellResult {
            experiment: cell.experiment.clone(),
            id: self.id,
            row: cell.row.clone(),
            axes: cell.axes.clone(),
            repetition: self.repetition,
            settings: cell.settings.clone(),
            count_source: self.count_source,
            workers: self.workers,
            metrics: Default::default(),
            winners: self.winners,
            expectations: self.expectations,
            verdict: self.verdict,
            reason: self.reason,
            observation: self.observation,
            rules: cell.expectations.clone(),
        };
        if let Some(seen) = whole.whole_observation() {
            whole.metrics = metrics::all(&Facts { seen: &seen, settings: &cell.settings });
        }
        whole
    }
}

/// Writes lines and keeps their checksum.
pub struct Speaker<W> {
    out: W,
    sum: crc32fast::Hasher,
    cells: usize,
}

impl<W: std::io::Write> Speaker<W> {
    pub fn new(out: W) -> Speaker<W> {
        Speaker { out, sum: crc32fast::Hasher::new(), cells: 0 }
    }

    pub fn say(&mut self, line: &Line) -> std::io::Result<()> {
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        self.sum.update(text.as_bytes());
        self.cells += usize::from(matches!(line, Line::Cell(_)));
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    pub fn end(&mut self) -> std::io::Result<()> {
        let line = Line::End { cells: self.cells, crc32: self.sum.clone().finalize() };
        self.say(&line)
    }
}

/// Reads what a guest says, in whatever pieces it comes.
#[derive(Default)]
pub struct Listener {
    rest: Vec<u8>,
    sum: crc32fast::Hasher,
    bytes: u64,
    pub environment: Option<Environment>,
    /// The cell that has started and not ended.
    pub running: Option<String>,
    pub cells: Vec<Told>,
    /// The end line came and was right.
    pub complete: bool,
}

/// More than any results; a guest that says more says nonsense.
const MOST_BYTES: u64 = 1 << 30;
/// Longer than any line of ours.
const LONGEST_LINE: usize = 1 << 26;

impl Listener {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// What is wrong with them, for a person.
    pub fn hear(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.bytes += bytes.len() as u64;
        if self.bytes > MOST_BYTES || self.rest.len() > LONGEST_LINE {
            return Err("the guest floods the result port".into());
        }
        // Only what is new is searched, and what is left moved once: a guest that
        // talks nonsense must not cost more than its bytes.
        let Some(last) = bytes.iter().rposition(|byte| *byte == b'\n') else {
            self.rest.extend_from_slice(bytes);
            return Ok(());
        };
        let mut whole = std::mem::take(&mut self.rest);
        whole.extend_from_slice(&bytes[..=last]);
        self.rest.extend_from_slice(&bytes[last + 1..]);
        whole.split_inclusive(|byte| *byte == b'\n').try_for_each(|line| self.line(line))
    }

    fn line(&mut self, line: &[u8]) -> Result<(), String> {
        let parsed: Line = serde_json::from_slice(line).map_err(|e| {
            let start = String::from_utf8_lossy(&line[..line.len().min(60)]).trim_end().to_owned();
            format!("garbage on the result port: {start:?} ({e})")
        })?;
        match parsed {
            Line::Ready(environment) => self.environment = Some(*environment),
            Line::Start(id) => {
                if let Some(other) = self.running.replace(id.clone()) {
                    return Err(format!("garbage on the result port: {id} starts while {other} runs"));
                }
            }
            Line::Cell(result) => {
                self.running = None;
                self.cells.push(*result);
            }
            Line::Broken(reason) => return Err(format!("inside the guest: {reason}")),
            Line::End { cells, crc32 } => {
                let (heard, sum) = (self.cells.len(), self.sum.clone().finalize());
                if cells != heard || crc32 != sum {
                    return Err(format!(
                        "results were lost: {heard} of {cells} cells, checksum {sum:08x}, not {crc32:08x}"
                    ));
                }
                self.complete = true;
            }
        }
        self.sum.update(line);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(lines: &[Line], end: bool) -> Vec<u8> {
        let mut out = Vec::new();
        let mut speaker = Speaker::new(&mut out);
        for line in lines {
            speaker.say(line).unwrap();
        }
        if end {
            speaker.end().unwrap();
        }
        out
    }

    fn some() -> Vec<Line> {
        vec![Line::Ready(Box::default()), Line::Start("a".into())]
    }

    #[test]
    fn pieces_of_any_size_are_one_stream() {
        let bytes = said(&some(), true);
        for size in [1, 7, bytes.len()] {
            let mut listener = Listener::default();
            bytes.chunks(size).try_for_each(|piece| listener.hear(piece)).unwrap();
            assert!(listener.complete);
            assert_eq!(listener.running.as_deref(), Some("a"));
        }
    }

    #[test]
    fn only_a_right_end_line_is_success() {
        let mut listener = Listener::default();
        listener.hear(&said(&some(), false)).unwrap();
        assert!(!listener.complete, "no end line");
        let mut lost = said(&some()[..1], false);
        lost.extend(said(&some(), true).split_inclusive(|b| *b == b'\n').next_back().unwrap());
        let error = Listener::default().hear(&lost).unwrap_err();
        assert!(error.contains("results were lost"), "{error}");
    }

    #[test]
    fn garbage_is_shown() {
        let error = Listener::default().hear(b"Segmentation fault\n").unwrap_err();
        assert!(error.contains("garbage on the result port: \"Segmentation fault\""), "{error}");
        let broken = said(&[Line::Broken("no /proc".into())], false);
        assert_eq!(Listener::default().hear(&broken).unwrap_err(), "inside the guest: no /proc");
    }
}
