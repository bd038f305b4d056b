//! Tables: collections as rows and columns, as kubectl prints them (`meta.k8s.io/v1` Table).

use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_api::{GroupVersionKind, Status};
use windlass_machinery::tree::number;
use windlass_resources::columns;
use windlass_store::Item;

use crate::registry::Served;
use crate::storage;

pub(crate) const KIND: GroupVersionKind = GroupVersionKind::of("meta.k8s.io", "v1", "Table");

/// What of the object stands in its row, beside the cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum IncludeObject {
    None,
    #[default]
    Metadata,
    Object,
}

pub(crate) fn row(served: &Served, item: &Item, include: IncludeObject, now: Timestamp) -> Result<Value, Status> {
    Ok(row_of(served, storage::tree(served, item)?, include, now))
}

/// The row of an object.
pub(crate) fn row_of(served: &Served, tree: Value, include: IncludeObject, now: Timestamp) -> Value {
    let cells = served.resource.strategy.cells(&tree, now);
    let object = match include {
        IncludeObject::None => Value::Null,
        IncludeObject::Metadata => json!({
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": tree["metadata"],
        }),
        IncludeObject::Object => {
            let mut tree = tree;
            tree["kind"] = Value::from(&*served.resource.kind.kind);
            tree["apiVersion"] = Value::from(served.resource.kind.api_version());
            tree
        }
    };
    json!({"cells": cells, "object": object})
}

/// The table of a Scale, which no resource has the columns of.
pub(crate) fn of_scale(scale: &Value, include: IncludeObject, now: Timestamp) -> Value {
    let columns = [("Name", "string"), ("Desired", "integer"), ("Available", "integer"), ("Age", "string")];
    let columns = columns.map(|(name, kind)| {
        json!({"name": name, "type": kind, "format": "", "description": description(name), "priority": 0})
    });
    let metadata = &scale["metadata"];
    let replicas = |of: &str| number(&scale[of], "replicas");
    let cells = json!([metadata["name"], replicas("spec"), replicas("status"), columns::age(scale, now)]);
    let object = match include {
        IncludeObject::None => Value::Null,
        IncludeObject::Metadata => {
            json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
        }
        IncludeObject::Object => scale.clone(),
    };
    json!({
        "metadata": {"resourceVersion": metadata["resourceVersion"]},
        "columnDefinitions": columns,
        "rows": [{"cells": cells, "object": object}],
    })
}

fn description(column: &str) -> &'static str {
    match column {
        "Name" => "The name of the object, unique within its namespace.",
        "Desired" => "How many replicas are wanted.",
        "Available" => "How many replicas there are.",
        _ => "The time since the object was created.",
    }
}

/// Rows under their columns; later tables of a watch repeat no columns.
pub(crate) fn table(columns_of: Option<&Served>, rows: Vec<Value>, meta: Value) -> Value {
    let columns: Option<Vec<Value>> = columns_of.map(|served| {
        let columns = served.resource.columns.iter();
        columns
            .map(|column| {
                json!({
                    "name": column.name,
                    "type": column.kind,
                    "format": column.format,
                    "description": column.description,
                    "priority": column.priority,
                })
            })
            .collect()
    });
    // Upstream's general converter adds row after row to nothing; those of kinds with columns of their own begin with an empty list.
    let is_nothing = rows.is_empty() && columns_of.is_some_and(|served| !served.resource.has_own_columns());
    let rows = if is_nothing { Value::Null } else { Value::from(rows) };
    json!({"metadata": meta, "columnDefinitions": columns, "rows": rows})
}
