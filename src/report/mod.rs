//! Ways to show a run. One file each, one line each in [`LIST`]. Pure: they see
//! results and a writer, nothing else.

use std::io::{self, Write};

use crate::results::Results;

pub mod advice;
pub mod checkup;
pub mod comparison;
mod csv;
mod curves;
mod fit;
mod grid;
mod json;
mod junit;
mod kcidb;
mod kernels;
mod ktap;
pub mod load;
mod markdown;
pub mod matrix;
pub mod page;
mod perfetto;
pub mod plot;
pub mod sighting;
mod table;
mod timeline;
pub mod watch;

pub use grid::{measured, value};
pub use table::{tables, verdict, wrapped};
pub use timeline::lanes;

/// How a report may look.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Columns of the terminal; 80 where there is none.
    pub width: usize,
    /// One line per worker below each table.
    pub verbose: bool,
    /// Only the verdict.
    pub quiet: bool,
}

impl Default for Style {
    fn default() -> Self {
        Style { width: 80, verbose: false, quiet: false }
    }
}

/// A format.
pub trait Report: Sync {
    /// As `--format` spells it.
    fn name(&self) -> &'static str;

    /// One line for the help.
    fn about(&self) -> &'static str;

    fn write(&self, results: &Results, style: Style, out: &mut dyn Write) -> io::Result<()>;

    /// The same of several kernels, as one document: with the kernel in front of each
    /// name, where the format has no better way.
    fn write_kernels(&self, all: &[Results], style: Style, out: &mut dyn Write) -> io::Result<()> {
        kernels::combined(all).map_or(Ok(()), |one| self.write(&one, style, out))
    }
}

/// Every format; the first is the default.
pub const LIST: &[&dyn Report] = &[
    &table::Table,
    &json::Json,
    &csv::Csv,
    &markdown::Markdown,
    &timeline::Timeline,
    &perfetto::Perfetto,
    &ktap::Ktap,
    &junit::Junit,
    &kcidb::Kcidb,
];

/// The format of that name.
pub fn find(name: &str) -> Option<&'static dyn Report> {
    LIST.iter().copied().find(|report| report.name() == name)
}

/// All names.
pub fn names() -> Vec<&'static str> {
    LIST.iter().map(|report| report.name()).collect()
}
