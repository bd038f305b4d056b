//! Who makes a request, and what the client is told beside the answer.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use windlass_admission::{AuditAnnotations, Warnings};
use windlass_api::text;
use windlass_audit::{Level, Trail};
use windlass_auth::User;
use windlass_resources::WARNINGS_MAX;

/// The surroundings of one request.
pub struct Context {
    pub user: Arc<User>,
    pub user_agent: Arc<str>,
    default_manager: OnceLock<String>,
    warnings: Mutex<Vec<String>>,
    /// What the request leaves in the audit log; `None` when that is nothing.
    pub(crate) trail: Option<Arc<Trail>>,
}

/// Bytes that the name of a field manager may have.
pub(crate) const MANAGER_BYTES_MAX: usize = 128;

/// As many characters warnings may have together; when they have more, each is cut, and the last ones are left out. As upstream.
const WARNINGS_CHARS_MAX: usize = 4096;
const CUT_WARNING_CHARS: usize = 256;

impl Context {
    pub fn new(user: Arc<User>, user_agent: impl Into<Arc<str>>) -> Self {
        Self {
            user,
            user_agent: user_agent.into(),
            default_manager: OnceLock::new(),
            warnings: Mutex::default(),
            trail: None,
        }
    }

    pub(crate) fn with_trail(self, trail: Option<Arc<Trail>>) -> Self {
        Self { trail, ..self }
    }

    /// Annotates the request in the audit log.
    pub(crate) fn annotate(&self, key: &str, value: impl Into<String>) {
        if let Some(trail) = &self.trail {
            trail.annotate(key, value);
        }
    }

    /// Tells the client something although the request goes on: a `Warning` header.
    pub fn warn(&self, text: impl Into<String>) {
        let mut warnings = self.warnings.lock();
        let text = text.into();
        if warnings.len() < WARNINGS_MAX && !warnings.contains(&text) {
            warnings.push(text);
        }
    }

    /// The warnings, as far as headers have room for them.
    pub fn take_warnings(&self) -> Vec<String> {
        let all = std::mem::take(&mut *self.warnings.lock());
        let chars = |text: &String| text.chars().count();
        if all.iter().map(chars).sum::<usize>() <= WARNINGS_CHARS_MAX {
            return all;
        }
        let mut written = 0;
        let cut = all.into_iter().map(|text| text.chars().take(CUT_WARNING_CHARS).collect::<String>());
        cut.take_while(|text| {
            let has_room = written < WARNINGS_CHARS_MAX;
            written += chars(text);
            has_room
        })
        .collect()
    }

    /// The name under which the client's changes are recorded when it gives none: the program's, from its User-Agent.
    pub fn default_manager(&self) -> &str {
        self.default_manager.get_or_init(|| manager_of(&self.user_agent))
    }
}

/// What stands before the first slash of a User-Agent, as far as it is printable and has room.
fn manager_of(user_agent: &str) -> String {
    let program = user_agent.split('/').next().unwrap_or_default();
    let mut name = String::new();
    for c in program.chars().filter(|c| text::is_printable(*c)) {
        if name.len() + c.len_utf8() > MANAGER_BYTES_MAX {
            break;
        }
        name.push(c);
    }
    if name.is_empty() { "unknown".to_owned() } else { name }
}

impl Warnings for Context {
    fn warn(&self, text: String) {
        self.warn(text);
    }

    fn audit(&self) -> Option<&dyn AuditAnnotations> {
        self.trail.as_ref().map(|_| self as &dyn AuditAnnotations)
    }
}

impl AuditAnnotations for Context {
    fn annotate(&self, key: &str, value: String) {
        self.annotate(key, value);
    }

    fn keeps_objects(&self) -> bool {
        self.trail.as_ref().is_some_and(|trail| trail.keeps(Level::Request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn managers_without_a_name() {
        for (agent, expected) in
            [("kubectl/v1.37.1 (linux/amd64)", "kubectl"), ("", "unknown"), ("/x", "unknown"), ("a\u{7}b c", "ab c")]
        {
            assert_eq!(manager_of(agent), expected, "{agent:?}");
        }
        assert_eq!(manager_of(&"ü".repeat(100)), "ü".repeat(64));
    }

    #[test]
    fn warnings_have_room_in_headers() {
        let context = Context::new(Arc::new(User::anonymous()), "");
        let long = "ü".repeat(300);
        for text in ["a", "b", "a", &long] {
            context.warn(text);
        }
        assert_eq!(context.take_warnings(), ["a", "b", &long]);
        for number in 0..200 {
            context.warn(format!("{number:03}{long}"));
        }
        let warnings = context.take_warnings();
        assert_eq!(warnings.len(), 16);
        assert!(warnings.iter().all(|text| text.chars().count() == 256));
    }
}
