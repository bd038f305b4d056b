//! Which of the names that definitions want are theirs: in a group, a name belongs to the definition that had it first.
//!
//! Source: apiextensions-apiserver `controller/status/naming_controller.go`, `controller/establish`.

use std::collections::HashSet;

use windlass_api::condition::{self as conditions, Condition, FALSE, TRUE};

use super::{Definition, Names, condition};

/// What a definition's status says of its names.
#[derive(Clone, Debug, PartialEq)]
pub struct Naming {
    pub accepted: Names,
    pub names_accepted: Condition,
    pub established: Condition,
}

/// The names that the definitions of a group have been given.
#[derive(Debug, Default)]
pub struct Taken {
    resources: HashSet<String>,
    kinds: HashSet<String>,
}

impl Taken {
    pub fn of<'a>(definitions: impl IntoIterator<Item = &'a Definition>) -> Self {
        let mut taken = Self::default();
        definitions.into_iter().for_each(|definition| taken.add(&definition.status.accepted_names));
        taken
    }

    pub fn add(&mut self, names: &Names) {
        let resources = [&names.plural, &names.singular].into_iter().chain(&names.short_names);
        self.resources.extend(resources.filter(|name| !name.is_empty()).cloned());
        let kinds = [&names.kind, &names.list_kind];
        self.kinds.extend(kinds.into_iter().filter(|name| !name.is_empty()).cloned());
    }
}

/// Decides which names a definition gets; `None` when its status says so already.
pub fn decide(definition: &Definition, taken: &Taken) -> Option<Naming> {
    let (wanted, had) = (&definition.spec.names, &definition.status.accepted_names);
    let mut accepted = had.clone();
    let mut conflict: Option<(&str, String)> = None;
    let mut settle = |reason, wanted: &String, had: &mut String, taken: &HashSet<String>| {
        if wanted == had || !taken.contains(wanted) {
            had.clone_from(wanted);
        } else {
            conflict = Some((reason, in_use(wanted)));
        }
    };
    settle("PluralConflict", &wanted.plural, &mut accepted.plural, &taken.resources);
    settle("SingularConflict", &wanted.singular, &mut accepted.singular, &taken.resources);
    if wanted.short_names != had.short_names {
        let is_taken = |name: &&String| !had.short_names.contains(name) && taken.resources.contains(*name);
        let conflicts: Vec<String> = wanted.short_names.iter().filter(is_taken).map(|name| in_use(name)).collect();
        match conflicts.as_slice() {
            [] => accepted.short_names.clone_from(&wanted.short_names),
            [only] => conflict = Some(("ShortNamesConflict", only.clone())),
            all => conflict = Some(("ShortNamesConflict", format!("[{}]", all.join(", ")))),
        }
    }
    let mut settle = |reason, wanted: &String, had: &mut String| {
        if wanted == had || !taken.kinds.contains(wanted) {
            had.clone_from(wanted);
        } else {
            conflict = Some((reason, in_use(wanted)));
        }
    };
    settle("KindConflict", &wanted.kind, &mut accepted.kind);
    settle("ListKindConflict", &wanted.list_kind, &mut accepted.list_kind);
    accepted.categories.clone_from(&wanted.categories);
    let names_accepted = match conflict {
        None => Condition::new(condition::NAMES_ACCEPTED, TRUE, "NoConflicts", "no conflicts found"),
        Some((reason, message)) => Condition::new(condition::NAMES_ACCEPTED, FALSE, reason, message),
    };
    let established = established(definition, names_accepted.is_true());
    let says_so = |wanted: &Condition| {
        let found = conditions::find(&definition.status.conditions, &wanted.kind);
        found.is_some_and(|found| {
            (&found.status, &found.reason, &found.message) == (&wanted.status, &wanted.reason, &wanted.message)
        })
    };
    let is_known = accepted == *had && says_so(&names_accepted) && says_so(&established);
    (!is_known).then_some(Naming { accepted, names_accepted, established })
}

