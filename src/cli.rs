//! The command line.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

mod advise;
mod attach;
mod explain;
mod learn;
mod load;
mod overview;
mod report;
mod vm;
mod watch;

pub use advise::AdviseArgs;
pub use attach::AttachArgs;
pub use explain::{ExplainArgs, ListArgs};
pub use learn::LearnArgs;
pub use load::LoadArgs;
pub use overview::OVERVIEW;
pub use report::ReportArgs;
pub use vm::{BisectArgs, VmArgs};
pub use watch::{SPEEDS, WatchArgs};

use crate::experiment::cells::Set;
use crate::experiment::shard::Shard;

/// See the thundering herd, and the kernel's fix, counted exactly.
///
/// Workers sleep on one object, one event happens, everybody sleeps again: who
/// woke, who got the work, who woke for nothing? Without a command, runs the
/// headline experiment.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    override_help = OVERVIEW,
    after_help = "Examples:\n  herd                 the herd and the fix, one table\n  herd list            what there is to run\n  herd explain herd    the lesson behind an experiment\n  herd run growth --set workers=2,4,8"
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub run: RunArgs,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run experiments and show what they saw.
    #[command(
        after_help = "Examples:\n  herd run herd\n  herd run herd --set workers=64 --format markdown\n  herd run my.toml --output results --repeat 3"
    )]
    Run(RunArgs),
    /// Check every expectation and report each as a test point.
    ///
    /// KTAP on stdout by default. Exit code 0: all that could be judged passed;
    /// 1: one failed; 2: the command line or an experiment file is wrong; 3: one
    /// could not be measured; 4: all were skipped.
    #[command(
        after_help = "Examples:\n  herd check\n  herd check herd --repeat 10\n  herd check --cross-check\n  herd check my.toml --format junit >herd.xml"
    )]
    Check(CheckArgs),
    /// What there is: experiments, objects, waits, loads, settings, metrics, words.
    #[command(after_help = "Examples:\n  herd list\n  herd list --settings")]
    List(ListArgs),
    /// The lesson of an experiment, or what a word, a metric or a verdict means.
    #[command(
        after_help = "Examples:\n  herd explain herd\n  herd explain table\n  herd explain wakeups_per_event\n  herd explain EPOLLEXCLUSIVE --lang zh\n  herd explain FAIL"
    )]
    Explain(ExplainArgs),
    /// Lessons: predict, run it here, be surprised, understand.
    ///
    /// Each asks for predictions, runs an experiment and shows both side by side, with
    /// what happened in the kernel and where to read it. Goes on where you stopped;
    /// progress is kept in $XDG_STATE_HOME/herd/learn.json.
    #[command(
        after_help = "Examples:\n  herd learn\n  herd learn --list\n  herd learn --lesson 6\n  herd learn --lesson herd --no-questions --lang zh"
    )]
    Learn(LearnArgs),
    /// Show a stored result in any format.
    #[command(after_help = "Example:\n  herd show results/herd-1764000000.json --format csv")]
    Show(ShowArgs),
    /// Compare two stored results: what changed between two kernels.
    ///
    /// Kernel counts are compared exactly or by their rule, the order of the
    /// winners by kind; latencies need --repeat 7 on both sides and are shown only.
    /// Exit code: 0 nothing got worse, 1 something did, 2 the files cannot be
    /// compared, 3 something is not measured any more.
    #[command(after_help = "Example:\n  herd compare old/herd-1764000000.json new/herd-1764086400.json")]
    Compare(CompareArgs),
    /// Stored results of several kernels in one table, changes marked.
    ///
    /// Rows are experiments and waits, columns kernels, oldest first; each entry is
    /// the median of the wakeups per event, with (min-max) where events differ. A
    /// change against the kernel to the left has the number of a footnote where an
    /// expectation has its kernel range begin or end between the two, else a `?`.
    /// Exit code: 0 all as expected and every change explained, 1 a cell failed or
    /// a change is unexplained, 2 the files cannot be used, 3 a cell could not be
    /// measured, 4 all were skipped.
    #[command(
        after_help = "Examples:\n  herd matrix old/*.json new/*.json\n  herd matrix results/*.json --format html >kernels.html"
    )]
    Matrix(MatrixArgs),
    /// Put the parts of a run together that --shard made.
    ///
    /// The result is that of one run: on stdout, or in a file. Exit code as of `herd
    /// show`; 2 if the files are not the parts of one run.
    #[command(
        after_help = "Example:\n  herd run herd --shard 1/2 --output parts & herd run herd --shard 2/2 --output parts; wait\n  herd merge parts/*.json --output whole.json"
    )]
    Merge(MergeArgs),
    /// What this machine can do and measure, and what would disturb it.
    ///
    /// Tries every kernel feature, counts real events with every counting source,
    /// and looks at limits and settings. Exit code: 0 if wakeups can be counted, 3
    /// if not.
    #[command(after_help = "Example:\n  herd doctor --format json")]
    Doctor(DoctorArgs),
    /// Which accept strategy suits this machine, under a load you name.
    ///
    /// Runs every strategy in turns: wakeups and CPU time per connection, latency,
    /// balance, who waits when one worker is stuck, what is lost when one leaves.
    /// Every statement names the cell it rests on. Exit code as of `herd run`.
    #[command(
        after_help = "Examples:\n  herd advise\n  herd advise --workers 8 --service-time 1ms --rate 500\n  herd advise --workers 64 --clients 16 --placement threads"
    )]
    Advise(AdviseArgs),
    /// Count the wakeups of a running server, and say which pattern it has.
    ///
    /// Looks at a process and all below it, from outside: nothing is sent to them and
    /// nothing stops. For each worker: where it sleeps, how often it woke and for what,
    /// which part of the connections it got. --connect makes the connections itself, one
    /// at a time, and is exact. Exit code: 0 the pattern is found, 2 there is no such
    /// server or we may not look, 3 it is unclear, or the server ended (what was seen is
    /// shown).
    #[command(
        after_help = "Examples:\n  herd attach --pid $(cat /run/nginx.pid)\n  herd attach --pid 4711 --connect 100\n  herd attach --pid 4711 --events 1000 --port 8080 --format json"
    )]
    Attach(AttachArgs),
    /// Stored results as one web page to show or to hand in.
    ///
    /// For each experiment the question, the drawing, the tables and plots, what was
    /// expected and why; several kernels side by side as a heat map. One file that
    /// needs no network, with the JSON inside and beside it. Exit code as of `herd show`.
    #[command(
        after_help = "Example:\n  herd run herd growth balance latency --output results\n  herd report results/*.json --output page"
    )]
    Report(ReportArgs),
    /// Load an HTTP server of this machine: our clients as a command.
    ///
    /// Without --rate a closed loop: each client asks again when it has its answer. With
    /// --rate an open loop: requests at their times, whatever becomes of them, and
    /// latencies from the intended start. Exit code: 0 every request was answered with a
    /// status below 400; 1 one was not, or the server went away; 2 the command line or the
    /// address is wrong, or no HTTP server is there.
    #[command(
        after_help = "Examples:\n  herd load http://127.0.0.1:8080/ --clients 50 --keep-alive\n  herd load http://[::1]:8080/ --rate 2000 --poisson --duration 30s\n  herd load unix:/run/app.sock:/status --requests 10000 --format json"
    )]
    Load(LoadArgs),
    /// Draw one event: who was woken when, on which CPU, who got it, who slept again.
    #[command(
        after_help = "Examples:\n  herd timeline herd --wait epoll --wait \"epoll + EXCLUSIVE\"\n  herd timeline herd --wait epoll --format perfetto > trace.json"
    )]
    Timeline(TimelineArgs),
    /// See it live: workers sleep, wake, get the event or nothing, one event at a time.
    ///
    /// Each event is made and measured when its turn comes, then shown thousands of times
    /// slower, with its real times. Keys: space pauses, n goes to the next change, b back,
    /// e to the end of the event or through the next one, w to the next wait, + and - change
    /// the speed, q quits. Between two events the workers sleep in their real waits. Without
    /// a terminal each event is printed once. Times of hidden wakeups need the bpf source.
    #[command(
        after_help = "Examples:\n  herd watch herd:epoll\n  herd watch 'herd:epoll + EXCLUSIVE' --set workers=4 --speed 0.5\n  herd watch herd --events 1 | less"
    )]
    Watch(WatchArgs),
    /// Boot other kernels in QEMU and run the same experiments there.
    ///
    /// Each kernel boots herd itself as /init, needs no disk, no modules and no
    /// root. A kernel is a bzImage, a vmlinux with a PVH note, a Debian package
    /// (linux-image, or linux-binary from 6.19 on), an RPM package (kernel-core),
    /// user-mode-linux, the folder of a build, or `host` for the machine we run on.
    /// `make kernels` fetches some; a statically linked herd is needed: `make static`.
    #[command(
        after_help = "Examples:\n  herd vm --kernel arch/x86/boot/bzImage\n  herd vm herd growth --kernel ~/.cache/herd/kernels/*.deb host --output results\n  herd vm --check --kernel linux-image-6.1.0-47-cloud-amd64_6.1.170-3_amd64.deb"
    )]
    Vm(VmArgs),
    /// Print a script for `git bisect run`: which commit changed this?
    #[command(
        name = "bisect-script",
        after_help = "Example:\n  herd bisect-script --experiment io-uring --wait accept --expect \"wakeups_per_event = 1\" >which.sh"
    )]
    BisectScript(BisectArgs),
    /// Runs one cell; the lab starts itself this way.
    #[command(name = crate::cell::plan::COMMAND, hide = true)]
    Cell,
    /// Writes the man pages into a directory; `make install` calls it.
    #[command(name = "__man", hide = true)]
    Man { dir: PathBuf },
    /// Writes the completions of bash, zsh and fish into a directory.
    #[command(name = "__completions", hide = true)]
    Completions { dir: PathBuf },
}

