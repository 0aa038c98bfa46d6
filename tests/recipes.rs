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

#[test]
fn lava_gets_one_case_per_point() {
    // Stand-ins that only say how they were called.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lava");
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["lava-test-case", "lava-test-set"] {
        let path = folder.join(name);
        std::fs::write(&path, format!("#!/bin/sh\necho \"{name} $*\"\n")).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let script = format!(
        "PATH={}:$PATH; {} check {}/tests/golden/check.toml --repeat 3 | sh {}",
        folder.display(),
        env!("CARGO_BIN_EXE_herd"),
        env!("CARGO_MANIFEST_DIR"),
        recipe("ktap-to-lava.sh")
    );
    let said = said(Command::new("sh").args(["-c", &script]));
    assert_eq!(said.code, Some(0), "{said:#?}");
    let cases: Vec<&str> = said.out.lines().filter(|line| line.starts_with("lava-test-case ")).collect();
    assert_eq!(cases.len(), 16);
    for want in [
        "lava-test-case good/wakeups_per_event --result pass",
        "lava-test-case shaky/wakeups_per_event --result fail",
        "lava-test-case good/winners-2 --result skip",
        "lava-test-case blind/conservation --result unknown",
    ] {
        assert!(cases.contains(&want), "no {want:?} in {cases:#?}");
    }
    let sets: Vec<&str> = said.out.lines().filter(|line| line.starts_with("lava-test-set ")).collect();
    assert_eq!(sets, ["lava-test-set start check", "lava-test-set stop"]);
}
