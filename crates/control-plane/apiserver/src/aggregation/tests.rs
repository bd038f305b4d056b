//! Upstream's answers to cases, which `conformance/facts/aggregation` records.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use windlass_auth::User;

use super::api_service::{Listed, Priority, in_groups};
use super::{headers, openapi, openapi_merge};

fn order(case: &Value) -> Value {
    let rows = case["services"].as_array().unwrap().iter();
    let number = |value: &Value| i32::try_from(value.as_i64().unwrap()).unwrap();
    let all = rows.map(|row| Listed {
        group: row[0].as_str().unwrap().to_owned(),
        version: row[1].as_str().unwrap().to_owned(),
        priority: Priority { group: number(&row[2]), version: number(&row[3]) },
        value: (),
    });
    let name = |listed: &Listed<()>| format!("{}.{}", listed.version, listed.group);
    let groups = in_groups(all.collect(), name);
    groups.iter().map(|(_, versions)| versions.iter().map(name).collect::<Vec<_>>()).collect()
}

/// Headers by their names in small letters, for Go writes them otherwise.
fn by_name(headers: &Value) -> BTreeMap<String, Value> {
    let headers = headers.as_object().unwrap().iter();
    headers.map(|(name, values)| (name.to_lowercase(), values.clone())).collect()
}

fn who_asks(case: &Value) -> BTreeMap<String, Value> {
    let mut map = HeaderMap::new();
    for (name, values) in case["headers"].as_object().unwrap() {
        for value in values.as_array().unwrap() {
            let name = HeaderName::try_from(name.as_str()).unwrap();
            map.append(name, HeaderValue::from_str(value.as_str().unwrap()).unwrap());
        }
    }
    let user: User = serde_json::from_value(case["user"].clone()).unwrap();
    headers::set(&mut map, &user).unwrap();
    let values =
        |name: &HeaderName| map.get_all(name).iter().map(|value| windlass_http::header::text(value).into_owned());
    map.keys().map(|name| (name.to_string(), values(name).collect::<Vec<_>>().into())).collect()
}

fn merge(case: &Value) -> Value {
    let (group, version) = (case["group"].as_str().unwrap(), case["version"].as_str().unwrap());
    let more = openapi::select(case["more"].to_string().as_bytes(), group, version).unwrap();
    let mut all = case["all"].clone();
    openapi_merge::merge(&mut all, &more);
    all
}

#[test]
fn as_upstream() {
    let mut seen = 0;
    for line in include_str!("recorded.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        match case["what"].as_str().unwrap() {
            "order" => assert_eq!(order(&case), case["is"], "{case}"),
            "headers" => assert_eq!(who_asks(&case), by_name(&case["is"]), "{case}"),
            "merge" => assert_eq!(merge(&case), case["is"], "{case}"),
            _ => {
                let converted = openapi::convert(case["document"].to_string().as_bytes()).unwrap();
                assert_eq!(serde_json::from_slice::<Value>(&converted).unwrap(), case["is"], "{case}");
            }
        }
        seen += 1;
    }
    assert_eq!(seen, 8);
}
