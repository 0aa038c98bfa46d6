//! The kernel out of a package, in memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Larger than any kernel package.
const MOST_BYTES: u64 = 4 << 30;

/// The kernel out of a Debian package.
pub fn out_of_deb(mut package: File) -> Result<File, String> {
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

/// Before both headers (rpm's lib/rpmlead.c).
const RPM_LEAD: u64 = 96;
const RPM_HEADER: [u8; 4] = [0x8e, 0xad, 0xe8, 0x01];
/// What rpm itself reads at most, bytes (lib/header_internal.h).
const RPM_MOST: u64 = 256 << 20;

/// The kernel out of an RPM package. Its headers are passed over and not read: two
/// of them, then a cpio archive, which says itself how it is packed.
pub fn out_of_rpm(mut package: File) -> Result<File, String> {
    let mut at = RPM_LEAD;
    for _ in 0..2 {
        // The first is padded, and the second begins at a multiple of eight so.
        at = past_header(&mut package, at.next_multiple_of(8))?;
    }
    package.seek(SeekFrom::Start(at)).map_err(|e| format!("a damaged package: {e}"))?;
    let mut data = BufReader::new(package);
    let start = data.fill_buf().map_err(|e| format!("a damaged package: {e}"))?;
    let unpacked: Box<dyn Read> = match start {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::GzDecoder::new(data)),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Box::new(liblzma::read::XzDecoder::new(data)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            Box::new(ruzstd::decoding::StreamingDecoder::new(data).map_err(|e| format!("a damaged package: {e}"))?)
        }
        [b'0', b'7', b'0', b'7', ..] => Box::new(data),
        [] => return Err("a package cut off before its files".into()),
        _ => {
            return Err("a package packed in a way that herd does not read; take the kernel out of it: \
                        rpm2cpio FILE | cpio -id './lib/modules/*/vmlinuz'"
                .into());
        }
    };
    out_of_cpio(unpacked)
}

/// Where the header of an RPM package that begins at `at` ends.
fn past_header(package: &mut File, at: u64) -> Result<u64, String> {
    let mut head = [0; 16];
    let read = package.seek(SeekFrom::Start(at)).and_then(|_| package.read_exact(&mut head));
    read.map_err(|_| "a package cut off in its headers".to_owned())?;
    let number = |at: usize| u64::from(u32::from_be_bytes(head[at..at + 4].try_into().expect("four bytes")));
    // Its index, of 16 bytes each, and its data.
    let (entries, bytes) = (number(8), number(12));
    let length = entries * 16 + bytes;
    if head[..4] != RPM_HEADER || length > RPM_MOST {
        return Err("a damaged package: no RPM header where one should be".into());
    }
    Ok(at + 16 + length)
}

fn out_of_cpio(mut data: Box<dyn Read>) -> Result<File, String> {
    let damaged = |e: io::Error| format!("a damaged package: {e}");
    // Each turn reads more of the package, or ends.
    loop {
        let mut file = cpio::newc::Reader::new(data).map_err(damaged)?;
        let entry = file.entry();
        if entry.is_trailer() {
            return Err("a package without a kernel; Fedora's is in kernel-core, openSUSE's in kernel-default".into());
        }
        let regular = entry.mode() & 0o170_000 == 0o100_000;
        if regular && entry.file_size() > 0 && is_kernel(Path::new(entry.name())) {
            return in_memory(&mut file);
        }
        data = file.finish().map_err(damaged)?;
    }
}

/// Copies a kernel out of whatever it is packed in.
fn in_memory(packed: &mut dyn Read) -> Result<File, String> {
    let mut image = super::memory("herd-kernel").map_err(|e| format!("memfd_create: {e}"))?;
    let copied = io::copy(&mut packed.take(MOST_BYTES), &mut image).and_then(|_| image.flush());
    copied.map_err(|e| format!("a damaged package: {e}"))?;
    Ok(image)
}

/// Where distributions put kernels; user-mode-linux is Debian's linux.uml.
fn is_kernel(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    name.starts_with("vmlinuz-") || name == "vmlinuz" || name.starts_with("bzImage") || name == "linux.uml"
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// Files as rpm packs them.
    fn cpio(files: &[(&str, &[u8])]) -> Vec<u8> {
        let inputs = files
            .iter()
            .map(|(name, content)| (cpio::newc::Builder::new(name).mode(0o100_644), Cursor::new(content.to_vec())));
        cpio::write_cpio(inputs, Vec::new()).unwrap()
    }

    /// A package with headers of these lengths, of which the first is padded.
    fn rpm(payload: &[u8]) -> Vec<u8> {
        let mut package = vec![0; 96];
        package[..4].copy_from_slice(&[0xed, 0xab, 0xee, 0xdb]);
        for (entries, bytes) in [(1u32, 5u32), (2, 11)] {
            package.resize(package.len().next_multiple_of(8), 0);
            package.extend(RPM_HEADER);
            package.extend([0; 4]);
            package.extend(entries.to_be_bytes());
            package.extend(bytes.to_be_bytes());
            package.extend(vec![0xff; (entries * 16 + bytes) as usize]);
        }
        package.extend(payload);
        package
    }

    fn unpack(package: &[u8]) -> Result<Vec<u8>, String> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(package).unwrap();
        let mut image = out_of_rpm(file)?;
        image.seek(SeekFrom::Start(0)).unwrap();
        let mut content = Vec::new();
        image.read_to_end(&mut content).unwrap();
        Ok(content)
    }

    fn fedora() -> Vec<u8> {
        let files: [(&str, &[u8]); 3] =
            [("./boot/.vmlinuz.hmac", b"no"), ("./lib/modules/6.1/vmlinuz", b"kernel"), ("./z", b"no")];
        cpio(&files)
    }

    #[test]
    fn a_kernel_is_found_however_its_rpm_is_packed() {
        let plain = fedora();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(&plain).unwrap();
        let zstd = ruzstd::encoding::compress_to_vec(plain.as_slice(), ruzstd::encoding::CompressionLevel::Fastest);
        for packed in [plain.clone(), gzip.finish().unwrap(), xz.finish().unwrap(), zstd] {
            assert_eq!(unpack(&rpm(&packed)).as_deref(), Ok(&b"kernel"[..]));
        }
    }

    #[test]
    fn a_damaged_rpm_is_one_message() {
        let whole = rpm(&fedora());
        for length in 0..whole.len() {
            let found = unpack(&whole[..length]);
            // Once the kernel is out, the rest does not matter.
            assert!(found.as_deref().is_ok_and(|k| b"kernel".starts_with(k)) || found.is_err(), "{length}: {found:?}");
        }
        assert!(unpack(&whole[..100]).unwrap_err().contains("cut off in its headers"));
        let start = rpm(&[]).len();
        assert!(unpack(&whole[..start]).unwrap_err().contains("cut off before its files"));
        assert!(unpack(&whole[..start + 50]).unwrap_err().contains("a damaged package"));
        let mut wild = whole.clone();
        wild[96 + 8..96 + 12].fill(0xff);
        assert!(unpack(&wild).unwrap_err().contains("no RPM header"));
        assert!(unpack(&rpm(b"BZh9...")).unwrap_err().contains("rpm2cpio"));
        assert!(unpack(&rpm(&cpio(&[("./etc/x", b"x")]))).unwrap_err().contains("kernel-core"));
    }
}
