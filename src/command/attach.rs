//! `herd attach`: the wakeups of a server that is not ours, and its pattern.

use super::{Failure, print};
use crate::analysis::pattern::{Pattern, pattern};
use crate::attach::{Request, observe};
use crate::cli::AttachArgs;
use crate::exit::Exit;
use crate::report::{Style, sighting};
use crate::sighting::Ending;

pub fn run(args: &AttachArgs) -> Result<Exit, Failure> {
    let request = Request {
        parent: args.pid,
        port: args.port,
        time: args.time(),
        events: args.events,
        connect: args.connect,
        count_with: args.count_with.clone(),
    };
    let mut begun = |text: &str| {
        if !args.quiet {
            eprintln!("herd: {text} of process {}", args.pid);
        }
    };
    let seen = observe(&request, &mut begun).map_err(|refusal| Failure::usage(refusal.to_string()))?;
    let finding = pattern(&seen);
    print(|out| match args.format.as_str() {
        "json" => sighting::json(&seen, &finding, out),
        _ => sighting::table(&seen, &finding, Style::default().width, out),
    })?;
    match seen.ending {
        Ending::Done if finding.pattern == Pattern::Unclear => Ok(Exit::Invalid),
        Ending::Done => Ok(Exit::Pass),
        Ending::Interrupted(signal) => Ok(Exit::Signal(signal)),
        Ending::ParentEnded => {
            Err(Failure::machine(format!("process {} ended while herd counted; what was seen is shown", args.pid)))
        }
        Ending::Broken(why) => Err(Failure::machine(why)),
    }
}
