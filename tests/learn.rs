//! `herd learn` from outside: with input from a pipe, its list, a state file that is
//! not ours, terminals that are too small, and a lesson taken in tmux at 80x24.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lab::processes::Mark;
use lab::{Folder, Said, finish, herd, in_repository, skipped, spawn, until};

mod lab;

/// How long a lesson or a page may take on a starved machine.
const LIMIT: Duration = Duration::from_secs(120);

/// `herd learn` with its state in that folder and `input` typed into a pipe.
#[track_caller]
fn learn(state: &Folder, args: &[&str], input: &str) -> Said {
    let mut command = learning(state, args);
    command.stdin(Stdio::piped());
    let mut running = spawn(&mut command);
    let mut pipe = running.0.stdin.take().unwrap();
    // It may end before it has read all.
    let _ = pipe.write_all(input.as_bytes());
    drop(pipe);
    finish(running)
}

fn learning(state: &Folder, args: &[&str]) -> Command {
    let mut command = herd(std::iter::once("learn").chain(args.iter().copied()));
    command.env("XDG_STATE_HOME", state.path());
    command
}

fn kept(state: &Folder) -> String {
    std::fs::read_to_string(state.path().join("herd/learn.json")).unwrap()
}

/// The lesson that costs least: a script of two processes.
const CHEAP: &str = "where";

#[test]
fn answers_come_from_a_pipe_line_by_line() {
    let state = Folder::new();
    let said = learn(&state, &["--lesson", CHEAP], "c\nwombat\nb\n\n").exits(0).shows(&[
        "Where do waiters wait?",
        "Prediction 1 of 3",
        "herd run fd-is-not-the-queue shared-ofd",
        "close does not wake:\n  w1: close s0; result w0 -> asleep; write s1; result w0 -> 1;",
        "  you       c) sleeps on\n  measured  c) sleeps on\n  Right",
        "\"wombat\" is none of the choices; write a letter from a to c",
        "  you       b) says EAGAIN\n  measured  b) says EAGAIN\n  Right",
        "  you       -\n  measured  a) gets the client\n",
        "What happened in the kernel",
        "A common wrong answer",
        "The article says",
        "  | More: herd explain S03; herd explain S08\n",
        "Man pages: fork(2)",
        "Try this next\n  herd run closed-elsewhere\n",
    ]);
    assert!(said.out.is_ascii() && !said.out.contains('\u{1b}'), "{said:?}");
    assert!(said.err.is_empty(), "{said:?}");
    assert!(said.out.lines().all(|line| line.len() <= 80), "{said:?}");
    assert!(kept(&state).contains("\"predicted\": 2"), "{}", kept(&state));
    learn(&state, &["--list"], "").exits(0).shows(&["2 of 3 near", "1 of "]);
}

#[test]
fn the_end_of_the_input_is_no_prediction_and_bad_answers_have_an_end() {
    let state = Folder::new();
    let said = learn(&state, &["--lesson", CHEAP], "").exits(0).shows(&["  you       -\n"]);
    assert_eq!(said.out.matches("Your prediction").count(), 1, "nobody is asked again: {said:?}");
    let said = learn(&state, &["--lesson", CHEAP], "x\ny\nz\nb\nb\nb").exits(0).shows(&["Then without a prediction."]);
    assert_eq!(said.out.matches("none of the choices").count(), 2, "{said:?}");
    assert_eq!(said.out.matches("Your prediction").count(), 5, "{said:?}");
    // The last line had no end, and counts.
    assert!(kept(&state).contains("\"predicted\": 2"), "{}", kept(&state));
}

#[test]
fn a_class_is_asked_nothing() {
    let state = Folder::new();
    let said = learn(&state, &["--lesson", CHEAP, "--no-questions", "--lang", "zh"], "a\na\n").exits(0);
    assert!(!said.out.contains("你的预测") && said.out.contains("等待者等在哪里？"), "{said:?}");
    assert!(said.out.contains("  实测  c) 继续睡"), "{said:?}");
    let utf8 = herd::words::columns;
    assert!(said.out.lines().all(|line| utf8(line) <= 80), "{said:?}");
    learn(&state, &["--list", "--lang", "zh"], "").exits(0).shows(&["看过", "下一课"]);
}

#[test]
fn enough_is_enough_and_what_is_open_comes_next() {
    let state = Folder::new();
    learn(&state, &[], "q\n").exits(0).shows(&["Lesson 1: ", "Stopped. Progress is kept"]);
    assert!(!state.path().join("herd").exists(), "a lesson that was stopped is not done");
    // All but the last one are done: it alone is left.
    let ids: Vec<&str> = herd::lessons::all().iter().map(|lesson| lesson.id.as_str()).collect();
    let (last, done) = ids.split_last().unwrap();
    let lessons: Vec<String> = done.iter().map(|id| format!("\"{id}\": {{}}")).collect();
    std::fs::create_dir(state.path().join("herd")).unwrap();
    let file = format!("{{\"schema\": 1, \"lessons\": {{{}}}}}", lessons.join(","));
    std::fs::write(state.path().join("herd/learn.json"), file).unwrap();
    let said = learn(&state, &[], "q\n").exits(0);
    assert!(said.out.contains(&format!("Lesson {}: ", ids.len())), "{last}: {said:?}");
}

