//! Where the wakeups of an event went: needed, seen to be for nothing, hidden.

use super::super::grid::rounded;
use super::chosen::{Chosen, Plot, metric};
use super::markup::{figure, key, table};
use super::svg::{Drawing, Scale, WIDTH};
use crate::results::CellResult;

const ROW: f64 = 40.0;

/// Wakeups per event and what became of them.
struct Parts {
    wakeups: f64,
    needed: f64,
    visible: f64,
    hidden: f64,
}

impl Parts {
    fn of(cell: &CellResult) -> Option<Parts> {
        Some(Parts {
            wakeups: metric(cell, "wakeups_per_event")?,
            needed: metric(cell, "needed_per_event")?,
            visible: metric(cell, "spurious_visible_per_event")?,
            hidden: metric(cell, "spurious_hidden_per_event")?,
        })
    }

    /// A worker that found work without having slept took more than it was woken for.
    fn words(&self) -> String {
        let Parts { wakeups, needed, visible, hidden } = self;
        match needed - wakeups > 0.005 {
            true => format!("{} wakeups, {} returns with work", rounded(*wakeups), rounded(*needed)),
            false => {
                format!("{} = {} + {} + {}", rounded(*wakeups), rounded(*needed), rounded(*visible), rounded(*hidden))
            }
        }
    }
}

pub fn plot(chosen: &Chosen<'_>) -> Plot {
    let rows: Vec<(&CellResult, Parts)> =
        chosen.cells.iter().filter_map(|cell| Some((*cell, Parts::of(cell)?))).collect();
    if rows.is_empty() {
        return Err("what became of the wakeups: no cell counted them by event".into());
    }
    let most = rows.iter().map(|(_, parts)| parts.wakeups).fold(1.0, f64::max);
    let scale = Scale::new((0.0, most), (0.0, WIDTH), false);
    let height = ROW * rows.len() as f64;
    let mut drawing = Drawing::new(height, "Wakeups per event of each wait, as bars; the figures follow as a table");
    for (at, (cell, parts)) in rows.iter().enumerate() {
        let top = ROW * at as f64;
        drawing.text(0.0, top + 13.0, "start", &cell.row);
        drawing.text(WIDTH, top + 13.0, "end", &parts.words());
        let needed = parts.needed.min(parts.wakeups);
        let mut from = 0.0;
        for (part, class) in [(needed, "needed"), (parts.visible, "visible"), (parts.hidden, "hidden")] {
            let (start, end) = (scale.at(from), scale.at(from + part));
            drawing.rect((start, top + 18.0), (end - start, 14.0), class);
            from += part;
        }
    }
    let header = ["wait", "wakeups", "needed", "visible", "hidden"].map(str::to_owned);
    let line = |(cell, parts): &(&CellResult, Parts)| {
        let numbers = [parts.wakeups, parts.needed, parts.visible, parts.hidden].map(rounded);
        std::iter::once(cell.row.clone()).chain(numbers).collect()
    };
    let numbers: Vec<Vec<String>> = rows.iter().map(line).collect();
    let picture = drawing.finish()
        + &key(&[
            ("needed", "needed: returned and took work"),
            ("visible", "visible: returned and found nothing (EAGAIN)"),
            ("hidden", "hidden: slept again inside the kernel"),
        ]);
    let caption = format!("Wakeups per event = needed + visible + hidden.{}", chosen.which());
    Ok(figure(&picture, &caption, &table("Wakeups per event and what became of them", &header, &numbers)))
}
