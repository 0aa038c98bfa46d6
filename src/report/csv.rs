//! One line per cell, one column per metric, for a spreadsheet.

use std::io::{self, Write};

use super::{Report, Style};
use crate::analysis::metrics;
use crate::results::Results;

/// Comma-separated values.
pub struct Csv;

impl Report for Csv {
    fn name(&self) -> &'static str {
        "csv"
    }

    fn about(&self) -> &'static str {
        "one line per cell, one column per metric"
    }

    fn write(&self, results: &Results, _: Style, out: &mut dyn Write) -> io::Result<()> {
        let mut table = ::csv::Writer::from_writer(out);
        let fixed = ["kernel", "cpus", "herd", "experiment", "id", "wait", "placement", "workers", "repetition"];
        let last = ["winners", "count_source", "verdict", "reason"];
        let header = fixed.into_iter().chain(metrics::names()).chain(last);
        table.write_record(header).map_err(bare)?;
        for cell in &results.cells {
            let environment = &results.environment;
            let mut record = vec![
                environment.kernel_release.clone(),
                environment.cpus_online.to_string(),
                results.herd.clone(),
                cell.experiment.clone(),
                cell.id.clone(),
                cell.row.clone(),
                cell.settings.placement().to_string(),
                cell.settings.workers.to_string(),
                cell.repetition.to_string(),
            ];
            record.extend(metrics::names().map(|name| {
                let value = cell.metrics.get(name).copied().flatten();
                value.map(|v| v.to_string()).unwrap_or_default()
            }));
            record.extend([
                cell.winners.clone(),
                cell.count_source.clone(),
                cell.verdict.to_string().to_lowercase(),
                cell.reason.clone(),
            ]);
            table.write_record(record).map_err(bare)?;
        }
        table.flush()
    }
}

/// The error of the writer itself: wrapped by csv, a closed pipe would not be
/// known as one.
pub fn bare(error: ::csv::Error) -> io::Error {
    match error.into_kind() {
        ::csv::ErrorKind::Io(e) => e,
        other => io::Error::other(format!("{other:?}")),
    }
}
