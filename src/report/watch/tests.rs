//! The picture of a scene that was made up, at each of its moments.

use super::*;
use crate::observation::Timeline;

fn opening(source: &str) -> Opening {
    Opening { count_source: source.into() }
}

/// Of `workers` the last one gets it, the one before returns for nothing, the one before
/// that sleeps again, and the others sleep on.
fn scene(workers: u32) -> Scene {
    let lane = |worker: u32| match workers - worker {
        1 => Lane {
            woken_ns: Some(10_000),
            waker_cpu: Some(1),
            running_ns: Some(20_000),
            cpu: Some(0),
            returned_ns: Some(30_000),
            claimed_ns: Some(40_000),
            asleep_ns: Some(60_000),
            worker,
            ..Lane::default()
        },
        2 => Lane {
            woken_ns: Some(12_000),
            running_ns: Some(50_000),
            returned_ns: Some(70_000),
            asleep_ns: Some(90_000),
            worker,
            ..Lane::default()
        },
        3 => Lane {
            woken_ns: Some(14_000),
            running_ns: Some(80_000),
            asleep_ns: Some(100_000),
            worker,
            ..Lane::default()
        },
        _ => Lane { worker, ..Lane::default() },
    };
    let part = |worker: u32| match workers - worker {
        1 => Part { wakeups: 1, returns: 1, claims: 1, empties: 0 },
        2 => Part { wakeups: 1, returns: 1, claims: 0, empties: 1 },
        3 => Part { wakeups: 1, ..Part::default() },
        _ => Part::default(),
    };
    let lanes = (0..workers).map(lane).collect();
    Scene {
        fired: 1,
        wakeups: 3,
        parts: (0..workers).map(part).collect(),
        timeline: Timeline { event: 0, fire_returned_ns: 25_000, quiet_ns: 400_000, lanes },
    }
}

fn drawn(scene: Option<&Scene>, source: &str, at_ns: u64, canvas: Canvas) -> Vec<String> {
    let opening = opening(source);
    let picture = Picture {
        title: "herd: epoll",
        event: "connection",
        opening: Some(&opening),
        scene,
        at_ns,
        before: &Sums::default(),
        rounds: 5,
        workers: scene.map_or(8, |scene| scene.parts.len()),
        place: "Linux",
        state: "PAUSED",
        note: "",
        keys: "q quit",
    };
    frame(&picture, canvas).iter().map(plain).collect()
}

const PLAIN: Canvas = Canvas { width: 80, height: Some(24), utf8: false };

/// The words beside the lane of a worker.
#[track_caller]
fn words(lines: &[String], worker: &str) -> String {
    let line = lines.iter().find(|line| line.starts_with(worker)).unwrap_or_else(|| panic!("no {worker}: {lines:#?}"));
    line.chars().skip(NAME + strip_width(80) + 1).take(WORDS).collect::<String>().trim().to_owned()
}

#[test]
fn a_worker_is_told_at_each_moment() {
    let scene = scene(4);
    for (us, states) in [
        (0, ["asleep", "asleep", "asleep", "asleep"]),
        (15, ["asleep", "woken by CPU", "woken by CPU", "woken by CPU 1"]),
        (20, ["asleep", "woken by CPU", "woken by CPU", "runs on CPU 0"]),
        (35, ["asleep", "woken by CPU", "woken by CPU", "back in the program"]),
        (55, ["asleep", "woken by CPU", "runs on CPU", "has it"]),
        (95, ["asleep", "runs on CPU", "nothing, asleep", "got it, asleep"]),
        (105, ["slept on", "slept again", "EAGAIN", "got it"]),
    ] {
        let lines = drawn(Some(&scene), "bpf", us * 1000, PLAIN);
        let seen: Vec<String> = ["w0", "w1", "w2", "w3"].iter().map(|worker| words(&lines, worker)).collect();
        assert_eq!(seen, states, "at {us} us: {lines:#?}");
    }
}

#[test]
fn the_event_is_on_top_and_the_totals_below() {
    let scene = scene(4);
    let at = |us: u64| drawn(Some(&scene), "bpf", us * 1000, PLAIN);
    assert_eq!(words(&at(20), "event"), "is being made");
    assert_eq!(words(&at(30), "event"), "made, not taken");
    assert_eq!(words(&at(41), "event"), "taken by w3");
    let says =
        |lines: &[String], text: &str| assert!(lines.iter().any(|line| line.contains(text)), "{text}: {lines:#?}");
    says(&at(92), "this one  3 woken, 1 got it, 1 for nothing so far");
    // The sums are those of whole events.
    says(&at(92), "all 0     0 woken, 0 got it, 0 for nothing (0 hidden, 0 EAGAIN)");
    says(&at(105), "this one  3 woken, 1 got it, 2 for nothing (1 hidden, 1 EAGAIN)");
    says(&at(105), "all 1     3 woken, 1 got it, 2 for nothing (1 hidden, 1 EAGAIN)");
    says(&at(105), "each      3.00 wakeups");
    says(&at(40), "connection 1 of 5, 40.0 us of 105.0 us");
}

