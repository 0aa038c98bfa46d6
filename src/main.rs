//! The `herd` command: dispatch, messages and exit codes.

#![deny(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;

use herd::cli::{Cli, Command};
use herd::command::{self, Failure};
use herd::exit::Exit;

fn main() -> ExitCode {
    if herd::vm::guest::is_ours() {
        herd::vm::guest::main(herd::cell::coordinator::live);
    }
    if herd::study::is_nothing() {
        return ExitCode::SUCCESS;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version are errors of clap with exit code 0.
            let _ = e.print();
            let code = if e.use_stderr() { Exit::Usage } else { Exit::Pass };
            return code.into();
        }
    };
    let outcome = match cli.command {
        None => command::run::run(&cli.run),
        Some(Command::Run(args)) => command::run::run(&args),
        Some(Command::Check(args)) => command::check::run(&args),
        Some(Command::List(args)) => command::list::run(&args),
        Some(Command::Explain(args)) => command::explain::run(&args),
        Some(Command::Learn(args)) => command::learn::run(&args),
        Some(Command::Show(args)) => command::show::run(&args),
        Some(Command::Compare(args)) => command::compare::run(&args),
        Some(Command::Matrix(args)) => command::matrix::run(&args),
        Some(Command::Merge(args)) => command::merge::run(&args),
        Some(Command::Doctor(args)) => command::doctor::run(&args),
        Some(Command::Advise(args)) => command::advise::run(&args),
        Some(Command::Load(args)) => command::load::run(&args),
        Some(Command::Attach(args)) => command::attach::run(&args),
        Some(Command::Timeline(args)) => command::timeline::run(&args),
        Some(Command::Watch(args)) => command::watch::run(&args),
        Some(Command::Report(args)) => command::report::run(&args),
        Some(Command::Vm(args)) => command::vm::run(&args),
        Some(Command::BisectScript(args)) => command::bisect::run(&args),
        Some(Command::Man { dir }) => command::install::man(&dir),
        Some(Command::Completions { dir }) => command::install::completions(&dir),
        Some(Command::Cell) => match herd::cell::coordinator::main() {
            Ok(()) => Ok(Exit::Pass),
            Err(e) => Err(Failure::machine(format!("cell: {e}"))),
        },
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            eprintln!("herd: {failure}");
            failure.exit.into()
        }
    }
}
