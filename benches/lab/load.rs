//! `herd load` against wrk, ab and oha, those that are installed: the same worker, in
//! turns, each as a user starts it; what they say of themselves is believed.

use std::process::Command;

use super::cells::Attached;
use super::peers::{after, children_cpu_us, in_us};
use super::{Bench, median, spread};

/// One epoll loop that keeps connections as long as its clients want.
const SERVER: &[&str] = &["kind=epoll", "reply=true", "protocol=http", "keep_alive=1000000", "backlog=4096"];
/// Requests a second of the open loop: far below what a core can do.
const RATE: u32 = 2000;
/// What is shown of each run: a name, and decimals.
const FIGURES: [(&str, usize); 4] = [("a second", 0), ("CPU us each", 2), ("p50 us", 0), ("p99 us", 0)];

/// How the server is loaded.
#[derive(Clone, Copy)]
struct Way {
    keep_alive: bool,
    clients: u32,
    rate: Option<u32>,
    seconds: u64,
}

/// What a tool says of its run: requests, requests a second, latency in us (median, p99).
type Says = (f64, f64, [f64; 2]);
/// The same with the CPU time of a request, in the order of [`FIGURES`].
type Figures = [f64; 4];

struct Tool {
    name: &'static str,
    program: &'static str,
    /// `None` where it cannot.
    arguments: fn(&Way, &str) -> Option<Vec<String>>,
    read: fn(&str) -> Option<Says>,
}

/// Words of a command line; empty ones are left out.
fn words(text: &str) -> Option<Vec<String>> {
    Some(text.split_whitespace().map(str::to_owned).collect())
}

const HERD: Tool = Tool {
    name: "herd load",
    program: env!("CARGO_BIN_EXE_herd"),
    arguments: |way, url| {
        let keep = if way.keep_alive { "-k" } else { "" };
        let rate = way.rate.map_or(String::new(), |rate| format!("-r {rate}"));
        words(&format!("load {url} -f json -c {} -d {}s {keep} {rate}", way.clients, way.seconds))
    },
    read: |text| {
        let said: serde_json::Value = serde_json::from_str(text).ok()?;
        let number = |path: &str| said.pointer(path)?.as_f64();
        let at = |path| Some(number(path)? / 1e3);
        Some((number("/answered")?, number("/per_second")?, [at("/latency_ns/p50")?, at("/latency_ns/p99")?]))
    },
};

const OTHERS: &[Tool] = &[
    Tool {
        name: "wrk",
        program: "wrk",
        arguments: |way, url| {
            if way.rate.is_some() {
                return None;
            }
            let mut all = words(&format!("-t1 -c{} -d{}s --latency", way.clients, way.seconds))?;
            if !way.keep_alive {
                all.extend(["-H".to_owned(), "Connection: close".to_owned()]);
            }
            all.push(url.to_owned());
            Some(all)
        },
        read: |text| {
            let requests = text.lines().find_map(|line| line.trim().split_once(" requests in "))?.0;
            let latency = [in_us(after(text, "50%")?)?, in_us(after(text, "99%")?)?];
            Some((requests.parse().ok()?, after(text, "Requests/sec:")?.parse().ok()?, latency))
        },
    },
    Tool {
        name: "ab",
        program: "ab",
        arguments: |way, url| {
            let keep = if way.keep_alive { "-k" } else { "" };
            let all = format!("-q {keep} -t {} -n 100000000 -c {} {url}", way.seconds, way.clients);
            way.rate.is_none().then(|| words(&all)).flatten()
        },
        read: |text| {
            let requests = after(text, "Complete requests:")?.parse().ok()?;
            // Whole milliseconds.
            let at = |quantile| Some(after(text, quantile)?.parse::<f64>().ok()? * 1e3);
            Some((requests, after(text, "Requests per second:")?.parse().ok()?, [at("50%")?, at("99%")?]))
        },
    },
    Tool {
        name: "oha",
        program: "oha",
        arguments: |way, url| {
            let keep = if way.keep_alive { "" } else { "--disable-keepalive" };
            let rate = way.rate.map_or(String::new(), |rate| format!("-q {rate} --latency-correction"));
            words(&format!("--no-tui --output-format json -c {} -z {}s {keep} {rate} {url}", way.clients, way.seconds))
        },
        read: |text| {
            let said: serde_json::Value = serde_json::from_str(text).ok()?;
            let number = |path: &str| said.pointer(path)?.as_f64();
            let all = said.pointer("/statusCodeDistribution")?.as_object()?;
            let requests = all.values().filter_map(serde_json::Value::as_f64).sum();
            let at = |path| Some(number(path)? * 1e6);
            let latency = [at("/latencyPercentiles/p50")?, at("/latencyPercentiles/p99")?];
            Some((requests, number("/summary/requestsPerSec")?, latency))
        },
    },
];

