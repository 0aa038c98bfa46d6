//! `herd doctor`: what this machine can do, what it can measure, what disturbs.

use super::{Failure, print};
use crate::analysis::disturbance;
use crate::checkup::{Checkup, Feature, Standing};
use crate::cli::DoctorArgs;
use crate::exit::Exit;
use crate::report::{Style, checkup};
use crate::runner::{Probes, allowance, limits::Limits, selftest};
use crate::{environment, probe};

pub fn run(args: &DoctorArgs) -> Result<Exit, Failure> {
    // Before we load the machine ourselves.
    let environment = environment::read();
    let mut local = super::local()?;
    let features = probe::PROBES.iter().map(|probe| {
        let reason = probe.run().err();
        Feature { name: probe.name, about: probe.about, there: reason.is_none(), reason }
    });
    let features: Vec<Feature> = features.collect();
    let sources = selftest::run(&mut local, &mut Probes::new(environment.stable_release()));
    if let Some(signal) = local.stopped() {
        return Ok(Exit::Signal(signal));
    }
    let found = Checkup {
        herd: env!("CARGO_PKG_VERSION"),
        settings: disturbance::looks(&environment),
        environment,
        features,
        // The first that opens, right or wrong, is the one a run takes.
        chosen: sources.iter().find(|s| s.standing != Standing::Refused).map(|s| s.name),
        sources,
        limits: allowance::allowances(&Limits::read(), allowance::ports()),
    };
    print(|out| match args.format.as_str() {
        "json" => checkup::json(&found, out),
        _ => checkup::table(&found, Style::default().width, out),
    })?;
    Ok(if found.counting().is_some() { Exit::Pass } else { Exit::Invalid })
}
