//! Every setting: its name, its values, what it means, how it is set.

use super::super::settings::{Cpu, PlacementKind, Quota};
use super::super::study::{SIZE, size};
use super::{Key, flag, interest, named, number, one_of, overrides, placement, real, script, sysctls, text};

macro_rules! key {
    ($name:literal, $values:literal, $about:literal, $set:expr) => {
        Key { name: $name, values: $values, about: $about, per_worker: false, set: $set }
    };
    ($name:literal, $values:literal, $about:literal, per worker, $set:expr) => {
        Key { name: $name, values: $values, about: $about, per_worker: true, set: $set }
    };
}

/// Every setting there is.
pub const KEYS: &[Key] = &[
    key!("object", "a name from `herd list --objects`", "what is waited on", |s, v| {
        named(v, "object", &crate::object::names()).map(|x| s.object = x)
    }),
    key!(
        "mode",
        "a mode, from `herd list --objects` or `--studies`",
        "which variant of the object or the study",
        |s, v| { text(v).map(|x| s.mode = x) }
    ),
    key!("objects", "1..1100", "how many objects every worker watches, with sharing = shared", |s, v| {
        number(v, 1, 1100).map(|x| s.objects = x as u32)
    }),
    key!("group", "bool", "the shared objects form one SO_REUSEPORT group", |s, v| { flag(v).map(|x| s.group = x) }),
    key!("sharing", "shared | own", "one object for all, or one per worker (SO_REUSEPORT)", |s, v| {
        one_of(v, &["shared", "own"]).map(|x| s.sharing = x)
    }),
    key!("opened_by", "worker | coordinator", "who opens the objects of sharing = own", |s, v| {
        one_of(v, &["worker", "coordinator"]).map(|x| s.opened_by = x)
    }),
    key!(
        "steering",
        "hash | cbpf-cpu | ebpf-cpu | ebpf-round-robin | incoming-cpu",
        "who chooses in a SO_REUSEPORT group",
        |s, v| {
            one_of(v, &["hash", "cbpf-cpu", "ebpf-cpu", "ebpf-round-robin", "incoming-cpu"]).map(|x| s.steering = x)
        }
    ),
    key!("injector_cpu", "last | 0..1023", "the CPU on which events are made", |s, v| {
        s.injector_cpu = match v.as_str() {
            Some("last") => None,
            _ => Some(number(v, 0, 1023).map_err(|_| "last, or the number of a CPU")? as u32),
        };
        Ok(())
    }),
    key!("port", "0..65535", "TCP port; 0 lets the kernel choose a free one", |s, v| {
        number(v, 0, 65_535).map(|x| s.port = x as u16)
    }),
    key!("backlog", "0..65535", "listen(2) backlog", |s, v| { number(v, 0, 65_535).map(|x| s.backlog = x as u32) }),
    key!("placement", "processes | threads | PxT", "where the workers live", |s, v| {
        placement(v).map(|x| {
            s.placement = x;
            if let PlacementKind::Exact(exact) = x {
                s.workers = exact.workers();
            }
        })
    }),
    key!("workers", "1..100000", "how many workers wait", |s, v| {
        number(v, 1, 100_000).map(|x| s.workers = x as u32)
    }),
    key!("affinity", "none | spread | one", "which CPUs the workers may use", |s, v| {
        one_of(v, &["none", "spread", "one"]).map(|x| s.affinity = x)
    }),
    key!(
        "background",
        "0..256",
        "processes beside the workers that only use CPU time, spread over the CPUs",
        |s, v| { number(v, 0, 256).map(|x| s.pressure.background = x as u32) }
    ),
    key!("quota", "MS/PERIOD_MS | none", "CPU time of all workers together in each period, such as 20/100", |s, v| {
        s.pressure.quota = match v.as_str().ok_or(Quota::WANTED)? {
            "none" => None,
            text => Some(text.parse::<Quota>()?),
        };
        Ok(())
    }),
    key!("load", "sequential | burst | paced | closed | attached", "how events arrive", |s, v| {
        named(v, "load", &crate::load::names()).map(|x| s.load = x)
    }),
    key!("burst", "1..10000", "events fired back to back before the next barrier", |s, v| {
        number(v, 1, 10_000).map(|x| {
            s.burst = x;
            s.load = if x == 1 { "sequential" } else { "burst" }.into();
        })
    }),
    key!("events", "1..100000000", "how many events are fired", |s, v| {
        number(v, 1, 100_000_000).map(|x| s.events = x)
    }),
    key!("rate", "events a second, above 0", "of a paced load", |s, v| {
        s.traffic.rate = real(v, 0.001, 10_000_000.0)?;
        s.load = "paced".into();
        Ok(())
    }),
    key!("arrivals", "constant | poisson", "how the events of a paced load follow each other", |s, v| {
        one_of(v, &["constant", "poisson"]).map(|x| s.traffic.arrivals = x)
    }),
    key!("clients", "1..100000", "of a closed load: each has one event at a time", |s, v| {
        s.traffic.clients = number(v, 1, 100_000)?;
        s.load = "closed".into();
        Ok(())
    }),
    key!("duration_ms", "0..3000000", "a timed load ends after so long, not after `events`; 0: by events", |s, v| {
        number(v, 0, 3_000_000).map(|x| s.traffic.duration_ms = x)
    }),
    key!("warmup", "0..100000000", "events before the measured ones, not counted", |s, v| {
        number(v, 0, 100_000_000).map(|x| s.traffic.warmup = x)
    }),
    key!("connections", "0..100000", "connections opened first, which stay; events are messages on them", |s, v| {
        number(v, 0, 100_000).map(|x| s.traffic.connections = x)
    }),
    key!(
        "idle_connections",
        "0..100000",
        "connections opened first, which stay and say nothing; events are other connections",
        |s, v| { number(v, 0, 100_000).map(|x| s.traffic.idle_connections = x) }
    ),
    key!("hot", "0..100000", "the first so many connections get hot_share of the messages", |s, v| {
        number(v, 0, 100_000).map(|x| s.traffic.hot = x)
    }),
    key!("hot_share", "0..1", "part of the messages that the hot connections get", |s, v| {
        real(v, 0.0, 1.0).map(|x| s.traffic.hot_share = x)
    }),
    key!("flows", "0..10000", "so many client addresses in turn; 0: another for every event", |s, v| {
        number(v, 0, 10_000).map(|x| s.traffic.flows = x)
    }),
    key!("network", "shared | own", "own: a network of the cell's own, for its queues and counters", |s, v| {
        one_of::<String>(v, &["shared", "own"]).map(|x| s.traffic.own_network = x == "own")
    }),
    key!("sysctls", "list of net.name=value", "settings of the cell's own network", |s, v| {
        s.traffic.sysctls = sysctls(v)?;
        s.traffic.own_network = true;
        Ok(())
    }),
    key!("patience_ms", "0..600000", "how long a client waits for its answer; 0: limit_ms", |s, v| {
        number(v, 0, 600_000).map(|x| s.traffic.patience_ms = x)
    }),
    key!("late_us", "0..600000000", "clients served later than this are counted as late; 0: none", |s, v| {
        number(v, 0, 600_000_000).map(|x| s.traffic.late_us = x)
    }),
    key!("sample", "0..1000", "changes nothing: as an axis it runs cells again, in turn with the others", |s, v| {
        number(v, 0, 1000).map(|x| s.traffic.sample = x)
    }),
    key!("stranded", "fail | count", "events left while everybody sleeps: a lost wakeup, or the point", |s, v| {
        one_of(v, &["fail", "count"]).map(|x| s.stranded = x)
    }),
    key!("limit_ms", "1..600000", "how long one barrier may take", |s, v| {
        number(v, 1, 600_000).map(|x| s.limit_ms = x)
    }),
    key!("force", "bool", "attempt what the kernel refuses, so that its errno shows", |s, v| {
        flag(v).map(|x| s.force = x)
    }),
    key!("trial", "0..100000", "events per trial, for figures about small samples", |s, v| {
        number(v, 0, 100_000).map(|x| s.trial = x)
    }),
    key!("script", "list of statements", "descriptors, waiters and steps instead of a row of workers", |s, v| {
        script(s, v)
    }),
    key!(
        "study",
        "a name from `herd list --studies`",
        "a small measuring program instead of a row of workers",
        |s, v| {
            s.study.name = named(v, "study", &crate::study::names())?;
            if let Some(tasks) = crate::study::find(&s.study.name).and_then(|study| study.tasks()) {
                s.workers = tasks;
            }
            Ok(())
        }
    ),
    key!("touched", "a size such as 64KiB or 16MiB", "memory that a study writes to before it measures", |s, v| {
        let text = v.as_integer().map(|n| n.to_string()).or(v.as_str().map(String::from));
        s.study.touched_kib = text.and_then(|text| size(&text)).ok_or(SIZE)?;
        Ok(())
    }),
    key!("samples", "0..1000", "how often a study measures; 0 is as often as it likes", |s, v| {
        number(v, 0, 1000).map(|x| s.study.samples = x as u32)
    }),
    key!("null_wakeups", "0..100000", "wakeups per event that the null wait pretends", |s, v| {
        number(v, 0, 100_000).map(|x| s.null.wakeups = x)
    }),
    key!("null_returns", "0..100000", "returns per event that the null wait pretends", |s, v| {
        number(v, 0, 100_000).map(|x| s.null.returns = x)
    }),
    key!("null_lose", "an event number", "the event that the null wait loses", |s, v| {
        number(v, 0, 100_000_000).map(|x| s.null.lose = Some(x))
    }),
    key!("null_flaky", "list of numbers", "wakeups per event of each repetition in turn, for the null wait", |s, v| {
        let list = v.as_array().ok_or("a list of numbers such as [1, 1, 2]")?;
        s.null.flaky = list.iter().map(|item| number(item, 0, 100_000)).collect::<Result<_, _>>()?;
        Ok(())
    }),
    key!("null_invalid", "text", "why the null wait could not measure", |s, v| {
        text(v).map(|x| s.null.invalid = Some(x))
    }),
    key!("override", "list of tables", "settings of single workers", |s, v| { overrides(v).map(|x| s.overrides = x) }),
    key!("kind", "a name from `herd list --waits`", "how a worker sleeps", per worker, |s, v| {
        named(v, "wait", &crate::wait::names()).map(|x| s.worker.wait = x)
    }),
    key!("instance", "private | shared | nested", "whose epoll instance", per worker, |s, v| {
        one_of(v, &["private", "shared", "nested"]).map(|x| s.worker.instance = x)
    }),
    key!("trigger", "level | edge", "level- or edge-triggered (EPOLLET)", per worker, |s, v| {
        one_of(v, &["level", "edge"]).map(|x| s.worker.trigger = x)
    }),
    key!("oneshot", "bool", "EPOLLONESHOT", per worker, |s, v| {
        flag(v).map(|x| s.worker.oneshot = x)
    }),
    key!("rearm", "bool", "with oneshot: re-arm by EPOLL_CTL_MOD after each return", per worker, |s, v| {
        flag(v).map(|x| s.worker.rearm = x)
    }),
    key!("exclusive", "bool", "EPOLLEXCLUSIVE (epoll, uring-poll)", per worker, |s, v| {
        flag(v).map(|x| s.worker.exclusive = x)
    }),
    key!("interest", "list of out, rdhup, pri", "event bits besides EPOLLIN", per worker, |s, v| {
        interest(v).map(|x| s.worker.interest = x)
    }),
    key!("modify", "bool", "after EPOLL_CTL_ADD, EPOLL_CTL_MOD with the same flags", per worker, |s, v| {
        flag(v).map(|x| s.worker.modify = x)
    }),
    key!("maxevents", "1..1024", "maxevents of epoll_wait", per worker, |s, v| {
        number(v, 1, 1024).map(|x| s.worker.maxevents = x as u32)
    }),
    key!("readd_every", "0..1000000", "delete and add the registration again every K claims", per worker, |s, v| {
        number(v, 0, 1_000_000).map(|x| s.worker.readd_every = x)
    }),
    key!("lock", "futex | flock | fcntl | sem", "what accept-lock takes around the accept", per worker, |s, v| {
        one_of(v, &["futex", "flock", "fcntl", "sem"]).map(|x| s.worker.lock = x)
    }),
    key!("call", "plain | ppoll | pselect6 | epoll_pwait2", "the system call of poll, select, epoll", per worker, |s, v| {
        one_of(v, &["plain", "ppoll", "pselect6", "epoll_pwait2"]).map(|x| s.worker.call = x)
    }),
    key!("ring", "private | shared", "whose io_uring; shared is for threads", per worker, |s, v| {
        one_of(v, &["private", "shared"]).map(|x| s.worker.ring = x)
    }),
    key!("ring_setup", "plain | single-issuer | defer-taskrun", "flags of io_uring_setup", per worker, |s, v| {
        one_of(v, &["plain", "single-issuer", "defer-taskrun"]).map(|x| s.worker.ring_setup = x)
    }),
    key!("owner", "group | thread", "whom sigio signals: every process, or who registered last", per worker, |s, v| {
        one_of(v, &["group", "thread"]).map(|x| s.worker.owner = x)
    }),
    key!("accept", "one | drain", "one attempt per return, or until EAGAIN", per worker, |s, v| {
        one_of(v, &["one", "drain"]).map(|x| s.worker.accept = x)
    }),
    key!("before_claim_us", "0..10000000", "busy time between return and claim", per worker, |s, v| {
        number(v, 0, 10_000_000).map(|x| s.worker.before_claim_us = x)
    }),
    key!("after_claim_us", "0..10000000", "busy time after a claim", per worker, |s, v| {
        number(v, 0, 10_000_000).map(|x| s.worker.after_claim_us = x)
    }),
    key!("work", "constant | exponential", "how the busy time after a claim is distributed", per worker, |s, v| {
        one_of(v, &["constant", "exponential"]).map(|x| s.worker.work = x)
    }),
    key!("reply", "bool", "answer the client after each claim, when the busy time is over", |s, v| {
        flag(v).map(|x| s.worker.reply = x)
    }),
    key!("protocol", "tag | http", "what an answer is: four bytes, or HTTP/1.0 for foreign clients", |s, v| {
        one_of(v, &["tag", "http"]).map(|x| s.traffic.protocol = x)
    }),
    key!("keep_alive", "0..1000000", "HTTP requests on one connection, one after the other", |s, v| {
        number(v, 0, 1_000_000).map(|x| s.traffic.keep_alive = x)
    }),
    key!("stall_us", "0..60000000", "busy once for so long, at claim number stall_at", per worker, |s, v| {
        s.worker.stall_us = number(v, 0, 60_000_000)?;
        s.worker.stall_at = s.worker.stall_at.max(1);
        Ok(())
    }),
    key!("stall_at", "1..100000000", "the claim at which a worker stalls, counted from 1", per worker, |s, v| {
        number(v, 1, 100_000_000).map(|x| s.worker.stall_at = x)
    }),
    key!("busy", "spin | sleep", "busy on the CPU, or asleep (that switch is subtracted)", per worker, |s, v| {
        one_of(v, &["spin", "sleep"]).map(|x| s.worker.busy = x)
    }),
    key!("cpu", "any | last | 0..1023", "the one CPU of a worker; last is where events are made", per worker, |s, v| {
        s.worker.scheduling.cpu = match v.as_str() {
            Some("any") => Cpu::Any,
            Some("last") => Cpu::Last,
            _ => Cpu::Number(number(v, 0, 1023).map_err(|_| "any, last, or the number of a CPU")? as u32),
        };
        Ok(())
    }),
    key!("policy", "other | batch | idle | fifo | rr", "how a worker is scheduled (sched(7))", per worker, |s, v| {
        one_of(v, &["other", "batch", "idle", "fifo", "rr"]).map(|x| s.worker.scheduling.policy = x)
    }),
    key!("nice", "-20..19", "the nice value of a worker", per worker, |s, v| {
        let nice = v.as_integer().filter(|n| (-20..=19).contains(n)).ok_or("a whole number from -20 to 19")?;
        s.worker.scheduling.nice = nice as i32;
        Ok(())
    }),
];
