//! `herd explain`: the lesson of one experiment, a word of the glossary, or a claim.

use std::io::{self, Write};

use super::{Failure, claim, load, locale, print, word};
use crate::analysis::judge::expected;
use crate::analysis::metrics;
use crate::cli::ExplainArgs;
use crate::exit::Exit;
use crate::experiment::{Cell, Expectation, Experiment, embedded};
use crate::report::wrapped;
use crate::words::{self, Language, claims};

/// Columns of a terminal.
pub(super) const WIDTH: usize = 80;
/// Words that a name has at most: no command line is tried out without end.
const LONGEST: usize = 8;
/// What a table shows when its experiment does not say.
const PLAIN: [&str; 4] =
    ["wakeups_per_event", "returns_per_event", "spurious_hidden_per_event", "spurious_visible_per_event"];

pub fn run(args: &ExplainArgs) -> Result<Exit, Failure> {
    let known = |name: &str| {
        let is_word = words::find(name).is_some() || claims::find(name).is_some();
        is_word || (!args.word && (is_file(name) || embedded::text(name).is_some()))
    };
    let names = names(&args.name, known);
    // All before the first page: what is wrong would stand below all the others.
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        let any = names.iter().any(|name| known(name));
        return Err(word::unknown(&if any { unknown.clone() } else { args.name.join(" ") }));
    }
    let pages = names.iter().map(|name| experiment(name, args)).collect::<Result<Vec<_>, Failure>>()?;
    for (at, (name, experiment)) in names.iter().zip(pages).enumerate() {
        if at > 0 {
            print(|out| writeln!(out, "\n{}\n", "-".repeat(WIDTH)))?;
        }
        one(name, experiment, locale::language(args.lang))?;
    }
    Ok(Exit::Pass)
}

/// The names among words of a command line: each as long as it can be, since a shell
/// takes `thundering herd` for two.
fn names(words: &[String], known: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = words;
    while !rest.is_empty() {
        let together = |count: &usize| {
            let name = rest[..*count].join(" ");
            !is_file(&name) && known(&name)
        };
        let most = (2..=rest.len().min(LONGEST)).rev().find(together).unwrap_or(1);
        found.push(rest[..most].join(" "));
        rest = &rest[most..];
    }
    found
}

fn is_file(name: &str) -> bool {
    name.contains('/') || name.ends_with(".toml")
}

/// The experiment of that name. Experiments win over words: they were there first, and
/// scripts ask for them.
fn experiment(name: &str, args: &ExplainArgs) -> Result<Option<Experiment>, Failure> {
    let there = !args.word && (is_file(name) || embedded::text(name).is_some());
    there.then(|| load(name)).transpose()
}

fn one(name: &str, experiment: Option<Experiment>, language: Language) -> Result<(), Failure> {
    let Some(experiment) = experiment else {
        // A word of that name wins, since claims were there last.
        return match claims::find(name).filter(|_| words::find(name).is_none()) {
            Some(claim) => claim::explain(claim, language),
            None => word::explain(name, language),
        };
    };
    let is_file = is_file(name);
    let cells = experiment.cells(&[])?;
    print(|out| {
        writeln!(out, "{}\n", experiment.title)?;
        for line in experiment.drawing.lines() {
            writeln!(out, "{}", format!("    {line}").trim_end())?;
        }
        writeln!(out, "\nThe question\n\n{}", wrapped(&experiment.question, WIDTH).join("\n"))?;
        // These two are wrapped by hand: they may hold lists.
        for (heading, text) in [("What happens in the kernel", &experiment.why), ("How to read it", &experiment.look)] {
            if !text.is_empty() {
                writeln!(out, "\n{heading}\n\n{text}")?;
            }
        }
        scripts(out, &cells)?;
        let rules = rules(&cells);
        if !rules.is_empty() {
            writeln!(out, "\nWhat is expected\n")?;
        }
        for (whom, source, rules) in rules {
            indented(out, 2, &format!("{whom}: {}", rules.join(", ")))?;
            indented(out, 6, source)?;
        }
        writeln!(out, "\nThe columns\n")?;
        let shown = match (experiment.layout.show.as_slice(), &experiment.layout.pivot) {
            ([], Some(_)) => vec![PLAIN[0].to_owned()],
            ([], None) if cells.iter().all(|cell| !cell.settings.script.is_empty()) => {
                vec!["steps_held".to_owned(), "wakeups".to_owned()]
            }
            ([], None) => PLAIN.map(String::from).to_vec(),
            (named, _) => named.to_vec(),
        };
        for name in shown {
            let (about, unit) = metrics::column(&name).expect("checked when the experiment was read");
            indented(out, 2, &format!("{name}: {about} [{unit}]"))?;
        }
        writeln!(out, "\nRun it: herd run {name}")?;
        if !is_file {
            claim::of_experiment(out, name, language)?;
        }
        let texts = words::catalogue(language);
        if language != Language::English {
            writeln!(out, "{}", texts.message("experiment", name))?;
        }
        match words::find(name).filter(|_| !is_file) {
            Some(_) => writeln!(out, "{}", texts.message("is_word_too", name)),
            None => Ok(()),
        }
    })
}

