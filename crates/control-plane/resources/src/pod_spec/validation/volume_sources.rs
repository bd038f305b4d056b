//! The many kinds of volumes. PersistentVolumes have some of them as well.

use std::collections::BTreeSet;

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_machinery::tree::{items, number, text};

use super::claims::validate_claim_spec;
use super::environment::{VOLUME_FIELDS, validate_field, validate_resource_field};
use super::images::validate_pull_policy;
use super::metadata::validate_template_metadata;
use crate::rules::{
    at, complain, is_true, label_selector, map_at, no_backsteps, object_at, required, signer_name, supported,
    unreserved_path, within,
};

const FILE_MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";
const DRIVER_BYTES_MAX: usize = 63;
const HOST_PATH_TYPES: [&str; 8] =
    ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];

/// Fields that a source may not leave empty, for the sources that have no other rules.
const REQUIRED: [(&str, &[&str]); 10] = [
    ("persistentVolumeClaim", &["claimName"]),
    ("glusterfs", &["endpoints", "path"]),
    ("azureFile", &["secretName", "shareName"]),
    ("vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("cinder", &["volumeID"]),
];

pub(crate) fn validate_source(errors: &mut Errors, kind: &str, source: &Value, path: &Path<'_>) {
    if let Some((_, fields)) = REQUIRED.iter().find(|(name, _)| *name == kind) {
        for field in *fields {
            required(errors, source, path, field);
        }
    }
    match kind {
        "emptyDir" if text(source, "sizeLimit").starts_with('-') => {
            let detail = "SizeLimit field must be a valid resource quantity";
            errors.push(Error::forbidden(&path.child("sizeLimit"), detail));
        }
        "hostPath" => host_path(errors, source, path),
        "gitRepo" => {
            required(errors, source, path, "repository");
            crate::rules::descending_path(errors, &path.child("directory"), text(source, "directory"));
        }
        "gcePersistentDisk" | "awsElasticBlockStore" => {
            let partition = number(source, "partition");
            if !(0..=255).contains(&partition) {
                let detail = "must be between 0 and 255, inclusive";
                errors.push(Error::invalid(&path.child("partition"), partition, detail));
            }
        }
        "secret" => files(errors, source, path, "secretName"),
        "configMap" => files(errors, source, path, "name"),
        "nfs" => nfs(errors, source, path),
        "iscsi" => iscsi(errors, source, path),
        "flocker" => flocker(errors, source, path),
        "rbd" => {
            required_list(errors, source, path, "monitors");
            required(errors, source, path, "image");
        }
        "cephfs" => required_list(errors, source, path, "monitors"),
        "cinder" => secret_name(errors, source, path, "secretRef"),
        "quobyte" => quobyte(errors, source, path),
        "downwardAPI" => {
            mode(errors, source, path, "defaultMode");
            for file in items(source, "items") {
                downward_file(errors, file, path);
            }
        }
        "fc" => fc(errors, source, path),
        "flexVolume" => flex(errors, source, path),
        "azureDisk" => azure_disk(errors, source, path),
        "storageos" => storageos(errors, source, path),
        "projected" => projected(errors, source, path),
        "csi" => csi(errors, source, path),
        "ephemeral" => match object_at(source, "volumeClaimTemplate") {
            None => errors.push(Error::required(&path.child("volumeClaimTemplate"), "")),
            Some(template) => {
                let path = path.child("volumeClaimTemplate");
                validate_template_metadata(errors, &template["metadata"], &path.child("metadata"));
                validate_claim_spec(errors, &template["spec"], &path.child("spec"));
            }
        },
        "image" => {
            required(errors, source, path, "reference");
            validate_pull_policy(errors, source, &path.child("pullPolicy"), "pullPolicy");
        }
        _ => {}
    }
}

fn required_list(errors: &mut Errors, source: &Value, path: &Path<'_>, field: &str) {
    if items(source, field).next().is_none() {
        errors.push(Error::required(&path.child(field), ""));
    }
}

fn secret_name(errors: &mut Errors, source: &Value, path: &Path<'_>, field: &str) {
    if let Some(reference) = object_at(source, field) {
        required(errors, reference, &path.child(field), "name");
    }
}

fn host_path(errors: &mut Errors, source: &Value, path: &Path<'_>) {
    if required(errors, source, path, "path") {
        no_backsteps(errors, &path.child("path"), text(source, "path"));
        if let Some(kind) = at(source, "type").and_then(Value::as_str) {
            supported(errors, &path.child("type"), kind, &HOST_PATH_TYPES);
        }
    }
}

fn mode(errors: &mut Errors, owner: &Value, path: &Path<'_>, field: &str) {
    if let Some(mode) = owner.get(field).and_then(Value::as_i64).filter(|mode| !(0..=0o777).contains(mode)) {
        errors.push(Error::invalid(&path.child(field), mode, FILE_MODE));
    }
}

fn files(errors: &mut Errors, source: &Value, path: &Path<'_>, name: &str) {
    required(errors, source, path, name);
    mode(errors, source, path, "defaultMode");
    let list = path.child("items");
    for (index, item) in items(source, "items").enumerate() {
        key_to_path(errors, item, &list.index(index));
    }
}

fn key_to_path(errors: &mut Errors, item: &Value, path: &Path<'_>) {
    required(errors, item, path, "key");
    required(errors, item, path, "path");
    unreserved_path(errors, &path.child("path"), text(item, "path"));
    mode(errors, item, path, "mode");
}

fn downward_file(errors: &mut Errors, file: &Value, path: &Path<'_>) {
    required(errors, file, path, "path");
    unreserved_path(errors, &path.child("path"), text(file, "path"));
    match (object_at(file, "fieldRef"), object_at(file, "resourceFieldRef")) {
        (Some(field), resource) => {
            validate_field(errors, field, &path.child("fieldRef"), &VOLUME_FIELDS);
            if resource.is_some() {
                let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.push(Error::invalid(path, "resource", detail));
            }
        }
        (None, Some(resource)) => validate_resource_field(errors, resource, &path.child("resourceFieldRef"), true),
        (None, None) => errors.push(Error::required(path, "one of fieldRef and resourceFieldRef is required")),
    }
    mode(errors, file, path, "mode");
}

fn nfs(errors: &mut Errors, source: &Value, path: &Path<'_>) {
    required(errors, source, path, "server");
    required(errors, source, path, "path");
    let exported = text(source, "path");
    if !exported.starts_with('/') {
        errors.push(Error::invalid(&path.child("path"), exported, "must be an absolute path"));
    }
}

fn iscsi(errors: &mut Errors, source: &Value, path: &Path<'_>) {
    required(errors, source, path, "targetPortal");
    if required(errors, source, path, "iqn") {
        iscsi_name(errors, &path.child("iqn"), text(source, "iqn"));
    }
    within(errors, &path.child("lun"), number(source, "lun"), 0, 255);
    let authenticates = ["chapAuthDiscovery", "chapAuthSession"].iter().any(|field| is_true(source, field));
    if authenticates && at(source, "secretRef").is_none() {
        errors.push(Error::required(&path.child("secretRef"), ""));
    }
    if let Some(name) = at(source, "initiatorName").and_then(Value::as_str) {
        iscsi_name(errors, &path.child("initiatorname"), name);
    }
}

fn iscsi_name(errors: &mut Errors, path: &Path<'_>, name: &str) {
    let hex =
        |text: &str, lengths: &[usize]| lengths.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    let is_valid = match name.get(..3) {
        Some("iqn") => is_iqn(name),
        Some("eui") => name.strip_prefix("eui.").is_some_and(|rest| hex(rest, &[16])),
        Some("naa") => name.strip_prefix("naa.").is_some_and(|rest| hex(rest, &[16, 32])),
        _ => {
            errors.push(Error::invalid(path, name, "must be valid format starting with iqn, eui, or naa"));
            return;
        }
    };
    if !is_valid {
        errors.push(Error::invalid(path, name, "must be valid format"));
    }
}

/// `iqn.2001-04.com.example:storage`
fn is_iqn(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("iqn.") else { return false };
    let Some((date, rest)) = rest.split_once('.') else { return false };
    let is_date = date.len() == 7
        && date.as_bytes()[4] == b'-'
        && date.bytes().enumerate().all(|(at, b)| at == 4 || b.is_ascii_digit());
    let domain = rest.split(':').next().unwrap_or_default();
    is_date && !domain.is_empty() && domain.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
}

fn flocker(errors: &mut Errors, source: &Value, path: &Path<'_>) {
    let (name, uuid) = (text(source, "datasetName"), text(source, "datasetUUID"));
    if name.is_empty() && uuid.is_empty() {
        errors.push(Error::required(path, "one of datasetName and datasetUUID is required"));
    }
    if !name.is_empty() && !uuid.is_empty() {
        let detail = "datasetName and datasetUUID can not be specified simultaneously";
        errors.push(Error::invalid(path, "resource", detail));
    }
    if name.contains('/') {
        errors.push(Error::invalid(&path.child("datasetName"), name, "must not contain '/'"));
    }
}

fn quobyte(errors: &mut Errors, source: &Value, path: &Path<'_>) {
    const DETAIL: &str = "must be a host:port pair or multiple pairs separated by commas";
    let registry = text(source, "registry");
    if registry.is_empty() {
        errors.push(Error::required(&path.child("registry"), DETAIL));
    } else if text(source, "tenant").len() >= 65 {
        let detail = "must be a UUID and may not exceed a length of 64 characters";
        errors.push(Error::required(&path.child("tenant"), detail));
    } else {
        for _ in registry.split(',').filter(|pair| !pair.contains(':')) {
            errors.push(Error::invalid(&path.child("registry"), registry, DETAIL));
        }
    }
    required(errors, source, path, "volume");
}

fn fc(errors: &mut Errors, source: &Value, path: &Path<'_>) {
    let field = path.child("targetWWNs");
    let [names, ids] = ["targetWWNs", "wwids"].map(|list| items(source, list).next().is_some());
    if !names && !ids {
        errors.push(Error::required(&field, "must specify either targetWWNs or wwids, but not both"));
    }
    if names && ids {
        let detail = "targetWWNs and wwids can not be specified simultaneously";
        errors.push(Error::invalid(&field, source["targetWWNs"].clone(), detail));
    }
    if names {
        match source.get("lun").and_then(Value::as_i64) {
            None => errors.push(Error::required(&path.child("lun"), "lun is required if targetWWNs is specified")),
            Some(lun) => within(errors, &path.child("lun"), lun, 0, 255),
        }
    }
}

fn flex(errors: &mut Errors, source: &Value, path: &Path<'_>) {
    required(errors, source, path, "driver");
    let options = path.child("options");
    for (key, _) in map_at(source, "options").into_iter().flatten() {
        let namespace = format!(".{}", key.split('/').next().unwrap_or(key).to_lowercase());
        if key.contains('/') && (namespace.ends_with(".kubernetes.io") || namespace.ends_with(".k8s.io")) {
            let detail = "kubernetes.io and k8s.io namespaces are reserved";
            errors.push(Error::invalid(&options.key(key), key.as_str(), detail));
        }
    }
}

fn azure_disk(errors: &mut Errors, source: &Value, path: &Path<'_>) {
    const MANAGED: &str =
        "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}";
    const BLOB: &str = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd";
    required(errors, source, path, "diskName");
    required(errors, source, path, "diskURI");
    let word = |errors: &mut Errors, field: &str, allowed: &[&str]| {
        if let Some(value) = at(source, field).and_then(Value::as_str) {
            supported(errors, &path.child(field), value, allowed);
        }
    };
    word(errors, "cachingMode", &["None", "ReadOnly", "ReadWrite"]);
    word(errors, "kind", &["Dedicated", "Managed", "Shared"]);
    let uri = text(source, "diskURI");
    match at(source, "kind").and_then(Value::as_str) {
        Some("Managed") if !uri.starts_with("/subscriptions/") => {
            errors.push(Error::not_supported(&path.child("diskURI"), uri, &[MANAGED]));
        }
        None | Some("Managed") => {}
        Some(_) if !uri.starts_with("https://") => {
            errors.push(Error::not_supported(&path.child("diskURI"), uri, &[BLOB]));
        }
        Some(_) => {}
    }
}

fn storageos(errors: &mut Errors, source: &Value, path: &Path<'_>) {
    if required(errors, source, path, "volumeName") {
        let name = text(source, "volumeName");
        complain(errors, &path.child("volumeName"), name, names::dns1123_label(name));
    }
    let namespace = text(source, "volumeNamespace");
    if !namespace.is_empty() {
        complain(errors, &path.child("volumeNamespace"), namespace, names::dns1123_label(namespace));
    }
    secret_name(errors, source, path, "secretRef");
}

fn csi(errors: &mut Errors, source: &Value, path: &Path<'_>) {
    csi_driver_name(errors, text(source, "driver"), &path.child("driver"));
    if let Some(secret) = object_at(source, "nodePublishSecretRef")
        && required(errors, secret, &path.child("nodePublishSecretRef"), "name")
    {
        let name = text(secret, "name");
        complain(errors, &path.child("name"), name, names::dns1123_subdomain(name));
    }
}

pub(crate) fn csi_driver_name(errors: &mut Errors, name: &str, path: &Path<'_>) {
    if name.is_empty() {
        errors.push(Error::required(path, ""));
        return;
    }
    if name.len() > DRIVER_BYTES_MAX {
        errors.push(Error::too_long(path, DRIVER_BYTES_MAX));
    }
    complain(errors, path, name, names::dns1123_subdomain(&name.to_lowercase()));
}

/// Several sources in one folder; no two files may have one path.
fn projected(errors: &mut Errors, volume: &Value, path: &Path<'_>) {
    mode(errors, volume, path, "defaultMode");
    let mut paths = BTreeSet::new();
    let sources = path.child("sources");
    for (index, source) in items(volume, "sources").enumerate() {
        let item = sources.index(index);
        let mut count = 0;
        for kind in ["secret", "configMap"] {
            let Some(files) = object_at(source, kind) else { continue };
            count += 1;
            let kind_path = item.child(kind);
            required(errors, files, &kind_path, "name");
            let list = kind_path.child("items");
            for (index, file) in items(files, "items").enumerate() {
                key_to_path(errors, file, &list.index(index));
                take(errors, &mut paths, text(file, "path"), text(files, "name"), path);
            }
        }
        if let Some(downward) = object_at(source, "downwardAPI") {
            count += 1;
            for file in items(downward, "items") {
                downward_file(errors, file, &item.child("downwardAPI"));
                take(errors, &mut paths, text(file, "path"), text(file, "path"), path);
            }
        }
        if let Some(token) = object_at(source, "serviceAccountToken") {
            count += 1;
            service_account_token(errors, token, &item.child("serviceAccountToken"), path);
        }
        if let Some(bundle) = object_at(source, "clusterTrustBundle") {
            count += 1;
            let kind_path = item.child("clusterTrustBundle");
            cluster_trust_bundle(errors, bundle, &kind_path);
            let file = text(bundle, "path");
            required(errors, bundle, &kind_path, "path");
            unreserved_path(errors, &kind_path.child("path"), file);
            if !paths.insert(file.to_owned()) {
                errors.push(Error::invalid(path, file, "conflicting duplicate paths"));
            }
        }
        if let Some(certificate) = object_at(source, "podCertificate") {
            count += 1;
            pod_certificate(errors, certificate, &item.child("podCertificate"), path, &mut paths);
        }
        if count > 1 {
            errors.push(Error::forbidden(&item, "may not specify more than 1 volume type per source"));
        }
    }
}

fn take(errors: &mut Errors, paths: &mut BTreeSet<String>, file: &str, shown: &str, path: &Path<'_>) {
    if !file.is_empty() && !paths.insert(file.to_owned()) {
        errors.push(Error::invalid(path, shown, "conflicting duplicate paths"));
    }
}

fn service_account_token(errors: &mut Errors, token: &Value, path: &Path<'_>, volume: &Path<'_>) {
    const SECONDS_MIN: i64 = 600;
    let field = path.child("expirationSeconds");
    match token.get("expirationSeconds").and_then(Value::as_i64) {
        None => errors.push(Error::required(&field, "")),
        Some(seconds) if seconds < SECONDS_MIN => {
            errors.push(Error::invalid(&field, seconds, "may not specify a duration less than 10 minutes"));
        }
        Some(seconds) if seconds > 1 << 32 => {
            errors.push(Error::invalid(&field, seconds, "may not specify a duration larger than 2^32 seconds"));
        }
        Some(_) => {}
    }
    // The paths in these errors are the volume's, as they always were.
    if required(errors, token, volume, "path") {
        unreserved_path(errors, &volume.child("path"), text(token, "path"));
    }
}

fn cluster_trust_bundle(errors: &mut Errors, bundle: &Value, path: &Path<'_>) {
    let field = |name: &str| at(bundle, name).and_then(Value::as_str);
    match (field("name"), field("signerName")) {
        (Some(_), Some(_)) => {
            errors.push(Error::invalid(path, bundle.clone(), "only one of name and signerName may be used"));
        }
        (Some(name), None) => {
            if name.is_empty() {
                errors.push(Error::required(&path.child("name"), "must be a valid object name"));
            }
            // A bundle of a signer is named `domain:path:name`.
            let last = name.rsplit(':').next().unwrap_or(name);
            for problem in names::dns1123_subdomain(last) {
                let detail = format!("not a valid clustertrustbundlename: {problem}");
                errors.push(Error::invalid(&path.child("name"), name, detail));
            }
            if let Some(selector) = at(bundle, "labelSelector") {
                let detail = "labelSelector must be unset if name is specified";
                errors.push(Error::invalid(&path.child("labelSelector"), selector.clone(), detail));
            }
        }
        (None, Some(signer)) => {
            if signer.is_empty() {
                errors.push(Error::required(&path.child("signerName"), "must be a valid signer name"));
            }
            signer_name(errors, &path.child("signerName"), signer);
            label_selector(errors, &path.child("labelSelector"), bundle.get("labelSelector"));
        }
        (None, None) => errors.push(Error::required(path, "either name or signerName must be specified")),
    }
}

fn pod_certificate(
    errors: &mut Errors,
    certificate: &Value,
    path: &Path<'_>,
    volume: &Path<'_>,
    paths: &mut BTreeSet<String>,
) {
    const KEY_TYPES: [&str; 6] = ["ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519", "RSA3072", "RSA4096"];
    signer_name(errors, &path.child("signerName"), text(certificate, "signerName"));
    supported(errors, &path.child("keyType"), text(certificate, "keyType"), &KEY_TYPES);
    if let Some(seconds) = certificate.get("maxExpirationSeconds").and_then(Value::as_i64) {
        let field = path.child("maxExpirationSeconds");
        if seconds < 3600 {
            errors.push(Error::invalid(&field, seconds, "if provided, maxExpirationSeconds must be >= 3600"));
        }
        if seconds > 7_862_400 {
            errors.push(Error::invalid(&field, seconds, "if provided, maxExpirationSeconds must be <= 7862400"));
        }
    }
    let mut count = 0;
    for field in ["credentialBundlePath", "keyPath", "certificateChainPath"] {
        let file = text(certificate, field);
        if !file.is_empty() {
            count += 1;
            unreserved_path(errors, &path.child(field), file);
            take(errors, paths, file, file, volume);
        }
    }
    if count == 0 {
        let detail = "specify at least one of credentialBundlePath, keyPath, and certificateChainPath";
        errors.push(Error::required(path, detail));
    }
}
