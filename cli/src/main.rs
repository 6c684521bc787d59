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

use crate::args::{Cli, Command, Common};
use crate::errors::CliError;
use crate::output::Style;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let style = Style::of(&cli.common);
    match run(&cli.common, cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(style, &error);
            error.exit().into()
        }
    }
}

fn run(common: &Common, command: Command) -> Result<(), CliError> {
    match command {
        Command::Init(args) => commands::init(common, args),
        Command::Node(args) => commands::node(common, *args),
        Command::Info => wait(commands::info(common)),
        Command::Wallet(command) => wait(commands::wallet(common, command)),
        Command::Peer(command) => wait(commands::peer(common, command)),
        Command::Channel(command) => wait(commands::channel(common, command)),
        Command::Ledger(command) => wait(commands::ledger(common, command)),
        Command::Events(args) => wait(commands::events(common, args)),
        Command::Backup(command) => wait(commands::backup(common, command)),
        Command::Testnet(command) => wait(commands::testnet(common, command)),
        Command::Bench(args) => wait(commands::bench(common, args)),
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
