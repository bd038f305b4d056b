//! Selectors on stored objects.

use serde_json::Value;
use windlass_api::Status;
use windlass_api::fields::FieldSelector;
use windlass_api::labels::Selector;
use windlass_client::Options;
use windlass_resources::not_a_known_field;
use windlass_store::{Attributes, Item};

use crate::registry::Served;

/// Which objects of a resource a list or watch is about.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    /// Beginning of the keys: `namespace/`, or nothing.
    pub prefix: String,
    /// The one object that `metadata.name` names.
    name: Option<String>,
    labels: Selector,
    fields: FieldSelector,
}

impl Selection {
    pub(crate) fn new(served: &Served, namespace: &str, name: &str, options: &Options) -> Result<Self, Status> {
        for term in options.fields.terms() {
            let known = term.field == "metadata.name"
                || (term.field == "metadata.namespace" && served.resource.is_namespaced())
                || served.resource.selectable.iter().any(|field| field.name == term.field);
            if !known {
                let field = &term.field;
                let is_plain = served.resource.selectable.is_empty() && !served.resource.is_custom();
                let why = served.resource.strategy.unselectable(field).unwrap_or_else(|| match is_plain {
                    true => not_a_known_field(field),
                    false => format!("field label not supported: {field}"),
                });
                return Err(Status::bad_request(why));
            }
        }
        let named = options.fields.required_value("metadata.name").map(str::to_owned);
        let of_fields = options.fields.required_value("metadata.namespace").unwrap_or_default();
        let namespace = if namespace.is_empty() { of_fields } else { namespace };
        let prefix = match served.resource.is_namespaced() && !namespace.is_empty() {
            true => format!("{namespace}/"),
            false => String::new(),
        };
        let name = if name.is_empty() { named } else { Some(name.to_owned()) };
        Ok(Self { prefix, name, labels: options.labels.clone(), fields: options.fields.clone() })
    }

    /// Whether every object with the prefix is meant.
    pub(crate) fn is_all(&self) -> bool {
        self.name.is_none() && self.labels.is_everything() && self.fields.is_everything()
    }

    /// The key of the one object that can match, when there is only one.
    pub(crate) fn only_key(&self, served: &Served) -> Option<String> {
        let name = self.name.as_ref()?;
        match (served.resource.is_namespaced(), self.prefix.is_empty()) {
            (true, true) => None,
            _ => Some(format!("{}{name}", self.prefix)),
        }
    }

    pub(crate) fn matches(&self, served: &Served, item: &Item) -> bool {
        if !item.key.starts_with(&self.prefix) || self.name.as_deref().is_some_and(|name| name != item.name()) {
            return false;
        }
        if self.labels.is_everything() && self.fields.is_everything() {
            return true;
        }
        // What is kept with an item is read as it is stored; another view of it calls its fields otherwise, and a definition may
        // begin to select by others.
        let resource = &served.resource;
        let is_lasting = resource.strategy.is_stored_form(item.revision)
            && (resource.selectable.is_empty() || !resource.is_custom());
        let of_view;
        let attributes = if is_lasting {
            item.attributes(|item| read(served, item))
        } else {
            of_view = read(served, item);
            &of_view
        };
        self.labels.matches(attributes)
            && self.fields.matches(|field| match field {
                "metadata.name" => Some(item.name()),
                "metadata.namespace" => Some(item.namespace()),
                _ => attributes.field(field),
            })
    }
}

fn read(served: &Served, item: &Item) -> Attributes {
    let mut picked = served.selection.pick(&item.value).into_iter();
    let mut labels: Vec<(Box<str>, Box<str>)> = match picked.next().flatten() {
        Some(Value::Object(labels)) => labels
            .into_iter()
            .map(|(key, value)| (key.into_boxed_str(), value.as_str().unwrap_or_default().into()))
            .collect(),
        _ => Vec::new(),
    };
    labels.sort();
    let mut fields: Vec<(Box<str>, Box<str>)> = served
        .resource
        .selectable
        .iter()
        .zip(picked)
        .map(|(field, value)| {
            let text = match value {
                None | Some(Value::Null) => field.absent.clone().into_owned(),
                Some(Value::String(text)) => text,
                Some(other) => other.to_string(),
            };
            (Box::from(&*field.name), text.into_boxed_str())
        })
        .collect();
    for field in served.resource.selectable.iter().filter(|field| !field.instead.is_empty()) {
        let of = |name: &str| fields.iter().position(|(own, _)| **own == *name);
        if let (Some(own), Some(instead)) = (of(&field.name), of(&field.instead))
            && fields[own].1.is_empty()
        {
            fields[own].1 = fields[instead].1.clone();
        }
    }
    fields.sort();
    Attributes { labels: labels.into(), fields: fields.into() }
}
