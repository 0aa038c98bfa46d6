//! `herd vm` against a QEMU that is none: everything that can go wrong with a
//! guest, without one. Real kernels are booted by `make vm-check`.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use points::{Said, file, herd};

mod points;

/// Files of one test; gone with it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        place.write("init", &static_elf());
        place.write("bzImage", &bz_image());
        place
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// A shell script in QEMU's place.
    fn qemu(&self, body: &str) -> String {
        let path = self.write("qemu", format!("#!/bin/sh\n{body}\n").as_bytes());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    }

    fn vm(&self, qemu: &str, more: &[&str]) -> Said {
        let (kernel, init) = (self.path("bzImage"), self.path("init"));
        let args = ["vm", "--quiet", "--init", &init, "--qemu", qemu, "--accel", "tcg", "--kernel", &kernel];
        herd(&[&args, more].concat())
    }
}

/// The least that passes for a program without a dynamic linker: a header and
/// one segment to load.
fn static_elf() -> Vec<u8> {
    let mut elf = vec![0; 64 + 56];
    elf[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\0");
    elf[16] = 2; // executable
    elf[18] = 62; // x86-64
    elf[20] = 1;
    elf[32] = 64; // program headers follow
    elf[52] = 64;
    elf[54] = 56;
    elf[56] = 1;
    elf[64] = 1; // PT_LOAD
    elf
}

fn bz_image() -> Vec<u8> {
    let mut image = vec![0; 1024 + 1600];
    image[0x1f1] = 1;
    image[0x1f4] = 100;
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x236] = 1;
    image
}

/// What a fake guest makes of the run: exit code, and one message that says why.
#[track_caller]
fn check_guest(body: &str, code: i32, message: &str) -> Said {
    let place = Place::new();
    let said = place.vm(&place.qemu(body), &["--limit", "2"]);
    assert_eq!(said.code, Some(code), "{said:#?}");
    assert!(said.err.contains(message), "{message:?} is not in {said:#?}");
    assert!(said.err.contains("bzImage: "), "the kernel is not named: {said:#?}");
    said
}

const READY: &str = r#"echo '{"ready":{"kernel_release":"1.2.3"}}'"#;
const START: &str = r#"echo '{"start":"herd/epoll/placement=processes"}'"#;

