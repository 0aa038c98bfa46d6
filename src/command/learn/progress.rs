//! What a student has done, kept in `$XDG_STATE_HOME/herd/learn.json` (XDG Base
//! Directory Specification, version 0.8). Written to a new file that then takes the
//! place of the old one, so that there is always a whole one; what we cannot read is
//! never overwritten.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::command::Failure;

/// Version of the file's layout.
const SCHEMA: u64 = 1;

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    schema: u64,
    /// By the lesson's id.
    pub lessons: BTreeMap<String, Done>,
}

/// A lesson that was gone through.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Done {
    /// Questions that had a prediction.
    pub predicted: usize,
    /// Of these, those that were right or near.
    pub near: usize,
    /// All that the lesson asks.
    pub asked: usize,
}

/// Where progress is kept.
pub struct Store {
    path: PathBuf,
}

impl Store {
    /// The store of this user; `None` where neither variable names a folder.
    pub fn of_user() -> Option<Store> {
        let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let state = folder("XDG_STATE_HOME").or_else(|| folder("HOME").map(|home| home.join(".local/state")))?;
        Some(Store { path: state.join("herd/learn.json") })
    }

    /// What was done so far.
    pub fn read(&self) -> Result<Progress, Failure> {
        let file = self.path.display();
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Progress::default()),
            Err(e) => return Err(refused(&format!("cannot read {file}: {e}"))),
        };
        parse(&text).map_err(|why| refused(&format!("{file}{why}")))
    }

    /// Adds a lesson to what the file has by now.
    pub fn add(&self, lesson: &str, done: Done) -> Result<(), Failure> {
        let mut progress = self.read()?;
        progress.schema = SCHEMA;
        progress.lessons.insert(lesson.to_owned(), done);
        let text = serde_json::to_string_pretty(&progress).expect("names and numbers");
        write(&self.path, &text)
            .map_err(|e| Failure::machine(format!("cannot keep progress in {}: {e}", self.path.display())))
    }
}

/// Reads the file; the error goes on behind the file's name.
fn parse(text: &str) -> Result<Progress, String> {
    let damaged = |e: serde_json::Error| format!(":{}: is no progress of herd learn: {e}", e.line());
    let value: serde_json::Value = serde_json::from_str(text).map_err(damaged)?;
    match value.get("schema").and_then(serde_json::Value::as_u64) {
        Some(SCHEMA) => serde_json::from_value(value).map_err(damaged),
        Some(found) if found > SCHEMA => {
            Err(format!(" has schema {found}, this herd reads up to {SCHEMA}: a newer herd wrote it"))
        }
        _ => Err(": is no progress of herd learn: it has no schema".into()),
    }
}

fn refused(why: &str) -> Failure {
    Failure::usage(format!("{why} (it was left as it is; move it away to begin again, or set XDG_STATE_HOME)"))
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().expect("it has two folders");
    fs::create_dir_all(folder)?;
    let new = folder.join(format!(".learn-{}.json", std::process::id()));
    let written = (|| {
        let mut file = fs::File::create(&new)?;
        writeln!(file, "{text}")?;
        file.sync_all()?;
        fs::rename(&new, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_or_refused_with_its_reason() {
        let good =
            parse("{\"schema\": 1, \"lessons\": {\"L01-sleep\": {\"predicted\": 2, \"near\": 1, \"asked\": 2}}}");
        assert_eq!(good.unwrap().lessons["L01-sleep"], Done { predicted: 2, near: 1, asked: 2 });
        for (text, wanted) in [
            ("{\"schema\": 2, \"lessons\": {}}", "has schema 2"),
            ("{\"schema\": 1, \"lessons\": 7}", "no progress"),
            ("{\n\"schema\": 1,", ":2: is no progress"),
            ("", "no progress"),
            ("[]", "no schema"),
        ] {
            let why = parse(text).unwrap_err();
            assert!(why.contains(wanted), "{text}: {why}");
        }
    }

    #[test]
    fn lessons_are_added_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store { path: folder.path().join("state/herd/learn.json") };
        assert_eq!(store.read().unwrap(), Progress::default());
        let done = |near| Done { predicted: 3, near, asked: 3 };
        store.add("L01-sleep", done(1)).unwrap();
        store.add("L02-wake", done(2)).unwrap();
        store.add("L01-sleep", done(3)).unwrap();
        let found = store.read().unwrap().lessons;
        assert_eq!(found, BTreeMap::from([("L01-sleep".into(), done(3)), ("L02-wake".into(), done(2))]));
        let names: Vec<_> =
            fs::read_dir(folder.path().join("state/herd")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["learn.json"]);
    }

    #[test]
    fn what_cannot_be_read_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("learn.json");
        fs::write(&path, "{\"schema\": 9}").unwrap();
        let store = Store { path: path.clone() };
        assert!(store.add("L01-sleep", Done::default()).unwrap_err().to_string().contains("schema 9"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"schema\": 9}");
    }
}
