//! Tokens that were created for pods, until it is time for others.
//!
//! A token is renewed when a fifth of its life is left, and after a day at the latest; one that cannot be renewed serves until its
//! end. As upstream's token manager.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;

use crate::sources::{SourceError, Sources, Token, TokenRequest};

const RENEW_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);
const TOKENS_MAX: usize = 20_000;
/// After a renewal that failed, the next is tried that much later.
const RETRY_AFTER: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(crate) struct Tokens {
    cache: Mutex<HashMap<TokenRequest, Token>>,
}

impl Tokens {
    /// The token for `request`, and when it ought to be asked for again.
    pub(crate) async fn get(
        &self,
        request: &TokenRequest,
        sources: &dyn Sources,
        now: Timestamp,
    ) -> Result<(Token, Timestamp), SourceError> {
        let known = self.cache.lock().get(request).cloned();
        if let Some(token) = &known {
            let due = renew_at(token, request.expiration_seconds);
            if now < due {
                return Ok((token.clone(), due));
            }
        }
        match (sources.token(request).await, known) {
            (Ok(token), _) => {
                let mut cache = self.cache.lock();
                if cache.len() >= TOKENS_MAX {
                    cache.retain(|_, token| token.expires_at > now);
                }
                cache.insert(request.clone(), token.clone());
                let due = renew_at(&token, request.expiration_seconds);
                Ok((token, due))
            }
            (Err(error), Some(token)) if token.expires_at > now => {
                tracing::warn!(pod = request.pod_name, namespace = request.namespace, %error, "couldn't update token");
                Ok((token, now.saturating_add(RETRY_AFTER).unwrap_or(now)))
            }
            (Err(error), Some(_)) => Err(SourceError(format!("token expired and refresh failed: {error}"))),
            (Err(error), None) => Err(SourceError(format!("failed to fetch token: {error}"))),
        }
    }

    /// Forgets the tokens of a pod that is gone.
    pub(crate) fn forget(&self, pod_uid: &str) {
        self.cache.lock().retain(|request, _| request.pod_uid != pod_uid);
    }
}

fn renew_at(token: &Token, lifetime_seconds: i64) -> Timestamp {
    let lifetime = Duration::from_secs(u64::try_from(lifetime_seconds).unwrap_or(0));
    let issued = token.expires_at.saturating_sub(lifetime).unwrap_or(Timestamp::MIN);
    let fifth_left = token.expires_at.saturating_sub(lifetime / 5).unwrap_or(token.expires_at);
    issued.saturating_add(RENEW_AFTER_MAX).unwrap_or(fifth_left).min(fifth_left)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use async_trait::async_trait;
    use windlass_api::k8s::api::core::v1::{PersistentVolume, Pod};

    use super::*;
    use crate::plan::{CertificateSource, TrustBundle};
    use crate::sources::{ConfigMapData, Credentials, SecretData};

    /// Issues tokens that end at the given second; a negative one fails.
    struct Issuer(AtomicI64);

    #[async_trait]
    impl Sources for Issuer {
        async fn config_map(&self, _: &str, _: &str) -> Result<Option<Arc<ConfigMapData>>, SourceError> {
            Ok(None)
        }

        async fn secret(&self, _: &str, _: &str) -> Result<Option<Arc<SecretData>>, SourceError> {
            Ok(None)
        }

        async fn token(&self, _: &TokenRequest) -> Result<Token, SourceError> {
            match self.0.load(Ordering::SeqCst) {
                end if end < 0 => Err(SourceError("the API server is away".into())),
                end => Ok(Token { token: format!("until-{end}"), expires_at: at(end) }),
            }
        }

        async fn trust_bundle(&self, _: &TrustBundle) -> Result<Option<Vec<u8>>, SourceError> {
            Ok(None)
        }

        async fn credentials(&self, _: &Pod, _: &CertificateSource) -> Result<Arc<Credentials>, SourceError> {
            Err(SourceError("no certificates here".into()))
        }

        async fn claim(&self, _: &str, _: &str) -> Result<Arc<PersistentVolume>, SourceError> {
            Err(SourceError("no claims here".into()))
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn request(expiration_seconds: i64) -> TokenRequest {
        TokenRequest {
            namespace: "ns".into(),
            service_account: "sa".into(),
            audience: None,
            expiration_seconds,
            pod_name: "p".into(),
            pod_uid: "u".into(),
        }
    }

    #[tokio::test]
    async fn kept_renewed_and_stretched() {
        let (tokens, issuer) = (Tokens::default(), Issuer(AtomicI64::new(3600)));
        let get = async |now| tokens.get(&request(3600), &issuer, at(now)).await.map(|(token, due)| (token.token, due));
        assert_eq!(get(0).await, Ok(("until-3600".into(), at(2880))));
        issuer.0.store(7200, Ordering::SeqCst);
        assert_eq!(get(2879).await, Ok(("until-3600".into(), at(2880))));
        assert_eq!(get(2880).await, Ok(("until-7200".into(), at(6480))));
        issuer.0.store(-1, Ordering::SeqCst);
        assert_eq!(get(6480).await, Ok(("until-7200".into(), at(6490))), "the old one is still good");
        let error = get(7200).await.unwrap_err().to_string();
        assert_eq!(error, "token expired and refresh failed: the API server is away");
        tokens.forget("u");
        assert_eq!(get(7200).await.unwrap_err().to_string(), "failed to fetch token: the API server is away");
    }

    #[test]
    fn a_day_at_most() {
        let year = 365 * 86_400;
        let token = Token { token: String::new(), expires_at: at(year) };
        assert_eq!(renew_at(&token, year), at(86_400));
    }
}
