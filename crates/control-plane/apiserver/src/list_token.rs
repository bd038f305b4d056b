//! The token that asks for the rest of a list: the revision of the first page, and the last key of the page before.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::{DecodeError, Engine as _};
use serde::{Deserialize, Serialize};
use windlass_api::Status;
use windlass_machinery::go_json;

const VERSION: &str = "meta.k8s.io/v1";

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Wire {
    v: String,
    rv: i64,
    start: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ListToken {
    /// `None` goes on at the present: what a client gets when the first page's revision has been compacted.
    pub revision: Option<u64>,
    /// The next page begins after this key.
    pub after: String,
}

impl ListToken {
    pub(crate) fn encode(&self) -> String {
        let rv = self.revision.map_or(-1, |revision| revision as i64);
        let wire = Wire { v: VERSION.to_owned(), rv, start: format!("{}\0", self.after) };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&wire).expect("strings and a number are written without failure"))
    }

    pub(crate) fn decode(token: &str) -> Result<Self, Status> {
        let refuse =
            |why: &str| Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"));
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|error| {
            let at = match error {
                DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => at,
                DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => token.len() / 4 * 4,
            };
            refuse(&format!("illegal base64 data at input byte {at}"))
        })?;
        let wire: Wire = serde_json::from_slice(&bytes)
            .map_err(|error| refuse(&go_json::syntax_error(&bytes).unwrap_or_else(|| error.to_string())))?;
        if wire.v != VERSION {
            return Err(refuse(&format!("server does not recognize this encoded version {:?}", wire.v)));
        }
        let after = wire.start.strip_suffix('\0').ok_or_else(|| refuse("no start"))?.to_owned();
        match wire.rv {
            -1 => Ok(Self { revision: None, after }),
            0 => Err(refuse("incorrect encoded start resourceVersion (version meta.k8s.io/v1)")),
            rv => Ok(Self { revision: Some(rv as u64), after }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        for revision in [None, Some(7)] {
            let token = ListToken { revision, after: "a/b".to_owned() };
            assert_eq!(ListToken::decode(&token.encode()).unwrap(), token);
        }
        for bad in ["", "!", "e30", &URL_SAFE_NO_PAD.encode(r#"{"v":"x","rv":1,"start":"a\u0000"}"#)] {
            assert_eq!(ListToken::decode(bad).unwrap_err().code, 400, "{bad}");
        }
    }
}
