//! What a lesson's run came to: tables, lanes, other kernels, and each prediction
//! beside what was measured.

use super::console::{Console, padded};
use super::progress::Done;
use super::teach;
use crate::command::Failure;
use crate::lessons::{self, Answer, Catalogue, Kernel, Lesson, Near, Question, Text, Truth, paragraphs};
use crate::report::{self, measured};
use crate::results::{CellResult, Results, Verdict};
use crate::words::columns;

/// Columns of the longest bar.
const BAR: usize = 32;

/// Kernels with what was stored of them, oldest first.
pub type Stored = [Kernel];

/// Reads the results that come with the lessons.
pub fn stored() -> Result<Vec<Kernel>, Failure> {
    let all = lessons::stored().map_err(|e| Failure::machine(e.to_string()))?;
    Ok(all.into_iter().map(Kernel::from).collect())
}

/// `6.12.107+deb13-cloud-amd64` as `6.12`.
fn brief(release: &str) -> String {
    let numbers = release.split(|c: char| !c.is_ascii_digit()).take(2);
    numbers.collect::<Vec<_>>().join(".")
}

/// The tables, as `herd run` shows them, and what is not as expected.
pub fn tables(
    lesson: &Lesson,
    results: &Results,
    stored: &Stored,
    console: &Console,
    texts: &Catalogue,
) -> Vec<Vec<String>> {
    let mut blocks = Vec::new();
    if lesson.kernels {
        blocks.push(kernels(results, stored));
        let releases: Vec<&str> = stored.iter().map(|kernel| kernel.release.as_str()).collect();
        blocks.push(paragraphs(&texts.say("stored", &[("kernels", &releases.join(", "))]), console.width));
    } else {
        for experiment in &results.experiments {
            let mut experiment = experiment.clone();
            let run = lesson.run.iter().find(|run| run.has(&experiment.name) && !run.show.is_empty());
            if let Some(run) = run {
                experiment.layout.show.clone_from(&run.show);
                experiment.layout.pivot = None;
            }
            blocks.extend(report::tables(results, &experiment, console.width).iter().map(|table| lines(table)));
        }
    }
    blocks.extend(steps(lesson, results, console.width, texts));
    for cell in
        results.cells.iter().filter(|cell| cell.observation.as_ref().is_some_and(|seen| seen.timeline.is_some()))
    {
        blocks.push(lines(&report::lanes(cell, console.width)));
    }
    let mut notes = Vec::new();
    for cell in results.cells.iter().filter(|cell| cell.verdict != Verdict::Pass) {
        let key = match cell.verdict {
            Verdict::Skip if lessons::is_known(cell) => "undecided",
            Verdict::Skip => "skipped",
            Verdict::Invalid => "invalid",
            _ => "failed",
        };
        notes.extend(paragraphs(&texts.say(key, &[("cell", &cell.id), ("why", &cell.reason)]), console.width));
    }
    let (release, cpus) = (&results.environment.kernel_release, results.environment.cpus_online.to_string());
    notes.push(texts.say("here", &[("release", release), ("cpus", &cpus)]));
    blocks.push(notes);
    blocks
}

