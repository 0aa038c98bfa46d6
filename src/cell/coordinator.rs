//! The cell's own process: opens the object, starts the workers, runs the
//! rounds, reports. Single-threaded, and never a worker itself: it may fork
//! safely, and a lost wakeup becomes a verdict instead of a hang.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use nix::unistd::{Pid, setpgid};

use super::agreement::{Switched, disagreement};
use super::background::Background;
use super::census::Census;
use super::contract::{Injector, Member, SetupError};
use super::count::Counter;
use super::counts::Counts;
use super::crew::{Crew, CrewError, Kit};
use super::ledger::{Ledger, Slot};
use super::plan::Plan;
use super::quiet::Watch;
use super::quota::Limited;
use super::rounds::Stage;
use super::script::{self, network};
use super::scripted;
use super::spectator;
use super::study;
use super::worker;
use crate::experiment::Settings;
use crate::experiment::settings::WorkerSettings;
use crate::observation::{End, Observation, WorkerFacts};
use crate::scene::Said;
use crate::sys;
use crate::sys::spin::yield_cpu;
use crate::{load, object, wait};

/// How long a worker may take to its first wait, in milliseconds. Starting is not
/// under test, and on a loaded machine takes longer than two seconds now and then.
pub(super) const START_MS: u64 = 10_000;

/// How long the kernel may hold a port whose workers have ended.
const LET_GO: Duration = Duration::from_secs(2);

/// Claims of all workers that a timed load leaves room for: 64 MB of records.
const TIMED_RECORDS: u64 = 1 << 21;

/// Entry of `herd __cell`: plan on stdin, one JSON line on stdout, and one more for
/// each round while somebody watches.
pub fn main() -> io::Result<()> {
    let mut text = String::new();
    io::stdin().read_line(&mut text)?;
    live(&serde_json::from_str(&text)?, &mut io::stdout())
}

/// The life of a cell's process, which was made for nothing else: runs the plan and
/// says what came of it, in one line of JSON.
pub fn live(plan: &Plan, out: &mut dyn Write) -> io::Result<()> {
    let parent = Pid::from_raw(plan.parent);
    sys::fork::die_with(parent)?;
    // Out of the terminal's group: Ctrl-C must not reach workers, since EINTR
    // would count as a wakeup. The front end tells us by SIGTERM.
    setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
    sys::signal::note_termination()?;
    // The wait `sigio` signals our whole group. Workers block what they wait for.
    sys::sigio::ignore()?;
    // Kept until we end: taking BPF programs off a tracepoint waits for RCU, some
    // 100 ms in all, and the front end need not wait with us.
    let mut counter = None;
    let found = match plan.settings.worker.wait.as_str() {
        "null" => scripted::observe(&plan.settings, plan.repetition),
        _ if !plan.settings.script.is_empty() => script::observe(plan, &mut counter).unwrap_or_else(Observation::empty),
        _ if plan.settings.is_study() => study::observe(plan),
        _ => let_go(&plan.settings, attempt(plan, &mut counter).unwrap_or_else(Observation::empty)),
    };
    if plan.step {
        // Nobody hears us any more if this fails.
        let _ = spectator::say(&Said::End(Box::new(found)));
    } else {
        let mut line = serde_json::to_string(&found)?;
        line.push('\n');
        out.write_all(line.as_bytes())?;
        out.flush()?;
    }
    drop(counter);
    Ok(())
}

