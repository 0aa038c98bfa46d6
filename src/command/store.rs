//! The file that `--output` keeps a result in. It is opened before the run, so that
//! a result that cannot be kept is found in time; nothing is ever overwritten.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::Failure;
use crate::environment;
use crate::experiment::Experiment;
use crate::experiment::shard::Shard;
use crate::report::{self, Style};
use crate::results::Results;

/// The file a result is kept in.
pub struct Store {
    file: File,
    path: PathBuf,
}

impl Store {
    pub fn open(directory: &Path, experiments: &[Experiment], shard: Option<Shard>) -> Result<Store, Failure> {
        let refused = |e: std::io::Error| {
            Failure::usage(format!("cannot write results to {}: {e} (choose another --output)", directory.display()))
        };
        std::fs::create_dir_all(directory).map_err(refused)?;
        let names: Vec<&str> = experiments.iter().map(|e| e.name.as_str()).collect();
        let mut stem = if names.len() > 3 { format!("{}-experiments", names.len()) } else { names.join("+") };
        if let Some(shard) = shard {
            stem.push_str(&format!("-shard-{}-of-{}", shard.number, shard.of));
        }
        let started = environment::read().started;
        // A name of its own for every run: nothing is ever overwritten.
        for number in 0..1000 {
            let suffix = if number == 0 { String::new() } else { format!("-{number}") };
            let path = directory.join(format!("{stem}-{started}{suffix}.json"));
            match File::create_new(&path) {
                Ok(file) => return Ok(Store { file, path }),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(refused(e)),
            }
        }
        Err(Failure::usage(format!("{} holds a thousand results of this second", directory.display())))
    }

    pub fn write(&mut self, results: &Results, quiet: bool) -> Result<(), Failure> {
        keep(results, &self.file, &self.path)?;
        if !quiet {
            eprintln!("kept as {}", self.path.display());
        }
        Ok(())
    }
}

/// Writes the document into its new file.
pub fn keep(results: &Results, file: &File, path: &Path) -> Result<(), Failure> {
    let mut out = BufWriter::new(file);
    let json = report::find("json").expect("json is listed");
    let written = json.write(results, Style::default(), &mut out).and_then(|()| out.flush());
    written.map_err(|e| {
        // Half a result is worse than none.
        let _ = std::fs::remove_file(path);
        Failure::machine(format!("cannot write {}: {e}", path.display()))
    })
}
