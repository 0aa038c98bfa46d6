//! The arguments of `herd list` and `herd explain`.

use clap::Args;

use crate::words::Language;

#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct ListArgs {
    /// What workers can sleep on.
    #[arg(long)]
    pub objects: bool,
    /// How workers can sleep.
    #[arg(long)]
    pub waits: bool,
    /// Every object with every wait: what can be had, and why not.
    #[arg(long)]
    pub matrix: bool,
    /// How events can arrive.
    #[arg(long)]
    pub loads: bool,
    /// Everything an experiment or --set can change.
    #[arg(long)]
    pub settings: bool,
    /// The numbers, with units.
    #[arg(long)]
    pub metrics: bool,
    /// What this kernel can do.
    #[arg(long)]
    pub probes: bool,
    /// Small measuring programs, with their modes.
    #[arg(long)]
    pub studies: bool,
    /// What a script can say.
    #[arg(long)]
    pub statements: bool,
    /// The glossary, for `herd explain WORD`; --words=zh for Chinese.
    #[arg(long, value_name = "LANG", num_args = 0..=1, require_equals = true)]
    pub words: Option<Option<Language>>,
    /// The claims of the article that herd grew from, each with its verdict and the
    /// experiments that show it; --claims=zh for Chinese.
    #[arg(long, value_name = "LANG", num_args = 0..=1, require_equals = true)]
    pub claims: Option<Option<Language>>,
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A name from `herd list`, an experiment file, or a word from `herd list --words`:
    /// a metric, a verdict, a column, a flag of the kernel; or a claim such as S13. Several
    /// are explained one after the other.
    #[arg(value_name = "NAME, FILE or WORD", required = true)]
    pub name: Vec<String>,
    /// The word, though an experiment is called so, too.
    #[arg(long)]
    pub word: bool,
    /// The language of the words; that of LC_ALL, LC_MESSAGES or LANG if not given.
    #[arg(long, value_name = "LANG")]
    pub lang: Option<Language>,
}
