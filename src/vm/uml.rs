//! User-mode-linux: a kernel that is an ordinary program, and runs in our place of
//! a machine (Documentation/virt/uml/user_mode_linux_howto_v2.rst).

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::command_line::through;
use super::kernel::Kernel;
use super::qemu::Options;

/// What stands where other guests have their accelerator.
pub const ACCEL: &str = "user-mode-linux";

/// The kernel with the same two ports as a machine has: results on our stdout,
/// console on stderr.
pub fn command(kernel: &Kernel, initrd: &File, options: &Options) -> Command {
    let mut command = Command::new(through(&kernel.image));
    command
        .args([format!("mem={}M", options.memory), format!("initrd={}", through(initrd))])
        .args(["con=null", "con0=null,fd:2", "ssl=null", "ssl1=null,fd:1"])
        .args(["console=tty0", "loglevel=5", "printk.devkmsg=on", "panic=-1", "noreboot", "rdinit=/init"])
        // It keeps its number and a control socket in a folder that would stay when
        // it is killed. There can be none here, so it complains and goes on.
        .arg("uml_dir=/dev/null/")
        // Several CPUs need seccomp, and a kernel that is built for them (Linux
        // 6.19); others hand both words to /init, which does not care.
        .args(["seccomp=auto".into(), format!("ncpus={}", options.smp)])
        .args(options.append.split_whitespace());
    // When it panics it signals its whole process group.
    command.process_group(0);
    command
}

/// Whether it has ended. Older ones (6.1, not 7.2) have helper processes that live
/// on and keep our pipes open, so the end of a pipe does not say so. The process
/// stays a zombie, and its number that of its group.
pub fn has_ended(child: &Child) -> bool {
    !matches!(look(child), Ok(WaitStatus::StillAlive))
}

/// Ends those helpers. Does nothing once the process was reaped: its number may be
/// somebody else's.
pub fn end_helpers(child: &Child) {
    if look(child).is_ok() {
        let _ = killpg(number(child), Signal::SIGKILL);
    }
}

/// What has become of it, without reaping it.
fn look(child: &Child) -> nix::Result<WaitStatus> {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    waitid(Id::Pid(number(child)), flags)
}

fn number(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

/// Why the program did not even start.
pub fn cannot_start(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "user-mode-linux may not be run from here; chmod +x it, and not on a noexec mount".into()
        }
        io::ErrorKind::NotFound => {
            "user-mode-linux needs a dynamic linker that is not here; build it with CONFIG_STATIC_LINK=y".into()
        }
        _ => format!("user-mode-linux cannot be run: {error}"),
    }
}
