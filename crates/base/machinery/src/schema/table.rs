//! Reads the table of types (`types.txt`); `conformance/facts/main.go` documents its form.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{Field, Form, ListKind, Owned, PatchStrategy, Presence, Scalar, Schema, Shape, Type, TypeId};

/// What is wrong with a table, and where.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the table of types: {problem}")]
pub struct TableError {
    line: usize,
    problem: &'static str,
}

/// A field as it stands in the table, before inlined structures are spread out.
struct Row {
    field: Field,
    inline: bool,
}

pub(super) fn parse(text: &'static str) -> Result<Schema, TableError> {
    let mut by_name = HashMap::new();
    for line in text.lines().filter(|line| !line.starts_with(' ')) {
        let name = line.split(' ').next().unwrap_or(line);
        by_name.insert(Cow::Borrowed(name), TypeId(by_name.len() as u32));
    }
    let mut raw: Vec<(&'static str, bool, Vec<Row>)> = Vec::with_capacity(by_name.len());
    for (index, line) in text.lines().enumerate() {
        let fail = |problem| TableError { line: index + 1, problem };
        if let Some(row) = line.strip_prefix(' ') {
            let (_, _, rows) = raw.last_mut().ok_or_else(|| fail("a field before any type"))?;
            rows.push(parse_row(row, &by_name).map_err(fail)?);
        } else {
            let (name, flags) = line.split_once(' ').unwrap_or((line, ""));
            raw.push((name, flags == "map=atomic", Vec::new()));
        }
    }
    let types = raw.iter().map(|(name, atomic, rows)| spread(name, *atomic, rows, &raw)).collect();
    Ok(Schema { types, by_name })
}

/// Builds a type from its rows, taking in the fields of the structures that it inlines.
fn spread(name: &'static str, atomic: bool, rows: &[Row], raw: &[(&'static str, bool, Vec<Row>)]) -> Type {
    let (mut fields, mut inlined) = (Vec::new(), Vec::new());
    for row in rows {
        match (&row.field.shape, row.inline) {
            (Shape::Struct(id), true) => {
                inlined.push((row.field.number, *id));
                let inner = spread(name, atomic, &raw[id.0 as usize].2, raw);
                fields.extend(inner.fields.into_iter().map(|mut field| {
                    field.within.insert(0, row.field.number);
                    field
                }));
            }
            _ => fields.push(row.field.clone()),
        }
    }
    Type { inlined, atomic, ..Type::new(Cow::Borrowed(name), fields, Form::Go) }
}

