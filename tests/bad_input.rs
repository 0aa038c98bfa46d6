//! What a person can get wrong, each answered by one message that names the
//! place, the value and the way out, and by exit code 2. Touches no kernel.

use lab::{Folder, in_repository, run};

mod lab;

/// An experiment file with that text behind a title is refused with exactly
/// this message, after `FILE:LINE: `; line 0 is the whole file.
#[track_caller]
fn check(text: &str, line: usize, message: &str) {
    check_whole(&format!("title = \"t\"\n{text}\n"), line, message);
}

#[track_caller]
fn check_whole(text: &str, line: usize, message: &str) {
    let folder = Folder::new();
    let file = folder.file("x.toml", text);
    let place = if line == 0 { file.clone() } else { format!("{file}:{line}") };
    for command in ["run", "explain"] {
        let said = run([command, &file]).exits(2);
        assert_eq!(said.err, format!("herd: {place}: {message}\n"), "{text}");
        assert_eq!(said.out, "", "nothing is shown of a wrong file");
    }
}

/// A row of these settings is refused, with a reason that has `part`.
#[track_caller]
fn check_pair(row: &str, part: &str) {
    let folder = Folder::new();
    let file = folder.file("x.toml", format!("title = \"t\"\n[[wait]]\nname = \"row\"\n{row}\n"));
    let said = run(["run", &file]).exits(2);
    assert!(said.err.starts_with(&format!("herd: {file}:2: \"row\": ")), "{}", said.err);
    assert!(said.err.contains(part), "no {part:?} in {}", said.err);
    assert_eq!(said.err.lines().count(), 1, "one message: {}", said.err);
}

const BOUNDS: &str = "a number, { per_worker, slack }, { per_event }, { never_above }, { times_of, min, max }, \
                      { growth_from, below, below_from }, { more_than, times }, or bounds out of min, max, \
                      min_per_worker, max_per_worker, mean_min, mean_max";

#[test]
fn unknown_names_are_told_with_the_nearest_known_one() {
    check("titel = 3", 2, "unknown key \"titel\"; did you mean \"title\"?");
    check("[defaults]\nworker = 3", 3, "unknown setting \"worker\"; did you mean \"workers\"?");
    check("[[wait]]\nkind = \"epol\"", 3, "unknown wait \"epol\"; did you mean \"epoll\"?");
    check("[defaults]\nobject = \"tpc\"", 3, "unknown object \"tpc\"; did you mean \"tcp\"?");
    check("[defaults]\nload = \"brust\"", 3, "unknown load \"brust\"; did you mean \"burst\"?");
    check("needs = \"ipv7\"", 2, "unknown probe \"ipv7\" in needs; did you mean \"ipv6\"? (see `herd list --probes`)");
    check("[table]\npivto = \"workers\"", 3, "unknown key \"pivto\" in [table]; did you mean \"pivot\"?");
    check("[table]\nshow = [\"jian\"]", 3, "unknown metric \"jian\"; did you mean \"jain\"?");
    check(
        "[[expect]]\nwakeup_per_event = 1",
        3,
        "unknown metric or setting \"wakeup_per_event\"; did you mean \"wakeups_per_event\"?",
    );
    check("[[expect]]\nwait = \"bloc\"\nclaims = 1", 2, "unknown wait \"bloc\" in [[expect]]; did you mean \"block\"?");
    check("[table]\npivot = \"workers\"", 2, "[table] pivot = \"workers\" is not a key of [matrix]");
    check(
        "[defaults]\noverride = [{ workers = [0], kind = \"pol\" }]",
        3,
        "override: unknown wait \"pol\"; did you mean \"poll\"?",
    );
}

#[test]
fn a_name_near_to_nothing_gets_the_list() {
    let known = herd::wait::names().join(", ");
    check("[[wait]]\nkind = \"xyzzyxyz\"", 3, &format!("unknown wait \"xyzzyxyz\"; known are {known}"));
}

