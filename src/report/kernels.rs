//! Results of several kernels in one report: what each kernel is called. Pure.

use crate::results::{CellResult, ExperimentFacts, Results};

/// A name for each kernel, unique: its release, with a number where two have the same.
pub fn labels(all: &[Results]) -> Vec<String> {
    let mut labels: Vec<String> = Vec::new();
    for results in all {
        let release = &results.environment.kernel_release;
        let more = (2..).map(|number| format!("{release}-{number}"));
        let mut names = std::iter::once(release.clone()).chain(more);
        labels.push(names.find(|name| !labels.contains(name)).expect("has no end"));
    }
    labels
}

/// All of them as one run, with the kernel in front of each name; `None` of none.
pub fn combined(all: &[Results]) -> Option<Results> {
    let mut one = Results { experiments: Vec::new(), cells: Vec::new(), ..all.first()?.clone() };
    for (results, kernel) in all.iter().zip(labels(all)) {
        let named = |name: &str| format!("{kernel}/{name}");
        for experiment in &results.experiments {
            one.experiments.push(ExperimentFacts { name: named(&experiment.name), ..experiment.clone() });
        }
        for cell in &results.cells {
            let (experiment, id) = (named(&cell.experiment), named(&cell.id));
            one.cells.push(CellResult { experiment, id, ..cell.clone() });
        }
    }
    Some(one)
}
