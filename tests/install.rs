//! `make install`: the program, its man pages and completions, and that all of it
//! goes again; and that `herd --help` is one screen.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::CommandFactory;
use herd::cli::{Cli, OVERVIEW};
use lab::{Folder, Said, run, said};

mod lab;

/// The commands that a reader sees.
fn commands() -> Vec<String> {
    let all = Cli::command();
    all.get_subcommands().filter(|command| !command.is_hide_set()).map(|c| c.get_name().to_owned()).collect()
}

#[test]
fn help_is_one_screen_and_has_every_command() {
    for flag in ["--help", "-h"] {
        let said = run([flag]).exits(0);
        assert_eq!(said.out.trim_end(), OVERVIEW.trim_end());
        assert!(said.err.is_empty(), "{said:?}");
    }
    assert!(OVERVIEW.trim_end().lines().count() <= 24, "{} lines", OVERVIEW.lines().count());
    for line in OVERVIEW.lines() {
        assert!(line.chars().count() <= 80 && line.is_ascii(), "{line}");
    }
    // In the left column, so that no word of a sentence counts.
    let left: Vec<&str> = OVERVIEW.lines().filter_map(|line| line.strip_prefix("  ")?.split("  ").next()).collect();
    for command in commands() {
        let listed = left.iter().flat_map(|text| text.split([' ', ','])).any(|word| word == command);
        assert!(listed, "herd --help does not know {command}");
    }
}

/// Every file below a folder.
fn files(folder: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.append(&mut files(&path));
        } else {
            found.insert(path.clone(), std::fs::metadata(&path).unwrap().len());
        }
    }
    found
}

/// Whether a program that a test wants is there; says so where it is not.
fn there(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap().status.success();
    if !found {
        eprintln!("skip: {program} is not installed, so what it would read is not checked");
    }
    found
}

fn make(target: &str, root: &Path) -> Said {
    let mut command = Command::new("make");
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["--no-print-directory", target, "PREFIX=/opt/the lab"]);
    command.arg(format!("DESTDIR={}", root.display())).arg(format!("BUILT={}", env!("CARGO_BIN_EXE_herd")));
    said(&mut command)
}

#[test]
fn make_install_puts_everything_in_its_place_and_uninstall_takes_it_away() {
    let folder = Folder::new();
    let other = folder.path().join("opt/the lab/share/man/man1/other.1");
    std::fs::create_dir_all(other.parent().unwrap()).unwrap();
    std::fs::write(&other, "not ours").unwrap();
    make("install", folder.path()).exits(0);
    let prefix = folder.path().join("opt/the lab");
    let installed = files(folder.path());
    let mut wanted = vec![
        "bin/herd".to_owned(),
        "share/bash-completion/completions/herd".to_owned(),
        "share/zsh/site-functions/_herd".to_owned(),
        "share/fish/vendor_completions.d/herd.fish".to_owned(),
        "share/man/man1/herd.1".to_owned(),
        "share/man/man1/other.1".to_owned(),
    ];
    wanted.extend(commands().iter().map(|command| format!("share/man/man1/herd-{command}.1")));
    let wanted: Vec<PathBuf> = wanted.iter().map(|path| prefix.join(path)).collect();
    assert!(wanted.iter().all(|path| installed.get(path).is_some_and(|size| *size > 0)), "{installed:#?}");
    assert_eq!(installed.len(), wanted.len(), "{installed:#?}");
    said(Command::new(prefix.join("bin/herd")).arg("--version")).exits(0);
    make("uninstall", folder.path()).exits(0);
    assert_eq!(files(folder.path()).into_keys().collect::<Vec<_>>(), [other]);
}

#[test]
fn man_pages_say_what_help_says() {
    let folder = Folder::new();
    run(["__man", folder.path().to_str().unwrap()]).exits(0);
    for command in commands().iter().map(|command| format!("herd-{command}")).chain(["herd".to_owned()]) {
        let path = folder.path().join(format!("{command}.1"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        for part in [".TH", ".SH NAME", ".SH SYNOPSIS", ".SH EXAMPLES\n.nf\n"] {
            assert!(text.contains(part), "{command} has no {part}: {text}");
        }
        assert!(!text.contains("__cell") && !text.contains(".SH EXTRA"), "{command}: {text}");
        if there("mandoc") {
            let said = said(Command::new("mandoc").args(["-Tlint", "-Wwarning"]).arg(&path));
            // A date would be that of the build, and two builds would differ.
            let bad: Vec<&str> = said.out.lines().filter(|line| !line.contains("missing date")).collect();
            assert!(bad.is_empty(), "{command}: {said:?}");
        }
        if there("man") {
            let mut man = Command::new("man");
            man.env("LC_ALL", "C").env("MANWIDTH", "80").args(["--warnings", "-l"]).arg(&path);
            let said = said(&mut man).exits(0);
            assert!(said.err.is_empty() && said.out.contains("NAME"), "{command}: {said:?}");
        }
    }
    run(["__man", "/dev/null/x"]).exits(2).complains(&["cannot make /dev/null/x"]);
}

#[test]
fn completions_complete() {
    let folder = Folder::new();
    run(["__completions", folder.path().to_str().unwrap()]).exits(0);
    let of = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    if there("bash") {
        // As bash calls it: the words, and which of them the cursor is at.
        let complete = |words: &[&str]| {
            let script = "source \"$1\"; shift; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); \
                _herd herd \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\"; printf '%s\\n' \"${COMPREPLY[@]}\"";
            said(Command::new("bash").args(["-c", script, "bash", &of("herd.bash")]).args(words)).exits(0).out
        };
        assert_eq!(complete(&["herd", "tim"]).trim(), "timeline");
        assert_eq!(complete(&["herd", "explain", "--la"]).trim(), "--lang");
        assert_eq!(complete(&["herd", "explain", "--lang", "z"]).trim(), "zh");
        let first = complete(&["herd", ""]);
        assert!(commands().iter().all(|command| first.lines().any(|line| line == command)), "{first}");
        assert!(!first.contains("__"), "{first}");
    }
    if there("zsh") {
        said(Command::new("zsh").args(["-f", "-n", &of("_herd")])).exits(0);
    }
    if there("fish") {
        let script = format!("source {}; complete -C 'herd tim'", of("herd.fish"));
        said(Command::new("fish").args(["--no-config", "-c", &script])).exits(0).shows(&["timeline"]);
    }
}