#[test]
fn wrong_types_and_values_are_told_with_what_is_wanted() {
    let workers = "workers must be a whole number from 1 to 100000";
    check_whole("title = 3", 1, "title must be a string, not 3");
    check("[defaults]\nworkers = \"8\"", 3, &format!("{workers}, not \"8\""));
    check("[defaults]\nworkers = 0", 3, &format!("{workers}, not 0"));
    check("[defaults]\nworkers = -1", 3, &format!("{workers}, not -1"));
    check("[defaults]\nworkers = 8.0", 3, &format!("{workers}, not 8.0"));
    check("[defaults]\nworkers = 100001", 3, &format!("{workers}, not 100001"));
    check("[defaults]\nevents = 99999999999999999999", 3, "99999999999999999999 does not fit 64 bits");
    check("[defaults]\nexclusive = 1", 3, "exclusive must be true or false, not 1");
    check(
        "[defaults]\nplacement = \"0x3\"",
        3,
        "placement must be processes, threads, or PxT such as 4x2 (at least 1x1), not \"0x3\"",
    );
    check(
        "[defaults]\ninstance = \"privat\"",
        3,
        "instance must be one of private, shared, nested, not \"privat\"; did you mean \"private\"?",
    );
    check("[defaults]\ninterest = [\"in\"]", 3, "interest must be a list of out, rdhup, pri, not [\"in\"]");
    check("[defaults]\noverride = [{ workers = [0], events = 3 }]", 3, "override: events holds for the whole cell");
    check(
        "[defaults]\noverride = [{ workers = [0], exclusive = 3 }]",
        3,
        "override: exclusive must be true or false, not 3",
    );
    check("[matrix]\nworkers = [1, 0]", 3, &format!("{workers}, not 0"));
    check("[matrix]\nworkers = 3", 3, "[matrix] workers must be a list of values");
    check("[matrix]\nworkers = []", 3, "[matrix] workers has no values");
    check("defaults = 3", 2, "defaults must be a table");
    check("[wait]\nkind = \"poll\"", 2, "wait must be written as [[wait]]");
    check("[[wait]]\nworkers = 3", 2, "a [[wait]] needs a name");
    check("[[wait]]\nname = \"a b\"\n[[wait]]\nname = \"a-b\"", 4, "a second [[wait]] named \"a-b\"");
    check("[[expect]]\nsource = \"x\"", 2, "an [[expect]] needs at least one metric (see `herd list --metrics`)");
    check("[[expect]]\nclaims = \"x\"", 3, &format!("claims must be {BOUNDS}, not \"x\""));
    check("[[expect]]\nclaims = { least = 1 }", 3, &format!("claims must be {BOUNDS}, not {{ least = 1 }}"));
    check(
        "[[expect]]\nwinners = \"nobody\"",
        3,
        "winners must be one of rotation, first, last, even, uniform, decreasing, not \"nobody\"",
    );
    let both = "[[expect]]\nclaims = { per_event = 1, slack = 1 }";
    check(both, 3, &format!("claims must be {BOUNDS}, not {{ per_event = 1, slack = 1 }}"));
    check("[[expect]]\nerror = 22", 3, "error must be an errno by name, such as \"EINVAL\", not 22");
}

#[test]
fn a_rule_is_a_finite_number() {
    // JSON has neither nan nor inf: the stored result could not be read back.
    check("[[expect]]\nclaims = nan", 3, &format!("claims must be {BOUNDS}, not nan"));
    check("[[expect]]\nclaims = { max = inf }", 3, &format!("claims must be {BOUNDS}, not {{ max = inf }}"));
}

#[test]
fn a_matrix_without_end_is_refused() {
    let many = (1..=400).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    check(
        &format!("[defaults]\nkind = \"null\"\n[matrix]\nworkers = [{many}]\nevents = [{many}]"),
        0,
        "the matrix has more than 100000 cells; leave out values or axes",
    );
}

#[test]
fn what_is_no_experiment_at_all() {
    check_whole("", 0, "has no title; start with title = \"..\"");
    check_whole("title = \"t\ntwo\"", 1, "not TOML: invalid basic string, expected `\"`");
    check_whole("title = \"t\"\ntitle = \"u\"", 2, "not TOML: duplicate key");
    check_whole("{ \"title\": 3 }", 1, "not TOML: invalid key-value pair, expected key");
    let folder = Folder::new();
    let binary = folder.file("b.toml", [0xff, 0xfe, 0, 1, 2]);
    run(["run", &binary]).exits(2).complains(&[&format!("herd: cannot read {binary}: not a text file\n")]);
    let missing = folder.path().join("no.toml").to_str().unwrap().to_owned();
    run(["run", &missing]).exits(2).complains(&[&format!("herd: cannot read {missing}: No such file or directory")]);
    let directory = format!("{}/", folder.path().display());
    run(["run", &directory]).exits(2).complains(&["herd: cannot read ", "Is a directory"]);
    run(["run", "hrd"]).exits(2).complains(&["unknown experiment \"hrd\"; did you mean \"herd\"? (see `herd list`"]);
    run(["run", "herd:epol"]).exits(2).complains(&["herd has no row \"epol\"; did you mean \"epoll\"?", "select"]);
    run(["run", "herd:epoll", "herd:epoll"]).exits(2).complains(&["\"herd:epoll\" is named twice"]);
    run(["run", "herd", "herd:epoll"]).exits(2).complains(&["\"herd:epoll\" is named twice"]);
    run(["run", "herd", "herd"]).exits(2).complains(&["experiment \"herd\" is named twice"]);
}

