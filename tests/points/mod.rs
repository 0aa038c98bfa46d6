//! Runs `herd check` as a CI would, and reads its KTAP by the rules of
//! Documentation/dev-tools/ktap.rst, strictly: nesting by two spaces, a version
//! line and a plan at each level, numbers from 1, results after their subtests.

// Each test file uses a part of this.
#![allow(dead_code)]

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a finished command said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Runs a command to its end.
#[track_caller]
pub fn said(command: &mut Command) -> Said {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
    Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("herd writes UTF-8"),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs herd to its end.
#[track_caller]
pub fn herd(args: &[&str]) -> Said {
    said(Command::new(env!("CARGO_BIN_EXE_herd")).args(args))
}

/// Runs `herd check` and reads its KTAP.
#[track_caller]
pub fn check(args: &[&str], code: i32) -> Vec<Test> {
    let said = herd(&[&["check"], args].concat());
    assert_eq!(said.code, Some(code), "{said:#?}");
    read(&said.out)
}

/// An experiment file of this test run.
pub fn file(name: &str, text: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.toml"));
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Says in the test's output why a part could not run.
pub fn skipped(what: &str, why: &str) {
    eprintln!("SKIP {what}: {why}");
}

fn repository(inside: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(inside)
}

/// What the reader in tests/readers says about `text`; `None` where it lacks.
#[track_caller]
pub fn reader(reader: &str, module: &str, argument: Option<&Path>, text: &str) -> Option<String> {
    let installed = repository("target/readers/bin/python3");
    let python = if installed.exists() { installed } else { PathBuf::from("python3") };
    let there = Command::new(&python).args(["-c", &format!("import {module}")]).output();
    if !there.is_ok_and(|output| output.status.success()) || argument.is_some_and(|file| !file.exists()) {
        skipped(reader, &format!("{} has no {module}; contrib/readers.sh installs it", python.display()));
        return None;
    }
    let mut child = Command::new(&python)
        .arg(repository(&format!("tests/readers/{reader}.py")))
        .args(argument)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{err}\n{text}");
    Some(out.trim().to_owned())
}

/// One result line with what belongs to it.
#[derive(Debug)]
pub struct Test {
    pub name: String,
    pub ok: bool,
    /// Behind the `#` of the line, such as `SKIP no ipv6`.
    pub directive: String,
    /// The diagnostic lines before it, without `# `.
    pub said: Vec<String>,
    pub subtests: Vec<Test>,
}

impl Test {
    pub fn is_skip(&self) -> bool {
        self.directive.starts_with("SKIP")
    }

    /// Passed, and not by being skipped.
    pub fn passed(&self) -> bool {
        self.ok && !self.is_skip()
    }

    /// The line as a reader sees it, without its number.
    pub fn line(&self) -> (&str, bool, &str) {
        (&self.name, self.ok, &self.directive)
    }

    #[track_caller]
    pub fn says(&self, part: &str) {
        let found = self.said.iter().any(|line| line.contains(part)) || self.directive.contains(part);
        assert!(found, "no {part:?} in {self:#?}");
    }
}

/// The point of that name, in whatever experiment.
#[track_caller]
pub fn find<'a>(tests: &'a [Test], name: &str) -> &'a Test {
    let all = || tests.iter().flat_map(|test| &test.subtests);
    all().find(|t| t.name == name).unwrap_or_else(|| panic!("no {name}: {:?}", all().map(|t| &t.name)))
}

/// Reads a whole report.
#[track_caller]
pub fn read(text: &str) -> Vec<Test> {
    let mut lines = text.lines().peekable();
    let (tests, trailing) = level(&mut lines, 0);
    assert_eq!(lines.next(), None, "something follows the last result");
    assert!(trailing.iter().all(|line| line.starts_with("Totals:")), "{trailing:?}");
    tests
}

type Lines<'a> = std::iter::Peekable<std::str::Lines<'a>>;

/// Version line, perhaps the subtest's name, plan, and as many results.
fn level(lines: &mut Lines<'_>, depth: usize) -> (Vec<Test>, Vec<String>) {
    let indent = "  ".repeat(depth);
    let mut next = || {
        let line = lines.peek().copied()?;
        let own = line.strip_prefix(&indent)?;
        // Deeper lines belong to a subtest and are not taken here.
        Some(own.to_owned())
    };
    assert_eq!(next().as_deref(), Some("KTAP version 1"));
    lines.next();
    let mut named = None;
    if let Some(name) = lines.peek().and_then(|l| l.strip_prefix(&format!("{indent}# Subtest: "))) {
        named = Some(name.to_owned());
        lines.next();
    }
    let plan = lines.next().and_then(|l| l.strip_prefix(&format!("{indent}1.."))).expect("a plan follows").to_owned();
    let plan: usize = plan.split(' ').next().unwrap().parse().expect("the plan is a number");
    let (mut tests, mut said, mut subtests, mut header) = (Vec::new(), Vec::new(), Vec::new(), None);
    while let Some(line) = lines.peek().copied() {
        let Some(own) = line.strip_prefix(&indent) else { break };
        if own.starts_with("  KTAP version") {
            let ahead: Vec<&str> = lines.clone().take(2).collect();
            header = ahead[1].trim_start().strip_prefix("# Subtest: ").map(String::from);
            let (inner, rest) = level(lines, depth + 1);
            assert!(rest.is_empty(), "diagnostics behind the last result of a subtest: {rest:?}");
            subtests = inner;
            continue;
        }
        lines.next();
        if let Some(text) = own.strip_prefix("# ") {
            said.push(text.to_owned());
            continue;
        }
        let mut test = result(own, tests.len() + 1);
        if !subtests.is_empty() {
            assert_eq!(header.take().as_deref(), Some(&*test.name), "the subtest's name and its result differ");
            let failed = subtests.iter().any(|t: &Test| !t.ok);
            assert_eq!(test.ok, !failed, "{} fails if and only if a subtest does", test.name);
        }
        (test.said, test.subtests) = (std::mem::take(&mut said), std::mem::take(&mut subtests));
        tests.push(test);
    }
    assert_eq!(tests.len(), plan, "plan and results of {named:?}");
    let mut names = HashSet::new();
    for test in &tests {
        assert!(names.insert(&test.name), "{} is there twice", test.name);
    }
    (tests, said)
}

/// `<result> <number> [<description>][ # [<directive>] [<diagnostic data>]]`
fn result(line: &str, number: usize) -> Test {
    let (ok, rest) = match (line.strip_prefix("ok "), line.strip_prefix("not ok ")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => panic!("neither a result nor a diagnostic line: {line:?}"),
    };
    let (found, rest) = rest.split_once(' ').expect("a name follows the number");
    assert_eq!(found, number.to_string(), "{line}");
    let (name, directive) = rest.split_once(" # ").unwrap_or((rest, ""));
    assert!(name.starts_with(|c: char| c.is_ascii_alphabetic()), "a name begins with a letter: {line}");
    assert!(!name.contains(['#', ' ']), "{line}");
    Test { name: name.into(), ok, directive: directive.into(), said: Vec::new(), subtests: Vec::new() }
}
