//! `$(NAME)` in texts of a container: commands, arguments, environment values, `subPathExpr`. Pure; the kubelet uses it too.
//!
//! `$$` is a dollar sign, and a reference that is not closed or not known stays as it is.

use std::collections::{BTreeMap, BTreeSet};

/// Linux takes no longer text of a process than this, with its end.
const TEXT_BYTES_MAX: usize = 128 << 10;
/// Nor arguments and environment of more together, whatever the limit of the stack.
const TEXTS_BYTES_MAX: usize = 6 << 20;

/// No process can be started with texts that are so long. Values may refer to each other, and a few kilobytes of a pod could grow to
/// terabytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("argument list too long")]
pub struct TooLong;

/// The room for all texts of a process.
#[derive(Debug)]
pub struct Room(usize);

impl Default for Room {
    fn default() -> Self {
        Self(TEXTS_BYTES_MAX)
    }
}

impl Room {
    pub fn take(&mut self, bytes: usize) -> Result<(), TooLong> {
        self.0 = self.0.checked_sub(bytes).ok_or(TooLong)?;
        Ok(())
    }
}

/// Replaces references by what `put` appends for their names.
fn expand(text: &str, mut put: impl FnMut(&mut String, &str)) -> Result<String, TooLong> {
    let mut out = String::new();
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
                    put(&mut out, &after[..end]);
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
        if out.len() >= TEXT_BYTES_MAX {
            return Err(TooLong);
        }
    }
    out.push_str(rest);
    if out.len() < TEXT_BYTES_MAX { Ok(out) } else { Err(TooLong) }
}

/// Replaces references to variables that there are; others stay as they are written.
pub fn expand_known(text: &str, variables: &BTreeMap<String, String>) -> Result<String, TooLong> {
    expand(text, |out, name| match variables.get(name) {
        Some(value) => out.push_str(value),
        None => out.extend(["$(", name, ")"]),
    })
}

/// Replaces references, all of which must have a value that is not empty; the inner `Err` names those that have none.
pub(crate) fn expand_all(
    text: &str,
    variables: &BTreeMap<String, String>,
) -> Result<Result<String, BTreeSet<String>>, TooLong> {
    let mut missing = BTreeSet::new();
    let expanded = expand(text, |out, name| match variables.get(name) {
        Some(value) if !value.is_empty() => out.push_str(value),
        _ => {
            missing.insert(name.to_owned());
        }
    })?;
    Ok(if missing.is_empty() { Ok(expanded) } else { Err(missing) })
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
            assert_eq!(expand_known(text, &variables()).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn all_must_be_there() {
        assert_eq!(expand_all("$(A)/x", &variables()).unwrap(), Ok("1/x".into()));
        let missing = expand_all("$(Z)/$(EMPTY)/$(A)", &variables()).unwrap().unwrap_err();
        assert_eq!(missing.into_iter().collect::<Vec<_>>(), ["EMPTY", "Z"]);
    }

    /// Forty variables, each twice the one before.
    #[test]
    fn what_doubles_and_doubles_is_too_long() {
        let mut variables = BTreeMap::from([("A0".to_owned(), "x".repeat(1 << 10))]);
        let doubled = (1..40).map_while(|n| {
            let value = expand_known(&format!("$(A{0})$(A{0})", n - 1), &variables).ok()?;
            variables.insert(format!("A{n}"), value);
            Some(())
        });
        assert_eq!(doubled.count(), 6);
        assert_eq!(variables.len(), 7);
        let large = BTreeMap::from([("K".to_owned(), "x".repeat(1 << 20))]);
        assert_eq!(expand_known(&"$(K)".repeat(350_000), &large), Err(TooLong));
        assert_eq!(expand_all(&"$(K)".repeat(350_000), &large), Err(TooLong));
        let mut room = Room::default();
        assert_eq!((0..1000).take_while(|_| room.take(100 << 10).is_ok()).count(), 61);
    }
}