#[test]
fn the_first_mistake_of_a_file_is_the_one_told() {
    // They were told in the order of the alphabet.
    check("[[wait]]\nkind = \"epol\"\n[defaults]\nbacklog = -1", 3, "unknown wait \"epol\"; did you mean \"epoll\"?");
}

#[test]
fn impossible_pairs_are_refused_with_the_reason() {
    check_pair("kind = \"block\"\nobjects = 2", "a blocking claim sleeps on one object; watch several with poll");
    check_pair("kind = \"block\"\naccept = \"drain\"", "a blocking claim cannot drain");
    check_pair("kind = \"block\"\nbefore_claim_us = 3", "leave out before_claim_us");
    for wait in ["block", "poll", "select", "null"] {
        for setting in [
            "exclusive = true",
            "trigger = \"edge\"",
            "instance = \"shared\"",
            "oneshot = true",
            "modify = true",
            "maxevents = 2",
            "readd_every = 1",
            "interest = [\"pri\"]",
        ] {
            let (key, _) = setting.split_once(' ').unwrap();
            let reason = format!("{key} is a setting of epoll; {wait} has none (use kind = \"epoll\")");
            check_pair(&format!("kind = \"{wait}\"\n{setting}"), &reason);
        }
    }
    let exclusive = |more: &str, reason: &str| {
        let row = format!("kind = \"epoll\"\nexclusive = true\n{more}");
        check_pair(&row, &format!("{reason} with EINVAL (epoll_ctl(2), Linux 4.5); force = true attempts it"));
    };
    exclusive("oneshot = true", "EPOLLEXCLUSIVE together with EPOLLONESHOT");
    exclusive("interest = [\"rdhup\"]", "EPOLLEXCLUSIVE with any event but EPOLLIN and EPOLLOUT");
    exclusive("modify = true", "EPOLL_CTL_MOD of an EPOLLEXCLUSIVE registration");
    exclusive("instance = \"nested\"", "EPOLLEXCLUSIVE on an epoll descriptor as target");
    check_pair(
        "kind = \"epoll\"\nsharing = \"own\"\ninstance = \"shared\"",
        "use sharing = \"shared\" with objects = N and group = true",
    );
    for setting in ["modify = true", "readd_every = 3"] {
        let row = format!("kind = \"epoll\"\ninstance = \"nested\"\n{setting}");
        check_pair(&row, "which the outer one of nested instances has not; use instance = \"private\"");
    }
    check_pair("sharing = \"own\"\nobjects = 2", "leave out objects and group");
    check_pair("sharing = \"own\"\ngroup = true", "leave out objects and group");
    check_pair("kind = \"poll\"\nport = 5000\nobjects = 2", "several listeners cannot share one port; leave out port");
    for object in ["unix", "unix-abstract"] {
        check_pair(&format!("object = \"{object}\"\nsharing = \"own\""), "unix sockets have no SO_REUSEPORT groups");
        check_pair(&format!("object = \"{object}\"\nport = 5000"), "unix sockets have no port; leave out port");
    }
    check_pair(
        "kind = \"poll\"\noverride = [{ workers = [0], kind = \"block\" }]",
        "cannot share an object: O_NONBLOCK",
    );
    check_pair("kind = \"null\"\noverride = [{ workers = [0], kind = \"poll\" }]", "null is for whole cells");
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    check_pair(
        "placement = \"2x3\"\nworkers = 5",
        "placement 2x3 has 6 workers, but workers = 5; set only one of the two",
    );
    check_pair("burst = 3\nevents = 10", "events = 10 is not a multiple of burst = 3");
    check_pair(
        "override = [{ workers = [8], exclusive = true }]",
        "override names worker 8, but there are only 8 (0 to 7)",
    );
}

#[test]
fn force_lets_only_the_kernel_refuse() {
    check_pair("kind = \"poll\"\nexclusive = true\nforce = true", "exclusive is a setting of epoll");
}

