//! What validation demands of a definition. Rules came to be over the years: a new definition has to follow all of them, and
//! an update only those that the old one followed ([`super::ratcheting`]).

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;
use windlass_cel::{Mode, Patterns};
use windlass_machinery::tree::text;

use crate::definition::rules::Modes;

/// Which rules a definition has to follow.
#[derive(Clone, Debug)]
pub(super) struct Demands<'a> {
    /// A webhook knows a version of reviews that we know.
    pub(super) known_review_version: bool,
    /// Scope and kind stay as they are.
    pub(super) immutable_names: bool,
    /// Every version has a schema.
    pub(super) schemas: bool,
    /// Types in schemas are those of OpenAPI.
    pub(super) valid_types: bool,
    /// Schemas are structural.
    pub(super) structural: bool,
    /// Defaults have no fields that their schema does not know.
    pub(super) pruned_defaults: bool,
    /// Items of sets are compared as wholes.
    pub(super) atomic_sets: bool,
    /// Items of maps have their keys, and no item of a set or map is null.
    pub(super) keyed_items: bool,
    pub(super) valid_ca_bundle: bool,
    /// The versions that keep more selectable fields than there may be; the empty name is for those of all versions.
    pub(super) too_many_fields: HashSet<&'a str>,
    /// The expressions that the definition had before, as rules and as messages. They may use all functions that there are, others only
    /// those that the previous release knows as well.
    pub(super) had_rules: HashSet<&'a str>,
    pub(super) had_messages: HashSet<&'a str>,
    /// The versions whose schema is what it was.
    pub(super) unchanged_schemas: HashSet<&'a str>,
    pub(super) budgets: Budgets,
}

/// The regular expressions of all versions of a definition, which are charged to one budget.
#[derive(Clone, Debug)]
pub(super) struct Budgets {
    /// Each `pattern`.
    pub(super) schemas: Arc<Patterns>,
    /// Those that are constant in rules and messages.
    pub(super) rules: Arc<Patterns>,
}

impl Budgets {
    pub(super) fn new() -> Self {
        Self { schemas: Patterns::of_schemas(), rules: Patterns::of_expressions() }
    }

    /// For a schema that was accepted already, when there were no budgets.
    pub(super) fn accepted() -> Self {
        Self { schemas: Patterns::accepted(), rules: Patterns::accepted() }
    }
}

impl Demands<'_> {
    /// Of a new definition. Nothing is stored yet that a change of names could lose, and a bundle may still be filled in.
    pub(super) fn of_new() -> Self {
        Self {
            known_review_version: true,
            immutable_names: false,
            schemas: true,
            valid_types: true,
            structural: true,
            pruned_defaults: true,
            atomic_sets: true,
            keyed_items: true,
            valid_ca_bundle: false,
            too_many_fields: HashSet::new(),
            had_rules: HashSet::new(),
            had_messages: HashSet::new(),
            unchanged_schemas: HashSet::new(),
            budgets: Budgets::new(),
        }
    }

    /// Which functions the expressions of a rule may use.
    pub(super) fn modes(&self, rule: &Value) -> Modes {
        let mode = |had: &HashSet<&str>, field| if had.contains(text(rule, field)) { Mode::Stored } else { Mode::New };
        Modes { rule: mode(&self.had_rules, "rule"), message: mode(&self.had_messages, "messageExpression") }
    }
}