#[test]
fn a_strip_grows_with_the_time_and_never_tells_what_comes() {
    let scene = scene(4);
    let strip = |us: u64, utf8: bool| -> String {
        let lines = drawn(Some(&scene), "bpf", us * 1000, Canvas { utf8, ..PLAIN });
        let line = lines.iter().find(|line| line.starts_with("w3")).unwrap();
        line.chars().skip(NAME).take(strip_width(80)).collect()
    };
    let whole = strip(105, false);
    assert_eq!(whole, "...~~~####R##C#######...............");
    for us in 0..105 {
        let now = strip(us, false);
        let begun = now.trim_end();
        // The letter of a return stands only once it has come.
        let same = begun.chars().zip(whole.chars()).all(|(now, end)| now == end || (now == '#' && "RC".contains(end)));
        assert!(same && begun.len() <= whole.len(), "at {us} us: {now:?} of {whole:?}");
        assert_eq!(begun.contains('C'), us >= 40, "at {us} us: {now:?}");
    }
    assert!(whole.is_ascii() && strip(105, true).contains("\u{2592}\u{2592}\u{2588}"), "{whole}");
}

#[test]
fn moments_are_every_change_once_and_then_the_end() {
    let all = moments(&scene(4));
    assert_eq!(all.len(), 13, "{all:?}");
    assert_eq!((all[0], all[12]), (10_000, 105_000));
    // With nothing known but that all slept, there is the end.
    let mut blind = scene(4);
    blind.timeline.lanes.iter_mut().for_each(|lane| *lane = Lane::default());
    assert_eq!(moments(&blind), [400_000]);
}

#[test]
fn every_picture_fits_its_canvas() {
    for workers in [1, 8, 64, 1000] {
        for (width, height) in [SMALLEST, (80, 24), (200, 50)] {
            for source in ["bpf", "perf", "proc", "ledger"] {
                let scene = scene(workers.max(3));
                for scene in [None, Some(&scene)] {
                    let canvas = Canvas { width, height: Some(height), utf8: true };
                    let lines = drawn(scene, source, 1 << 40, canvas);
                    assert!(lines.len() <= height, "{} of {height} lines: {lines:#?}", lines.len());
                    assert!(lines.iter().all(|line| line.chars().count() <= width), "{lines:#?}");
                    assert!(lines.iter().filter(|line| line.starts_with('w')).count() >= 2, "{lines:#?}");
                    assert!(lines.last().is_some_and(|line| line == "q quit"), "{lines:#?}");
                }
            }
        }
    }
}

#[test]
fn workers_without_a_lane_are_counted() {
    let lines = drawn(Some(&scene(64)), "bpf", 1 << 40, PLAIN);
    let lanes = lines.iter().filter(|line| line.starts_with('w')).count();
    let said = format!("and {} more workers, not shown: 3 of them woken, 1 got it", 64 - lanes);
    assert!(lines.iter().any(|line| line.trim() == said), "{said}: {lines:#?}");
}

#[test]
fn what_a_source_cannot_tell_is_said() {
    let mut scene = scene(4);
    for lane in &mut scene.timeline.lanes {
        (lane.woken_ns, lane.running_ns, lane.asleep_ns) = (None, None, None);
    }
    let lines = drawn(Some(&scene), "proc", 1 << 40, PLAIN);
    assert_eq!((words(&lines, "w1"), words(&lines, "w0")), ("slept again".into(), "asleep".into()));
    assert!(lines.iter().any(|line| line.starts_with("counted with proc: hidden wakeups have no times")), "{lines:#?}");
    // It counts returns alone: what is hidden stays unknown.
    scene.wakeups = 2;
    scene.parts[1].wakeups = 0;
    let lines = drawn(Some(&scene), "ledger", 1 << 40, PLAIN);
    assert_eq!(words(&lines, "w1"), "no return");
    assert!(lines.iter().any(|line| line.ends_with("1 for nothing (1 EAGAIN, hidden unknown)")), "{lines:#?}");
}

#[test]
fn a_burst_is_counted_by_worker() {
    let mut scene = scene(4);
    (scene.fired, scene.wakeups) = (8, 4);
    scene.parts[3] = Part { wakeups: 2, returns: 7, claims: 7, empties: 0 };
    let lines = drawn(Some(&scene), "bpf", 1 << 40, PLAIN);
    assert_eq!((words(&lines, "w3"), words(&lines, "event")), ("got 7 (2 wakes)".into(), "1 left in the queue".into()));
    let says = "4 woken, 7 got it, 2 for nothing (1 hidden, 1 EAGAIN), 1 left";
    assert!(lines.iter().any(|line| line.ends_with(says)), "{lines:#?}");
    assert!(lines[1].starts_with("8 connections at once, 1 of 5"), "{lines:#?}");
}

#[test]
fn a_small_terminal_is_told_the_size_it_needs() {
    assert_eq!(too_small(72, 16), None);
    let said = "this terminal has 71 columns and 16 lines; 72 and 16 are needed";
    assert_eq!(too_small(71, 16).as_deref(), Some(said));
    assert!(too_small(200, 15).is_some());
}
