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
    let caption = html::escaped(caption);
    let mut text = format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"{caption}\">\n<table><caption>{caption}</caption>\n<thead><tr>"
    );
    header.iter().for_each(|name| text.push_str(&format!("<th scope=\"col\">{}</th>", html::escaped(name))));
    text.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        let mut fields = row.iter();
        if let Some(first) = fields.next() {
            text.push_str(&format!("<tr><th scope=\"row\">{}</th>", html::escaped(first)));
        }
        for field in fields {
            let class = match field.as_str() {
                "pass" | "FAIL" | "skip" | "invalid" => format!(" class=\"{}\"", field.to_lowercase()),
                _ => String::new(),
            };
            text.push_str(&format!("<td{class}>{}</td>", html::escaped(field)));
        }
        text.push_str("</tr>\n");
    }
    text.push_str("</tbody></table>\n</div>\n");
    text
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
        let sample = "width=\"20\" height=\"12\" viewBox=\"0 0 20 12\" aria-hidden=\"true\"";
        format!(
            "<li><svg {sample}><rect x=\"1\" y=\"1\" width=\"18\" height=\"10\" class=\"{class}\"/></svg> {words}</li>\n"
        )
    };
    format!("<ul class=\"key\">\n{}</ul>\n", entries.iter().map(entry).collect::<String>())
}
