//! `herd bisect-script`: a script for `git bisect run` in a kernel tree.
//!
//! It builds, boots and asks one question. The question is an experiment that the
//! script carries along: the rows of a known one, with one expectation instead of
//! those of the contract, which may well hold for both values.

use super::{Failure, print, text_of};
use crate::cli::BisectArgs;
use crate::exit::Exit;
use crate::experiment::Experiment;

pub fn run(args: &BisectArgs) -> Result<Exit, Failure> {
    let text = text_of(&args.experiment)?;
    let known = Experiment::parse(&args.experiment, &text)?;
    let question = question(&text, args);
    // What is wrong with the row or the expectation is said now, not by each build.
    let parsed = Experiment::parse("--expect", &question).map_err(|e| Failure::usage(e.to_string()))?;
    parsed.cells(&[]).map_err(|e| Failure::usage(e.to_string()))?;
    let script = script(&known.name, &question, args);
    print(|out| out.write_all(script.as_bytes()))?;
    Ok(Exit::Pass)
}

/// The experiment with one expectation of its own.
fn question(text: &str, args: &BisectArgs) -> String {
    let mut kept = String::new();
    let mut inside = false;
    for line in text.lines() {
        if line.trim_start().starts_with('[') && !line.starts_with(' ') {
            inside = line.trim() == "[[expect]]";
        }
        if !inside {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept.push_str("\n[[expect]]\n");
    if let Some(wait) = &args.wait {
        kept.push_str(&format!("wait = {wait:?}\n"));
    }
    kept.push_str(&format!("{}\nsource = \"git bisect\"\n", args.expect));
    kept
}

fn script(name: &str, question: &str, args: &BisectArgs) -> String {
    let BisectArgs { build, image, herd, .. } = args;
    format!(
        r#"#!/bin/sh
# For `git bisect run` in a kernel tree: {name} with {expect}.
# 0: it holds here; 1: it does not; 125: this commit cannot be built or booted.
#
#   git bisect start BAD GOOD
#   git bisect run sh THIS-FILE
#
# KERNEL=FILE asks about that kernel and builds nothing.
herd=${{HERD:-{herd}}}
if [ -z "$KERNEL" ]; then
	{build} || exit 125
	KERNEL={image}
fi
question=$(mktemp) || exit 125
trap 'rm -f "$question"' EXIT
cat >"$question" <<'END-OF-QUESTION'
{question}END-OF-QUESTION
mv "$question" "$question.toml" && question=$question.toml
"$herd" vm --quiet --check "$question" --kernel "$KERNEL"
case $? in
0) exit 0 ;;
1) exit 1 ;;
*) exit 125 ;;
esac
"#,
        expect = args.expect,
    )
}