fn parse_row(row: &'static str, types: &HashMap<Cow<'static, str>, TypeId>) -> Result<Row, &'static str> {
    // A default is JSON and may hold spaces, but nothing with spaces follows it.
    let (row, default) = match row.split_once(" default=") {
        Some((row, rest)) => {
            let (default, flags) = rest.split_once(" enum=").map_or((rest, None), |(d, e)| (d, Some(e)));
            (row, Some((default, flags)))
        }
        None => (row, None),
    };
    let mut words = row.split(' ');
    let name = words.next().ok_or("no name")?;
    let number = words.next().and_then(|n| n.parse().ok()).ok_or("no number")?;
    let shape = parse_shape(words.next().ok_or("no type")?, types)?;
    let mut field = Field {
        name: Cow::Borrowed(name),
        number,
        within: Vec::new(),
        shape,
        presence: Presence::Value,
        list: ListKind::Atomic,
        owned: Owned::ByType,
        patch: None,
        required: false,
        default: default.map(|(default, _)| Cow::Borrowed(default)),
        allowed: Vec::new(),
    };
    let mut inline = false;
    for word in words.chain(default.and_then(|(_, allowed)| allowed)) {
        match word.split_once('=').unwrap_or((word, "")) {
            ("*", _) => field.presence = Presence::Pointer,
            ("!", _) if field.presence == Presence::Pointer => field.presence = Presence::AlwaysPointer,
            ("!", _) => field.presence = Presence::AlwaysValue,
            ("0", _) if field.presence == Presence::Value => field.presence = Presence::OmitZero,
            ("0", _) => {}
            ("inline", _) => inline = true,
            ("required", _) => field.required = true,
            ("list", "set") => field.list = ListKind::Set,
            ("list", "atomic") => {}
            ("list", map) => {
                let keys = map.strip_prefix("map:").ok_or("an unknown kind of list")?;
                field.list = ListKind::Map(keys.split(',').map(Cow::Borrowed).collect());
            }
            ("map", "atomic") => field.owned = Owned::Atomic,
            ("map", "granular") => field.owned = Owned::Granular,
            ("map", _) => return Err("an unknown kind of map"),
            ("patch", strategy) => {
                let (strategies, key) = strategy.split_once(':').unwrap_or((strategy, ""));
                field.patch = Some(PatchStrategy {
                    merge: strategies.split(',').any(|s| s == "merge"),
                    replace: strategies.split(',').any(|s| s == "replace"),
                    retain_keys: strategies.split(',').any(|s| s == "retainKeys"),
                    merge_key: (!key.is_empty()).then_some(Cow::Borrowed(key)),
                });
            }
            ("enum", values) => field.allowed = values.split(',').map(Cow::Borrowed).collect(),
            _ => {
                // Without a `=`, what follows a default are the values of its `enum=`.
                field.allowed = word.split(',').map(Cow::Borrowed).collect();
            }
        }
    }
    Ok(Row { field, inline })
}

fn parse_shape(text: &str, types: &HashMap<Cow<'static, str>, TypeId>) -> Result<Shape, &'static str> {
    if let Some(element) = text.strip_prefix("items[]") {
        return Ok(Shape::WrappedList(Box::new(parse_shape(element, types)?)));
    }
    if let Some(element) = text.strip_prefix("[]") {
        return Ok(Shape::List(Box::new(parse_shape(element, types)?)));
    }
    if let Some(element) = text.strip_prefix("{}") {
        return Ok(Shape::Map(Box::new(parse_shape(element, types)?)));
    }
    Ok(Shape::Scalar(match text {
        "string" => Scalar::String,
        "int32" => Scalar::Int32,
        "int64" => Scalar::Int64,
        "bool" => Scalar::Bool,
        "double" => Scalar::Double,
        "bytes" => Scalar::Bytes,
        "time" => Scalar::Time,
        "microtime" => Scalar::MicroTime,
        "duration" => Scalar::Duration,
        "quantity" => Scalar::Quantity,
        "intorstring" => Scalar::IntOrString,
        "raw" => Scalar::Raw,
        "json" | "any" => Scalar::Json,
        "fields" => Scalar::Fields,
        "schemaorbool" => Scalar::SchemaOrBool,
        "schemaorarray" => Scalar::SchemaOrArray,
        "schemaorstrings" => Scalar::SchemaOrStrings,
        name => return types.get(name).copied().map(Shape::Struct).ok_or("a type that the table does not have"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_table_that_is_compiled_in() {
        let schema = parse(include_str!("types.txt")).unwrap();
        assert!(schema.types.len() > 600);
        let rule = schema.get(schema.find("io.k8s.api.admissionregistration.v1.NamedRuleWithOperations").unwrap());
        assert_eq!(rule.field("apiGroups").unwrap().within, [2, 2]);
    }

    #[test]
    fn says_what_is_wrong() {
        let wrong = |text| parse(text).unwrap_err().to_string();
        assert_eq!(wrong(" a 1 string"), "line 1 of the table of types: a field before any type");
        assert_eq!(wrong("T\n a x string"), "line 2 of the table of types: no number");
        assert_eq!(wrong("T\n a 1 Other"), "line 2 of the table of types: a type that the table does not have");
    }
}
