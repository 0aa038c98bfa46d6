//! Walks a parsed TOML tree and turns it into the parts of an experiment. Every
//! mistake names the line it stands on.

use super::error::ExperimentError;
use super::expectation::{Expectation, Rule};
use super::file::{Assignment, Axis, Expect, Layout, Placed, Row};
use super::kernel::{KernelRange, Release};
use super::keys;
use super::script::Script;
use toml::Value;
use toml::de::{DeTable, DeValue};

/// Turns byte offsets into lines while walking the parsed tree.
pub(super) struct Reader<'a> {
    pub(super) path: &'a str,
    pub(super) text: &'a str,
}

impl Reader<'_> {
    pub(super) fn line(&self, offset: usize) -> usize {
        let end = offset.min(self.text.len());
        1 + self.text.as_bytes()[..end].iter().filter(|b| **b == b'\n').count()
    }

    pub(super) fn err<T>(&self, offset: usize, message: impl Into<String>) -> Result<T, ExperimentError> {
        Err(ExperimentError::new(self.path, self.line(offset), message))
    }

    fn value(&self, value: &DeValue<'_>, at: usize) -> Result<Value, ExperimentError> {
        Ok(match value {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Integer(n) => match i64::from_str_radix(n.as_str(), n.radix()) {
                Ok(n) => Value::Integer(n),
                Err(_) => return self.err(at, format!("{} does not fit 64 bits", n.as_str())),
            },
            DeValue::Float(x) => match x.as_str().parse() {
                Ok(x) => Value::Float(x),
                Err(_) => return self.err(at, format!("{} is not a number", x.as_str())),
            },
            DeValue::Boolean(b) => Value::Boolean(*b),
            DeValue::Datetime(when) => Value::Datetime(*when),
            DeValue::Array(items) => {
                let items = items.iter().map(|i| self.value(i.get_ref(), i.span().start));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            DeValue::Table(table) => {
                let pairs =
                    table.iter().map(|(k, v)| Ok((k.get_ref().to_string(), self.value(v.get_ref(), v.span().start)?)));
                Value::Table(pairs.collect::<Result<_, ExperimentError>>()?)
            }
        })
    }

    pub(super) fn string(&self, value: &DeValue<'_>, key: &str, at: usize) -> Result<String, ExperimentError> {
        match value {
            DeValue::String(text) => Ok(text.trim().to_string()),
            other => {
                let found = keys::shown(&self.value(other, at)?);
                self.err(at, format!("{key} must be a string, not {found}"))
            }
        }
    }

    pub(super) fn flag(&self, value: &DeValue<'_>, key: &str, at: usize) -> Result<bool, ExperimentError> {
        match value {
            DeValue::Boolean(flag) => Ok(*flag),
            other => {
                let found = keys::shown(&self.value(other, at)?);
                self.err(at, format!("{key} must be true or false, not {found}"))
            }
        }
    }

    /// A kernel release, as text.
    fn release(&self, value: &DeValue<'_>, key: &str, at: usize) -> Result<String, ExperimentError> {
        let text = self.string(value, key, at)?;
        match Release::parse(&text) {
            Some(_) if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') => Ok(text),
            _ => self.err(at, format!("{key} must be a kernel release such as \"5.14\", not {text:?}")),
        }
    }

    /// A string, or a list of strings.
    pub(super) fn strings(&self, value: &DeValue<'_>, key: &str, at: usize) -> Result<Vec<String>, ExperimentError> {
        match value {
            DeValue::Array(items) => {
                items.iter().map(|item| self.string(item.get_ref(), key, item.span().start)).collect()
            }
            single => Ok(vec![self.string(single, key, at)?]),
        }
    }

    /// The probes that a `needs` names.
    pub(super) fn probes(&self, value: &DeValue<'_>, at: usize) -> Result<Vec<String>, ExperimentError> {
        let named = self.strings(value, "needs", at)?;
        match named.iter().find(|need| crate::probe::find(need).is_none()) {
            Some(need) => {
                let near = keys::did_you_mean(need, crate::probe::names());
                self.err(at, format!("unknown probe {need:?} in needs{near} (see `herd list --probes`)"))
            }
            None => Ok(named),
        }
    }

    pub(super) fn table<'v, 'd>(
        &self,
        value: &'v DeValue<'d>,
        key: &str,
        at: usize,
    ) -> Result<&'v DeTable<'d>, ExperimentError> {
        match value {
            DeValue::Table(table) => Ok(table),
            _ => self.err(at, format!("{key} must be a table")),
        }
    }

    /// The entries of `[[key]]`, each with its offset.
    pub(super) fn entries<'v, 'd>(
        &self,
        value: &'v DeValue<'d>,
        key: &str,
        at: usize,
    ) -> Result<Vec<(&'v DeTable<'d>, usize)>, ExperimentError> {
        let DeValue::Array(items) = value else {
            return self.err(at, format!("{key} must be written as [[{key}]]"));
        };
        items
            .iter()
            .map(|item| {
                let at = item.span().start;
                Ok((self.table(item.get_ref(), key, at)?, at))
            })
            .collect()
    }

    pub(super) fn assignment(&self, key: &str, value: &DeValue<'_>, at: usize) -> Result<Assignment, ExperimentError> {
        let line = self.line(self.offender(key, value, at));
        let value = self.value(value, at)?;
        // Tried on a scratch copy so that the mistake is found on its own line.
        keys::set(&mut super::Settings::default(), key, &value)
            .map_err(|e| ExperimentError::new(self.path, line, e.to_string()))?;
        Ok(Assignment { key: key.into(), placed: Placed { value, line } })
    }

    /// Where a mistake in `value` stands: of a script, the statement that has it.
    fn offender(&self, key: &str, value: &DeValue<'_>, at: usize) -> usize {
        let (DeValue::Array(items), "script") = (value, key) else {
            return at;
        };
        let text = |item: &DeValue<'_>| if let DeValue::String(text) = item { text.to_string() } else { String::new() };
        let lines: Vec<String> = items.iter().map(|item| text(item.get_ref())).collect();
        let wrong = Script::parse(&lines).err();
        wrong.and_then(|mistake| items.get(mistake.at)).map_or(at, |item| item.span().start)
    }

    pub(super) fn row(&self, table: &DeTable<'_>, at: usize) -> Result<Row, ExperimentError> {
        let mut row = Row { line: self.line(at), ..Row::default() };
        for (key, value) in table.iter() {
            let here = value.span().start;
            match key.get_ref().as_ref() {
                "name" => row.name = self.string(value.get_ref(), "name", here)?,
                "needs" => row.needs = self.probes(value.get_ref(), here)?,
                "source" => row.source = self.string(value.get_ref(), "source", here)?,
                "since" => row.kernel.since = Some(self.release(value.get_ref(), "since", here)?),
                "before" => row.kernel.before = Some(self.release(value.get_ref(), "before", here)?),
                name => {
                    let key_at = if keys::find(name).is_some() { here } else { key.span().start };
                    row.settings.push(self.assignment(name, value.get_ref(), key_at)?);
                }
            }
        }
        if row.name.is_empty() {
            let kind = row.settings.iter().find(|a| a.key == "kind");
            match kind.and_then(|a| a.placed.value.as_str()) {
                Some(kind) => row.name = kind.into(),
                None => return self.err(at, "a [[wait]] needs a name"),
            }
        }
        if row.kernel.is_empty() {
            return self.err(at, format!("{} is no kernel at all; exchange since and before", row.kernel));
        }
        Ok(row)
    }

    pub(super) fn axis(
        &self,
        key: &str,
        key_at: usize,
        value: &DeValue<'_>,
        at: usize,
    ) -> Result<Axis, ExperimentError> {
        let DeValue::Array(items) = value else {
            return self.err(at, format!("[matrix] {key} must be a list of values"));
        };
        if items.is_empty() {
            return self.err(at, format!("[matrix] {key} has no values"));
        }
        let mut values = Vec::new();
        for item in items.iter() {
            let here = if keys::find(key).is_some() { item.span().start } else { key_at };
            values.push(self.assignment(key, item.get_ref(), here)?.placed.value);
        }
        Ok(Axis { key: key.into(), line: self.line(at), values })
    }

    pub(super) fn expect(&self, table: &DeTable<'_>, at: usize) -> Result<Expect, ExperimentError> {
        let mut expect = Expect { line: self.line(at), rows: Vec::new(), when: Vec::new(), rules: Vec::new() };
        let (mut source, mut needs, mut kernel) = (String::new(), Vec::new(), KernelRange::default());
        for (key, value) in table.iter() {
            let here = value.span().start;
            let value = value.get_ref();
            match key.get_ref().as_ref() {
                "wait" => expect.rows = self.strings(value, "wait", here)?,
                "source" => source = self.string(value, "source", here)?,
                "needs" => needs = self.probes(value, here)?,
                "since" => kernel.since = Some(self.release(value, "since", here)?),
                "before" => kernel.before = Some(self.release(value, "before", here)?),
                name if asserts(name, value) => {
                    let parsed = self.value(value, here)?;
                    let rule = Rule::parse(name, &parsed).or_else(|wanted| {
                        self.err(here, format!("{name} must be {wanted}, not {}", keys::shown(&parsed)))
                    })?;
                    expect.rules.push(Expectation {
                        metric: name.into(),
                        rule,
                        source: String::new(),
                        needs: Vec::new(),
                        kernel: KernelRange::default(),
                    });
                }
                name if keys::find(name).is_some() => {
                    let values = match self.value(value, here)? {
                        Value::Array(values) => values,
                        single => vec![single],
                    };
                    for value in &values {
                        keys::set(&mut super::Settings::default(), name, value)
                            .or_else(|e| self.err(here, e.to_string()))?;
                    }
                    expect.when.push((name.into(), values));
                }
                name => {
                    let near = keys::did_you_mean(name, assertable());
                    return self.err(key.span().start, format!("unknown metric or setting {name:?}{near}"));
                }
            }
        }
        if expect.rules.is_empty() {
            return self.err(at, "an [[expect]] needs at least one metric (see `herd list --metrics`)");
        }
        if kernel.is_empty() {
            return self.err(at, format!("{kernel} is no kernel at all; exchange since and before"));
        }
        for rule in &mut expect.rules {
            rule.kernel.clone_from(&kernel);
            rule.source.clone_from(&source);
            rule.needs.clone_from(&needs);
        }
        Ok(expect)
    }

    pub(super) fn layout(&self, table: &DeTable<'_>) -> Result<Layout, ExperimentError> {
        let mut layout = Layout::default();
        for (key, value) in table.iter() {
            let here = value.span().start;
            match key.get_ref().as_ref() {
                "pivot" => layout.pivot = Some(self.string(value.get_ref(), "pivot", here)?),
                part @ ("show" | "most" | "least") => {
                    let names = self.strings(value.get_ref(), part, here)?;
                    for name in &names {
                        if crate::analysis::metrics::column(name).is_none() {
                            let near = keys::did_you_mean(name, crate::analysis::metrics::names());
                            return self.err(here, format!("unknown metric {name:?}{near}"));
                        }
                    }
                    *match part {
                        "show" => &mut layout.show,
                        "most" => &mut layout.most,
                        _ => &mut layout.least,
                    } = names;
                }
                name => {
                    let near = keys::did_you_mean(name, ["pivot", "show", "most", "least"].into_iter());
                    return self.err(key.span().start, format!("unknown key {name:?} in [table]{near}"));
                }
            }
        }
        Ok(layout)
    }
}

