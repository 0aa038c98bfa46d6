//! Both languages are complete, and nothing that a reader meets lacks a word.

use std::collections::BTreeSet;

use super::*;
use crate::analysis::metrics::{CLAIMS_BY_WORKER, all_metrics};
use crate::results::Verdict;

const BOTH: [Language; 2] = [Language::English, Language::Chinese];

#[test]
fn both_languages_have_the_same_keys() {
    let [en, zh] = BOTH.map(catalogue);
    let terms: BTreeSet<&String> = terms().iter().map(|term| &term.name).collect();
    assert_eq!(terms.len(), super::terms().len(), "a word stands twice");
    for catalogue in [en, zh] {
        assert_eq!(terms, catalogue.terms.keys().collect(), "terms");
        let groups: BTreeSet<String> = GROUPS.map(String::from).into();
        assert_eq!(groups, catalogue.groups.keys().cloned().collect(), "groups");
    }
    for (what, a, b) in [
        ("headings", &en.headings, &zh.headings),
        ("messages", &en.messages, &zh.messages),
        ("units", &en.units, &zh.units),
    ] {
        assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>(), "{what}");
    }
    for (name, text) in &en.terms {
        let other = &zh.terms[name];
        for (what, a, b) in
            [("about", &text.about, &other.about), ("good", &text.good, &other.good), ("bad", &text.bad, &other.bad)]
        {
            assert_eq!(a.is_empty(), b.is_empty(), "{name}: {what} is there in one language only");
            assert!(a.is_ascii(), "{name}: English {what} must show on any terminal: {a}");
            assert_eq!(figures(a), figures(b), "{name}: {what} has other figures");
        }
        assert!(!text.about.trim().is_empty(), "{name} says nothing");
    }
}

/// The numbers in a text, but for single digits, which a language may spell out.
fn figures(text: &str) -> BTreeSet<String> {
    let pieces = text.split(|c: char| !c.is_ascii_digit() && c != '.').map(|piece| piece.trim_matches('.').to_owned());
    pieces.filter(|piece| piece.contains('.') || piece.len() > 1).collect()
}

#[test]
fn names_are_unique_and_lead_somewhere() {
    let mut known = BTreeSet::new();
    for name in names() {
        assert!(known.insert(name), "{name} stands twice");
    }
    for term in terms() {
        assert!(GROUPS.contains(&term.group.as_str()), "{}: group {}", term.name, term.group);
        assert!(std::ptr::eq(find(&term.name).unwrap(), term), "{} is found as another", term.name);
        for see in &term.see {
            let other = find(see).unwrap_or_else(|| panic!("{} sends to {see}, which is no word", term.name));
            assert!(!std::ptr::eq(other, term), "{} sends to itself by {see}", term.name);
        }
    }
}

#[test]
fn what_is_of_the_kernel_has_a_source() {
    for term in terms().iter().filter(|term| matches!(term.group.as_str(), "kernel" | "row")) {
        let named = ["(2)", "(3)", "(5)", "(7)", ".c", ".h", "Linux "].iter().any(|mark| term.source.contains(mark));
        assert!(named, "{}: {:?} is no man page, function or version", term.name, term.source);
    }
}

#[test]
fn every_metric_is_explained() {
    for name in all_metrics().map(|metric| metric.name).chain([CLAIMS_BY_WORKER]) {
        let term = find(name).unwrap_or_else(|| panic!("no word for the metric {name}"));
        assert_eq!(term.group, "metric", "{name} is found as {}", term.name);
        for text in BOTH.map(|language| &catalogue(language).terms[&term.name]) {
            assert!(!text.good.is_empty() && !text.bad.is_empty(), "{name}: what is good, and what if not?");
        }
    }
    for unit in all_metrics().map(|metric| metric.unit) {
        assert!(catalogue(Language::Chinese).units.contains_key(unit), "no unit {unit}");
    }
}

#[test]
fn every_verdict_source_and_group_of_checks_is_explained() {
    for verdict in [Verdict::Pass, Verdict::Fail, Verdict::Skip, Verdict::Invalid] {
        let found = find(&verdict.to_string()).map(|term| term.group.as_str());
        assert_eq!(found, Some("verdict"), "{verdict}");
    }
    for source in crate::cell::count::NAMES {
        assert_eq!(find(source).map(|term| term.group.as_str()), Some("source"), "{source}");
    }
    for check in
        [crate::analysis::judge::CONSERVATION, crate::analysis::judge::SCRIPT, crate::analysis::judge::STUDY, "winners"]
    {
        assert!(find(check).is_some(), "{check}");
    }
}

/// The first column of each table of README.md, and the headings of the first one.
#[test]
fn what_stands_in_the_tables_of_the_readme_is_explained() {
    let readme = include_str!("../../README.md");
    let (_, table) = readme.split_once("<!-- table: herd -->").expect("the headline's table");
    let (table, _) = table.split_once("<!-- end -->").unwrap();
    let lines = table.lines().filter(|line| line.contains('|'));
    for (at, line) in lines.enumerate() {
        let mut cells = line.split('|').map(str::trim);
        let wanted: Vec<&str> =
            if at == 0 { cells.collect() } else { vec![cells.next().unwrap(), cells.nth(4).unwrap()] };
        for word in wanted {
            assert!(find(word).is_some(), "{word:?} of the headline's table");
        }
    }
    for heading in ["| column |", "| wait | 5.10.0", "| source |", "| wait | `bpf`"] {
        let (_, rows) = readme.split_once(heading).unwrap_or_else(|| panic!("no table {heading}"));
        let rows: Vec<&str> = rows.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
        assert!(!rows.is_empty(), "{heading}");
        for row in rows {
            let word = row.split('|').nth(1).unwrap().trim().trim_matches('`');
            assert!(find(word).is_some(), "{word:?} of the table {heading}");
        }
    }
}

