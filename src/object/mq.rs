//! A POSIX message queue; one event is one message.
//!
//! Receivers sleep in `wq_sleep` (ipc/mqueue.c), and the sender hands its message
//! to the first of them (`pipelined_send`): one wake, no second look. Pollers are
//! on another queue, `info->wait_q`, and all wake (`__do_notify`).

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::mqueue::{MQ_OFlag, MqAttr, MqdT, mq_attr_member_t, mq_getattr, mq_open, mq_receive, mq_send, mq_unlink};
use nix::sys::stat::Mode;

use super::Object;
use super::two_ends::{Ends, Tags, open_each, refuse_address, refuse_more_than};
use crate::cell::contract::{Asleep, Call, Claim, During, Injector, Opened, SetupError, Source};
use crate::experiment::Settings;

/// mq_overview(7).
pub struct Queue;

/// A message is its tag.
const SIZE: usize = 4;
/// fs.mqueue.msg_max is 10 where nobody changed it.
const ROOM: u64 = 10;

impl Object for Queue {
    fn name(&self) -> &'static str {
        "mq"
    }

    fn about(&self) -> &'static str {
        "POSIX message queue (unlinked at once); an event is one message"
    }

    fn needs(&self, _: &Settings) -> Option<&'static str> {
        Some("posix_mq")
    }

    fn queues(&self) -> bool {
        true
    }

    fn refuse(&self, settings: &Settings) -> Option<String> {
        let full = || refuse_more_than(ROOM, settings, "a message queue holds 10 messages (fs.mqueue.msg_max)");
        refuse_address(settings, self.name()).or_else(full)
    }

    fn open(&self, settings: &Settings, block: bool) -> Result<Opened, SetupError> {
        open_each(settings, |number| {
            let (receiver, sender) = open_unlinked(number, block)?;
            let receiver = Arc::new(receiver);
            let injector = Box::new(Sender { queue: sender, tags: Tags::of_object(number) });
            let hold = Box::new(move || -> Box<dyn Source> {
                Box::new(Receiver { queue: receiver.clone(), message: [0; SIZE], identity: number })
            });
            Ok(Ends { hold, injector })
        })
    }
}

/// Two open files of one queue, since O_NONBLOCK belongs to the open file: the
/// workers' may block, the coordinator's must not.
fn open_unlinked(number: u64, block: bool) -> Result<(MqdT, MqdT), SetupError> {
    let name = CString::new(format!("/herd-{}-{number}", std::process::id())).expect("no NUL in digits");
    let mode = Mode::S_IRUSR | Mode::S_IWUSR;
    let attributes = MqAttr::new(0, ROOM as mq_attr_member_t, SIZE as mq_attr_member_t, 0);
    let common = MQ_OFlag::O_CREAT | MQ_OFlag::O_EXCL | MQ_OFlag::O_CLOEXEC;
    let nonblocking = if block { MQ_OFlag::empty() } else { MQ_OFlag::O_NONBLOCK };
    let receiver = mq_open(name.as_c_str(), common | MQ_OFlag::O_RDONLY | nonblocking, mode, Some(&attributes));
    let receiver = receiver.during(Call::MqOpen)?;
    let flags = MQ_OFlag::O_WRONLY | MQ_OFlag::O_NONBLOCK | MQ_OFlag::O_CLOEXEC;
    let sender = mq_open(name.as_c_str(), flags, mode, None);
    let unlinked = mq_unlink(name.as_c_str());
    let sender = sender.during(Call::MqOpen)?;
    unlinked.during(Call::MqOpen)?;
    Ok((receiver, sender))
}

/// The queue as one worker holds it.
struct Receiver {
    queue: Arc<MqdT>,
    message: [u8; SIZE],
    identity: u64,
}

impl Source for Receiver {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.queue.as_fd())
    }

    fn claim(&mut self) -> Result<Claim, Errno> {
        mq_receive(&self.queue, &mut self.message, &mut 0)?;
        Ok(Claim { tag: u32::from_ne_bytes(self.message) })
    }

    fn asleep(&self) -> Asleep {
        Asleep::on(&[libc::SYS_mq_timedreceive], &self.queue.as_fd())
    }

    fn identity(&self) -> u64 {
        self.identity
    }
}

struct Sender {
    queue: MqdT,
    tags: Tags,
}

impl Injector for Sender {
    fn fire(&mut self) -> Result<u32, SetupError> {
        let tag = self.tags.next();
        mq_send(&self.queue, &tag.to_ne_bytes(), 0).during(Call::MqSend)?;
        Ok(tag)
    }

    fn under_way(&mut self, _missing: u64) -> io::Result<bool> {
        Ok(false)
    }

    fn left(&mut self) -> io::Result<u64> {
        Ok(u64::try_from(mq_getattr(&self.queue)?.curmsgs()).unwrap_or(0))
    }

    fn retire(&mut self, _left: bool) {}
}
