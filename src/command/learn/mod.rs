//! `herd learn`: the lessons, one after the other, with what was done so far.

mod console;
mod outcome;
mod progress;
mod teach;

use std::io::IsTerminal;

use self::console::{Console, Stop, padded};
use self::progress::{Progress, Store};
use self::teach::Halt;
use super::{Failure, locale, print};
use crate::cli::LearnArgs;
use crate::exit::Exit;
use crate::experiment::keys;
use crate::lessons::{self, Catalogue, Lesson};

pub fn run(args: &LearnArgs) -> Result<Exit, Failure> {
    let texts = lessons::catalogue(locale::language(args.lang));
    let mut store = Store::of_user();
    let progress = store.as_ref().map(Store::read).transpose()?.unwrap_or_default();
    if args.list {
        list(&progress, texts)?;
        return Ok(Exit::Pass);
    }
    let chosen = chosen(args.lesson.as_deref(), &progress)?;
    if chosen.is_empty() {
        print(|out| writeln!(out, "{}", texts.say("all_done", &[])))?;
        return Ok(Exit::Pass);
    }
    if store.is_none() {
        eprintln!("herd: progress is not kept: neither XDG_STATE_HOME nor HOME is the path of a folder");
    }
    let mut console = Console::open(!args.no_questions, locale::utf8())?;
    if console.listens() && !std::io::stdout().is_terminal() && std::io::stdin().is_terminal() {
        eprintln!("herd: answers are read from here, the lesson goes elsewhere; --no-questions asks none");
    }
    for (at, place) in chosen.iter().enumerate() {
        let lesson = &lessons::all()[*place];
        match teach::lesson(&mut console, *place, texts) {
            Ok(done) => store = keep(store, lesson, done),
            Err(halt) => return end(halt, texts),
        }
        let prompt = texts.say("next_lesson", &[]);
        if at + 1 < chosen.len()
            && let Err(stop) = console.pause(&prompt)
        {
            return end(stop.into(), texts);
        }
    }
    if args.lesson.is_none() {
        print(|out| writeln!(out, "{}", texts.say("finished", &[])))?;
    }
    Ok(Exit::Pass)
}

/// The lessons to go through: the one asked for, else those that are not done.
fn chosen(asked: Option<&str>, progress: &Progress) -> Result<Vec<usize>, Failure> {
    let all = lessons::all();
    let Some(name) = asked else {
        return Ok((0..all.len()).filter(|place| !progress.lessons.contains_key(&all[*place].id)).collect());
    };
    let found = lessons::find(name).ok_or_else(|| {
        let near = keys::did_you_mean(name, all.iter().map(|lesson| lesson.id.as_str()));
        Failure::usage(format!("no lesson {name:?}{near}; there are 1 to {} (see `herd learn --list`)", all.len()))
    })?;
    Ok(vec![found])
}

/// Keeps that a lesson is done. Where that cannot be had, the course goes on without.
fn keep(store: Option<Store>, lesson: &Lesson, done: progress::Done) -> Option<Store> {
    let store = store?;
    match store.add(&lesson.id, done) {
        Ok(()) => Some(store),
        Err(failure) => {
            eprintln!("herd: {failure}; the lessons go on without");
            None
        }
    }
}

/// What a course that was cut short says and how it exits.
fn end(halt: Halt, texts: &Catalogue) -> Result<Exit, Failure> {
    let exit = match halt {
        Halt::Failure(failure) => return Err(failure),
        Halt::Stop(Stop::Unread) => return Ok(Exit::Pass),
        Halt::Stop(Stop::Failed(why)) => return Err(Failure::machine(why)),
        Halt::Stop(Stop::Enough) => Exit::Pass,
        Halt::Stop(Stop::Signal(signal)) => Exit::Signal(signal),
    };
    print(|out| writeln!(out, "\n{}", texts.say("stopped", &[])))?;
    Ok(exit)
}

/// Every lesson, and how it went.
fn list(progress: &Progress, texts: &Catalogue) -> Result<(), Failure> {
    let all = lessons::all();
    let done = all.iter().filter(|lesson| progress.lessons.contains_key(&lesson.id)).count();
    let next = all.iter().position(|lesson| !progress.lessons.contains_key(&lesson.id));
    print(|out| {
        let counts = [("done", done.to_string()), ("all", all.len().to_string())];
        writeln!(out, "{}\n", texts.say("list", &[("done", &counts[0].1), ("all", &counts[1].1)]))?;
        let width = all.iter().map(|lesson| lesson.id.len()).max().unwrap_or(0);
        for (place, lesson) in all.iter().enumerate() {
            let state = match progress.lessons.get(&lesson.id) {
                Some(done) if done.predicted > 0 => {
                    let (near, asked) = (done.near.to_string(), done.asked.to_string());
                    texts.say("list_done", &[("near", &near), ("asked", &asked)])
                }
                Some(_) => texts.say("list_seen", &[]),
                None if next == Some(place) => texts.say("list_next", &[]),
                None => String::new(),
            };
            let title = &texts.lesson[&lesson.id].title;
            let line = format!("{:>3}  {:width$}  {}  {title}", place + 1, lesson.id, padded(&state, 13));
            writeln!(out, "{}", line.trim_end())?;
        }
        writeln!(out, "\n{}", texts.say("list_how", &[]))
    })
}
