//! Settings of what presses on a cell: other load, a quota of CPU time, and how the
//! scheduler treats each worker.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Settings;
use super::cells::distinct_workers;
use super::special::is_default;

/// Which CPUs the workers may use. The injector is always pinned to one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Affinity {
    /// The mask herd was started with.
    #[default]
    None,
    /// Worker i on CPU i modulo the CPUs of that mask.
    Spread,
    /// All workers on the first CPU of that mask.
    One,
}

/// The one CPU of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cpu {
    /// Where `affinity` puts it.
    #[default]
    Any,
    /// The last CPU that herd may use, which is also where events are made.
    Last,
    #[serde(untagged)]
    Number(u32),
}

/// How the kernel schedules a worker (sched(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    #[default]
    Other,
    Batch,
    Idle,
    /// With priority 1, as `Rr`.
    Fifo,
    Rr,
}

impl Policy {
    /// Before every task that is not, and without a share to keep to.
    pub fn is_realtime(self) -> bool {
        matches!(self, Policy::Fifo | Policy::Rr)
    }
}

/// What may differ from worker to worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scheduling {
    #[serde(skip_serializing_if = "is_default")]
    pub cpu: Cpu,
    #[serde(skip_serializing_if = "is_default")]
    pub policy: Policy,
    /// From -20, the most, to 19.
    #[serde(skip_serializing_if = "is_default")]
    pub nice: i32,
}

impl Scheduling {
    /// The probe that tries it.
    fn needs(self) -> Option<&'static str> {
        match self {
            Scheduling { policy, .. } if policy.is_realtime() => Some("sched_fifo"),
            Scheduling { nice: ..0, .. } => Some("nice_below_zero"),
            _ => None,
        }
    }
}

/// CPU time of all workers together: so much in each period, then none until the
/// next one (CFS bandwidth control, cgroups(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Quota {
    pub ms: u32,
    pub period_ms: u32,
}

impl Quota {
    /// How it is spelled.
    pub const WANTED: &'static str =
        "milliseconds per period such as \"20/100\": 1 to 100000 per 1 to 1000, or \"none\"";
}

impl FromStr for Quota {
    type Err = String;

    fn from_str(text: &str) -> Result<Quota, String> {
        let number = |text: &str, most: u32| text.parse().ok().filter(|n| (1..=most).contains(n));
        let read = || {
            let (ms, period) = text.split_once('/')?;
            Some(Quota { ms: number(ms, 100_000)?, period_ms: number(period, 1000)? })
        };
        read().ok_or_else(|| Quota::WANTED.into())
    }
}

impl TryFrom<String> for Quota {
    type Error = String;

    fn try_from(text: String) -> Result<Quota, String> {
        text.parse()
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ms, self.period_ms)
    }
}

impl From<Quota> for String {
    fn from(quota: Quota) -> String {
        quota.to_string()
    }
}

/// What holds for the whole cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pressure {
    /// Processes that do nothing but use CPU time, spread over the CPUs.
    #[serde(skip_serializing_if = "is_default")]
    pub background: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
}

/// Of each worker that may differ from the others.
fn schedulings(settings: &Settings) -> impl Iterator<Item = Scheduling> {
    distinct_workers(settings).map(|index| settings.for_worker(index).scheduling)
}

/// The probes that all this cannot do without.
pub(super) fn needs(settings: &Settings) -> impl Iterator<Item = &'static str> {
    let quota = settings.pressure.quota.map(|_| "cgroup_cpu_controller");
    quota.into_iter().chain(schedulings(settings).filter_map(Scheduling::needs))
}

/// What cannot go together.
pub(super) fn refuse(settings: &Settings) -> Result<(), String> {
    for scheduling in schedulings(settings) {
        if scheduling.policy.is_realtime() && settings.pressure.quota.is_some() {
            return Err(
                "a quota does not hold real-time tasks back; leave out quota, or policy = \"fifo\" and \"rr\"".into()
            );
        }
        if scheduling.policy.is_realtime() && scheduling.nice != 0 {
            return Err("nice is nothing to real-time tasks; leave it out, or choose policy = \"other\"".into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_read_and_written_alike() {
        let quota: Quota = "20/100".parse().unwrap();
        assert_eq!((quota, quota.to_string()), (Quota { ms: 20, period_ms: 100 }, "20/100".into()));
        for wrong in ["20", "0/100", "20/0", "20/2000", "-1/100", "a/b", "20/100/3", "max 100"] {
            assert!(wrong.parse::<Quota>().unwrap_err().contains("\"20/100\""), "{wrong}");
        }
    }

    #[test]
    fn settings_go_through_json_and_defaults_are_left_out() {
        let plain = serde_json::to_string(&Settings::default()).unwrap();
        assert!(!plain.contains("cpu") && !plain.contains("policy") && !plain.contains("quota"), "{plain}");
        let mut settings = Settings::default();
        settings.worker.scheduling = Scheduling { cpu: Cpu::Number(3), policy: Policy::Fifo, nice: 0 };
        settings.pressure = Pressure { background: 2, quota: Some(Quota { ms: 1, period_ms: 10 }) };
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<Settings>(&text).unwrap(), settings);
        settings.worker.scheduling.cpu = Cpu::Last;
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<Settings>(&text).unwrap(), settings, "{text}");
    }

    #[test]
    fn real_time_is_beyond_quota_and_nice() {
        let mut settings = Settings::default();
        settings.worker.scheduling.policy = Policy::Fifo;
        assert_eq!(refuse(&settings), Ok(()));
        settings.worker.scheduling.nice = 5;
        assert!(refuse(&settings).unwrap_err().contains("nice"));
        settings.worker.scheduling.nice = 0;
        settings.pressure.quota = "20/100".parse().ok();
        assert!(refuse(&settings).unwrap_err().contains("quota"));
    }
}