fn assertable() -> impl Iterator<Item = &'static str> {
    crate::analysis::metrics::names().chain(["winners", "error", "share"])
}

/// Whether `name = value` is a rule and not a selection. `events` and `stranded`
/// name a setting as well as a fact: what the setting could be selects.
fn asserts(name: &str, value: &DeValue<'_>) -> bool {
    let counts = || keys::set(&mut super::Settings::default(), name, &Value::Integer(1)).is_ok();
    let selects = || matches!(value, DeValue::String(_) | DeValue::Array(_)) || counts();
    assertable().any(|known| known == name) && !(keys::find(name).is_some() && selects())
}

#[cfg(test)]
mod tests {
    use crate::experiment::Experiment;

    #[test]
    fn a_number_of_stranded_events_is_a_rule_and_a_word_selects() {
        let expect = |lines: &str| {
            let text = format!("title = \"t\"\n[[expect]]\nevents = 5\n{lines}\n");
            Experiment::parse("x.toml", &text).unwrap().expects.remove(0)
        };
        let selecting = expect("stranded = \"count\"\nwinners = \"first\"");
        assert_eq!((selecting.when.len(), selecting.rules.len()), (2, 1));
        let asserting = expect("stranded = 0");
        assert_eq!((asserting.when.len(), asserting.rules[0].metric.as_str()), (1, "stranded"));
    }
}
