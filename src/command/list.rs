//! `herd list`: what there is.

use super::{Failure, print};
use crate::analysis::metrics;
use crate::cli::ListArgs;
use crate::exit::Exit;
use crate::experiment::{embedded, keys::KEYS, script::STATEMENTS};
use crate::{load, object, probe, study, wait};

/// An object or a study, and below it its modes.
fn with_modes(name: &str, about: &str, modes: &[(&str, &str)]) -> Vec<(String, String)> {
    let modes = modes.iter().map(|(name, about)| (format!("  mode {name}"), (*about).to_owned()));
    std::iter::once((name.to_owned(), about.to_owned())).chain(modes).collect()
}

pub fn run(args: &ListArgs) -> Result<Exit, Failure> {
    if args.matrix {
        super::pairs::show()?;
        return Ok(Exit::Pass);
    }
    if let Some(language) = args.words {
        super::word::list(super::locale::language(language))?;
        return Ok(Exit::Pass);
    }
    if let Some(language) = args.claims {
        super::claim::list(super::locale::language(language))?;
        return Ok(Exit::Pass);
    }
    let lines: Vec<(String, String)> = if args.objects {
        object::LIST.iter().flat_map(|o| with_modes(o.name(), o.about(), o.modes())).collect()
    } else if args.studies {
        study::LIST.iter().flat_map(|s| with_modes(s.name(), s.about(), s.modes())).collect()
    } else if args.waits {
        wait::LIST.iter().map(|w| (w.name().into(), w.about().into())).collect()
    } else if args.loads {
        load::LIST.iter().map(|l| (l.name().into(), l.about().into())).collect()
    } else if args.settings {
        KEYS.iter().map(|k| (k.name.into(), format!("{} [{}]", k.about, k.values))).collect()
    } else if args.metrics {
        metrics::all_metrics().map(|m| (m.name.into(), format!("{} [{}]", m.about, m.unit))).collect()
    } else if args.statements {
        STATEMENTS.iter().map(|(form, about)| ((*form).into(), (*about).into())).collect()
    } else if args.probes {
        let said = |p: &probe::Probe| p.run().map_or_else(|why| format!("no: {why}"), |()| "yes".into());
        probe::PROBES.iter().map(|p| (p.name.into(), format!("{}: {}", p.about, said(p)))).collect()
    } else {
        let mut lines = Vec::new();
        for name in embedded::names() {
            let experiment = super::load(&name)?;
            lines.push((name, experiment.title));
        }
        lines
    };
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    print(|out| {
        for (name, about) in &lines {
            writeln!(out, "{name:width$}  {about}")?;
        }
        Ok(())
    })?;
    Ok(Exit::Pass)
}
