//! The kernels side by side: a table whose fields are shaded by their number. A
//! table and no SVG, because each field has its value, and a reader can walk it.

use std::collections::HashSet;

use super::super::matrix::html::escaped;
use super::super::matrix::{SUBJECT, folded, heading, name, remarks, verdict};
use super::markup::{field, lined, start};
use crate::analysis::matrix::{Entry, Matrix, Row, Section, Value};

/// Shades from one wakeup to many.
const SHADES: f64 = 5.0;

pub fn map(matrix: &Matrix) -> String {
    let mut text = format!("<p>{} The stronger a field's colour, the more wakeups.</p>\n", escaped(SUBJECT));
    let (several, alone): (Vec<&Section>, Vec<&Section>) =
        matrix.sections.iter().partition(|section| kernels(section) > 1);
    for section in several {
        let most =
            section.rows.iter().flat_map(|row| row.entries.iter().flatten()).filter_map(median).fold(2.0, f64::max);
        text.push_str(&table(matrix, section, most));
        folded(section).iter().for_each(|folded| text.push_str(&format!("<p>{}</p>\n", escaped(folded))));
    }
    if !alone.is_empty() {
        let names: Vec<&str> = alone.iter().map(|section| section.experiment.as_str()).collect();
        text.push_str(&format!("<p>Not drawn, measured on one kernel alone: {}.</p>\n", escaped(&names.join(", "))));
    }
    let mut known = HashSet::new();
    for (heading, texts) in remarks(matrix) {
        text.push_str(&format!("<h3>{}</h3>\n<ul>\n", escaped(heading)));
        for line in texts {
            // A note is where its number links to.
            let number =
                line.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(number, _)| number.to_owned());
            match number.filter(|number| number.parse::<usize>().is_ok() && known.insert(number.clone())) {
                Some(number) => text.push_str(&format!("<li id=\"note{number}\">{}</li>\n", escaped(&line))),
                None => text.push_str(&format!("<li>{}</li>\n", escaped(&line))),
            }
        }
        text.push_str("</ul>\n");
    }
    format!("{text}<p><strong>{}</strong></p>\n", escaped(&verdict(matrix)))
}

fn median(entry: &Entry) -> Option<f64> {
    match entry.value {
        Value::Count { median, .. } => Some(median),
        Value::Steps { .. } | Value::Word(_) => None,
    }
}

/// How many kernels have a cell of it.
fn kernels(section: &Section) -> usize {
    let columns = section.rows.first().map_or(0, |row| row.entries.len());
    (0..columns).filter(|at| section.rows.iter().any(|row| row.entries[*at].is_some())).count()
}

fn table(matrix: &Matrix, section: &Section, most: f64) -> String {
    let header: Vec<String> =
        std::iter::once("wait".to_owned()).chain(matrix.columns.iter().map(|column| column.label.clone())).collect();
    let line = |row: &Row| {
        start(&escaped(&name(row))) + &row.entries.iter().map(|entry| shaded(entry.as_ref(), most)).collect::<String>()
    };
    lined(&heading(section), "heat", &header, &section.rows.iter().map(line).collect::<Vec<String>>())
}

fn shaded(entry: Option<&Entry>, most: f64) -> String {
    let Some(entry) = entry else { return field("", "-") };
    let mut text = escaped(&entry.plain());
    for number in &entry.notes {
        text.push_str(&format!(" <a href=\"#note{number}\">[{number}]</a>"));
    }
    if !entry.unexplained.is_empty() {
        text.push_str(" <strong>?</strong>");
    }
    field(&median(entry).map_or(String::new(), |median| format!("h{}", shade(median, most))), &text)
}

/// 0 for one wakeup or less, by doublings up to `most`.
fn shade(median: f64, most: f64) -> u32 {
    ((median.max(1.0).ln() / most.ln()) * SHADES).round().clamp(0.0, SHADES) as u32
}

#[cfg(test)]
mod tests {
    use super::shade;

    #[test]
    fn shades_go_by_doublings() {
        assert_eq!([0.0, 1.0, 2.0, 4.0, 16.0, 32.0].map(|n| shade(n, 32.0)), [0, 0, 1, 2, 4, 5]);
    }
}
