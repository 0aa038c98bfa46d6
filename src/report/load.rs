//! What `herd load` saw, for a terminal or a program. Pure.

use std::io::{self, Write};

use super::table::wrapped;
use crate::loaded::Loaded;
use crate::observation::Latency;

const WIDTH: usize = 79;

/// The whole document.
pub fn json(found: &Loaded, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, found)?;
    writeln!(out)
}

/// What was asked for, what it came to, latencies, and a verdict.
pub fn table(found: &Loaded, out: &mut dyn Write) -> io::Result<()> {
    let wish = &found.wish;
    let how = match wish.rate {
        None => format!("closed loop, {} clients", wish.clients),
        Some(rate) => format!(
            "open loop, {rate} requests a second{}, at most {} connections",
            if wish.poisson { " at random times" } else { "" },
            wish.clients
        ),
    };
    let connections = if wish.keep_alive { "connections stay" } else { "a connection for each request" };
    writeln!(out, "herd {} load {}", found.herd, wish.url)?;
    paragraph(out, "  ", &format!("{how}; {connections}"))?;
    let environment = &found.environment;
    writeln!(
        out,
        "  Linux {}, {} CPUs, load {}\n",
        environment.kernel_release,
        environment.cpus_online,
        environment.load_average.split(' ').take(3).collect::<Vec<_>>().join(" ")
    )?;
    writeln!(out, "  answered       {} of {} requests in {:.2} s", found.answered, found.requests, found.seconds)?;
    writeln!(out, "  a second       {:.1}", found.per_second)?;
    writeln!(out, "  connections    {}{}", found.connections, again(found))?;
    paragraph(out, "  errors         ", &errors(found))?;
    writeln!(out, "  own CPU        {:.2} of one CPU, {:.1} us an answer", found.own_cpu_share, found.own_cpu_us)?;
    if found.latency_ns.samples > 0 {
        let mark = if found.saturated.is_some() { ", past saturation" } else { "" };
        writeln!(out, "\n  latency in us, {} samples{mark}", found.latency_ns.samples)?;
        let names = ["p50", "p90", "p99", "p99.9", "p99.99", "max"];
        writeln!(out, "  {:15}{}", "", names.map(|name| format!("{name:>10}")).concat())?;
        line(out, "intended start", &found.latency_ns)?;
        // In a closed loop a client starts when it is free, so that both are one.
        if wish.rate.is_some() {
            line(out, "real start", &found.from_making_ns)?;
        }
    }
    writeln!(out)?;
    for note in found.saturated.iter().chain(&found.notes) {
        paragraph(out, "note: ", note)?;
    }
    writeln!(out, "{}", verdict(found))
}

fn again(found: &Loaded) -> String {
    match found.again {
        0 => String::new(),
        n => format!("; {n} requests sent once more, as the server had closed theirs"),
    }
}

fn errors(found: &Loaded) -> String {
    let errors = &found.errors;
    let kinds = [
        ("refused", errors.refused),
        ("reset", errors.reset),
        ("timed out", errors.timed_out),
        ("no HTTP", errors.bad_answer),
        ("failed", errors.failed),
    ];
    let kinds = kinds.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{count} {name}"));
    let status = errors.status.iter().map(|(status, count)| format!("{count} with status {status}"));
    let all: Vec<String> = kinds.chain(status).collect();
    if all.is_empty() { "none".into() } else { all.join(", ") }
}

/// Percentiles that are more than another name of the largest sample.
fn line(out: &mut dyn Write, name: &str, latency: &Latency) -> io::Result<()> {
    let marks = [
        (latency.p50, 1),
        (latency.p90, 10),
        (latency.p99, 100),
        (latency.p999, 1000),
        (latency.p9999, 10_000),
        (latency.max, 1),
    ];
    let text = |(ns, needs): (u64, u64)| match latency.samples >= needs {
        true => format!("{:>10.0}", ns as f64 / 1e3),
        false => format!("{:>10}", "-"),
    };
    writeln!(out, "  {name:15}{}", marks.map(text).concat())
}

fn paragraph(out: &mut dyn Write, first: &str, text: &str) -> io::Result<()> {
    for (at, line) in wrapped(text, WIDTH - first.len()).iter().enumerate() {
        match at {
            0 => writeln!(out, "{first}{line}")?,
            _ => writeln!(out, "{:1$}{line}", "", first.len())?,
        }
    }
    Ok(())
}

fn verdict(found: &Loaded) -> String {
    let under_way = match found.under_way {
        0 => String::new(),
        n => format!(", {n} were under way"),
    };
    let errors = match found.errors.all() {
        0 => "no errors".to_owned(),
        1 => "1 error".to_owned(),
        n => format!("{n} errors"),
    };
    match found.end {
        "complete" => {
            format!("{}: {errors}{under_way}", if found.errors.all() == 0 { "all answered" } else { "not all well" })
        }
        "interrupted" => format!("interrupted: {errors}{under_way}"),
        _ => format!("ended early: {errors}{under_way}"),
    }
}
