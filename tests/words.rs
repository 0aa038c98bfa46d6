//! The glossary from outside: `herd explain WORD`, its languages, and what a failed
//! check says of itself.

use lab::{Folder, herd, in_repository, run, said};

mod lab;

/// At most 80 columns, with letters that are two columns wide.
#[track_caller]
fn narrow(text: &str) {
    for line in text.lines() {
        let columns = herd::words::columns(line);
        assert!(columns <= 80, "{columns} columns: {line}");
        assert_eq!(line, line.trim_end(), "space at the end");
    }
}

#[test]
fn every_word_is_explained_in_both_languages() {
    for term in herd::words::terms() {
        for (lang, heading) in [("en", "Good"), ("zh", "好的情形")] {
            let said = run(["explain", "--word", &term.name, "--lang", lang]).exits(0).shows(&[&term.name]);
            narrow(&said.out);
            assert!(said.err.is_empty(), "{said:?}");
            assert!(lang == "zh" || said.out.is_ascii(), "{said:?}");
            if term.group == "metric" {
                assert!(said.out.contains(heading), "{said:?}");
            }
        }
    }
}

#[test]
fn a_word_says_what_is_good_and_what_it_may_mean_if_not() {
    run(["explain", "wakeups_per_event"]).exits(0).shows(&[
        "[wakeups per event]",
        "Good\n  1 for one event",
        "If it is not so\n  - About N",
        "Source: kernel/sched/wait.c",
        "In JSON: cells, metrics, wakeups_per_event.",
    ]);
    run(["explain", "table"]).exits(0).shows(&["epoll | 8       | 1.24", "1 + 6.76 + 0.24 = 8"]);
    run(["explain", "EPOLLEXCLUSIVE"]).exits(0).shows(&["epoll_ctl(2), Linux 4.5, df0108c5da56"]);
    for verdict in ["pass", "FAIL", "fail", "skip", "invalid"] {
        run(["explain", verdict]).exits(0).shows(&["Exit code", "(Verdicts)"]);
    }
    let several = run(["explain", "S12", "thundering", "herd", "S13", "growth"]).exits(0);
    let pages: String = ["S12", "thundering herd", "S13", "growth"]
        .map(|name| run(["explain", name]).exits(0).out)
        .join(&format!("\n{}\n\n", "-".repeat(80)));
    assert_eq!(several.out, pages, "each in turn");
    run(["explain", "thundering", "herd"]).exits(0).shows(&["thundering herd  (Words of the kernel)"]);
    run(["list", "--words"]).exits(0).shows(&["EPOLLEXCLUSIVE", "wakeups_per_event", "How to read a table"]);
    narrow(&run(["list", "--words=zh"]).exits(0).shows(&["内核用语"]).out);
}

#[test]
fn experiments_win_and_say_so() {
    let said = run(["explain", "hidden"]).exits(0).shows(&["The question"]);
    assert!(said.out.ends_with("hidden is a word of the glossary, too: herd explain --word hidden\n"), "{said:?}");
    run(["explain", "--word", "hidden"])
        .exits(0)
        .shows(&["There is an experiment of that name, too: herd explain hidden"]);
    let plain = run(["explain", "growth"]).exits(0);
    assert!(!plain.out.contains("glossary"), "{plain:?}");
}

#[test]
fn the_language_is_asked_for_or_that_of_the_locale() {
    let chinese = |variable: &str, value: &str| {
        said(herd(["explain", "wakeup"]).env(variable, value)).exits(0).out.contains("内核把睡眠")
    };
    assert!(chinese("LANG", "zh_CN.UTF-8") && chinese("LC_MESSAGES", "zh_TW.utf8"));
    assert!(!chinese("LANG", "en_GB.UTF-8") && !chinese("LANG", "zh_CN.GB18030") && !chinese("LANG", "C"));
    said(herd(["explain", "wakeup", "--lang", "en"]).env("LANG", "zh_CN.UTF-8")).exits(0).shows(&["The kernel took"]);
    said(herd(["explain", "herd"]).env("LANG", "zh_CN.UTF-8")).exits(0).shows(&["目前只有英文"]);
    run(["explain", "惊群"]).exits(0).shows(&["thundering herd"]);
    run(["explain", "wakeup", "--lang", "de"]).exits(2).complains(&["de", "en", "zh"]);
}

