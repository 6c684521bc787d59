//! Errors for people, and the exit codes that programs rely on.

use std::process::ExitCode;

use towpath_api::{ApiError, ClientError, Code, TokenError};
use towpath_testnet::TestnetError;

macro_rules! exits {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal, $meaning:literal, $next:literal;)+) => {
        /// What `towpath` returns to the shell: one table for the program, its help and docs/cli.md.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Exit {
            $($(#[$doc])* $variant = $number,)+
        }

        impl Exit {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What happened.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)+ }
            }

            /// What a script can do about it.
            #[must_use]
            pub const fn next(self) -> &'static str {
                match self { $(Self::$variant => $next,)+ }
            }
        }
    };
}

exits! {
    /// It worked.
    Done = 0, "done", "It worked; what was waited for has happened.", "Go on.";
    /// Something failed that has no code of its own.
    Failed = 1, "failed", "It failed, or a check found something wrong.", "Read the message.";
    /// The command line is wrong.
    Usage = 2, "usage", "The command line is wrong; nothing was done.", "Correct it; --help of the command shows how.";
    /// The node cannot be reached.
    Unreachable = 3, "unreachable", "No node answers there. A request may or may not have been carried out.",
        "Start the node; repeat payments only with the same --idempotency-key.";
    /// No such channel, node, block, …
    NotFound = 4, "not-found", "There is no such channel, node, block, transaction or network.",
        "List what there is.";
    /// A rule forbids it: balance, terms, state.
    Refused = 5, "refused", "The node, its peer or the ledger refuses: balance, terms, state, an ambiguous id.",
        "Do what the message says.";
    /// It took too long; it may still happen.
    TimedOut = 6, "timed-out", "It was not done in time. What was begun goes on and may still happen.",
        "Look at the state; repeat payments only with the same --idempotency-key.";
    /// No or a wrong token.
    NotAllowed = 7, "not-allowed", "The node does not accept the token, or there is none.",
        "Give the node's own --data-dir, or its token in TOWPATH_TOKEN.";
    /// Keys, configuration, database or disk.
    Local = 8, "local", "Keys, configuration, database or disk of a node on this machine cannot be used.",
        "Correct the file that the message names.";
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The page of `towpath help exit-codes`.
#[must_use]
pub fn page() -> String {
    let width = Exit::ALL.iter().map(|exit| exit.name().len()).max().unwrap_or(0);
    let mut text = "What towpath returns to the shell. Scripts can rely on these numbers.\n".to_owned();
    for exit in Exit::ALL {
        let indent = " ".repeat(width + 6);
        let (number, name) = (*exit as u8, exit.name());
        text.push_str(&format!("\n  {number}  {name:width$} {}\n{indent}{}\n", exit.meaning(), exit.next()));
    }
    text.push_str(
        "\nWhen the output is JSON, the error is a document on stderr, with a `code` that never changes its meaning\n\
         and a `hint`:  {\"error\":{\"code\":\"channel_not_found\",\"message\":\"…\",\"hint\":\"…\",\"exit\":4}}",
    );
    text
}

/// The one error of the command line.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The node said no, or said nothing.
    #[error("{}", said(.0))]
    Client(#[from] ClientError),
    /// The local network.
    #[error("{}", testnet_said(.0))]
    Testnet(#[from] TestnetError),
    /// The token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Nothing says which node is meant.
    #[error("which node?")]
    WhichNode,
    /// A URL without a token.
    #[error("a node at a URL needs its token")]
    NoToken,
    /// The arguments contradict each other or the state of things.
    #[error("{0}")]
    Usage(String),
    /// The parser's words about the command line.
    #[error("{0}")]
    Syntax(String),
    /// The node could not run, or its files could not be made.
    #[error("{0}")]
    Local(String),
    /// A command that failed as a whole.
    #[error("{0}")]
    Failed(String),
    /// Whoever read the output has gone: `... | head` has what it wanted, and nobody is left to tell.
    #[error("the output was closed")]
    Closed,
    /// A wait that was given up.
    #[error("{message}")]
    TimedOut {
        /// What has happened until then.
        message: String,
        /// What to do.
        hint: String,
    },
}

fn said(error: &ClientError) -> String {
    error.api().map_or_else(|| error.to_string(), |error| error.detail.clone())
}

fn testnet_said(error: &TestnetError) -> String {
    match error {
        TestnetError::Call { name, source } => format!("{name}: {}", said(source)),
        other => other.to_string(),
    }
}

impl CliError {
    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Client(error) => client_exit(error),
            Self::Testnet(error) => testnet_exit(error),
            Self::Token(_) | Self::NoToken => Exit::NotAllowed,
            Self::WhichNode | Self::Usage(_) | Self::Syntax(_) => Exit::Usage,
            Self::Local(_) => Exit::Local,
            Self::Failed(_) => Exit::Failed,
            Self::Closed => Exit::Done,
            Self::TimedOut { .. } => Exit::TimedOut,
        }
    }

    /// The stable code of the error, for programs.
    #[must_use]
    pub fn code(&self) -> String {
        match self {
            Self::Client(error) | Self::Testnet(TestnetError::Call { source: error, .. }) => {
                error.code().map_or_else(|| client_exit(error).name().to_owned(), |code| code.to_string())
            }
            Self::Testnet(_) => "testnet".to_owned(),
            Self::Token(_) | Self::NoToken => "token".to_owned(),
            Self::WhichNode | Self::Usage(_) | Self::Syntax(_) => "usage".to_owned(),
            Self::Local(_) => "local".to_owned(),
            Self::Failed(_) => "failed".to_owned(),
            Self::Closed => "closed".to_owned(),
            Self::TimedOut { .. } => Code::WaitTimeout.to_string(),
        }
    }

    /// What to do about it, in the words of this program; none where the message says it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Client(error) | Self::Testnet(TestnetError::Call { source: error, .. }) => {
                error.api().and_then(api_hint)
            }
            Self::WhichNode => Some(
                "give --node with a name of the local network or a URL, or --data-dir; \
                 `towpath testnet up` starts a local network"
                    .to_owned(),
            ),
            Self::NoToken => {
                Some("give --data-dir, or put the token (the file api.token) into TOWPATH_TOKEN".to_owned())
            }
            Self::TimedOut { hint, .. } => Some(hint.clone()),
            Self::Testnet(_)
            | Self::Token(_)
            | Self::Usage(_)
            | Self::Syntax(_)
            | Self::Local(_)
            | Self::Failed(_)
            | Self::Closed => None,
        }
    }
}

