//! Results as one page: a question, a picture and a table for each experiment, how
//! it was measured and where. It loads nothing, runs no script and needs no network,
//! so it can be handed in as a file. Pure: it sees results and a writer.

use std::io::{self, Write};

use chrono::DateTime;

use super::matrix::html::escaped;
use super::table::verdict;
use crate::analysis::matrix::matrix;
use crate::results::{Results, Verdict};
use markup::{details, paragraph, table};

mod changes;
mod chart;
mod chosen;
mod contents;
mod growth;
mod heat;
mod lanes;
mod latency;
mod load;
mod markup;
mod packed;
mod section;
mod shares;
mod split;
mod svg;

/// What the second line of every page is, by which one is known again.
pub const MARKER: &str = "<!-- made by herd report; the folder is its own and is written anew -->";

/// The name of the page in its folder.
pub const PAGE: &str = "index.html";

const STYLE: &str = include_str!("style.css");

/// Fills for bars that are told apart without colour, and what drawings share. It has no
/// size of its own, but must be drawn: fills of what is not displayed do not exist.
const PATTERNS: &str = "<svg class=\"patterns\" width=\"0\" height=\"0\" aria-hidden=\"true\"><defs>\n\
<pattern id=\"hatch\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
<rect width=\"5\" height=\"5\" class=\"ground\"/><rect width=\"2.5\" height=\"5\" class=\"fill c1\"/></pattern>\n\
<pattern id=\"dots\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\">\
<rect width=\"5\" height=\"5\" class=\"ground\"/><circle cx=\"2.5\" cy=\"2.5\" r=\"1.2\" class=\"fill c4\"/></pattern>\n";

/// A stored result, with the text it was read from.
pub struct Source<'a> {
    pub file: &'a str,
    pub text: &'a str,
    pub results: &'a Results,
}

/// The name of the copy of result `number`, counted from 1, beside the page.
pub fn copy(number: usize) -> String {
    format!("results-{number}.json")
}

