//! Who was woken and who got the work: bars by worker, and the order of the winners.

use super::super::matrix::html::escaped;
use super::chosen::{Chosen, Plot, chosen, drawable, seen};
use super::markup::{details, key, table};
use super::svg::{Drawing, Scale, WIDTH};
use crate::observation::WorkerFacts;
use crate::results::{CellResult, Results};

/// More workers than that are not drawn one by one.
const WORKERS: usize = 64;
/// Up to so many, each has its number and its count beside the bar.
const NAMED: usize = 12;
/// What a digit of a count takes, and a lane of the strip.
const DIGIT: f64 = 8.0;
const STRIP: f64 = 9.0;
/// So many winners of the order are drawn.
const ORDER: usize = 64;
const LEFT: f64 = 30.0;
const BARS: f64 = 70.0;
/// Where the strip begins, below the bars and their names.
const STRIP_TOP: f64 = BARS + 40.0;

/// Whether one of several workers took work.
fn shared(cell: &&CellResult) -> bool {
    cell.workers.len() > 1 && cell.workers.iter().any(|worker| worker.claims > 0)
}

/// The cells whose workers are drawn.
fn shown<'a>(chosen: &Chosen<'a>) -> Vec<&'a CellResult> {
    chosen.cells.iter().copied().filter(|cell| shared(cell) && cell.workers.len() <= WORKERS).collect()
}

pub fn plot(chosen: &Chosen<'_>) -> Plot {
    let rows = shown(chosen);
    match (rows.is_empty(), !chosen.cells.iter().any(shared)) {
        (true, true) => return Err("the shares of the workers: in no cell did one of several workers take work".into()),
        (true, false) => {
            return Err(format!("the shares of the workers: more than {WORKERS} of them; the JSON has each"));
        }
        _ => {}
    }
    let card = |cell: &&CellResult| {
        let (name, winners) = (escaped(&cell.row), escaped(&cell.winners));
        format!(
            "<figure class=card><figcaption><b>{name}</b>, work to: {winners}</figcaption>{}</figure>\n",
            drawn(cell)
        )
    };
    let cards: String = rows.iter().map(card).collect();
    let keys = key(&[
        ("woken", "wakeups of a worker"),
        ("needed", "events it got, with their number"),
        ("fill c1", "in the strip: who got which event, one column for each, first at the left"),
    ]);
    let caption = format!("<p>Balance, and the order of the winners.{}</p>\n", escaped(&chosen.which()));
    Ok(format!(
        "{caption}<div class=\"cards\">\n{cards}</div>\n{keys}{}",
        details("The figures of these plots", &figures(&rows))
    ))
}

/// The name of what all drawings of so many workers have.
fn frame(workers: usize) -> String {
    format!("workers{workers}")
}

/// What stands around the bars and the strip, once on the page for each number of
/// workers that is drawn: hundreds of drawings have the same.
pub fn frames(all: &[&Results]) -> String {
    let mut counts = Vec::new();
    for results in all {
        for facts in &results.experiments {
            let chosen = chosen(&drawable(results, &facts.name));
            counts.extend(chosen.iter().flat_map(shown).map(|cell| cell.workers.len()));
        }
    }
    counts.sort_unstable();
    counts.dedup();
    counts.into_iter().map(around).collect()
}

fn around(workers: usize) -> String {
    let (step, lanes) = ((WIDTH - LEFT) / workers as f64, lane(workers) * workers as f64);
    let mut drawing = Drawing::new(0.0, "");
    if workers <= NAMED {
        (0..workers).for_each(|at| {
            drawing.text(LEFT + step * (at as f64 + 0.5), BARS + 29.0, "middle", &format!("w{at}"));
        });
    }
    drawing.line(&[(LEFT, BARS + 14.0), (WIDTH, BARS + 14.0)], "axis");
    drawing.text(LEFT - 5.0, STRIP_TOP + 9.0, "end", "w0");
    drawing.text(LEFT - 5.0, STRIP_TOP + lanes, "end", &format!("w{}", workers - 1));
    drawing.line(&[(LEFT, STRIP_TOP - 1.0), (LEFT, STRIP_TOP + lanes)], "axis");
    drawing.named(&frame(workers))
}

/// The height of a worker's lane in the strip.
fn lane(workers: usize) -> f64 {
    if workers <= NAMED { STRIP } else { NAMED as f64 * STRIP / workers as f64 }
}

fn drawn(cell: &CellResult) -> String {
    let workers = cell.workers.len();
    let (lane, step) = (lane(workers), (WIDTH - LEFT) / workers as f64);
    let most = cell.workers.iter().map(|w| w.wakeups.max(w.claims)).max().unwrap_or(1) as f64;
    let y = Scale::new((0.0, most), (BARS + 14.0, 14.0), false);
    let title = format!("{}: wakeups and events of each worker, then the order; the figures follow", cell.row);
    let mut drawing = Drawing::new(STRIP_TOP + lane * workers as f64 + 4.0, title);
    let mut bars = |count: fn(&WorkerFacts) -> u64, width: f64, class: &str| {
        for (at, worker) in cell.workers.iter().enumerate() {
            let (left, top) = (LEFT + step * (at as f64 + (1.0 - width) / 2.0), y.at(count(worker) as f64));
            drawing.rect((left, top), (step * width, BARS + 14.0 - top), class);
        }
    };
    bars(|worker| worker.wakeups, 0.84, "woken");
    bars(|worker| worker.claims, 0.56, "needed");
    if workers <= NAMED {
        for (at, worker) in cell.workers.iter().enumerate() {
            let count = worker.claims.to_string();
            // Above both bars, so that it is never drawn upon one; not where it would
            // run into the next.
            if count.len() as f64 * DIGIT < step {
                let top = y.at(worker.wakeups.max(worker.claims) as f64);
                drawing.text(LEFT + step * (at as f64 + 0.5), top - 3.0, "middle", &count);
            }
        }
    }
    let winners = &seen(cell).winners;
    let shown = winners.len().min(ORDER);
    drawing.strip((LEFT, STRIP_TOP), ((WIDTH - LEFT) / ORDER as f64, lane), &winners[..shown]);
    drawing.shared(&frame(workers));
    drawing.finish()
}

fn figures(rows: &[&CellResult]) -> String {
    let most = rows.iter().map(|cell| cell.workers.len()).max().unwrap_or(0);
    let header: Vec<String> =
        ["wait".to_owned(), "of each".to_owned()].into_iter().chain((0..most).map(|w| format!("w{w}"))).collect();
    let line = |cell: &CellResult, what: &str, counts: Vec<u64>| {
        let counts = (0..most).map(|at| counts.get(at).map_or("-".into(), u64::to_string));
        [cell.row.clone(), what.to_owned()].into_iter().chain(counts).collect::<Vec<String>>()
    };
    let lines: Vec<Vec<String>> = rows
        .iter()
        .flat_map(|cell| {
            let (wakeups, claims) = cell.workers.iter().map(|w| (w.wakeups, w.claims)).unzip();
            [line(cell, "wakeups", wakeups), line(cell, "events", claims)]
        })
        .collect();
    let order = |cell: &&CellResult| {
        let winners: Vec<String> = seen(cell).winners.iter().take(ORDER).map(u32::to_string).collect();
        vec![cell.row.clone(), winners.join(" ")]
    };
    let orders: Vec<Vec<String>> = rows.iter().map(order).collect();
    let names = ["wait".to_owned(), format!("workers in the order of the first {ORDER} events")];
    table("Wakeups and events of each worker", &header, &lines) + &table("The order of the winners", &names, &orders)
}
