//! Ways to show results of several kernels side by side, and what they share: the
//! words below the table. Pure.

use std::io::{self, Write};

use super::markdown::escaped;
use crate::analysis::matrix::{Column, Entry, Matrix, Row, Section, Value, cpus};
use crate::exit::Exit;
use crate::results::Verdict;

pub(super) mod html;
mod table;

/// A way to show it.
pub struct Format {
    pub name: &'static str,
    write: fn(&Matrix, usize, &mut dyn Write) -> io::Result<()>,
}

impl Format {
    /// `width` is that of the terminal.
    pub fn write(&self, matrix: &Matrix, width: usize, out: &mut dyn Write) -> io::Result<()> {
        (self.write)(matrix, width, out)
    }
}

/// Every format; the first is the default.
pub const FORMATS: &[Format] = &[
    Format { name: "table", write: table::write },
    Format { name: "markdown", write: markdown },
    Format { name: "csv", write: csv },
    Format { name: "html", write: html::write },
];

/// All names.
pub fn names() -> Vec<&'static str> {
    FORMATS.iter().map(|format| format.name).collect()
}

/// The format of that name.
pub fn find(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}

/// What the numbers are.
pub(super) const SUBJECT: &str = "Wakeups per event: the median, and (min-max) where events differ; of a script the \
                       steps that held. A change against the kernel to the left has the number of what explains it, or a ? where nothing does.";

/// So many files of a kernel are named.
const FILES: usize = 4;

/// The heading of the notes.
const EXPLAINED: &str = "Changes that are explained";

fn markdown(matrix: &Matrix, _: usize, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{SUBJECT}")?;
    for section in &matrix.sections {
        writeln!(out, "\n## {}\n", escaped(&heading(section)))?;
        let labels = matrix.columns.iter().map(|column| escaped(&column.label));
        let header: Vec<String> = std::iter::once("wait".to_owned()).chain(labels).collect();
        writeln!(out, "| {} |\n|{}", header.join(" | "), " --- |".repeat(header.len()))?;
        for row in &section.rows {
            let entries = row.entries.iter().map(|entry| escaped(&text(entry)));
            let line: Vec<String> = std::iter::once(escaped(&name(row))).chain(entries).collect();
            writeln!(out, "| {} |", line.join(" | "))?;
        }
        folded(section).iter().try_for_each(|text| writeln!(out, "\n{}", escaped(text)))?;
    }
    for (heading, texts) in remarks(matrix) {
        writeln!(out, "\n{heading}:\n")?;
        texts.iter().try_for_each(|text| writeln!(out, "- {}", escaped(text)))?;
    }
    writeln!(out, "\n{}", verdict(matrix))
}

/// One line a row; for each kernel the figure, its extremes, the verdict and what
/// explains a change.
fn csv(matrix: &Matrix, _: usize, out: &mut dyn Write) -> io::Result<()> {
    let mut table = ::csv::Writer::from_writer(out);
    let of = |column: &Column| {
        let label = &column.label;
        [
            label.clone(),
            format!("{label} min"),
            format!("{label} max"),
            format!("{label} verdict"),
            format!("{label} change"),
        ]
    };
    let header = ["experiment", "wait", "axes"].map(str::to_owned).into_iter();
    table.write_record(header.chain(matrix.columns.iter().flat_map(of))).map_err(super::csv::bare)?;
    for (section, row) in matrix.sections.iter().flat_map(|s| s.rows.iter().map(move |row| (s, row))) {
        let mut record = vec![section.experiment.clone(), row.wait.clone(), row.axes_text()];
        for entry in &row.entries {
            record.extend(entry.as_ref().map(|entry| fields(entry, matrix)).unwrap_or_default());
        }
        table.write_record(record).map_err(super::csv::bare)?;
    }
    table.flush()
}

