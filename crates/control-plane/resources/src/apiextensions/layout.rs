//! The spec of a definition as upstream's internal form has it: what all versions have alike stands once, at the top, and not in
//! the versions. Errors name fields of this form (`spec.validation`, `spec.versions[1].schema`).
//!
//! Source: upstream `apiextensions/v1/conversion.go`.

use serde_json::Value;

use crate::rules::at;

use super::schema::Schema;

/// A part that versions may have alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Schema,
    Subresources,
    Columns,
    SelectableFields,
}

impl Part {
    /// The field of a version that has it.
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::Subresources => "subresources",
            Self::Columns => "additionalPrinterColumns",
            Self::SelectableFields => "selectableFields",
        }
    }

    /// What a version says of it, be it alone or with all others.
    pub(super) fn of(self, version: &Value) -> Option<&Value> {
        at(version, self.field())
    }
}

/// A spec, and which parts its versions have alike.
pub(super) struct Layout<'a> {
    pub(super) spec: &'a Value,
    pub(super) versions: &'a [Value],
    alike: [bool; 4],
}

impl<'a> Layout<'a> {
    /// Compares every version with the first.
    pub(super) fn of(definition: &'a Value) -> Self {
        let spec = &definition["spec"];
        let versions = spec.get("versions").and_then(Value::as_array).map_or(&[] as &[Value], Vec::as_slice);
        let is_alike = |part: Part| match versions {
            [] => false,
            [first, others @ ..] => others.iter().all(|version| part.of(version) == part.of(first)),
        };
        let alike = [Part::Schema, Part::Subresources, Part::Columns, Part::SelectableFields].map(is_alike);
        Self { spec, versions, alike }
    }

    fn is_alike(&self, part: Part) -> bool {
        self.alike[part as usize]
    }

    /// What all versions have.
    pub(super) fn shared(&self, part: Part) -> Option<&'a Value> {
        self.versions.first().filter(|_| self.is_alike(part)).and_then(|first| part.of(first))
    }

    /// What a version has for itself.
    pub(super) fn own(&self, version: &'a Value, part: Part) -> Option<&'a Value> {
        part.of(version).filter(|_| !self.is_alike(part))
    }

    /// Every schema of the definition once.
    pub(super) fn schemas(&self) -> impl Iterator<Item = Schema<'a>> {
        let own = self.versions.iter().filter_map(|version| self.own(version, Part::Schema));
        self.shared(Part::Schema).into_iter().chain(own).filter_map(Schema::of_validation)
    }

    /// Whether something holds anywhere in the schemas.
    pub(super) fn any(&self, holds: &dyn Fn(Schema<'_>) -> bool) -> bool {
        self.schemas().any(|schema| schema.any(holds))
    }

    /// `spec.preserveUnknownFields`.
    pub(super) fn preserves_unknown_fields(&self) -> bool {
        crate::rules::is_true(self.spec, "preserveUnknownFields")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_versions_have_alike_stands_once() {
        let schema = json!({"openAPIV3Schema": {"type": "object"}});
        let definition = json!({"spec": {"versions": [
            {"name": "v1", "schema": schema, "subresources": {"status": {}}},
            {"name": "v2", "schema": schema}
        ]}});
        let layout = Layout::of(&definition);
        let second = &layout.versions[1];
        assert_eq!(layout.shared(Part::Schema), Some(&schema));
        assert_eq!(layout.own(second, Part::Schema), None);
        assert_eq!(Part::Schema.of(second), Some(&schema));
        assert_eq!(layout.shared(Part::Subresources), None);
        assert_eq!(layout.own(&layout.versions[0], Part::Subresources), Some(&json!({"status": {}})));
        assert_eq!((layout.shared(Part::Columns), layout.schemas().count()), (None, 1));
        assert_eq!(Layout::of(&json!({"spec": {"versions": null}})).schemas().count(), 0);
    }
}
