//! Who owns what: `metadata.managedFields` after an update or an apply.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::change::{Change, Operation};
use super::diff::{compare, fields};
use super::last_applied;
use super::merge::{merge, remove};
use super::set::FieldSet;
use super::typed;
use crate::decode;
use crate::tree::{child, put, text};

/// As many managers that update are kept apart; the oldest beyond that are taken together.
const UPDATE_MANAGERS_MAX: usize = 10;
const ANCIENT: &str = "ancient-changes";

/// The manager of what an object has when the first apply finds no record of it.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Fields that belong to nobody: the server decides them, or they are the object's identity.
const UNOWNED: &[&[&str]] = &[
    &["apiVersion"],
    &["kind"],
    &["metadata", "name"],
    &["metadata", "namespace"],
    &["metadata", "creationTimestamp"],
    &["metadata", "selfLink"],
    &["metadata", "uid"],
    &["metadata", "clusterName"],
    &["metadata", "generation"],
    &["metadata", "managedFields"],
    &["metadata", "resourceVersion"],
];

/// Somebody else owns fields that an apply would change.
#[derive(Clone, Debug, PartialEq)]
pub struct Conflict {
    pub manager: String,
    pub operation: Operation,
    pub api_version: String,
    pub subresource: String,
    pub paths: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ApplyError {
    Conflicts(Vec<Conflict>),
    /// The configuration itself says who manages it.
    ManagedFields,
    /// It has not the types of its kind.
    Typed(String),
}

/// One entry of `managedFields`.
#[derive(Clone, Debug)]
struct Entry {
    manager: String,
    operation: Operation,
    api_version: String,
    subresource: String,
    time: String,
    set: FieldSet,
}

impl Entry {
    fn read(value: &Value) -> Option<Self> {
        let operation = match text(value, "operation") {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return None,
        };
        Some(Self {
            manager: text(value, "manager").to_owned(),
            operation,
            api_version: text(value, "apiVersion").to_owned(),
            subresource: text(value, "subresource").to_owned(),
            time: text(value, "time").to_owned(),
            set: FieldSet::from_value(&value["fieldsV1"]),
        })
    }

    fn write(self) -> Value {
        let mut value = json!({
            "manager": self.manager,
            "operation": self.operation.name(),
            "apiVersion": self.api_version,
            "fieldsType": "FieldsV1",
            "fieldsV1": self.set.into_value(),
        });
        if !self.time.is_empty() {
            put(&mut value, "time", self.time);
        }
        if !self.subresource.is_empty() {
            put(&mut value, "subresource", self.subresource);
        }
        value
    }

    fn is(&self, change: &Change<'_>, operation: Operation) -> bool {
        self.manager == change.manager
            && self.operation == operation
            && self.subresource == change.subresource
            && (operation == Operation::Apply || self.api_version == change.api_version)
    }
}

fn entries(object: &Value) -> Vec<Entry> {
    let list = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Entry::read).collect()
}

/// Gives an object this record, in the order that upstream has.
pub fn put_record(object: &mut Value, record: &[Value]) {
    write_entries(object, record.iter().filter_map(Entry::read).collect());
}

fn write_entries(object: &mut Value, mut entries: Vec<Entry>) {
    entries.retain(|entry| !entry.set.is_empty());
    // Applies first, then by time, as upstream sorts them.
    fn rank(entry: &Entry) -> (bool, [&str; 4]) {
        let Entry { manager, time, api_version, subresource, .. } = entry;
        (entry.operation == Operation::Update, [time, manager, api_version, subresource])
    }
    entries.sort_by(|a, b| rank(a).cmp(&rank(b)));
    let list: Vec<Value> = entries.into_iter().map(Entry::write).collect();
    if list.is_empty() {
        crate::tree::remove(child(object, "metadata"), "managedFields");
    } else {
        put(child(object, "metadata"), "managedFields", list);
    }
}

fn owned(mut set: FieldSet, change: &Change<'_>) -> FieldSet {
    for path in UNOWNED.iter().chain(change.reset) {
        set = set.without_tree(path);
    }
    // Whoever says nothing about the metadata does not own them: giving them up would take the name away.
    set.without_member("metadata")
}

