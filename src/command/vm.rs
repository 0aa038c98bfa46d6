//! `herd vm`: the same experiments in other kernels.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::measure::{self, How, Planned, Purpose};
use super::store::Store;
use super::{Failure, print};
use crate::analysis::matrix::matrix;
use crate::analysis::{judge, points, relation};
use crate::cli::VmArgs;
use crate::exit::Exit;
use crate::experiment::{Cell, Experiment, embedded};
use crate::report::{self, Style};
use crate::results::{CellResult, Environment, ExperimentFacts, Results, SCHEMA, USER_MODE, Verdict};
use crate::runner::{Wish, local::Local};
use crate::vm::archive;
use crate::vm::kernel::{self, Kernel, Kind};
use crate::vm::protocol::GuestPlan;
use crate::vm::qemu::{Farm, Guest, Options, Outcome};

/// The word for the machine we run on.
const HOST: &str = "host";

pub fn run(args: &VmArgs) -> Result<Exit, Failure> {
    let names = match (args.experiments.as_slice(), args.check) {
        ([], true) => embedded::names(),
        ([], false) => vec!["herd".to_owned()],
        (given, _) => given.to_vec(),
    };
    let known = if args.check { report::names() } else { report::matrix::names() };
    if let Some(format) = args.format.as_deref().filter(|format| !known.contains(format)) {
        let what = if args.check { "with --check" } else { "without --check" };
        return Err(Failure::usage(format!("no format {format:?} {what}; there are {}", known.join(", "))));
    }
    let experiments = measure::chosen(&names)?;
    // Everything that can be refused is refused before the first kernel boots.
    let (kernels, mut refused) = kernels(args)?;
    let cells: Vec<Cell> = cells(&experiments, args)?;
    let init = if kernels.is_empty() { Vec::new() } else { init(args)? };
    let mut all: Vec<Results> = Vec::new();
    let mut stopped = None;
    if args.kernels.iter().any(|path| path == Path::new(HOST)) {
        let (results, signal) = host(&experiments, &cells, args)?;
        all.push(results);
        stopped = signal;
    }
    if !kernels.is_empty() && stopped.is_none() {
        let plan = GuestPlan {
            cells: cells.clone(),
            repeat: args.measure.repeat,
            trace: args.measure.trace,
            count_with: args.measure.count_with.clone(),
        };
        let (outcomes, signal) = boot(&kernels, &init, &plan, args)?;
        stopped = signal;
        for (kernel, outcome) in kernels.iter().zip(outcomes) {
            let told = told(kernel, &outcome);
            if let Some(why) = &outcome.failed {
                refused.push(format!("{}: {why}", kernel.name));
            } else if !args.quiet {
                eprintln!("{told}");
            }
            all.push(results_of(&experiments, &plan, kernel, outcome));
        }
    }
    for results in &all {
        if let Some(directory) = &args.measure.output {
            Store::open(directory, &experiments, None)?.write(results, args.quiet)?;
        }
    }
    for why in &refused {
        eprintln!("herd: {why}");
    }
    let exit = show(&all, args)?;
    Ok(match (stopped, refused.is_empty()) {
        (Some(signal), _) => Exit::Signal(signal),
        // A kernel that did not boot is no pass, whatever the others say.
        (None, false) if exit == Exit::Pass => Exit::Invalid,
        _ => exit,
    })
}

/// The kernels that can be booted, and why the others cannot; it goes on if some
/// can.
fn kernels(args: &VmArgs) -> Result<(Vec<Kernel>, Vec<String>), Failure> {
    let (mut found, mut refused) = (Vec::new(), Vec::new());
    for path in args.kernels.iter().filter(|path| *path != Path::new(HOST)) {
        match kernel::open(path) {
            Ok(kernel) => found.push(kernel),
            Err(why) => refused.push(why),
        }
    }
    let host = args.kernels.iter().any(|path| path == Path::new(HOST));
    if found.is_empty() && !host {
        return Err(Failure::usage(refused.join("\nherd: ")));
    }
    Ok((found, refused))
}

fn cells(experiments: &[Experiment], args: &VmArgs) -> Result<Vec<Cell>, Failure> {
    let mut cells = Vec::new();
    for experiment in experiments {
        cells.extend(experiment.cells(&args.measure.sets)?);
    }
    Ok(cells)
}

