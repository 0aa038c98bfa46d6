//! Whether two descriptors of two processes are one open file: kcmp(2).

use std::io;

const KCMP_FILE: libc::c_int = 0;

/// Needs the right to look into both processes, and CONFIG_KCMP.
pub fn same_file((pid, fd): (u32, u32), (other_pid, other_fd): (u32, u32)) -> io::Result<bool> {
    let (fd, other_fd) = (libc::c_ulong::from(fd), libc::c_ulong::from(other_fd));
    // SAFETY: only numbers are passed.
    let order = unsafe { libc::syscall(libc::SYS_kcmp, pid as i32, other_pid as i32, KCMP_FILE, fd, other_fd) };
    if order < 0 { Err(io::Error::last_os_error()) } else { Ok(order == 0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn a_duplicate_is_the_same_file_and_a_second_open_is_not() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let (twin, other) = (file.try_clone().unwrap(), std::fs::File::open("/dev/null").unwrap());
        let ours = |f: &std::fs::File| (std::process::id(), f.as_raw_fd() as u32);
        assert!(same_file(ours(&file), ours(&twin)).unwrap());
        assert!(!same_file(ours(&file), ours(&other)).unwrap());
    }
}
