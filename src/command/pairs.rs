//! `herd list --matrix`: every object with every wait, and why a pair is refused.

use super::{Failure, print};
use crate::experiment::Settings;
use crate::experiment::cells;
use crate::{object, wait};

/// The settings of the plainest cell of that pair: `None` when the pair is not
/// refused. The placement is the first of the two that the object allows.
pub fn pair(object: &str, mode: &str, wait: &str) -> Result<Settings, String> {
    let of = |placement: &str| {
        let mut settings = Settings { object: object.into(), mode: mode.into(), ..Settings::default() };
        settings.worker.wait = wait.into();
        settings.placement = placement.parse().expect("both are placements");
        settings
    };
    let mut burst = of("processes");
    burst.load = "burst".into();
    burst.burst = u64::from(burst.workers);
    burst.events = burst.burst * 13;
    // Some objects live in one process, and a lock is handed on by its holders.
    let mut refusal = String::new();
    for settings in [of("processes"), of("threads"), burst] {
        match cells::check(&settings) {
            Ok(()) => return Ok(settings),
            Err(reason) if refusal.is_empty() => refusal = reason,
            Err(_) => {}
        }
    }
    Err(refusal)
}

/// Every object with its modes; the empty mode where it has none.
pub fn objects() -> impl Iterator<Item = (&'static str, &'static str)> {
    object::LIST.iter().flat_map(|object| {
        let modes = object.modes().iter().map(|(name, _)| *name);
        let none = object.modes().is_empty().then_some("");
        modes.chain(none).map(|mode| (object.name(), mode))
    })
}

/// Prints the table, and below it each reason once.
pub fn show() -> Result<(), Failure> {
    let waits: Vec<&str> = wait::names();
    let mut reasons: Vec<String> = Vec::new();
    let mut lines = Vec::new();
    for (object, mode) in objects() {
        let name = if mode.is_empty() { object.to_owned() } else { format!("{object} {mode}") };
        let cell = |wait: &&str| match pair(object, mode, wait) {
            Ok(_) => "yes".to_owned(),
            Err(reason) => {
                // One note for all objects of which the same is true.
                let reason = reason.replace(object, "the object");
                let known = reasons.iter().position(|r| *r == reason).unwrap_or_else(|| {
                    reasons.push(reason);
                    reasons.len() - 1
                });
                format!("no ({})", known + 1)
            }
        };
        lines.push(std::iter::once(name).chain(waits.iter().map(cell)).collect::<Vec<String>>());
    }
    lines.insert(0, std::iter::once("object").chain(waits.iter().copied()).map(str::to_owned).collect());
    let columns = lines[0].len();
    let widths: Vec<usize> = (0..columns).map(|c| lines.iter().map(|line| line[c].len()).max().unwrap_or(0)).collect();
    print(|out| {
        for line in &lines {
            let padded: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            writeln!(out, "{}", padded.join("  ").trim_end())?;
        }
        writeln!(out)?;
        for (number, reason) in (1..).zip(&reasons) {
            writeln!(out, "({number}) {reason}")?;
        }
        Ok(())
    })
}