/// What came of each step of the scripts that are asked about: the table only counts steps.
fn steps(lesson: &Lesson, results: &Results, width: usize, texts: &Catalogue) -> Vec<Vec<String>> {
    let asked = |cell: &&CellResult| {
        let of = |figure: &lessons::Figure| {
            figure.row == cell.row && (figure.experiment.is_empty() || figure.experiment == cell.experiment)
        };
        lesson.ask.iter().any(|question| of(&question.figure))
    };
    let mut blocks = Vec::new();
    for cell in results.cells.iter().filter(asked) {
        let Some(seen) = cell.observation.as_ref().filter(|seen| !seen.steps.is_empty()) else { continue };
        let script = &cell.settings.script;
        // Who the workers are stands in the question.
        let start = script.iter().rposition(|line| line.starts_with("worker ")).map_or(0, |last| last + 1);
        let step = |(at, line): (usize, &String)| {
            let outcomes = seen.steps.iter().find(|seen| seen.step == at);
            let outcomes: Vec<&str> =
                outcomes.iter().flat_map(|seen| seen.outcomes.keys()).map(String::as_str).collect();
            let text = line.split(" -> ").next().unwrap_or(line);
            if outcomes.is_empty() { text.to_owned() } else { format!("{text} -> {}", outcomes.join(" or ")) }
        };
        let all: Vec<String> = script.iter().enumerate().skip(start).map(step).collect();
        let mut lines = paragraphs(&texts.say("steps", &[("row", &cell.row)]), width);
        lines.extend(packed(&all, width - 2).iter().map(|line| format!("  {line}")));
        blocks.push(lines);
    }
    if let Some(first) = blocks.first_mut() {
        first.splice(..0, paragraphs(&texts.say("steps_how", &[]), width));
    }
    blocks
}

/// Steps in lines, none cut in two that fits a line.
fn packed(steps: &[String], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let step = if at + 1 < steps.len() { format!("{step};") } else { step.clone() };
        match lines.last_mut() {
            Some(line) if columns(line) + 1 + columns(&step) <= width => line.push_str(&format!(" {step}")),
            _ => lines.push(step),
        }
    }
    lines
}

fn lines(text: &str) -> Vec<String> {
    text.trim_end().lines().map(str::to_owned).collect()
}

/// Wakeups per event, a column for each stored kernel and one for this one.
fn kernels(results: &Results, stored: &Stored) -> Vec<String> {
    let name = |cell: &CellResult| format!("{}: {}", cell.experiment, cell.row);
    let label = results.cells.iter().map(|cell| name(cell).len()).max().unwrap_or(0);
    let here = brief(&results.environment.kernel_release);
    let columns: Vec<String> = stored.iter().map(|kernel| brief(&kernel.release)).collect();
    let line = |name: &str, values: &[String]| {
        let values: Vec<String> = values.iter().map(|value| format!("{value:<7}")).collect();
        format!("{name:label$} | {}", values.join("| ")).trim_end().to_owned()
    };
    let heads: Vec<String> = columns.into_iter().chain([format!("here {here}")]).collect();
    let head = line("wakeups per event", &heads);
    let mut found = vec![head.clone(), head.chars().map(|c| if c == '|' { '+' } else { '-' }).collect()];
    for cell in &results.cells {
        let of = |cells: &[CellResult]| {
            let same = cells.iter().find(|known| known.id == cell.id || name(known) == name(cell));
            same.map_or("-".to_owned(), |known| match known.verdict {
                Verdict::Skip => "skip".into(),
                _ => report::value(known, "wakeups_per_event_median"),
            })
        };
        let mut values: Vec<String> = stored.iter().map(|kernel| of(&kernel.cells)).collect();
        values.push(of(std::slice::from_ref(cell)));
        found.push(line(&name(cell), &values));
    }
    found
}

