//! What the expressions of a policy do not agree on with the schemas of the kinds that it is about.

use serde_json::{Value, json};
use windlass_api::GroupVersionKind;
use windlass_cel::admission::{Declarations, Environment, KnownTypes};
use windlass_cel::{Env, Patterns};
use windlass_machinery::tree::{items, text};

/// Bytes of all warnings together: a status has to fit into an object.
const WARNINGS_BYTES_MAX: usize = 256 * 1024;

/// A kind that a policy is about.
pub(super) struct Checked {
    pub kind: GroupVersionKind,
    pub types: KnownTypes,
}

/// The warnings about a policy's validations and their messages, each with the field that it is about.
pub(super) fn warnings(spec: &Value, checked: &[Checked]) -> Vec<Value> {
    let declarations = Declarations { params: spec["paramKind"].is_object(), authorizer: true };
    let envs: Vec<(&GroupVersionKind, Env)> =
        checked.iter().map(|checked| (&checked.kind, env(spec, declarations, &checked.types))).collect();
    let (mut warnings, mut bytes) = (Vec::new(), 0);
    for (index, validation) in items(spec, "validations").enumerate() {
        for field in ["expression", "messageExpression"] {
            let expression = text(validation, field);
            if field == "messageExpression" && expression.is_empty() {
                continue;
            }
            let found = envs.iter().filter_map(|(kind, env)| warning(kind, env, expression));
            let found: Vec<String> = found.collect();
            if found.is_empty() {
                continue;
            }
            let warning = found.join("\n");
            bytes += warning.len();
            if bytes > WARNINGS_BYTES_MAX {
                return warnings;
            }
            warnings.push(json!({"fieldRef": format!("spec.validations[{index}].{field}"), "warning": warning}));
        }
    }
    warnings
}

/// What expressions may name, the policy's variables included. One that is wrong may be of any type.
fn env(spec: &Value, declarations: Declarations, types: &KnownTypes) -> Env {
    let mut environment = Environment::of_policy(Patterns::of_expressions());
    for variable in items(spec, "variables") {
        let compiled = environment.typed_env(declarations, types).compile(text(variable, "expression"));
        environment.add(text(variable, "name"), compiled.as_ref().ok().map(|expression| expression.output_type()));
    }
    environment.typed_env(declarations, types)
}

fn warning(kind: &GroupVersionKind, env: &Env, expression: &str) -> Option<String> {
    let issues = env.compile(expression).err()?;
    let GroupVersionKind { group, version, kind } = kind;
    Some(format!("{group}/{version}, Kind={kind}: {issues}\n"))
}

#[cfg(test)]
mod tests {
    use super::super::schemas::builtin_type;
    use super::*;

    fn found(group: &'static str, kind: &'static str, spec: &Value) -> Vec<(String, String)> {
        let of = |group, kind| builtin_type(&GroupVersionKind::of(group, "v1", kind)).unwrap();
        let types = KnownTypes { object: of(group, kind), params: of("", "ConfigMap") };
        let all = warnings(spec, &[Checked { kind: GroupVersionKind::of(group, "v1", kind), types }]);
        let part = |warning: &Value, field: &str| text(warning, field).to_owned();
        all.iter().map(|warning| (part(warning, "fieldRef"), part(warning, "warning"))).collect()
    }

    #[test]
    fn types_of_builtin_kinds() {
        let spec = json!({
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "variables": [{"name": "replicas", "expression": "object.spec.replicas"}],
        "validations": [
            {"expression": "object.spec.replicas > 1 && oldObject.metadata.labels.size() > 0"},
            {"expression": "object.spec.replicas > '1'", "messageExpression": "'got ' + object.spec.replicas"},
            {"expression": "variables.replicas == ''"},
            {"expression": "params.data.max == 1"},
            {"expression": "object.spec.template.spec.containers.all(c, c.livenessProbe.httpGet.port == 80 || c.livenessProbe.httpGet.port == 'web')"},
            {"expression": "object.spec.template.spec.nodes == 1"},
        ]});
        let found = found("apps", "Deployment", &spec);
        let fields: Vec<&str> = found.iter().map(|(field, _)| field.as_str()).collect();
        let expected = [
            "spec.validations[1].expression",
            "spec.validations[1].messageExpression",
            "spec.validations[2].expression",
            "spec.validations[3].expression",
            "spec.validations[5].expression",
        ];
        assert_eq!(fields, expected);
        let first = "apps/v1, Kind=Deployment: ERROR: <input>:1:22: found no matching overload for '_>_' applied to '(int, string)'\n | object.spec.replicas > '1'\n | .....................^\n";
        assert_eq!(found[0].1, first);
        assert!(
            found[1].1.contains("found no matching overload for '_+_' applied to '(string, int)'"),
            "{}",
            found[1].1
        );
        assert!(found[4].1.contains("undefined field 'nodes'"), "{}", found[4].1);
    }

    #[test]
    fn kinds_that_contain_themselves() {
        let spec = json!({"validations": [{"expression": "object.spec.versions.all(v, v.schema.openAPIV3Schema.type == 'object')"}]});
        let all = found("apiextensions.k8s.io", "CustomResourceDefinition", &spec);
        assert_eq!(all, [], "the schema is an object like any other");
    }
}