#[test]
fn an_unknown_word_has_a_hint() {
    run(["explain", "wakeps"]).exits(2).complains(&["unknown experiment or word \"wakeps\"; did you mean \"wake"]);
    run(["explain", "EPOLEXCLUSIV"]).exits(2).complains(&["did you mean \"EPOLLEXCLUSIVE\"?", "herd list --words"]);
    // A name of several words, wrong, and a wrong one among others: nothing is printed.
    let said = run(["explain", "thundering", "hird"]).exits(2);
    let said = said.complains(&["word \"thundering hird\"; did you mean \"thundering herd\"?"]);
    assert_eq!(said.out, "");
    let said = run(["explain", "S12", "wakeps", "S13"]).exits(2);
    let said = said.complains(&["unknown experiment or word \"wakeps\"; did you mean \"wake"]);
    assert_eq!((said.out.as_str(), said.err.lines().count()), ("", 1));
    run(["explain", "--word", "growth"]).exits(2).complains(&["unknown experiment or word"]);
    let said = run(["explain", "wakeup", "./x.toml"]).exits(2).complains(&["cannot read"]);
    assert_eq!(said.out, "", "a page before what is wrong");
    run(["list", "--words", "--waits"]).exits(2);
}

#[test]
fn a_failed_check_names_the_words_that_tell_why() {
    let null = in_repository("tests/golden/null.toml");
    let said = run(["run", null.to_str().unwrap()]).exits(1);
    assert!(said.out.contains("What that may mean: herd explain "), "{said:?}");
    let folder = Folder::new();
    let good = "title = \"t\"\n[defaults]\nkind = \"null\"\nworkers = 3\nevents = 7\n";
    let fine = run(["run", &folder.file("good.toml", good)]).exits(0);
    assert!(!fine.out.contains("What that may mean"), "{fine:?}");
    let wrong = format!("{good}[[expect]]\nwakeups_per_event = 2\n");
    let said = run(["run", &folder.file("wrong.toml", wrong)]).exits(1);
    let (_, words) = said.out.split_once("What that may mean: ").unwrap_or_else(|| panic!("{said:?}"));
    assert!(words.starts_with("herd explain wakeups_per_event, herd explain FAIL\n"), "{said:?}");
}

#[test]
fn every_claim_of_the_article_is_found() {
    for claim in herd::words::claims::all() {
        for lang in ["en", "zh"] {
            let said = run(["explain", &claim.id, "--lang", lang]).exits(0).shows(&[&claim.id]);
            narrow(&said.out);
            for experiment in &claim.experiments {
                assert!(said.out.contains(experiment.as_str()), "{said:?}");
            }
        }
    }
    run(["explain", "s13"]).exits(0).shows(&[
        "S13  (false)",
        "accept takes a lock",
        "prepare_to_wait_exclusive",
        "herd explain herd",
    ]);
    run(["explain", "S13", "--lang", "zh"]).exits(0).shows(&["错误", "独占"]);
    let list = run(["list", "--claims"]).exits(0).shows(&["S62  an opinion", "[overlap]"]);
    narrow(&list.out);
    narrow(&run(["list", "--claims=zh"]).exits(0).shows(&["部分正确"]).out);
    run(["explain", "overlap"]).exits(0).shows(&["Claims of the article: S38 (false); herd explain S38"]);
    run(["explain", "S99"]).exits(2).complains(&["did you mean \"S", "herd list --claims"]);
}
