//! Guests without a kernel: a script in QEMU's place, which says what a guest would.

// Each test file uses a part of this.
#![allow(dead_code)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use herd::results::{CellResult, Environment};
use herd::vm::protocol::{Line, Speaker};

/// A QEMU that says what stands beside the kernel that it is to boot.
pub const TELLS: &str = r#"while [ "$1" != -kernel ]; do shift; done
kernel=$(readlink "$2")
cat "$kernel.says""#;

/// Files of one test; gone with it.
pub struct Place(tempfile::TempDir);

impl Place {
    pub fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        place.write("init", &static_elf());
        place.write("bzImage", &bz_image());
        place
    }

    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    pub fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    pub fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// A program that is this shell script.
    pub fn script(&self, name: &str, body: &str) -> String {
        let path = self.write(name, format!("#!/bin/sh\n{body}\n").as_bytes());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    }

    /// A shell script in QEMU's place.
    pub fn qemu(&self, body: &str) -> String {
        self.script("qemu", body)
    }

    /// A kernel that will be said to have given these cells; its path.
    pub fn kernel(&self, name: &str, release: &str, cells: &[CellResult]) -> String {
        self.write(&format!("{name}.says"), &spoken(release, cells));
        self.write(name, &bz_image()).display().to_string()
    }

    /// `herd vm` with everything that makes it independent of this machine.
    pub fn args<'a>(&self, qemu: &'a str, more: &[&'a str]) -> Vec<String> {
        let init = self.path("init");
        let fixed = ["vm", "--init", &init, "--qemu", qemu, "--accel", "tcg"];
        fixed.iter().chain(more).map(|word| (*word).to_owned()).collect()
    }
}

/// The lines of a guest that ran these cells to its end.
pub fn spoken(release: &str, cells: &[CellResult]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut speaker = Speaker::new(&mut out);
    let environment = Environment {
        kernel_release: release.into(),
        kernel_version: format!("#1 {release}"),
        machine: "x86_64".into(),
        cpus_online: 2,
        started: "1700000000".into(),
        ..Environment::default()
    };
    speaker.say(&Line::Ready(Box::new(environment))).unwrap();
    for cell in cells {
        speaker.say(&Line::Start(cell.id.clone())).unwrap();
        speaker.say(&Line::Cell(Box::new(cell.clone().into()))).unwrap();
    }
    speaker.end().unwrap();
    out
}

/// The least that passes for a program without a dynamic linker: a header and
/// one segment to load.
pub fn static_elf() -> Vec<u8> {
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

pub fn bz_image() -> Vec<u8> {
    let mut image = vec![0; 1024 + 1600];
    image[0x1f1] = 1;
    image[0x1f4] = 100;
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x236] = 1;
    image
}
