//! Throughput, tails, memory and CPU time against the load: clients at a time, silent
//! connections, or a rate.

use super::super::curves::CURVES;
use super::chart::{Words, charts};
use super::chosen::Plot;
use crate::results::CellResult;

pub fn plot(cells: &[&CellResult]) -> Plot {
    let mut figures = Vec::new();
    for curve in CURVES {
        let of_axis: Vec<&CellResult> =
            cells.iter().copied().filter(|cell| cell.axes.iter().any(|(key, _)| key == curve.axis)).collect();
        let title = curve.title();
        let words = Words {
            axis: curve.axis,
            along: curve.along,
            upwards: curve.upwards,
            title: &title,
            caption: &format!("{} (upwards) against {} (to the right).", capital(curve.upwards), curve.along),
            table: &format!("{} by {}", capital(curve.upwards), curve.along),
        };
        figures.extend(charts(&words, &of_axis, &|cell| curve.point(cell)));
    }
    match figures.is_empty() {
        true => Err("figures against the load: no axis is clients, silent connections or a rate".into()),
        false => Ok(figures.concat()),
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}
