//! `herd load`: our clients against any HTTP server of this machine.

use nix::sys::resource::{Resource, getrlimit};

use super::{Failure, print};
use crate::cli::LoadArgs;
use crate::client::latency::latency_of;
use crate::client::pacer::Pacer;
use crate::client::target::Target;
use crate::client::visit::{Length, Seen, Stop, Visitors};
use crate::environment;
use crate::exit::Exit;
use crate::load::Pace;
use crate::loaded::{Loaded, SCHEMA, Wish};
use crate::report::load as shown;
use crate::runner::allowance::ports;
use crate::sys::{self, signal};

/// Descriptors that are not clients'.
const OTHERS: u64 = 16;
/// A generator that is that busy is the limit itself.
const BUSY: f64 = 0.9;

pub fn run(args: &LoadArgs) -> Result<Exit, Failure> {
    let target = Target::parse(&args.url, args.i_own_this_host).map_err(Failure::usage)?;
    let wish = wish(args, &target);
    refuse(&wish, &target)?;
    let pace = match wish.rate {
        Some(per_second) => Pace::Rate { per_second, poisson: wish.poisson },
        None => Pace::Clients(wish.clients),
    };
    let environment = environment::read();
    let machine = |e: std::io::Error| Failure::machine(format!("cannot make clients: {e}"));
    signal::note_termination().map_err(machine)?;
    let asked = signal::termination_asked;
    let mut visitors = Visitors::new(&target, wish.keep_alive, wish.clients, args.timeout).map_err(machine)?;
    let mut stop = None;
    if wish.warmup_ms > 0 {
        stop = visitors.warm_up(pace, wish.warmup_ms, &asked).map_err(machine)?;
    }
    if stop.is_none() {
        let requests = if wish.requests > 0 { wish.requests } else { u64::MAX };
        stop = visitors.go(pace, Length { requests, ms: wish.duration_ms }, &asked).map_err(machine)?;
    } else {
        visitors.forget();
    }
    if let Some(Stop::Gone(what)) = &stop
        && !visitors.ever_answered()
    {
        let how = "start it, or see whether the address is right";
        return Err(Failure::usage(format!("no HTTP server at {}: {what} ({how})", target.name)));
    }
    let loaded = judged(wish, environment, visitors.seen(), visitors.pacer(), &stop);
    print(|out| match args.format.as_str() {
        "json" => shown::json(&loaded, out),
        _ => shown::table(&loaded, out),
    })?;
    let signal = signal::termination_signal();
    Ok(match stop {
        Some(Stop::Signal) => Exit::Signal(signal.unwrap_or(libc::SIGINT)),
        Some(Stop::Machine(why)) => return Err(Failure::machine(why)),
        Some(Stop::Gone(_)) => Exit::Fail,
        None if loaded.errors.all() > 0 => Exit::Fail,
        None => Exit::Pass,
    })
}

fn wish(args: &LoadArgs, target: &Target) -> Wish {
    let ms = |time: Option<std::time::Duration>| time.map_or(0, |time| time.as_millis() as u64);
    let endless = args.duration.is_none() && args.requests.is_none();
    Wish {
        url: args.url.clone(),
        address: target.name.clone(),
        clients: args.clients.unwrap_or(if args.rate.is_some() { 1000 } else { 10 }),
        rate: args.rate,
        poisson: args.poisson,
        keep_alive: args.keep_alive,
        duration_ms: if endless { 10_000 } else { ms(args.duration) },
        requests: args.requests.unwrap_or(0),
        warmup_ms: ms(args.warmup),
        timeout_ms: ms(Some(args.timeout)),
    }
}

/// What this machine cannot do, before anything is opened.
fn refuse(wish: &Wish, target: &Target) -> Result<(), Failure> {
    sys::descriptors::raise_limit();
    let clients = wish.clients;
    let descriptors = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    if clients + OTHERS > descriptors {
        return Err(Failure::usage(format!(
            "{clients} clients need {} descriptors, but RLIMIT_NOFILE is {descriptors}; raise its hard limit with \
             `ulimit -Hn`, or choose fewer clients",
            clients + OTHERS
        )));
    }
    let room = ports().map_or(u64::MAX, |(first, last)| u64::from(last.saturating_sub(first)) + 1);
    if target.takes_ports() && clients > room {
        return Err(Failure::usage(format!(
            "{clients} clients need a port each, but net.ipv4.ip_local_port_range has {room}; widen it with `sysctl`, \
             or choose fewer clients"
        )));
    }
    Ok(())
}

fn judged(
    wish: Wish,
    environment: crate::results::Environment,
    seen: &Seen,
    pacer: &Pacer,
    stop: &Option<Stop>,
) -> Loaded {
    let ns = seen.last_ns.saturating_sub(seen.began_ns).max(1) as f64;
    let errors = seen.errors.clone();
    let own_cpu_share = seen.cpu_ns as f64 / sys::clock::now_ns().saturating_sub(seen.began_ns).max(1) as f64;
    let mut notes = Vec::new();
    let end = match stop {
        None => "complete",
        Some(Stop::Signal) => "interrupted",
        Some(Stop::Machine(_)) => "machine",
        Some(Stop::Gone(what)) => {
            notes.push(format!("the server is gone: {what}, again and again; figures are of the time before"));
            "gone"
        }
    };
    if own_cpu_share > BUSY {
        notes
            .push(format!("herd itself used {own_cpu_share:.2} of a CPU: the client may be the limit, not the server"));
    }
    Loaded {
        schema: SCHEMA,
        herd: env!("CARGO_PKG_VERSION"),
        environment,
        saturated: saturated(&wish, seen, pacer),
        end,
        requests: seen.requests,
        answered: seen.answered,
        under_way: seen.requests.saturating_sub(seen.answered + errors.lost()),
        errors,
        connections: seen.connections,
        again: seen.again,
        seconds: ns / 1e9,
        per_second: seen.answered as f64 * 1e9 / ns,
        latency_ns: latency_of(&seen.latency),
        from_making_ns: latency_of(&seen.from_making),
        own_cpu_share,
        own_cpu_us: seen.cpu_ns as f64 / 1e3 / seen.answered.max(1) as f64,
        notes,
        wish,
    }
}

/// Why the latencies of an open loop are those of an overload.
fn saturated(wish: &Wish, seen: &Seen, pacer: &Pacer) -> Option<String> {
    let (Some(rate), Some(reached)) = (wish.rate, pacer.reached()) else { return None };
    if seen.crowded > 0 && reached < 0.99 * rate {
        return Some(format!(
            "{rate} requests a second were asked for and {reached:.0} were made, since all {} connections were busy: \
             the latencies grow with the length of the run; choose a lower rate, or more --clients",
            wish.clients
        ));
    }
    pacer.saturated()
}
