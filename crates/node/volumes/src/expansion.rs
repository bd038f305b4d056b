//! `$(NAME)` in texts of a container: commands, arguments, environment values, `subPathExpr`. Pure; the kubelet uses it too.
//!
//! `$$` is a dollar sign, and a reference that is not closed or not known stays as it is.

use std::collections::{BTreeMap, BTreeSet};

/// Replaces references by what `value` gives for their names.
pub fn expand(text: &str, mut value: impl FnMut(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('(') {
            match after.find(')') {
                Some(end) => {
                    out.push_str(&value(&after[..end]));
                    rest = &after[end + 1..];
                }
                None => {
                    out.push_str("$(");
                    rest = after;
                }
            }
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    out
}

/// Replaces references to variables that there are; others stay as they are written.
pub fn expand_known(text: &str, variables: &BTreeMap<String, String>) -> String {
    expand(text, |name| variables.get(name).cloned().unwrap_or_else(|| format!("$({name})")))
}

/// Replaces references, all of which must have a value that is not empty; `Err` names those that have none.
pub(crate) fn expand_all(text: &str, variables: &BTreeMap<String, String>) -> Result<String, BTreeSet<String>> {
    let mut missing = BTreeSet::new();
    let expanded = expand(text, |name| match variables.get(name) {
        Some(value) if !value.is_empty() => value.clone(),
        _ => {
            missing.insert(name.to_owned());
            String::new()
        }
    });
    if missing.is_empty() { Ok(expanded) } else { Err(missing) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> BTreeMap<String, String> {
        [("A", "1"), ("B", "$(A)"), ("EMPTY", "")].map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    #[test]
    fn as_upstream() {
        let cases = [
            ("", ""),
            ("plain", "plain"),
            ("$(A)", "1"),
            ("x$(A)y$(A)", "x1y1"),
            ("$(B)", "$(A)"),
            ("$(EMPTY)|", "|"),
            ("$(NONE)", "$(NONE)"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("$$$$(A)", "$$(A)"),
            ("$(A", "$(A"),
            ("$", "$"),
            ("a$", "a$"),
            ("$A", "$A"),
            ("$()", "$()"),
            ("$($(A))", "$($(A))"),
            ("é$(A)é", "é1é"),
        ];
        for (text, expected) in cases {
            assert_eq!(expand_known(text, &variables()), expected, "{text}");
        }
    }

    #[test]
    fn all_must_be_there() {
        assert_eq!(expand_all("$(A)/x", &variables()), Ok("1/x".into()));
        let missing = expand_all("$(Z)/$(EMPTY)/$(A)", &variables()).unwrap_err();
        assert_eq!(missing.into_iter().collect::<Vec<_>>(), ["EMPTY", "Z"]);
    }
}
