//! `--plot`: pictures below the table, in 80 columns, without colour, in letters that
//! the terminal has.

use lab::{Folder, Said, herd, run, said};

mod lab;

const GROWTH: &str = "title = \"t\"\n[defaults]\nkind = \"null\"\nevents = 7\n[matrix]\nworkers = [2, 4, 8, 16]\n\
    [[wait]]\nname = \"one\"\n[[wait]]\nname = \"also one\"\n[[wait]]\nname = \"all of two\"\nnull_wakeups = 2\n";

#[track_caller]
fn plain_and_narrow(said: &Said) {
    for line in said.out.lines() {
        assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
        assert_eq!(line, line.trim_end(), "space at the end");
    }
    assert!(!said.out.contains('\u{1b}'), "an escape sequence");
}

#[test]
fn wakeups_are_drawn_against_workers() {
    let folder = Folder::new();
    let file = folder.file("growth.toml", GROWTH);
    let ascii = run(["run", &file, "--plot"]).exits(0);
    plain_and_narrow(&ascii);
    assert!(ascii.out.is_ascii(), "{ascii:?}");
    let ascii =
        ascii.shows(&["growth: wakeups per event against the number of workers", "from the event to the claim"]);
    // Rows that look the same share a letter, and the verdict stays last.
    let ascii = ascii.shows(&["  A: one; also one (1 at 16 workers)", "  B: all of two (2 at 16 workers)"]);
    assert!(ascii.out.lines().any(|line| line.split_whitespace().eq(["2", "4", "8", "16"])), "{ascii:?}");
    assert!(ascii.out.ends_with("\n\nPASS: 12 of 12 cells as expected\n"), "{ascii:?}");
    let letters = |letter: char| {
        let picture = ascii.out.lines().skip_while(|line| !line.contains("against the number"));
        picture.skip(1).take(12).flat_map(str::chars).filter(|c| *c == letter).count()
    };
    assert_eq!((letters('A'), letters('B')), (4, 4), "{ascii:?}");
    let unicode = said(herd(["run", &file, "--plot"]).env("LANG", "en_US.UTF-8")).exits(0).shows(&["└──", "A···"]);
    plain_and_narrow(&unicode);
    // The last one that is set counts least.
    let none = said(herd(["run", &file, "--plot"]).env("LANG", "en_US.UTF-8").env("LC_ALL", "C")).exits(0);
    assert!(none.out.is_ascii(), "{none:?}");
}

#[test]
fn what_is_far_apart_is_drawn_by_factors() {
    let folder = Folder::new();
    let file = folder.file(
        "far.toml",
        "title = \"t\"\n[defaults]\nkind = \"null\"\nevents = 7\n[matrix]\nworkers = [1, 10000]\n\
         [[wait]]\nname = \"one\"\n[[wait]]\nname = \"many\"\nnull_wakeups = 64\n",
    );
    let said = run(["run", &file, "--plot"]).exits(0).shows(&["number of workers, logarithmic", " 64 |", "10000\n"]);
    plain_and_narrow(&said);
    // From 1 at the bottom to 64 at the top, so 8 is in the middle.
    let at = |mark: &str| said.out.lines().position(|line| line.trim_start().starts_with(mark)).unwrap();
    let (top, middle, bottom) = (at("64 |"), at("8 |"), at("1 |"));
    assert!((top + bottom).abs_diff(2 * middle) <= 1 && bottom - top == 11, "{said:?}");
}

#[test]
fn one_number_of_workers_is_no_picture() {
    let folder = Folder::new();
    let file = folder.file("one.toml", "title = \"t\"\n[defaults]\nkind = \"null\"\nworkers = 3\nevents = 7\n");
    run(["run", &file, "--plot"]).exits(0).shows(&["No picture: that takes cells with two", "--set workers=2,4,8,16"]);
}

#[test]
fn pictures_go_with_tables_only() {
    run(["run", "--plot", "--format", "csv"])
        .exits(2)
        .complains(&["--plot draws below a table; leave out --format csv"]);
    run(["run", "--plot", "--quiet"]).exits(2);
}

