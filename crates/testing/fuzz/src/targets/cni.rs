//! Results and configurations of CNI plugins.

use windlass_cni::{AddResult, CachedAttachment, NetworkConfig, SUPPORTED_VERSIONS};

use crate::memory::bounded;

pub(super) fn run(input: &[u8]) {
    if let Ok(result) = bounded(input.len(), || serde_json::from_slice::<AddResult>(input)) {
        let written = serde_json::to_vec(&result).expect("a result is written");
        assert_eq!(serde_json::from_slice::<AddResult>(&written).expect("a result is read again"), result);
        assert!(result.sandbox_addresses().len() <= result.ips.len());
        for version in SUPPORTED_VERSIONS {
            let said = result.clone().to_version(version);
            let written = serde_json::to_vec(&said).expect("a result is written");
            assert_eq!(serde_json::from_slice::<AddResult>(&written).expect("a result is read again"), said);
            assert_eq!(said.sandbox_addresses(), result.sandbox_addresses());
        }
    }
    for read in [NetworkConfig::from_list, NetworkConfig::from_single] {
        let Ok(network) = bounded(input.len(), || read(input)) else { continue };
        assert!(!network.name.contains('/'), "{:?} becomes a part of paths", network.name);
        assert!(network.plugins.iter().all(|plugin| !plugin.kind.contains('/')), "a plugin is named by a path");
        let again = NetworkConfig::from_list(&network.source).expect("what is kept for DEL is read again");
        assert_eq!((again.name, again.plugins.len()), (network.name, network.plugins.len()));
    }
    if let Ok(attachment) = serde_json::from_slice::<CachedAttachment>(input) {
        let written = serde_json::to_vec(&attachment).expect("an attachment is written");
        let again: CachedAttachment = serde_json::from_slice(&written).expect("an attachment is read again");
        assert_eq!(again, attachment);
    }
}
