//! An inotify instance that watches a file in memory; one event is one change.
//!
//! Readers sleep in `inotify_read` (`add_wait_queue`, not exclusive), so each
//! change wakes all of them (fs/notify/notification.c, `fsnotify_insert_event`).
//! Two equal changes in a row would become one event (`inotify_merge` compares
//! with the last), so writes and changes of the mode take turns.

use std::fs::{File, Permissions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::Object;
use super::two_ends::{Ends, Reading, open_each, refuse_address, refuse_more_than};
use crate::cell::contract::{Call, During, Opened, SetupError};
use crate::experiment::Settings;

/// inotify(7).
pub struct Watch;

/// One struct inotify_event; the watched file is no folder, so no name follows.
const READING: Reading = Reading { size: 16, tagged: false, by_uring: false };
/// fs.inotify.max_queued_events is 16384 where nobody changed it.
const ROOM: u64 = 10_000;

impl Object for Watch {
    fn name(&self) -> &'static str {
        "inotify"
    }

    fn about(&self) -> &'static str {
        "inotify on a file in memory; an event is a change of that file"
    }

    fn needs(&self, _: &Settings) -> Option<&'static str> {
        Some("inotify")
    }

    fn sends_signals(&self, _: &Settings) -> bool {
        true
    }

    fn refuse(&self, settings: &Settings) -> Option<String> {
        let full = || refuse_more_than(ROOM, settings, "an inotify queue holds 10000 events for sure");
        refuse_address(settings, self.name()).or_else(full)
    }

    fn open(&self, settings: &Settings, block: bool) -> Result<Opened, SetupError> {
        let mut flags = InitFlags::IN_CLOEXEC;
        flags.set(InitFlags::IN_NONBLOCK, !block);
        open_each(settings, |number| {
            let watcher = Arc::new(Inotify::init(flags).during(Call::Inotify)?);
            let memory = memfd_create("herd", MFdFlags::MFD_CLOEXEC).during(Call::Memfd)?;
            let path = format!("/proc/self/fd/{}", memory.as_raw_fd());
            // Opened again by its path: newer kernels tell nobody of what is done
            // through the descriptor of a file that never had one (FMODE_NONOTIFY).
            let mut file = File::options().write(true).open(&path).during(Call::Memfd)?;
            let changes = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_ATTRIB;
            watcher.add_watch(path.as_str(), changes).during(Call::Inotify)?;
            let mut writes = false;
            Ok(Ends::new(watcher, READING, number, move || {
                writes = !writes;
                match writes {
                    true => file.write_all(b"x").during(Call::Write)?,
                    false => file.set_permissions(Permissions::from_mode(0o600)).during(Call::Other)?,
                }
                Ok(0)
            }))
        })
    }
}
