//! Pieces of HTML that every part of the page is made of.

use super::super::matrix::html;

/// Text that is no markup; lines stay lines.
pub fn escaped(text: &str) -> String {
    text.lines().map(html::escaped).collect::<Vec<String>>().join("\n")
}

pub fn paragraph(text: &str) -> String {
    if text.trim().is_empty() { String::new() } else { format!("<p>{}</p>\n", html::escaped(text)) }
}

/// Text whose lines were broken by hand.
pub fn preformatted(text: &str, label: &str) -> String {
    let label = html::escaped(label);
    format!("<pre tabindex=\"0\" role=\"group\" aria-label=\"{label}\">{}</pre>\n", escaped(text.trim_end()))
}

/// A table with a caption, which scrolls by itself where the screen is narrow. A
/// verdict gets its class; its word stands there in any case.
pub fn table(caption: &str, header: &[String], rows: &[Vec<String>]) -> String {
    merged(caption, header, rows, &[])
}

/// The same; what stands in rows below each other of these columns is one field. The first
/// column has names and is none of them.
pub fn merged(caption: &str, header: &[String], rows: &[Vec<String>], columns: &[usize]) -> String {
    let one = |at: usize, column: usize| {
        let text = rows[at].get(column)?;
        let same = |row: &&Vec<String>| columns.contains(&column) && row.get(column) == Some(text);
        if at > 0 && same(&&rows[at - 1]) {
            return None;
        }
        let class = match text.as_str() {
            "pass" | "FAIL" | "skip" | "invalid" => text.to_lowercase(),
            _ => String::new(),
        };
        let field = field(&class, &html::escaped(text));
        Some(match rows[at + 1..].iter().take_while(same).count() {
            0 => field,
            below => field.replacen("<td", &format!("<td rowspan={}", below + 1), 1),
        })
    };
    let line = |(at, row): (usize, &Vec<String>)| {
        let others = (1..row.len()).filter_map(|column| one(at, column));
        Some(start(&html::escaped(row.first()?)) + &others.collect::<String>())
    };
    let lines: Vec<String> = rows.iter().enumerate().filter_map(line).collect();
    lined(caption, "", header, &lines)
}

/// The same of rows that are markup already, of `start` and `field`.
///
/// HTML lets the ends of fields, rows and parts of a table be left out, and the quotes
/// around one word (13.1.2.4 and 13.1.2.3 of the standard): a page has tens of thousands
/// of them, which are a tenth of it.
pub fn lined(caption: &str, class: &str, header: &[String], rows: &[String]) -> String {
    let name = html::escaped(caption.split_once("; ").map_or(caption, |(name, _)| name));
    let caption = html::escaped(caption);
    let class = attribute(class);
    let header: String = header.iter().map(|name| format!("<th scope=col>{}", html::escaped(name))).collect();
    format!(
        "<div class=scroll tabindex=0 role=group aria-label=\"{name}\">\n<table{class}><caption>{caption}</caption>\n\
         <thead><tr>{header}\n<tbody>\n{}\n</table></div>\n",
        rows.join("\n")
    )
}

/// How a row of a table starts.
pub fn start(name: &str) -> String {
    format!("<tr><th scope=row>{name}")
}

/// One more field of it.
pub fn field(class: &str, inside: &str) -> String {
    format!("<td{}>{inside}", attribute(class))
}

fn attribute(class: &str) -> String {
    if class.is_empty() { String::new() } else { format!(" class={class}") }
}

/// Something that is folded up; paper shows all of it.
pub fn details(summary: &str, inside: &str) -> String {
    format!("<details><summary>{}</summary>\n{inside}</details>\n", html::escaped(summary))
}

/// A plot with what it says, and the figures behind it.
pub fn figure(drawing: &str, caption: &str, numbers: &str) -> String {
    let caption = html::escaped(caption);
    let behind = details("The figures of this plot", numbers);
    format!("<figure>\n{drawing}<figcaption>{caption}</figcaption>\n</figure>\n{behind}")
}

/// What the patterns and lines of a plot mean: class of the sample, and words.
pub fn key(entries: &[(&str, &str)]) -> String {
    let entry = |(class, words): &(&str, &str)| {
        let words = html::escaped(words);
        let sample = "width=20 height=12 viewBox=\"0 0 20 12\" aria-hidden=true";
        format!("<li><svg {sample}><path d=\"M1 1h18v10h-18z\" class=\"{class}\"/></svg> {words}</li>\n")
    };
    format!("<ul class=\"key\">\n{}</ul>\n", entries.iter().map(entry).collect::<String>())
}
