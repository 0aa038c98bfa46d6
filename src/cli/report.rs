//! The command line of `herd report`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Files that --output or --format json wrote; several kernels give a heat map.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The folder for the page: new, empty, or one that holds an earlier report.
    #[arg(long, short, value_name = "DIR")]
    pub output: PathBuf,
}