#[test]
fn a_guest_that_does_not_come_to_its_end_is_invalid() {
    check_guest("exit 0", 3, "did not come to PID 1");
    check_guest("echo 'qemu: not a kernel' >&2; exit 1", 3, "console: qemu: not a kernel");
    check_guest(&format!("{READY}; exit 0"), 3, "ended early");
    check_guest("echo hello", 3, "garbage on the result port: \"hello\"");
    check_guest(&format!("{READY}; echo '{{\"end\":{{\"cells\":3,\"crc32\":1}}}}'"), 3, "results were lost");
    check_guest(r#"echo '{"broken":"cannot mount /proc: ENODEV"}'"#, 3, "inside the guest: cannot mount /proc");
}

#[test]
fn a_guest_that_hangs_is_ended_and_its_cell_named() {
    check_guest("exec sleep 1000", 3, "hangs before PID 1: nothing for 2 s (--limit)");
    check_guest(&format!("{READY}; {START}; exec sleep 1000"), 3, "hangs in herd/epoll/placement=processes");
}

#[test]
fn a_kernel_that_crashes_in_a_cell_fails_that_cell() {
    let panic = "echo '[    3.1] Kernel panic - not syncing: Oops' >&2";
    // The two ports are read side by side: the cell has started before it crashes.
    let body = format!("{READY}; {START}; read -r _ < /dev/null; sleep 0.3; {panic}; sleep 0.3");
    let said = check_guest(&body, 1, "Kernel panic - not syncing: Oops");
    assert!(said.out.contains("0 of 22 cells as expected, 1 failed, 21 invalid"), "{said:#?}");
}

#[test]
fn what_cannot_be_booted_is_one_message() {
    let place = Place::new();
    let missing = place.vm(&place.path("no-such-qemu"), &[]);
    assert_eq!(missing.code, Some(3), "{missing:#?}");
    assert!(missing.err.contains("is not installed (Debian: qemu-system-x86"), "{missing:#?}");
    let text = place.write("text", b"no kernel at all").display().to_string();
    let said = herd(&["vm", "--kernel", &text]);
    assert_eq!(said.code, Some(2), "{said:#?}");
    assert!(said.err.contains("text: no kernel: it begins with"), "{said:#?}");
    let absent = herd(&["vm", "--kernel", &place.path("absent")]);
    assert_eq!(absent.code, Some(2), "{absent:#?}");
    let dynamic = herd(&["vm", "--init", "/proc/self/exe", "--kernel", &place.path("bzImage")]);
    // Where this herd is static itself there is nothing to refuse.
    assert!(dynamic.code == Some(3) || dynamic.err.contains("make static"), "{dynamic:#?}");
}

#[test]
fn one_kernel_that_fails_costs_the_others_nothing() {
    let place = Place::new();
    let text = place.write("text", b"no kernel at all").display().to_string();
    let nothing = file("vm-host", "title = \"t\"\n[[wait]]\nname = \"null\"\nkind = \"null\"\n");
    let said = herd(&["vm", "--quiet", &nothing, "--kernel", "host", &text]);
    assert_eq!(said.code, Some(3), "{said:#?}");
    assert!(said.err.contains("no kernel"), "{said:#?}");
    assert!(said.out.contains("cells as expected"), "{said:#?}");
}

/// The script that herd prints, asked about a kernel that a fake QEMU boots.
#[track_caller]
fn check_bisect(qemu: &str, code: i32) {
    let place = Place::new();
    let expect = ["--wait", "accept", "--expect", "wakeups_per_event = 1"];
    let said = herd(&[&["bisect-script", "--experiment", "io-uring"], &expect[..]].concat());
    assert_eq!(said.code, Some(0), "{said:#?}");
    let script = place.write("which.sh", said.out.as_bytes());
    let (qemu, kernel, init) = (place.qemu(qemu), place.path("bzImage"), place.path("init"));
    let herd = place.write(
        "herd",
        format!("#!/bin/sh\nexec {} \"$@\" --init {init} --qemu {qemu} --limit 2\n", env!("CARGO_BIN_EXE_herd"))
            .as_bytes(),
    );
    std::fs::set_permissions(&herd, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = std::process::Command::new("sh");
    let said = points::said(command.arg(script).env("KERNEL", kernel).env("HERD", herd));
    assert_eq!(said.code, Some(code), "{said:#?}");
}

#[test]
fn a_kernel_that_cannot_be_booted_is_skipped_by_bisect() {
    check_bisect("exit 0", 125);
    let crash = format!(
        "{READY}; echo '{{\"start\":\"question/accept/object=tcp/placement=processes\"}}'; sleep 0.3; echo 'Kernel panic - x' >&2; sleep 0.3"
    );
    check_bisect(&crash, 125);
}

#[test]
fn a_question_that_makes_no_sense_is_refused_before_any_build() {
    let ask = |wait: &str, expect: &str| {
        herd(&["bisect-script", "--experiment", "io-uring", "--wait", wait, "--expect", expect])
    };
    for said in [ask("no such row", "wakeups_per_event = 1"), ask("accept", "no_such_metric = 1"), ask("accept", "1")] {
        assert_eq!(said.code, Some(2), "{said:#?}");
        assert!(said.out.is_empty() && said.err.starts_with("herd: --expect:"), "{said:#?}");
    }
}

/// A program with the section that tells user-mode-linux, which `source` makes.
fn user_mode_linux(place: &Place, source: &str) -> Option<String> {
    let section = "__attribute__((section(\".uml.setup.init\"), used)) static const char setup[] = \"x\";\n";
    let file = place.write("linux.c", format!("#include <unistd.h>\n#include <stdio.h>\n{section}{source}").as_bytes());
    let program = place.path("linux");
    let made = std::process::Command::new("cc").arg("-o").arg(&program).arg(file).status();
    made.is_ok_and(|status| status.success()).then_some(program)
}

/// What becomes of a user-mode-linux whose main function is `body`.
#[track_caller]
fn check_user_mode(body: &str, message: &str) {
    let place = Place::new();
    let Some(linux) = user_mode_linux(&place, &format!("int main(int c, char **v) {{ {body} }}")) else {
        eprintln!("SKIP check_user_mode: no C compiler here");
        return;
    };
    let init = place.path("init");
    let said = herd(&["vm", "--quiet", "--init", &init, "--qemu", "/no/qemu", "--limit", "2", "--kernel", &linux]);
    assert_eq!(said.code, Some(3), "{said:#?}");
    assert!(said.err.contains(message) && said.err.contains("linux: "), "{message:?} is not in {said:#?}");
}

#[test]
fn user_mode_linux_is_run_as_a_program_and_its_end_is_heard() {
    check_user_mode("return 3;", "did not come to PID 1 (user-mode-linux: exit status: 3)");
    // What it was told; the console is stderr.
    check_user_mode("for (int i = 1; i < c; i++) fprintf(stderr, \"%s \", v[i]); return 0;", "con0=null,fd:2");
    check_user_mode("puts(\"hello\"); return 0;", "garbage on the result port: \"hello\"");
    check_user_mode("pause(); return 0;", "hangs before PID 1: nothing for 2 s (--limit)");
    // Helpers of old ones outlive it and hold the pipes.
    check_user_mode("if (!fork()) pause(); return 4;", "(user-mode-linux: exit status: 4)");
    let cpu = "fputs(\"userspace - ptrace set fp regs failed, errno = 14\\n\", stderr); return 1;";
    check_user_mode(cpu, "take a newer one");
}