#[derive(Debug, Args)]
pub struct RunArgs {
    /// Names from `herd list`, or experiment files, or NAME:ROW for one row; the headline if none is given.
    #[arg(value_name = "NAME or FILE")]
    pub experiments: Vec<String>,
    #[command(flatten)]
    pub format: FormatArgs,
    #[command(flatten)]
    pub measure: MeasureArgs,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Names from `herd list`, or experiment files, or NAME:ROW for one row; all of the list
    /// but the long ones if none is given.
    #[arg(value_name = "NAME or FILE")]
    pub experiments: Vec<String>,
    /// How to report it.
    #[arg(long, short, default_value = "ktap", value_parser = crate::report::names())]
    pub format: String,
    /// No progress, no word about the kept file.
    #[arg(long, short)]
    pub quiet: bool,
    /// Count each cell with every source there is; the sources must agree.
    #[arg(long)]
    pub cross_check: bool,
    #[command(flatten)]
    pub measure: MeasureArgs,
}

/// How cells are run, whatever is then done with what they saw.
#[derive(Debug, Args)]
pub struct MeasureArgs {
    /// Change a setting in every cell: workers=64, or a list for a matrix: workers=2,4.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<Set>,
    /// Keep the result as JSON in this directory.
    #[arg(long, short, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Run every cell K times.
    #[arg(long, default_value_t = 1, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub repeat: u32,
    /// Count wakeups with this source instead of the best there is.
    #[arg(long, value_name = "SOURCE", value_parser = crate::cell::count::NAMES)]
    pub count_with: Option<String>,
    /// Keep every round of every cell in the result.
    #[arg(long)]
    pub trace: bool,
    /// Run only part I of N, counted from 1; `herd merge` puts the parts together.
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
}

