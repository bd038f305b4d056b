//! Query parameters as options.

use serde_json::{Value, json};
use windlass_api::fields::FieldSelector;
use windlass_api::labels::Selector;
use windlass_api::status::Reason;
use windlass_api::{Status, field, text};
use windlass_client::{Options, PatchType, Verb, VersionMatch};

use crate::context::MANAGER_BYTES_MAX;

/// The group of the kinds that parameters are.
const META: &str = "meta.k8s.io";

/// What a request selects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selectors {
    pub fields: Option<FieldSelector>,
    pub labels: Option<Selector>,
}

/// The decoded parameters in their order.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

/// Upstream takes a version that is no number for a fault of its own, where it reads one object or watches.
fn unreadable(why: String) -> Status {
    Status::new(500, Reason::Unknown, why)
}

impl Query {
    pub(crate) fn parse(query: Option<&str>) -> Self {
        Self(form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that says nothing when it is absent.
    fn word(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that is a yes or no; upstream takes everything but these for yes.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.get(name).map(|value| !matches!(value.to_ascii_lowercase().as_str(), "false" | "0"))
    }

    /// A parameter that is a whole number; an empty one is as good as none.
    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Status> {
        match self.get(name) {
            None | Some("") => Ok(None),
            Some(text) => match text.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))),
            },
        }
    }

    /// Whether a GET of a collection is a watch.
    pub(crate) fn is_watch(&self) -> bool {
        self.flag("watch").unwrap_or(false)
    }

    /// The fields that are selected.
    pub(crate) fn fields(&self) -> Result<FieldSelector, Status> {
        match self.get("fieldSelector") {
            None | Some("") => Ok(FieldSelector::everything()),
            Some(text) => FieldSelector::parse(text).map_err(|error| Status::bad_request(error.to_string())),
        }
    }

    /// What authorization is asked about; a selector that cannot be read restricts nothing.
    pub(crate) fn selectors(&self) -> Selectors {
        let text = |name| self.get(name).filter(|text| !text.is_empty());
        Selectors {
            fields: text("fieldSelector").and_then(|text| FieldSelector::parse(text).ok()),
            labels: text("labelSelector").and_then(|text| Selector::parse(text).ok()),
        }
    }

    /// What the parameters mean for a verb: others than its own are not looked at.
    pub(crate) fn options(&self, verb: Verb) -> Result<Options, Status> {
        match verb {
            Verb::Get => {
                Ok(Options { resource_version: self.resource_version().map_err(unreadable)?, ..Options::default() })
            }
            Verb::List | Verb::DeleteCollection => self.list_options(false),
            Verb::Watch => self.list_options(true),
            Verb::Create => self.write_options("CreateOptions", field::Errors::new()),
            Verb::Update => self.write_options("UpdateOptions", field::Errors::new()),
            Verb::Patch(patch) => self.write_options("PatchOptions", self.patch_errors(patch)),
            // They are the body, made from the query when there is none.
            Verb::Delete => Ok(Options::default()),
        }
    }

    fn list_options(&self, watches: bool) -> Result<Options, Status> {
        let labels = match self.get("labelSelector") {
            None | Some("") => Selector::everything(),
            Some(text) => Selector::parse(text).map_err(|error| Status::bad_request(error.to_string()))?,
        };
        let errors = if watches { self.watch_errors() } else { self.list_errors() };
        if !errors.is_empty() {
            return Err(Status::invalid(META, "ListOptions", "", &errors));
        }
        let version_match = match self.get("resourceVersionMatch") {
            Some("Exact") => Some(VersionMatch::Exact),
            Some("NotOlderThan") => Some(VersionMatch::NotOlderThan),
            _ => None,
        };
        Ok(Options {
            labels,
            fields: self.fields()?,
            resource_version: self.resource_version().map_err(|why| match watches {
                true => unreadable(why),
                false => Status::bad_request(format!("invalid resource version: {why}")),
            })?,
            version_match,
            limit: self.number::<i64>("limit")?.and_then(|limit| limit.try_into().ok()).unwrap_or(0),
            continue_token: self.word("continue").to_owned(),
            timeout_seconds: self.number::<i64>("timeoutSeconds")?.and_then(|seconds| seconds.try_into().ok()),
            allow_bookmarks: self.flag("allowWatchBookmarks").unwrap_or(false),
            send_initial_events: self.flag("sendInitialEvents"),
            ..Options::default()
        })
    }

    /// The version that is asked for; the error is what Go says of one that is no number.
    fn resource_version(&self) -> Result<Option<u64>, String> {
        let Some(version) = self.get("resourceVersion").filter(|version| !version.is_empty()) else { return Ok(None) };
        version.parse().map(Some).map_err(|_| {
            format!(
                "resourceVersion: Invalid value: {version:?}: strconv.ParseUint: parsing {version:?}: invalid syntax"
            )
        })
    }

    fn list_errors(&self) -> field::Errors {
        let mut errors = field::Errors::new();
        let path = field::Path::new("resourceVersionMatch");
        let (version, wanted) = (self.word("resourceVersion"), self.word("resourceVersionMatch"));
        if !wanted.is_empty() {
            let mut forbid = |detail: &str| errors.push(field::Error::forbidden(&path, detail));
            if version.is_empty() {
                forbid("resourceVersionMatch is forbidden unless resourceVersion is provided");
            }
            if !self.word("continue").is_empty() {
                forbid("resourceVersionMatch is forbidden when continue is provided");
            }
            if !matches!(wanted, "Exact" | "NotOlderThan") {
                errors.push(field::Error::not_supported(&path, wanted, &["Exact", "NotOlderThan", ""]));
            }
            if wanted == "Exact" && version == "0" {
                let detail = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
                errors.push(field::Error::forbidden(&path, detail));
            }
        }
        if self.flag("sendInitialEvents").is_some() {
            let path = field::Path::new("sendInitialEvents");
            errors.push(field::Error::forbidden(&path, "sendInitialEvents is forbidden for list"));
        }
        errors
    }

    fn watch_errors(&self) -> field::Errors {
        let mut errors = field::Errors::new();
        let path = field::Path::new("resourceVersionMatch");
        let (wanted, sends_initial) = (self.word("resourceVersionMatch"), self.flag("sendInitialEvents").is_some());
        let mut forbid = |detail: &str| errors.push(field::Error::forbidden(&path, detail));
        if sends_initial && wanted != "NotOlderThan" {
            forbid("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
        }
        if !wanted.is_empty() && !sends_initial {
            forbid("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
        }
        if !wanted.is_empty() && !self.word("continue").is_empty() {
            forbid("resourceVersionMatch is forbidden when continue is provided");
        }
        if !matches!(wanted, "" | "NotOlderThan") {
            errors.push(field::Error::not_supported(&path, wanted, &["NotOlderThan"]));
        }
        errors
    }

    /// What else is wrong with the options of a patch.
    fn patch_errors(&self, patch: PatchType) -> field::Errors {
        let applies = patch == PatchType::Apply;
        let mut errors = field::Errors::new();
        if applies && self.word("fieldManager").is_empty() {
            errors.push(field::Error::required(&field::Path::new("fieldManager"), "is required for apply patch"));
        }
        if !applies && self.flag("force").is_some() {
            errors
                .push(field::Error::forbidden(&field::Path::new("force"), "may not be specified for non-apply patch"));
        }
        errors
    }

    fn write_options(&self, kind: &str, mut errors: field::Errors) -> Result<Options, Status> {
        let field_manager = self.word("fieldManager");
        errors.extend(field_manager_errors(field_manager));
        errors.extend(self.dry_run_errors());
        let field_validation = self.word("fieldValidation");
        if !matches!(field_validation, "" | "Ignore" | "Warn" | "Strict") {
            let path = field::Path::new("fieldValidation");
            let valid = ["", "Ignore", "Strict", "Warn"];
            errors.push(field::Error::not_supported(&path, field_validation, &valid));
        }
        if !errors.is_empty() {
            return Err(Status::invalid(META, kind, "", &errors));
        }
        Ok(Options {
            dry_run: self.all("dryRun").next().is_some(),
            field_manager: field_manager.to_owned(),
            field_validation: field_validation.to_owned(),
            force: self.flag("force"),
            ..Options::default()
        })
    }

    fn dry_run_errors(&self) -> field::Errors {
        let path = field::Path::new("dryRun");
        let all: Vec<&str> = self.all("dryRun").collect();
        if all.iter().all(|value| *value == "All") {
            return field::Errors::new();
        }
        field::Errors::from(field::Error::not_supported(&path, all, &["All"]))
    }

    /// The body of a DELETE that came without one; whoever reads it checks it.
    pub(crate) fn delete_options(&self) -> Result<Value, Status> {
        let mut options = json!({});
        if let Some(seconds) = self.number::<i64>("gracePeriodSeconds")? {
            options["gracePeriodSeconds"] = json!(seconds);
        }
        if let Some(orphan) = self.flag("orphanDependents") {
            options["orphanDependents"] = json!(orphan);
        }
        if let Some(policy) = self.get("propagationPolicy").filter(|policy| !policy.is_empty()) {
            options["propagationPolicy"] = json!(policy);
        }
        let dry_run: Vec<&str> = self.all("dryRun").collect();
        if !dry_run.is_empty() {
            options["dryRun"] = json!(dry_run);
        }
        Ok(options)
    }
}

/// What is wrong with the name of a field manager.
fn field_manager_errors(name: &str) -> field::Errors {
    let path = field::Path::new("fieldManager");
    let mut errors = field::Errors::new();
    if name.len() > MANAGER_BYTES_MAX {
        errors.push(field::Error::too_long(&path, MANAGER_BYTES_MAX));
    }
    for (at, c) in name.char_indices().filter(|(_, c)| !text::is_printable(*c)) {
        let detail = format!("invalid character U+{:04X} (at position {at})", c as u32);
        errors.push(field::Error::invalid(&path, name, detail));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters() {
        let query =
            Query::parse(Some("labelSelector=a%3Db%2Cc&limit=5&watch&resourceVersion=7&dryRun=All&force=false"));
        let options = query.options(Verb::List).unwrap();
        assert_eq!(options.labels.to_string(), "a=b,c");
        assert_eq!((options.limit, options.resource_version, options.dry_run), (5, Some(7), false));
        let options = query.options(Verb::Patch(PatchType::Apply)).unwrap_err();
        assert_eq!(options.code, 422, "an apply needs a manager");
        assert!(query.options(Verb::Create).unwrap().dry_run);
        assert_eq!(query.delete_options().unwrap(), json!({"dryRun": ["All"]}));
        assert_eq!((query.is_watch(), query.flag("force"), query.flag("other")), (true, Some(false), None));
    }

    #[test]
    fn each_verb_refuses_its_own() {
        let long = format!("fieldManager={}", "m".repeat(129));
        let (patch, apply) = (Verb::Patch(PatchType::Merge), Verb::Patch(PatchType::Apply));
        let lists: &[Verb] = &[Verb::List, Verb::Watch, Verb::DeleteCollection];
        let writes: &[Verb] = &[Verb::Create, Verb::Update, patch];
        let verbs = [Verb::Get, Verb::Delete].into_iter().chain(lists.iter().copied()).chain(writes.iter().copied());
        let verbs: Vec<Verb> = verbs.chain([apply]).collect();
        for (bad, refusing) in [
            ("limit=x", lists),
            ("labelSelector==", lists),
            ("fieldSelector=x", lists),
            ("resourceVersionMatch=x", lists),
            ("fieldManager=m&dryRun=Some", &[Verb::Create, Verb::Update, patch, apply]),
            ("fieldManager=m&fieldValidation=x", &[Verb::Create, Verb::Update, patch, apply]),
            ("fieldManager=%00", &[Verb::Create, Verb::Update, patch, apply]),
            (&long, &[Verb::Create, Verb::Update, patch, apply]),
            ("fieldManager=m&force=true", &[patch]),
            ("force=true", &[patch, apply]),
            ("resourceVersion=x", &[Verb::Get, Verb::List, Verb::Watch, Verb::DeleteCollection]),
        ] {
            let query = Query::parse(Some(bad));
            for &verb in &verbs {
                // An apply without a manager is refused anyhow.
                let refused = refusing.contains(&verb) || (verb == apply && !bad.contains("fieldManager"));
                assert_eq!(query.options(verb).is_err(), refused, "{bad} {verb:?}");
            }
        }
        assert!(Query::parse(Some("gracePeriodSeconds=x")).delete_options().is_err());
    }
}
