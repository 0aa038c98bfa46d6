//! Every lesson is whole: both languages say it, what it runs exists, each question has
//! one place where its answer is read, and the command to try is one.

use std::collections::{BTreeMap, BTreeSet};

use clap::Parser;

use super::*;
use crate::analysis::metrics;
use crate::cli::{Cli, Command};
use crate::experiment::cells::Set;
use crate::experiment::{Cell, Experiment, embedded};
use crate::results::Verdict;
use crate::words::{Language, claims, columns};

const BOTH: [Language; 2] = [Language::English, Language::Chinese];

/// The figures of a text: what a translation must not change.
fn figures(text: &str) -> BTreeSet<String> {
    let pieces = text.split(|c: char| !c.is_ascii_digit() && c != '.').map(|piece| piece.trim_matches('.').to_owned());
    pieces.filter(|piece| piece.contains('.') || piece.len() > 1).collect()
}

#[test]
fn both_languages_say_the_same() {
    let [en, zh] = BOTH.map(catalogue);
    let keys = |of: &BTreeMap<String, String>| of.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&en.says), keys(&zh.says));
    for (key, text) in &en.says {
        let blanks = |text: &str| {
            text.split('{').skip(1).map(|rest| rest.split('}').next().unwrap().to_owned()).collect::<BTreeSet<_>>()
        };
        assert_eq!(blanks(text), blanks(&zh.says[key]), "{key}: what is filled in");
    }
    let ids: BTreeSet<&String> = all().iter().map(|lesson| &lesson.id).collect();
    assert_eq!(ids.len(), all().len(), "a lesson stands twice");
    for texts in [en, zh] {
        assert_eq!(ids, texts.lesson.keys().collect());
    }
    for lesson in all() {
        let (a, b) = (&en.lesson[&lesson.id], &zh.lesson[&lesson.id]);
        for (what, a, b) in [
            ("title", &a.title, &b.title),
            ("before", &a.before, &b.before),
            ("question", &a.question, &b.question),
            ("drawing", &a.drawing, &b.drawing),
            ("happened", &a.happened, &b.happened),
            ("wrong", &a.wrong, &b.wrong),
            ("article", &a.article, &b.article),
            ("since", &a.since, &b.since),
            ("next", &a.next, &b.next),
        ] {
            same(&format!("{}: {what}", lesson.id), a, b);
            assert!(matches!(what, "article" | "since") || !a.trim().is_empty(), "{}: no {what}", lesson.id);
        }
        let asked: BTreeSet<&String> = lesson.ask.iter().map(|question| &question.id).collect();
        assert_eq!(asked.len(), lesson.ask.len(), "{}: a question stands twice", lesson.id);
        assert_eq!(asked, a.ask.keys().collect(), "{}", lesson.id);
        assert_eq!(asked, b.ask.keys().collect(), "{}", lesson.id);
        for question in &lesson.ask {
            let choices: BTreeSet<&String> = question.choice.iter().map(|choice| &choice.id).collect();
            let (a, b) = (&a.ask[&question.id], &b.ask[&question.id]);
            let of = format!("{}, {}", lesson.id, question.id);
            same(&of, &a.text, &b.text);
            same(&of, &a.label, &b.label);
            assert_eq!(choices, a.choice.keys().collect(), "{of}");
            assert_eq!(choices, b.choice.keys().collect(), "{of}");
            choices.iter().for_each(|id| same(&of, &a.choice[*id], &b.choice[*id]));
        }
    }
}

#[track_caller]
fn same(of: &str, en: &str, zh: &str) {
    assert_eq!(en.is_empty(), zh.is_empty(), "{of} is there in one language only");
    assert!(en.is_ascii(), "{of}: English must show on any terminal: {en}");
    assert!(
        en.is_empty() || zh.chars().any(|c| c > '\u{2e80}') || zh.starts_with("herd") || !zh.contains(' '),
        "{of}: not translated: {zh}"
    );
    assert_eq!(figures(en), figures(zh), "{of} has other figures");
}

/// What a lesson runs, as cells.
fn cells(lesson: &Lesson) -> Vec<Cell> {
    let mut cells = Vec::new();
    for run in &lesson.run {
        let sets: Vec<Set> = run.set.iter().map(|set| set.parse().unwrap_or_else(|e| panic!("{set}: {e}"))).collect();
        for asked in &run.names {
            let (name, row) = asked.split_once(':').map_or((asked.as_str(), None), |(name, row)| (name, Some(row)));
            let mut experiment: Experiment =
                embedded::find(name).unwrap_or_else(|| panic!("{}: no experiment {name}", lesson.id)).unwrap();
            if let Some(row) = row {
                experiment.rows.retain(|known| known.name == row);
                assert_eq!(experiment.rows.len(), 1, "{}: {name} has no row {row}", lesson.id);
            }
            cells.extend(experiment.cells(&sets).unwrap_or_else(|e| panic!("{}: {e}", lesson.id)));
        }
    }
    assert!(!cells.is_empty() && cells.len() <= 40, "{}: {} cells", lesson.id, cells.len());
    cells
}

