//! The matrix as one HTML page: no script, nothing to load, to send or to publish.

use std::io::{self, Write};

use super::{SUBJECT, folded, heading, name, remarks, verdict};
use crate::analysis::matrix::{Entry, Matrix};
use crate::results::Verdict;

const STYLE: &str = "\
body { font-family: sans-serif; margin: 2em; color: #222; background: #fff }
table { border-collapse: collapse }
th, td { border: 1px solid #bbb; padding: 0.2em 0.6em; text-align: left; vertical-align: top }
thead th { background: #eee }
td.fail { background: #fdd }
td.invalid { background: #fed }
td.skip, td.none { color: #777 }
td.explained { background: #def }
td.unexplained { background: #fe9; font-weight: bold }
sup a { text-decoration: none }
@media (prefers-color-scheme: dark) {
body { color: #ddd; background: #111 }
thead th { background: #333 }
td.fail { background: #622 }
td.invalid { background: #642 }
td.explained { background: #246 }
td.unexplained { background: #660 }
a { color: #9cf }
}";

pub fn write(matrix: &Matrix, _: usize, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">")?;
    writeln!(out, "<meta name=\"viewport\" content=\"width=device-width\">")?;
    writeln!(out, "<title>Wakeups per event by kernel</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>")?;
    writeln!(out, "<h1>Wakeups per event by kernel</h1>\n<p>{}</p>", escaped(SUBJECT))?;
    for section in &matrix.sections {
        writeln!(out, "<h2>{}</h2>\n<table>\n<thead><tr><th>wait</th>", escaped(&heading(section)))?;
        for column in &matrix.columns {
            writeln!(out, "<th scope=\"col\">{}</th>", escaped(&column.label))?;
        }
        writeln!(out, "</tr></thead>\n<tbody>")?;
        for row in &section.rows {
            writeln!(out, "<tr><th scope=\"row\">{}</th>", escaped(&name(row)))?;
            row.entries.iter().try_for_each(|entry| cell(entry.as_ref(), out))?;
            writeln!(out, "</tr>")?;
        }
        writeln!(out, "</tbody>\n</table>")?;
        folded(section).iter().try_for_each(|text| writeln!(out, "<p>{}</p>", escaped(text)))?;
    }
    for (heading, texts) in remarks(matrix).into_iter().filter(|(heading, _)| *heading != super::EXPLAINED) {
        writeln!(out, "<h2>{}</h2>\n<ul>", escaped(heading))?;
        texts.iter().try_for_each(|text| writeln!(out, "<li>{}</li>", escaped(text)))?;
        writeln!(out, "</ul>")?;
    }
    if !matrix.notes.is_empty() {
        writeln!(out, "<h2>{}</h2>\n<ol>", super::EXPLAINED)?;
        for (number, text) in (1..).zip(&matrix.notes) {
            writeln!(out, "<li id=\"note{number}\">{}</li>", escaped(text))?;
        }
        writeln!(out, "</ol>")?;
    }
    writeln!(out, "<p><strong>{}</strong></p>\n</body>\n</html>", escaped(&verdict(matrix)))
}

fn cell(entry: Option<&Entry>, out: &mut dyn Write) -> io::Result<()> {
    let Some(entry) = entry else {
        return writeln!(out, "<td class=\"none\">-</td>");
    };
    let class = match entry.verdict {
        _ if !entry.unexplained.is_empty() => "unexplained",
        Verdict::Fail => "fail",
        Verdict::Invalid => "invalid",
        Verdict::Skip => "skip",
        Verdict::Pass if !entry.notes.is_empty() => "explained",
        Verdict::Pass => "pass",
    };
    write!(out, "<td class=\"{class}\">{}", escaped(&entry.plain()))?;
    for number in &entry.notes {
        write!(out, "<sup><a href=\"#note{number}\">[{number}]</a></sup>")?;
    }
    if !entry.unexplained.is_empty() {
        write!(out, " <span title=\"{}\">?</span>", escaped(&entry.unexplained.join("; ")))?;
    }
    writeln!(out, "</td>")
}

/// Text that is no markup, also inside an attribute. Control characters are no
/// characters of HTML.
pub(in crate::report) fn escaped(text: &str) -> String {
    let mut found = String::new();
    for c in text.chars() {
        match c {
            '&' => found.push_str("&amp;"),
            '<' => found.push_str("&lt;"),
            '>' => found.push_str("&gt;"),
            '"' => found.push_str("&quot;"),
            '\'' => found.push_str("&#39;"),
            c if c.is_control() => found.push(' '),
            c => found.push(c),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_text() {
        assert_eq!(escaped("<a href='x'>&\"\u{1b}"), "&lt;a href=&#39;x&#39;&gt;&amp;&quot; ");
    }
}
