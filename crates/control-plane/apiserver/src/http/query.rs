//! Query parameters as options.

use windlass_api::fields::FieldSelector;
use windlass_api::labels::Selector;
use windlass_api::{Status, field};
use windlass_client::{DeleteOptions, Options, Propagation, VersionMatch};

/// The decoded parameters in their order.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(query: Option<&str>) -> Self {
        Self(form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that is a yes or no; upstream takes everything but these for yes.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.get(name).map(|value| !matches!(value.to_ascii_lowercase().as_str(), "false" | "0"))
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Status> {
        match self.get(name) {
            None | Some("") => Ok(None),
            Some(text) => match text.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))),
            },
        }
    }

    pub(crate) fn options(&self) -> Result<Options, Status> {
        let labels = match self.get("labelSelector") {
            None | Some("") => Selector::everything(),
            Some(text) => Selector::parse(text)
                .map_err(|error| Status::bad_request(format!("unable to parse requirement: {error}")))?,
        };
        let fields = match self.get("fieldSelector") {
            None | Some("") => FieldSelector::everything(),
            Some(text) => FieldSelector::parse(text).map_err(|error| Status::bad_request(error.to_string()))?,
        };
        let version_match = match self.get("resourceVersionMatch") {
            None | Some("") => None,
            Some("Exact") => Some(VersionMatch::Exact),
            Some("NotOlderThan") => Some(VersionMatch::NotOlderThan),
            Some(other) => {
                let path = field::Path::new("resourceVersionMatch");
                let errors = vec![field::Error::not_supported(&path, other, &["Exact", "NotOlderThan", ""])];
                return Err(Status::invalid("meta.k8s.io", "ListOptions", "", &errors));
            }
        };
        let version = self.get("resourceVersion").filter(|version| !version.is_empty());
        let resource_version = match version.map(str::parse) {
            None => None,
            Some(Ok(version)) => Some(version),
            Some(Err(_)) => {
                let text = version.unwrap_or_default();
                return Err(Status::bad_request(format!(
                    "Invalid value: {text:?}: invalid resource version {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
                )));
            }
        };
        Ok(Options {
            labels,
            fields,
            resource_version,
            version_match,
            limit: self.number("limit")?.unwrap_or(0),
            continue_token: self.get("continue").unwrap_or_default().to_owned(),
            timeout_seconds: self.number("timeoutSeconds")?,
            allow_bookmarks: self.flag("allowWatchBookmarks").unwrap_or(false),
            send_initial_events: self.flag("sendInitialEvents"),
            dry_run: self.dry_run()?,
            field_manager: self.get("fieldManager").unwrap_or_default().to_owned(),
            field_validation: self.field_validation()?,
            force: self.flag("force"),
            ignore_store_read_error: false,
        })
    }

    fn dry_run(&self) -> Result<bool, Status> {
        let mut dry_run = false;
        for value in self.all("dryRun") {
            match value {
                "All" => dry_run = true,
                other => {
                    let path = field::Path::new("dryRun");
                    let errors = vec![field::Error::not_supported(&path, other, &["All"])];
                    return Err(Status::invalid("meta.k8s.io", "CreateOptions", "", &errors));
                }
            }
        }
        Ok(dry_run)
    }

    fn field_validation(&self) -> Result<String, Status> {
        match self.get("fieldValidation").unwrap_or_default() {
            known @ ("" | "Ignore" | "Warn" | "Strict") => Ok(known.to_owned()),
            other => {
                let path = field::Path::new("fieldValidation");
                let errors = vec![field::Error::not_supported(&path, other, &["Ignore", "Warn", "Strict", ""])];
                Err(Status::invalid("meta.k8s.io", "CreateOptions", "", &errors))
            }
        }
    }

    /// The options of a DELETE that came without a body.
    pub(crate) fn delete_options(&self) -> Result<DeleteOptions, Status> {
        let propagation_policy = match self.get("propagationPolicy") {
            None | Some("") => None,
            Some("Orphan") => Some(Propagation::Orphan),
            Some("Background") => Some(Propagation::Background),
            Some("Foreground") => Some(Propagation::Foreground),
            Some(other) => {
                let path = field::Path::new("propagationPolicy");
                let valid = ["Foreground", "Background", "Orphan", ""];
                let errors = vec![field::Error::not_supported(&path, other, &valid)];
                return Err(Status::invalid("meta.k8s.io", "DeleteOptions", "", &errors));
            }
        };
        Ok(DeleteOptions {
            grace_period_seconds: self.number("gracePeriodSeconds")?,
            orphan_dependents: self.flag("orphanDependents"),
            propagation_policy,
            ..DeleteOptions::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters() {
        let query =
            Query::parse(Some("labelSelector=a%3Db%2Cc&limit=5&watch&resourceVersion=7&dryRun=All&force=false"));
        let options = query.options().unwrap();
        assert_eq!(options.labels.to_string(), "a=b,c");
        assert_eq!((options.limit, options.resource_version, options.dry_run), (5, Some(7), true));
        assert_eq!((query.flag("watch"), options.force, query.flag("other")), (Some(true), Some(false), None));
        for bad in [
            "limit=x",
            "labelSelector==",
            "fieldSelector=x",
            "dryRun=Some",
            "resourceVersion=x",
            "fieldValidation=x",
            "resourceVersionMatch=x",
        ] {
            assert!(Query::parse(Some(bad)).options().is_err(), "{bad}");
        }
        assert!(Query::parse(Some("propagationPolicy=x")).delete_options().is_err());
    }
}
