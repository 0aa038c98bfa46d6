//! Ways to show a comparison of two results. Pure.

use std::io::{self, Write};

use super::markdown::escaped;
use super::table::wrapped;
use crate::analysis::compare::{CellChange, Change, Comparison, Direction, Origin, Outcome};

/// A way to show it.
pub struct Format {
    pub name: &'static str,
    write: fn(&Comparison, usize, &mut dyn Write) -> io::Result<()>,
}

impl Format {
    /// `width` is that of the terminal.
    pub fn write(&self, found: &Comparison, width: usize, out: &mut dyn Write) -> io::Result<()> {
        (self.write)(found, width, out)
    }
}

/// Every format; the first is the default.
pub const FORMATS: &[Format] = &[
    Format { name: "table", write: table },
    Format { name: "json", write: json },
    Format { name: "markdown", write: markdown },
];

/// All names.
pub fn names() -> Vec<&'static str> {
    FORMATS.iter().map(|format| format.name).collect()
}

/// The format of that name.
pub fn find(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}

fn json(found: &Comparison, _: usize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, found)?;
    writeln!(out)
}

fn table(found: &Comparison, width: usize, out: &mut dyn Write) -> io::Result<()> {
    lines(out, "", &format!("old: {}", origin(&found.old)), width)?;
    lines(out, "", &format!("new: {}", origin(&found.new)), width)?;
    if !found.environment.is_empty() {
        writeln!(out, "\nThe environments differ:")?;
        for d in &found.environment {
            lines(out, "  ", &format!("{}: {} -> {}", d.what, d.old, d.new), width)?;
        }
    }
    for cell in &found.cells {
        writeln!(out, "\n{}: {}", word(cell.direction), name(cell))?;
        for change in &cell.changes {
            lines(out, "  ", &described(change), width)?;
        }
        for d in &cell.settings {
            lines(out, "  ", &format!("asked differently: {} = {} -> {}", d.what, d.old, d.new), width)?;
        }
    }
    for (heading, texts) in remarks(found) {
        writeln!(out, "\n{heading}:")?;
        for text in texts {
            lines(out, "  ", &text, width)?;
        }
    }
    if let Some(why) = &found.latencies_not_compared {
        writeln!(out)?;
        lines(out, "", &format!("Latencies not compared: {why}."), width)?;
    }
    writeln!(out, "\n{}", verdict(found))
}

fn markdown(found: &Comparison, _: usize, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "## {}\n", verdict(found))?;
    writeln!(out, "- old: {}\n- new: {}", origin(&found.old), origin(&found.new))?;
    for d in &found.environment {
        writeln!(out, "- {}: {} -> {}", escaped(&d.what), escaped(&d.old), escaped(&d.new))?;
    }
    if !found.cells.is_empty() {
        writeln!(out, "\n| cell | | what | old | new | expected |\n| --- | --- | --- | --- | --- | --- |")?;
    }
    for cell in &found.cells {
        for change in &cell.changes {
            let columns =
                [&name(cell), word(change.direction), &change.what, &change.old, &change.new, &change.expected];
            let columns: Vec<String> = columns.iter().map(|text| escaped(text)).collect();
            writeln!(out, "| {} |", columns.join(" | "))?;
        }
        for d in &cell.settings {
            let columns = [&name(cell), "asked", &d.what, &d.old, &d.new, ""];
            let columns: Vec<String> = columns.iter().map(|text| escaped(text)).collect();
            writeln!(out, "| {} |", columns.join(" | "))?;
        }
    }
    for (heading, texts) in remarks(found) {
        writeln!(out, "\n{heading}:\n")?;
        for text in texts {
            writeln!(out, "- {}", escaped(&text))?;
        }
    }
    if let Some(why) = &found.latencies_not_compared {
        writeln!(out, "\nLatencies not compared: {why}.")?;
    }
    Ok(())
}

/// All that is neither better nor worse, under headings.
pub(super) fn remarks(found: &Comparison) -> Vec<(&'static str, Vec<String>)> {
    let of = |remarks: &[crate::analysis::compare::Remark]| -> Vec<String> {
        remarks.iter().map(|remark| format!("{}: {}", remark.id, remark.text)).collect()
    };
    let latencies = found.latencies.iter().map(|l| {
        format!(
            "{}: median of a repetition {:.0} -> {:.0} us, {:.0} % of pairs slower, p = {:.1e}",
            l.id,
            l.old_us,
            l.new_us,
            l.superiority * 100.0,
            l.p
        )
    });
    let all = [
        ("Explained by the way of counting", of(&found.explained)),
        ("Not measured on both sides", of(&found.not_measured)),
        ("Only in old", found.only_old.clone()),
        ("Only in new", found.only_new.clone()),
        ("Latencies, for information", latencies.collect()),
    ];
    all.into_iter().filter(|(_, texts)| !texts.is_empty()).collect()
}

pub(super) fn origin(origin: &Origin) -> String {
    format!(
        "{}: Linux {}, {} CPUs, herd {}, counted with {}",
        origin.file,
        origin.kernel_release,
        origin.cpus_online,
        origin.herd,
        if origin.count_sources.is_empty() { "nothing".into() } else { origin.count_sources.join(", ") }
    )
}

pub(super) fn name(cell: &CellChange) -> String {
    match &cell.new_id {
        Some(new) => format!("{} (new: {new})", cell.id),
        None => cell.id.clone(),
    }
}

pub(super) fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Better => "better",
        Direction::Changed => "changed",
        Direction::Worse => "worse",
    }
}

fn described(change: &Change) -> String {
    let mut text = format!("{}: {} -> {}", change.what, change.old, change.new);
    if !change.expected.is_empty() {
        text.push_str(&format!(", expected {}", change.expected));
    }
    if !change.source.is_empty() {
        text.push_str(&format!(" [{}]", change.source));
    }
    text
}

/// The last line.
pub(super) fn verdict(found: &Comparison) -> String {
    let compared = match found.compared {
        1 => "1 cell compared".to_owned(),
        n => format!("{n} cells compared"),
    };
    let count = |direction| found.cells.iter().filter(|cell| cell.direction == direction).count();
    let mut parts = vec![compared];
    for direction in [Direction::Worse, Direction::Changed, Direction::Better] {
        match count(direction) {
            0 => {}
            n => parts.push(format!("{n} {}", word(direction))),
        }
    }
    if found.cells.is_empty() {
        parts.push("no difference".into());
    }
    if !found.not_measured.is_empty() {
        parts.push(format!("{} not measured on both sides", found.not_measured.len()));
    }
    let word = match found.outcome {
        Outcome::Same => "SAME",
        Outcome::Better => "BETTER",
        Outcome::Changed => "CHANGED",
        Outcome::Unknown => "UNKNOWN",
        Outcome::Worse => "WORSE",
    };
    format!("{word}: {}", parts.join(", "))
}

/// A paragraph with a hanging indent.
pub fn lines(out: &mut dyn Write, indent: &str, text: &str, width: usize) -> io::Result<()> {
    let hang = format!("{indent}  ");
    for (i, line) in wrapped(text, width.saturating_sub(hang.len())).into_iter().enumerate() {
        writeln!(out, "{}{line}", if i == 0 { indent } else { &hang })?;
    }
    Ok(())
}