#[derive(Debug, Args)]
pub struct FormatArgs {
    /// How to show it.
    #[arg(long, short, default_value = crate::report::names()[0], value_parser = crate::report::names())]
    pub format: String,
    /// Only the verdict, no progress.
    #[arg(long, short, conflicts_with = "verbose")]
    pub quiet: bool,
    /// One line per expectation and per worker as well.
    #[arg(long, short)]
    pub verbose: bool,
    /// Below the table, draw wakeups against workers or figures against the load, and latencies.
    #[arg(long, conflicts_with = "quiet")]
    pub plot: bool,
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// A file that --output or --format json wrote.
    pub file: PathBuf,
    #[command(flatten)]
    pub format: FormatArgs,
}

#[derive(Debug, Args)]
pub struct CompareArgs {
    /// The earlier result, a file that --output wrote.
    pub old: PathBuf,
    /// The later one.
    pub new: PathBuf,
    /// How to show it.
    #[arg(long, short, default_value = crate::report::comparison::names()[0], value_parser = crate::report::comparison::names())]
    pub format: String,
}

#[derive(Debug, Args)]
pub struct MatrixArgs {
    /// Files that --output wrote; one or more for each kernel.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// How to show it.
    #[arg(long, short, default_value = crate::report::matrix::names()[0], value_parser = crate::report::matrix::names())]
    pub format: String,
}

#[derive(Debug, Args)]
pub struct MergeArgs {
    /// The parts, files that --output wrote; all of one run, in any order.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Write the result to this file, which must not exist, and the verdict to stdout.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// How to show it.
    #[arg(long, short, default_value = "table", value_parser = ["table", "json"])]
    pub format: String,
}

#[derive(Debug, Args)]
pub struct TimelineArgs {
    /// A name from `herd list`, or an experiment file.
    #[arg(value_name = "NAME or FILE")]
    pub experiment: String,
    /// Only this row of the experiment; may be given several times.
    #[arg(long = "wait", value_name = "ROW")]
    pub waits: Vec<String>,
    /// Which event, counted from 0.
    #[arg(long, default_value_t = 10, value_name = "K", value_parser = clap::value_parser!(u64).range(..10_000_000))]
    pub event: u64,
    /// Change a setting: workers=64.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<Set>,
    /// Count wakeups with this source instead of the best there is.
    #[arg(long, value_name = "SOURCE", value_parser = crate::cell::count::NAMES)]
    pub count_with: Option<String>,
    /// How to show it.
    #[arg(long, short, default_value = "timeline", value_parser = crate::report::names())]
    pub format: String,
    /// No progress.
    #[arg(long, short)]
    pub quiet: bool,
}