/// One run of a tool against a server of its own.
fn run(tool: &Tool, way: &Way) -> Result<Figures, String> {
    let server = Attached::start(SERVER, 1);
    let arguments =
        (tool.arguments)(way, &format!("http://127.0.0.1:{}/", server.port)).ok_or("it has no such load")?;
    let before = children_cpu_us();
    let ran = Command::new(tool.program).args(arguments).output();
    let cpu_us = children_cpu_us() - before;
    let connections = server.end().total(|worker| worker.claims) as f64;
    let ran = ran.map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&ran.stdout);
    let (requests, rate, [p50, p99]) = (tool.read)(&text)
        .ok_or_else(|| format!("cannot read what it says: {text} {}", String::from_utf8_lossy(&ran.stderr)))?;
    // Those under way when it ends are accepted, and not in its count.
    if !way.keep_alive && connections < requests {
        return Err(format!("it says {requests} requests and {connections} connections were accepted"));
    }
    Ok([rate, cpu_us / requests, p50, p99])
}

/// Ratios of two tools, turn by turn, so that other load hits both.
fn ratios(ours: &[Figures], theirs: &[Figures], at: usize) -> Vec<f64> {
    ours.iter().zip(theirs).map(|(ours, theirs)| ours[at] / theirs[at]).collect()
}

/// Rate, cost and open-loop latency of `herd load` beside the others.
pub fn load(bench: &mut Bench) {
    let (turns, seconds) = bench.choose((3, 1), (9, 3));
    println!("Load: `herd load` and others against one epoll loop");
    println!("  {turns} turns of {seconds} s, one after the other; CPU time is the generator's own");
    let ways = [
        ("a connection for each request, 16 at a time", Way { keep_alive: false, clients: 16, rate: None, seconds }),
        ("connections that stay, 50 of them", Way { keep_alive: true, clients: 50, rate: None, seconds }),
        ("open loop on connections that stay", Way { keep_alive: true, clients: 50, rate: Some(RATE), seconds }),
    ];
    for (title, way) in &ways {
        println!("  {title}");
        println!("                                  min    median       max");
        for tool in OTHERS {
            let (mut us, mut them) = (Vec::new(), Vec::new());
            for _ in 0..turns {
                match run(tool, way) {
                    Ok(figures) => them.push(figures),
                    Err(why) => {
                        println!("  skipped: {}: {why}", tool.name);
                        break;
                    }
                }
                match run(&HERD, way) {
                    Ok(figures) => us.push(figures),
                    Err(why) => return bench.hold(false, format!("herd load: {why}")),
                }
            }
            if them.len() == turns {
                compare(bench, tool, way, &us, &them);
            }
        }
    }
}

fn range(all: &[f64]) -> (f64, f64) {
    all.iter().fold((f64::INFINITY, 0.0), |(least, most), one| (one.min(least), one.max(most)))
}

fn compare(bench: &mut Bench, tool: &Tool, way: &Way, us: &[Figures], them: &[Figures]) {
    let all = |figures: &[Figures], at: usize| figures.iter().map(|figures| figures[at]).collect::<Vec<f64>>();
    for (name, figures) in [(HERD.name, us), (tool.name, them)] {
        for (at, (what, digits)) in FIGURES.into_iter().enumerate() {
            println!("  {:26} {}", format!("{name}, {what}"), spread(&all(figures, at), digits));
        }
    }
    let of = |at| ratios(us, them, at);
    for (at, (what, _)) in FIGURES.into_iter().enumerate() {
        println!("  {:26} {}", format!("herd / {}, {what}", tool.name), spread(&of(at), 2));
    }
    let at_most = |at| median(&of(at));
    match way.rate {
        // Each has its own time for a request in its latencies: they agree where their
        // ranges meet, or their medians are no further apart than the dearer one takes.
        Some(_) => {
            let apart = |at| (median(&all(us, at)) - median(&all(them, at))).abs();
            let own = median(&all(us, 1)).max(median(&all(them, 1)));
            for (at, what) in [(2, "p50"), (3, "p99")] {
                let [ours, theirs] = [us, them].map(|figures| range(&all(figures, at)));
                let agree = (ours.0 <= theirs.1 && theirs.0 <= ours.1) || apart(at) <= own;
                let words = format!("{:.0} to {:.0} us and {:.0} to {:.0} us", ours.0, ours.1, theirs.0, theirs.1);
                bench
                    .hold(agree, format!("herd and {}, open-loop {what}: {words} agree within {own:.0} us", tool.name));
            }
        }
        None => {
            let (rate, cpu) = (at_most(0), at_most(1));
            bench.hold(rate >= 1.0, format!("herd / {}, rate: {rate:.2} is at least 1", tool.name));
            bench.hold(cpu <= 1.0, format!("herd / {}, CPU time of a request: {cpu:.2} is at most 1", tool.name));
        }
    }
}