/// How many cells a row at some axes is.
fn matches(cells: &[Cell], figure: &Figure, row: &str, at: &BTreeMap<String, String>) -> usize {
    let fits = |cell: &&Cell| {
        cell.row == row
            && (figure.experiment.is_empty() || figure.experiment == cell.experiment)
            && at.iter().all(|(key, value)| cell.axes.iter().any(|axis| (&axis.0, &axis.1) == (key, value)))
    };
    cells.iter().filter(fits).count()
}

#[test]
fn every_answer_is_read_in_one_place() {
    for lesson in all() {
        let cells = cells(lesson);
        for metric in lesson.run.iter().flat_map(|run| &run.show) {
            assert!(metrics::column(metric).is_some(), "{}: no column {metric}", lesson.id);
        }
        assert!(!lesson.ask.is_empty() && !lesson.read.is_empty() && !lesson.man.is_empty(), "{}", lesson.id);
        for question in &lesson.ask {
            let (figure, of) = (&question.figure, format!("{}, {}", lesson.id, question.id));
            let metric = |name: &str| assert!(metrics::find(name).is_some(), "{of}: no metric {name}");
            let one = |row: &str, at: &BTreeMap<String, String>| {
                assert_eq!(matches(&cells, figure, row, at), 1, "{of}: cells of {row} at {at:?}");
            };
            match &figure.value {
                Value::Metric(name) | Value::Percent(name) => metric(name),
                Value::Share { metric: name, of } => [name, of].into_iter().for_each(|name| metric(name)),
                Value::Times { metric: name, of } => {
                    metric(name);
                    one(of, &figure.at);
                }
                Value::TimesAt { metric: name, at } => {
                    metric(name);
                    one(&figure.row, at);
                }
                Value::Count { metric: name, .. } | Value::Most(name) | Value::Least(name) => metric(name),
                Value::First(step) | Value::Last(step) => {
                    let cell = cells.iter().find(|cell| cell.row == figure.row).unwrap_or_else(|| panic!("{of}"));
                    let known = cell.settings.script.iter().any(|line| line.split(" -> ").next() == Some(step));
                    assert!(known, "{of}: {} has no step {step:?}", figure.row);
                }
            }
            match &figure.value {
                Value::Count { .. } | Value::Most(_) | Value::Least(_) => assert!(figure.row.is_empty(), "{of}"),
                _ => one(&figure.row, &figure.at),
            }
            if !figure.kernel.is_empty() {
                let stored = by_release();
                let known = figure.read(&[], &stored);
                assert!(matches!(known, Truth::Number(_)), "{of}: {known:?}");
            }
            let rows: BTreeSet<&str> = cells.iter().map(|cell| cell.row.as_str()).collect();
            for choice in &question.choice {
                assert!(choice.up_to.is_some() == choice.is.is_empty(), "{of}: {} is never right, or twice", choice.id);
                if matches!(figure.value, Value::Most(_) | Value::Least(_)) {
                    assert!(choice.is.iter().all(|row| rows.contains(row.as_str())), "{of}: {}", choice.id);
                }
            }
            if matches!(figure.value, Value::Most(_) | Value::Least(_)) {
                let said: BTreeSet<&str> =
                    question.choice.iter().flat_map(|choice| &choice.is).map(String::as_str).collect();
                assert_eq!(rows, said, "{of}: each row is one of the choices");
            }
        }
    }
}

fn by_release() -> Vec<Kernel> {
    stored().unwrap().into_iter().map(Kernel::from).collect()
}

#[test]
fn the_stored_kernels_ran_what_the_lesson_runs() {
    let stored = by_release();
    assert_eq!(stored.len(), 4);
    for lesson in all().iter().filter(|lesson| lesson.kernels) {
        for cell in cells(lesson) {
            for Kernel { release, cells } in &stored {
                let found = cells.iter().filter(|known| known.id == cell.id).count();
                assert_eq!(found, 1, "{}: {} on {release}", lesson.id, cell.id);
            }
        }
    }
    assert!(stored.iter().flat_map(|kernel| &kernel.cells).all(|cell| cell.verdict != Verdict::Invalid));
}