/// Runs one cell in this process. Every worker is gone when it returns; the
/// counter is left in `used`.
fn attempt(plan: &Plan, used: &mut Option<Counter>) -> Result<Observation, End> {
    let settings = &plan.settings;
    sys::descriptors::raise_limit();
    let cpus = sys::cpus::allowed().map_err(|e| invalid(e.to_string()))?;
    // First, so that it goes last: its keeper waits for everybody forked from here on.
    let limited = settings.pressure.quota.map(Limited::new).transpose().map_err(invalid)?;
    if settings.traffic.own_network {
        network::enter_own().map_err(invalid)?;
        for sysctl in &settings.traffic.sysctls {
            let (name, value) = sysctl.split_once('=').expect("checked in the plan");
            let refused = |errno: nix::errno::Errno| format!("sysctl {name} = {value}: {}", errno.desc());
            network::set(name, value).map_err(|errno| invalid(refused(errno)))?;
        }
    }
    // All or none: the plan refuses a mixture.
    let block = wait_of(&settings.for_worker(0)).blocks();
    let object = object::find(&settings.object).expect("checked in the plan");
    let refused = |worker| move |e: SetupError| refusal(worker, &e, settings);
    let mut opened = object.open(settings, block).map_err(refused(None))?;
    let shared = match sharer(settings) {
        Some(worker) => {
            let sources = opened.door.sources(0).map_err(refused(None))?;
            wait_of(&worker).share(&worker, &sources).map_err(refused(None))?
        }
        None => Default::default(),
    };
    let batch = load::find(&settings.load).expect("checked in the plan").batch(settings);
    let backlog = settings.stranded == crate::experiment::settings::Stranded::Count;
    let per_round = match (load::pace(settings), backlog) {
        // Read every few milliseconds.
        (Some(_), _) => (TIMED_RECORDS / u64::from(settings.workers)).clamp(1 << 10, 1 << 15),
        (None, true) => settings.events.min(1 << 16),
        (None, false) => batch,
    };
    let ledger =
        Ledger::new(settings.workers, per_round).map_err(|e| invalid(format!("cannot map the ledger: {e}")))?;
    let work = |slot: Slot<'_>, index: u32| {
        let worker = settings.for_worker(index);
        let wait = wait::find(&worker.wait).expect("checked in the plan");
        worker::run(slot, index, &worker, wait, &shared, opened.door.as_ref());
    };
    let kit = Kit { settings, ledger: &ledger, work: &work, cpus: &cpus, coordinator: std::process::id() };
    let _background = Background::start(settings.pressure.background, &cpus).map_err(invalid)?;
    let start = || Crew::start(&kit);
    let crew = limited.as_ref().map_or_else(start, |group| group.around(start)).map_err(invalid)?;
    // After the fork: workers keep the whole mask. With the injector on one CPU
    // the softirq that walks the wait queue runs there too, so whenever the
    // injector runs, that walk has ended or not begun.
    let cpu = settings.injector_cpu.map_or_else(|| *cpus.last().expect("a process has a CPU"), |cpu| cpu as usize);
    sys::cpus::pin_to(cpu).map_err(|e| invalid(format!("cannot pin the injector to CPU {cpu}: {e}")))?;
    let limit = Duration::from_millis(settings.limit_ms.max(START_MS));
    let tasks = crew.line_up(&kit, limit).map_err(|error| match error {
        CrewError::Refused { worker, error } => refusal(Some(worker), &error, settings),
        CrewError::Broken(reason) => invalid(reason),
    })?;
    let comm = super::crew::comm(std::process::id());
    let (counter, refused) = match Counter::open(plan.count_with.as_deref(), &comm, &tasks, shared.helpers.is_some()) {
        Ok(opened) => opened,
        // Told apart from a run that went wrong: nothing was fired yet.
        Err(why) => return Ok(Observation { sources_refused: vec![why.clone()], ..Observation::empty(invalid(why)) }),
    };
    let timers = settings.sleeps_in_holds() || object.fires_by_timer();
    let members: Vec<Member> = tasks.iter().map(|t| Member { pid: t.pid as i32, tid: t.tid as i32 }).collect();
    let mut watch = Watch::new(&ledger, tasks, counter, timers, cpu).map_err(|e| invalid(e.to_string()))?;
    opened.injector.meet(&members).map_err(|e| refusal(None, &e, settings))?;
    let census = load::pace(settings)
        .map(|_| Census::new(members.iter().map(|member| member.pid as u32), shared.helpers.as_deref()));
    let found = measure(plan, &ledger, &crew, &mut watch, opened.injector.as_mut(), (limited.as_ref(), census));
    *used = Some(watch.into_counter());
    found.map(|found| Observation { sources_refused: refused, ..found }).map_err(|e| invalid(e.to_string()))
}

/// Waits until the port is free, where workers ended that hold it longer than they live:
/// the next cell may want the same.
fn let_go(settings: &Settings, mut found: Observation) -> Observation {
    let lingers = (0..settings.workers).any(|index| wait_of(&settings.for_worker(index)).lingers());
    // Who was refused the port met somebody else there.
    let taken = matches!(&found.end, End::Refused { errno, .. } if errno == "EADDRINUSE");
    if settings.port == 0 || !lingers || taken {
        return found;
    }
    let object = object::find(&settings.object).expect("checked in the plan");
    let begun = Instant::now();
    // Somebody who wants us to stop wants no next cell.
    while !sys::signal::termination_asked() {
        match object.is_held(settings) {
            Ok(true) => {}
            Ok(false) => break,
            Err(e) => {
                found.warnings.push(format!("whether port {} is free again is not known: {e}", settings.port));
                break;
            }
        }
        if begun.elapsed() > LET_GO {
            found.warnings.push(format!(
                "port {} is still held {} s after its workers ended, by a ring of theirs or by somebody else: a cell \
                 that wants it next may be refused",
                settings.port,
                LET_GO.as_secs()
            ));
            break;
        }
        yield_cpu();
    }
    found
}

