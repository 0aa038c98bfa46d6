//! Lines for a terminal whose letters may be two columns wide.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns that a text takes.
pub fn columns(text: &str) -> usize {
    text.width()
}

/// May not begin a line.
const CLOSING: &str = "，。、；：）」！？”…";
/// May not end a line.
const OPENING: [char; 3] = ['（', '「', '“'];

/// What must stay together: a word, or one wide letter with the marks after it.
fn pieces(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut open = false;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0) > 1;
        if c == ' ' {
            found.push(String::new());
            open = false;
        } else if CLOSING.contains(c) && found.last().is_some_and(|last| !last.is_empty()) {
            found.last_mut().expect("just seen").push(c);
            open = false;
        } else if (!wide && open) || found.last().is_some_and(|last| last.ends_with(OPENING)) {
            found.last_mut().expect("just seen").push(c);
            open = !wide;
        } else {
            found.push(c.to_string());
            open = !wide;
        }
    }
    found
}

/// The text in lines of at most `width` columns; one that has line ends is written by
/// hand and stays so. Breaks at spaces, and beside letters that are two columns wide.
pub fn fill(text: &str, width: usize) -> Vec<String> {
    let text = text.trim_end();
    if text.contains('\n') {
        return text.lines().map(str::to_owned).collect();
    }
    let mut lines = vec![String::new()];
    let mut space = false;
    for piece in pieces(text) {
        let line = lines.last_mut().expect("never empty");
        if piece.is_empty() {
            space = !line.is_empty();
        } else if columns(line) + usize::from(space) + columns(&piece) > width && !line.is_empty() {
            lines.push(piece);
            space = false;
        } else {
            line.push_str(if space { " " } else { "" });
            line.push_str(&piece);
            space = false;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_ends_with_a_bracket_that_opens_or_begins_with_one_that_closes() {
        assert_eq!(fill("守约（一份）。", 6), ["守约", "（一", "份）。"]);
        assert_eq!(fill("他说“唤醒”。", 6), ["他说", "“唤", "醒”。"]);
        assert_eq!(fill("醒（one two）", 8), ["醒（one", "two）"]);
    }
}