/// A busy machine may leave it undecided if a cell is as expected; it has run, though.
#[test]
fn what_is_undecided_has_figures() {
    let mut cells = by_release().remove(0).cells;
    let skipped = cells.iter().find(|cell| cell.verdict == Verdict::Skip).expect("5.10 has no multishot accept");
    assert!(!is_known(skipped), "{}", skipped.id);
    let asked = all().iter().find(|lesson| lesson.kernels).and_then(|lesson| lesson.ask.first()).unwrap();
    let figure = Figure { kernel: String::new(), ..asked.figure.clone() };
    let cell = cells.iter_mut().find(|cell| cell.row == figure.row).unwrap();
    for (verdict, known) in [(Verdict::Pass, true), (Verdict::Skip, true), (Verdict::Invalid, false)] {
        cell.verdict = verdict;
        let read = figure.read(std::slice::from_ref(cell), &[]);
        assert_eq!(matches!(read, Truth::Number(_)), known, "{verdict:?}: {read:?}");
    }
}

/// The words of a command, as a shell takes them.
fn shell_words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    assert!(!quoted, "{text}");
    words
}

#[test]
fn every_command_to_try_is_one() {
    for (lesson, command) in all().iter().flat_map(|lesson| [(lesson, &lesson.next), (lesson, &lesson.also)]) {
        if command.is_empty() && *command == lesson.also {
            continue;
        }
        assert!(command.len() <= 76, "{}: {command}", lesson.id);
        let cli = Cli::try_parse_from(shell_words(command)).unwrap_or_else(|e| panic!("{}: {e}", lesson.id));
        let (names, sets) = match cli.command.expect("a command") {
            Command::Run(args) => (args.experiments, args.measure.sets),
            Command::Timeline(args) => (vec![args.experiment], args.sets),
            Command::Watch(args) => (vec![args.experiment], args.sets),
            _ => continue,
        };
        for name in names {
            let (name, row) = name.split_once(':').map_or((name.as_str(), None), |(name, row)| (name, Some(row)));
            let found = embedded::find(name).unwrap_or_else(|| panic!("{}: no experiment {name}", lesson.id)).unwrap();
            assert!(row.is_none_or(|row| found.rows.iter().any(|known| known.name == row)), "{}: {name}", lesson.id);
            found.cells(&sets).unwrap_or_else(|e| panic!("{}: {e}", lesson.id));
        }
    }
}

#[test]
fn where_the_article_is_quoted_its_claims_are_named() {
    for lesson in all() {
        let quoted = !catalogue(Language::English).lesson[&lesson.id].article.is_empty();
        assert_eq!(quoted, !lesson.claims.is_empty(), "{}: {:?}", lesson.id, lesson.claims);
        for id in &lesson.claims {
            assert!(claims::find(id).is_some(), "{}: no claim {id}", lesson.id);
        }
        let commands = "herd explain S00; ".len() * lesson.claims.len();
        assert!(commands <= 44, "{}: they do not fit the narrowest terminal", lesson.id);
    }
}

#[test]
fn nothing_is_wider_than_the_narrowest_terminal() {
    for (lesson, language) in all().iter().flat_map(|lesson| BOTH.map(|language| (lesson, language))) {
        let text = &catalogue(language).lesson[&lesson.id];
        let all = [&text.before, &text.question, &text.happened, &text.wrong, &text.article, &text.next];
        let drawn = text.drawing.lines().map(|line| format!("  {line}"));
        for line in all.into_iter().flat_map(|text| paragraphs(text, 60)).chain(drawn) {
            assert!(columns(&line) <= 60, "{}: {} columns: {line}", lesson.id, columns(&line));
        }
    }
}

/// Tables are drawn 80 columns wide at most: the widest row, each heading, and what
/// stands behind.
#[test]
fn tables_fit_a_terminal() {
    let runs = all().iter().flat_map(|lesson| lesson.run.iter().map(move |run| (lesson, run)));
    for (lesson, run, name) in runs.flat_map(|(lesson, run)| run.names.iter().map(move |name| (lesson, run, name))) {
        let experiment = embedded::find(name.split(':').next().unwrap()).unwrap().unwrap();
        // Without columns of its own a run has those of the experiment.
        let table = &experiment.layout;
        let shown = match (run.show.is_empty(), &table.pivot) {
            (false, _) => &run.show,
            (true, None) => &table.show,
            (true, Some(_)) => continue,
        };
        let cells = cells(lesson);
        let studies = cells.iter().filter(|cell| run.has(&cell.experiment)).all(|cell| cell.settings.is_study());
        let row = cells.iter().filter(|cell| run.has(&cell.experiment)).map(|cell| cell.row.len()).max().unwrap();
        let heading = |metric: &String| {
            if metric.starts_with("state_") {
                return 1;
            }
            let name = metric.strip_suffix("_per_event").unwrap_or(metric);
            name.strip_prefix("spurious_").unwrap_or(name).len().max(if name == "claims_by_worker" { 23 } else { 4 })
        };
        let columns: usize = shown.iter().map(|metric| heading(metric) + 3).sum();
        // A study says what was seen in few cases only.
        let work = if studies { 0 } else { "16 of 16".len() + 3 };
        let all = row + 3 + columns + work + "check".len();
        assert!(all <= 80, "{}, {name}: {all} columns", lesson.id);
    }
}

