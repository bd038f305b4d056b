use serde_json::{Value, json};

use super::objects::BIND_COMPLETED;
use super::objects::{RawCapacity, RawClaim, RawClass, RawCsiDriver, RawVolume};
use super::*;
use crate::object::Node;

fn claim(name: &str, spec: Value, annotations: Value) -> Claim {
    let raw: RawClaim = serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "ns", "uid": name, "annotations": annotations}, "spec": spec,
    }))
    .unwrap();
    raw.into()
}

fn volume(name: &str, gibibytes: u32, spec: Value) -> Volume {
    let mut all = json!({
        "storageClassName": "local", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": format!("{gibibytes}Gi")},
    });
    all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let raw: RawVolume = serde_json::from_value(json!({
        "metadata": {"name": name}, "spec": all, "status": {"phase": "Available"},
    }))
    .unwrap();
    raw.into()
}

fn on_zone(zone: &str) -> Value {
    json!({"nodeAffinity": {"required": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "zone", "operator": "In", "values": [zone]}]},
    ]}}})
}

fn node(zone: &str) -> Node {
    Node { name: format!("node-{zone}"), labels: [("zone".to_owned(), zone.to_owned())].into(), ..Node::default() }
}

fn storage(volumes: Vec<Volume>) -> Storage {
    let class = |value: Value| serde_json::from_value::<RawClass>(value).unwrap().into();
    let topologies = json!([{"matchLabelExpressions": [{"key": "zone", "values": ["a", "b"]}]}]);
    let mode = "WaitForFirstConsumer";
    let classes = [
        ("local", class(json!({"provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": mode}))),
        (
            "csi",
            class(json!({"provisioner": "csi.example", "volumeBindingMode": mode, "allowedTopologies": topologies})),
        ),
    ];
    Storage {
        volumes: volumes.into_iter().map(|volume| (volume.name.clone(), volume)).collect(),
        classes: classes.map(|(name, class)| (name.to_owned(), class)).into(),
        ..Storage::default()
    }
}

fn wants(class: &str, gibibytes: u32) -> Value {
    json!({
        "storageClassName": class, "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": format!("{gibibytes}Gi")}},
    })
}

fn outcome(storage: &Storage, claims: &[&Claim], node: &Node) -> Result<String, String> {
    plan(storage, claims, node)
        .map(|plan| {
            let bindings = plan.bindings.iter().map(|(volume, claim)| format!("{}={volume}", claim.name));
            bindings.chain(plan.provisions.iter().map(|claim| claim.name.clone())).collect::<Vec<_>>().join(" ")
        })
        .map_err(|rejection| rejection.message())
}

#[test]
fn volumes_that_exist() {
    let held = json!({"claimRef": {"namespace": "ns", "name": "other", "uid": "1"}});
    let kept = json!({"claimRef": {"namespace": "ns", "name": "kept"}, "storageClassName": "x"});
    let storage = storage(vec![
        volume("large", 100, on_zone("a")),
        volume("small", 10, on_zone("a")),
        volume("far", 10, on_zone("b")),
        volume("held", 1, held),
        volume("kept", 50, kept),
    ]);
    let none = "node(s) didn't find available persistent volumes to bind";
    let of = |name: &str, gibibytes| claim(name, wants("local", gibibytes), json!({}));
    let (one, two, kept) = (of("one", 5), of("two", 20), of("kept", 5));
    let cases: [(&[&Claim], &str, Result<&str, &str>); 7] = [
        (&[&one], "a", Ok("one=small")),
        (&[&one], "b", Ok("one=far")),
        (&[&one], "c", Err(none)),
        (&[&two], "a", Ok("two=large")),
        (&[&two], "b", Err(none)),
        (&[&two, &one], "a", Ok("one=small two=large")),
        (&[&kept], "c", Ok("kept=kept")),
    ];
    for (claims, zone, expected) in cases {
        let found = outcome(&storage, claims, &node(zone));
        assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{zone}");
    }
}

#[test]
fn volumes_that_are_to_be_made() {
    let mut storage = storage(Vec::new());
    let fresh = claim("fresh", wants("csi", 10), json!({}));
    let begun = claim("begun", wants("csi", 10), json!({SELECTED_NODE: "node-a"}));
    let none = Err("node(s) didn't find available persistent volumes to bind".to_owned());
    assert_eq!(outcome(&storage, &[&fresh], &node("a")), Ok("fresh".to_owned()));
    assert_eq!(outcome(&storage, &[&fresh], &node("c")), none, "the class does not allow the zone");
    assert_eq!(outcome(&storage, &[&begun], &node("a")), Ok("begun".to_owned()));
    assert_eq!(outcome(&storage, &[&begun], &node("b")), none);
    let driver: RawCsiDriver = serde_json::from_value(json!({"spec": {"storageCapacity": true}})).unwrap();
    storage.csi_drivers.insert("csi.example".to_owned(), driver.into());
    let little = Err("node(s) did not have enough free storage".to_owned());
    assert_eq!(outcome(&storage, &[&fresh], &node("a")), little);
    let capacity: RawCapacity = serde_json::from_value(json!({
        "storageClassName": "csi", "capacity": "1Ti", "nodeTopology": {"matchLabels": {"zone": "a"}},
    }))
    .unwrap();
    storage.capacities.insert(ObjectKey::new("ns", "x"), capacity.into());
    assert_eq!(outcome(&storage, &[&fresh], &node("a")), Ok("fresh".to_owned()));
    assert_eq!(outcome(&storage, &[&fresh], &node("b")), little);
}

#[test]
fn volumes_that_are_bound() {
    let storage = storage(vec![volume("here", 10, on_zone("a"))]);
    let bound = |volume: &str| {
        let spec = json!({"volumeName": volume, "storageClassName": "local"});
        claim("bound", spec, json!({BIND_COMPLETED: "yes"}))
    };
    let (here, gone) = (bound("here"), bound("gone"));
    assert_eq!(outcome(&storage, &[&here], &node("a")), Ok(String::new()));
    let far = "node(s) didn't match PersistentVolume's node affinity";
    assert_eq!(outcome(&storage, &[&here], &node("b")), Err(far.to_owned()));
    let missing = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";
    assert_eq!(outcome(&storage, &[&gone], &node("a")), Err(missing.to_owned()));
}
