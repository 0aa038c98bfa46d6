//! Which named fields of two documents differ. By their names in JSON, so that
//! a field that is added later takes part by itself.

use serde::Serialize;
use serde_json::Value;

/// One field with its two values.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    pub what: String,
    pub old: String,
    pub new: String,
}

/// The fields that differ, nested ones as `outer.inner`.
pub fn differences<T: Serialize>(old: &T, new: &T) -> Vec<Difference> {
    let tree = |value: &T| serde_json::to_value(value).expect("our documents are JSON");
    let mut found = Vec::new();
    descend("", Some(&tree(old)), Some(&tree(new)), &mut found);
    found
}

fn descend(name: &str, old: Option<&Value>, new: Option<&Value>, found: &mut Vec<Difference>) {
    if old == new {
        return;
    }
    if let (Some(Value::Object(a)), Some(Value::Object(b))) = (old, new) {
        let added = b.keys().filter(|key| !a.contains_key(*key));
        for key in a.keys().chain(added) {
            let inner = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
            descend(&inner, a.get(key), b.get(key), found);
        }
        return;
    }
    found.push(Difference { what: name.into(), old: shown(old), new: shown(new) });
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "nothing".into(),
        Some(Value::String(text)) if text.is_empty() => "nothing".into(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nested_fields_have_their_path() {
        let old = json!({ "same": 1, "inner": { "a": 1, "gone": "x" }, "text": "" });
        let new = json!({ "same": 1, "inner": { "a": 2 }, "text": "now", "fresh": true });
        let found: Vec<String> =
            differences(&old, &new).into_iter().map(|d| format!("{}: {} -> {}", d.what, d.old, d.new)).collect();
        let want = ["inner.a: 1 -> 2", "inner.gone: x -> nothing", "text: nothing -> now", "fresh: nothing -> true"];
        assert_eq!(found.len(), want.len());
        want.iter().for_each(|line| assert!(found.iter().any(|f| f == line), "{line} in {found:?}"));
    }
}
