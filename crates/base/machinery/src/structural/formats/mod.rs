//! Formats of texts and numbers: those that v1.37 enforces for custom resources. Of any other format a schema may speak, but
//! nobody looks.
//!
//! Source: apiextensions-apiserver `pkg/apiserver/validation/formats.go`, kube-openapi `pkg/validation/strfmt`.

mod codes;
mod email;
mod network;
mod times;
mod uri;

use serde_json::Value;
use windlass_api::names;

use super::kind::Kind;

/// A format under the name that the schema gives it, which messages show: `date-time` and `datetime` are the same.
#[derive(Debug)]
pub(super) struct Format {
    name: Box<str>,
    rule: Rule,
}

#[derive(Clone, Copy, Debug)]
enum Rule {
    Text(fn(&str) -> bool),
    Number(Width),
}

/// What a number must fit in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    Int32,
    Int64,
    Float,
    Double,
}

impl Width {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float => "float",
            Self::Double => "double",
        }
    }
}

impl Format {
    /// The format of a schema, if it is one that values of this type are held against.
    pub(super) fn read(schema: &Value, kind: Kind) -> Option<Self> {
        let name = schema.get("format")?.as_str()?;
        let rule = match (kind, name) {
            (Kind::Any | Kind::String | Kind::IntOrString, _) => Rule::Text(text_rule(&name.replace('-', ""))?),
            (Kind::Integer, "int32") => Rule::Number(Width::Int32),
            (Kind::Integer, "int64") => Rule::Number(Width::Int64),
            (Kind::Number, "float") => Rule::Number(Width::Float),
            (Kind::Number, "double") => Rule::Number(Width::Double),
            _ => return None,
        };
        Some(Self { name: name.into(), rule })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn width(&self) -> Option<Width> {
        match self.rule {
            Rule::Number(width) => Some(width),
            Rule::Text(_) => None,
        }
    }

    pub(super) fn is_of_text(&self) -> bool {
        matches!(self.rule, Rule::Text(_))
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        match self.rule {
            Rule::Text(rule) => rule(text),
            Rule::Number(_) => true,
        }
    }
}

/// The rule behind a name that has lost its dashes.
fn text_rule(name: &str) -> Option<fn(&str) -> bool> {
    Some(match name {
        "bsonobjectid" => codes::is_object_id,
        "uri" => uri::is_request_uri,
        "email" => email::is_email,
        "hostname" => network::is_hostname,
        "ipv4" => network::is_ipv4,
        "ipv6" => network::is_ipv6,
        "cidr" => network::is_cidr,
        "mac" => network::is_mac,
        "uuid" => codes::is_uuid,
        "uuid3" => codes::is_uuid3,
        "uuid4" => codes::is_uuid4,
        "uuid5" => codes::is_uuid5,
        "isbn" => codes::is_isbn,
        "isbn10" => codes::is_isbn10,
        "isbn13" => codes::is_isbn13,
        "creditcard" => codes::is_credit_card,
        "ssn" => codes::is_ssn,
        "hexcolor" => codes::is_hex_color,
        "rgbcolor" => codes::is_rgb_color,
        "byte" => codes::is_base64,
        "password" => |_| true,
        "date" => times::is_date,
        "duration" => times::is_duration,
        "datetime" => times::is_date_time,
        "k8sshortname" => |text| names::dns1123_label(text).is_empty(),
        "k8slongname" => |text| names::dns1123_subdomain(text).is_empty(),
        _ => return None,
    })
}
