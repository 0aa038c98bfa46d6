//! The command line of QEMU, and of the kernel in it.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;

use super::kernel::Kernel;
use super::qemu::Options;

// As QEMU spells them.
pub(super) const KVM: &str = "kvm";
/// One thread for all CPUs. With a thread each, every wake of a worker on another CPU
/// waits for the host's scheduler: four times as long here. (6.12.107 crashes now and
/// then before PID 1 either way.)
pub(super) const TCG: &str = "tcg,thread=single";
/// For every guest: the console and its level, a panic that ends it, none of the
/// mitigations, every word of PID 1 (which names the cells there), and RCU that hurries: each cell waits for it when it hangs up BPF
/// programs and takes them down, 50 ms of an emulated CPU's idle time.
const APPEND: &str =
    "console=ttyS0 loglevel=5 panic=-1 mitigations=off printk.devkmsg=on rcupdate.rcu_expedited=1 rdinit=/init";
/// Where CPUs are emulated. Their time stamp counters are one clock of the host's; a
/// kernel that does not trust them reads the clock from an emulated device instead.
const APPEND_TCG: &str = "tsc=reliable";

/// QEMU with the kernel in it.
pub(super) fn machine(kernel: &Kernel, initrd: &File, options: &Options, accel: &str) -> Command {
    let clock = if accel == TCG { APPEND_TCG } else { "" };
    // The user's last, since the last of two wins.
    let append = [APPEND, clock, &options.append].join(" ");
    let mut command = Command::new(&options.qemu);
    command
        .args(["-nodefaults", "-nic", "none", "-display", "none", "-no-reboot"])
        .args(["-accel", accel])
        .args(["-smp", &options.smp.to_string(), "-m", &options.memory.to_string()])
        .args(["-kernel", &through(&kernel.image), "-initrd", &through(initrd)])
        .args(["-append", append.trim()])
        // The console goes where QEMU's own complaints go.
        .args(["-serial", "file:/dev/stderr"])
        .args(["-chardev", "stdio,id=results,signal=off", "-serial", "chardev:results"]);
    command
}

/// The name by which a child opens a file of ours.
pub(super) fn through(file: &File) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd())
}

/// Said where there is no QEMU.
pub(super) fn missing(qemu: &Path) -> String {
    format!(
        "{} is not installed (Debian: qemu-system-x86, Fedora: qemu-system-x86-core, Arch: qemu-system-x86); \
         or name it with --qemu",
        qemu.display()
    )
}
