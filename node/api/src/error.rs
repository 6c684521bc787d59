//! An error as it travels: problem details (RFC 9457) with a stable code and a hint.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::codes::Code;

/// The content type of an error.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Why a request failed, and what to do about it. It never carries a secret, a key or a path of the node's machine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, thiserror::Error)]
#[error("{}", self.one_line())]
pub struct ApiError {
    /// `urn:towpath:error:` and the code.
    #[serde(rename = "type")]
    pub type_uri: String,
    /// One line, the same for every error of this code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The stable name; match on this.
    #[schema(value_type = String, example = "insufficient_funds")]
    pub code: Code,
    /// What happened this time.
    pub detail: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl ApiError {
    /// An error with the code's own hint.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let hint = code.hint();
        Self {
            type_uri: format!("urn:towpath:error:{code}"),
            title: code.title().to_owned(),
            status: code.status(),
            code,
            detail: detail.into(),
            hint: (!hint.is_empty()).then(|| hint.to_owned()),
        }
    }

    /// The same error with a hint that fits this case better.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn one_line(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{} ({}); {hint}", self.detail, self.code),
            None => format!("{} ({})", self.detail, self.code),
        }
    }
}
