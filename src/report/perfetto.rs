//! The timeline as a trace that Perfetto and chrome://tracing open: the Trace
//! Event Format, one process per cell, one thread per worker.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::{Report, Style, timeline};
use crate::observation::{Lane, Timeline};
use crate::results::{CellResult, Results};

/// Trace Event Format (JSON object form).
pub struct Perfetto;

impl Report for Perfetto {
    fn name(&self) -> &'static str {
        "perfetto"
    }

    fn about(&self) -> &'static str {
        "the timeline as a trace for ui.perfetto.dev and chrome://tracing"
    }

    fn write(&self, results: &Results, _: Style, out: &mut dyn Write) -> io::Result<()> {
        let mut events = Vec::new();
        for (pid, cell) in (1..).zip(&results.cells) {
            if let Some(event) = cell.observation.as_ref().and_then(|seen| seen.timeline.as_ref()) {
                cell_events(pid, cell, event, &mut events);
            }
        }
        let trace = json!({
            "displayTimeUnit": "ns",
            "otherData": {
                "herd": results.herd,
                "kernel": results.environment.kernel_release,
                "cpus": results.environment.cpus_online,
            },
            "traceEvents": events,
        });
        serde_json::to_writer_pretty(&mut *out, &trace)?;
        writeln!(out)
    }
}

/// Timestamps of the format are microseconds; fractions are allowed.
fn us(ns: u64) -> f64 {
    ns as f64 / 1000.0
}

fn cell_events(pid: u32, cell: &CellResult, event: &Timeline, events: &mut Vec<Value>) {
    let name = |what: &str, tid: u32, name: String| json!({"ph": "M", "name": what, "pid": pid, "tid": tid, "args": {"name": name}});
    events.push(name("process_name", 0, cell.id.clone()));
    events.push(name("thread_name", 0, "injector".into()));
    events.push(slice(pid, 0, "fire", 0, event.fire_returned_ns, json!({"event": event.event})));
    events.push(
        json!({"ph": "i", "s": "p", "name": "quiet", "cat": "herd", "pid": pid, "tid": 0, "ts": us(event.quiet_ns)}),
    );
    for lane in &event.lanes {
        let tid = lane.worker + 1;
        events.push(name(
            "thread_name",
            tid,
            format!("w{}: {}", lane.worker, timeline::outcome(lane, cell.count_source == "bpf")),
        ));
        lane_events(pid, tid, lane, events);
    }
}

fn lane_events(pid: u32, tid: u32, lane: &Lane, events: &mut Vec<Value>) {
    if let (Some(woken), Some(running)) = (lane.woken_ns, lane.running_ns) {
        let args = json!({"waker": lane.waker, "waker_cpu": lane.waker_cpu});
        events.push(slice(pid, tid, "runnable", woken, running.max(woken), args));
    }
    if let (Some(running), Some(asleep)) = (lane.running_ns, lane.asleep_ns) {
        events.push(slice(pid, tid, "running", running, asleep.max(running), json!({"cpu": lane.cpu})));
    }
    for (what, at) in [("returned", lane.returned_ns), ("claimed", lane.claimed_ns)] {
        events.extend(
            at.map(
                |at| json!({"ph": "i", "s": "t", "name": what, "cat": "herd", "pid": pid, "tid": tid, "ts": us(at)}),
            ),
        );
    }
}

fn slice(pid: u32, tid: u32, name: &str, from_ns: u64, to_ns: u64, args: Value) -> Value {
    json!({
        "ph": "X", "name": name, "cat": "herd", "pid": pid, "tid": tid,
        "ts": us(from_ns), "dur": us(to_ns - from_ns), "args": args,
    })
}
