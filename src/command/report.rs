//! `herd report`: stored results as a page in a folder of its own. The folder is
//! looked at before anything is written, and what is not ours is never touched.

use std::fs;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use super::{Failure, parsed, print, stored_text};
use crate::cli::ReportArgs;
use crate::exit::Exit;
use crate::report::page::{self, MARKER, PAGE, Source};
use crate::results::Results;

/// What a file is called until all of it is written.
const UNFINISHED: &str = ".new";

pub fn run(args: &ReportArgs) -> Result<Exit, Failure> {
    let names: Vec<String> = args.files.iter().map(|path| path.display().to_string()).collect();
    let texts = args.files.iter().map(|path| stored_text(path)).collect::<Result<Vec<String>, _>>()?;
    let read: Vec<Results> =
        args.files.iter().zip(&texts).map(|(path, text)| parsed(path, text)).collect::<Result<_, _>>()?;
    if let Some(at) = read.iter().position(|results| results.cells.is_empty()) {
        return Err(Failure::usage(format!(
            "{} has no cells; a page needs a result in which something ran",
            names[at]
        )));
    }
    let sources: Vec<Source<'_>> =
        (names.iter().zip(&texts).zip(&read)).map(|((file, text), results)| Source { file, text, results }).collect();
    let directory = &args.output;
    let old = former(directory)?;
    let refused = |e: std::io::Error| {
        Failure::usage(format!("cannot write a report to {}: {e} (choose another --output)", directory.display()))
    };
    fs::create_dir_all(directory).map_err(refused)?;
    replace(directory, PAGE, |out| page::write(&sources, out)).map_err(refused)?;
    for (number, source) in (1..).zip(&sources) {
        replace(directory, &page::copy(number), |out| out.write_all(source.text.as_bytes())).map_err(refused)?;
    }
    // A former report may have been about more results.
    for name in old.iter().filter(|name| copies(name).is_some_and(|number| number > sources.len())) {
        fs::remove_file(directory.join(name)).map_err(refused)?;
    }
    let page = directory.join(PAGE);
    print(|out| {
        writeln!(out, "{}", page.display())?;
        read.iter().try_for_each(|results| write!(out, "{}", crate::report::verdict(results)))
    })?;
    Ok(worst(&read))
}

/// Writes all of a file before it takes the place of an older one.
fn replace(
    directory: &Path,
    name: &str,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let unfinished = directory.join(format!("{name}{UNFINISHED}"));
    let mut out = BufWriter::new(fs::File::create(&unfinished)?);
    let written = write(&mut out).and_then(|()| out.flush());
    written.and_then(|()| fs::rename(&unfinished, directory.join(name))).inspect_err(|_| {
        let _ = fs::remove_file(&unfinished);
    })
}

/// The files of a former report in that folder; none if it is new or empty. An error
/// if anything else is in there.
fn former(directory: &Path) -> Result<Vec<String>, Failure> {
    let refused = |why: String| Failure::usage(format!("{} {why}; name a new or an empty folder", directory.display()));
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => return Err(refused("is a file".into())),
        Err(e) => return Err(refused(format!("cannot be read: {e}"))),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| refused(format!("cannot be read: {e}")))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let plain = entry.file_type().is_ok_and(|kind| kind.is_file());
        let base = name.strip_suffix(UNFINISHED).unwrap_or(&name);
        if !plain || !(base == PAGE || copies(base).is_some()) {
            return Err(refused(format!("has something else in it: {name}")));
        }
        names.push(name);
    }
    // Without a page nobody knows whose results-1.json it is.
    let ours = |name: &str| names.iter().any(|known| known == name) && marked(&directory.join(name));
    if names.is_empty() || ours(PAGE) || ours(&format!("{PAGE}{UNFINISHED}")) {
        return Ok(names);
    }
    Err(refused("is no earlier report".into()))
}

/// The number in results-N.json.
fn copies(name: &str) -> Option<usize> {
    let number = name.strip_prefix("results-")?.strip_suffix(".json")?.parse().ok()?;
    (page::copy(number) == name).then_some(number)
}

/// Whether the second line is our marker.
fn marked(path: &Path) -> bool {
    let mut line = String::new();
    fs::File::open(path).map(BufReader::new).is_ok_and(|mut reader| {
        let mut next = || {
            line.clear();
            reader.read_line(&mut line).is_ok()
        };
        next() && next() && line.trim_end() == MARKER
    })
}

/// As of `herd show`, over all results.
fn worst(all: &[Results]) -> Exit {
    let exits: Vec<Exit> = all.iter().map(Results::exit).collect();
    let order = [Exit::Fail, Exit::Invalid, Exit::Pass];
    order.into_iter().find(|exit| exits.contains(exit)).unwrap_or(Exit::AllSkipped)
}