#[test]
fn latencies_are_drawn_from_a_stored_result() {
    let folder = Folder::new();
    let file = folder.file(
        "stored.toml",
        "title = \"t\"\n[defaults]\nkind = \"null\"\nworkers = 3\nevents = 7\n[[wait]]\nname = \"one\"\n",
    );
    let text = run(["run", &file, "--format", "json"]).exits(0).out;
    let mut document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let seen = &mut document["cells"][0]["observation"]["claim_latency"];
    *seen =
        serde_json::json!({"samples": 7, "min": 1000, "p50": 10_000, "p90": 20_000, "p99": 100_000, "max": 1_000_000});
    let stored = folder.file("stored.json", document.to_string());
    let shown = run(["show", &stored, "--plot"]).exits(0);
    plain_and_narrow(&shown);
    let shown =
        shown.shows(&["stored: from the event to the claim, in us", "| least, O median, # 99th percentile, | largest"]);
    let line = shown.out.lines().find(|line| line.starts_with("  one ")).unwrap_or_else(|| panic!("{shown:?}"));
    let place = |c: char| line.find(c).unwrap();
    let (least, largest) = (place('|'), line.rfind('|').unwrap());
    // Three steps of ten are equally long on a logarithmic axis.
    let third = (largest - least) as f64 / 3.0;
    assert!((place('O') as f64 - least as f64 - third).abs() <= 1.0, "{line}");
    assert!((place('#') as f64 - least as f64 - 2.0 * third).abs() <= 1.0, "{line}");
    assert!(line.ends_with("10.0    100"), "{line}");
}

#[test]
fn a_result_without_what_a_picture_needs_says_so() {
    let folder = Folder::new();
    let file = folder.file("growth.toml", GROWTH);
    let text = run(["run", &file, "--format", "json"]).exits(0).out;
    let mut document: serde_json::Value = serde_json::from_str(&text).unwrap();
    for cell in document["cells"].as_array_mut().unwrap() {
        cell["verdict"] = "skip".into();
        cell["metrics"] = serde_json::json!({});
        cell.as_object_mut().unwrap().remove("observation");
    }
    let skipped = folder.file("skipped.json", document.to_string());
    let says = ["No picture: no cell counted wakeups.", "No picture: no cell has latencies.", "SKIPPED: 0 of 12 cells"];
    plain_and_narrow(&run(["show", &skipped, "--plot"]).exits(4).shows(&says));
    document["cells"] = serde_json::json!([]);
    let empty = folder.file("empty.json", document.to_string());
    plain_and_narrow(&run(["show", &empty, "--plot"]).exits(4).shows(&says[..2]));
    // Of a schema that never was, there is no picture and no table either.
    document["schema"] = 0.into();
    let old = folder.file("old.json", document.to_string());
    let said = run(["show", &old, "--plot"]).exits(2).complains(&["old.json", "schema 0 is older than the first"]);
    assert!(said.out.is_empty(), "{said:?}");
}

#[test]
fn figures_are_drawn_against_clients_and_silent_connections() {
    let folder = Folder::new();
    let file = folder.file(
        "load.toml",
        "title = \"t\"\n[defaults]\nobject = \"tcp\"\nkind = \"epoll\"\nworkers = 1\nevents = 20\nreply = true\n\
         clients = 2\nlimit_ms = 20000\n[matrix]\nclients = [1, 2, 4]\nidle_connections = [0, 5]\n[[wait]]\nname = \
         \"loop\"\n",
    );
    let said = run(["run", &file, "--plot"]).exits(0);
    plain_and_narrow(&said);
    let said = said.shows(&[
        "load: answers per second against clients",
        "load: 99th percentile of the latency in us against clients",
        "load: memory of the server in KiB against silent connections",
        "load: CPU time of the server in us per event against silent connections",
        "A: loop, 0 (",
        "at 4 clients)",
        "at 5 silent connections)",
    ]);
    // Not drawn, and no complaint that there is only one number of workers.
    assert!(!said.out.contains("No picture"), "{said:?}");
}
