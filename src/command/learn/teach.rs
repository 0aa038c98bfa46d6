//! One lesson: what to know, the question with its drawing, predictions, the run,
//! what came of it, why, and what to try next.

use super::console::{Console, Heard, Stop, is_quit};
use super::outcome;
use super::progress::Done;
use crate::command::Failure;
use crate::command::measure::{self, How, Purpose};
use crate::experiment::cells::Set;
use crate::lessons::{self, Answer, Ask, Catalogue, Lesson, Near, Question, Run, Text, Wrong, paragraphs};
use crate::report;
use crate::results::Results;
use crate::runner::Wish;
use crate::words::columns;

/// How often a question is asked when what was typed is no answer.
const TRIES: usize = 3;
/// The event that is drawn; by then caches are warm.
const DRAWN: u64 = 10;

/// Why a lesson did not go to its end.
pub enum Halt {
    Stop(Stop),
    Failure(Failure),
}

impl From<Stop> for Halt {
    fn from(stop: Stop) -> Halt {
        Halt::Stop(stop)
    }
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Halt {
        Halt::Failure(failure)
    }
}

/// Takes a student through a lesson.
pub fn lesson(console: &mut Console, place: usize, texts: &Catalogue) -> Result<Done, Halt> {
    let lesson = &lessons::all()[place];
    let text = &texts.lesson[&lesson.id];
    let number = (place + 1).to_string();
    let title = texts.say("title", &[("number", &number), ("title", &text.title)]);
    let go_on = texts.say("go_on", &[]);
    let width = console.width;

    let mut before = vec![console.heading(&title), String::new()];
    before.extend(paragraphs(&text.before, width));
    console.show(&[before], &go_on)?;
    let question = question(text, width);
    if !console.is_paged() {
        console.lines(&question)?;
    }
    let answers = predict(console, lesson, text, texts, &title, &question)?;

    let mut running = vec![texts.say("running", &[])];
    running.extend(commands(lesson).iter().flat_map(|command| folded(command, width)));
    if console.is_paged() {
        running.splice(..0, [console.heading(&title), String::new()]);
    }
    running.insert(0, String::new());
    console.page(&running)?;
    let results = measured(lesson)?;
    let stored = if lesson.kernels { outcome::stored()? } else { Vec::new() };
    let heading = console.heading(&texts.say("result", &[("title", &text.title)]));
    let mut blocks = vec![vec![heading]];
    blocks.extend(outcome::tables(lesson, &results, &stored, console, texts));
    let (compared, done) = outcome::compared(lesson, text, &answers, &results, &stored, console, texts);
    blocks.extend(compared);
    console.show(&blocks, &go_on)?;

    let blocks = afterwards(lesson, text, console, texts);
    console.show(&blocks, &go_on)?;
    Ok(done)
}

/// What must stay in sight while one thinks.
fn question(text: &Text, width: usize) -> Vec<String> {
    let mut lines = paragraphs(&text.question, width);
    lines.push(String::new());
    lines.extend(text.drawing.trim_matches('\n').lines().map(|line| format!("  {line}").trim_end().to_owned()));
    lines
}

/// The text of a question and its choices.
fn asked(question: &Question, ask: &Ask, width: usize) -> Vec<String> {
    let mut lines = paragraphs(&ask.text, width);
    for (place, choice) in question.choice.iter().enumerate() {
        let text = paragraphs(&ask.choice[&choice.id], width - 6);
        for (at, line) in text.iter().enumerate() {
            let mark = if at == 0 { format!("{})", lessons::letter(place)) } else { "  ".into() };
            lines.push(format!("  {mark} {line}"));
        }
    }
    lines
}

fn predict(
    console: &mut Console,
    lesson: &Lesson,
    text: &Text,
    texts: &Catalogue,
    title: &str,
    question: &[String],
) -> Result<Vec<Option<Answer>>, Halt> {
    let mut answers = Vec::new();
    for (at, one) in lesson.ask.iter().enumerate() {
        let mut lines = asked(one, &text.ask[&one.id], console.width);
        if lesson.ask.len() > 1 {
            let (number, all) = ((at + 1).to_string(), lesson.ask.len().to_string());
            lines.insert(0, texts.say("ask_number", &[("number", &number), ("all", &all)]));
        }
        let page = page(console.heading(title), question, lines, console.height, console.is_paged());
        answers.push(answer(console, one, texts, &page)?);
    }
    Ok(answers)
}

