//! `towpath info`

use towpath_api::RecoveryInfo;

use crate::args::Common;
use crate::context;
use crate::errors::CliError;
use crate::output::{Style, amount, answer, facts, grouped, span, word};

/// Prints what the node is.
///
/// # Errors
/// When the node cannot be asked.
pub async fn info(common: &Common) -> Result<(), CliError> {
    let info = context::client(common)?.info().await?;
    answer(Style::of(common), &info, |info| {
        let channels = &info.channels;
        let mut lines = vec![
            ("node", format!("{} ({})", info.node, info.name)),
            ("chain", format!("{} ({})", info.chain, info.chain_name)),
            ("mode", format!("{}{}", word(&info.mode), if info.validator { ", validator" } else { "" })),
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
        ];
        if let Some(recovery) = &info.recovery {
            lines.insert(3, ("recovery", recovering(recovery)));
        }
        facts(&lines)
    })
}

fn recovering(recovery: &RecoveryInfo) -> String {
    let mut text = recovery.cause.clone();
    if recovery.searching {
        text.push_str("; looks for its channels on the ledger");
    }
    if recovery.channels > 0 {
        text.push_str(&format!("; {} channels wait for their newest state", grouped(recovery.channels)));
    }
    if recovery.unclaimed > 0 {
        text.push_str(&format!("; {} channels wait until their peers speak", grouped(recovery.unclaimed)));
    }
    text
}
