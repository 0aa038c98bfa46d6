//! The whole document, as it is stored. `herd show` reads it back.

use std::io::{self, Write};

use super::{Report, Style};
use crate::results::Results;

/// JSON with names other programs rely on.
pub struct Json;

impl Report for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn about(&self) -> &'static str {
        "the whole document, for programs and for `herd show`"
    }

    fn write(&self, results: &Results, _: Style, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, results)?;
        writeln!(out)
    }
}
