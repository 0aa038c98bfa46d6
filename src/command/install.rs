//! What `make install` puts beside the binary: man pages and completions, made from
//! the command line as clap knows it, so that they cannot differ from it.

use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use super::Failure;
use crate::cli::Cli;
use crate::exit::Exit;

/// The commands that a reader sees: without those by which herd calls itself.
fn visible() -> Command {
    let all = Cli::command();
    let mut shown = Command::new("herd").version(env!("CARGO_PKG_VERSION"));
    if let Some(about) = all.get_about() {
        shown = shown.about(about.clone());
    }
    if let Some(about) = all.get_long_about() {
        shown = shown.long_about(about.clone());
    }
    if let Some(after) = all.get_after_help() {
        shown = shown.after_help(after.clone());
    }
    shown = shown.args(all.get_arguments().cloned());
    shown.subcommands(all.get_subcommands().filter(|command| !command.is_hide_set()).cloned())
}

/// Writes `herd.1` and one page per command into a directory, which is made.
pub fn man(dir: &Path) -> Result<Exit, Failure> {
    let mut all = visible().disable_help_subcommand(true);
    all.build();
    make(dir)?;
    page(&all, "herd", dir)?;
    for command in all.get_subcommands() {
        page(command, &format!("herd-{}", command.get_name()), dir)?;
    }
    Ok(Exit::Pass)
}

fn page(command: &Command, name: &str, dir: &Path) -> Result<(), Failure> {
    // roff fills lines: the examples must stay as they are, so they are written by hand.
    let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let bare = command.clone().after_help("").version("").display_name(name.to_owned());
    let mut text = Vec::new();
    clap_mangen::Man::new(bare).title(name).section("1").render(&mut text).map_err(|e| broken(&e))?;
    let text = String::from_utf8(text).map_err(|e| Failure::machine(format!("man page {name}: {e}")))?;
    // What the generator leaves behind: a heading of its own without date and release, one
    // for the text after the help and one for the version, which are empty; and line
    // breaks beside an empty line, which mandoc calls superfluous.
    let (_, text) = text.split_once(".SH NAME").ok_or_else(|| Failure::machine(format!("man page {name}: no name")))?;
    let text = text.split("\n.SH EXTRA").next().unwrap_or(text).trim_end().replace(".br\n\n.br\n", ".sp\n");
    let text = text.split("\n.SH VERSION").next().unwrap_or(&text);
    let mut text = format!(
        ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n.TH {name} 1 \"\" \"herd {}\" \"User Commands\"\n.SH NAME{text}\n",
        env!("CARGO_PKG_VERSION")
    );
    if let Some((_, lines)) = examples.split_once('\n') {
        let escaped = lines.lines().map(|line| line.trim().replace('\\', "\\e").replace('-', "\\-"));
        text.push_str(&format!(".SH EXAMPLES\n.nf\n{}\n.fi\n", escaped.collect::<Vec<_>>().join("\n")));
    }
    if name != "herd" {
        text.push_str(".SH SEE ALSO\nherd(1)\n");
    }
    save(&dir.join(format!("{name}.1")), text.as_bytes())
}

/// Writes `herd.bash`, `_herd` (zsh) and `herd.fish` into a directory, which is made.
pub fn completions(dir: &Path) -> Result<Exit, Failure> {
    make(dir)?;
    for (shell, file) in [(Shell::Bash, "herd.bash"), (Shell::Zsh, "_herd"), (Shell::Fish, "herd.fish")] {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut visible(), "herd", &mut text);
        save(&dir.join(file), &text)?;
    }
    Ok(Exit::Pass)
}

fn make(dir: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(dir).map_err(|e| Failure::usage(format!("cannot make {}: {e}", dir.display())))
}

fn save(path: &Path, text: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|e| Failure::usage(format!("cannot write {}: {e}", path.display())))
}

fn broken(e: &std::io::Error) -> Failure {
    Failure::machine(format!("cannot write a man page: {e}"))
}