/// The record that an update goes by. A client may hand in an edited one (not through a subresource); one that sends none, or one that
/// says nothing, has not meant to erase it; one that sends an empty one has.
fn record(change: &Change<'_>, old: Option<&Value>, new: &Value) -> Vec<Entry> {
    let sent = new.pointer("/metadata/managedFields").filter(|_| change.subresource.is_empty());
    if sent.is_some_and(|sent| *sent == json!([]) || *sent == json!([{}])) {
        return Vec::new();
    }
    let sent = if sent.is_some() { entries(new) } else { Vec::new() };
    if sent.is_empty() { old.map(entries).unwrap_or_default() } else { sent }
}

/// Records an update: what it added or changed is the manager's now, and nobody else's. `old` is `None` for a creation.
/// Of an object without a record nothing is recorded until somebody applies to it.
pub fn update(change: &Change<'_>, old: Option<&Value>, new: &mut Value) {
    let mut managers = record(change, old, new);
    if old.is_none() || !managers.is_empty() {
        own(change, &mut managers, old, new);
    }
    cap(&mut managers);
    write_entries(new, managers);
}

/// Gives the manager what is new or other in `new`.
fn own(change: &Change<'_>, managers: &mut Vec<Entry>, old: Option<&Value>, new: &Value) {
    let nothing = decode::empty(change.schema, change.id);
    let difference = compare(change.schema, change.id, old.unwrap_or(&nothing), new);
    let changed = owned(difference.added.union(&difference.modified), change);
    let removed = owned(difference.removed, change);
    let mut found = false;
    for entry in managers.iter_mut() {
        let set = std::mem::take(&mut entry.set).difference(&removed);
        if entry.is(change, Operation::Update) {
            found = true;
            if !changed.is_empty() {
                change.now.clone_into(&mut entry.time);
            }
            entry.set = set.union(&changed);
        } else {
            entry.set = set.difference(&changed);
        }
    }
    if !found && !changed.is_empty() {
        managers.push(Entry {
            manager: change.manager.to_owned(),
            operation: Operation::Update,
            api_version: change.api_version.to_owned(),
            subresource: change.subresource.to_owned(),
            time: change.now.to_owned(),
            set: changed,
        });
    }
}

/// Takes the oldest updaters together when there are too many.
fn cap(managers: &mut Vec<Entry>) {
    let updaters = managers.iter().filter(|entry| entry.operation == Operation::Update).count();
    let Some(mut too_many) = updaters.checked_sub(UPDATE_MANAGERS_MAX).filter(|count| *count > 0) else { return };
    let (mut others, mut oldest) = (Vec::new(), Vec::new());
    for entry in managers.drain(..) {
        let is_candidate = entry.operation == Operation::Update && entry.manager != ANCIENT;
        if is_candidate { oldest.push(entry) } else { others.push(entry) }
    }
    oldest.sort_by(|a, b| a.time.cmp(&b.time));
    let mut ancients: HashMap<String, usize> = HashMap::new();
    for (index, entry) in others.iter().enumerate().filter(|(_, entry)| entry.manager == ANCIENT) {
        ancients.entry(entry.api_version.clone()).or_insert(index);
    }
    let mut oldest = oldest.into_iter();
    // One that is taken together with others is one less; the first of its version still counts.
    while too_many > 0
        && let Some(entry) = oldest.next()
    {
        match ancients.get(&entry.api_version) {
            Some(&index) => {
                let ancient = &mut others[index];
                ancient.set = std::mem::take(&mut ancient.set).union(&entry.set);
                ancient.time = entry.time;
                too_many -= 1;
            }
            None => {
                ancients.insert(entry.api_version.clone(), others.len());
                others.push(Entry { manager: ANCIENT.to_owned(), subresource: String::new(), ..entry });
            }
        }
    }
    managers.extend(others);
    managers.extend(oldest);
}

