//! The terminal while we draw on it: raw, on its second screen, without cursor. However
//! we end, it is put back: when this is dropped, and before a panic says its words.

use std::io::{self, Write};
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::style::{Attribute, Color, Print, SetAttribute, SetForegroundColor};
use crossterm::terminal::{self, Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{execute, queue};

use super::player::Key;
use crate::report::watch::{Line, Look};

/// A terminal that is ours for a while.
pub struct Screen {
    /// What stands there now, so that only what changed is written.
    drawn: Vec<Line>,
    colour: bool,
    /// Until it is put back, which is done once: a second time would move the cursor onto
    /// what was said since.
    ours: Arc<AtomicBool>,
}

/// What came from the terminal.
pub enum Input {
    Key(Key),
    /// It has another size now, or was covered: all must be drawn again.
    Resized,
}

impl Screen {
    /// Both ends must be terminals.
    pub fn open(colour: bool) -> io::Result<Screen> {
        let ours = Arc::new(AtomicBool::new(true));
        let (before, hooked) = (panic::take_hook(), ours.clone());
        panic::set_hook(Box::new(move |info| {
            put_back(&hooked);
            before(info);
        }));
        let screen = Screen { drawn: Vec::new(), colour, ours };
        terminal::enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        Ok(screen)
    }

    /// Columns and lines.
    pub fn size() -> io::Result<(usize, usize)> {
        terminal::size().map(|(width, height)| (width.into(), height.into()))
    }

    /// Everything typed since the last call.
    pub fn inputs(&mut self) -> io::Result<Vec<Input>> {
        let mut found = Vec::new();
        while event::poll(Duration::ZERO)? {
            match event::read()? {
                Event::Resize(..) => found.push(Input::Resized),
                Event::Key(key) if key.kind != KeyEventKind::Release => {
                    found.extend(meaning(key.code, key.modifiers).map(Input::Key));
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// The whole picture is written anew the next time.
    pub fn forget(&mut self) {
        self.drawn.clear();
    }

    /// Writes what is different from what stands there.
    pub fn draw(&mut self, lines: Vec<Line>) -> io::Result<()> {
        let mut out = io::BufWriter::new(io::stdout().lock());
        if self.drawn.is_empty() {
            queue!(out, Clear(ClearType::All))?;
        }
        for row in 0..lines.len().max(self.drawn.len()) {
            let (new, old) = (lines.get(row), self.drawn.get(row));
            if new == old {
                continue;
            }
            queue!(out, MoveTo(0, u16::try_from(row).unwrap_or(u16::MAX)))?;
            for (look, text) in new.into_iter().flatten() {
                self.ink(&mut out, *look)?;
                // Of the colour as well.
                queue!(out, Print(text), SetAttribute(Attribute::Reset))?;
            }
            queue!(out, Clear(ClearType::UntilNewLine))?;
        }
        self.drawn = lines;
        out.flush()
    }

    fn ink(&self, out: &mut impl Write, look: Look) -> io::Result<()> {
        match look {
            Look::Plain => return Ok(()),
            Look::Bold | Look::Got | Look::Nothing => queue!(out, SetAttribute(Attribute::Bold))?,
            Look::Dim if !self.colour => queue!(out, SetAttribute(Attribute::Dim))?,
            _ => {}
        }
        // Colours that differ in brightness too, and never stand without their word.
        let colour = match look {
            Look::Dim => Color::DarkGrey,
            Look::Woken => Color::Yellow,
            Look::Running => Color::Cyan,
            Look::Got => Color::Green,
            Look::Nothing => Color::Magenta,
            Look::Plain | Look::Bold => return Ok(()),
        };
        if self.colour { queue!(out, SetForegroundColor(colour)) } else { Ok(()) }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        put_back(&self.ours);
    }
}

/// A terminal that is gone needs nothing, so errors do not matter.
fn put_back(ours: &AtomicBool) {
    if !ours.swap(false, Ordering::Relaxed) {
        return;
    }
    let _ = execute!(io::stdout(), Show, LeaveAlternateScreen);
    let _ = terminal::disable_raw_mode();
}

fn meaning(code: KeyCode, modifiers: KeyModifiers) -> Option<Key> {
    if modifiers.contains(KeyModifiers::CONTROL) {
        return (code == KeyCode::Char('c')).then_some(Key::Interrupt);
    }
    Some(match code {
        KeyCode::Char(' ' | 'p') => Key::Pause,
        KeyCode::Char('n') | KeyCode::Right => Key::Step,
        KeyCode::Char('b') | KeyCode::Left => Key::Back,
        KeyCode::Char('e') | KeyCode::Enter => Key::Event,
        KeyCode::Char('w') | KeyCode::Tab => Key::Row,
        KeyCode::Char('+' | '=') | KeyCode::Up => Key::Faster,
        KeyCode::Char('-' | '_') | KeyCode::Down => Key::Slower,
        KeyCode::Char('q') | KeyCode::Esc => Key::Quit,
        _ => return None,
    })
}
