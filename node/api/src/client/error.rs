//! Why a call failed, in words that say what to do next.

use crate::codes::Code;
use crate::error::ApiError;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The base URL can't be used.
    #[error("'{url}' is no address of a node's API: {reason}; give one like http://127.0.0.1:7420")]
    BadUrl {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No connection, or it broke before the answer. The request may or may not have been carried out.
    #[error("cannot reach the node at {url}: {reason}; is the node running?")]
    Unreachable {
        /// Where it was sought.
        url: String,
        /// The cause.
        reason: String,
    },
    /// The node didn't answer in time. The request may or may not have been carried out.
    #[error("the node at {url} did not answer within {seconds} s; is it busy, or stopped?")]
    TimedOut {
        /// Where it was sought.
        url: String,
        /// How long.
        seconds: u64,
    },
    /// The node refused.
    #[error(transparent)]
    Api(Box<ApiError>),
    /// Something answered, but not as a node does.
    #[error(
        "{url} answered with HTTP status {status}, but not as a Towpath node does; is something else listening there?"
    )]
    NotANode {
        /// What was called.
        url: String,
        /// The status.
        status: u16,
    },
    /// The answer isn't what this version expects.
    #[error(
        "the node's answer to {route} cannot be read: {source}; is it of the same version as this program?"
    )]
    Answer {
        /// Method and path.
        route: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The answer is larger than any should be.
    #[error("the node's answer to {route} is larger than {limit} bytes")]
    TooLarge {
        /// Method and path.
        route: String,
        /// The bound.
        limit: usize,
    },
}

impl ClientError {
    /// The code, if the node itself refused.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        self.api().map(|error| error.code)
    }

    /// The node's own words, if it refused.
    #[must_use]
    pub fn api(&self) -> Option<&ApiError> {
        match self {
            Self::Api(error) => Some(error),
            Self::BadUrl { .. }
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::NotANode { .. }
            | Self::Answer { .. }
            | Self::TooLarge { .. } => None,
        }
    }

    /// Whether no node answered.
    #[must_use]
    pub const fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::TimedOut { .. })
    }
}

/// An error and its causes in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