/// Title, question, drawing and what is asked. On a low or narrow terminal the drawing
/// gives way; the question never does.
fn page(title: String, question: &[String], asked: Vec<String>, height: usize, whole: bool) -> Vec<String> {
    let mut lines = vec![String::new()];
    if whole {
        lines = vec![title, String::new()];
        // One line is kept for a word about an answer that is none.
        let room = height.saturating_sub(asked.len() + 4);
        let drawing = question.iter().position(String::is_empty).unwrap_or(question.len());
        lines.extend_from_slice(if question.len() <= room { question } else { &question[..drawing] });
        lines.push(String::new());
    }
    lines.extend(asked);
    lines
}

/// Asks until there is an answer, or none is wanted.
fn answer(
    console: &mut Console,
    question: &Question,
    texts: &Catalogue,
    page: &[String],
) -> Result<Option<Answer>, Halt> {
    let mut lines = page.to_vec();
    for tries in 1..=TRIES {
        console.page(&lines)?;
        if !console.listens() {
            return Ok(None);
        }
        console.write(&format!("{} ", texts.say("prompt", &[])))?;
        let typed = match console.line()? {
            Heard::End if console.is_paged() => return Err(Stop::Enough.into()),
            Heard::End => {
                console.write("\n")?;
                return Ok(None);
            }
            Heard::Line(line) => line,
        };
        if !console.is_paged() {
            // What came through a pipe is not on the screen yet.
            console.write(&format!("{typed}\n"))?;
        }
        if is_quit(&typed) {
            return Err(Stop::Enough.into());
        }
        if typed.is_empty() {
            return Ok(None);
        }
        let wrong = match question.answer(&typed) {
            Ok(answer) => return Ok(Some(answer)),
            Err(wrong) => wrong,
        };
        let typed: String = typed.chars().take(20).filter(|c| !c.is_control()).collect();
        let why = match wrong {
            Wrong::Number { least, most } => {
                let (least, most) = (report::measured(least), report::measured(most));
                texts.say("no_number", &[("typed", &typed), ("least", &least), ("most", &most)])
            }
            Wrong::Letter { last } => texts.say("no_letter", &[("typed", &typed), ("last", &last.to_string())]),
        };
        let again = if tries < TRIES { why } else { texts.say("no_answer", &[]) };
        lines = if console.is_paged() { page.iter().cloned().chain([again]).collect() } else { vec![again] };
    }
    if !console.is_paged() {
        console.lines(&lines)?;
    }
    Ok(None)
}

/// A command in lines, as a shell takes it: cut only between its words.
fn folded(words: &[String], width: usize) -> Vec<String> {
    let mut lines = vec![String::from(" ")];
    for word in words {
        let line = lines.last_mut().expect("never empty");
        if columns(line) + 1 + columns(word) + 2 > width {
            line.push_str(" \\");
            lines.push(format!("    {word}"));
        } else {
            line.push_str(&format!(" {word}"));
        }
    }
    lines
}

/// The commands that do what the lesson is about to do, in words that stay together.
fn commands(lesson: &Lesson) -> Vec<Vec<String>> {
    let quoted = |text: &String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_:.=,".contains(c);
        if text.chars().all(plain) { text.clone() } else { format!("'{text}'") }
    };
    let one = |run: &Run| {
        let names = run.names.iter().map(quoted);
        let sets = run.set.iter().map(|set| format!("--set {}", quoted(set)));
        std::iter::once("herd run".to_owned()).chain(names).chain(sets).collect()
    };
    lesson.run.iter().map(one).collect()
}

