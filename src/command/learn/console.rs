//! The student's end: pages that fit a terminal, lines that are typed, signals. Where
//! either end is no terminal nothing is cleared and nothing waits for Enter.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signalfd::SignalFd;
use terminal_size::{Height, Width};

use crate::command::Failure;
use crate::sys::signal::take_over;
use crate::words::columns;

/// Lines of a page with its prompt; a terminal of 24 shows them with one to spare.
const PAGE: usize = 23;
/// Columns of a page, however wide the terminal is: longer lines are hard to read.
const WIDEST: usize = 80;
const NARROWEST: usize = 60;
const LOWEST: usize = 16;
/// A line longer than this is no answer.
const LONGEST: usize = 4096;

/// What came instead of what was asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Stop {
    /// The student typed q, or closed the terminal's input.
    Enough,
    Signal(i32),
    /// Nobody reads what we write.
    Unread,
    /// It could not be written, for this reason.
    Failed(String),
}

/// What was typed.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    Line(String),
    /// The input has ended.
    End,
}

pub struct Console {
    pub width: usize,
    /// Lines of a page without its prompt.
    pub height: usize,
    pub utf8: bool,
    paged: bool,
    bold: bool,
    asks: bool,
    signals: SignalFd,
    typed: Vec<u8>,
    ended: bool,
}

impl Console {
    /// Looks at the terminal, and takes over SIGINT, SIGTERM and SIGHUP, as runs do.
    pub fn open(asks: bool, utf8: bool) -> Result<Console, Failure> {
        let terminal = io::stdout().is_terminal();
        let size = if terminal { terminal_size::terminal_size() } else { None };
        let (width, height) = size.map_or((WIDEST, PAGE + 1), |(Width(w), Height(h))| (w.into(), h.into()));
        fits(width, height).map_err(Failure::usage)?;
        let signals = take_over();
        let able = terminal && std::env::var("TERM").is_ok_and(|term| !term.is_empty() && term != "dumb");
        let plain = std::env::var("NO_COLOR").is_ok_and(|value| !value.is_empty());
        Ok(Console {
            width: width.min(WIDEST),
            height: PAGE.min(height - 1) - 2,
            utf8,
            paged: asks && able && io::stdin().is_terminal(),
            bold: able && !plain,
            asks,
            signals: signals.map_err(|e| Failure::machine(format!("cannot take over signals: {e}")))?,
            typed: Vec::new(),
            ended: false,
        })
    }

    /// Whether pages wait for Enter.
    pub fn is_paged(&self) -> bool {
        self.paged
    }

    /// Whether there is still somebody to ask.
    pub fn listens(&self) -> bool {
        self.asks && !self.ended
    }

    /// Bold where that can be had.
    pub fn heading(&self, text: &str) -> String {
        if self.bold { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Clears the screen where pages are shown, and writes lines.
    pub fn page(&self, lines: &[String]) -> Result<(), Stop> {
        let clear = if self.paged { "\x1b[H\x1b[2J\x1b[3J" } else { "" };
        self.write(clear)?;
        self.lines(lines)
    }

    pub fn lines(&self, lines: &[String]) -> Result<(), Stop> {
        let mut text = lines.join("\n");
        text.push('\n');
        self.write(&text)
    }

    pub fn write(&self, text: &str) -> Result<(), Stop> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| match e.kind() {
            io::ErrorKind::BrokenPipe => Stop::Unread,
            _ => Stop::Failed(format!("cannot write to stdout: {e}")),
        })
    }

    /// Blocks on pages, none cut that fits one; each page waits for Enter.
    pub fn show(&mut self, blocks: &[Vec<String>], prompt: &str) -> Result<(), Stop> {
        if !self.paged {
            for block in blocks {
                self.lines(block)?;
                self.write("\n")?;
            }
            return Ok(());
        }
        for page in pages(blocks, self.width, self.height) {
            self.page(&page)?;
            self.pause(prompt)?;
        }
        Ok(())
    }

    /// Waits for Enter.
    pub fn pause(&mut self, prompt: &str) -> Result<(), Stop> {
        if !self.paged {
            return Ok(());
        }
        self.write(&format!("\n{prompt} "))?;
        match self.line()? {
            Heard::Line(line) if is_quit(&line) => Err(Stop::Enough),
            Heard::Line(_) => Ok(()),
            Heard::End => Err(Stop::Enough),
        }
    }