/// Ourselves, or the program named, which must need no other file.
fn init(args: &VmArgs) -> Result<Vec<u8>, Failure> {
    let path = args.init.as_deref().unwrap_or(Path::new("/proc/self/exe"));
    let bytes = std::fs::read(path).map_err(|e| Failure::usage(format!("{}: {e}", path.display())))?;
    if !archive::is_static(&bytes) {
        let which = args.init.as_ref().map_or("this herd".into(), |path| path.display().to_string());
        return Err(Failure::usage(format!(
            "{which} is linked dynamically and cannot be booted as /init; build a static one with `make static` and \
             use it, or name it with --init"
        )));
    }
    Ok(bytes)
}

fn host(experiments: &[Experiment], cells: &[Cell], args: &VmArgs) -> Result<(Results, Option<i32>), Failure> {
    let limits = crate::runner::limits::Limits::read();
    let planned: Vec<Planned> =
        cells.iter().map(|cell| Planned { cell: cell.clone(), refused: limits.refuse(&cell.settings) }).collect();
    let wish = Wish { trace: args.measure.trace, count_with: args.measure.count_with.clone(), ..Wish::default() };
    let purpose = Purpose::Check { cross_check: false };
    let how = How { repeat: args.measure.repeat, wish: &wish, quiet: args.quiet, purpose };
    measure::measure(experiments, &planned, &how)
}

/// Boots all kernels; the second value is the signal that cut it short.
fn boot(
    kernels: &[Kernel],
    init: &[u8],
    plan: &GuestPlan,
    args: &VmArgs,
) -> Result<(Vec<Outcome>, Option<i32>), Failure> {
    let machine = |what: &str| {
        let what = what.to_owned();
        move |e: std::io::Error| Failure::machine(format!("{what}: {e}"))
    };
    let json = serde_json::to_vec(plan).expect("a plan is plain data");
    let memory = memfd_create("herd-initrd", MFdFlags::MFD_CLOEXEC)
        .map_err(|e| Failure::machine(format!("memfd_create: {e}")))?;
    let mut initrd = File::from(memory);
    let mut packed = archive::base(init).map_err(machine("cannot pack the initramfs"))?;
    // The second archive must begin at a multiple of four.
    packed.resize(packed.len().next_multiple_of(4), 0);
    packed.extend(archive::plan(&json).map_err(machine("cannot pack the plan"))?);
    initrd.write_all(&packed).map_err(machine("cannot write the initramfs"))?;

    let mut local = Local::new().map_err(|e| Failure::machine(format!("cannot take over signals: {e}")))?;
    let options = Options {
        qemu: args.qemu.clone(),
        accel: args.accel,
        smp: args.smp,
        memory: args.memory,
        append: args.append.clone(),
        limit: Duration::from_secs(args.limit),
    };
    let farm = Farm { kernels, initrd: &initrd, options: &options, jobs: usize::from(args.jobs) };
    let bars = Bars::new(kernels, plan.runs(), args.quiet);
    let outcomes = farm.run(|running| {
        bars.show(running);
        local.stopped().is_none()
    });
    Ok((outcomes, local.stopped()))
}

/// One line of progress for each kernel that runs.
struct Bars {
    all: MultiProgress,
    bars: Vec<ProgressBar>,
    runs: usize,
}

impl Bars {
    fn new(kernels: &[Kernel], runs: usize, quiet: bool) -> Bars {
        use std::io::IsTerminal;
        let shown = std::io::stderr().is_terminal() && !quiet;
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let all = MultiProgress::with_draw_target(target);
        let style = indicatif::ProgressStyle::with_template("{spinner} {msg}").expect("a constant template");
        let bars = kernels.iter().map(|_| all.add(ProgressBar::new_spinner().with_style(style.clone()))).collect();
        Bars { all, bars, runs }
    }

