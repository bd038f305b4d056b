//! What an update may keep of rules that the old definition broke: rules came to be after definitions were stored, and nobody is
//! locked out of a definition by a newer server.

use std::collections::HashSet;

use serde_json::Value;
use windlass_api::condition;
use windlass_machinery::tree::{items, text};

use super::super::layout::{Layout, Part};
use super::super::schema::{Schema, VALIDATIONS};
use super::demands::{Budgets, Demands};
use super::{conversion, defaults, structural, topology, versions};
use crate::definition::condition::ESTABLISHED;

/// What is demanded of a definition that replaces an old one.
pub(super) fn demands_after<'a>(old_definition: &'a Value, new: &Layout<'a>) -> Demands<'a> {
    let old = Layout::of(old_definition);
    let conversion = &old.spec["conversion"];
    let is_established = is_established(old_definition);
    let has_all_schemas = old
        .versions
        .iter()
        .all(|version| Part::Schema.of(version).is_some_and(|validation| Schema::of_validation(validation).is_some()));
    Demands {
        known_review_version: conversion::is_known(conversion),
        immutable_names: is_established,
        schemas: has_all_schemas,
        valid_types: !old.any(&|schema| !schema.has_known_type()),
        structural: old.schemas().all(structural::is_structural),
        pruned_defaults: !old
            .schemas()
            .any(|schema| structural::is_structural(schema) && defaults::has_unpruned(schema)),
        atomic_sets: !old.any(&|schema| topology::has_non_atomic_set(schema)),
        keyed_items: !old.any(&|schema| topology::has_keyless_items(schema)),
        valid_ca_bundle: is_established && !conversion::has_broken_ca_bundle(conversion),
        too_many_fields: kept_fields(&old, new),
        had_rules: expressions(&old, "rule"),
        had_messages: expressions(&old, "messageExpression"),
        unchanged_schemas: unchanged_schemas(&old, new),
        budgets: Budgets::new(),
    }
}

/// What the rules of a definition have in a field.
fn expressions<'a>(definition: &Layout<'a>, field: &str) -> HashSet<&'a str> {
    let mut found = HashSet::new();
    for schema in definition.schemas() {
        schema.visit(&mut |node| found.extend(items(node.0, VALIDATIONS).map(|rule| text(rule, field))));
    }
    found
}

fn unchanged_schemas<'a>(old: &Layout<'_>, new: &Layout<'a>) -> HashSet<&'a str> {
    let had = windlass_machinery::tree::by_name(old.spec, "versions");
    let is_unchanged = |version: &&Value| {
        let was = had.get(text(version, "name"));
        was.is_some_and(|was| Part::Schema.of(was) == Part::Schema.of(version))
    };
    new.versions.iter().filter(is_unchanged).map(|version| text(version, "name")).collect()
}

/// Whether the definition has been served.
fn is_established(definition: &Value) -> bool {
    condition::is_true(condition::list(&definition["status"]), ESTABLISHED)
}

/// The versions that had too many selectable fields, and have the same now.
fn kept_fields<'a>(old: &Layout<'_>, new: &Layout<'a>) -> HashSet<&'a str> {
    let has_many =
        |fields: &Value| fields.as_array().is_some_and(|fields| fields.len() > versions::SELECTABLE_FIELDS_MAX);
    let is_kept = |old: Option<&Value>, new: Option<&Value>| old == new && old.is_some_and(has_many);
    let part = Part::SelectableFields;
    let mut kept = HashSet::new();
    if is_kept(old.shared(part), new.shared(part)) {
        kept.insert("");
    }
    let had = windlass_machinery::tree::by_name(old.spec, "versions");
    for version in new.versions {
        let old_version = had.get(text(version, "name"));
        if old_version.is_some_and(|was| is_kept(old.own(was, part), new.own(version, part))) {
            kept.insert(text(version, "name"));
        }
    }
    kept
}
