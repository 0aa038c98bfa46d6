//! The page of `herd report`: its bytes from made-up facts (tests/golden/page.html;
//! `HERD_GOLDEN=write cargo test --test report_page` writes it after a change that is
//! meant), its markup, every plot from made-up results, and what it refuses.

use std::path::Path;

use herd::observation::{End, Lane, Latency, Timeline};
use herd::report::page::{self, MARKER, Source};
use herd::results::{Results, Verdict};
use lab::{Folder, in_repository, names_in, run};
use sample::{cell, changed, sample, seen};

mod lab;
mod sample;

fn page(all: &[Results]) -> String {
    let texts: Vec<String> = all.iter().map(|results| serde_json::to_string(results).unwrap()).collect();
    let names: Vec<String> = (1..=all.len()).map(|number| format!("{number}.json")).collect();
    let sources: Vec<Source<'_>> =
        (all.iter().zip(&texts).zip(&names)).map(|((results, text), file)| Source { file, text, results }).collect();
    let mut out = Vec::new();
    page::write(&sources, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    well_formed(&text);
    text
}

/// What ends where this one begins or, with a slash, ends: HTML lets the ends of the parts
/// of a table be left out.
fn ended_by(tag: &str) -> &'static [&'static str] {
    match tag {
        "td" | "th" => &["td", "th"],
        "tr" => &["td", "th", "tr"],
        "tbody" => &["td", "th", "tr", "thead"],
        "/table" => &["td", "th", "tr", "thead", "tbody"],
        _ => &[],
    }
}

/// Every element that is opened is closed, in order; every name is there once; every
/// link has its place; nothing is loaded and nothing runs.
#[track_caller]
fn well_formed(text: &str) {
    const VOID: [&str; 2] = ["meta", "link"];
    let (mut open, mut ids, mut places): (Vec<&str>, Vec<&str>, Vec<&str>) = Default::default();
    let body = text.split_once("<style>").unwrap();
    let (style, rest) = body.1.split_once("</style>").unwrap();
    assert!(!style.contains("http") && !style.contains("@import"), "the style loads something");
    for part in [body.0.split_once(MARKER).unwrap().1, rest] {
        for piece in part.split('<').skip(1) {
            let (tag, words) = piece.split_once('>').unwrap_or_else(|| panic!("never closed: <{piece}"));
            assert!(!words.contains('>'), "a bare > in {words}");
            let name = tag.split([' ', '\n']).next().unwrap().trim_end_matches('/');
            let whole = tag.split([' ', '\n']).next().unwrap();
            while open.last().is_some_and(|last| ended_by(whole).contains(last)) {
                open.pop();
            }
            match tag.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop(), Some(name), "closed in disorder"),
                None if VOID.contains(&name) || tag.ends_with('/') => {}
                None => open.push(name),
            }
            // A value without quotes is one plain word.
            for bare in tag.split('"').step_by(2).flat_map(|names| names.split_whitespace()) {
                let value = bare.split_once('=').map_or("", |(_, value)| value);
                assert!(!value.contains(['\'', '`', '=']), "<{tag}>");
            }
            // Outside of values, which may have words that begin so.
            let handler = tag.split('"').step_by(2).any(|names| names.contains(" on"));
            assert!(!["script", "img", "iframe"].contains(&name) && !handler, "<{tag}>");
            let value = |name: &str| Some(tag.split_once(&format!(" {name}=\""))?.1.split_once('"').unwrap().0);
            ids.extend(value("id"));
            places.extend(value("href").and_then(|link| link.strip_prefix('#')));
            let link = value("href").unwrap_or("#");
            assert!(["#", "data:", "results-"].iter().any(|start| link.starts_with(start)), "leads away: {link}");
            if name == "svg" {
                assert!(tag.contains(" aria-hidden=") || tag.contains("aria-label=\""), "unnamed: <{tag}>");
                assert!(tag.contains(" width=") && tag.contains(" height="), "moves what is below it: <{tag}>");
                assert!(!tag.contains("NaN") && !tag.contains("inf"), "<{tag}>");
            }
            assert!(!(tag.contains("points=") || tag.contains(" x=")) || !tag.contains("NaN"), "<{tag}>");
        }
    }
    assert_eq!(open, ["html"; 0], "left open");
    for place in &places {
        assert!(ids.contains(place), "#{place} leads nowhere");
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "a name twice");
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(text.contains(part), "no {part:?} in the page"));
}

