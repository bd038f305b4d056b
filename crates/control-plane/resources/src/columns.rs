//! The columns that `kubectl get` prints, and the words in their cells.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::time;

/// A column of a Table (`meta.k8s.io/v1`).
#[derive(Clone, Debug)]
pub struct Column {
    pub name: Cow<'static, str>,
    /// `string`, `integer`, `number`, `boolean`, `date`.
    pub kind: Cow<'static, str>,
    /// `name` marks the object's name for clients.
    pub format: Cow<'static, str>,
    pub description: Cow<'static, str>,
    /// 0 is always shown, anything else only with `-o wide`.
    pub priority: i32,
}

impl Column {
    pub fn string(name: &'static str, description: &'static str) -> Self {
        Self::of(name, "string", description)
    }

    pub fn integer(name: &'static str, description: &'static str) -> Self {
        Self::of(name, "integer", description)
    }

    fn of(name: &'static str, kind: &'static str, description: &'static str) -> Self {
        Self { name: name.into(), kind: kind.into(), format: "".into(), description: description.into(), priority: 0 }
    }

    /// Shown with `-o wide` only.
    pub fn wide(mut self) -> Self {
        self.priority = 1;
        self
    }

    /// The object's name, first in every table.
    pub fn name() -> Self {
        Self { format: "name".into(), ..Self::string("Name", "The name of the object, unique within its namespace.") }
    }

    /// How long ago the object was made.
    pub fn age() -> Self {
        Self::string("Age", "The time since the object was created.")
    }
}

/// The columns of a kind by name. `Name` is the object's name; `:integer` and `:boolean` say a type other than text, and
/// `+` in front marks what is shown with `-o wide` only.
pub(crate) fn list(names: &[&'static str]) -> Vec<Column> {
    names.iter().map(|name| column(name)).collect()
}

fn column(text: &'static str) -> Column {
    let (text, priority) = match text.strip_prefix('+') {
        Some(text) => (text, 1),
        None => (text, 0),
    };
    let (name, kind) = text.split_once(':').unwrap_or((text, "string"));
    let column = match name {
        "Name" => Column::name(),
        "Age" => Column::age(),
        _ => Column::of(name, kind, ""),
    };
    Column { priority, ..column }
}

/// The text at a JSON pointer; empty when there is none.
pub(crate) fn word<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

/// The number at a JSON pointer; 0 when there is none.
pub(crate) fn count(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

/// The length of the list at a JSON pointer.
pub(crate) fn length(object: &Value, pointer: &str) -> usize {
    object.pointer(pointer).and_then(Value::as_array).map_or(0, Vec::len)
}

/// An integer or a percentage, as text.
pub(crate) fn int_or_string(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The names and the images of a pod specification's containers, as the cells of two columns.
pub(crate) fn containers(spec: Option<&Value>) -> [Value; 2] {
    let containers = spec.and_then(|spec| spec.get("containers")).and_then(Value::as_array);
    ["name", "image"].map(|field| {
        let words = containers.into_iter().flatten();
        let words: Vec<&str> = words.map(|c| c.get(field).and_then(Value::as_str).unwrap_or("")).collect();
        Value::from(words.join(","))
    })
}

/// At most three words of a list and how many more there are, or `<unset>`.
pub(crate) fn first_three(words: &[String]) -> String {
    const SHOWN_MAX: usize = 3;
    match words.len() {
        0 => "<unset>".to_owned(),
        1..=SHOWN_MAX => words.join(","),
        all => format!("{} + {} more...", words[..SHOWN_MAX].join(","), all - SHOWN_MAX),
    }
}

pub(crate) fn default_columns() -> Vec<Column> {
    let created = Column { kind: "date".into(), ..Column::string("Created At", "When the object was created.") };
    vec![Column::name(), created]
}

pub(crate) fn default_cells(object: &Value) -> Vec<Value> {
    vec![name(object), object.pointer("/metadata/creationTimestamp").cloned().unwrap_or(Value::Null)]
}

/// The cell of [`Column::name`].
pub fn name(object: &Value) -> Value {
    object.pointer("/metadata/name").cloned().unwrap_or_default()
}

/// The cell of [`Column::age`].
pub fn age(object: &Value, now: Timestamp) -> Value {
    Value::from(since(object.pointer("/metadata/creationTimestamp"), now))
}

/// The time since an instant in the object, as kubectl prints it.
pub fn since(at: Option<&Value>, now: Timestamp) -> String {
    match at.and_then(Value::as_str).and_then(time::parse_rfc3339) {
        Some(at) => human_duration(now.as_second() - at.as_second()),
        None => "<unknown>".to_owned(),
    }
}

/// A duration in at most two units: `5s`, `3m20s`, `25h`, `4d6h`, `2y30d`.
///
/// Source: apimachinery `util/duration`. A clock that is a little off gives `0s`, one that is more off `<invalid>`.
pub fn human_duration(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    let two = |high: i64, high_unit: &str, low: i64, low_unit: &str| {
        if low == 0 { format!("{high}{high_unit}") } else { format!("{high}{high_unit}{low}{low_unit}") }
    };
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        _ if seconds < 2 * MINUTE => format!("{seconds}s"),
        _ if seconds < 10 * MINUTE => two(seconds / MINUTE, "m", seconds % MINUTE, "s"),
        _ if seconds < 3 * HOUR => format!("{}m", seconds / MINUTE),
        _ if seconds < 8 * HOUR => two(seconds / HOUR, "h", seconds % HOUR / MINUTE, "m"),
        _ if seconds < 2 * DAY => format!("{}h", seconds / HOUR),
        _ if seconds < 8 * DAY => two(seconds / DAY, "d", seconds % DAY / HOUR, "h"),
        _ if seconds < 2 * YEAR => format!("{}d", seconds / DAY),
        _ if seconds < 8 * YEAR => two(seconds / YEAR, "y", seconds % YEAR / DAY, "d"),
        _ => format!("{}y", seconds / YEAR),
    }
}

/// `<none>` for what is absent or empty.
pub fn or_none(text: Option<&str>) -> Value {
    Value::from(text.filter(|text| !text.is_empty()).unwrap_or("<none>"))
}

/// Labels as `a=b,c=d`, or `<none>`.
pub fn labels(map: Option<&Value>) -> Value {
    let pairs: Vec<String> = map
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    or_none(Some(&pairs.join(",")))
}

/// A label selector structure as kubectl prints it, or `<none>`.
pub fn selector(structure: Option<&Value>) -> Value {
    let parsed = structure.and_then(|s| serde_json::from_value(s.clone()).ok());
    match windlass_api::labels::Selector::from_structure(parsed.as_ref()) {
        Ok(selector) => or_none(Some(&selector.to_string())),
        Err(_) => Value::from("<error>"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let cases = [
            (-2, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (200, "3m20s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (3 * 3600 + 60, "3h1m"),
            (8 * 3600, "8h"),
            (47 * 3600, "47h"),
            (48 * 3600, "2d"),
            (54 * 3600, "2d6h"),
            (8 * 86_400, "8d"),
            (729 * 86_400, "729d"),
            (730 * 86_400, "2y"),
            (760 * 86_400, "2y30d"),
            (3000 * 86_400, "8y"),
        ];
        for (seconds, text) in cases {
            assert_eq!(human_duration(seconds), text, "{seconds}");
        }
    }
}
