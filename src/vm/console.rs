//! What a guest's kernel prints that matters to a verdict. Pure.

/// How much of the end of a console is kept, in bytes.
const KEPT: usize = 64 * 1024;
/// A console that prints more than this has gone wild.
const MOST: u64 = 64 << 20;

/// The kernel is gone or cannot be trusted any more.
const CRASHES: [&str; 7] = [
    "Kernel panic",
    "BUG: ",
    "Oops: ",
    "general protection fault",
    "Unable to handle kernel",
    "kernel BUG at",
    "stack guard page was hit",
];

/// Something is wrong, and the run went on.
const WARNINGS: [&str; 7] = [
    "WARNING: ",
    "blocked for more than",
    "soft lockup",
    "hard LOCKUP",
    "self-detected stall",
    "detected stalls on",
    "possible circular locking",
];

/// What a person cannot know from the line that a kernel leaves behind.
const EXPLAINED: [(&str, &str); 3] = [
    (
        "ptrace set fp regs failed",
        "this user-mode-linux knows only processors with fewer registers than this one (AMX); take a newer one, such \
         as 7.2",
    ),
    ("' not found (required by", "it was built for a newer C library than this system's"),
    ("ptrace failed", "user-mode-linux needs ptrace(2), which is refused here"),
];

/// What PID 1 prints before each cell, with its name. The result port is another
/// device: which of two lines on the two came first, nobody can tell.
pub const CELL: &str = "herd: cell ";

/// A line of the console that was recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub crash: bool,
    pub line: String,
    /// The cell that PID 1 had named on the console by then.
    pub cell: Option<String>,
}

/// The console of one guest.
#[derive(Default)]
pub struct Console {
    tail: Vec<u8>,
    line: Vec<u8>,
    bytes: u64,
    cell: Option<String>,
}

impl Console {
    /// Takes the next bytes; returns the troubles in the lines they end.
    pub fn hear(&mut self, bytes: &[u8]) -> Vec<Trouble> {
        self.bytes += bytes.len() as u64;
        self.tail.extend_from_slice(bytes);
        let over = self.tail.len().saturating_sub(KEPT);
        self.tail.drain(..over);
        let mut found = Vec::new();
        for byte in bytes {
            if *byte == b'\n' {
                let line = plain(&String::from_utf8_lossy(&self.line));
                match line.strip_prefix(CELL) {
                    Some(name) => self.cell = Some(name.into()),
                    None => found.extend(recognise(line, self.cell.as_ref())),
                }
                self.line.clear();
            } else if self.line.len() < 4096 {
                self.line.push(*byte);
            }
        }
        found
    }

    /// Prints without end.
    pub fn floods(&self) -> bool {
        self.bytes > MOST
    }

    /// What the end of it means, where that is known.
    pub fn explanation(&self) -> Option<&'static str> {
        let text = String::from_utf8_lossy(&self.tail);
        EXPLAINED.iter().find(|(mark, _)| text.contains(mark)).map(|(_, meaning)| *meaning)
    }

    /// The last `count` lines, without time stamps of the kernel's own.
    pub fn last_lines(&self, count: usize) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.tail);
        let lines: Vec<String> = text.lines().map(plain).filter(|line| !line.is_empty()).collect();
        lines[lines.len().saturating_sub(count)..].to_vec()
    }
}

fn recognise(line: String, cell: Option<&String>) -> Option<Trouble> {
    let crash = CRASHES.iter().any(|mark| line.contains(mark));
    let warning = WARNINGS.iter().any(|mark| line.contains(mark));
    (crash || warning).then_some(Trouble { crash, line, cell: cell.cloned() })
}

/// Without `[    1.234567]`, carriage returns and what else is no text.
fn plain(line: &str) -> String {
    let text: String = line.chars().filter(|c| !c.is_control()).collect();
    let text = text.trim();
    let stamped = text.strip_prefix('[').and_then(|rest| rest.split_once("] "));
    match stamped {
        Some((time, rest)) if time.trim().parse::<f64>().is_ok() => rest.to_owned(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: &[(bool, &str)]) {
        let found = Console::default().hear(text.as_bytes());
        let want: Vec<Trouble> =
            want.iter().map(|(crash, line)| Trouble { crash: *crash, line: (*line).into(), cell: None }).collect();
        assert_eq!(found, want);
    }

    #[test]
    fn troubles_are_found_and_the_rest_is_not() {
        check("[    1.2] Run /init as init process\r\n", &[]);
        check(
            "[   12.345678] Kernel panic - not syncing: Attempted to kill init!\r\n",
            &[(true, "Kernel panic - not syncing: Attempted to kill init!")],
        );
        check(
            "[ 2.0] WARNING: CPU: 0 PID: 1 at fs/x.c:1 f+0x1/0x2\n",
            &[(false, "WARNING: CPU: 0 PID: 1 at fs/x.c:1 f+0x1/0x2")],
        );
        check(
            "INFO: task herd:12 blocked for more than 120 seconds.\n",
            &[(false, "INFO: task herd:12 blocked for more than 120 seconds.")],
        );
    }

    #[test]
    fn a_trouble_belongs_to_the_cell_named_last() {
        let text = "[ 1.0] WARNING: early\n[ 1.1] herd: cell a/b\r\n[ 1.2] WARNING: x\n[ 1.3] herd: cell a/c\n";
        let mut console = Console::default();
        let mut found = console.hear(text.as_bytes());
        found.extend(console.hear(b"[ 1.4] BUG: y\n"));
        let cells: Vec<Option<&str>> = found.iter().map(|trouble| trouble.cell.as_deref()).collect();
        assert_eq!(cells, [None, Some("a/b"), Some("a/c")]);
    }

    #[test]
    fn the_end_is_kept() {
        let mut console = Console::default();
        for number in 0..100_000 {
            console.hear(format!("[ {number}.5] line {number}\r\n").as_bytes());
        }
        assert_eq!(console.last_lines(2), ["line 99998", "line 99999"]);
        assert!(console.tail.len() <= KEPT);
    }
}
