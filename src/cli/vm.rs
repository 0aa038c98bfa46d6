//! The command lines of `herd vm` and `herd bisect-script`.

use std::path::PathBuf;

use clap::Args;

use super::MeasureArgs;

#[derive(Debug, Args)]
pub struct VmArgs {
    /// Names from `herd list`, or experiment files, or NAME:ROW for one row; the headline if none is given,
    /// all of the list with --check.
    #[arg(value_name = "NAME or FILE")]
    pub experiments: Vec<String>,
    /// The kernels to boot; `host` is the machine we run on.
    #[arg(long = "kernel", value_name = "PATH", num_args = 1.., required = true)]
    pub kernels: Vec<PathBuf>,
    /// As `herd check`: every expectation as a test point, in each kernel.
    #[arg(long)]
    pub check: bool,
    /// How to show it: table, markdown, csv or html for the table across kernels; any
    /// format of `herd check` with --check, ktap by default.
    #[arg(long, short)]
    pub format: Option<String>,
    /// How many kernels run at once.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
    /// CPUs of a guest.
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=255))]
    pub smp: u32,
    /// Memory of a guest in MiB.
    #[arg(long, default_value_t = 256, value_name = "MIB", value_parser = clap::value_parser!(u32).range(16..=1_048_576))]
    pub memory: u32,
    /// More for the kernels' command lines.
    #[arg(long, default_value = "", value_name = "TEXT", allow_hyphen_values = true)]
    pub append: String,
    /// Seconds for which a guest may say nothing before it counts as hung.
    #[arg(long, default_value_t = 120, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub limit: u64,
    /// The program that makes guests.
    #[arg(long, default_value = "qemu-system-x86_64", value_name = "PROGRAM")]
    pub qemu: PathBuf,
    /// KVM, emulation, or KVM where it boots.
    #[arg(long, value_enum, default_value = "auto")]
    pub accel: crate::vm::qemu::Accel,
    /// The statically linked herd to boot, if not this one.
    #[arg(long, value_name = "FILE")]
    pub init: Option<PathBuf>,
    /// No progress, no word about kept files.
    #[arg(long, short)]
    pub quiet: bool,
    #[command(flatten)]
    pub measure: MeasureArgs,
}

#[derive(Debug, Args)]
pub struct BisectArgs {
    /// A name from `herd list`, or an experiment file.
    #[arg(long, value_name = "NAME or FILE")]
    pub experiment: String,
    /// The row that the question is about; all of them if none is given.
    #[arg(long, value_name = "ROW")]
    pub wait: Option<String>,
    /// What a good kernel does, as an experiment file says it.
    #[arg(long, value_name = "EXPECTATION")]
    pub expect: String,
    /// How the tree is built.
    #[arg(long, default_value = "make olddefconfig && make -j\"$(nproc)\" bzImage", value_name = "COMMAND")]
    pub build: String,
    /// Where the build leaves the kernel.
    #[arg(long, default_value = "arch/x86/boot/bzImage", value_name = "PATH")]
    pub image: String,
    /// The statically linked herd that the script calls.
    #[arg(long, default_value = "herd", value_name = "PROGRAM")]
    pub herd: String,
}
