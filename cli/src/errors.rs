//! Errors for people, and the exit codes that programs rely on.

use std::process::ExitCode;

use towpath_api::{ClientError, TokenError};
use towpath_testnet::TestnetError;

/// What `towpath` returns to the shell. The table is part of its help.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Exit {
    /// Something failed that has no code of its own.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The node cannot be reached.
    Unreachable = 3,
    /// No such channel, node, block, …
    NotFound = 4,
    /// A rule forbids it: balance, terms, state.
    Refused = 5,
    /// It took too long; it may still happen.
    TimedOut = 6,
    /// No or a wrong token.
    NotAllowed = 7,
    /// Keys, configuration, database or disk.
    Local = 8,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The one error of the command line.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The node said no, or said nothing.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The local network.
    #[error(transparent)]
    Testnet(#[from] TestnetError),
    /// The token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Nothing says which node is meant.
    #[error(
        "which node? Give --node with a name of the local network or a URL, or --data-dir; \
         `towpath testnet up` starts a local network"
    )]
    WhichNode,
    /// A URL without a token.
    #[error("a node at a URL needs its token: give --data-dir, or put the token into TOWPATH_TOKEN")]
    NoToken,
    /// The arguments contradict each other or the state of things.
    #[error("{0}")]
    Usage(String),
    /// The node could not run, or its files could not be made.
    #[error("{0}")]
    Local(String),
    /// A command that failed as a whole.
    #[error("{0}")]
    Failed(String),
}

impl CliError {
    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Client(error) | Self::Testnet(TestnetError::Call { source: error, .. }) => {
                client_exit(error)
            }
            Self::Testnet(error) => testnet_exit(error),
            Self::Token(_) | Self::NoToken => Exit::NotAllowed,
            Self::WhichNode | Self::Usage(_) => Exit::Usage,
            Self::Local(_) => Exit::Local,
            Self::Failed(_) => Exit::Failed,
        }
    }

    /// The stable code of the error, for programs.
    #[must_use]
    pub fn code(&self) -> String {
        match self {
            Self::Client(error) => error.code().map_or_else(|| "client".to_owned(), |code| code.to_string()),
            Self::Testnet(_) => "testnet".to_owned(),
            Self::Token(_) | Self::NoToken => "token".to_owned(),
            Self::WhichNode | Self::Usage(_) => "usage".to_owned(),
            Self::Local(_) => "local".to_owned(),
            Self::Failed(_) => "failed".to_owned(),
        }
    }
}

fn client_exit(error: &ClientError) -> Exit {
    match error {
        ClientError::Unreachable { .. } | ClientError::NotANode { .. } => Exit::Unreachable,
        ClientError::TimedOut { .. } => Exit::TimedOut,
        ClientError::BadUrl { .. } => Exit::Usage,
        ClientError::Answer { .. } | ClientError::TooLarge { .. } => Exit::Failed,
        ClientError::Api(error) => match error.status {
            401 | 403 => Exit::NotAllowed,
            404 => Exit::NotFound,
            408 | 504 => Exit::TimedOut,
            400..=499 => Exit::Refused,
            _ => Exit::Failed,
        },
    }
}

fn testnet_exit(error: &TestnetError) -> Exit {
    match error {
        TestnetError::NoNetwork { .. } | TestnetError::NoNode { .. } => Exit::NotFound,
        TestnetError::Running { .. } | TestnetError::Different { .. } | TestnetError::NotRunning { .. } => {
            Exit::Refused
        }
        TestnetError::State { .. } | TestnetError::Io { .. } | TestnetError::SetUp { .. } => Exit::Local,
        TestnetError::NotReady { .. } | TestnetError::Broken(_) => Exit::Failed,
        TestnetError::Call { source, .. } => client_exit(source),
        TestnetError::TimedOut { .. } => Exit::TimedOut,
    }
}
