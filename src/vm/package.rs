//! The kernel out of a package, in memory.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use nix::sys::memfd::{MFdFlags, memfd_create};

/// Larger than any kernel package.
const MOST_BYTES: u64 = 4 << 30;

/// The kernel out of a Debian package.
pub fn out_of_deb(package: File) -> Result<File, String> {
    let mut package = package;
    package.seek(SeekFrom::Start(0)).map_err(|e| e.to_string())?;
    let mut archive = ar::Archive::new(package);
    while let Some(member) = archive.next_entry() {
        let member = member.map_err(|e| format!("a damaged package: {e}"))?;
        let name = String::from_utf8_lossy(member.header().identifier()).into_owned();
        let unpacked: Box<dyn Read> = match name.trim_end_matches('/') {
            "data.tar.xz" => Box::new(liblzma::read::XzDecoder::new(member)),
            "data.tar.gz" => Box::new(flate2::read::GzDecoder::new(member)),
            "data.tar.zst" => Box::new(
                ruzstd::decoding::StreamingDecoder::new(member).map_err(|e| format!("a damaged package: {e}"))?,
            ),
            "data.tar" => Box::new(member),
            _ => continue,
        };
        return out_of_tar(unpacked);
    }
    Err("a package without data.tar; is it a .deb?".into())
}

fn out_of_tar(data: Box<dyn Read + '_>) -> Result<File, String> {
    let damaged = |e: io::Error| format!("a damaged package: {e}");
    let mut tar = tar::Archive::new(data);
    for entry in tar.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let path = entry.path().map_err(damaged)?.into_owned();
        if is_kernel(&path) && entry.header().entry_type().is_file() {
            return in_memory(&mut entry);
        }
    }
    Err("a package without a kernel; take linux-image-VERSION, or from Linux 6.19 on linux-binary-VERSION".into())
}

/// Copies a kernel out of whatever it is packed in.
fn in_memory(packed: &mut dyn Read) -> Result<File, String> {
    let memory = memfd_create("herd-kernel", MFdFlags::MFD_CLOEXEC).map_err(|e| format!("memfd_create: {e}"))?;
    let mut image = File::from(memory);
    let copied = io::copy(&mut packed.take(MOST_BYTES), &mut image).and_then(|_| image.flush());
    copied.map_err(|e| format!("a damaged package: {e}"))?;
    Ok(image)
}

/// Where distributions put kernels; user-mode-linux is Debian's linux.uml.
fn is_kernel(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    name.starts_with("vmlinuz-") || name == "vmlinuz" || name.starts_with("bzImage") || name == "linux.uml"
}