    /// The next line of the input. A signal comes first.
    pub fn line(&mut self) -> Result<Heard, Stop> {
        loop {
            if let Some(at) = self.typed.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.typed.drain(..=at).collect();
                return Ok(Heard::Line(String::from_utf8_lossy(&line).trim().to_owned()));
            }
            if self.ended || self.typed.len() > LONGEST {
                // The last line may lack its end; a terminal that ends says that it is enough.
                let rest = std::mem::take(&mut self.typed);
                let rest = String::from_utf8_lossy(&rest).trim().to_owned();
                return Ok(if rest.is_empty() { Heard::End } else { Heard::Line(rest) });
            }
            self.wait()?;
        }
    }

    /// Sleeps until somebody types or a signal comes.
    fn wait(&mut self) -> Result<(), Stop> {
        let input = io::stdin();
        let mut fds =
            [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN), PollFd::new(input.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => self.ended = true,
        }
        let (signalled, typed) = (fds[0].any() == Some(true), fds[1].any() != Some(false));
        if signalled && let Ok(Some(signal)) = self.signals.read_signal() {
            return Err(Stop::Signal(signal.ssi_signo as i32));
        }
        if typed {
            let mut bytes = [0; 512];
            match nix::unistd::read(&input, &mut bytes) {
                Ok(0) => self.ended = true,
                Ok(length) => self.typed.extend_from_slice(&bytes[..length]),
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(_) => self.ended = true,
            }
        }
        Ok(())
    }
}

/// Why a terminal of that size cannot show a lesson.
fn fits(width: usize, height: usize) -> Result<(), String> {
    if width >= NARROWEST && height >= LOWEST {
        return Ok(());
    }
    Err(format!(
        "this terminal has {width} columns and {height} lines; lessons need {NARROWEST} and {LOWEST} (make it larger, \
         or send them elsewhere: herd learn --no-questions | less)"
    ))
}

/// Whether a line says that it is enough.
pub fn is_quit(line: &str) -> bool {
    matches!(line.trim(), "q" | "Q" | "quit")
}

/// How many lines of the terminal a line takes: a table that is too wide is wrapped there.
fn rows(line: &str, width: usize) -> usize {
    columns(&line.replace("\x1b[1m", "").replace("\x1b[0m", "")).div_ceil(width).max(1)
}

/// Blocks packed into pages of at most `height` lines, an empty line between two. A
/// block that is longer than a page is cut where the page ends.
pub fn pages(blocks: &[Vec<String>], width: usize, height: usize) -> Vec<Vec<String>> {
    let tall = |lines: &[String]| lines.iter().map(|line| rows(line, width)).sum::<usize>();
    let mut pages: Vec<Vec<String>> = vec![Vec::new()];
    for block in blocks.iter().filter(|block| !block.is_empty()) {
        let open = pages.last().expect("never empty");
        if !open.is_empty() && tall(open) + 1 + tall(block) > height {
            pages.push(Vec::new());
        }
        let open = pages.last_mut().expect("never empty");
        if !open.is_empty() {
            open.push(String::new());
        }
        for line in block {
            let open = pages.last().expect("never empty");
            if !open.is_empty() && tall(open) + rows(line, width) > height {
                pages.push(Vec::new());
            }
            pages.last_mut().expect("never empty").push(line.clone());
        }
    }
    pages
}

/// Spaces until a text is `width` columns wide.
pub fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(columns(text))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(name: &str, lines: usize) -> Vec<String> {
        (0..lines).map(|n| format!("{name}{n}")).collect()
    }

    #[test]
    fn blocks_stay_whole_and_pages_fit() {
        let found = pages(&[block("a", 8), block("b", 7), block("c", 4), block("d", 25), Vec::new()], 80, 20);
        assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [16, 4, 20, 5]);
        assert_eq!((found[0][8].as_str(), found[1][0].as_str(), found[2][0].as_str()), ("", "c0", "d0"));
        assert_eq!(found[3][4], "d24", "nothing is lost");
        assert_eq!(pages(&[], 80, 20), [Vec::<String>::new()]);
    }

    /// The head of a table that was two columns too wide scrolled away.
    #[test]
    fn a_line_that_the_terminal_wraps_counts_as_two() {
        let wide = vec!["x".repeat(81); 6];
        let found = pages(&[block("a", 8), wide.clone(), wide], 80, 20);
        assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [8, 6, 6]);
        let found = pages(&[vec!["x".repeat(81); 11]], 80, 20);
        assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [10, 1]);
        assert_eq!(
            (rows("", 80), rows(&"x".repeat(80), 80), rows(&format!("\x1b[1m{}\x1b[0m", "x".repeat(80)), 80)),
            (1, 1, 1)
        );
    }

    #[test]
    fn small_terminals_are_refused() {
        assert!(fits(60, 16).is_ok() && fits(80, 24).is_ok());
        assert!(fits(59, 24).unwrap_err().contains("59 columns"));
        assert!(fits(80, 15).unwrap_err().contains("15 lines"));
    }
}
