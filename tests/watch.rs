//! `herd watch` in a real terminal (tmux) and in a pipe: what is shown, what the keys do,
//! and that the terminal is as before however it ends.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use lab::processes::Mark;
use lab::{Folder, finish, herd, run, said, skipped, spawn, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

mod lab;

/// For whatever is to appear on the screen, on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// A terminal of a test's own, with a shell in it; gone at its end.
struct Terminal {
    folder: Folder,
    mark: Mark,
}

impl Terminal {
    /// `None` where there is no tmux.
    fn open(width: u32, height: u32) -> Option<Terminal> {
        if Command::new("tmux").arg("-V").stdout(Stdio::null()).status().is_err() {
            skipped("the terminal", "no tmux here");
            return None;
        }
        let terminal = Terminal { folder: Folder::new(), mark: Mark::new() };
        let (width, height) = (width.to_string(), height.to_string());
        let shell = "env PS1='ready> ' LANG=C.UTF-8 LC_ALL= bash --norc --noprofile";
        let start = ["-f", "/dev/null", "new-session", "-d", "-s", "t", "-x", &width, "-y", &height, shell];
        let mut command = terminal.tmux(&start);
        let status = terminal.mark.on(&mut command).status().unwrap();
        assert!(status.success());
        terminal.shows("ready>");
        Some(terminal)
    }

    fn tmux(&self, args: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(self.folder.path().join("tmux")).args(args).env("TERM", "xterm-256color");
        command
    }

    /// What stands on the screen.
    fn screen(&self) -> String {
        let seen = self.tmux(&["capture-pane", "-p", "-t", "t"]).output().unwrap();
        String::from_utf8(seen.stdout).unwrap()
    }

    /// Presses keys, as tmux names them; a text is typed as it is.
    fn press(&self, keys: &[&str]) {
        let pressed = self.tmux(&[&["send-keys", "-t", "t"], keys].concat()).status().unwrap();
        assert!(pressed.success());
    }

    /// A command line for the shell, between two looks at the terminal's settings.
    fn type_command(&self, command: &str) {
        let before = self.path("before");
        self.press(&["-l", &format!("clear; stty -a >{}; {command}; echo \"rc=$?\"", before.display())]);
        self.press(&["Enter"]);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Waits until the screen has that text; returns the screen.
    #[track_caller]
    fn shows(&self, text: &str) -> String {
        self.until(text, |screen| screen.contains(text))
    }

    #[track_caller]
    fn until(&self, what: &str, is: impl Fn(&str) -> bool) -> String {
        until(SOON, || {
            let screen = self.screen();
            if is(&screen) { Ok(screen) } else { Err(format!("no {what:?} on the screen:\n{screen}")) }
        })
    }

    /// The command has ended with that code, the terminal is as before, and no process is left.
    #[track_caller]
    fn is_as_before(&self, code: i32) -> String {
        let screen = self.shows(&format!("rc={code}\n"));
        let after = self.path("after");
        self.press(&["-l", &format!("stty -a >{0}.part; mv {0}.part {0}", after.display())]);
        self.press(&["Enter"]);
        let read = |name| std::fs::read_to_string(self.path(name));
        let after = until(SOON, || read("after").map_err(|e| e.to_string()));
        assert_eq!(read("before").unwrap(), after);
        // Neither the second screen nor a hidden cursor.
        let state =
            self.tmux(&["display-message", "-p", "-t", "t", "#{alternate_on} #{cursor_flag}"]).output().unwrap();
        assert_eq!(String::from_utf8(state.stdout).unwrap().trim(), "0 1");
        assert!(!screen.contains("q quit"), "{screen}");
        no_cell(&self.mark);
        screen
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Its own server, by its socket.
        let _ = self.tmux(&["kill-server"]).status();
    }
}

/// Coordinator and workers have ended.
#[track_caller]
fn no_cell(mark: &Mark) {
    until(SOON, || {
        let cells = mark.living().iter().filter(|process| process.cell).count();
        if cells == 0 { Ok(()) } else { Err(format!("{cells} processes of the cell are left")) }
    });
}

fn command(args: &str) -> String {
    format!("{} watch {args}", env!("CARGO_BIN_EXE_herd"))
}

#[test]
fn keys_pause_step_and_quit() {
    let Some(terminal) = Terminal::open(80, 24) else { return };
    terminal.type_command(&command("herd:epoll --set workers=4 --speed 0.02"));
    // At that speed it takes minutes to the end of an event: only keys bring it there.
    terminal.shows("all 4 workers asleep; no connection yet");
    terminal.press(&["n"]);
    let first = terminal.until("a first event", |screen| screen.contains("connection 1 of 5, 0.0 us of"));
    assert!(first.contains("PAUSED") && first.contains("q quit"), "{first}");
    assert_eq!(first.matches("asleep").count(), 4 + 1, "{first}");
    let now = |screen: &str| screen.lines().nth(1).unwrap_or_default().to_owned();
    terminal.press(&["n"]);
    let second = terminal.until("a step", |screen| now(screen) != now(&first));
    terminal.press(&["Right"]);
    let third = terminal.until("another step", |screen| now(screen) != now(&second));
    terminal.press(&["Left"]);
    terminal.until("a step back", |screen| now(screen) == now(&second) && now(screen) != now(&third));
    terminal.press(&["e"]);
    let end = terminal.shows("connection 1 of 5, all asleep again");
    assert!(end.contains("taken by w") && end.contains("got it"), "{end}");
    terminal.press(&["e"]);
    let end = terminal.shows("connection 2 of 5, all asleep again");
    assert!(end.lines().any(|line| line.starts_with("all 2 ")), "{end}");
    // Time goes on again, so that the word is gone.
    terminal.press(&["Space"]);
    terminal.until("no pause", |screen| !screen.contains("PAUSED"));
    terminal.press(&["Space"]);
    terminal.shows("PAUSED");
    terminal.press(&["q"]);
    let left = terminal.is_as_before(0);
    assert!(left.contains("2 connections, counted with"), "{left}");
}

#[test]
fn it_goes_on_by_itself_from_event_to_event_and_from_wait_to_wait() {
    let Some(terminal) = Terminal::open(100, 30) else { return };
    terminal.type_command(&command("herd --set workers=3 --speed 16 --events 2"));
    terminal.shows("herd: block (accept)");
    terminal.shows("wait 2 of 11");
    terminal.shows("wait 4 of 11");
    terminal.press(&["w"]);
    terminal.until("a later wait", |screen| !screen.contains("wait 4 of 11"));
    terminal.press(&["q"]);
    terminal.is_as_before(0);
}

#[test]
fn ctrl_c_and_signals_give_the_terminal_back() {
    let Some(terminal) = Terminal::open(80, 24) else { return };
    terminal.type_command(&command("herd:epoll"));
    terminal.shows("connection 1 of 5");
    terminal.press(&["C-c"]);
    terminal.is_as_before(130);
    std::fs::remove_file(terminal.path("after")).unwrap();
    let pid = terminal.path("pid");
    let command = command("herd:epoll --speed 0.1");
    terminal.type_command(&format!("sh -c 'echo $$ >{}; exec {command}'", pid.display()));
    terminal.shows("connection 1 of 5");
    let pid: i32 = std::fs::read_to_string(pid).unwrap().trim().parse().unwrap();
    kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
    terminal.is_as_before(143);
}

#[test]
fn a_terminal_that_is_gone_leaves_nobody() {
    let Some(terminal) = Terminal::open(80, 24) else { return };
    terminal.type_command(&command("herd:epoll --speed 0.02"));
    terminal.shows("no connection yet");
    terminal.mark.with_workers(8);
    assert!(terminal.tmux(&["kill-server"]).status().unwrap().success());
    no_cell(&terminal.mark);
    until(SOON, || {
        let left = terminal.mark.living();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
}

#[test]
fn whoever_stops_it_in_a_pipe_leaves_nobody() {
    for (signal, code) in [(Some(Signal::SIGTERM), Some(143)), (Some(Signal::SIGKILL), None), (None, Some(0))] {
        let mark = Mark::new();
        let mut running = spawn(mark.on(&mut herd(["watch", "herd:epoll", "--events", "100000"])));
        let mut out = BufReader::new(running.0.stdout.take().unwrap());
        let mut line = String::new();
        assert!(out.read_line(&mut line).unwrap() > 0);
        assert!(line.starts_with("herd: epoll"), "{line}");
        match signal {
            Some(signal) => {
                // It must not wait for a reader meanwhile.
                kill(running.pid(), signal).unwrap();
                std::io::copy(&mut out, &mut std::io::sink()).unwrap();
            }
            // The reader has had enough.
            None => drop(out),
        }
        let said = finish(running);
        assert_eq!(said.code(), code, "{signal:?}: {said:?}");
        assert!(said.err.is_empty(), "{said:?}");
        no_cell(&mark);
    }
}

#[test]
fn another_size_is_another_picture() {
    let Some(terminal) = Terminal::open(80, 24) else { return };
    let size = |width: &str, height: &str| {
        assert!(terminal.tmux(&["resize-window", "-t", "t", "-x", width, "-y", height]).status().unwrap().success());
    };
    terminal.type_command(&command("herd:epoll --set workers=40 --speed 0.1"));
    let few = terminal.shows("more workers, not shown");
    size("80", "60");
    let many = terminal.until("all workers", |screen| screen.lines().any(|line| line.starts_with("w39 ")));
    assert!(!many.contains("not shown") && !few.contains("\nw39 "), "{many}");
    size("60", "20");
    terminal.shows("this terminal has 60 columns and 20 lines; 72 and 16");
    size("80", "24");
    terminal.shows("more workers, not shown");
    terminal.press(&["q"]);
    terminal.is_as_before(0);
}

#[test]
fn a_terminal_too_small_is_a_wrong_request() {
    let Some(terminal) = Terminal::open(79, 12) else { return };
    terminal.type_command(&command("herd:epoll"));
    let said = terminal.is_as_before(2);
    assert!(said.contains("this terminal has 79 columns and 12 lines; 72 and 16 are needed"), "{said}");
}

/// What the other half of [`a_panic_gives_the_terminal_back`] is told by.
const PANIC: &str = "HERD_TEST_PANIC_ON_SCREEN";

#[test]
fn a_panic_gives_the_terminal_back() {
    if std::env::var_os(PANIC).is_some() {
        let _screen = herd::command::watch::screen::Screen::open(true).unwrap();
        panic!("meant to be");
    }
    let Some(terminal) = Terminal::open(80, 24) else { return };
    let this = std::env::current_exe().unwrap();
    let name = "a_panic_gives_the_terminal_back";
    // Without the backtrace, which would push the words off the screen.
    terminal.type_command(&format!("RUST_BACKTRACE=0 {PANIC}=1 {} --exact {name} --nocapture", this.display()));
    let said = terminal.is_as_before(101);
    assert!(said.contains("meant to be"), "{said}");
}

#[test]
fn without_a_terminal_each_event_is_printed_once() {
    let ascii = run(["watch", "herd:epoll", "--events", "3", "--set", "workers=4"]).exits(0);
    for number in 1..=3 {
        let head = format!("connection {number} of 3, all asleep again");
        assert_eq!(ascii.out.matches(&head).count(), 1, "{ascii:?}");
    }
    let ascii = ascii.shows(&["herd: epoll\n  3 connections, counted with ", "3 got it"]);
    assert!(ascii.out.is_ascii() && !ascii.out.contains('\u{1b}') && ascii.err.is_empty(), "{ascii:?}");
    assert!(ascii.out.lines().all(|line| line.len() <= 80 && line == line.trim_end()), "{ascii:?}");
    let unicode = said(herd(["watch", "herd:epoll", "--events", "1"]).env("LANG", "en_US.UTF-8")).exits(0);
    assert!(!unicode.out.is_ascii(), "{unicode:?}");
}

#[test]
fn each_source_says_what_it_cannot_tell() {
    for (source, says) in [
        ("proc", "counted with proc: hidden wakeups have no times"),
        ("ledger", "counted with ledger: it sees who returns"),
    ] {
        let args = ["watch", "herd:epoll + EXCLUSIVE", "--events", "2", "--count-with", source];
        run(args).exits(0).shows(&[says, "2 got it"]);
    }
}

#[test]
fn who_watches_changes_no_count() {
    for (row, woken) in [("epoll", 8), ("epoll + EXCLUSIVE", 1), ("block (accept)", 1)] {
        let said = run(["watch", &format!("herd:{row}"), "--events", "23"]).exits(0);
        let all = said.out.lines().rev().find(|line| line.starts_with("all 23 ")).unwrap_or_else(|| panic!("{said:?}"));
        assert!(all.contains(" 23 got it, "), "{all}");
        // The other sources do not tell an uninterruptible sleep from a wait, or see less.
        match said.out.contains("counted with bpf") {
            true => assert!(all.contains(&format!(" {} woken, ", 23 * woken)), "{all}"),
            false => skipped("the exact count", "no bpf here"),
        }
    }
}

#[test]
fn many_at_once_are_one_picture() {
    let burst = run(["watch", "burst:block (accept)", "--events", "2"]).exits(0);
    burst.shows(&["8 connections at once, 2 of 2", "all taken", "16 connections, counted with"]);
}

#[test]
fn what_cannot_be_watched_is_said() {
    let folder = Folder::new();
    let null = folder.file("null.toml", "title = \"t\"\n[[wait]]\nname = \"one\"\nkind = \"null\"\n");
    for (args, message) in [
        (&["watch", "states"][..], "is a study, which has figures and no events to watch"),
        (&["watch", "emfile"][..], "emfile: \"level\" is a script, which has steps and no events to watch"),
        (&["watch", &null], "null: \"one\" does not touch the kernel, so there is nothing to watch"),
        (&["watch", "herd", "--set", "load=paced", "--set", "rate=1000"], "has events by the clock, not one by one"),
        (&["watch", "herd:epol"], "herd has no row \"epol\"; did you mean \"epoll\"?"),
        (&["watch", "hurd"], "unknown experiment \"hurd\""),
        (&["watch", "herd", "--speed", "0"], "must be from 0.015625 to 64"),
        (&["watch", "herd", "--speed", "NaN"], "must be from 0.015625 to 64"),
        (&["watch", "herd", "--events", "0"], "0 is not in 1..="),
    ] {
        let said = run(args.iter().copied()).exits(2).complains(&[message]);
        assert!(said.out.is_empty(), "{said:?}");
    }
}