/// Once established, a definition stays it whatever becomes of its names.
fn established(definition: &Definition, names_accepted: bool) -> Condition {
    let before = conditions::find(&definition.status.conditions, condition::ESTABLISHED);
    if let Some(before) = before.filter(|before| before.is_true()) {
        return before.clone();
    }
    if names_accepted {
        let message = "the initial names have been accepted";
        return Condition::new(condition::ESTABLISHED, TRUE, "InitialNamesAccepted", message);
    }
    before
        .cloned()
        .unwrap_or_else(|| Condition::new(condition::ESTABLISHED, FALSE, "NotAccepted", "not all names are accepted"))
}

fn in_use(name: &str) -> String {
    format!("{name:?} is already in use")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn definition(plural: &str, kind: &str, short: &[&str]) -> Definition {
        let names = json!({"plural": plural, "singular": kind.to_lowercase(), "kind": kind, "listKind": format!("{kind}List"), "shortNames": short});
        serde_json::from_value(
            json!({"metadata": {"name": format!("{plural}.g")}, "spec": {"group": "g", "names": names}}),
        )
        .unwrap()
    }

    fn named(mut definition: Definition, taken: &Taken) -> Definition {
        let naming = decide(&definition, taken).unwrap();
        definition.status.accepted_names = naming.accepted;
        definition.status.conditions = vec![naming.names_accepted, naming.established];
        definition
    }

    #[test]
    fn the_first_gets_its_names() {
        let first = named(definition("cats", "Cat", &["c"]), &Taken::default());
        assert!(first.is(condition::NAMES_ACCEPTED) && first.is(condition::ESTABLISHED));
        assert_eq!(first.status.accepted_names, first.spec.names);
        assert_eq!(decide(&first, &Taken::default()), None, "decided once");
        assert_eq!(decide(&first, &Taken::of([&first])), None, "its own names are not taken from it");
    }

    #[test]
    fn conflicts() {
        let first = named(definition("cats", "Cat", &["c", "k"]), &Taken::default());
        let taken = Taken::of([&first]);
        let reason = |definition: Definition| {
            let naming = decide(&definition, &taken).unwrap();
            (naming.names_accepted.reason.clone(), naming.names_accepted.message.clone(), naming.established.status)
        };
        let refused = |reason: &str, message: &str| (reason.to_owned(), message.to_owned(), FALSE.to_owned());
        assert_eq!(reason(definition("cat", "Tiger", &[])), refused("PluralConflict", "\"cat\" is already in use"));
        assert_eq!(reason(definition("dogs", "Dog", &["c"])), refused("ShortNamesConflict", "\"c\" is already in use"));
        let both = "[\"c\" is already in use, \"k\" is already in use]";
        assert_eq!(reason(definition("dogs", "Dog", &["c", "k"])), refused("ShortNamesConflict", both));
        let same_kind = definition("felines", "Cat", &[]);
        assert_eq!(reason(same_kind).0, "ListKindConflict");
        // What it could have, it has.
        let naming = decide(&definition("felines", "Cat", &["f"]), &taken).unwrap();
        assert_eq!((naming.accepted.plural.as_str(), naming.accepted.kind.as_str()), ("felines", ""));
        assert_eq!(naming.established.reason, "NotAccepted");
    }

    #[test]
    fn established_for_good() {
        let mut first = named(definition("cats", "Cat", &["c"]), &Taken::default());
        first.spec.names.short_names = vec!["d".to_owned()];
        let other = named(definition("dogs", "Dog", &["d"]), &Taken::default());
        let naming = decide(&first, &Taken::of([&first, &other])).unwrap();
        assert_eq!((naming.names_accepted.status.as_str(), naming.established.status.as_str()), (FALSE, TRUE));
        assert_eq!(naming.accepted.short_names, ["c"]);
    }
}
