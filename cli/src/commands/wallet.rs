//! `towpath wallet …`

use towpath_api::{Direction, HistoryQuery, WalletSend};

use crate::args::{Common, Wallet};
use crate::context;
use crate::errors::CliError;
use crate::output::{Style, amount, answer, facts, short, table, time, word};

/// Runs one of the wallet's commands.
///
/// # Errors
/// When the node refuses or cannot be asked.
pub async fn wallet(common: &Common, command: Wallet) -> Result<(), CliError> {
    let client = context::client(common)?;
    let style = Style::of(common);
    match command {
        Wallet::Balance => answer(style, &client.wallet().await?, |wallet| {
            facts(&[
                ("confirmed", amount(wallet.confirmed)),
                ("available", amount(wallet.available)),
                ("reserved", amount(wallet.reserved)),
                ("pending", amount(wallet.pending)),
                ("in channels", amount(wallet.in_channels)),
            ])
        }),
        Wallet::Address => answer(style, &client.new_address().await?, |new| new.address.clone()),
        Wallet::Send { to, amount: units, idempotency_key } => {
            let sent = client.send(&WalletSend { to, amount: units, idempotency_key }).await?;
            answer(style, &sent, |sent| {
                facts(&[
                    ("transaction", sent.tx.clone()),
                    ("fee", amount(sent.fee)),
                    ("next", follow(&sent.tx)),
                ])
            })
        }
        Wallet::History { limit, before } => {
            let page = client.history(&HistoryQuery { limit: Some(limit), before }).await?;
            answer(style, &page, |page| {
                let rows = page.entries.iter().map(|entry| {
                    let sign = match entry.direction {
                        Direction::In => "+",
                        Direction::Out => "-",
                    };
                    vec![
                        entry.time_ms.map_or_else(|| "pending".to_owned(), time),
                        entry.height.map_or_else(String::new, |height| height.to_string()),
                        word(&entry.kind),
                        format!("{sign}{}", amount(entry.amount)),
                        short(&entry.tx),
                    ]
                });
                let mut text = table(&["time", ">height", "kind", ">amount", "transaction"], rows.collect());
                if let Some(next) = &page.next {
                    text.push_str(&format!("\n older entries: --before {next}"));
                }
                text
            })
        }
    }
}

fn follow(tx: &str) -> String {
    format!("towpath ledger tx {}", short(tx))
}
