//! `towpath info`

use crate::args::Common;
use crate::context;
use crate::errors::CliError;
use crate::output::{Style, amount, answer, facts, grouped, span};

/// Prints what the node is.
///
/// # Errors
/// When the node cannot be asked.
pub async fn info(common: &Common) -> Result<(), CliError> {
    let info = context::client(common)?.info().await?;
    answer(Style::of(common), &info, |info| {
        let channels = &info.channels;
        facts(&[
            ("node", format!("{} ({})", info.node, info.name)),
            ("chain", format!("{} ({})", info.chain, info.chain_name)),
            (
                "mode",
                format!("{:?}{}", info.mode, if info.validator { ", validator" } else { "" }).to_lowercase(),
            ),
            ("version", info.version.clone()),
            ("uptime", span(info.uptime_ms)),
            ("listens on", info.listen.join("\n            ")),
            ("peers", info.peers.to_string()),
            (
                "ledger",
                format!("height {}, {} old", grouped(info.ledger.height), span(info.ledger.tip_age_ms)),
            ),
            (
                "channels",
                format!(
                    "{} active, {} opening, {} closing, {} disputed, {} settled{}",
                    channels.active,
                    channels.opening,
                    channels.closing,
                    channels.disputed,
                    channels.settled,
                    if channels.damaged > 0 {
                        format!(", {} IN NEED OF RECOVERY", channels.damaged)
                    } else {
                        String::new()
                    }
                ),
            ),
            (
                "wallet",
                format!("{} available of {}", amount(info.wallet.available), amount(info.wallet.confirmed)),
            ),
            ("in channels", amount(info.wallet.in_channels)),
        ])
    })
}
