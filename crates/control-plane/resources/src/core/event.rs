//! Event: something that happened to an object, for people to read; gone after an hour.

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_machinery::tree::{number, text};

use crate::columns::{self, since};
use crate::rules::{at, complain};
use crate::{Resource, Strategy};

/// Events go by themselves after this time.
pub(crate) const LIFE_SECONDS: i64 = 3600;

pub(crate) fn resource() -> Resource {
    Resource::namespaced("", "v1", "Event", "events")
        .short_names(&["ev"])
        .creates_on_update()
        .selectable(&[
            ("involvedObject.kind", "/involvedObject/kind"),
            ("involvedObject.namespace", "/involvedObject/namespace"),
            ("involvedObject.name", "/involvedObject/name"),
            ("involvedObject.uid", "/involvedObject/uid"),
            ("involvedObject.apiVersion", "/involvedObject/apiVersion"),
            ("involvedObject.resourceVersion", "/involvedObject/resourceVersion"),
            ("involvedObject.fieldPath", "/involvedObject/fieldPath"),
            ("reason", "/reason"),
            ("reportingComponent", "/reportingComponent"),
            ("type", "/type"),
        ])
        .selectable_as("source", "/source/component", "reportingComponent")
        .columns(event_columns())
        .strategy(Event)
}

/// The columns of both views.
pub(crate) fn event_columns() -> Vec<columns::Column> {
    let mut columns = columns::list(&[
        "Last Seen",
        "Type",
        "Reason",
        "Object",
        "+Subobject",
        "+Source",
        "Message",
        "+First Seen",
        "+Count",
        "+Name",
    ]);
    for column in columns.iter_mut().filter(|column| column.name == "Name") {
        column.format = "name".into();
    }
    columns
}

struct Event;

impl Strategy for Event {
    fn metadata_comes_last(&self) -> bool {
        true
    }

    fn validate(&self, object: &Value) -> Errors {
        let mut errors = Errors::new();
        validate_event(&mut errors, object, "reportingComponent");
        errors
    }

    fn time_to_live_seconds(&self) -> Option<i64> {
        Some(LIFE_SECONDS)
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        cells(object, now)
    }
}

/// The row of an event in its stored form.
pub(crate) fn cells(event: &Value, now: Timestamp) -> Vec<Value> {
    let given = |value: Option<&Value>| value.and_then(Value::as_str).is_some();
    let first = event.get("firstTimestamp").filter(|at| given(Some(at)));
    let first = since(first.or_else(|| event.get("eventTime")), now);
    let (last, count) = match event.get("series").filter(|series| series.is_object()) {
        Some(series) => (since(series.get("lastObservedTime"), now), number(series, "count")),
        None => {
            let last = event.get("lastTimestamp").filter(|at| given(Some(at)));
            (last.map_or(first.clone(), |at| since(Some(at), now)), number(event, "count").max(1))
        }
    };
    let involved = &event["involvedObject"];
    let kind = text(involved, "kind").to_lowercase();
    let object = match text(involved, "name") {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    vec![
        Value::from(last),
        Value::from(text(event, "type")),
        Value::from(text(event, "reason")),
        Value::from(object),
        Value::from(text(involved, "fieldPath")),
        Value::from(source(event)),
        Value::from(text(event, "message").trim()),
        Value::from(first),
        Value::from(count),
        columns::name(event),
    ]
}

fn source(event: &Value) -> String {
    let source = event.get("source").unwrap_or(&Value::Null);
    let either = |one, other| if text(source, one).is_empty() { text(event, other) } else { text(source, one) };
    let (component, instance) = (either("component", "reportingComponent"), either("host", "reportingInstance"));
    if instance.is_empty() { component.to_owned() } else { format!("{component}, {instance}") }
}

const LONGEST_INSTANCE: usize = 128;
const LONGEST_ACTION: usize = 128;
const LONGEST_REASON: usize = 128;
const LONGEST_MESSAGE: usize = 1024;

/// What is wrong with an event in its stored form, whatever its view calls the field of who reports it.
///
/// Source: upstream `pkg/apis/core/validation/events.go`, `legacyValidateEvent`.
pub(crate) fn validate_event(errors: &mut Errors, event: &Value, reporter_field: &str) {
    let namespace = columns::word(event, "/metadata/namespace");
    let involved = columns::word(event, "/involvedObject/namespace");
    let is_timed = at(event, "eventTime").is_some();
    let matches = match (involved, is_timed) {
        ("", false) => matches!(namespace, "" | "default"),
        ("", true) => matches!(namespace, "default" | "kube-system"),
        (_, true) => true,
        (involved, false) => involved == namespace,
    };
    if !matches {
        let path = Path::new("involvedObject");
        errors.push(Error::invalid(&path.child("namespace"), involved, "does not match event.namespace"));
    }
    if !is_timed {
        return;
    }
    let (reporter, path) = (text(event, "reportingComponent"), Path::new(reporter_field));
    if reporter.is_empty() {
        errors.push(Error::required(&path, ""));
    }
    complain(errors, &path, reporter, names::qualified_name(reporter));
    let bounds = [("reportingInstance", LONGEST_INSTANCE), ("action", LONGEST_ACTION), ("reason", LONGEST_REASON)];
    for (field, most) in bounds {
        let value = text(event, field);
        if value.is_empty() {
            errors.push(Error::required(&Path::new(field), ""));
        }
        if value.len() > most {
            errors.push(Error::invalid(&Path::new(field), "", format!("can have at most {most} characters")));
        }
    }
    if text(event, "message").len() > LONGEST_MESSAGE {
        let detail = format!("can have at most {LONGEST_MESSAGE} characters");
        errors.push(Error::invalid(&Path::new("message"), "", detail));
    }
}