/// The whole page.
pub fn write(sources: &[Source<'_>], out: &mut dyn Write) -> io::Result<()> {
    let title = title(sources);
    writeln!(out, "<!DOCTYPE html>\n{MARKER}\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">")?;
    writeln!(out, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")?;
    writeln!(out, "<meta name=\"color-scheme\" content=\"light dark\">")?;
    // An icon that is none: else a browser asks for one.
    writeln!(out, "<link rel=\"icon\" href=\"data:,\">\n<title>{}</title>", escaped(&title))?;
    writeln!(out, "<style>\n{STYLE}</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#main\">To the results</a>")?;
    let all: Vec<&Results> = sources.iter().map(|source| source.results).collect();
    writeln!(out, "{PATTERNS}{}</defs></svg>", shares::frames(&all))?;
    writeln!(out, "<header>\n<h1>{}</h1>\n{}</header>", escaped(&title), headline(sources))?;
    writeln!(out, "{}<main id=\"main\">", contents::contents(sources))?;
    if sources.len() > 1 {
        write!(out, "{}{}", changes::changes(sources), kernels(sources))?;
    }
    let mut told: Vec<&str> = Vec::new();
    for (number, source) in (1..).zip(sources) {
        for facts in &source.results.experiments {
            let first = !told.contains(&facts.name.as_str());
            told.push(&facts.name);
            let id = anchor(number, &facts.name);
            let file = (sources.len() > 1).then_some(source);
            write!(out, "{}", section::section(source.results, facts, &id, first, file))?;
        }
    }
    write!(out, "{}{}", measured(), environments(sources))?;
    writeln!(out, "{}</main>", downloads(sources)?)?;
    let herd = env!("CARGO_PKG_VERSION");
    writeln!(out, "<footer><p>Made by herd {herd}: one file, nothing to load.</p></footer>\n</body>\n</html>")
}

fn title(sources: &[Source<'_>]) -> String {
    let mut names: Vec<&str> =
        sources.iter().flat_map(|source| &source.results.experiments).map(|facts| facts.name.as_str()).collect();
    let mut seen = Vec::new();
    names.retain(|name| {
        !seen.contains(name) && {
            seen.push(name);
            true
        }
    });
    match names.len() {
        0..=4 => format!("Who wakes? {}", names.join(", ")),
        count => format!("Who wakes? {count} experiments"),
    }
}

/// A stored moment, seconds since 1970, as a date.
fn moment(started: &str) -> String {
    let seconds = started.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    seconds.map_or_else(|| started.to_owned(), |moment| moment.format("%Y-%m-%d %H:%M UTC").to_string())
}

/// The name of a place on the page.
fn anchor(number: usize, experiment: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    format!("r{number}-{}", experiment.chars().map(plain).collect::<String>())
}

/// The largest difference of the first experiment that has one, and each verdict.
fn headline(sources: &[Source<'_>]) -> String {
    let mut text = sources.iter().find_map(|source| section::contrast(source.results)).unwrap_or_default();
    for source in sources {
        let environment = &source.results.environment;
        let bad = source.results.count(Verdict::Fail) + source.results.count(Verdict::Invalid) > 0;
        text.push_str(&format!(
            "<p class=\"{}\"><strong>{}</strong> Linux {}, {} CPUs, {}; herd {}.</p>\n",
            if bad { "verdict fail" } else { "verdict" },
            escaped(verdict(source.results).trim_end()),
            escaped(&environment.kernel_name()),
            environment.cpus_online,
            escaped(&moment(&environment.started)),
            escaped(&source.results.herd)
        ));
    }
    text
}

/// The matrix; what it cannot be made of is said instead.
fn kernels(sources: &[Source<'_>]) -> String {
    let named: Vec<(&str, &Results)> = sources.iter().map(|source| (source.file, source.results)).collect();
    let inside = match matrix(&named) {
        Ok(found) if found.columns.len() > 1 => heat::map(&found),
        Ok(_) => paragraph("Not drawn: all results are of one kernel, so there are no kernels to compare."),
        Err(e) => paragraph(&format!("Not drawn: {e}.")),
    };
    format!("<section id=\"kernels\">\n<h2>Kernels side by side</h2>\n{inside}</section>\n")
}

fn measured() -> String {
    let paragraphs = [
        "A wakeup is a sleeping worker that the kernel made runnable. Each event is made only when every worker has been \
         seen asleep, and a round ends when every worker has been seen asleep again. Between two such moments a worker \
         ends as many sleeps as it was woken, so that the number of its sleeps is the number of its wakeups.",
        "bpf counts these sleeps in the kernel's scheduler, for each worker; perf counts their sum; proc takes the \
         voluntary context switches, which are an upper bound; ledger has only the returns. Each experiment names its \
         source. At the end the counts are held against the context switches of each worker; where they disagree the \
         cell is invalid.",
        "needed: the worker returned and took work. visible: it returned and found nothing. hidden: it looked again \
         inside the kernel and slept on, which no count of EAGAIN shows. A figure such as 2.02 (2-3) is the mean over \
         all events, with the least and the most in any. Verdicts rest on counts; times are shown, never judged.",
    ];
    let inside: String = paragraphs.iter().map(|text| paragraph(text)).collect();
    format!("<section id=\"measured\">\n<h2>How it was measured</h2>\n{inside}</section>\n")
}

fn environments(sources: &[Source<'_>]) -> String {
    let mut text = "<section id=\"environment\">\n<h2>Environment</h2>\n".to_owned();
    for (number, source) in (1..).zip(sources) {
        let e = &source.results.environment;
        let mut rows = Vec::new();
        if let Ok(serde_json::Value::Object(facts)) = serde_json::to_value(e) {
            for (name, value) in facts.iter().filter(|(name, _)| *name != "warnings") {
                let value = match value {
                    serde_json::Value::String(text) if text.is_empty() => "-".to_owned(),
                    serde_json::Value::String(text) => text.clone(),
                    serde_json::Value::Object(pairs) => {
                        let pair = |(key, value): (&String, &serde_json::Value)| {
                            format!("{key}: {}", value.as_str().unwrap_or_default())
                        };
                        pairs.iter().map(pair).collect::<Vec<String>>().join("; ")
                    }
                    other => other.to_string(),
                };
                rows.push(vec![name.replace('_', " "), value]);
            }
        }
        let name = format!("Linux {}, {}", e.kernel_name(), moment(&e.started));
        if sources.len() > 1 {
            text.push_str(&format!("<h3>{number}: {}</h3>\n", escaped(&name)));
        }
        e.warnings.iter().for_each(|warning| text.push_str(&paragraph(&format!("Note: {warning}"))));
        text.push_str(&details(
            &format!("All that is known of it: {name}"),
            &table(&name, &["what".into(), "value".into()], &rows),
        ));
    }
    text + "</section>\n"
}

/// The whole results: beside the page, and inside it for when it travels alone.
fn downloads(sources: &[Source<'_>]) -> io::Result<String> {
    let mut text = "<section id=\"json\">\n<h2>Raw JSON</h2>\n<p>Every number on this page is in here. <code>herd show \
                    FILE</code> shows it again, in any format. The packed copy is part of this page; <code>xz -d</code> \
                    unpacks it.</p>\n<ul>\n"
        .to_owned();
    for (number, source) in (1..).zip(sources) {
        let copy = copy(number);
        let packed = packed::packed(source.text.as_bytes())?;
        text.push_str(&format!(
            "<li>{}: <a href=\"{copy}\" download>{copy}</a> beside this page, or <a download=\"{copy}.xz\" \
             href=\"data:application/x-xz;base64,{packed}\">{copy}.xz</a> from inside it</li>\n",
            escaped(source.file)
        ));
    }
    Ok(text + "</ul>\n</section>\n")
}
