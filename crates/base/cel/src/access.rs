//! The expressions that configure authentication and authorization: what they may name, and the types of that.
//!
//! Source: apiserver `pkg/authentication/cel` and `pkg/authorization/cel`.

use std::sync::LazyLock;

use crate::admission::types::{USER, object, texts};
use crate::env::Env;
use crate::library::Mode;
use crate::types::Type;

/// The claims of a token.
pub const CLAIMS: &str = "claims";
/// The user that claims have been mapped to.
pub const USER_INFO: &str = "user";
/// The `spec` of a SubjectAccessReview.
pub const REQUEST: &str = "request";

/// For mappings of claims and for rules about them.
pub fn claims_env() -> Env {
    Env::new(Mode::Stored).variable(CLAIMS, Type::map(Type::String, Type::Dyn))
}

/// For rules about the user.
pub fn user_env() -> Env {
    Env::new(Mode::Stored).variable(USER_INFO, USER.clone())
}

/// For the match conditions of an authorization webhook.
pub fn access_review_env() -> Env {
    Env::new(Mode::Stored).variable(REQUEST, REVIEW.clone())
}

static REVIEW: LazyLock<Type> = LazyLock::new(|| {
    let requirement = object(
        "kubernetes.SelectorRequirement",
        [("key", Type::String), ("operator", Type::String), ("values", texts())],
    );
    let selector =
        |name| object(name, [("rawSelector", Type::String), ("requirements", Type::list(requirement.clone()))]);
    let resource = object(
        "kubernetes.ResourceAttributes",
        [
            ("namespace", Type::String),
            ("verb", Type::String),
            ("group", Type::String),
            ("version", Type::String),
            ("resource", Type::String),
            ("subresource", Type::String),
            ("name", Type::String),
            ("fieldSelector", selector("kubernetes.FieldSelectorAttributes")),
            ("labelSelector", selector("kubernetes.LabelSelectorAttributes")),
        ],
    );
    let path = object("kubernetes.NonResourceAttributes", [("path", Type::String), ("verb", Type::String)]);
    object(
        "kubernetes.SubjectAccessReviewSpec",
        [
            ("resourceAttributes", resource),
            ("nonResourceAttributes", path),
            ("user", Type::String),
            ("groups", texts()),
            ("extra", Type::map(Type::String, texts())),
            ("uid", Type::String),
        ],
    )
});