/// The stored cells of tests/golden/null.json as a result without its machine.
fn null() -> Results {
    let text = std::fs::read_to_string(in_repository("tests/golden/null.json")).unwrap();
    let mut document: serde_json::Value = serde_json::from_str(&text).unwrap();
    document["environment"] = serde_json::json!({"kernel_release": "6.1.2", "cpus_online": 2, "started": "1764000000"});
    document["herd"] = "VERSION".into();
    Results::parse("null.json", &document.to_string()).unwrap()
}

#[test]
fn the_page_of_known_facts_has_these_bytes() {
    // Compressed bytes are those of the compressor, which may get better.
    let text = page(&[null()]).replace(env!("CARGO_PKG_VERSION"), "VERSION");
    let (before, rest) = text.split_once("base64,").unwrap();
    let now = format!("{before}base64,PACKED{}", &rest[rest.find('"').unwrap()..]);
    // The style sheet is a file of its own.
    let style = now.find("<style>").unwrap()..now.find("</style>").unwrap();
    let now = now.replacen(&now[style], "<style>STYLE", 1);
    let path = in_repository("tests/golden/page.html");
    if std::env::var_os("HERD_GOLDEN").is_some_and(|v| v == "write") {
        std::fs::write(&path, &now).unwrap();
    }
    let want = std::fs::read_to_string(&path).unwrap();
    assert!(now == want, "tests/golden/page.html differs; see the top of tests/report_page.rs\n{now}");
}

#[test]
fn words_of_a_result_are_no_markup() {
    let text = page(&[changed(|r| {
        r.experiments[0].title = "<script>alert(1)</script>".into();
        r.experiments[0].question = "a & b \"c\" <i>".into();
        cell(r, "epoll").row = "<b>epoll".into();
        r.environment.cpu_model = "<u>".into();
    })]);
    has(
        &text,
        &["&lt;script&gt;alert(1)&lt;/script&gt;", "a &amp; b &quot;c&quot; &lt;i&gt;", "&lt;b&gt;epoll", "&lt;u&gt;"],
    );
}

#[test]
fn an_embedded_experiment_brings_its_lesson_once_and_a_namesake_none() {
    let herd = herd::experiment::embedded::find("herd").unwrap().unwrap();
    let named = |question: &str| {
        changed(|r| {
            r.experiments[0].name = "herd".into();
            r.experiments[0].title = herd.title.clone();
            r.experiments[0].question = question.into();
            r.cells.iter_mut().for_each(|cell| cell.experiment = "herd".into());
        })
    };
    let text = page(&[named(&herd.question), named(&herd.question)]);
    assert_eq!(text.matches("eight workers sleep").count(), 1);
    assert_eq!(text.matches("__wake_up_common() to walk").count(), 1);
    let text = page(&[named("something else")]);
    assert!(!text.contains("eight workers sleep"), "the drawing of another experiment");
}

/// The sample with its waits at 2, 8 and 32 workers; all of the herd wakes.
fn grown() -> Results {
    changed(|r| {
        let cells = std::mem::take(&mut r.cells);
        for workers in [2, 8, 32] {
            for cell in &cells {
                let mut cell = cell.clone();
                cell.axes = vec![("workers".into(), workers.to_string())];
                cell.id = format!("{}/{workers}", cell.id);
                cell.settings.workers = workers;
                let woken = if cell.row == "epoll" { f64::from(workers) } else { 1.0 };
                cell.metrics.insert("wakeups_per_event_median".into(), Some(woken));
                r.cells.push(cell);
            }
        }
    })
}

