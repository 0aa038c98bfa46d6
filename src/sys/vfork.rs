//! vfork for studies: a child in our memory, on a stack of its own, while the thread
//! that made it sleeps in the kernel until the child has ended.
//!
//! Not vfork(3), which returns twice on one stack; clone(2) with its flags, as
//! posix_spawn(3) does it.

use std::ffi::{c_int, c_void};
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::unistd::Pid;

const STACK: usize = 64 * 1024;

/// What the child is told; read while its maker sleeps.
struct Order {
    /// It reads one byte of this before it ends; -1: it ends at once.
    go: c_int,
    parent: libc::pid_t,
}

/// A place where vfork can be done again and again.
pub struct Vfork {
    stack: Vec<u8>,
}

extern "C" fn child(order: *mut c_void) -> c_int {
    let order = order.cast::<Order>();
    let mut byte = 0u8;
    // SAFETY: the order lives in the frame of `Vfork::run`, which sleeps. Only system
    // calls are made, since the memory is another process's.
    unsafe {
        if (*order).go >= 0 {
            libc::syscall(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
            if libc::syscall(libc::SYS_getppid) == libc::c_long::from((*order).parent) {
                libc::syscall(libc::SYS_read, (*order).go, &raw mut byte, 1usize);
            }
        }
    }
    0
}

impl Default for Vfork {
    fn default() -> Self {
        Vfork { stack: vec![0; STACK] }
    }
}

impl Vfork {
    /// Makes a child that reads a byte of `go`, if there is one, and ends. Comes back when
    /// it has ended; it is still to be waited for.
    pub fn run(&mut self, go: Option<BorrowedFd<'_>>) -> Result<Pid, Errno> {
        let mut order = Order { go: go.map_or(-1, |fd| fd.as_raw_fd()), parent: nix::unistd::getpid().as_raw() };
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        // The stack grows down; its top is aligned for every ABI.
        let top = self.stack.as_mut_ptr_range().end;
        let top = top.map_addr(|address| address & !63).cast::<c_void>();
        // SAFETY: the stack belongs to nobody else, and both it and the order outlive the
        // child's use of them, since CLONE_VFORK lets us go on only after it has ended.
        let pid = unsafe { libc::clone(child, top, flags, (&raw mut order).cast()) };
        Errno::result(pid).map(Pid::from_raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::wait::{WaitStatus, waitpid};

    #[test]
    fn the_child_has_ended_when_we_go_on() {
        let mut place = Vfork::default();
        for _ in 0..3 {
            let pid = place.run(None).unwrap();
            assert_eq!(waitpid(pid, None).unwrap(), WaitStatus::Exited(pid, 0));
        }
    }
}
