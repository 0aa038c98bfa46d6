//! The recipes in contrib, run with the null wait as far as a machine without
//! their surroundings can.

use std::path::Path;
use std::process::Command;

use points::{Said, file, read, said};

mod points;

fn recipe(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib").join(name).to_str().unwrap().to_owned()
}

#[track_caller]
fn kselftest(rows: &str, name: &str) -> Said {
    let text = format!("title = \"t\"\n[defaults]\nkind = \"null\"\nevents = 5\n{rows}");
    said(Command::new("sh").arg(recipe("kselftest.sh")).arg(file(name, &text)).env("HERD", env!("CARGO_BIN_EXE_herd")))
}

#[test]
fn kselftest_sees_only_its_own_exit_codes() {
    let check = |name: &str, rows: &str, code: i32| {
        let said = kselftest(rows, name);
        assert_eq!(said.code, Some(code), "{name}: {said:#?}");
        said
    };
    check("kselftest0", "[[expect]]\nwakeups_per_event = 1\n", 0);
    let failed = check("kselftest1", "[[expect]]\nwakeups_per_event = 2\n", 1);
    assert!(!read(&failed.out)[0].ok);
    // An invalid measurement and a wrong file are no "expected failure".
    let invalid = check("kselftest3", "null_invalid = \"blind\"\n", 1);
    assert!(invalid.out.contains("herd check ended with 3"), "{invalid:#?}");
    let wrong = check("kselftest2", "[[expect]]\nwakups = 2\n", 1);
    assert!(wrong.out.contains("herd check ended with 2"), "{wrong:#?}");
    let script = format!("ulimit -n 32; exec sh {} herd", recipe("kselftest.sh"));
    let skipped = said(Command::new("sh").args(["-c", &script]).env("HERD", env!("CARGO_BIN_EXE_herd")));
    assert_eq!(skipped.code, Some(4), "{skipped:#?}");
    assert!(read(&skipped.out)[0].is_skip());
}

/// What LAVA would be told by `command`, a shell command that prints KTAP.
#[track_caller]
fn told_to_lava(name: &str, command: &str) -> Vec<String> {
    // Stand-ins that only say how they were called.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["lava-test-case", "lava-test-set"] {
        let path = folder.join(name);
        std::fs::write(&path, format!("#!/bin/sh\necho \"{name} $*\"\n")).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let script = format!("PATH={}:$PATH; {command} | sh {}", folder.display(), recipe("ktap-to-lava.sh"));
    let said = said(Command::new("sh").args(["-c", &script]));
    assert_eq!(said.code, Some(0), "{said:#?}");
    said.out.lines().filter(|line| line.starts_with("lava-test-")).map(str::to_owned).collect()
}

#[test]
fn lava_gets_one_case_per_point() {
    let herd = env!("CARGO_BIN_EXE_herd");
    let here = env!("CARGO_MANIFEST_DIR");
    let told = told_to_lava("lava", &format!("{herd} check {here}/tests/golden/check.toml --repeat 3"));
    let (cases, sets): (Vec<_>, Vec<_>) = told.iter().partition(|line| line.starts_with("lava-test-case "));
    assert_eq!(cases.len(), 16);
    for want in [
        "lava-test-case good/wakeups_per_event --result pass",
        "lava-test-case shaky/wakeups_per_event --result fail",
        "lava-test-case good/winners-2 --result skip",
        "lava-test-case blind/conservation --result unknown",
    ] {
        assert!(cases.iter().any(|case| *case == want), "no {want:?} in {cases:#?}");
    }
    assert_eq!(sets, ["lava-test-set start check", "lava-test-set stop"]);
}

#[test]
fn lava_gets_a_set_for_each_experiment_of_each_kernel() {
    let point = |deep: &str| format!("{deep}# Subtest: e\n{deep}ok 1 a\n{deep}not ok 2 b\n");
    let kernel = |name: &str| format!("  # Subtest: {name}\n{}  ok 1 e\nok 1 {name}\n", point("    "));
    let ktap = format!("KTAP version 1\n1..2\n{}{}", kernel("linux-6.1"), kernel("linux-7.2"));
    let told = told_to_lava("lava-kernels", &format!("printf '%s' '{ktap}'"));
    let of = |name: &str| {
        [
            format!("lava-test-set start {name}/e"),
            "lava-test-case a --result pass".into(),
            "lava-test-case b --result fail".into(),
            "lava-test-set stop".into(),
        ]
    };
    assert_eq!(told, [of("linux-6.1"), of("linux-7.2")].concat());
}

/// The result of one run of the null experiment, and of the parts in `folder`.
#[track_caller]
fn merges(folder: &Path) {
    let mut parts: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    parts.sort();
    assert_eq!(parts.len(), 4, "{parts:?}");
    let merged = said(Command::new(env!("CARGO_BIN_EXE_herd")).arg("merge").args(parts));
    let found = herd::results::Results::parse("merged", &merged.out).unwrap_or_else(|e| panic!("{e}: {merged:#?}"));
    assert_eq!((merged.code, found.cells.len()), (Some(1), 6), "{merged:#?}");
}

/// An empty folder for the parts of one recipe.
fn fresh(name: &str) -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The lines of a recipe from the one with `from` on that are indented like it.
fn script(name: &str, from: &str) -> String {
    let text = std::fs::read_to_string(recipe(name)).unwrap();
    let lines: Vec<&str> = text.lines().skip_while(|line| !line.contains(from)).collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let block = lines.iter().take_while(|line| indent(line) == indent(lines[0]));
    block.map(|line| line.trim_start().trim_start_matches("run: ")).collect::<Vec<_>>().join("\n")
}

