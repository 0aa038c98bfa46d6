//! `herd vm` against a QEMU that is none: everything that can go wrong with a
//! guest, without one. Real kernels are booted by `make vm-check`.

use guests::Place;
use points::{Said, file, herd};

mod guests;
mod points;

#[track_caller]
fn vm(place: &Place, qemu: &str, more: &[&str]) -> Said {
    let kernel = place.path("bzImage");
    let args = place.args(qemu, &[&["--quiet", "--kernel", &kernel], more].concat());
    herd(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

/// What a fake guest makes of the run: exit code, and one message that says why.
#[track_caller]
fn check_guest(body: &str, code: i32, message: &str) -> Said {
    check_within("2", body, code, message)
}

/// The same, with so many seconds in which it may say nothing.
#[track_caller]
fn check_within(limit: &str, body: &str, code: i32, message: &str) -> Said {
    let place = Place::new();
    let said = vm(&place, &place.qemu(body), &["--limit", limit]);
    assert_eq!(said.code, Some(code), "{said:#?}");
    assert!(said.err.contains(message), "{message:?} is not in {said:#?}");
    assert!(said.err.contains("bzImage: "), "the kernel is not named: {said:#?}");
    said
}

/// Needs no kernel, and passes.
const NULL_CELLS: &str = "title = \"t\"\n[[wait]]\nname = \"null\"\nkind = \"null\"\n";
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
    let said = check_guest(&format!("{READY}; {START}; {panic}"), 1, "Kernel panic - not syncing: Oops");
    assert!(said.out.contains("0 of 22 cells as expected, 1 failed, 21 invalid"), "{said:#?}");
}

#[test]
fn a_guest_that_talks_without_end_is_ended() {
    // On a busy machine it takes a while to read all that.
    let check_guest = |body: &str, code, message: &str| check_within("300", body, code, message);
    check_guest("cat /dev/zero >&2", 3, "the guest's console prints without end");
    check_guest(&format!("{READY}; yes '[ 1.0] foo bar' >&2"), 3, "the guest's console prints without end");
    check_guest("cat /dev/zero", 3, "the guest floods the result port");
    check_guest(&format!("{READY}; yes '{{\"start\":\"a\"}}'"), 3, "garbage on the result port: a starts while a runs");
}

#[test]
fn a_qemu_that_closes_its_port_is_not_waited_for() {
    check_guest(&format!("{READY}; exec sleep 1000 >&-"), 3, "the guest ended early (QEMU: it does not end)");
    // What it prints afterwards is its last word all the same.
    check_guest("exec >&-; echo 'qemu: last words' >&2; exit 1", 3, "console: qemu: last words");
}

#[test]
fn too_little_memory_is_said_where_a_kernel_does_not_start() {
    let place = Place::new();
    let said = vm(&place, &place.qemu("exit 0"), &["--memory", "32"]);
    assert!(said.err.contains("did not come to PID 1") && said.err.contains("32 MiB"), "{said:#?}");
    let dies = "echo 'Kernel panic - not syncing: System is deadlocked on memory' >&2";
    check_guest(dies, 3, "256 MiB of memory are too little (--memory)");
}

/// A QEMU that counts its starts, crashes in the first before it says anything, and
/// then does what `body` says.
fn crashes_once(place: &Place, body: &str) -> String {
    let starts = place.path("starts");
    let first = "echo 'BUG: kernel NULL pointer dereference' >&2; exit 0";
    format!("echo >>{starts}; if [ $(wc -l <{starts}) = 1 ]; then {first}; fi\n{body}")
}

#[test]
fn a_crash_before_pid_1_is_booted_once_more_and_said() {
    let place = Place::new();
    let nothing = file("vm-again", NULL_CELLS);
    let run = herd(&["run", &nothing, "--format", "json"]);
    let cells = herd::results::Results::parse("run", &run.out).unwrap().cells;
    let kernel = place.kernel("second", "1.2.3", &cells);
    let qemu = place.qemu(&crashes_once(&place, guests::TELLS));
    let args = place.args(&qemu, &[&nothing, "--kernel", &kernel, "--format", "table"]);
    let kept = place.path("kept");
    let said = herd(&args.iter().map(String::as_str).chain(["--output", &kept]).collect::<Vec<_>>());
    assert_eq!(said.code, Some(0), "{said:#?}");
    let told = "booted twice, the first crashed before PID 1: BUG: kernel NULL pointer dereference";
    assert!(said.err.contains(told), "{said:#?}");
    let path = std::fs::read_dir(kept).unwrap().next().unwrap().unwrap().path();
    let results = herd::results::Results::parse("kept", &std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(results.environment.warnings, [told]);
}

#[test]
fn no_guest_is_booted_a_third_time_nor_again_once_it_has_spoken() {
    let starts = |place: &Place| std::fs::read_to_string(place.path("starts")).unwrap().len();
    let place = Place::new();
    let said = vm(&place, &place.qemu(&crashes_once(&place, "echo 'Kernel panic - x' >&2")), &[]);
    assert_eq!((said.code, starts(&place)), (Some(3), 2), "{said:#?}");
    assert!(said.err.contains("Kernel panic - x; it was the second boot, the first crashed"), "{said:#?}");
    // Neither what had spoken, nor what only went away, nor what will be there again.
    for (body, more) in [
        (format!("{READY}; echo 'Kernel panic - x' >&2"), "256"),
        ("exit 0".into(), "256"),
        ("echo 'Kernel panic - x' >&2".into(), "32"),
    ] {
        let place = Place::new();
        let qemu = place.qemu(&format!("echo >>{}; {body}", place.path("starts")));
        let said = vm(&place, &qemu, &["--memory", more]);
        assert_eq!((said.code == Some(0), starts(&place)), (false, 1), "{body}: {said:#?}");
    }
}

#[test]
fn a_kernel_that_crashes_before_pid_1_and_stays_is_not_waited_for() {
    // --limit is an hour: only the crash can end this, and after it a second boot.
    let oops = "echo 'BUG: kernel NULL pointer dereference' >&2; exec sleep 3600";
    check_within("3600", oops, 3, "the kernel crashed before PID 1, and says nothing more");
}

/// Lines of the kernel about one cell, whatever ran before and after.
#[test]
fn a_crash_that_a_guest_survives_is_a_failed_point_of_its_cell() {
    let place = Place::new();
    let nothing = file("vm-oops", NULL_CELLS);
    let run = herd(&["run", &nothing, "--format", "json"]);
    let cells = herd::results::Results::parse("run", &run.out).unwrap().cells;
    let kernel = place.kernel("survivor", "1.2.3", &cells);
    // Two lines, then the kernel's word, and the rest when it has been heard.
    let body = format!(
        "{}\nhead -n 2 \"$kernel.says\"; echo 'BUG: something' >&2; echo 'WARNING: else' >&2\n\
         exec tail -n +3 \"$kernel.says\"",
        guests::TELLS.lines().take(2).collect::<Vec<_>>().join("\n")
    );
    let qemu = place.qemu(&body);
    let args = place.args(&qemu, &["--quiet", "--check", &nothing, "--kernel", &kernel]);
    let said = herd(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(said.code, Some(1), "{said:#?}");
    let tests = points::read(&said.out);
    let failed: Vec<_> = tests.iter().flat_map(|t| &t.subtests).filter(|t| !t.ok).collect();
    assert!(matches!(&failed[..], [one] if one.name.ends_with("/kernel")), "{failed:#?}");
    failed[0].says("measured: BUG: something");
}

#[test]
fn what_cannot_be_booted_is_one_message() {
    let place = Place::new();
    let missing = vm(&place, &place.path("no-such-qemu"), &[]);
    assert_eq!(missing.code, Some(3), "{missing:#?}");
    assert!(missing.err.contains("is not installed (Debian: qemu-system-x86"), "{missing:#?}");
    let text = place.write("text", b"no kernel at all").display().to_string();
    let said = herd(&["vm", "--kernel", &text]);
    assert_eq!(said.code, Some(2), "{said:#?}");
    assert!(said.err.contains("text: no kernel: it begins with"), "{said:#?}");
    let absent = herd(&["vm", "--kernel", &place.path("absent")]);
    assert_eq!(absent.code, Some(2), "{absent:#?}");
    let behind = herd(&["vm", "--kernel", "condvar"]);
    assert!(behind.err.contains("condvar: No such file or directory (os error 2); it is an exp"), "{behind:#?}");
    let dynamic = herd(&["vm", "--init", "/proc/self/exe", "--kernel", &place.path("bzImage")]);
    // Where this herd is static itself there is nothing to refuse.
    assert!(dynamic.code == Some(3) || dynamic.err.contains("make static"), "{dynamic:#?}");
}

/// What is no kernel is refused with one message before anything is started.
#[track_caller]
fn check_no_kernel(content: &[u8], message: &str) {
    let place = Place::new();
    let path = place.write("given", content).display().to_string();
    let args = place.args("/nonexistent/qemu", &["--kernel", &path]);
    let said = herd(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!((said.code, said.err.lines().count()), (Some(2), 1), "{said:#?}");
    assert!(said.err.contains("given: ") && said.err.contains(message), "{message:?} is not in {said:#?}");
}

fn deb(data: &str, content: &[u8]) -> Vec<u8> {
    let mut package = ar::Builder::new(Vec::new());
    for (name, content) in [("debian-binary", b"2.0\n".as_slice()), (data, content)] {
        package.append(&ar::Header::new(name.into(), content.len() as u64), content).unwrap();
    }
    package.into_inner().unwrap()
}

fn tar_with(name: &str, content: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    tar.append_data(&mut header, name, content).unwrap();
    tar.into_inner().unwrap()
}

#[test]
fn what_is_no_kernel_is_refused_before_any_boot() {
    let image = guests::bz_image();
    check_no_kernel(&image[..2000], "a kernel image cut off: 2000 of 2624 bytes");
    check_no_kernel(&image[..0x220], "a kernel image cut off after 544 bytes");
    check_no_kernel(&guests::static_elf(), "an ELF file without a PVH note (CONFIG_PVH)");
    let mut foreign = guests::static_elf();
    foreign[18] = 183; // EM_AARCH64
    check_no_kernel(&foreign, "an ELF file for another machine");
    let mut arm = vec![0; 64];
    arm[56..60].copy_from_slice(b"ARM\x64");
    check_no_kernel(&arm, "a kernel for arm64");
    let mut old = image.clone();
    old[0x236] = 0;
    check_no_kernel(&old, "a 32-bit kernel");
    check_no_kernel(&deb("data.tar", &tar_with("./usr/share/doc/x", b"text")), "a package without a kernel");
    check_no_kernel(&deb("control.tar.xz", b""), "a package without data.tar");
    check_no_kernel(&deb("data.tar.xz", b"no xz at all"), "a damaged package");
    check_no_kernel(&deb("data.tar", &tar_with("./boot/vmlinuz-6.1", &image[..2000])), "a kernel image cut off");
    // A whole one comes as far as QEMU, which is not there.
    let place = Place::new();
    let package = deb("data.tar", &tar_with("./boot/vmlinuz-6.1", &image));
    let path = place.write("k.deb", &package).display().to_string();
    let args = place.args("/nonexistent/qemu", &["--quiet", "--kernel", &path]);
    let said = herd(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(said.err.contains("/nonexistent/qemu is not installed"), "{said:#?}");
}

#[test]
fn one_kernel_that_fails_costs_the_others_nothing() {
    let place = Place::new();
    let text = place.write("text", b"no kernel at all").display().to_string();
    let nothing = file("vm-host", NULL_CELLS);
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
    let binary = env!("CARGO_BIN_EXE_herd");
    let herd = place.script("herd", &format!("exec {binary} \"$@\" --init {init} --qemu {qemu} --limit 2"));
    let mut command = std::process::Command::new("sh");
    let said = points::said(command.arg(script).env("KERNEL", kernel).env("HERD", herd));
    assert_eq!(said.code, Some(code), "{said:#?}");
}

#[test]
fn a_kernel_that_cannot_be_booted_is_skipped_by_bisect() {
    check_bisect("exit 0", 125);
    let crash = format!(
        "{READY}; echo '{{\"start\":\"question/accept/object=tcp/placement=processes\"}}'; echo 'Kernel panic - x' >&2"
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