#[test]
fn a_state_file_that_is_not_ours_is_left_alone() {
    for (text, why) in [
        ("{\"schema\": 7, \"lessons\": {}}", "schema 7"),
        ("not json", "no progress of herd learn"),
        ("{\"schema\": 1, \"lessons\": []}", "no progress of herd learn"),
        ("\u{0}\u{1}", "no progress of herd learn"),
    ] {
        let state = Folder::new();
        std::fs::create_dir(state.path().join("herd")).unwrap();
        let path = state.path().join("herd/learn.json");
        std::fs::write(&path, text).unwrap();
        for args in [&["--list"][..], &["--lesson", CHEAP]] {
            learn(&state, args, "").exits(2).complains(&["learn.json", why, "left as it is", "XDG_STATE_HOME"]);
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
    let state = Folder::new();
    std::fs::create_dir_all(state.path().join("herd/learn.json")).unwrap();
    learn(&state, &["--list"], "").exits(2).complains(&["cannot read", "learn.json"]);
}

#[test]
fn a_lesson_that_is_not_there_and_a_folder_that_cannot_be() {
    let state = Folder::new();
    learn(&state, &["--lesson", "99"], "").exits(2).complains(&["no lesson \"99\"", "herd learn --list"]);
    learn(&state, &["--lesson", "L06-hert"], "").exits(2).complains(&["did you mean \"L06-herd\"?"]);
    learn(&state, &["--lesson", "1", "--list"], "").exits(2);
    learn(&state, &["--lang", "de"], "").exits(2);
    // The lessons go on where progress cannot be kept.
    let file = state.file("a-file", "");
    let said = {
        let mut command = learning(&state, &["--lesson", CHEAP, "--no-questions"]);
        command.env("XDG_STATE_HOME", &file);
        finish(spawn(&mut command))
    };
    said.exits(2).complains(&["cannot read"]);
    let mut command = learning(&state, &["--lesson", CHEAP, "--no-questions"]);
    command.env_remove("XDG_STATE_HOME").env_remove("HOME");
    finish(spawn(&mut command)).exits(0).complains(&["progress is not kept"]).shows(&["What happened"]);
}

#[test]
fn a_signal_during_a_run_keeps_what_was_done_and_leaves_nothing() {
    let state = Folder::new();
    let mark = Mark::new();
    let mut running = spawn(mark.on(&mut learning(&state, &["--no-questions", "--lang", "en"])));
    // The first lesson is done, the second is under way.
    until(LIMIT, || match std::fs::read_to_string(state.path().join("herd/learn.json")) {
        Ok(text) => Ok(text),
        Err(e) => Err(format!("{e}; ended: {:?}", running.0.try_wait())),
    });
    let pid = running.pid();
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let said = finish(running).exits(143).shows(&["Stopped. Progress is kept"]);
    assert!(!said.out.contains("That was the last lesson"), "{said:?}");
    assert!(kept(&state).contains(&herd::lessons::all()[0].id), "{}", kept(&state));
    until(LIMIT, || match mark.living() {
        left if left.is_empty() => Ok(()),
        left => Err(format!("still there: {left:?}")),
    });
}

/// A terminal of tmux with its own server, gone at the end.
struct Terminal {
    socket: String,
    _folder: Folder,
}

impl Terminal {
    /// `None`, and said so, where there is no tmux.
    fn open(columns: u16, lines: u16, state: &Folder, args: &str) -> Option<Terminal> {
        if Command::new("tmux").arg("-V").output().is_err() {
            skipped("herd learn in a terminal", "tmux is not installed");
            return None;
        }
        let folder = Folder::new();
        let terminal = Terminal { socket: folder.path().join("tmux").to_str().unwrap().to_owned(), _folder: folder };
        let (binary, state) = (env!("CARGO_BIN_EXE_herd"), state.path().display());
        let shell = format!(
            "env -u LC_ALL LANG=C NO_COLOR=1 XDG_STATE_HOME={state} {binary} learn {args}; echo \"ended with $?\"; cat"
        );
        let (x, y) = (columns.to_string(), lines.to_string());
        terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", &x, "-y", &y, &shell]);
        Some(terminal)
    }

    fn tmux(&self, args: &[&str]) -> String {
        let said = Command::new("tmux").arg("-S").arg(&self.socket).args(args).output().unwrap();
        assert!(said.status.success(), "tmux {args:?}: {}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8_lossy(&said.stdout).into_owned()
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Waits until the screen has all of `parts`, and returns it.
    #[track_caller]
    fn shows(&self, parts: &[&str]) -> String {
        let began = Instant::now();
        until(LIMIT, || {
            let screen = self.screen();
            match parts.iter().find(|part| !screen.contains(**part)) {
                None => Ok(screen),
                Some(part) => Err(format!("no {part:?} after {:?} on\n{screen}", began.elapsed())),
            }
        })
    }

    fn types(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
    }

    fn enter(&self) {
        self.tmux(&["send-keys", "Enter"]);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux").arg("-S").arg(&self.socket).arg("kill-server").output();
    }
}

#[test]
fn a_lesson_fits_a_terminal_and_its_question_stays() {
    let state = Folder::new();
    let Some(terminal) = Terminal::open(80, 24, &state, &format!("--lesson {CHEAP} --lang en")) else { return };
    terminal.shows(&["Where do waiters wait?", "Enter: go on"]);
    terminal.enter();
    let question = ["Where is a sleeping task noted", "process B", "Prediction 1 of 3", "Your prediction"];
    terminal.shows(&question);
    for wrong in ["abc", "x"] {
        terminal.types(wrong);
        terminal.enter();
        // The page comes anew, with a word about the answer, and all of it is there.
        let screen = terminal.shows(&[&question[..], &[&format!("\"{wrong}\" is none")]].concat());
        assert!(screen.lines().count() <= 24 && screen.is_ascii(), "{screen}");
    }
    terminal.types("a");
    terminal.enter();
    terminal.shows(&["Prediction 2 of 3", "process B"]);
    terminal.types("b");
    terminal.enter();
    terminal.shows(&["Prediction 3 of 3", "process B"]);
    terminal.enter();
    // Pages until the end; the first one has the result, and each has its prompt.
    let mut seen = String::new();
    until(LIMIT, || {
        let screen = terminal.screen();
        if screen.contains("ended with 0") {
            return Ok(());
        }
        if screen.contains("-- Enter: go on") && !seen.ends_with(&screen) {
            seen.push_str(&screen);
            terminal.enter();
        }
        Err(screen)
    });
    for part in ["a) returns with EBADF", "c) sleeps on\n  No.\n", "What happened", "Try this next"] {
        assert!(seen.contains(part), "no {part:?} in\n{seen}");
    }
    assert!(kept(&state).contains("\"near\": 1"), "{}", kept(&state));
}

#[test]
fn ctrl_c_and_q_stop_a_lesson_in_a_terminal() {
    for (quit, code) in [("q", "ended with 0"), ("C-c", "ended with 130"), ("C-d", "ended with 0")] {
        let state = Folder::new();
        let Some(terminal) = Terminal::open(80, 24, &state, "--lang en") else { return };
        terminal.shows(&["Lesson 1: ", "Enter: go on"]);
        terminal.enter();
        terminal.shows(&["Your prediction"]);
        terminal.tmux(&["send-keys", quit]);
        if quit == "q" {
            terminal.enter();
        }
        terminal.shows(&["Stopped. Progress is kept", code]);
    }
}

#[test]
fn a_terminal_that_is_too_small_is_told_so() {
    for (columns, lines, part) in [(50, 24, "50 columns"), (80, 12, "12 lines")] {
        let state = Folder::new();
        let Some(terminal) = Terminal::open(columns, lines, &state, "--lang en") else { return };
        let screen = terminal.shows(&["ended with 2"]);
        let joined = screen.replace('\n', "");
        assert!(joined.contains(part) && joined.contains("lessons need"), "{screen}");
    }
}

#[test]
fn every_question_fits_a_terminal_of_24_lines() {
    // What a page of a question has: title, question, drawing, what is asked, a word
    // about a wrong answer, the prompt.
    for language in [herd::words::Language::English, herd::words::Language::Chinese] {
        for lesson in herd::lessons::all() {
            let text = &herd::lessons::catalogue(language).lesson[&lesson.id];
            let shown = |text: &str| herd::lessons::paragraphs(text, 80).len();
            let question = shown(&text.question) + 1 + text.drawing.trim_matches('\n').lines().count();
            for one in &lesson.ask {
                let ask = &text.ask[&one.id];
                let choices: usize =
                    one.choice.iter().map(|c| herd::lessons::paragraphs(&ask.choice[&c.id], 74).len()).sum();
                let all = 2 + question + 1 + 1 + shown(&ask.text) + choices + 1 + 1;
                assert!(all <= 23, "{}, {}: {all} lines", lesson.id, one.id);
            }
        }
    }
    // The catalogue is data of this repository.
    assert!(in_repository("src/lessons/lessons.toml").exists());
}
