//! `herd vm`: the same experiments in other kernels.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};

use super::measure::{self, How, Purpose};
use super::store::Store;
use super::{Failure, print};
use crate::analysis::matrix::matrix;
use crate::analysis::{judge, points, relation};
use crate::cli::VmArgs;
use crate::exit::Exit;
use crate::experiment::{Experiment, embedded};
use crate::report::{self, Style};
use crate::results::{Environment, Judged, Results, USER_MODE, Verdict, numbered};
use crate::vm::farm::Farm;
use crate::vm::kernel::{self, Kernel, Kind};
use crate::vm::protocol::{GuestPlan, Told};
use crate::vm::qemu::{Guest, Options, Outcome};
use crate::vm::{self, archive};

/// The word for the machine we run on.
const HOST: &str = "host";
/// Results are relied on: what did not run is said.
const PURPOSE: Purpose = Purpose::Check { cross_check: false };
/// How the word of a kernel about itself is told.
const SAID: &str = "the kernel said: ";
/// How a boot is told that had to be made twice.
const CRASHED: &str = "the first crashed before PID 1: ";

pub fn run(args: &VmArgs) -> Result<Exit, Failure> {
    let names = match (args.experiments.as_slice(), args.check) {
        ([], true) => embedded::unasked(),
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
    let ((kernels, mut refused), init) = unpacked(args)?;
    let mut planned = measure::planned(&experiments, &args.measure.sets, PURPOSE)?;
    let part = args.measure.shard.map(|shard| measure::take(shard, &mut planned, args.measure.repeat));
    let with_host = args.kernels.iter().any(|path| path == Path::new(HOST));
    let mut stores = stores(&experiments, kernels.len() + usize::from(with_host), args)?;
    let mut all: Vec<Results> = Vec::new();
    let mut stopped = None;
    if with_host {
        let wish = measure::wish(&args.measure);
        let how = How { repeat: args.measure.repeat, wish: &wish, quiet: args.quiet, purpose: PURPOSE };
        let (results, signal) = measure::measure(&experiments, &planned, &how)?;
        all.push(results);
        stopped = signal;
    }
    if !kernels.is_empty() && stopped.is_none() {
        let plan = GuestPlan {
            cells: planned.into_iter().map(|planned| planned.cell).collect(),
            repeat: args.measure.repeat,
            trace: args.measure.trace,
            count_with: args.measure.count_with.clone(),
        };
        let (outcomes, signal) = boot(&kernels, &init, &plan, args)?;
        stopped = signal;
        for (kernel, mut outcome) in kernels.iter().zip(outcomes) {
            outcome.failed = outcome.failed.take().or_else(|| strange(&plan, &outcome));
            let told = told(kernel, &outcome);
            if let Some(why) = &outcome.failed {
                let first = outcome.crashed_first.as_ref();
                let before = first.map(|said| format!("; it was the second boot, {CRASHED}{said}")).unwrap_or_default();
                refused.push(format!("{}: {why}{before}", kernel.name));
            } else if !args.quiet {
                eprintln!("{told}");
            }
            let interrupted = stopped.is_some() && outcome.failed.is_some();
            all.push(Results { interrupted, ..results_of(&experiments, &plan, kernel, outcome) });
        }
    }
    all.iter_mut().for_each(|results| measure::mark(results, part.as_ref()));
    for (store, results) in stores.iter_mut().zip(&all) {
        store.write(results, args.quiet)?;
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

/// The kernels that can be booted, and why others cannot.
type Found = (Vec<Kernel>, Vec<String>);

/// The kernels, and ourselves packed as their `/init`: each takes half a second, and one
/// need not wait for the other.
fn unpacked(args: &VmArgs) -> Result<(Found, Vec<u8>), Failure> {
    let any = args.kernels.iter().any(|path| path != Path::new(HOST));
    std::thread::scope(|scope| {
        let packing = any.then(|| scope.spawn(|| init(args)));
        let found = kernels(args)?;
        match packing.filter(|_| !found.0.is_empty()) {
            Some(packing) => Ok((found, packing.join().expect("it does not panic")?)),
            None => Ok((found, Vec::new())),
        }
    })
}

/// Finds the kernels; it goes on if some can be booted.
fn kernels(args: &VmArgs) -> Result<Found, Failure> {
    let (mut found, mut refused) = (Vec::new(), Vec::new());
    for path in args.kernels.iter().filter(|path| *path != Path::new(HOST)) {
        match kernel::open(path) {
            Ok(kernel) => found.push(kernel),
            // --kernel takes all names behind it.
            Err(why) if path.to_str().and_then(embedded::text).is_some() => {
                refused.push(format!("{why}; it is an experiment: name experiments before --kernel"));
            }
            Err(why) => refused.push(why),
        }
    }
    let host = args.kernels.iter().any(|path| path == Path::new(HOST));
    if found.is_empty() && !host {
        return Err(Failure::usage(refused.join("\nherd: ")));
    }
    Ok((found, refused))
}

/// Where the results of `count` kernels will be kept, if anywhere.
fn stores(experiments: &[Experiment], count: usize, args: &VmArgs) -> Result<Vec<Store>, Failure> {
    let Some(directory) = &args.measure.output else { return Ok(Vec::new()) };
    (0..count).map(|_| Store::open(directory, experiments, args.measure.shard)).collect()
}

/// Ourselves, or the program named, which must need no other file: an initramfs.
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
    let mut packed = archive::base(&bytes).map_err(machine("cannot pack the initramfs"))?;
    // What follows must begin at a multiple of four.
    packed.resize(packed.len().next_multiple_of(4), 0);
    Ok(packed)
}

/// What the machine refused, and why.
fn machine(what: &str) -> impl FnOnce(std::io::Error) -> Failure {
    let what = what.to_owned();
    move |e| Failure::machine(format!("{what}: {e}"))
}

/// Boots all kernels; the second value is the signal that cut it short.
fn boot(
    kernels: &[Kernel],
    init: &[u8],
    plan: &GuestPlan,
    args: &VmArgs,
) -> Result<(Vec<Outcome>, Option<i32>), Failure> {
    let json = serde_json::to_vec(plan).expect("a plan is plain data");
    let mut initrd = vm::memory("herd-initrd").map_err(machine("memfd_create"))?;
    let plan_of_all = archive::plan(&json).map_err(machine("cannot pack the plan"))?;
    initrd
        .write_all(init)
        .and_then(|()| initrd.write_all(&plan_of_all))
        .map_err(machine("cannot write the initramfs"))?;

    let mut local = super::local()?;
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
        // Its own spinner is made of braille, which is not in every locale's alphabet.
        let style = if super::locale::utf8() { style } else { style.tick_chars("|/-\\ ") };
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
    let twice = outcome.crashed_first.as_ref().map(|said| format!("; booted twice, {CRASHED}{said}"));
    // From the first event to the last barrier: the kernel at what it was booted for.
    let seen = outcome.heard.cells.iter().filter_map(|cell| cell.observation.as_ref());
    let events: u64 = seen.map(|seen| seen.elapsed_ns).sum();
    format!(
        "{release} ({}, {}): booted in {:.1} s, {} cells in {:.1} s, {:.1} s of it events{}",
        kernel.name,
        outcome.accel,
        outcome.booted.unwrap_or_default().as_secs_f64(),
        outcome.heard.cells.len(),
        outcome.took.saturating_sub(outcome.booted.unwrap_or_default()).as_secs_f64(),
        std::time::Duration::from_nanos(events).as_secs_f64(),
        twice.unwrap_or_default(),
    )
}

/// Why what a guest told is not what it was asked.
fn strange(plan: &GuestPlan, outcome: &Outcome) -> Option<String> {
    let other = outcome.heard.cells.iter().find(|told| plan.cell_of(told).is_none())?;
    Some(format!("the guest told of {}, which nobody asked for", other.id))
}

/// What a guest told, and for each cell that it did not come to, why.
fn results_of(experiments: &[Experiment], plan: &GuestPlan, kernel: &Kernel, outcome: Outcome) -> Results {
    let release = kernel.release.as_ref().unwrap_or(&kernel.name);
    let unknown = || Environment { kernel_release: release.clone(), ..Environment::default() };
    let mut environment = outcome.heard.environment.unwrap_or_else(unknown);
    environment.virtualisation = match kernel.kind {
        Kind::Machine => format!("QEMU, {}", outcome.accel),
        Kind::UserMode => USER_MODE.into(),
    };
    environment.warnings.extend(outcome.crashed_first.map(|said| format!("booted twice, {CRASHED}{said}")));
    let mut results = Results::new(environment, experiments);
    let cells = &mut results.cells;
    let whole = |told: Told| plan.cell_of(&told).map(|cell| told.whole(cell));
    *cells = outcome.heard.cells.into_iter().filter_map(whole).collect();
    if let Some(why) = &outcome.failed {
        for (repetition, cell) in (1..=plan.repeat).flat_map(|n| plan.cells.iter().map(move |cell| (n, cell))) {
            let id = numbered(&cell.id, repetition);
            if !cells.iter().any(|done| done.id == id) {
                cells.push(judge::not_run(cell, why).repeated(repetition));
            }
        }
    }
    relation::settle_among(cells, experiments);
    for (during, trouble) in &outcome.troubles {
        let Some(cell) = during.as_ref().and_then(|id| cells.iter_mut().find(|cell| cell.id == *id)) else {
            continue;
        };
        let said = format!("{SAID}{}", trouble.line);
        if !trouble.crash {
            cell.observation.iter_mut().for_each(|seen| seen.warnings.push(said.clone()));
        } else if !cell.reason.starts_with(SAID) {
            // The first of several words about one crash says most. An expectation of
            // its own, since a cell that a crash did not stop may have right counts.
            cell.expectations.push(Judged {
                metric: "kernel".into(),
                expected: "no crash".into(),
                measured: trouble.line.clone(),
                verdict: Verdict::Fail,
                reason: said.clone(),
                source: String::new(),
            });
            (cell.verdict, cell.reason) = (Verdict::Fail, said);
        }
    }
    results
}

fn show(all: &[Results], args: &VmArgs) -> Result<Exit, Failure> {
    if !args.check && (all.len() > 1 || args.format.is_some()) {
        return show_matrix(all, args);
    }
    let format = args.format.as_deref().unwrap_or(if args.check { "ktap" } else { "table" });
    let report = report::find(format).expect("checked before the first boot");
    let style = Style { quiet: args.quiet, ..Style::default() };
    print(|out| match all {
        [one] => report.write(one, style, out),
        several => report.write_kernels(several, style, out),
    })?;
    Ok(match all {
        [one] if !args.check => one.exit(),
        all => points::exit(&all.iter().flat_map(points::suites).collect::<Vec<_>>()),
    })
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
