//! The answer to an AdmissionReview.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::Value;
use windlass_api::text::null_is_default;

pub(super) const GROUP: &str = "admission.k8s.io";
pub(super) const KIND: &str = "AdmissionReview";

/// What a webhook says of a write.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Response {
    #[serde(deserialize_with = "null_is_default")]
    uid: String,
    #[serde(deserialize_with = "null_is_default")]
    pub allowed: bool,
    /// A `Status` that says why not.
    #[serde(rename = "status")]
    pub result: Option<Value>,
    /// In base64.
    patch: Option<String>,
    patch_type: Option<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub audit_annotations: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_is_default")]
    pub warnings: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    api_version: String,
    response: Option<Response>,
}

impl Response {
    /// Reads an answer to a review of `version`, about which the request had the uid. The error says what of it cannot be.
    pub(crate) fn read(body: &[u8], version: &str, uid: &str, may_patch: bool) -> Result<Self, String> {
        let review: Review = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let response = review.response.ok_or("webhook response was absent")?;
        // Of v1beta1, neither has ever been asked.
        if version == "v1" {
            if response.uid != uid {
                return Err(format!("expected response.uid={uid:?}, got {:?}", response.uid));
            }
            if review.api_version != format!("{GROUP}/v1") || review.kind != KIND {
                let (found, kind) = (review.api_version, review.kind);
                return Err(format!("expected webhook response of {GROUP}/v1, Kind={KIND}, got {found}, Kind={kind}"));
            }
            response.check_patch(may_patch)?;
        }
        Ok(response)
    }

    fn check_patch(&self, may_patch: bool) -> Result<(), String> {
        let has_patch = self.patch.as_ref().is_some_and(|patch| !patch.is_empty());
        let problem = match (may_patch, has_patch, self.patch_type.as_deref()) {
            (false, true, _) => "validating webhook may not return response.patch",
            (false, _, Some(_)) => "validating webhook may not return response.patchType",
            (true, true, None) => "webhook returned response.patch but not response.patchType",
            (true, false, Some(_)) => "webhook returned response.patchType but not response.patch",
            (true, true, Some("")) => "webhook returned invalid response.patchType of \"\"",
            _ => return Ok(()),
        };
        Err(problem.to_owned())
    }

    /// The JSON patch, if there is one.
    pub(crate) fn patch(&self) -> Result<Option<Value>, String> {
        let Some(patch) = self.patch.as_ref().filter(|patch| !patch.is_empty()) else { return Ok(None) };
        if let Some(other) = self.patch_type.as_deref().filter(|kind| *kind != "JSONPatch") {
            return Err(format!("unsupported patch type {other:?}"));
        }
        let undecodable =
            |error: &dyn std::fmt::Display| format!("received undecodable patch in webhook response: {error}");
        let bytes = BASE64.decode(patch).map_err(|error| undecodable(&error))?;
        let patch: Value = serde_json::from_slice(&bytes).map_err(|error| undecodable(&error))?;
        if !patch.is_array() {
            return Err(undecodable(&"it is no list of operations"));
        }
        Ok(Some(patch).filter(|patch| patch.as_array().is_some_and(|operations| !operations.is_empty())))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(response: &Value, may_patch: bool) -> Result<Response, String> {
        let review = json!({"kind": KIND, "apiVersion": "admission.k8s.io/v1", "response": response});
        Response::read(review.to_string().as_bytes(), "v1", "u", may_patch)
    }

    #[test]
    fn what_cannot_be() {
        let patch = BASE64.encode("[]");
        let cases = [
            (json!(null), true, "webhook response was absent"),
            (json!({"uid": "v"}), true, "expected response.uid=\"u\", got \"v\""),
            (json!({"uid": "u", "patch": patch}), true, "webhook returned response.patch but not response.patchType"),
            (json!({"uid": "u", "patch": patch}), false, "validating webhook may not return response.patch"),
            (
                json!({"uid": "u", "patchType": "JSONPatch"}),
                false,
                "validating webhook may not return response.patchType",
            ),
            (
                json!({"uid": "u", "patchType": "JSONPatch"}),
                true,
                "webhook returned response.patchType but not response.patch",
            ),
        ];
        for (response, may_patch, why) in cases {
            assert_eq!(read(&response, may_patch).unwrap_err(), why);
        }
        let other = Response::read(br#"{"kind":"Pod","apiVersion":"v1","response":{"uid":"u"}}"#, "v1", "u", false);
        let why = "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got v1, Kind=Pod";
        assert_eq!(other.unwrap_err(), why);
        let old = Response::read(br#"{"response":{"allowed":true,"patch":"W10="}}"#, "v1beta1", "u", true).unwrap();
        assert!(old.allowed && old.patch().unwrap().is_none());
    }

    #[test]
    fn patches() {
        let patch = |text: &str, kind: &str| {
            read(&json!({"uid": "u", "patch": BASE64.encode(text), "patchType": kind}), true).unwrap().patch()
        };
        assert_eq!(patch(r#"[{"op":"remove","path":"/a"}]"#, "JSONPatch").unwrap().unwrap()[0]["op"], "remove");
        assert_eq!(patch("[]", "JSONPatch").unwrap(), None);
        assert_eq!(patch("[]", "Merge").unwrap_err(), "unsupported patch type \"Merge\"");
        let broken = patch("{}", "JSONPatch").unwrap_err();
        assert!(broken.starts_with("received undecodable patch in webhook response: "), "{broken}");
    }
}
