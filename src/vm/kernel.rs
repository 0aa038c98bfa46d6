//! A kernel in whatever the user names: an image, a Debian package, the folder of
//! a build. Says what is wrong with everything else before QEMU is asked, which
//! would call most of it "linux kernel too old to load a ram disk".

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use elf::ElfBytes;
use elf::abi::{EM_X86_64, PT_NOTE};
use elf::endian::AnyEndian;

use super::package;

/// Where a build leaves its kernel, best first.
const BUILT: [&str; 3] = ["arch/x86/boot/bzImage", "arch/x86_64/boot/bzImage", "vmlinux"];

/// Boot header of Documentation/arch/x86/boot.rst.
const SETUP_SECTS: usize = 0x1f1;
const SYSSIZE: usize = 0x1f4;
const MAGIC: usize = 0x202;
const KERNEL_VERSION: usize = 0x20e;
const XLOADFLAGS: usize = 0x236;
const HEADER: usize = 0x240;
/// XLF_KERNEL_64.
const FOR_64_BITS: u8 = 1;
/// XEN_ELFNOTE_PHYS32_ENTRY: how QEMU enters an uncompressed kernel (PVH).
const PVH_NOTE: u64 = 18;

/// What boots a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// QEMU.
    Machine,
    /// It is a program itself.
    UserMode,
}

/// A kernel that can be booted.
pub struct Kernel {
    /// As the user named it.
    pub name: String,
    /// Read by QEMU through /proc/PID/fd, or run; memory, for one out of a package.
    pub image: File,
    pub kind: Kind,
    /// As its own header says; a kernel that never boots says it nowhere else.
    pub release: Option<String>,
}

/// Finds the kernel at `path`.
///
/// # Errors
/// One message that says what it is and what would do.
pub fn open(path: &Path) -> Result<Kernel, String> {
    let refused = |what: String| format!("{}: {what}", path.display());
    let found = if path.is_dir() { built(path).map_err(refused)? } else { path.to_owned() };
    let mut image = File::open(&found).map_err(|e| format!("{}: {e}", found.display()))?;
    let mut magic = [0; 8];
    let length = read_up_to(&mut image, &mut magic).map_err(|e| refused(e.to_string()))?;
    if magic[..length] == *b"!<arch>\n" {
        image = package::out_of_deb(image).map_err(refused)?;
    } else if magic[..length].starts_with(&[0xed, 0xab, 0xee, 0xdb]) {
        image = package::out_of_rpm(image).map_err(refused)?;
    }
    let kind = check(&mut image).map_err(|why| format!("{}: {why}", found.display()))?;
    let release = release(&mut image);
    Ok(Kernel { name: path.display().to_string(), image, kind, release })
}

fn built(tree: &Path) -> Result<PathBuf, String> {
    let mut candidates = BUILT.iter().map(|inside| tree.join(inside));
    candidates
        .find(|path| path.is_file())
        .ok_or_else(|| format!("a folder without {}; build the kernel first, or name the image", BUILT.join(", ")))
}

fn read_up_to(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    file.seek(SeekFrom::Start(0))?;
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..])? {
            0 => break,
            more => length += more,
        }
    }
    Ok(length)
}

/// What can boot this.
fn check(image: &mut File) -> Result<Kind, String> {
    let mut head = [0; HEADER];
    let length = read_up_to(image, &mut head).map_err(|e| e.to_string())?;
    let size = image.metadata().map_err(|e| e.to_string())?.len();
    if length >= MAGIC + 4 && head[MAGIC..MAGIC + 4] == *b"HdrS" {
        return check_bz_image(&head[..length], size).map(|()| Kind::Machine);
    }
    if head.starts_with(b"\x7fELF") {
        return check_elf(image);
    }
    if head[56..60] == *b"ARM\x64" {
        return Err("a kernel for arm64; herd boots x86-64 kernels".into());
    }
    let start = String::from_utf8_lossy(&head[..length.min(16)]).escape_debug().to_string();
    Err(format!(
        "no kernel: it begins with \"{start}\"; name a bzImage, a vmlinux with a PVH note, a linux-image .deb or \
         kernel-core .rpm, user-mode-linux, a kernel build folder, or host"
    ))
}

/// The release in a bzImage: a text behind the boot header, such as
/// `6.1.0-47-cloud-amd64 (builder) #1 SMP`; its place is counted from the second sector.
fn release(image: &mut File) -> Option<String> {
    let mut head = [0; 0x4000];
    let length = read_up_to(image, &mut head).ok()?;
    let head = &head[..length];
    if head.get(MAGIC..MAGIC + 4)? != b"HdrS" {
        return None;
    }
    let place = u16::from_le_bytes(head.get(KERNEL_VERSION..KERNEL_VERSION + 2)?.try_into().ok()?);
    let text = head.get(usize::from(place).checked_add(512).filter(|_| place > 0)?..)?;
    let word = text.split(|byte| *byte == b' ' || *byte == 0).next()?;
    let plain = !word.is_empty() && word.len() < 128 && word.iter().all(u8::is_ascii_graphic);
    plain.then(|| String::from_utf8_lossy(word).into_owned())
}

