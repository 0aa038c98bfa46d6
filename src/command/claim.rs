//! `herd explain S13` and `herd list --claims`: the claims of the article.

use std::io::{self, Write};

use super::word::{indented, labelled};
use super::{Failure, print};
use crate::words::claims::{self, Claim};
use crate::words::{Language, columns, fill};

/// Columns of a terminal.
const WIDTH: usize = super::explain::WIDTH;

/// Prints what a claim says, what is true, and what shows it.
pub fn explain(claim: &Claim, language: Language) -> Result<(), Failure> {
    print(|out| to(out, claim, language))
}

fn to(out: &mut dyn Write, claim: &Claim, language: Language) -> io::Result<()> {
    let texts = claims::texts(language);
    let (text, heading) = (&texts.claims[&claim.id], |key: &str| &texts.headings[key]);
    writeln!(out, "{}  ({})", claim.id, texts.verdicts[&claim.verdict])?;
    for (key, text) in [("says", &text.says), ("holds", &text.holds)] {
        writeln!(out, "\n{}", heading(key))?;
        indented(out, 2, text)?;
    }
    writeln!(out)?;
    labelled(out, heading("source"), &claim.source)?;
    let runs: Vec<String> = claim.experiments.iter().map(|name| format!("herd explain {name}")).collect();
    match runs.is_empty() {
        true => writeln!(out, "{}", heading("none")),
        false => labelled(out, heading("experiments"), &runs.join(", ")),
    }
}

/// Every claim in one sentence, with its verdict and its experiments.
pub fn list(language: Language) -> Result<(), Failure> {
    let texts = claims::texts(language);
    let width = texts.verdicts.values().map(|verdict| columns(verdict)).max().unwrap_or(0);
    print(|out| {
        for claim in claims::all() {
            let verdict = &texts.verdicts[&claim.verdict];
            let space = width - columns(verdict);
            let mut lines = fill(&texts.claims[&claim.id].says, WIDTH - width - 7);
            if !claim.experiments.is_empty() {
                lines.extend(fill(&format!("[{}]", claim.experiments.join(", ")), WIDTH - width - 7));
            }
            for (at, line) in lines.iter().enumerate() {
                match at {
                    0 => writeln!(out, "{}  {verdict}{:space$}  {line}", claim.id, "")?,
                    _ => writeln!(out, "{:by$}{line}", "", by = width + 7)?,
                }
            }
        }
        Ok(())
    })
}

/// Of an experiment: the claims it is about, for the end of its lesson.
pub fn of_experiment(out: &mut dyn Write, name: &str, language: Language) -> io::Result<()> {
    let texts = claims::texts(language);
    let about: Vec<String> =
        claims::of_experiment(name).map(|claim| format!("{} ({})", claim.id, texts.verdicts[&claim.verdict])).collect();
    match about.is_empty() {
        true => Ok(()),
        false => {
            labelled(out, &texts.headings["claims"], &format!("{}; herd explain {}", about.join(", "), &about[0][..3]))
        }
    }
}
