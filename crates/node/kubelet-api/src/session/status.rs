//! How an exec or attach ended, as the client is told.

use serde_json::{Value, json};

/// The end of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Success,
    /// The command's exit code, which is not 0.
    ExitCode(i32),
    /// It could not be run.
    Failure(String),
}

impl Ending {
    /// As a Status, for `v4.channel.k8s.io` and later.
    pub(crate) fn status(&self) -> Value {
        match self {
            Self::Success => json!({"metadata": {}, "status": "Success"}),
            Self::ExitCode(code) => json!({
                "metadata": {},
                "status": "Failure",
                "message": self.text(),
                "reason": "NonZeroExitCode",
                "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
            }),
            Self::Failure(why) => json!({
                "metadata": {},
                "status": "Failure",
                "message": format!("Internal error occurred: {why}"),
                "reason": "InternalError",
                "details": {"causes": [{"message": why}]},
                "code": 500,
            }),
        }
    }

    /// As older protocols tell it; empty for success.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Success => String::new(),
            Self::ExitCode(code) => {
                format!("command terminated with non-zero exit code: command terminated with exit code {code}")
            }
            Self::Failure(why) => why.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_read() {
        assert_eq!(Ending::Success.status(), json!({"metadata": {}, "status": "Success"}));
        let status = Ending::ExitCode(3).status();
        assert_eq!(status["reason"], "NonZeroExitCode");
        assert_eq!(status["details"]["causes"][0], json!({"reason": "ExitCode", "message": "3"}));
        assert_eq!(Ending::Failure("x".to_owned()).status()["message"], "Internal error occurred: x");
        assert_eq!(Ending::Success.text(), "");
    }
}