#[test]
fn a_reader_need_not_spell_it_as_we_do() {
    for (typed, name) in [
        ("wakeup", "wakeup"),
        ("wakeups", "wakeups"),
        ("epollexclusive", "EPOLLEXCLUSIVE"),
        ("epoll + EXCLUSIVE", "EPOLLEXCLUSIVE"),
        ("惊群", "thundering herd"),
        ("Work-To", "work to"),
        ("fail", "FAIL"),
        ("wakeups_per_event_max", "wakeups_per_event"),
    ] {
        assert_eq!(find(typed).map(|term| term.name.as_str()), Some(name), "{typed}");
    }
    assert!(find("").is_none() && find("  ").is_none() && find("wombat").is_none());
}

#[test]
fn lines_are_no_wider_than_a_terminal() {
    for language in BOTH {
        for (name, text) in &catalogue(language).terms {
            for (by, text) in [(0, &text.about), (2, &text.good), (2, &text.bad)] {
                for line in fill(text, 80 - by) {
                    assert!(columns(&line) + by <= 80, "{name}: {} columns: {line}", columns(&line) + by);
                    assert!(!line.starts_with(['，', '。', '、', '；']), "{name}: {line}");
                }
            }
        }
    }
    assert_eq!(fill("两个字 ab", 6), ["两个字", "ab"]);
    assert_eq!(fill("一二三，四", 6), ["一二", "三，四"]);
}

#[test]
fn the_language_is_that_of_the_locale() {
    let of = |values: [&str; 3]| Language::of_locale(values.map(|v| (!v.is_empty()).then(|| v.to_owned())));
    assert_eq!(of(["", "", "zh_CN.UTF-8"]), Language::Chinese);
    assert_eq!(of(["", "zh_TW.utf8", "de_DE.UTF-8"]), Language::Chinese);
    assert_eq!(of(["C", "zh_CN.UTF-8", "zh_CN.UTF-8"]), Language::English);
    assert_eq!(of(["", "", "zh_CN.GB18030"]), Language::English, "it could not be shown");
    assert_eq!(of(["", "", ""]), Language::English);
    let utf8 = |values: [&str; 3]| speaks_utf8(values.map(|v| (!v.is_empty()).then(|| v.to_owned())));
    assert!(utf8(["", "", "en_US.UTF-8"]) && !utf8(["C", "", "en_US.UTF-8"]) && !utf8(["", "", ""]));
}

#[test]
fn every_claim_has_a_verdict_a_source_and_both_languages() {
    let ids: Vec<&str> = claims::all().iter().map(|claim| claim.id.as_str()).collect();
    let wanted: Vec<String> = (1..=62).map(|number| format!("S{number:02}")).collect();
    assert_eq!(ids, wanted);
    let [en, zh] = BOTH.map(claims::texts);
    for (what, a, b) in [("headings", &en.headings, &zh.headings), ("verdicts", &en.verdicts, &zh.verdicts)] {
        assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>(), "{what}");
    }
    let verdicts: BTreeSet<&str> = claims::VERDICTS.into();
    assert_eq!(verdicts, en.verdicts.keys().map(String::as_str).collect());
    for texts in [en, zh] {
        assert_eq!(wanted, texts.claims.keys().cloned().collect::<Vec<_>>());
    }
    for claim in claims::all() {
        assert!(verdicts.contains(claim.verdict.as_str()) && !claim.source.is_empty(), "{claim:?}");
        let (a, b) = (&en.claims[&claim.id], &zh.claims[&claim.id]);
        for (a, b) in [(&a.says, &b.says), (&a.holds, &b.holds)] {
            assert!(!a.is_empty() && !b.is_empty() && a.is_ascii() && !b.is_ascii(), "{}: {a} / {b}", claim.id);
            assert_eq!(figures(a), figures(b), "{} has other figures", claim.id);
            assert!(a.ends_with('.') && b.ends_with('。'), "{}: {a} / {b}", claim.id);
        }
        assert!(!a.says.trim_end_matches('.').contains(". "), "{} says more than one sentence", claim.id);
    }
}

#[test]
fn every_claim_is_shown_by_an_experiment_or_says_why_not() {
    let experiments = crate::experiment::embedded::names();
    let known = |name: &String| experiments.contains(name);
    for claim in claims::all() {
        assert!(claim.experiments.iter().all(known), "{}: {:?}", claim.id, claim.experiments);
        if claim.experiments.is_empty() {
            let holds = &claims::texts(Language::English).claims[&claim.id].holds;
            let said = ["no experiment", "cannot be run here", "in a virtual machine only"];
            assert!(said.iter().any(|words| holds.contains(words)), "{}: {holds}", claim.id);
        }
        let unique: BTreeSet<&String> = claim.experiments.iter().collect();
        assert_eq!(unique.len(), claim.experiments.len(), "{}", claim.id);
    }
    assert!(claims::of_experiment("overlap").any(|claim| claim.id == "S38"));
    assert!(claims::find("s13").is_some_and(|claim| claim.verdict == "false"));
    assert!(claims::find("S63").is_none() && claims::find("").is_none());
}
