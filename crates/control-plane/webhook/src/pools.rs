//! Connections that are kept: a pool for each endpoint, by the name that its certificate must have and the authorities that must have signed it.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use parking_lot::Mutex;
use tokio::time::Instant;
use windlass_http::dial;
use windlass_http::pool::Pool;
use windlass_pki::{Trust, client_config_of};

use crate::config::ConfigError;

/// Pools that are kept, as upstream keeps clients.
const POOLS_MAX: usize = 200;

type SharedPool = Arc<Pool<Full<Bytes>>>;

/// Where a connection goes, and how the other end proves who it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Endpoint {
    pub host: String,
    pub port: u16,
    pub server_name: String,
    /// PEM; the machine's authorities when there is none.
    pub ca_bundle: Vec<u8>,
}

#[derive(Default)]
pub(crate) struct Pools {
    kept: Mutex<HashMap<Endpoint, Kept>>,
}

struct Kept {
    pool: SharedPool,
    used: Instant,
}

impl Pools {
    pub(crate) fn of(&self, endpoint: Endpoint) -> Result<SharedPool, ConfigError> {
        let now = Instant::now();
        let mut all = self.kept.lock();
        if let Some(kept) = all.get_mut(&endpoint) {
            kept.used = now;
            return Ok(kept.pool.clone());
        }
        let pool = Arc::new(pool(&endpoint)?);
        make_room(&mut all);
        all.insert(endpoint, Kept { pool: pool.clone(), used: now });
        Ok(pool)
    }
}

/// Forgets the pool that was used the longest ago, when there are as many as are kept.
fn make_room(all: &mut HashMap<Endpoint, Kept>) {
    if all.len() >= POOLS_MAX {
        let oldest = all.iter().min_by_key(|(_, kept)| kept.used).map(|(key, _)| key.clone());
        oldest.map(|key| all.remove(&key));
    }
}

fn pool(Endpoint { host, port, server_name, ca_bundle }: &Endpoint) -> Result<Pool<Full<Bytes>>, ConfigError> {
    let refuse = |why: &str| ConfigError::Authorities(why.to_owned());
    let roots = dial::roots_of(ca_bundle).ok_or_else(|| refuse("no valid certificate authority data seen"))?;
    let tls = client_config_of(Trust::Authorities(roots), None).map_err(|error| refuse(&error.to_string()))?;
    Ok(Pool::to_address(Arc::new(tls), server_name, host, *port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pools_are_shared_and_bounded() {
        let pools = Pools::default();
        let endpoint = |port: u16, bundle: &str| {
            let (host, server_name) = ("10.0.0.1".to_owned(), "a.n.svc".to_owned());
            Endpoint { host, port, server_name, ca_bundle: bundle.as_bytes().to_vec() }
        };
        let first = pools.of(endpoint(443, "")).unwrap();
        assert!(Arc::ptr_eq(&first, &pools.of(endpoint(443, "")).unwrap()));
        let error = pools.of(endpoint(443, "no certificate")).err();
        assert_eq!(error, Some(ConfigError::Authorities("no valid certificate authority data seen".to_owned())));
        for port in 0..300 {
            pools.of(endpoint(port, "")).unwrap();
        }
        assert_eq!(pools.kept.lock().len(), POOLS_MAX);
    }
}
