//! The two initramfs images of a guest: herd as `/init`, and the plan.
//!
//! The kernel unpacks concatenated archives one after the other, each compressed
//! or not (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::io::{self, Write};

use cpio::newc::{Builder, ModeFileType, trailer};
use flate2::Compression;
use flate2::write::GzEncoder;

/// Where the guest finds what to do.
pub const PLAN: &str = "/herd/plan.json";

/// Herd and the few things that a process needs before anything is mounted,
/// compressed.
pub fn base(herd: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = GzEncoder::new(Vec::new(), Compression::default());
    for name in ["dev", "proc", "sys", "tmp", "herd"] {
        entry(&mut out, name, ModeFileType::Directory, 0o755, None, &[])?;
    }
    // A process without standard streams is given /dev/null by its runtime, and
    // ends where there is none.
    entry(&mut out, "dev/null", ModeFileType::Char, 0o666, Some((1, 3)), &[])?;
    entry(&mut out, "dev/console", ModeFileType::Char, 0o600, Some((5, 1)), &[])?;
    entry(&mut out, "init", ModeFileType::Regular, 0o755, None, herd)?;
    trailer(&mut out)?;
    out.finish()
}

/// The plan as a second archive, not compressed: it is small and differs.
pub fn plan(json: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    entry(&mut out, PLAN.trim_start_matches('/'), ModeFileType::Regular, 0o644, None, json)?;
    trailer(&mut out)?;
    Ok(out)
}

/// Whether this program needs no dynamic linker.
pub fn is_static(program: &[u8]) -> bool {
    let file = elf::ElfBytes::<elf::endian::AnyEndian>::minimal_parse(program);
    let segments = file.ok().and_then(|file| file.segments());
    segments.is_some_and(|segments| segments.iter().all(|segment| segment.p_type != elf::abi::PT_INTERP))
}

fn entry(
    out: &mut impl Write,
    name: &str,
    kind: ModeFileType,
    mode: u32,
    device: Option<(u32, u32)>,
    content: &[u8],
) -> io::Result<()> {
    let mut builder = Builder::new(name).mode(mode).set_mode_file_type(kind).nlink(1);
    if let Some((major, minor)) = device {
        builder = builder.rdev_major(major).rdev_minor(minor);
    }
    let size = u32::try_from(content.len()).map_err(|_| io::Error::other(format!("{name} is too large")))?;
    let mut file = builder.write(&mut *out, size);
    file.write_all(content)?;
    file.finish()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_holds_init_and_its_devices() {
        let packed = base(b"#!herd").unwrap();
        let mut unpacked = flate2::read::GzDecoder::new(packed.as_slice());
        let mut names = Vec::new();
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut unpacked, &mut bytes).unwrap();
        let mut rest = bytes.as_slice();
        loop {
            let reader = cpio::newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            names.push(reader.entry().name().to_owned());
            rest = reader.finish().unwrap();
        }
        assert_eq!(names, ["dev", "proc", "sys", "tmp", "herd", "dev/null", "dev/console", "init"]);
    }
}
