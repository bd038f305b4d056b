//! What a cluster begins with is made whole again at every start, and the rest of it is left alone.

use serde_json::{Value, json};
use windlass_api::resource::{
    CLUSTER_ROLES, CONFIG_MAPS, ENDPOINT_SLICES, ENDPOINTS, NAMESPACES, PRIORITY_CLASSES, SERVICE_CIDRS, SERVICES,
};
use windlass_api::well_known::namespace;
use windlass_api::{GroupVersionResource, ObjectKey};
use windlass_apiserver::{ApiServer, FirstObjects};
use windlass_testing::Cluster;

const BINDINGS: GroupVersionResource =
    GroupVersionResource::of("rbac.authorization.k8s.io", "v1", "clusterrolebindings");

fn first_objects(cluster: &Cluster, address: &str) -> FirstObjects {
    let facts = ApiServer {
        address: address.parse().unwrap(),
        port: 6443,
        client_ca_pem: "a new authority".to_owned(),
        front_proxy_ca_pem: "another".to_owned(),
    };
    FirstObjects::new(&cluster.server, &facts)
}

async fn restart(cluster: &Cluster, address: &str) {
    first_objects(cluster, address).provide().await.unwrap();
}

/// Whoever may work in a namespace must not be able to keep the server from starting.
#[tokio::test(start_paused = true)]
async fn what_is_hindered_is_made_later() {
    let cluster = Cluster::start().await;
    let kubernetes = ObjectKey::new(namespace::DEFAULT, "kubernetes");
    cluster.delete(&SERVICES, &kubernetes).await;
    let mine = json!({"metadata": {"name": "mine"}, "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 80}]}});
    cluster.create(&SERVICES, namespace::DEFAULT, mine).await;
    restart(&cluster, "192.0.2.1").await;
    assert!(cluster.lacks(&SERVICES, &kubernetes).await);
    let keeper = tokio::spawn(first_objects(&cluster, "192.0.2.1").keep());
    cluster.delete(&SERVICES, &ObjectKey::new(namespace::DEFAULT, "mine")).await;
    let has_address = |service: &Value| service["spec"]["clusterIP"] == "10.96.0.1";
    let made = cluster.until(&SERVICES, &kubernetes, "it is made as soon as it can be", has_address).await;
    cluster.delete(&SERVICES, &kubernetes).await;
    let is_another = |service: &Value| has_address(service) && service["metadata"]["uid"] != made["metadata"]["uid"];
    cluster.until(&SERVICES, &kubernetes, "what somebody deletes is made anew", is_another).await;
    keeper.abort();
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_the_cluster_is_made_whole_again() {
    let cluster = Cluster::start().await;
    let view = ObjectKey::new("", "view");
    let rules = cluster.get(&CLUSTER_ROLES, &ObjectKey::new("", "system:discovery")).await["rules"].clone();
    for name in ["system:discovery", "system:basic-user"] {
        cluster.patch(&CLUSTER_ROLES, &ObjectKey::new("", name), "", json!({"rules": []})).await;
    }
    let mine = json!({"metadata": {"annotations": {"rbac.authorization.kubernetes.io/autoupdate": "false"}}});
    cluster.patch(&CLUSTER_ROLES, &ObjectKey::new("", "system:basic-user"), "", mine).await;
    cluster.patch(&CLUSTER_ROLES, &view, "", json!({"metadata": {"labels": {"mine": "true"}}})).await;
    let binding = ObjectKey::new("", "system:basic-user");
    let guest = json!({"kind": "User", "name": "guest", "apiGroup": "rbac.authorization.k8s.io"});
    cluster.patch(&BINDINGS, &binding, "", json!({"subjects": [guest]})).await;
    // Somebody has made another binding of the same name: it would give everybody the rights of an administrator.
    let discovery_binding = ObjectKey::new("", "system:discovery");
    let mut hijacked = cluster.get(&BINDINGS, &discovery_binding).await;
    cluster.delete(&BINDINGS, &discovery_binding).await;
    hijacked["metadata"] = json!({"name": "system:discovery"});
    hijacked["roleRef"]["name"] = json!("cluster-admin");
    cluster.create(&BINDINGS, "", hijacked).await;
    let unlabelled = json!({"metadata": {"labels": null}, "aggregationRule": null});
    cluster.patch(&CLUSTER_ROLES, &ObjectKey::new("", "edit"), "", unlabelled).await;
    cluster
        .patch(&NAMESPACES, &ObjectKey::new("", "default"), "", json!({"metadata": {"labels": {"mine": "true"}}}))
        .await;

    restart(&cluster, "192.0.2.7").await;

    let discovery = cluster.get(&CLUSTER_ROLES, &ObjectKey::new("", "system:discovery")).await;
    assert!(!rules.as_array().unwrap().is_empty());
    let urls = |rules: &Value| {
        let rules = rules.as_array().unwrap();
        let mut urls: Vec<String> =
            rules.iter().flat_map(|rule| rule["nonResourceURLs"].as_array().unwrap()).map(Value::to_string).collect();
        urls.sort();
        urls
    };
    assert_eq!(urls(&discovery["rules"]), urls(&rules));
    assert!(cluster.get(&CLUSTER_ROLES, &ObjectKey::new("", "system:basic-user")).await["rules"].is_null());
    assert_eq!(cluster.get(&CLUSTER_ROLES, &view).await["metadata"]["labels"]["mine"], "true");
    let binding = cluster.get(&BINDINGS, &binding).await;
    let subjects: Vec<&Value> = binding["subjects"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(subjects, ["guest", "system:authenticated"]);
    assert_eq!(cluster.get(&BINDINGS, &discovery_binding).await["roleRef"]["name"], "system:discovery");
    let edit = cluster.get(&CLUSTER_ROLES, &ObjectKey::new("", "edit")).await;
    assert_eq!(edit["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-admin"], "true");
    assert_eq!(edit["aggregationRule"]["clusterRoleSelectors"].as_array().map(Vec::len), Some(1));
    assert_eq!(cluster.get(&NAMESPACES, &ObjectKey::new("", "default")).await["metadata"]["labels"]["mine"], "true");
    let kubernetes = ObjectKey::new(namespace::DEFAULT, "kubernetes");
    assert_eq!(cluster.get(&ENDPOINTS, &kubernetes).await["subsets"][0]["addresses"][0]["ip"], "192.0.2.7");
    assert_eq!(cluster.get(&ENDPOINT_SLICES, &kubernetes).await["endpoints"][0]["addresses"][0], "192.0.2.7");
    let authentication = ObjectKey::new(namespace::KUBE_SYSTEM, "extension-apiserver-authentication");
    assert_eq!(cluster.get(&CONFIG_MAPS, &authentication).await["data"]["client-ca-file"], "a new authority");
}

#[tokio::test(start_paused = true)]
async fn a_start_with_nothing_to_mend_writes_nothing() {
    let cluster = Cluster::start().await;
    restart(&cluster, "192.0.2.1").await;
    let before = cluster.server.store().revision();
    restart(&cluster, "192.0.2.1").await;
    assert_eq!(cluster.server.store().revision(), before);
    let cidr = cluster.get(&SERVICE_CIDRS, &ObjectKey::new("", "kubernetes")).await;
    assert_eq!(
        (&cidr["spec"]["cidrs"][0], &cidr["status"]["conditions"][0]["status"]),
        (&json!("10.96.0.0/16"), &json!("True"))
    );
    let service = cluster.get(&SERVICES, &ObjectKey::new(namespace::DEFAULT, "kubernetes")).await;
    assert_eq!(service["spec"]["clusterIP"], "10.96.0.1");
    assert_eq!(cluster.list(&PRIORITY_CLASSES, "").await.len(), 2);
}
