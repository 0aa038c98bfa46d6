//! What must come of a step: `1`, `>= 10`, `EBADF`, `w0`, `w0+w1`, `none`,
//! `asleep`, or several of these with `or` between them.

/// One of several things, each of them right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted(Vec<One>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum One {
    /// Exactly so many; of workers, any so many.
    Number(u64),
    AtLeast(u64),
    /// An errno, or workers by name with `+` between them.
    Text(String),
}

impl Wanted {
    /// Reads what stands behind `->`; `workers` are the names that may occur.
    pub(super) fn parse(text: &str, workers: &[String]) -> Result<Wanted, String> {
        text.split(" or ").map(|one| One::parse(one.trim(), workers)).collect::<Result<_, _>>().map(Wanted)
    }

    /// Whether an errno is among what is right.
    pub(super) fn has_errno(&self) -> bool {
        self.0.iter().any(|one| matches!(one, One::Text(text) if text.starts_with('E')))
    }

    /// Whether `outcome` is right.
    pub fn allows(&self, outcome: &str) -> bool {
        self.0.iter().any(|one| one.allows(outcome))
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, one) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(" or ")?;
            }
            match one {
                One::Number(n) => write!(f, "{n}")?,
                One::AtLeast(n) => write!(f, "at least {n}")?,
                One::Text(text) => f.write_str(text)?,
            }
        }
        Ok(())
    }
}

impl One {
    fn parse(text: &str, workers: &[String]) -> Result<One, String> {
        if let Some(bound) = text.strip_prefix(">=") {
            return bound.trim().parse().map(One::AtLeast).map_err(|_| wrong(text));
        }
        if let Ok(number) = text.parse() {
            return Ok(One::Number(number));
        }
        let errno = text.len() > 1 && text.starts_with('E') && text.bytes().all(|b| b.is_ascii_alphanumeric());
        let known = |name: &str| workers.iter().any(|worker| worker == name);
        let workers = !text.is_empty() && text.split('+').all(known);
        match errno || workers || matches!(text, "none" | "asleep") {
            true => Ok(One::Text(text.into())),
            false => Err(wrong(text)),
        }
    }

    fn allows(&self, outcome: &str) -> bool {
        match self {
            One::Text(text) => text == outcome,
            One::Number(want) => count(outcome) == Some(*want),
            One::AtLeast(want) => count(outcome).is_some_and(|n| n >= *want),
        }
    }
}

fn wrong(text: &str) -> String {
    format!("{text:?} is nothing to expect; write a number, >= 10, an errno, none, asleep, or workers such as w0+w1")
}

/// A number, or how many workers an outcome names; an errno is none.
fn count(outcome: &str) -> Option<u64> {
    match outcome {
        "none" => Some(0),
        "asleep" => None,
        errno if errno.starts_with('E') => None,
        other => other.parse().ok().or_else(|| Some(other.split('+').count() as u64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wanted: &str, outcome: &str, right: bool) {
        let workers = ["w0".to_owned(), "w1".to_owned()];
        let wanted = Wanted::parse(wanted, &workers).unwrap();
        assert_eq!(wanted.allows(outcome), right, "{wanted} of {outcome}");
    }

    #[test]
    fn outcomes_are_numbers_errnos_and_sets_of_workers() {
        check("1", "1", true);
        check("1", "2", false);
        check("1 or 2", "2", true);
        check(">= 10", "10", true);
        check(">= 10", "9", false);
        check("EBADF", "EBADF", true);
        check("1", "EBADF", false);
        check(">= 0", "EBADF", false);
        check("2", "w0+w1", true);
        check("1", "w1", true);
        check("0", "none", true);
        check("w0 or w0+w1", "w1", false);
        check("w0 or w0+w1", "w0+w1", true);
        check("asleep", "asleep", true);
        check("0", "asleep", false);
        assert!(Wanted::parse("w0+w7", &["w0".into()]).is_err());
        assert!(Wanted::parse("", &[]).is_err());
    }
}