#[test]
fn an_axis_of_workers_is_drawn_and_waits_that_agree_are_one_line() {
    let text = page(&[grown()]);
    has(&text, &["Wakeups against the number of workers", "<b>A</b>", "<b>B</b>", "Both scales are logarithmic"]);
    assert!(!text.contains("<b>C</b>"), "only two kinds of lines");
    has(&text, &["<th scope=row>epoll<td>2<td>8<td>32\n"]);
    let text = page(&[sample()]);
    has(&text, &["Not drawn: ", "no axis is the number of workers", "no cell kept one; herd timeline sample"]);
}

#[test]
fn figures_are_drawn_against_the_load() {
    let along = |axis: &str, values: &[u32], metrics: &[(&str, f64)]| {
        changed(|r| {
            let cells = std::mem::take(&mut r.cells);
            for (cell, value) in cells.iter().flat_map(|cell| values.iter().map(move |value| (cell, *value))) {
                let mut cell = cell.clone();
                cell.axes = vec![(axis.into(), value.to_string())];
                cell.id = format!("{}/{value}", cell.id);
                for (metric, base) in metrics {
                    cell.metrics.insert((*metric).into(), Some(base + f64::from(value)));
                }
                r.cells.push(cell);
            }
        })
    };
    // As in a file from before there were answers on connections that stay.
    let old = [("served_per_second", 20_000.0), ("reply_latency_us_p99", 30.0)];
    let text = page(&[along("clients", &[1, 10, 1000], &old)]);
    has(&text, &["Figures against the load", "Answers per second (upwards) against clients", "Both scales are log"]);
    has(&text, &["<th scope=row>epoll<td>20001<td>20010<td>21000\n", ">16k</text>"]);
    let idle = [("memory_kib", 2000.0), ("cpu_us_per_event", 20.0)];
    let text = page(&[along("idle_connections", &[0, 5000], &idle)]);
    has(&text, &["Memory of the server in KiB (upwards) against silent connections (to the right). Waits"]);
    has(&text, &["CPU time of the server in us per event by silent connections", ">6000</text>"]);
    has(&page(&[sample()]), &["figures against the load: no axis is clients"]);
}

#[test]
fn the_timeline_of_an_event_becomes_lanes() {
    let text = page(&[changed(|r| {
        let lane = |worker| Lane { worker, ..Lane::default() };
        let got = Lane {
            woken_ns: Some(1000),
            waker_cpu: Some(1),
            running_ns: Some(2000),
            cpu: Some(0),
            returned_ns: Some(3000),
            claimed_ns: Some(4500),
            asleep_ns: Some(6000),
            ..lane(0)
        };
        cell(r, "epoll").count_source = "bpf".into();
        let lanes = vec![got, lane(1)];
        seen(r, "epoll").timeline = Some(Timeline { event: 7, fire_returned_ns: 900, quiet_ns: 9000, lanes });
    })]);
    // Each piece tells its times, too.
    has(&text, &["<title>w0: woken at 1.0 us, on a CPU 1.0 us later</title>"]);
    has(&text, &["<title>w0: on CPU 0 from 2.0 us to 6.0 us</title>", "id=\"r1-sample-lanes\""]);
    has(&text, &["One event", "epoll: event 7", ">got it</text>", ">slept on</text>", "<td>4.5<td>6.0<td>got it\n"]);
}

#[test]
fn percentiles_without_the_samples_for_them_are_left_out() {
    let with = |samples| {
        page(&[changed(|r| {
            let latency =
                Latency { samples, min: 1000, p50: 2000, p90: 3000, p99: 4000, max: 90_000, ..Latency::default() };
            r.cells.iter_mut().for_each(|c| c.observation.as_mut().unwrap().claim_latency = latency);
        })])
    };
    has(&with(50), &["<td>50<td>1<td>2<td>3<td>-<td>-<td>-<td>90\n"]);
    has(&with(100), &["<td>100<td>1<td>2<td>3<td>4<td>-<td>-<td>90\n"]);
    has(&with(0), &["latencies: no cell has samples of one"]);
}

