//! Plain threads for studies: pthread_create(3) with a stack of a chosen size and nothing
//! else. std::thread would have each thread allocate, and with that reserve an arena of
//! its own, which a study of memory would measure.

use std::ffi::c_void;

use nix::errno::Errno;

/// Stays free at the lower end of a stack.
const MARGIN: usize = 64 * 1024;
/// Below the frame that touches: what the compiler and signals may use.
const FRAME: usize = 4096;

/// What one thread is told; it lives as long as the process.
struct Order {
    body: &'static (dyn Fn(usize, &Stack) + Sync),
    index: usize,
    stack: usize,
}

/// Threads that run one function.
pub struct Crowd {
    body: &'static (dyn Fn(usize, &Stack) + Sync),
    stack: usize,
    threads: Vec<libc::pthread_t>,
}

extern "C" fn start(order: *mut c_void) -> *mut c_void {
    // SAFETY: made by `Crowd::add` from a reference that stays valid for ever.
    let order = unsafe { &*order.cast::<Order>() };
    let here = 0u8;
    let stack = Stack { top: (&raw const here).addr(), size: order.stack };
    (order.body)(order.index, &stack);
    std::ptr::null_mut()
}

impl Crowd {
    /// Nobody yet. Each will have a stack of `stack` bytes and run `body` with its number,
    /// counted from 0. What the body holds is never freed: a study's process ends soon.
    pub fn new(stack: usize, body: impl Fn(usize, &Stack) + Sync + 'static) -> Crowd {
        Crowd { body: Box::leak(Box::new(body)), stack, threads: Vec::new() }
    }

    /// One more. EAGAIN: no memory, no address space, or too many tasks.
    pub fn add(&mut self) -> Result<(), Errno> {
        let order = Order { body: self.body, index: self.threads.len(), stack: self.stack };
        let order: &'static Order = Box::leak(Box::new(order));
        let mut attributes = std::mem::MaybeUninit::uninit();
        let mut thread = std::mem::MaybeUninit::uninit();
        let done = |result: libc::c_int| if result == 0 { Ok(()) } else { Err(Errno::from_raw(result)) };
        // SAFETY: the attributes are initialised first and destroyed last; the order and
        // what it refers to live as long as the process, and may be shared (Sync).
        unsafe {
            done(libc::pthread_attr_init(attributes.as_mut_ptr()))?;
            let made = done(libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), self.stack)).and_then(|()| {
                let order = std::ptr::from_ref(order).cast_mut().cast();
                done(libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), start, order))
            });
            libc::pthread_attr_destroy(attributes.as_mut_ptr());
            made?;
            self.threads.push(thread.assume_init());
        }
        Ok(())
    }

    pub fn len(&self) -> usize {
        self.threads.len()
    }

    pub fn is_empty(&self) -> bool {
        self.threads.is_empty()
    }

    /// Sleeps until all have ended; how many they were.
    pub fn join(&mut self) -> usize {
        let all = self.threads.len();
        for thread in self.threads.drain(..) {
            // SAFETY: a thread that was made here and not joined before.
            unsafe { libc::pthread_join(thread, std::ptr::null_mut()) };
        }
        all
    }
}

/// The stack of the thread that is handed it.
pub struct Stack {
    top: usize,
    size: usize,
}

impl Stack {
    /// The addresses from `bytes` below the top up to just below the caller's frame.
    #[inline(never)]
    fn below(&self, bytes: usize) -> std::ops::Range<usize> {
        assert!(bytes + MARGIN <= self.size, "{bytes} bytes of a stack of {}", self.size);
        let here = 0u8;
        (self.top - bytes)..(&raw const here).addr().saturating_sub(FRAME)
    }

    /// Writes to every page of the first `bytes`, as a deep call would, and returns.
    /// Only for the thread whose stack it is.
    pub fn touch(&self, bytes: usize) {
        let range = self.below(bytes);
        let mut at = range.end;
        while at >= range.start && at > FRAME {
            // SAFETY: below all frames of this thread and above the end of its stack,
            // which is mapped and writable. Nobody uses that memory.
            unsafe { std::ptr::with_exposed_provenance_mut::<u8>(at).write_volatile(1) };
            at -= FRAME;
        }
    }

    /// Gives the pages of the first `bytes` back to the kernel (madvise(2),
    /// MADV_DONTNEED), but for those in use.
    pub fn give_back(&self, bytes: usize) -> Result<(), Errno> {
        let range = self.below(bytes);
        let (start, end) = (range.start.next_multiple_of(FRAME), range.end & !(FRAME - 1));
        if start >= end {
            return Ok(());
        }
        // SAFETY: as in touch: whole pages that hold no frame.
        let result =
            unsafe { libc::madvise(std::ptr::with_exposed_provenance_mut(start), end - start, libc::MADV_DONTNEED) };
        Errno::result(result).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn each_thread_runs_on_a_stack_of_its_own() {
        static SUM: AtomicUsize = AtomicUsize::new(0);
        let mut crowd = Crowd::new(1 << 20, |index, stack| {
            stack.touch(1 << 19);
            stack.give_back(1 << 19).unwrap();
            stack.touch(1 << 19);
            SUM.fetch_add(index, Ordering::Relaxed);
        });
        (0..4).for_each(|_| crowd.add().unwrap());
        assert_eq!((crowd.len(), crowd.join(), crowd.len()), (4, 4, 0));
        assert_eq!(SUM.load(Ordering::Relaxed), 6);
    }
}
