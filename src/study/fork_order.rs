//! After fork: does the parent come back first, or does the child run first?

use std::sync::atomic::Ordering;

use nix::sys::wait::waitpid;

use super::child::alone;
use super::figures::{Figures, Trouble, refused};
use super::{Study, Takes, here};
use crate::experiment::Settings;
use crate::experiment::settings::Affinity;
use crate::sys::clock::now_ns;

const FORKS: u32 = 200;

pub struct ForkOrder;

impl Study for ForkOrder {
    fn name(&self) -> &'static str {
        "fork-order"
    }

    fn about(&self) -> &'static str {
        "200 forks, or `samples`: who runs first, and how long after the parent's return the child begins"
    }

    fn tasks(&self) -> Option<u32> {
        Some(1)
    }

    fn takes(&self) -> &'static [Takes] {
        &[Takes::Affinity]
    }

    fn figures(&self) -> &'static [&'static str] {
        &["child_first", "child_start_us"]
    }

    fn refuse(&self, settings: &Settings) -> Option<String> {
        let spread = settings.affinity == Affinity::Spread;
        spread.then(|| "the kernel chooses the CPU of a new child; choose affinity = \"none\" or \"one\"".into())
    }

    fn run(&self, settings: &Settings, figures: &mut Figures) -> Result<(), Trouble> {
        if settings.affinity == Affinity::One {
            here::pin_to_last()?;
        }
        let alone = alone()?;
        let told = here::shared::<8>(1)?;
        let word = &told.row(0)[0];
        let mut first = 0;
        for _ in 0..settings.study.samples_or(FORKS) {
            word.store(0, Ordering::Release);
            let pid = alone
                .fork(|| {
                    word.store(now_ns(), Ordering::Release);
                    0
                })
                .map_err(refused("fork"))?;
            let back = now_ns();
            figures.made(1);
            waitpid(pid, None).map_err(refused("waitpid"))?;
            figures.reaped(1);
            let began = word.load(Ordering::Acquire);
            if began == 0 {
                return Err(Trouble::Broken("a child ended before it began".into()));
            }
            first += u32::from(began < back);
            figures.add("child_start_us", (began as f64 - back as f64) / 1000.0);
        }
        figures.add("child_first", f64::from(first));
        Ok(())
    }
}
