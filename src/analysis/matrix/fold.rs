//! Axes that make no difference are shown once.
//!
//! An axis of a wait is folded when all rows of that wait that differ only in this
//! axis have the same text in every column, and none of them is missing anywhere
//! where the others are not. What remains has its own row for each value.

use super::{Entry, Row, Section};

/// Folds every axis of every wait that can be.
pub fn fold(section: &mut Section) {
    let mut rows = std::mem::take(&mut section.rows);
    while !rows.is_empty() {
        let wait = rows[0].wait.clone();
        let (mut of_wait, others): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| row.wait == wait);
        rows = others;
        let mut keys: Vec<String> = Vec::new();
        for (key, _) in of_wait.iter().flat_map(|row| &row.axes) {
            if !keys.contains(key) {
                keys.push(key.clone());
            }
        }
        for key in keys {
            of_wait = folded(of_wait, &key, &mut section.folded);
        }
        section.rows.extend(of_wait);
    }
}

/// The rows without that axis, or all of them where it makes a difference.
fn folded(rows: Vec<Row>, key: &str, known: &mut Vec<(String, Vec<String>)>) -> Vec<Row> {
    let without = |row: &Row| -> Vec<(String, String)> { row.axes.iter().filter(|(k, _)| k != key).cloned().collect() };
    let mut found: Vec<Row> = Vec::new();
    for row in &rows {
        let axes = without(row);
        match found.iter().find(|other| other.axes == axes) {
            Some(other) if texts(other) == texts(row) => {}
            Some(_) => return rows,
            None => found.push(Row { axes, ..row.clone() }),
        }
    }
    let values = rows.iter().flat_map(|row| &row.axes).filter(|(k, _)| k == key).map(|(_, value)| value);
    let at = known.iter().position(|(k, _)| k == key).unwrap_or_else(|| {
        known.push((key.to_owned(), Vec::new()));
        known.len() - 1
    });
    for value in values {
        if !known[at].1.contains(value) {
            known[at].1.push(value.clone());
        }
    }
    found
}

/// All that a reader would see of a row.
fn texts(row: &Row) -> Vec<Option<(String, &[String])>> {
    let text = |entry: &Entry| entry.to_string();
    row.entries.iter().map(|entry| entry.as_ref().map(|e| (text(e), e.explained.as_slice()))).collect()
}