#[test]
fn several_kernels_are_a_heat_map_and_one_kernel_is_none() {
    let on = |release: &str, woken: u64| {
        changed(|r| {
            r.environment.kernel_release = release.into();
            sample::woken(r, "epoll-exclusive", &[(woken, 23)]);
        })
    };
    let text = page(&[on("6.9.1", 1), on("5.4.0", 4)]);
    has(&text, &["<th scope=col>5.4.0<th scope=col>6.9.1", "class=h5>4", "class=h0>1"]);
    has(&text, &["The stronger a field", "from 2.json"]);
    let text = page(&[sample(), sample()]);
    has(&text, &["Not drawn: all results are of one kernel"]);
}

#[test]
fn what_did_not_pass_comes_first_and_each_experiment_has_its_line() {
    let text = page(&[changed(|r| {
        let bad = [("epoll", Verdict::Fail, "all woke"), ("epoll-exclusive", Verdict::Skip, "none here")];
        for (row, verdict, reason) in bad {
            let cell = cell(r, row);
            (cell.verdict, cell.reason) = (verdict, reason.into());
        }
    })]);
    let contents = text.split_once("<nav id=\"contents\"").unwrap().1.split_once("</nav>").unwrap().0;
    let at = |part: &str| contents.find(part).unwrap_or_else(|| panic!("no {part:?} in {contents}"));
    assert!(at("<strong class=\"fail\">FAIL</strong>: 1") < at(": all woke</li>"));
    assert!(at(": all woke</li>") < at("<summary>Skipped: 1</summary>"));
    assert!(at(": none here</li>") < at("<th scope=row><a href=\"#r1-sample\">sample</a>"));
    assert!(contents.contains("<a href=\"#r1-sample\">sample</a><td class=fail>FAIL<"), "{contents}");
    let good = page(&[sample()]);
    assert!(!good.contains("<strong class=\"fail\">") && !good.contains("<summary>Skipped"), "nothing is wrong");
    has(&good, &["<a href=\"#r1-sample\">sample</a><td class=pass>pass<"]);
}

#[test]
fn a_page_of_many_cells_stays_small() {
    // As many cards as a full run has, with the workers and winners of real ones.
    let many = changed(|r| {
        let cells = std::mem::take(&mut r.cells);
        let experiment = r.experiments.remove(0);
        for number in 0..34 {
            let name = format!("{}-{number}", experiment.name);
            r.experiments.push(herd::results::ExperimentFacts { name: name.clone(), ..experiment.clone() });
            for cell in cells.iter().cycle().take(12) {
                let mut cell = cell.clone();
                cell.experiment = name.clone();
                let workers: Vec<_> = cell.workers.iter().cycle().take(8).cloned().collect();
                cell.workers = workers;
                cell.observation.as_mut().unwrap().winners = (0..101u32).map(|event| event * 5 % 8).collect();
                r.cells.push(cell);
            }
        }
    });
    let text = page(&[many]);
    let drawn = text.split_once("<section id=\"json\">").unwrap().0;
    let cards = drawn.matches("class=card").count();
    assert_eq!(cards, 34 * 12);
    // One path for the winners of a card, one for each kind of bar; before, one each.
    assert_eq!(drawn.matches("class=strip").count(), cards);
    assert!(drawn.matches("<rect").count() < 1000, "{} rectangles", drawn.matches("<rect").count());
    assert!(drawn.len() < 1_200_000, "{} bytes", drawn.len());
}