fn check_bz_image(head: &[u8], size: u64) -> Result<(), String> {
    if head.len() < HEADER {
        return Err(format!("a kernel image cut off after {size} bytes"));
    }
    if head[XLOADFLAGS] & FOR_64_BITS == 0 {
        return Err("a 32-bit kernel; herd boots x86-64 kernels".into());
    }
    let sectors = if head[SETUP_SECTS] == 0 { 4 } else { u64::from(head[SETUP_SECTS]) };
    let paragraphs = u32::from_le_bytes(head[SYSSIZE..SYSSIZE + 4].try_into().expect("four bytes"));
    let whole = (sectors + 1) * 512 + u64::from(paragraphs) * 16;
    // The last paragraph may be padded or not.
    if size + 16 < whole {
        return Err(format!("a kernel image cut off: {size} of {whole} bytes"));
    }
    Ok(())
}

fn check_elf(image: &mut File) -> Result<Kind, String> {
    let mut bytes = Vec::new();
    image.seek(SeekFrom::Start(0)).and_then(|_| image.read_to_end(&mut bytes)).map_err(|e| e.to_string())?;
    let broken = |e: elf::ParseError| format!("an ELF file that cannot be read: {e}");
    let file = ElfBytes::<AnyEndian>::minimal_parse(&bytes).map_err(broken)?;
    if file.ehdr.e_machine != EM_X86_64 {
        return Err("an ELF file for another machine; herd boots x86-64 kernels".into());
    }
    if is_user_mode(&file) {
        return Ok(Kind::UserMode);
    }
    let segments = file.segments().ok_or("an ELF file without program headers; is it a vmlinux?")?;
    let has_note = segments.iter().filter(|segment| segment.p_type == PT_NOTE).any(|segment| {
        let notes = file.segment_data_as_notes(&segment);
        notes.is_ok_and(|mut notes| {
            notes.any(|note| matches!(note, elf::note::Note::Unknown(n) if n.n_type == PVH_NOTE && n.name.starts_with(b"Xen")))
        })
    });
    if has_note {
        return Ok(Kind::Machine);
    }
    Err("an ELF file without a PVH note (CONFIG_PVH), which QEMU cannot boot; name the bzImage of that build".into())
}

/// User-mode-linux keeps its options in a section that no other program has
/// (arch/um/include/shared/init.h, __uml_setup; asm/common.lds.S).
fn is_user_mode(file: &ElfBytes<'_, AnyEndian>) -> bool {
    matches!(file.section_header_by_name(".uml.setup.init"), Ok(Some(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_refused(content: &[u8], want: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k");
        std::fs::write(&path, content).unwrap();
        let Err(found) = open(&path) else { panic!("taken for a kernel") };
        assert!(found.contains(want) && found.contains("/k: "), "{found}");
    }

    fn bz_image(flags: u8, paragraphs: u32, length: usize) -> Vec<u8> {
        let mut image = vec![0; length];
        image[SETUP_SECTS] = 1;
        image[SYSSIZE..SYSSIZE + 4].copy_from_slice(&paragraphs.to_le_bytes());
        image[MAGIC..MAGIC + 4].copy_from_slice(b"HdrS");
        image[XLOADFLAGS] = flags;
        image
    }

    #[test]
    fn what_is_no_kernel_is_named() {
        check_refused(b"hello, world", "no kernel: it begins with \"hello, world\"");
        check_refused(b"", "no kernel");
        check_refused(b"!<arch>\n", "without data.tar");
        check_refused(&[0xed, 0xab, 0xee, 0xdb, 3, 0], "a package cut off in its headers");
        check_refused(&bz_image(1, 1000, 2000), "cut off: 2000 of 17024 bytes");
        check_refused(&bz_image(0, 10, 2000), "32-bit");
        check_refused(&std::fs::read("/proc/self/exe").unwrap(), "without a PVH note");
        check_refused(b"\x7fELF but no more", "ELF file that cannot be read");
    }

    #[test]
    fn an_image_says_its_release() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bzImage");
        let mut image = bz_image(1, 100, 1024 + 1600);
        image[KERNEL_VERSION..KERNEL_VERSION + 2].copy_from_slice(&100u16.to_le_bytes());
        image[612..624].copy_from_slice(b"6.1.0-x (me)");
        std::fs::write(&path, &image).unwrap();
        assert_eq!(open(&path).unwrap().release.as_deref(), Some("6.1.0-x"));
        // A place beyond the file is none.
        image[KERNEL_VERSION..KERNEL_VERSION + 2].copy_from_slice(&60_000u16.to_le_bytes());
        std::fs::write(&path, &image).unwrap();
        assert_eq!(open(&path).unwrap().release, None);
    }

    #[test]
    fn an_image_of_its_full_length_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("arch/x86/boot/bzImage");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bz_image(1, 100, 1024 + 1600)).unwrap();
        assert!(open(&path).is_ok());
        assert!(open(folder.path()).is_ok(), "a build folder");
        assert_eq!(open(&path).unwrap().release, None, "it names none");
        let empty = tempfile::tempdir().unwrap();
        let Err(found) = open(empty.path()) else { panic!() };
        assert!(found.contains("build the kernel first"), "{found}");
    }
}