/// Runs what the lesson runs, as `herd run` does; what cannot be had here is skipped.
fn measured(lesson: &Lesson) -> Result<Results, Halt> {
    let mut all: Option<Results> = None;
    for run in &lesson.run {
        let sets: Vec<Set> = run
            .set
            .iter()
            .map(|set| set.parse().map_err(|e| Failure::usage(format!("{}: {set}: {e}", lesson.id))))
            .collect::<Result<_, _>>()?;
        let purpose = Purpose::Check { cross_check: false };
        let experiments = measure::chosen(&run.names)?;
        let cells = measure::planned(&experiments, &sets, purpose)?;
        let wish = Wish { timeline: run.lanes.then_some(DRAWN), ..Wish::default() };
        let how = How { repeat: 1, wish: &wish, quiet: false, purpose };
        let (results, stopped) = measure::measure(&experiments, &cells, &how)?;
        if let Some(signal) = stopped {
            return Err(Stop::Signal(signal).into());
        }
        match &mut all {
            None => all = Some(results),
            Some(known) => {
                known.experiments.extend(results.experiments);
                known.cells.extend(results.cells);
            }
        }
    }
    Ok(all.unwrap_or_else(|| Results::new(crate::environment::read(), &[])))
}

/// What is read after the run.
fn afterwards(lesson: &Lesson, text: &Text, console: &Console, texts: &Catalogue) -> Vec<Vec<String>> {
    let width = console.width;
    let part = |key: &str, text: &str| {
        let mut lines = vec![console.heading(&texts.say(key, &[]))];
        lines.extend(paragraphs(text, width));
        lines
    };
    let mut blocks = vec![part("happened", &text.happened)];
    blocks.push(part("wrong", &text.wrong));
    if !text.article.is_empty() {
        let mut lines = vec![console.heading(&texts.say("article", &[]))];
        let mut boxed = paragraphs(&text.article, width - 4);
        let commands: Vec<String> = lesson.claims.iter().map(|id| format!("herd explain {id}")).collect();
        boxed.push(texts.say("article_more", &[("commands", &commands.join("; "))]));
        lines.extend(boxed.iter().map(|line| format!("  | {line}")));
        blocks.push(lines);
    }
    let mut reading = vec![console.heading(&texts.say("read", &[]))];
    let (functions, man) = (lesson.read.join("; "), lesson.man.join("; "));
    for (key, listed) in [("read_functions", &functions), ("read_man", &man), ("read_since", &text.since)] {
        if !listed.is_empty() {
            let lines = paragraphs(&texts.say(key, &[("names", listed)]), width - 4);
            reading.extend(lines.iter().enumerate().map(|(at, line)| {
                let by = if at == 0 { 2 } else { 4 };
                format!("{:by$}{line}", "")
            }));
        }
    }
    blocks.push(reading);
    let mut next = vec![console.heading(&texts.say("next", &[]))];
    let commands = [&lesson.next, &lesson.also].into_iter().filter(|command| !command.is_empty());
    next.extend(commands.map(|command| format!("  {command}")));
    next.extend(paragraphs(&text.next, width));
    blocks.push(next);
    blocks
}

/// How many predictions there were, and how many of them were near.
pub fn done(nears: &[Option<Near>]) -> Done {
    Done {
        predicted: nears.iter().flatten().filter(|near| **near != Near::Unknown).count(),
        near: nears.iter().flatten().filter(|near| **near == Near::Right).count(),
        asked: nears.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_cut_between_their_words() {
        for lesson in lessons::all() {
            for command in commands(lesson) {
                let lines = folded(&command, 60);
                assert!(lines.iter().all(|line| columns(line) <= 60), "{lines:#?}");
                let joined: Vec<&str> = lines.iter().map(|line| line.trim_end_matches(" \\").trim()).collect();
                assert_eq!(joined.join(" "), command.join(" "));
            }
        }
    }

    #[test]
    fn the_drawing_gives_way_on_a_low_terminal() {
        let question: Vec<String> = ["question", "", "drawing", "drawing"].map(String::from).into();
        let asked = vec!["asked".to_owned(); 5];
        let shown = |height| page("title".into(), &question, asked.clone(), height, true);
        assert_eq!(shown(13).len(), 12);
        assert!(shown(13).contains(&"drawing".to_owned()));
        assert!(!shown(12).contains(&"drawing".to_owned()) && shown(12).contains(&"question".to_owned()));
    }
}
