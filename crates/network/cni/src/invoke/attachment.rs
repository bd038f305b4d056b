//! What plugins are asked to attach to a network.

use std::path::PathBuf;

use serde_json::{Map, Value};

/// One sandbox's interface in a network.
#[derive(Clone, Debug, Default)]
pub struct Attachment {
    pub container_id: String,
    /// The sandbox's network namespace; DEL works without.
    pub netns: Option<PathBuf>,
    pub if_name: String,
    /// CNI_ARGS, such as K8S_POD_NAME.
    pub args: Vec<(String, String)>,
    /// Capability arguments, such as `portMappings`. A plugin gets those that it declares.
    pub capabilities: Map<String, Value>,
}

impl Attachment {
    pub fn new(container_id: impl Into<String>, if_name: impl Into<String>) -> Self {
        Self { container_id: container_id.into(), if_name: if_name.into(), ..Self::default() }
    }
}