fn null() -> String {
    format!("{}/tests/golden/null.toml", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn tasks_of_slurm_merge_to_one_run() {
    let folder = fresh("slurm");
    for task in 3..7 {
        let mut command = Command::new("sh");
        command.arg(recipe("slurm-shards.sh")).arg(null()).env("HERD", env!("CARGO_BIN_EXE_herd"));
        command.env("HERD_PARTS", &folder).env("SLURM_ARRAY_TASK_ID", task.to_string());
        command.env("SLURM_ARRAY_TASK_MIN", "3").env("SLURM_ARRAY_TASK_COUNT", "4");
        let said = said(&mut command);
        assert!(matches!(said.code, Some(0 | 1)), "{said:#?}");
    }
    merges(&folder);
    let alone = said(Command::new("sh").arg(recipe("slurm-shards.sh")).env_remove("SLURM_ARRAY_TASK_ID"));
    assert!(alone.code != Some(0) && alone.out.is_empty(), "{alone:#?}");
}

#[test]
fn pods_of_kubernetes_merge_to_one_run() {
    let folder = fresh("kubernetes");
    let script = script("kubernetes-shards.yaml", "part=$((JOB_COMPLETION_INDEX");
    let script = script.replace("/results", &folder.display().to_string());
    let script = script.replace("exec herd check", &format!("exec {} check {}", env!("CARGO_BIN_EXE_herd"), null()));
    for index in 0..4 {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &script]).env("JOB_COMPLETION_INDEX", index.to_string()).env("SHARDS", "4");
        let said = said(&mut command);
        assert!(matches!(said.code, Some(0 | 1)), "{script}: {said:#?}");
    }
    merges(&folder);
}

#[test]
fn jobs_of_github_merge_to_one_run() {
    let folder = fresh("github");
    let script = script("github-actions-shards.yml", "run: sudo ./herd check").replace("sudo ./herd check", "");
    let script = format!("{} check {} {script}", env!("CARGO_BIN_EXE_herd"), null());
    let script = script.replace("--output parts", &format!("--output {}", folder.display()));
    for part in 1..=4 {
        let said = said(Command::new("sh").args(["-c", &script]).env("SHARD", format!("{part}/4")));
        assert!(matches!(said.code, Some(0 | 1)), "{script}: {said:#?}");
    }
    merges(&folder);
}

/// The result of a matrix over workers, as a course would keep it.
fn course_result() -> String {
    let text = "title = \"t\"\n[defaults]\nkind = \"null\"\nevents = 7\n[matrix]\nworkers = [2, 4]\n[[wait]]\nname = \"one\"\n\
        [[wait]]\nname = \"two\"\nnull_wakeups = 2\n[[wait]]\nname = \"blind\"\nnull_invalid = \"made up\"\n";
    let said = said(Command::new(env!("CARGO_BIN_EXE_herd")).args(["run", &file("course", text), "--format", "json"]));
    assert_eq!(said.code, Some(3), "{said:#?}");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("course.json");
    std::fs::write(&path, said.out).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Whether Python can run what follows; says so where not.
fn python_has(module: &str) -> bool {
    let found = Command::new("python3").args(["-c", &format!("import {module}")]).output();
    let found = found.is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("skip: python3 with the module {module} is not installed");
    }
    found
}

#[test]
fn python_reads_a_result() {
    if !python_has("json") {
        return;
    }
    let path = course_result();
    let read = |path: &str| said(Command::new("python3").arg(recipe("course/read_results.py")).arg(path));
    let said_of = read(&path);
    assert_eq!(said_of.code, Some(0), "{said_of:#?}");
    let lines: Vec<Vec<&str>> = said_of.out.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), 6, "{said_of:#?}");
    assert!(lines.contains(&vec!["course", "two", "N=4", "2.00", "1.0", "pass"]), "{lines:?}");
    assert!(lines.iter().filter(|line| line[1] == "blind").all(|line| line.ends_with(&["invalid"])), "{lines:?}");
    // It knows the schema that this herd writes, and no newer one.
    let newer = std::fs::read_to_string(&path).unwrap().replacen("\"schema\": 1", "\"schema\": 99", 1);
    for (name, text, wanted) in [
        ("newer", newer.as_str(), "has schema 99"),
        ("list", "[]", "is not a herd result"),
        ("torn", "{\"schema\": 1,", "is not a JSON document"),
    ] {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("course-{name}.json"));
        std::fs::write(&path, text).unwrap();
        let said = read(path.to_str().unwrap());
        assert!(said.code == Some(2) && said.err.contains(wanted) && !said.err.contains("Traceback"), "{said:#?}");
    }
    assert!(read("/nowhere.json").err.contains("cannot read /nowhere.json"));
}

#[test]
fn the_notebook_runs_from_start_to_end() {
    if !python_has("nbconvert, ipykernel") {
        return;
    }
    let mut command = Command::new("python3");
    command.args(["-m", "nbconvert", "--to", "markdown", "--execute", "--stdout", &recipe("course/herd.ipynb")]);
    let said = said(command.env("HERD_RESULT", course_result()).current_dir(recipe("course")));
    assert_eq!(said.code, Some(0), "{said:#?}");
    for wanted in ["6 cells", "two                      N=4     ####", "2.00 woken = 1.00 needed"] {
        assert!(said.out.contains(wanted), "no {wanted:?}: {said:#?}");
    }
}