fn measure(
    plan: &Plan,
    ledger: &Ledger,
    crew: &Crew,
    watch: &mut Watch,
    injector: &mut dyn Injector,
    (limited, census): (Option<&Limited>, Option<Census<'_>>),
) -> io::Result<Observation> {
    let mut stage = Stage::new(plan, ledger, crew, &mut *watch, injector);
    let held = match stage.prepare().and_then(|held| stage.introduce().map(|()| held)) {
        Ok(held) => held,
        Err(end) => return Ok(Observation::empty(end)),
    };
    stage.watch.rebase();
    let (switched, runs) = (stage.watch.switched()?, stage.watch.runs()?);
    let counts: Vec<Counts> = ledger.slots().map(|slot| slot.counts()).collect();
    let used = census.as_ref().map(Census::used);
    let held_back = limited.map(Limited::throttling).transpose()?;
    let mut found = stage.run();
    if let (Some(limited), Some(before)) = (limited, held_back) {
        found.throttling = Some(limited.throttling()?.since(before));
    }
    if let (Some(census), Some(before), End::Complete) = (&census, used, &found.end) {
        match census.take(before, Duration::from_millis(plan.settings.limit_ms)) {
            Ok(server) => found.server = Some(server),
            Err(why) => found.warnings.push(why),
        }
    }
    found.count_source = watch.counter().name().into();
    // A dead worker has no files any more; its cell is invalid already.
    let (Ok(switched_now), Ok(runs_now)) = (watch.switched(), watch.runs()) else {
        return Ok(found);
    };
    let switched: Vec<Switched> = switched_now.iter().zip(&switched).map(|(now, before)| now.since(before)).collect();
    for (i, (slot, sleeps)) in ledger.slots().zip(watch.sleeps()).enumerate() {
        let counts = slot.counts().since(&counts[i]);
        found.workers.push(WorkerFacts {
            wakeups: sleeps.wakeups.saturating_sub(watch.counter().holds(counts.own_sleeps)),
            dsleeps: sleeps.dsleeps,
            returns: counts.returns,
            claims: counts.claims,
            held: held[i],
            empty_returns: counts.empty_returns,
            errors: counts.errors,
            own_sleeps: counts.own_sleeps,
            voluntary_switches: if found.traffic.is_some() { switched[i].voluntary } else { 0 },
            involuntary_switches: switched[i].involuntary,
            cpu_ns: runs_now[i].cpu_ns - runs[i].cpu_ns,
            objects: slot.objects(),
        });
    }
    if found.end == End::Complete {
        let missed = watch.counter().missed();
        match disagreement(&found, &switched) {
            Some(reason) => found.end = End::Invalid { reason, again: true },
            // Skipped for a task that is none of ours, or the sums would differ.
            None if missed > 0 => found.warnings.push(format!(
                "the kernel skipped {missed} runs of the BPF programs (another user of BPF on this machine); \
                 none was of a worker: sleeps equal voluntary_ctxt_switches for each of them"
            )),
            None => {}
        }
    }
    found.stranded = injector.left()?;
    if load::pace(&plan.settings) == Some(load::Pace::Attached) {
        // Only who was claimed has been counted.
        found.fired += found.stranded;
    }
    Ok(found)
}

/// The first worker that waits on something shared; there may be others before it.
fn sharer(settings: &Settings) -> Option<WorkerSettings> {
    (0..settings.workers).map(|i| settings.for_worker(i)).find(|worker| wait_of(worker).shares(worker))
}

fn wait_of(worker: &WorkerSettings) -> &'static dyn wait::Wait {
    wait::find(&worker.wait).expect("checked in the plan")
}

fn refusal(worker: Option<u32>, error: &SetupError, settings: &Settings) -> End {
    let mut call = error.call.to_string();
    if error.errno == nix::errno::Errno::EADDRINUSE {
        call = format!("{call} to port {} (leave out port to let the kernel choose a free one)", settings.port);
    }
    End::Refused { worker, call, errno: format!("{:?}", error.errno) }
}

pub(super) fn invalid(reason: String) -> End {
    End::Invalid { reason, again: false }
}
