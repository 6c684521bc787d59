//! `towpath ledger …`

use towpath_api::{Block, LedgerInfo, Lock, OutputInfo, Transaction};

use super::verify;
use crate::args::{Common, Ledger};
use crate::context;
use crate::errors::CliError;
use crate::output::{Style, amount, answer, facts, grouped, short, table, time, word};

/// Runs one of the ledger's commands.
///
/// # Errors
/// When the node refuses or cannot be asked.
pub async fn ledger(common: &Common, command: Ledger) -> Result<(), CliError> {
    let client = context::client(common)?;
    let style = Style::of(common);
    match command {
        Ledger::Status => answer(style, &client.ledger().await?, status),
        Ledger::Block { block } => answer(style, &client.block(&block).await?, one_block),
        Ledger::Tx { id } => answer(style, &client.transaction(&id).await?, transaction),
        Ledger::Output { outpoint } => answer(style, &client.output(&outpoint).await?, output),
        Ledger::Verify(args) => verify::verify(common, args).await,
    }
}

fn status(ledger: &LedgerInfo) -> String {
    let validators: Vec<String> = ledger
        .validators
        .iter()
        .map(|validator| format!("{} (power {})", short(&validator.node), validator.power))
        .collect();
    facts(&[
        ("chain", format!("{} ({})", ledger.chain, ledger.chain_name)),
        ("height", grouped(ledger.height)),
        ("tip", ledger.tip.clone()),
        ("time", time(ledger.time_ms)),
        ("state root", ledger.state_root.clone()),
        ("supply", amount(ledger.supply)),
        ("fees", amount(ledger.fees)),
        (
            "waiting",
            format!("{} transactions, {} bytes", ledger.mempool.transactions, grouped(ledger.mempool.bytes)),
        ),
        ("validators", validators.join("\n            ")),
    ])
}

fn one_block(block: &Block) -> String {
    let mut lines = vec![
        ("block", block.id.clone()),
        ("height", grouped(block.height)),
        ("parent", block.parent.clone()),
        ("time", time(block.time_ms)),
        ("proposer", block.proposer.clone()),
        ("state root", block.state_root.clone()),
        ("size", format!("{} bytes", grouped(block.size_bytes))),
    ];
    if let Some(certificate) = &block.certificate {
        lines.push((
            "decided",
            format!("round {}, {} signatures", certificate.round, certificate.signers.len()),
        ));
    }
    lines.push((
        "transactions",
        if block.transactions.is_empty() {
            "none".into()
        } else {
            block.transactions.join("\n              ")
        },
    ));
    facts(&lines)
}

/// A lock in a few words.
pub fn lock(lock: &Lock) -> String {
    match lock {
        Lock::Wallet { address } => format!("wallet {}", short(address)),
        Lock::Channel { channel, generation, .. } => {
            format!("channel {} generation {generation}", short(channel))
        }
        Lock::Closing { channel, version, penalized, .. } => {
            format!(
                "closing {} at version {version}{}",
                short(channel),
                if *penalized { ", penalized" } else { "" }
            )
        }
        Lock::Conditional { expiry_ms, .. } => format!("conditional until {}", time(*expiry_ms)),
    }
}

fn transaction(tx: &Transaction) -> String {
    let mut lines = vec![
        ("transaction", tx.id.clone()),
        ("status", word(&tx.status)),
        ("size", format!("{} bytes", grouped(tx.size_bytes))),
    ];
    if let (Some(height), Some(block)) = (tx.height, &tx.block) {
        lines.push(("block", format!("{height} ({block})")));
    }
    if let Some(payload) = &tx.payload {
        lines.push(("payload", payload.clone()));
    }
    let inputs = tx.inputs.iter().map(|input| vec![short(&input.outpoint), input.witness.clone()]);
    let outputs = tx
        .outputs
        .iter()
        .map(|output| vec![output.outpoint.clone(), amount(output.amount), lock(&output.lock)]);
    format!(
        "{}\n\n{}\n\n{}",
        facts(&lines),
        table(&["spends", "by"], inputs.collect()),
        table(&["makes", ">amount", "lock"], outputs.collect())
    )
}

fn output(output: &OutputInfo) -> String {
    facts(&[
        ("output", output.outpoint.clone()),
        ("amount", amount(output.amount)),
        ("lock", lock(&output.lock)),
        ("made at", format!("height {}, {}", output.height, time(output.time_ms))),
    ])
}
