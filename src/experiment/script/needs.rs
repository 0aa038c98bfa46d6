//! What a script asks of the machine and of its cell.

use super::actions::{Action, Call, Control, Job, Kind, Waiting};
use super::{Script, Step};

impl Script {
    /// Whether some worker never sleeps, so that there are no quiet moments.
    pub fn storms(&self) -> bool {
        self.jobs.iter().any(|job| matches!(job, Job::Storm(_)))
    }

    /// The statement that ends or stops a process, and with it all workers in it.
    pub fn whole_process(&self) -> Option<&'static str> {
        self.actions().find_map(|action| match action {
            Action::Kill(_) => Some("kill ends"),
            Action::Stop(_) => Some("stop stops"),
            _ => None,
        })
    }

    /// Whether the wait of some worker ends by a timer.
    pub fn has_timers(&self) -> bool {
        self.waits().any(|waiting| waiting.within_us.is_some())
    }

    fn waits(&self) -> impl Iterator<Item = &Waiting> {
        self.jobs.iter().filter_map(|job| match job {
            Job::Wait { waiting, .. } => Some(waiting),
            Job::Storm(_) | Job::Idle => None,
        })
    }

    /// Whatever main thread and workers do, one by one.
    fn actions(&self) -> impl Iterator<Item = &Action> {
        self.steps.iter().map(|Step { action, .. }| match action {
            Action::Told(_, told) => told,
            other => other,
        })
    }

    /// Descriptors that the main thread has at the same time by what it opens by
    /// number or by name; its clients and the lab's own come on top.
    pub fn descriptors(&self) -> u64 {
        let pipes = self.actions().map(|action| if let Action::Pipes(count) = action { 2 * count } else { 0 });
        self.names.len() as u64 + pipes.sum::<u64>()
    }

    /// The probes it cannot do without.
    pub fn needs(&self) -> impl Iterator<Item = &'static str> {
        let has = |wanted: fn(&Action) -> bool| self.actions().any(wanted);
        let exclusive = |action: &Action| matches!(action, Action::Control(Control { flags, .. }) if flags.exclusive);
        let pwait2 = |action: &Action| matches!(action, Action::Wait(Waiting { call: Call::EpollPwait2, .. }));
        let steer = |action: &Action| matches!(action, Action::Steer(..));
        let group = |action: &Action| matches!(action, Action::Open(Kind::Group | Kind::Udp, ..));
        let migrate = |action: &Action| matches!(action, Action::Sysctl { name, .. } if name == super::MIGRATE);
        [
            (has(exclusive), "epoll_exclusive"),
            (has(pwait2) || self.waits().any(|waiting| waiting.call == Call::EpollPwait2), "epoll_pwait2"),
            (has(|action| *action == Action::Network), "netns"),
            (has(group), "reuseport"),
            (has(steer), "reuseport_cbpf"),
            (has(migrate), "tcp_migrate_req"),
        ]
        .into_iter()
        .filter_map(|(has, probe)| has.then_some(probe))
    }
}
