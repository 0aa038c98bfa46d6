//! What `herd doctor` found, for a terminal or a program. Pure.

use std::io::{self, Write};

use super::table::wrapped;
use crate::checkup::{Checkup, Source, Standing};

/// The whole document.
pub fn json(found: &Checkup, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, found)?;
    writeln!(out)
}

/// Four tables and a verdict.
pub fn table(found: &Checkup, width: usize, out: &mut dyn Write) -> io::Result<()> {
    let environment = &found.environment;
    writeln!(
        out,
        "herd {} on Linux {}, {}, {} CPUs",
        found.herd, environment.kernel_release, environment.machine, environment.cpus_online
    )?;

    writeln!(out, "\nWhat this kernel can do, found by doing it")?;
    let names = widest(found.features.iter().map(|feature| feature.name));
    for feature in &found.features {
        let text = match &feature.reason {
            None => feature.about.to_owned(),
            Some(why) => format!("{}: {why}", feature.about),
        };
        row(out, width, &format!("  {:3}  {:names$}  ", yes(feature.there), feature.name), &text)?;
    }

    writeln!(out, "\nCounting sources, best first, each tried with 8 workers and 101 events")?;
    for source in &found.sources {
        row(out, width, &format!("  {:7}  {:6}  ", word(source.standing), source.name), &said(source))?;
    }
    row(out, width, "  ", &choice(found))?;

    writeln!(out, "\nLimits")?;
    let names = widest(found.limits.iter().map(|limit| limit.limit));
    for limit in &found.limits {
        let text = format!("{}: {} (to raise it: {})", limit.value, limit.allows, limit.raise);
        row(out, width, &format!("  {:names$}  ", limit.limit), &text)?;
    }

    writeln!(out, "\nSettings that disturb")?;
    let names = widest(found.settings.iter().map(|look| look.setting));
    for look in &found.settings {
        let text = match look.disturbs {
            false => look.value.clone(),
            true => format!("{}: {} (to end it: {})", look.value, look.effect, look.remedy),
        };
        let mark = if look.disturbs { "note" } else { "ok" };
        row(out, width, &format!("  {mark:4}  {:names$}  ", look.setting), &text)?;
    }
    writeln!(out, "\n{}", verdict(found))
}

fn yes(there: bool) -> &'static str {
    if there { "yes" } else { "no" }
}

fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Works => "works",
        Standing::Wrong => "WRONG",
        Standing::Refused => "no",
    }
}

fn said(source: &Source) -> String {
    let value = |what: Option<f64>| what.map_or("-".into(), |value| format!("{value:.3}"));
    let counted = || format!("EXCLUSIVE {}, own epoll {}", value(source.exclusive), value(source.own_epoll));
    match source.standing {
        Standing::Works => format!("{}; {}", counted(), source.about),
        Standing::Wrong => format!("{}; {}", counted(), source.reason),
        Standing::Refused => source.reason.clone(),
    }
}

/// The source a run takes, and why no better one.
fn choice(found: &Checkup) -> String {
    let Some(chosen) = found.chosen else {
        return "None of them can be opened: nothing can be measured here.".into();
    };
    let why = match found.sources.iter().position(|source| source.name == chosen) {
        Some(0) => ", the best there is",
        _ => ": those above are refused, for the reasons they give",
    };
    let wrong = found.sources.iter().any(|source| source.name == chosen && source.standing == Standing::Wrong);
    match (wrong, found.counting()) {
        (false, _) => format!("herd counts with {chosen}{why}."),
        (true, Some(other)) => {
            format!("herd would count with {chosen}, which is wrong here: use --count-with {}.", other.name)
        }
        (true, None) => format!("herd would count with {chosen}, which is wrong here, and no other source works."),
    }
}

/// The last line.
fn verdict(found: &Checkup) -> String {
    let there = found.features.iter().filter(|feature| feature.there).count();
    let notes = found.settings.iter().filter(|look| look.disturbs).count();
    let disturbed = match notes {
        0 => "nothing disturbs".to_owned(),
        1 => "1 setting disturbs".to_owned(),
        n => format!("{n} settings disturb"),
    };
    let features = format!("{there} of {} features", found.features.len());
    match found.counting() {
        Some(source) => format!("PASS: wakeups can be counted ({}), {features}, {disturbed}", source.name),
        None => format!("INVALID: no source can count wakeups, {features}, {disturbed}"),
    }
}

fn widest<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    names.map(str::len).max().unwrap_or(0)
}

/// A text behind its first columns; further lines are indented as far.
fn row(out: &mut dyn Write, width: usize, first: &str, text: &str) -> io::Result<()> {
    let indent = first.len();
    for (i, line) in wrapped(text, width.saturating_sub(indent)).into_iter().enumerate() {
        let begin = if i == 0 { first.to_owned() } else { " ".repeat(indent) };
        writeln!(out, "{begin}{line}")?;
    }
    Ok(())
}