/// The next command, where this program has one; else what the node says.
fn api_hint(error: &ApiError) -> Option<String> {
    let command = match error.code {
        Code::ChannelNotFound => "`towpath channel list` shows the channels",
        Code::PeerNotFound => {
            "`towpath peer list` shows the peers; `towpath peer connect ADDRESS` finds a new one"
        }
        Code::TransactionNotFound => {
            "a transaction that was just sent is final with the next block; `towpath wallet history` lists this node's own"
        }
        Code::BlockNotFound => "`towpath ledger status` shows the newest height",
        Code::OutputNotFound => "it may be spent: `towpath ledger tx` of its transaction shows what it was",
        Code::AmbiguousId => "give more letters of it",
        Code::InvalidId => "ids can be cut at the end, but not changed; copy it again",
        Code::InsufficientBalance => {
            "`towpath channel show` says what can be spent; the reserve always stays"
        }
        Code::InsufficientFunds => {
            "`towpath wallet balance` shows what there is; `towpath wallet address` makes an address to be paid at"
        }
        Code::PeerOffline => {
            "`towpath peer list` shows who is connected; `towpath peer connect ADDRESS` connects"
        }
        Code::ChannelNotActive => "`towpath channel show` says where the channel is in its life",
        Code::Unauthorized => {
            "give the node's own --data-dir, or its token (the file api.token) in TOWPATH_TOKEN"
        }
        Code::WaitTimeout => {
            "it goes on: look at its state, or repeat the call with the same --idempotency-key"
        }
        _ => return error.hint.clone(),
    };
    Some(command.to_owned())
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
        TestnetError::Running { .. }
        | TestnetError::Different { .. }
        | TestnetError::NotRunning { .. }
        | TestnetError::NotHere(_) => Exit::Refused,
        TestnetError::State { .. }
        | TestnetError::Io { .. }
        | TestnetError::SetUp { .. }
        | TestnetError::NoCheat { .. } => Exit::Local,
        TestnetError::NotReady { .. } | TestnetError::Broken(_) | TestnetError::Cheat { .. } => Exit::Failed,
        TestnetError::Call { source, .. } => client_exit(source),
        TestnetError::TimedOut { .. } => Exit::TimedOut,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_the_table_of_exit_codes() {
        let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md"))
            .expect("docs/cli.md");
        for exit in Exit::ALL {
            let row = format!("| {} | {} | {} | {} |", *exit as u8, exit.name(), exit.meaning(), exit.next());
            assert!(docs.contains(&row), "docs/cli.md has no row:\n{row}");
        }
    }

    #[test]
    fn codes_count_up_from_zero() {
        let numbers: Vec<u8> = Exit::ALL.iter().map(|exit| *exit as u8).collect();
        assert_eq!(numbers, (0..=8).collect::<Vec<u8>>());
    }

    #[test]
    fn a_refusal_names_the_next_command() {
        let error =
            CliError::from(ClientError::Api(Box::new(ApiError::new(Code::ChannelNotFound, "no channel"))));
        assert_eq!((error.to_string().as_str(), error.exit()), ("no channel", Exit::NotFound));
        assert!(error.hint().is_some_and(|hint| hint.contains("towpath channel list")));
        // What only the node knows is passed on.
        let refused = ApiError::new(Code::PeerRefused, "no").with_hint("ask its operator");
        let error = CliError::from(ClientError::Api(Box::new(refused)));
        assert_eq!(error.hint().as_deref(), Some("ask its operator"));
    }
}