#[test]
fn paragraphs_are_joined_and_cut() {
    assert_eq!(paragraphs("a b\nc d\n\n  x  y\ne", 80), ["a b c d", "", "  x  y", "e"]);
    assert_eq!(paragraphs("一二\n三四\nab", 80), ["一二三四 ab"]);
    assert_eq!(paragraphs("一二。\nab\n（三）", 80), ["一二。ab（三）"]);
    assert_eq!(paragraphs("aa bb cc", 5), ["aa bb", "cc"]);
}

#[test]
fn a_lesson_is_found_by_number_and_name() {
    let herd = all().iter().position(|lesson| lesson.id == "L06-herd");
    for name in ["L06-herd", "l06-HERD", "herd", "L06"] {
        assert_eq!(find(name), herd, "{name}");
    }
    assert_eq!((find("1"), find("0"), find("99"), find("wombat")), (Some(0), None, None, None));
}

/// A question with a figure that does not matter.
fn question(more: &str) -> Question {
    toml::from_str(&format!("id = \"q\"\nfigure = {{ value = {{ metric = \"wakeups\" }} }}\n{more}")).unwrap()
}

#[test]
fn answers_are_read_as_people_type_them() {
    let number = question("most = 5000");
    for (typed, wanted) in [
        ("8", 8.0),
        (" 0.5 ", 0.5),
        ("1,000", 1000.0),
        ("50 us", 50.0),
        ("50us", 50.0),
        ("12.5%", 12.5),
        ("1e3", 1000.0),
        ("3x", 3.0),
    ] {
        assert_eq!(number.answer(typed), Ok(Answer::Number(wanted)), "{typed}");
    }
    for typed in ["abc", "", "-1", "5001", "1 or 2", "nan", "inf", "1.2.3", "..", "八", "e", "2 3"] {
        assert_eq!(number.answer(typed), Err(Wrong::Number { least: 0.0, most: 5000.0 }), "{typed}");
    }
    let choice = question("choice = [{ id = \"one\", up_to = 1.5 }, { id = \"all\", up_to = 100 }]");
    for (typed, place) in [("a", 0), ("B", 1), ("b)", 1), ("one", 0), (" a. ", 0)] {
        assert_eq!(choice.answer(typed), Ok(Answer::Choice(place)), "{typed}");
    }
    for typed in ["c", "1", "ab", ""] {
        assert_eq!(choice.answer(typed), Err(Wrong::Letter { last: 'b' }), "{typed}");
    }
}

#[test]
fn answers_are_compared_with_what_is_true() {
    let near = |more: &str, said: f64, is: f64| question(more).near(Answer::Number(said), &Truth::Number(is));
    assert_eq!(near("within = 0.5", 8.0, 8.02), Near::Right);
    assert_eq!(near("within = 0.5", 1.0, 8.0), Near::Times(0.125));
    assert_eq!(near("factor = 3", 100.0, 40.0), Near::Right);
    assert_eq!(near("factor = 3", 100.0, 20.0), Near::Times(5.0));
    assert_eq!(near("within = 0.5", 8.0, 0.0), Near::By(8.0));
    assert_eq!(near("within = 0.5", 0.0, 8.0), Near::By(-8.0));
    assert_eq!(question("").near(Answer::Number(1.0), &Truth::Unknown("no".into())), Near::Unknown);
    let choice = question("choice = [{ id = \"one\", up_to = 1.5 }, { id = \"all\", up_to = 100 }]");
    assert_eq!(choice.near(Answer::Choice(0), &Truth::Number(1.0)), Near::Right);
    assert_eq!(choice.near(Answer::Choice(0), &Truth::Number(8.0)), Near::Other);
    assert_eq!(choice.near(Answer::Choice(0), &Truth::Number(800.0)), Near::Unknown);
    let words = question("choice = [{ id = \"a\", is = [\"asleep\"] }, { id = \"b\", is = [\"1\"] }]");
    assert_eq!(words.near(Answer::Choice(0), &Truth::Word("asleep".into())), Near::Right);
    assert_eq!(words.near(Answer::Choice(1), &Truth::Number(1.0)), Near::Right);
    assert_eq!(words.right(&Truth::Word("EBADF".into())), None);
}