/// What each script does, and behind `->` what is expected.
fn scripts(out: &mut dyn Write, cells: &[Cell]) -> io::Result<()> {
    let mut known: Vec<(&str, &[String])> = Vec::new();
    for cell in cells.iter().filter(|cell| !cell.settings.script.is_empty()) {
        let script = (cell.row.as_str(), cell.settings.script.as_slice());
        if known.contains(&script) {
            continue;
        }
        if known.is_empty() {
            writeln!(out, "\nWhat is done, and what must come of it\n")?;
        }
        known.push(script);
        indented(out, 2, &format!("{}:", cell.row))?;
        indented(out, 6, &script.1.join("; "))?;
        if !cell.source.is_empty() {
            indented(out, 6, &format!("[{}]", cell.source))?;
        }
    }
    Ok(())
}

/// For whom, the source, and what is said: each different expectation once, with
/// those of the same cells and source together.
fn rules(cells: &[Cell]) -> Vec<(String, &str, Vec<String>)> {
    let mut each: Vec<(&Expectation, Vec<&Cell>)> = Vec::new();
    for cell in cells {
        for e in &cell.expectations {
            match each.iter_mut().find(|(known, _)| *known == e) {
                Some((_, members)) => members.push(cell),
                None => each.push((e, vec![cell])),
            }
        }
    }
    let mut found: Vec<(String, &str, Vec<String>)> = Vec::new();
    for (e, members) in each {
        let (whom, said) = (whom(&members, cells), format!("{} is {}", e.metric, expected(&e.rule, None)));
        match found.iter_mut().find(|(known, source, _)| *known == whom && *source == e.source) {
            Some((_, _, rules)) => rules.push(said),
            None => found.push((whom, &e.source, vec![said])),
        }
    }
    found
}

/// The rows among `members`, and the value of each axis that not all of them have.
fn whom(members: &[&Cell], all: &[Cell]) -> String {
    let unique = |values: &mut dyn Iterator<Item = &str>| -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        values.for_each(|v| {
            if !found.iter().any(|known| known == v) {
                found.push(v.into());
            }
        });
        found
    };
    let mut text = unique(&mut members.iter().map(|cell| cell.row.as_str())).join(", ");
    for (i, (key, _)) in members[0].axes.iter().enumerate() {
        let (here, everywhere) = (
            unique(&mut members.iter().map(|cell| cell.axes[i].1.as_str())),
            unique(&mut all.iter().map(|cell| cell.axes[i].1.as_str())),
        );
        if here.len() < everywhere.len() {
            text.push_str(&format!(", with {key} = {}", here.join(" or ")));
        }
    }
    text
}

fn indented(out: &mut dyn Write, by: usize, text: &str) -> io::Result<()> {
    for line in wrapped(text, WIDTH - by) {
        writeln!(out, "{:by$}{line}", "")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_several_words_are_found_among_others() {
        let known = |name: &str| is_file(name) || ["thundering herd", "herd", "S12", "S13", "work to"].contains(&name);
        let check = |line: &str, wanted: &[&str]| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(names(&words, known), wanted, "{line}");
        };
        check("S12 S13", &["S12", "S13"]);
        check("thundering herd", &["thundering herd"]);
        check("herd thundering herd S13", &["herd", "thundering herd", "S13"]);
        check("S13 work to", &["S13", "work to"]);
        check("S13 work", &["S13", "work"]);
        check("my.toml S13 ./that.toml", &["my.toml", "S13", "./that.toml"]);
    }

    #[test]
    fn no_name_has_more_words_than_are_tried() {
        let longest = words::names().map(|name| name.split(' ').count()).max();
        assert!(longest.is_some_and(|most| most <= LONGEST), "{longest:?}");
    }
}
