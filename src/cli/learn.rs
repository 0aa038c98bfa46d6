//! The command line of `herd learn`.

use clap::Args;

use crate::words::Language;

#[derive(Debug, Args)]
pub struct LearnArgs {
    /// The lessons, and which of them are done.
    #[arg(long)]
    pub list: bool,
    /// Only this lesson, by number or name; the first that is not done if not given.
    #[arg(long, short, value_name = "N or NAME", conflicts_with = "list")]
    pub lesson: Option<String>,
    /// Ask nothing and never pause: to show a lesson to a class.
    #[arg(long, short, conflicts_with = "list")]
    pub no_questions: bool,
    /// The language of the texts; that of LC_ALL, LC_MESSAGES or LANG if not given.
    #[arg(long, value_name = "LANG")]
    pub lang: Option<Language>,
}