/// Applies a configuration: the object with the configuration's values, without what this manager had applied before and does not
/// any more, and with the record of it. `old` is `None` when there is no object yet. With `force`, fields of others are taken.
pub fn apply(
    change: &Change<'_>,
    old: Option<&Value>,
    configuration: &Value,
    force: bool,
) -> Result<Value, ApplyError> {
    if configuration.pointer("/metadata/managedFields").is_some_and(|list| *list != json!([]) && !list.is_null()) {
        return Err(ApplyError::ManagedFields);
    }
    let nothing = json!({});
    let old = old.unwrap_or(&nothing);
    let (schema, id) = (change.schema, change.id);
    if let Some(problem) = typed::check(schema, id, configuration) {
        return Err(ApplyError::Typed(problem));
    }
    let claims = owned(fields(schema, id, configuration), change);
    let mut managers = entries(old);
    if managers.is_empty() && *old != nothing {
        // What is there has come from somebody, and is not to be overwritten without being asked for.
        own(&Change { manager: BEFORE_FIRST_APPLY, ..*change }, &mut managers, None, old);
    }
    let mut new = merge(schema, id, old, configuration);
    let difference = compare(schema, id, old, &new);
    let changed = owned(difference.added.union(&difference.modified), change);
    let mine = |entry: &Entry| entry.is(change, Operation::Apply);
    if !force {
        let conflicts = conflicts(change, old, managers.iter().filter(|entry| !mine(entry)), &changed);
        if !conflicts.is_empty() {
            return Err(ApplyError::Conflicts(conflicts));
        }
    }
    for entry in managers.iter_mut().filter(|entry| !mine(entry)) {
        entry.set = std::mem::take(&mut entry.set).difference(&changed);
    }
    let before = managers.iter().find(|entry| mine(entry)).map(|entry| entry.set.clone()).unwrap_or_default();
    let mut kept = claims.clone();
    for entry in managers.iter().filter(|entry| !mine(entry)) {
        kept = kept.union(&entry.set);
    }
    let gone = unclaimed(before, &kept);
    remove(schema, id, &mut new, &gone);
    let removed = owned(compare(schema, id, old, &new).removed, change);
    for entry in &mut managers {
        entry.set = std::mem::take(&mut entry.set).difference(&removed);
    }
    // The time is that of the last change of the object, not of the record.
    let time = match managers.iter().find(|entry| mine(entry)) {
        _ if !changed.is_empty() || !removed.is_empty() => change.now.to_owned(),
        Some(entry) => entry.time.clone(),
        None => String::new(),
    };
    managers.retain(|entry| !mine(entry));
    managers.push(Entry {
        manager: change.manager.to_owned(),
        operation: Operation::Apply,
        api_version: change.api_version.to_owned(),
        subresource: change.subresource.to_owned(),
        time,
        set: claims,
    });
    write_entries(&mut new, managers);
    Ok(new)
}

/// Who owns what an apply would change.
fn conflicts<'a>(
    change: &Change<'_>,
    old: &Value,
    others: impl Iterator<Item = &'a Entry>,
    changed: &FieldSet,
) -> Vec<Conflict> {
    let common = others.map(|entry| (entry, entry.set.intersection(changed))).filter(|(_, common)| !common.is_empty());
    let mut common: Vec<_> = common.collect();
    if !common.is_empty() {
        let inherited = last_applied::fields_of_manager(change, old);
        common = common.into_iter().map(|(entry, common)| (entry, common.difference(&inherited))).collect();
    }
    common.sort_by_key(|(entry, _)| (&entry.manager, entry.operation.name(), &entry.api_version));
    let common = common.into_iter().filter(|(_, common)| !common.is_empty());
    let conflict = |(entry, common): (&Entry, FieldSet)| Conflict {
        manager: entry.manager.clone(),
        operation: entry.operation,
        api_version: entry.api_version.clone(),
        subresource: entry.subresource.clone(),
        paths: common.paths(),
    };
    common.map(conflict).collect()
}

