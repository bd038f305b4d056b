//! Bearer tokens: issued to service accounts, and turned back into users.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use windlass_api::Status;
use windlass_auth::User;
use windlass_auth::authentication::{Bound, Claims, Grant, Objects, bootstrap_user, service_account_user};
use windlass_pki::{PublicKey, TokenSigner, TokenVerifier};

/// Signatures that have been checked lately; checking one costs a hundred times a look at this.
const CHECKED_MAX: usize = 1024;

/// The keys of the cluster's service accounts.
pub struct Tokens {
    signer: TokenSigner,
    verifier: TokenVerifier,
    /// `https://kubernetes.default.svc.cluster.local`, and the audience of tokens that name none.
    issuer: String,
    checked: Mutex<HashMap<String, Arc<Claims>>>,
}

impl Tokens {
    /// Tokens that were signed with `earlier` keys stay valid.
    pub fn new(signer: TokenSigner, earlier: Vec<PublicKey>, issuer: &str) -> Self {
        let keys = [signer.public_key().clone()].into_iter().chain(earlier);
        let verifier = TokenVerifier::new(keys);
        Self { signer, verifier, issuer: issuer.to_owned(), checked: Mutex::default() }
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(crate) fn keys(&self) -> &[PublicKey] {
        self.verifier.keys()
    }

    pub(crate) fn sign(&self, grant: Grant<'_>) -> Result<String, Status> {
        self.signer.sign(&grant.claims()).map_err(Status::internal)
    }

    /// A token without end of a service account, for the Secret that is to hold it.
    pub(crate) fn sign_for_secret(&self, namespace: &str, account: Bound, secret: &str) -> Result<String, Status> {
        self.signer.sign(&Claims::of_secret(namespace, account, secret)).map_err(Status::internal)
    }

    /// The claims of a token of ours, whatever they say.
    fn claims(&self, token: &str) -> Option<Arc<Claims>> {
        if let Some(claims) = self.checked.lock().get(token) {
            return Some(claims.clone());
        }
        let verified = self.verifier.verify(token).ok()?;
        let claims: Arc<Claims> = Arc::new(serde_json::from_value(verified.claims).ok()?);
        let mut checked = self.checked.lock();
        if checked.len() >= CHECKED_MAX {
            checked.clear();
        }
        checked.insert(token.to_owned(), claims.clone());
        Some(claims)
    }

    /// For whom a token is, of those that are asked for: all of them, when it does not say.
    pub(crate) fn audiences(&self, token: &str, asked: &[String]) -> Vec<String> {
        let own = self.claims(token).map(|claims| claims.aud.clone()).unwrap_or_default();
        asked.iter().filter(|audience| own.is_empty() || own.contains(audience)).cloned().collect()
    }

    pub(crate) fn user(
        &self,
        token: &str,
        audiences: Option<&[String]>,
        objects: &dyn Objects,
        now: Timestamp,
    ) -> Option<User> {
        let own = [self.issuer.clone()];
        match self.claims(token) {
            Some(claims) => service_account_user(token, &claims, &self.issuer, audiences.unwrap_or(&own), objects, now),
            None => bootstrap_user(token, objects, now),
        }
    }
}
