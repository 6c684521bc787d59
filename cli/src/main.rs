//! The `towpath` program: first what the user typed, then what it means, then do it.

mod args;
mod commands;
mod context;
mod errors;
mod output;
mod passphrase;
mod words;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::args::{Cli, Command, Common};
use crate::errors::{CliError, Exit};
use crate::output::Style;

// What tests alone may compile in never gets into the program.
const _: () =
    assert!(towpath_node::AS_SHIPPED, "features for tests are enabled: build with --package towpath");

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misunderstood(&error),
    };
    let style = Style::of(&cli.common);
    match run(&cli.common, cli.command) {
        Ok(()) | Err(CliError::Closed) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(style, &error);
            error.exit().into()
        }
    }
}

/// Help that was asked for is printed as it is. A mistake is explained as all errors are: in words, or as a document.
fn misunderstood(error: &clap::Error) -> ExitCode {
    let is_help = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => true,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => true,
        _mistake => false,
    };
    if is_help || Style::wanted(std::env::args()) == Style::People {
        // A closed output leaves nobody to tell.
        let _ = error.print();
        return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Exit::Usage as u8));
    }
    let text = error.render().to_string();
    let text = text.trim().trim_start_matches("error:").trim();
    let error = CliError::Syntax(text.to_owned());
    output::error(Style::Json, &error);
    error.exit().into()
}

fn run(common: &Common, command: Command) -> Result<(), CliError> {
    match command {
        Command::Init(args) => commands::init(common, args),
        Command::Node(args) => commands::node(common, *args),
        Command::Info => wait(commands::info(common)),
        Command::Wallet(command) => wait(commands::wallet(common, command)),
        Command::Peer(command) => wait(commands::peer(common, command)),
        Command::Channel(command) => wait(commands::channel(common, *command)),
        Command::Tower(command) => wait(commands::tower(common, command)),
        Command::Ledger(command) => wait(commands::ledger(common, command)),
        Command::Events(args) => wait(commands::events(common, args)),
        Command::Backup(command) => wait(commands::backup(common, command)),
        Command::Testnet(command) => wait(commands::testnet(common, command)),
        Command::Bench(args) => wait(commands::bench(common, args)),
        Command::ExitCodes => commands::exit_codes(common),
    }
}

/// Runs a client's command: it waits more than it works, so one thread does.
fn wait(command: impl Future<Output = Result<(), CliError>>) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::Failed(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(command)
}
