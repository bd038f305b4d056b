//! Who makes a request, and what the client is told beside the answer.

use std::sync::Arc;

use parking_lot::Mutex;
use windlass_admission::Warnings;
use windlass_auth::User;

/// The surroundings of one request.
#[derive(Debug)]
pub struct Context {
    pub user: Arc<User>,
    pub user_agent: Arc<str>,
    warnings: Mutex<Vec<String>>,
}

/// More warnings than this are not sent.
const WARNINGS_MAX: usize = 100;

impl Context {
    pub fn new(user: Arc<User>, user_agent: impl Into<Arc<str>>) -> Self {
        Self { user, user_agent: user_agent.into(), warnings: Mutex::default() }
    }

    /// Tells the client something although the request goes on: a `Warning` header.
    pub fn warn(&self, text: impl Into<String>) {
        let mut warnings = self.warnings.lock();
        let text = text.into();
        if warnings.len() < WARNINGS_MAX && !warnings.contains(&text) {
            warnings.push(text);
        }
    }

    pub fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.warnings.lock())
    }

    /// The name under which the client's changes are recorded when it gives none: the program's, from its User-Agent.
    pub fn default_manager(&self) -> &str {
        self.user_agent.split('/').next().unwrap_or_default()
    }
}

impl Warnings for Context {
    fn warn(&self, text: String) {
        self.warn(text);
    }
}