#[test]
fn rules_below_each_other_share_the_field_of_their_reason() {
    let text = page(&[changed(|r| {
        let cell = cell(r, "epoll");
        let rule = |metric: &str, source: &str| herd::results::Judged {
            metric: metric.into(),
            expected: "8".into(),
            measured: "8".into(),
            verdict: Verdict::Pass,
            reason: String::new(),
            source: source.into(),
        };
        cell.expectations = vec![rule("wakeups", "all wake"), rule("returns", "all wake"), rule("claims", "one wins")];
        r.cells.retain(|cell| cell.row == "epoll");
    })]);
    let row = |name: &str| format!("<tr><th scope=row>{name}<td>8<td>8<td class=pass>pass<td>1");
    let [wakeups, returns, claims] = ["wakeups", "returns", "claims"].map(row);
    has(&text, &[&format!("{wakeups}<td rowspan=3>epoll<td rowspan=2>all wake\n{returns}\n{claims}<td>one wins\n")]);
}

#[test]
fn a_field_that_says_skip_is_not_moved_off_the_page() {
    // The link that skips the contents is, until it has the focus.
    let text = page(&[sample()]);
    let style = text.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    for (before, _) in style.match_indices(".skip").map(|(at, _)| style.split_at(at)) {
        assert!(before.ends_with(['a', 'd', 'g']), "no element before .skip: {}", &before[before.len() - 20..]);
    }
}

#[test]
fn two_results_are_held_against_each_other_the_earlier_one_first() {
    let at = |started: &str, woken: u64| {
        changed(|r| {
            r.environment.started = started.into();
            sample::woken(r, "epoll-exclusive", &[(woken, 23)]);
        })
    };
    // In either order on the command line.
    for all in [[at("1764000000", 1), at("1764086400", 4)], [at("1764086400", 4), at("1764000000", 1)]] {
        let text = page(&all);
        let section = text.split_once("<section id=\"changes\">").unwrap().1.split_once("</section>").unwrap().0;
        let says = ["<strong>WORSE: ", "1 worse", "<td>worse<", "<td>1 (pass)<td>4 (FAIL)<", "<p>Earlier: "];
        says.iter().for_each(|part| assert!(section.contains(part), "no {part:?} in {section}"));
    }
    has(&page(&[sample(), sample()]), &["<strong>SAME: ", "no difference", "<a href=\"#changes\">What changed</a>"]);
    assert!(!page(&[sample()]).contains("What changed"), "one result has nothing to be held against");
    // A picture of one event is no run.
    let event = changed(|r| seen(r, "epoll").timeline = Some(Timeline::default()));
    assert!(!page(&[sample(), event]).contains("What changed"));
    let three = page(&[sample(), sample(), sample()]);
    assert!(!three.contains("What changed"), "of three nobody knows which two");
}

#[test]
fn a_result_with_nothing_to_draw_says_so() {
    let text = page(&[changed(|r| {
        for cell in &mut r.cells {
            (cell.verdict, cell.reason) = (Verdict::Skip, "not here".into());
            cell.observation = None;
            cell.workers.clear();
        }
    })]);
    has(&text, &["SKIPPED: 0 of", "Not drawn: no cell is a row of workers that ran to its end", "not here"]);
    let refused = changed(|r| {
        let end = End::Refused { worker: None, call: "epoll_ctl".into(), errno: "EINVAL".into() };
        r.cells.iter_mut().for_each(|cell| cell.observation.as_mut().unwrap().end = end.clone());
    });
    has(&page(&[refused]), &["EINVAL", "Not drawn: no cell is a row"]);
}

fn stored(folder: &Folder, name: &str, results: &Results) -> String {
    folder.file(name, serde_json::to_string(results).unwrap())
}

fn contents(folder: &Path) -> Vec<String> {
    let mut names = names_in(folder);
    names.sort();
    names
}