#[test]
fn wrong_arguments() {
    let wrong = |args: &[&str], parts: &[&str]| {
        let said = run(args).exits(2).complains(parts);
        assert_eq!(said.out, "");
    };
    wrong(&["--set", "workers"], &["'workers'", "expected key=value, such as workers=64"]);
    wrong(&["--set", "workes=3"], &["unknown setting \"workes\"; did you mean \"workers\"?"]);
    wrong(&["--set", "workers=0"], &["workers must be a whole number from 1 to 100000, not 0"]);
    wrong(&["--set", "workers=2,x"], &["workers must be a whole number from 1 to 100000, not \"x\""]);
    wrong(&["--set", "workers="], &["not \"\""]);
    wrong(&["--set", "kind=epol"], &["unknown wait \"epol\"; did you mean \"epoll\"?"]);
    wrong(&["--repeat", "0"], &["'--repeat <K>'", "1..=10000"]);
    wrong(&["--format", "tabel"], &["'tabel'", "table"]);
    wrong(&["list", "--waitz"], &["--waitz", "--waits"]);
    wrong(&["run", "--quiet", "--verbose"], &["cannot be used with"]);
    wrong(&["explain"], &["required"]);
    wrong(&["show"], &["required"]);
}

#[test]
fn documents_that_show_cannot_show() {
    let folder = Folder::new();
    let null = in_repository("tests/golden/null.toml").to_str().unwrap().to_owned();
    let good = run(["run", &null, "-f", "json"]).exits(1).out;
    let check = |name: &str, bytes: &[u8], message: &str| {
        let file = folder.file(name, bytes);
        let said = run(["show", &file]).exits(2);
        assert!(said.err.starts_with(&format!("herd: {file} {message}")), "{name}: {}", said.err);
        assert_eq!((said.err.lines().count(), said.out.as_str()), (1, ""), "{name}");
    };
    for cut in [1, 20, good.len() / 2, good.len() - 3] {
        check("cut.json", &good.as_bytes()[..cut], "is cut off or damaged: EOF while parsing");
    }
    let newer = good.replacen("\"schema\": 1", "\"schema\": 2", 1);
    check(
        "newer.json",
        newer.as_bytes(),
        "has schema 2, this herd reads up to 1; use the herd that wrote it, or a newer",
    );
    let lacking = good.replacen("\"cells\"", "\"sells\"", 1);
    check("lacking.json", lacking.as_bytes(), "is cut off or damaged: missing field `cells`");
    let wrong = good.replacen("\"repetition\": 1", "\"repetition\": \"one\"", 1);
    check("wrong.json", wrong.as_bytes(), "is cut off or damaged: invalid type: string \"one\"");
    for foreign in ["{\"a\": 1}", "[1, 2]", "3", "null", "{\"schema\": \"1\", \"herd\": \"x\"}"] {
        check("foreign.json", foreign.as_bytes(), "is not a herd result: it has no schema and herd version");
    }
    check("text.json", b"hello", "is not a herd result: not a JSON document");
    check("empty.json", b"", "is not a herd result: not a JSON document");
    check("binary.json", &[0xff, 0xfe, 0], "is not a herd result: not a text file");
    let missing = folder.path().join("no.json").to_str().unwrap().to_owned();
    run(["show", &missing]).exits(2).complains(&[&format!("herd: cannot read {missing}: No such file")]);
}

#[test]
fn what_presses_on_a_cell_has_bounds() {
    check("[defaults]\nbackground = 300", 3, "background must be a whole number from 0 to 256, not 300");
    let quota = "milliseconds per period such as \"20/100\": 1 to 100000 per 1 to 1000, or \"none\"";
    check("[defaults]\nquota = \"20\"", 3, &format!("quota must be {quota}, not \"20\""));
    check("[defaults]\nquota = 20", 3, &format!("quota must be {quota}, not 20"));
    check(
        "[defaults]\npolicy = \"fiffo\"",
        3,
        "policy must be one of other, batch, idle, fifo, rr, not \"fiffo\"; did you mean \"fifo\"?",
    );
    check("[defaults]\nnice = 20", 3, "nice must be a whole number from -20 to 19, not 20");
    check("[defaults]\ncpu = \"first\"", 3, "cpu must be any, last, or the number of a CPU, not \"first\"");
    check_pair("kind = \"epoll\"\npolicy = \"fifo\"\nquota = \"20/100\"", "a quota does not hold real-time tasks back");
    check_pair(
        "kind = \"epoll\"\nnice = 3\noverride = [{ workers = [1], policy = \"rr\" }]",
        "nice is nothing to real-time",
    );
}

#[test]
fn a_stored_result_is_no_experiment() {
    let folder = Folder::new();
    let file = folder.file("result.json", "{ \"schema\": 1 }\n");
    for command in ["run", "watch", "timeline", "check", "explain"] {
        let said = run([command, &file]).exits(2);
        let message =
            format!("herd: {file} is a stored result and no experiment file (see it with `herd show {file}`)\n");
        assert_eq!((said.err, said.out), (message, String::new()));
    }
}
