//! `herd explain WORD` and `herd list --words`: the glossary.

use std::io::{self, Write};

use super::explain::WIDTH;
use super::{Failure, print};
use crate::analysis::metrics;
use crate::experiment::embedded;
use crate::words::{self, Catalogue, Language, Term, columns, fill};

/// Prints what a word means.
pub fn explain(name: &str, language: Language) -> Result<(), Failure> {
    let term = words::find(name).ok_or_else(|| unknown(name))?;
    let texts = words::catalogue(language);
    print(|out| to(out, name, term, texts, language))
}

/// Neither an experiment nor a word is called so.
pub fn unknown(name: &str) -> Failure {
    let experiments = embedded::names();
    let mut known: Vec<&str> = experiments.iter().map(String::as_str).collect();
    words::names().for_each(|name| known.push(name));
    known.extend(words::claims::all().iter().map(|claim| claim.id.as_str()));
    let near = crate::experiment::keys::did_you_mean(name, known.into_iter());
    Failure::usage(format!(
        "unknown experiment or word {name:?}{near} (see `herd list`, `herd list --words` and `herd list --claims`; a file \
         needs a / or .toml)"
    ))
}

fn to(out: &mut dyn Write, name: &str, term: &Term, texts: &Catalogue, language: Language) -> io::Result<()> {
    let text = &texts.terms[&term.name];
    let heading = |key: &str| &texts.headings[key];
    writeln!(out, "{}  ({})\n", term.name, texts.groups[&term.group])?;
    if term.group == "metric" {
        for metric in std::iter::once(&term.name).chain(&term.also) {
            let Some((about, unit)) = metrics::column(metric) else { continue };
            let unit = &texts.units[unit];
            // What a metric is stands in one place, in English.
            let line = match language {
                Language::English => format!("{metric}: {about} [{unit}]"),
                Language::Chinese => format!("{metric} [{unit}]"),
            };
            indented(out, 2, &line)?;
        }
        writeln!(out)?;
    }
    indented(out, 0, &text.about)?;
    for (key, text) in [("good", &text.good), ("bad", &text.bad)] {
        if !text.is_empty() {
            writeln!(out, "\n{}", heading(key))?;
            indented(out, 2, text)?;
        }
    }
    writeln!(out)?;
    let also: Vec<&str> = term.also.iter().map(String::as_str).filter(|also| shows(also, language)).collect();
    if term.group != "metric" && !also.is_empty() {
        labelled(out, heading("also"), &also.join(", "))?;
    }
    if !term.source.is_empty() {
        labelled(out, heading("source"), &term.source)?;
    }
    let see: Vec<String> = term.see.iter().map(|see| format!("herd explain {}", typed(see))).collect();
    if !see.is_empty() {
        labelled(out, heading("see"), &see.join(", "))?;
    }
    if metrics::find(name).is_some() {
        writeln!(out, "{}", texts.message("show_json", name))?;
    }
    if embedded::text(name).is_some() {
        writeln!(out, "{}", texts.message("is_experiment_too", name))?;
    }
    Ok(())
}

/// An English page is plain ASCII.
fn shows(name: &str, language: Language) -> bool {
    name.is_ascii() || language == Language::Chinese
}

/// As a shell takes it.
fn typed(name: &str) -> String {
    if name.contains(['(', '+']) { format!("'{name}'") } else { name.to_owned() }
}

pub(super) fn labelled(out: &mut dyn Write, label: &str, text: &str) -> io::Result<()> {
    let label = format!("{label}: ");
    for (at, line) in fill(text, WIDTH - columns(&label)).iter().enumerate() {
        let (label, by) = if at == 0 { (label.as_str(), 0) } else { ("", columns(&label)) };
        writeln!(out, "{label}{:by$}{line}", "")?;
    }
    Ok(())
}

pub(super) fn indented(out: &mut dyn Write, by: usize, text: &str) -> io::Result<()> {
    for line in fill(text, WIDTH - by) {
        writeln!(out, "{}", format!("{:by$}{line}", "").trim_end())?;
    }
    Ok(())
}

/// Every word with its first sentence, by group.
pub fn list(language: Language) -> Result<(), Failure> {
    let texts = words::catalogue(language);
    let width = words::terms().iter().map(|term| columns(&term.name)).max().unwrap_or(0);
    print(|out| {
        for (at, group) in words::GROUPS.iter().enumerate() {
            writeln!(out, "{}{}", if at == 0 { "" } else { "\n" }, texts.groups[*group])?;
            for term in words::terms().iter().filter(|term| term.group == *group) {
                let lines = fill(first_sentence(&texts.terms[&term.name].about), WIDTH - width - 4);
                for (at, line) in lines.iter().enumerate() {
                    let name = if at == 0 { term.name.as_str() } else { "" };
                    writeln!(out, "  {name:width$}  {line}")?;
                }
            }
        }
        Ok(())
    })
}

/// Up to the first full stop that ends one.
fn first_sentence(text: &str) -> &str {
    let text = text.split("\n\n").next().unwrap_or(text);
    let ends = [". ", ".\n", "。"].iter().filter_map(|mark| text.find(mark));
    ends.min().map_or(text.trim_end_matches(['.', '。']), |end| &text[..end])
}
