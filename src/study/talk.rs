//! Two tasks that talk: does it matter whether they are threads or processes, how they
//! talk, and where they run?

use std::sync::Arc;
use std::time::Duration;

use super::child::{Child, alone};
use super::figures::{Figures, Trouble, refused};
use super::pair::Table;
use super::{Study, Takes, here, mode};
use crate::experiment::Settings;
use crate::experiment::settings::{Affinity, PlacementKind};
use crate::sys;
use crate::sys::threads::Crowd;

const ROUNDS: u64 = 400;
const SAMPLES: u32 = 7;
/// One sample takes no longer, however busy the machine is.
const LIMIT: Duration = Duration::from_millis(300);
const STACK: usize = 256 * 1024;

pub struct Talk;

impl Study for Talk {
    fn name(&self) -> &'static str {
        "talk"
    }

    fn about(&self) -> &'static str {
        "a token goes to and fro between two threads or two processes"
    }

    fn modes(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("futex", "a word in shared memory, futex(2)"),
            ("pipe", "a byte through one of two pipes"),
            ("socketpair", "a byte through a pair of unix stream sockets"),
        ]
    }

    fn tasks(&self) -> Option<u32> {
        Some(2)
    }

    fn takes(&self) -> &'static [Takes] {
        &[Takes::Placement, Takes::Affinity]
    }

    fn figures(&self) -> &'static [&'static str] {
        &["hop_ns", "hop_wall_ns", "switches_per_hop", "hops"]
    }

    fn refuse(&self, settings: &Settings) -> Option<String> {
        let exact = matches!(settings.placement, PlacementKind::Exact(_));
        exact.then(|| "talk has two threads or two processes; choose placement = \"threads\" or \"processes\"".into())
    }

    fn run(&self, settings: &Settings, figures: &mut Figures) -> Result<(), Trouble> {
        let cpus = here::cpus()?;
        let (first, last) = (cpus[0], *cpus.last().expect("a process has a CPU"));
        let places = match settings.affinity {
            Affinity::None => None,
            Affinity::One => Some((last, last)),
            Affinity::Spread if first == last => {
                return Err(Trouble::Unable("affinity = \"spread\" needs two CPUs, and there is one".into()));
            }
            Affinity::Spread => Some((first, last)),
        };
        let table = Table::new(mode(self, settings))?;
        let theirs = Arc::clone(&table);
        let answer = move || {
            let placed = places.map_or(Ok(()), |(_, cpu)| sys::cpus::pin_to(cpu));
            i32::from(placed.is_err() || theirs.answer().is_err())
        };
        if settings.placement == PlacementKind::Threads {
            let mut crowd = Crowd::new(STACK, move |_, _| {
                // What went wrong leaves side 0 waiting, until the cell's limit.
                answer();
            });
            crowd.add().map_err(refused("pthread_create"))?;
            figures.made(1);
            side_0(&table, places.map(|places| places.0), settings, figures)?;
            figures.reaped(crowd.join() as u64);
            return Ok(());
        }
        let child = Child::start(&alone()?, figures, answer)?;
        side_0(&table, places.map(|places| places.0), settings, figures)?;
        child.ends_well("the other process", figures)
    }
}

fn side_0(table: &Table, cpu: Option<usize>, settings: &Settings, figures: &mut Figures) -> Result<(), Trouble> {
    cpu.map_or(Ok(()), sys::cpus::pin_to).map_err(refused("sched_setaffinity"))?;
    // Not kept: the other side may only just begin.
    table.measure(ROUNDS / 10, LIMIT, true, &mut Figures::default())?;
    let mut taken = 0;
    for _ in 0..settings.study.samples_or(SAMPLES) {
        taken += u32::from(table.measure(ROUNDS, LIMIT, true, figures)?);
    }
    if taken == 0 {
        let why = "the two got the CPU too seldom on this busy machine";
        Talk.figures().iter().for_each(|figure| figures.omit(figure, why));
    }
    table.stop()
}