/// Each prediction beside what was measured.
pub fn compared(
    lesson: &Lesson,
    text: &Text,
    answers: &[Option<Answer>],
    results: &Results,
    stored: &Stored,
    console: &Console,
    texts: &Catalogue,
) -> (Vec<Vec<String>>, Done) {
    let mut blocks = Vec::new();
    let mut nears = Vec::new();
    for (question, answer) in lesson.ask.iter().zip(answers) {
        let truth = question.figure.read(&results.cells, stored);
        let near = answer.map(|answer| question.near(answer, &truth));
        nears.push(near);
        let ask = &text.ask[&question.id];
        let said = answer.map_or_else(|| texts.say("nothing", &[]), |answer| said(question, ask, answer));
        let is = is(question, ask, &truth, texts);
        let names = ["you", "machine"].map(|key| texts.say(key, &[]));
        let label = names.iter().map(|name| columns(name)).max().unwrap_or(0);
        let bars = bars(*answer, &truth, console.utf8);
        let mut lines = paragraphs(&ask.label, console.width);
        let wide = columns(&said).max(columns(&is));
        for ((name, value), bar) in names.iter().zip([said, is]).zip(bars) {
            let start = format!("  {}  ", padded(name, label));
            if bar.is_empty() {
                let cut = paragraphs(&value, console.width.saturating_sub(label + 4));
                for (at, line) in cut.iter().enumerate() {
                    let start = if at == 0 { start.clone() } else { " ".repeat(label + 4) };
                    lines.push(format!("{start}{line}"));
                }
            } else {
                lines.push(format!("{start}{}  {bar}", padded(&value, wide)));
            }
        }
        if let Some(near) = near {
            lines.push(format!("  {}", verdict(question, near, texts)));
        }
        blocks.push(lines);
    }
    (blocks, teach::done(&nears))
}

fn said(question: &Question, ask: &lessons::Ask, answer: Answer) -> String {
    match answer {
        Answer::Number(number) => measured(number),
        Answer::Choice(place) => choice(question, ask, place),
    }
}

fn choice(question: &Question, ask: &lessons::Ask, place: usize) -> String {
    format!("{}) {}", lessons::letter(place), ask.choice[&question.choice[place].id].trim())
}

fn is(question: &Question, ask: &lessons::Ask, truth: &Truth, texts: &Catalogue) -> String {
    let unknown = |why: &str| texts.say("unknown", &[("why", why)]);
    match (truth, question.right(truth)) {
        (Truth::Unknown(why), _) => unknown(why),
        (Truth::Number(value), Some(place)) if question.choice[place].up_to.is_some() => {
            let value = measured(*value);
            let value = question.figure.metric().map_or(value.clone(), |metric| format!("{metric} {value}"));
            format!("{}  [{value}]", choice(question, ask, place))
        }
        (_, Some(place)) => choice(question, ask, place),
        (Truth::Number(value), None) => measured(*value),
        (Truth::Word(word), None) => word.clone(),
    }
}

fn verdict(question: &Question, near: Near, texts: &Catalogue) -> String {
    match near {
        Near::Right if question.choice.is_empty() => texts.say("near", &[]),
        Near::Right => texts.say("right", &[]),
        Near::Times(times) if times >= 1.0 => texts.say("too_much", &[("times", &measured(times))]),
        Near::Times(times) => texts.say("too_little", &[("times", &measured(1.0 / times))]),
        Near::By(by) if by >= 0.0 => texts.say("by_too_much", &[("by", &measured(by))]),
        Near::By(by) => texts.say("by_too_little", &[("by", &measured(-by))]),
        Near::Other if question.choice.len() > 2 => texts.say("other_of_many", &[]),
        Near::Other => texts.say("other", &[]),
        Near::Unknown => texts.say("not_judged", &[]),
    }
}

/// A bar for what was said and one for what is, by the same scale.
fn bars(answer: Option<Answer>, truth: &Truth, utf8: bool) -> [String; 2] {
    let (said, is) = match (answer, truth) {
        (Some(Answer::Number(said)), Truth::Number(is)) => (said, *is),
        _ => return Default::default(),
    };
    let top = said.max(is);
    let mark = if utf8 { "█" } else { "#" };
    [said, is].map(|value| {
        let length = if top > 0.0 { (value.max(0.0) / top * BAR as f64).ceil() as usize } else { 0 };
        mark.repeat(length)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_stays_with_what_came_of_it() {
        let steps = ["kill w0", "result w1 -> asleep", "start w1"].map(String::from);
        assert_eq!(packed(&steps, 20), ["kill w0;", "result w1 -> asleep;", "start w1"]);
        assert_eq!(packed(&steps, 40), ["kill w0; result w1 -> asleep; start w1"]);
        assert!(packed(&[], 40).is_empty());
    }
}