    fn show(&self, running: &[(usize, Guest)]) {
        for (kernel, guest) in running {
            let message = match (guest.release(), guest.done()) {
                (Some(release), Some(done)) => format!("{release}: {done} of {} cells", self.runs),
                _ => "booting".into(),
            };
            self.bars[*kernel].set_message(message);
            self.bars[*kernel].tick();
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        let _ = self.all.clear();
    }
}

/// One line about a guest that came to its end.
fn told(kernel: &Kernel, outcome: &Outcome) -> String {
    let release = outcome.heard.environment.as_ref().map_or("?", |e| e.kernel_release.as_str());
    format!(
        "{release} ({}, {}): booted in {:.1} s, {} cells in {:.1} s",
        kernel.name,
        outcome.accel,
        outcome.booted.unwrap_or_default().as_secs_f64(),
        outcome.heard.cells.len(),
        outcome.took.saturating_sub(outcome.booted.unwrap_or_default()).as_secs_f64(),
    )
}

/// What a guest told, and for each cell that it did not come to, why.
fn results_of(experiments: &[Experiment], plan: &GuestPlan, kernel: &Kernel, outcome: Outcome) -> Results {
    let mut cells = outcome.heard.cells;
    let crash = outcome.troubles.iter().find(|(_, trouble)| trouble.crash);
    for (during, trouble) in &outcome.troubles {
        let Some(cell) = during.as_ref().and_then(|id| cells.iter_mut().find(|cell| cell.id == *id)) else {
            continue;
        };
        if trouble.crash {
            cell.verdict = Verdict::Fail;
            cell.reason = format!("the kernel said: {}", trouble.line);
        } else if let Some(seen) = &mut cell.observation {
            seen.warnings.push(format!("the kernel said: {}", trouble.line));
        }
    }
    if let Some(why) = &outcome.failed {
        for cell in &plan.cells {
            if cells.iter().any(|done| done.id == cell.id) {
                continue;
            }
            let mut missing: CellResult = judge::not_run(cell, why);
            if outcome.heard.running.as_ref() == Some(&cell.id)
                && let Some((_, trouble)) = crash
            {
                missing.verdict = Verdict::Fail;
                missing.reason = format!("the kernel said: {}", trouble.line);
            }
            cells.push(missing);
        }
    }
    relation::settle(&mut cells);
    let unknown = || Environment { kernel_release: kernel.name.clone(), ..Environment::default() };
    let mut environment = outcome.heard.environment.unwrap_or_else(unknown);
    environment.virtualisation = match kernel.kind {
        Kind::Machine => format!("QEMU, {}", outcome.accel),
        Kind::UserMode => USER_MODE.into(),
    };
    Results {
        schema: SCHEMA,
        herd: env!("CARGO_PKG_VERSION").into(),
        environment,
        experiments: experiments.iter().map(ExperimentFacts::from).collect(),
        cells,
        interrupted: false,
        shard: None,
    }
}

fn show(all: &[Results], args: &VmArgs) -> Result<Exit, Failure> {
    if !args.check && (all.len() > 1 || args.format.is_some()) {
        return show_matrix(all, args);
    }
    let format = args.format.as_deref().unwrap_or(if args.check { "ktap" } else { "table" });
    let report = report::find(format).ok_or_else(|| {
        Failure::usage(format!("--check cannot be shown as {format}; {}", report::names().join(", ")))
    })?;
    let style = Style { quiet: args.quiet, ..Style::default() };
    let one = combined(all);
    print(|out| report.write(&one, style, out))?;
    Ok(if args.check { points::exit(&points::suites(&one)) } else { one.exit() })
}

/// All kernels in one document: one test plan, with the kernel in front of each name.
fn combined(all: &[Results]) -> Results {
    let mut one = all[0].clone();
    if all.len() == 1 {
        return one;
    }
    (one.experiments, one.cells) = (Vec::new(), Vec::new());
    for results in all {
        let kernel = results.environment.kernel_name();
        let named = |name: &str| format!("{kernel}/{name}");
        for experiment in &results.experiments {
            one.experiments.push(ExperimentFacts { name: named(&experiment.name), ..experiment.clone() });
        }
        for cell in &results.cells {
            let (experiment, id) = (named(&cell.experiment), named(&cell.id));
            one.cells.push(CellResult { experiment, id, ..cell.clone() });
        }
    }
    one
}

/// One table across kernels.
fn show_matrix(all: &[Results], args: &VmArgs) -> Result<Exit, Failure> {
    let name = args.format.as_deref().unwrap_or("table");
    let format = report::matrix::find(name).expect("checked before the first boot");
    let files: Vec<(&str, &Results)> = all.iter().map(|r| (r.environment.kernel_release.as_str(), r)).collect();
    let found = matrix(&files).map_err(|e| Failure::machine(e.to_string()))?;
    print(|out| format.write(&found, Style::default().width, out))?;
    Ok(found.exit())
}
