//! What a plugin gets on its standard input: its configuration, and what the runtime adds to it.

use serde_json::{Map, Value};

use crate::{NetworkConfig, PluginConfig, ValidAttachment};

/// For ADD, DEL and CHECK. Of the capability arguments a plugin gets those that it says it takes.
pub(super) fn attachment(
    network: &NetworkConfig,
    plugin: &PluginConfig,
    previous: Option<&Value>,
    capabilities: &Map<String, Value>,
) -> Vec<u8> {
    let mut object = common(network, plugin);
    let taken = capabilities.iter().filter(|(name, _)| plugin.capabilities.get(*name) == Some(&true));
    let taken: Map<String, Value> = taken.map(|(name, value)| (name.clone(), value.clone())).collect();
    if !taken.is_empty() {
        object.insert("runtimeConfig".into(), Value::Object(taken));
    }
    if let Some(previous) = previous {
        object.insert("prevResult".into(), previous.clone());
    }
    Value::Object(object).to_string().into_bytes()
}

/// For STATUS.
pub(super) fn status(network: &NetworkConfig, plugin: &PluginConfig) -> Vec<u8> {
    Value::Object(common(network, plugin)).to_string().into_bytes()
}

/// For GC.
pub(super) fn collection(network: &NetworkConfig, plugin: &PluginConfig, valid: &[ValidAttachment]) -> Vec<u8> {
    let mut object = common(network, plugin);
    let valid = serde_json::to_value(valid).unwrap_or_default();
    // The first is the specification's key; the second was in it by mistake, and plugins were written to it.
    object.insert("cni.dev/valid-attachments".into(), valid.clone());
    object.insert("cni.dev/attachments".into(), valid);
    Value::Object(object).to_string().into_bytes()
}

fn common(network: &NetworkConfig, plugin: &PluginConfig) -> Map<String, Value> {
    let mut object = plugin.object.clone();
    object.insert("name".into(), Value::String(network.name.clone()));
    object.insert("cniVersion".into(), Value::String(network.cni_version.to_string()));
    object
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn requests() {
        let network = NetworkConfig::from_list(
            br#"{"cniVersion":"1.1.0","name":"n","plugins":[
                {"type":"a","name":"other","key":1,"capabilities":{"portMappings":true,"mac":false}},{"type":"b"}]}"#,
        )
        .unwrap();
        let capabilities = json!({"portMappings": [{"hostPort": 1}], "mac": "00"}).as_object().unwrap().clone();
        let parse = |bytes: Vec<u8>| serde_json::from_slice::<Value>(&bytes).unwrap();
        let previous = json!({"cniVersion": "1.1.0"});
        let first = parse(attachment(&network, &network.plugins[0], Some(&previous), &capabilities));
        assert_eq!(
            first,
            json!({"type": "a", "name": "n", "cniVersion": "1.1.0", "key": 1, "prevResult": {"cniVersion": "1.1.0"},
                "capabilities": {"portMappings": true, "mac": false}, "runtimeConfig": {"portMappings": [{"hostPort": 1}]}})
        );
        let second = parse(attachment(&network, &network.plugins[1], None, &capabilities));
        assert_eq!(second, json!({"type": "b", "name": "n", "cniVersion": "1.1.0"}));
        let valid = [ValidAttachment { container_id: "c".into(), ifname: "eth0".into() }];
        let gc = parse(collection(&network, &network.plugins[1], &valid));
        assert_eq!(gc["cni.dev/valid-attachments"], json!([{"containerID": "c", "ifname": "eth0"}]));
        assert_eq!(parse(status(&network, &network.plugins[1])), second);
    }
}
