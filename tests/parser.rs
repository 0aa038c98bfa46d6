//! Whatever stands in an experiment file or behind --set: a message, never a panic.
//! `PROPTEST_CASES=200000 cargo test --test parser` looks longer.

use herd::experiment::cells::Set;
use herd::experiment::{Experiment, embedded, keys};
use proptest::prelude::*;

/// Parses and plans; the outcome does not matter, only that there is one.
fn digest(text: &str) {
    if let Ok(experiment) = Experiment::parse("fuzz.toml", text) {
        match experiment.cells(&[]) {
            Ok(cells) => assert!(!cells.is_empty(), "{text}"),
            Err(mistake) => assert!(!mistake.message.is_empty(), "{text}"),
        }
    }
}

/// A valid file with some bytes of it replaced by others.
fn mutated() -> impl Strategy<Value = String> {
    let change = (any::<prop::sample::Index>(), 0..12usize, "[\\PC\n]{0,12}");
    (0..embedded::FILES.len(), prop::collection::vec(change, 1..4)).prop_map(|(file, changes)| {
        let mut text: Vec<char> = embedded::FILES[file].1.chars().collect();
        for (at, cut, insert) in changes {
            let from = at.index(text.len());
            let to = (from + cut).min(text.len());
            text.splice(from..to, insert.chars());
        }
        text.into_iter().collect()
    })
}

/// A setting by its real name with a value that may be anything.
fn setting() -> impl Strategy<Value = (String, String)> {
    let value = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|x| format!("{x:?}")),
        any::<bool>().prop_map(|b| b.to_string()),
        "[a-z0-9x]{0,8}".prop_map(|s| format!("{s:?}")),
        "\\[[0-9, a-z\"]{0,12}\\]",
        "\\{ ?[a-z_]{1,9} = [0-9]{1,4} ?\\}",
    ];
    (0..keys::KEYS.len(), value).prop_map(|(key, value)| (keys::KEYS[key].name.to_owned(), value))
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[\\PC\n\t]{0,200}") {
        digest(&text);
    }

    #[test]
    fn a_damaged_experiment_is_read_or_refused(text in mutated()) {
        digest(&text);
    }

    #[test]
    fn any_value_of_any_setting_is_read_or_refused(settings in prop::collection::vec(setting(), 0..4)) {
        let lines: Vec<String> = settings.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        digest(&format!("title = \"t\"\n[defaults]\nworkers = 4\n{}\n", lines.join("\n")));
    }

    #[test]
    fn any_set_is_read_or_refused(text in "[a-z_]{0,12}=?[\\PC]{0,20}", pair in setting()) {
        let _ = text.parse::<Set>();
        let _ = format!("{}={}", pair.0, pair.1).parse::<Set>();
    }
}
