//! Where volumes appear in a container.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_machinery::tree::{items, text};

use super::{Volumes, for_each_container};
use crate::rules::{at, descending_path, is_true, object_at, required, supported};

pub(super) fn validate_mounts(errors: &mut Errors, container: &Value, volumes: &Volumes<'_>, path: &Path<'_>) {
    let devices: BTreeMap<&str, &str> =
        items(container, "volumeDevices").map(|d| (text(d, "name"), text(d, "devicePath"))).collect();
    let device_paths: BTreeSet<&str> = devices.values().copied().collect();
    let mut points = BTreeSet::new();
    for (index, mount) in items(container, "volumeMounts").enumerate() {
        let item = path.index(index);
        let (name, point) = (text(mount, "name"), text(mount, "mountPath"));
        required(errors, mount, &item, "name");
        if !volumes.contains_key(name) {
            errors.push(Error::not_found(&item.child("name"), name));
        }
        required(errors, mount, &item, "mountPath");
        if !points.insert(point) {
            errors.push(Error::invalid(&item.child("mountPath"), point, "must be unique"));
        }
        if devices.contains_key(name) {
            errors.push(Error::invalid(&item.child("name"), name, "must not already exist in volumeDevices"));
        }
        if device_paths.contains(point) {
            let detail = "must not already exist as a path in volumeDevices";
            errors.push(Error::invalid(&item.child("mountPath"), point, detail));
        }
        validate_sub_paths(errors, mount, &item, path);
        validate_propagation(errors, mount, container, path);
        validate_recursive_read_only(errors, mount, &path.child("recursiveReadOnly"));
    }
}

fn validate_sub_paths(errors: &mut Errors, mount: &Value, item: &Path<'_>, path: &Path<'_>) {
    let (sub_path, expression) = (text(mount, "subPath"), text(mount, "subPathExpr"));
    if !sub_path.is_empty() {
        descending_path(errors, &path.child("subPath"), sub_path);
    }
    if !expression.is_empty() {
        if !sub_path.is_empty() {
            let detail = "subPathExpr and subPath are mutually exclusive";
            errors.push(Error::invalid(&item.child("subPathExpr"), expression, detail));
        }
        descending_path(errors, &path.child("subPathExpr"), expression);
    }
}

fn validate_propagation(errors: &mut Errors, mount: &Value, container: &Value, path: &Path<'_>) {
    let Some(mode) = at(mount, "mountPropagation").and_then(Value::as_str) else { return };
    let path = path.child("mountPropagation");
    supported(errors, &path, mode, &["Bidirectional", "HostToContainer", "None"]);
    let privileged = object_at(container, "securityContext").is_some_and(|context| is_true(context, "privileged"));
    if mode == "Bidirectional" && !privileged {
        let detail = "Bidirectional mount propagation is available only to privileged containers";
        errors.push(Error::forbidden(&path, detail));
    }
}

fn validate_recursive_read_only(errors: &mut Errors, mount: &Value, path: &Path<'_>) {
    match at(mount, "recursiveReadOnly").and_then(Value::as_str) {
        None | Some("Disabled") => {}
        Some("Enabled" | "IfPossible") => {
            if !is_true(mount, "readOnly") {
                errors.push(Error::forbidden(path, "may only be specified when readOnly is true"));
            }
            if !matches!(text(mount, "mountPropagation"), "" | "None") {
                let detail = "may only be specified when mountPropagation is None or not specified";
                errors.push(Error::forbidden(path, detail));
            }
        }
        Some(other) => errors.push(Error::not_supported(path, other, &["Disabled", "Enabled", "IfPossible"])),
    }
}

pub(super) fn validate_devices(errors: &mut Errors, container: &Value, volumes: &Volumes<'_>, path: &Path<'_>) {
    let mounts: BTreeMap<&str, &str> =
        items(container, "volumeMounts").map(|m| (text(m, "name"), text(m, "mountPath"))).collect();
    let mount_points: BTreeSet<&str> = mounts.values().copied().collect();
    let (mut paths, mut names) = (BTreeSet::new(), BTreeSet::new());
    for (index, device) in items(container, "volumeDevices").enumerate() {
        let path = path.index(index);
        let (name, at) = (text(device, "name"), text(device, "devicePath"));
        let (name_path, device_path) = (path.child("name"), path.child("devicePath"));
        required(errors, device, &path, "name");
        if names.contains(name) {
            errors.push(Error::invalid(&name_path, name, "must be unique"));
        }
        match volumes.get(name) {
            None => errors.push(Error::not_found(&name_path, name)),
            Some(volume) if volume.get("persistentVolumeClaim").is_some() || volume.get("ephemeral").is_some() => {}
            Some(_) => {
                let detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.push(Error::invalid(&name_path, name, detail));
            }
        }
        required(errors, device, &path, "devicePath");
        if paths.contains(at) {
            errors.push(Error::invalid(&device_path, at, "must be unique"));
        }
        if at.split('/').any(|part| part == "..") {
            errors.push(Error::invalid(&device_path, at, "can not contain backsteps ('..')"));
        } else {
            paths.insert(at);
        }
        if mounts.contains_key(name) {
            errors.push(Error::invalid(&name_path, name, "must not already exist in volumeMounts"));
        }
        if mount_points.contains(at) {
            let detail = "must not already exist as a path in volumeMounts";
            errors.push(Error::invalid(&device_path, at, detail));
        }
        if !name.is_empty() {
            names.insert(name);
        }
    }
}

/// Files that variables come from lie in volumes of the pod's own.
pub(super) fn validate_file_keys(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    for_each_container(spec, path, |container, path| {
        let env = path.child("env");
        for (index, variable) in items(container, "env").enumerate() {
            let Some(key) = variable.pointer("/valueFrom/fileKeyRef").filter(|key| key.is_object()) else { continue };
            let name = text(key, "volumeName");
            let variable = env.index(index);
            let source = variable.child("valueFrom");
            let reference = source.child("fileKeyRef");
            let path = reference.child("volumeName");
            match items(spec, "volumes").filter(|volume| text(volume, "name") == name).last() {
                None => errors.push(Error::not_found(&path, name)),
                Some(volume) if at(volume, "emptyDir").is_none() => {
                    errors.push(Error::invalid(&path, name, "referenced volume must be of type emptyDir"));
                }
                Some(_) => {}
            }
        }
    });
}