#[test]
fn the_folder_is_written_anew_and_holds_what_was_read() {
    let folder = Folder::new();
    let (one, two) = (stored(&folder, "one.json", &sample()), stored(&folder, "two.json", &grown()));
    let page = folder.path().join("deep/page");
    let output = page.to_str().unwrap();
    run(["report", &one, &two, "--output", output]).exits(0).shows(&["index.html", "PASS"]);
    assert_eq!(contents(&page), ["index.html", "results-1.json", "results-2.json"]);
    assert_eq!(std::fs::read(page.join("results-2.json")).unwrap(), std::fs::read(&two).unwrap());
    run(["report", &two, "--output", output]).exits(0);
    assert_eq!(contents(&page), ["index.html", "results-1.json"]);
    assert_eq!(std::fs::read(page.join("results-1.json")).unwrap(), std::fs::read(&two).unwrap());
    // The copy beside the page can be the source of the next one.
    let copy = page.join("results-1.json");
    run(["report", copy.to_str().unwrap(), "--output", output]).exits(0);
    assert_eq!(std::fs::read(copy).unwrap(), std::fs::read(&two).unwrap());
    let failed = changed(|r| cell(r, "epoll").verdict = Verdict::Fail);
    run(["report", &stored(&folder, "failed.json", &failed), "--output", output]).exits(1).shows(&["FAIL"]);
}

/// Refused with that message, and everything in the folder is as it was.
#[track_caller]
fn check_refused(files: &[&str], output: &Path, message: &str) {
    let state = || -> Vec<(String, Vec<u8>)> {
        let names = if output.is_dir() { contents(output) } else { Vec::new() };
        names.into_iter().map(|name| (name.clone(), std::fs::read(output.join(name)).unwrap_or_default())).collect()
    };
    let (before, existed) = (state(), output.exists());
    let output_text = output.to_str().unwrap().to_owned();
    let args: Vec<&str> =
        ["report"].into_iter().chain(files.iter().copied()).chain(["--output", &output_text]).collect();
    let said = run(&args).exits(2).complains(&[message]);
    assert_eq!((said.err.lines().count(), said.out.as_str()), (1, ""), "{said:?}");
    assert_eq!((state(), output.exists()), (before, existed));
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let folder = Folder::new();
    let good = stored(&folder, "good.json", &sample());
    let check = |name: &str, files: &[(&str, &str)], message: &str| {
        let output = folder.path().join(name);
        std::fs::create_dir(&output).unwrap();
        files.iter().for_each(|(file, text)| std::fs::write(output.join(file), text).unwrap());
        check_refused(&[&good], &output, message);
    };
    check("thesis", &[("thesis.tex", "years")], "has something else in it: thesis.tex; name a new or an empty folder");
    check("site", &[("index.html", "<!DOCTYPE html>\n<p>mine")], "is no earlier report");
    check("data", &[("results-1.json", "{}")], "is no earlier report");
    let marked = format!("<!DOCTYPE html>\n{MARKER}\n");
    check("mixed", &[("index.html", &marked), ("notes.txt", "")], "has something else in it: notes.txt");
    check("zero", &[("index.html", &marked), ("results-01.json", "")], "has something else in it: results-01.json");
    check_refused(&[&good], Path::new(&good), "is a file; name a new or an empty folder");
    check_refused(&[&good], &Path::new(&good).join("below"), "is a file; name a new or an empty folder");
}

#[test]
fn what_is_no_result_makes_no_page() {
    let folder = Folder::new();
    let output = folder.path().join("page");
    let good = serde_json::to_string(&sample()).unwrap();
    for (name, text, message) in [
        ("newer.json", good.replacen("\"schema\":1", "\"schema\":9", 1), "has schema 9, this herd reads up to 1"),
        ("older.json", good.replacen("\"schema\":1", "\"schema\":0", 1), "schema 0 is older than the first"),
        ("cut.json", good[..good.len() / 2].to_owned(), "is cut off or damaged"),
        ("text.json", "hello".into(), "is not a herd result"),
        ("empty.json", serde_json::to_string(&changed(|r| r.cells.clear())).unwrap(), "empty.json has no cells"),
    ] {
        let (bad, good) = (folder.file(name, &text), folder.file("good.json", &good));
        check_refused(&[&good, &bad], &output, message);
    }
    check_refused(&["/nowhere/at-all.json"], &output, "cannot read /nowhere/at-all.json");
}