fn fields(entry: &Entry, matrix: &Matrix) -> [String; 5] {
    let [figure, min, max] = match &entry.value {
        word @ (Value::Word(_) | Value::Steps { .. }) => [word.to_string(), String::new(), String::new()],
        Value::Count { median, min, max } => [median, min, max].map(f64::to_string),
    };
    let mut changes: Vec<String> =
        entry.notes.iter().filter_map(|number| matrix.notes.get(number - 1)).cloned().collect();
    changes.extend(entry.unexplained.iter().map(|what| format!("? {what}")));
    [figure, min, max, entry.verdict.to_string().to_lowercase(), changes.join("; ")]
}

pub(super) fn heading(section: &Section) -> String {
    match section.title.as_str() {
        "" => section.experiment.clone(),
        title => format!("{}: {title}", section.experiment),
    }
}

/// The wait with the axes that make a difference.
pub(super) fn name(row: &Row) -> String {
    match row.axes_text().as_str() {
        "" => row.wait.clone(),
        axes => format!("{}, {axes}", row.wait),
    }
}

fn text(entry: &Option<Entry>) -> String {
    entry.as_ref().map_or("-".into(), ToString::to_string)
}

/// The axes that made no difference, in one sentence.
pub(super) fn folded(section: &Section) -> Option<String> {
    let alike = |(key, values): &(String, Vec<String>)| format!("{key} = {}", values.join(", "));
    let alike: Vec<String> = section.folded.iter().map(alike).collect();
    (!alike.is_empty()).then(|| format!("Alike where a row does not name it: {}.", alike.join("; ")))
}

/// All that belongs below the table, under headings.
pub(super) fn remarks(matrix: &Matrix) -> Vec<(&'static str, Vec<String>)> {
    let notes = (1..).zip(&matrix.notes).map(|(number, text)| format!("[{number}] {text}"));
    let unexplained = matrix.unexplained.iter().map(|u| format!("{}, {} -> {}: {}", u.row, u.from, u.to, u.what));
    let all = [
        ("Kernels", matrix.columns.iter().map(kernel).collect()),
        (EXPLAINED, notes.collect()),
        ("Changes that nothing explains", unexplained.collect::<Vec<String>>()),
    ];
    all.into_iter().filter(|(_, texts)| !texts.is_empty()).collect()
}

fn kernel(column: &Column) -> String {
    let mut parts = vec![column.version.clone(), column.machine.clone(), cpus(&column.cpus)];
    parts.push(format!("herd {}", column.herds.join(" and ")));
    let sources = if column.sources.is_empty() { "nothing".into() } else { column.sources.join(" and ") };
    parts.push(format!("counted with {sources}"));
    parts.retain(|part| !part.is_empty());
    let mut files = column.files.iter().take(FILES).cloned().collect::<Vec<String>>().join(", ");
    if column.files.len() > FILES {
        files.push_str(&format!(" and {} more", column.files.len() - FILES));
    }
    format!("{}: {}; {files}", column.label, parts.join(", "))
}

/// The last line.
pub(super) fn verdict(matrix: &Matrix) -> String {
    let word = match matrix.exit() {
        Exit::Pass => "PASS",
        Exit::Fail => "FAIL",
        Exit::AllSkipped => "SKIPPED",
        _ => "INVALID",
    };
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let rows = matrix.sections.iter().map(|section| section.rows.len()).sum();
    let count = |is: &dyn Fn(&Entry) -> bool| matrix.entries().filter(|entry| is(entry)).count();
    let mut parts = vec![plural(rows, "row"), plural(matrix.columns.len(), "kernel")];
    let unexplained = count(&|entry| !entry.unexplained.is_empty());
    let explained = count(&|entry| !entry.notes.is_empty() && entry.unexplained.is_empty());
    let of =
        |verdict: Verdict| count(&|entry| entry.verdict == verdict && (verdict != Verdict::Skip || !entry.measured));
    let (failed, invalid, skipped) = (of(Verdict::Fail), of(Verdict::Invalid), of(Verdict::Skip));
    if explained + unexplained > 0 {
        let changes = plural(explained + unexplained, "change");
        parts.push(format!("{changes} ({explained} explained, {unexplained} not)"));
    }
    let rest = [(failed, "failed"), (invalid, "invalid"), (skipped, "skipped")];
    parts.extend(rest.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")));
    format!("{word}: {}", parts.join(", "))
}
