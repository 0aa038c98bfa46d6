//! A wait that touches no kernel: the cell makes its facts up from the settings.
//!
//! It exists so that the command line, the verdicts and every report can be
//! tested anywhere. `cell::scripted` writes the observation; nobody sleeps here.

use super::{Demand, Wait, only_for_epoll};
use crate::cell::contract::{Refusal, SetupError, SharedWait, Sleeper, Source};
use crate::experiment::Settings;
use crate::experiment::settings::WorkerSettings;

/// Nothing at all.
pub struct Null;

impl Wait for Null {
    fn name(&self) -> &'static str {
        "null"
    }

    fn about(&self) -> &'static str {
        "no kernel: made-up facts, to test reports (the settings null_*)"
    }

    fn demand(&self) -> Demand {
        Demand::Nothing
    }

    fn blocks(&self) -> bool {
        false
    }

    fn refuse(&self, worker: &WorkerSettings, cell: &Settings) -> Option<Refusal> {
        let mixed = (0..cell.workers).any(|i| !cell.overrides.is_empty() && cell.for_worker(i).wait != self.name());
        if mixed {
            return Some(Refusal {
                reason: "null is for whole cells; no worker can really wait beside it".into(),
                forcible: false,
            });
        }
        only_for_epoll(worker, self.name())
    }

    fn open(&self, _: &WorkerSettings, _: &SharedWait, _: &[Box<dyn Source>]) -> Result<Box<dyn Sleeper>, SetupError> {
        unreachable!("a null cell is scripted and starts no worker")
    }
}