/// The fields of `before` that neither stand in `kept` nor have anything below them in it.
fn unclaimed(before: FieldSet, kept: &FieldSet) -> FieldSet {
    fn walk(before: &mut Map<String, Value>, kept: &Map<String, Value>) {
        let steps: Vec<String> = before.keys().filter(|step| *step != ".").cloned().collect();
        for step in steps {
            let Some(Value::Object(theirs)) = kept.get(&step) else { continue };
            let Some(Value::Object(ours)) = before.get_mut(&step) else { continue };
            walk(ours, theirs);
            ours.remove(".");
            if ours.is_empty() {
                before.remove(&step);
            }
        }
    }
    let Value::Object(mut nodes) = before.into_value() else { return FieldSet::default() };
    walk(&mut nodes, kept.nodes());
    FieldSet::from_value(&Value::Object(nodes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schema;

    fn change(manager: &'static str) -> Change<'static> {
        Change {
            schema: Schema::builtin(),
            id: Schema::object_type("apps", "v1", "Deployment").unwrap(),
            manager,
            api_version: "apps/v1",
            subresource: "",
            now: "2026-01-01T00:00:00Z",
            reset: &[&["status"]],
        }
    }

    fn managers(object: &Value) -> Vec<(String, String, Vec<String>)> {
        entries(object)
            .into_iter()
            .map(|entry| (entry.manager, entry.operation.name().to_owned(), entry.set.paths()))
            .collect()
    }

    fn entry(manager: &str, operation: &str, paths: &[&str]) -> (String, String, Vec<String>) {
        (manager.to_owned(), operation.to_owned(), paths.iter().map(|path| (*path).to_owned()).collect())
    }

    #[test]
    fn updates_move_ownership() {
        let mut first = json!({"metadata": {"name": "d", "labels": {"a": "1"}}, "spec": {"replicas": 1}, "status": {"replicas": 1}});
        update(&change("one"), None, &mut first);
        assert_eq!(
            managers(&first),
            [entry("one", "Update", &[".metadata.labels", ".metadata.labels.a", ".spec.replicas"])]
        );
        let mut second = first.clone();
        second["spec"]["replicas"] = json!(2);
        update(&change("two"), Some(&first), &mut second);
        assert_eq!(
            managers(&second),
            [
                entry("one", "Update", &[".metadata.labels", ".metadata.labels.a"]),
                entry("two", "Update", &[".spec.replicas"]),
            ]
        );
        let mut third = second.clone();
        third["metadata"]["labels"] = json!({});
        third["spec"] = json!({});
        update(&change("one"), Some(&second), &mut third);
        assert_eq!(managers(&third), [entry("one", "Update", &[".metadata.labels"])]);
    }

    #[test]
    fn applies_own_merge_and_prune() {
        let configuration = json!({"metadata": {"labels": {"a": "1", "b": "1"}}, "spec": {"replicas": 3}});
        let first = apply(&change("me"), None, &configuration, false).unwrap();
        assert_eq!(
            managers(&first),
            [entry("me", "Apply", &[".metadata.labels.a", ".metadata.labels.b", ".spec.replicas"])]
        );
        // Another takes replicas by an update: applying a different value is a conflict, the same one is shared.
        let mut scaled = first.clone();
        scaled["spec"]["replicas"] = json!(5);
        update(&change("hpa"), Some(&first), &mut scaled);
        let conflicts = apply(&change("me"), Some(&scaled), &configuration, false).unwrap_err();
        let ApplyError::Conflicts(conflicts) = conflicts else { panic!("{conflicts:?}") };
        assert_eq!(
            (conflicts[0].manager.as_str(), &conflicts[0].paths[..]),
            ("hpa", &[".spec.replicas".to_owned()][..])
        );
        let forced = apply(&change("me"), Some(&scaled), &configuration, true).unwrap();
        assert_eq!(forced["spec"]["replicas"], 3);
        assert_eq!(managers(&forced).len(), 1);
        // What is no longer applied goes, unless somebody else owns it.
        let less = json!({"metadata": {"labels": {"a": "1"}}});
        let pruned = apply(&change("me"), Some(&scaled), &less, false).unwrap();
        assert_eq!((&pruned["metadata"]["labels"], &pruned["spec"]["replicas"]), (&json!({"a": "1"}), &json!(5)));
        let gone = apply(&change("me"), Some(&first), &less, false).unwrap();
        assert!(gone["spec"].get("replicas").is_none());
    }

    #[test]
    fn nobody_owns_the_metadata() {
        let first = apply(&change("a"), None, &json!({"metadata": {}, "spec": {"replicas": 1}}), false).unwrap();
        assert_eq!(managers(&first), [entry("a", "Apply", &[".spec.replicas"])]);
        let named = json!({"metadata": {"name": "d", "managedFields": first["metadata"]["managedFields"]}, "spec": {"replicas": 1}});
        let again = apply(&change("a"), Some(&named), &json!({"spec": {"replicas": 2}}), false).unwrap();
        assert_eq!(again["metadata"]["name"], "d");
    }

    #[test]
    fn two_appliers_share_a_value() {
        let configuration = json!({"spec": {"replicas": 3}});
        let first = apply(&change("a"), None, &configuration, false).unwrap();
        let second = apply(&change("b"), Some(&first), &configuration, false).unwrap();
        assert_eq!(managers(&second).len(), 2);
        let times: Vec<String> = entries(&second).into_iter().map(|entry| entry.time).collect();
        assert_eq!(times, ["", "2026-01-01T00:00:00Z"], "the second has changed nothing");
        let dropped = apply(&change("a"), Some(&second), &json!({"spec": {"paused": true}}), false).unwrap();
        assert_eq!(dropped["spec"]["replicas"], 3);
    }

    #[test]
    fn what_stands_before_the_first_apply_belongs_to_somebody() {
        let found = json!({"metadata": {"name": "d", "uid": "u"}, "spec": {"replicas": 1}});
        let mut updated = found.clone();
        updated["spec"]["paused"] = json!(true);
        update(&change("one"), Some(&found), &mut updated);
        assert_eq!(managers(&updated), [], "nobody has asked for a record");
        let wanted = |replicas: i64| json!({"spec": {"replicas": replicas}});
        let ApplyError::Conflicts(conflicts) = apply(&change("me"), Some(&found), &wanted(2), false).unwrap_err()
        else {
            panic!("it conflicts")
        };
        assert_eq!(conflicts[0].manager, "before-first-apply");
        let same = apply(&change("me"), Some(&found), &wanted(1), false).unwrap();
        assert_eq!(
            managers(&same),
            [entry("me", "Apply", &[".spec.replicas"]), entry("before-first-apply", "Update", &[".spec.replicas"]),]
        );
    }

    #[test]
    fn an_empty_record_erases_it() {
        let first = apply(&change("me"), None, &json!({"spec": {"replicas": 3}}), false).unwrap();
        for (sent, subresource, kept) in
            [(json!([]), "", false), (json!([{}]), "", false), (Value::Null, "", true), (json!([]), "status", true)]
        {
            let mut new = first.clone();
            new["metadata"]["managedFields"] = sent.clone();
            update(&Change { subresource, ..change("one") }, Some(&first), &mut new);
            assert_eq!(!managers(&new).is_empty(), kept, "{sent} {subresource}");
        }
    }

    #[test]
    fn applying_the_same_again_changes_nothing() {
        let configuration = json!({"metadata": {"labels": {"a": "1"}}, "spec": {"template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}}});
        let first = apply(&change("a"), None, &configuration, false).unwrap();
        let later = Change { now: "2027-01-01T00:00:00Z", ..change("a") };
        assert_eq!(apply(&later, Some(&first), &configuration, false).unwrap(), first);
    }

    #[test]
    fn many_updaters_are_taken_together() {
        let mut object = json!({"metadata": {"labels": {}}});
        let names: Vec<String> = (0..15).map(|n| format!("m{n:02}")).collect();
        for (n, name) in names.iter().enumerate() {
            let old = object.clone();
            object["metadata"]["labels"][name] = json!("1");
            update(&Change { manager: name, ..change("") }, (n > 0).then_some(&old), &mut object);
        }
        let all = managers(&object);
        assert_eq!(all.len(), UPDATE_MANAGERS_MAX);
        assert!(all.iter().any(|(manager, ..)| manager == ANCIENT));
    }
}
