//! `towpath channel why`: the reason of a close and its evidence, in words.

use towpath_api::{
    Channel, Client, Close, CloseReason, CloseStage, Outcome, Penalty, SettledBy, Settlement, Side,
};

use crate::errors::CliError;
use crate::output::{Style, amount, answer, facts, short, span, time};

/// Says why a channel is closed.
///
/// # Errors
/// When the node refuses or cannot be asked.
pub async fn why(client: &Client, style: Style, id: &str) -> Result<(), CliError> {
    let channel = client.channel(id).await?;
    let document = serde_json::json!({
        "channel": channel.id,
        "peer": channel.peer,
        "state": channel.state,
        "outcome": channel.outcome,
        "close": channel.close,
    });
    answer(style, &document, |_| {
        let state = super::view::state_of(&channel);
        let mut lines =
            vec![("channel", channel.id.clone()), ("peer", channel.peer.clone()), ("state", state)];
        match &channel.close {
            Some(close) => lines.extend(evidence(&channel, close)),
            None if channel.outcome == Some(Outcome::Abandoned) => {
                lines.push(("reason", "it was never funded; nothing was in it".to_owned()));
            }
            None if channel.outcome.is_some() => {
                lines.push(("reason", "this node kept no record of it".to_owned()));
            }
            None => lines.push(("reason", "it is not being closed".to_owned())),
        }
        facts(&lines)
    })
}

/// Everything that is known of a close, a line each.
pub fn evidence(channel: &Channel, close: &Close) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("reason", reason(&close.reason)),
        ("stage", stage(channel, close)),
        ("began", format!("{} at version {}", time(close.began_ms), close.held)),
    ];
    if let Some(at) = close.force_at_ms {
        lines.push(("alone from", format!("{} on, unless the peer signs before", time(at))));
    }
    if let Some(posted) = &close.posted {
        let who = who(posted.by);
        lines.push((
            "posted",
            format!("version {} by {who}, {}, in {}", posted.version, time(posted.time_ms), posted.tx),
        ));
        lines.push(("deadline", format!("{} (ledger time)", time(posted.deadline_ms))));
    }
    if let Some(replaced) = &close.replaced {
        lines.push((
            "replaced",
            format!("by version {}, {}, in {}", replaced.version, time(replaced.time_ms), replaced.tx),
        ));
    }
    if let Some(penalty) = &close.penalty {
        lines.push(("penalty", penalized(penalty)));
    }
    if let Some(settled) = &close.settlement {
        lines.extend(settlement(settled));
    }
    lines
}

const fn who(side: Side) -> &'static str {
    match side {
        Side::Local => "this node",
        Side::Remote => "the peer",
    }
}

/// Why, in a sentence.
pub fn reason(reason: &CloseReason) -> String {
    match reason {
        CloseReason::Asked => "this node was asked to close it".to_owned(),
        CloseReason::AskedAlone => "this node was asked to close it alone".to_owned(),
        CloseReason::PeerAsked => "the peer asked to close it".to_owned(),
        CloseReason::PeerAlone => "the peer closed it alone".to_owned(),
        CloseReason::PeerUnresponsive { after_ms } => {
            format!(
                "the peer did not close it together within {}, so this node closed it alone",
                span(*after_ms)
            )
        }
        CloseReason::PeerCheated { posted, held } => format!(
            "the peer closed it alone with version {posted}, although it had signed that it held version {held}"
        ),
        CloseReason::Expired { expiry_ms } => format!("its term was over at {}", time(*expiry_ms)),
        CloseReason::Unrecognised => "not known to this program".to_owned(),
    }
}

/// How far, in a sentence.
pub fn stage(channel: &Channel, close: &Close) -> String {
    match close.stage {
        CloseStage::Asking if channel.online => "the peer is asked to sign final balances".to_owned(),
        CloseStage::Asking => {
            "the peer is away; it is asked to sign final balances when it comes back".to_owned()
        }
        CloseStage::Agreed => "both signed final balances; the transaction is on its way".to_owned(),
        CloseStage::Posting => "this node closes alone; the transaction is on its way".to_owned(),
        CloseStage::Posted => {
            let who = match close.posted.as_ref().map(|posted| posted.by) {
                Some(Side::Remote) => "this node answers",
                Some(Side::Local) | None => "the peer can answer until the deadline",
            };
            format!("closed alone; {who}")
        }
        CloseStage::Due => "the deadline is over; the payout is on its way".to_owned(),
        CloseStage::Settled => "paid out".to_owned(),
    }
}

fn penalized(penalty: &Penalty) -> String {
    let who = who(penalty.by);
    let held = match penalty.held {
        Some(held) => format!(" and had signed that it held version {held}"),
        None => String::new(),
    };
    let forfeit = match penalty.amount {
        Some(units) => format!("; it forfeited {}", amount(units)),
        None => "; it forfeits a share of its balance".to_owned(),
    };
    format!("{who} posted version {}{held}{forfeit}", penalty.posted)
}

fn settlement(settled: &Settlement) -> [(&'static str, String); 3] {
    let by = match settled.by {
        SettledBy::Together => "by final balances that both signed",
        SettledBy::Answer => "by the answer of the party that did not close",
        SettledBy::Deadline => "after the deadline",
        SettledBy::Unrecognised => "in a way that this program does not know",
    };
    [
        ("paid out", format!("{by}, version {}, {}", settled.version, time(settled.time_ms))),
        (
            "amounts",
            format!(
                "{} to this node, {} to the peer, {} of fees",
                amount(settled.paid),
                amount(settled.paid_peer),
                amount(settled.fees)
            ),
        ),
        ("settlement", format!("{} (height {})", settled.tx, settled.height)),
    ]
}

/// A close in a line, for a table that changes.
pub fn in_short(channel: &Channel, close: &Close, ledger_ms: Option<u64>) -> String {
    if let Some(settled) = &close.settlement {
        let by = match settled.by {
            SettledBy::Together => "together",
            SettledBy::Answer => "by an answer",
            SettledBy::Deadline => "after the deadline",
            SettledBy::Unrecognised => "",
        };
        let tx = short(&settled.tx);
        return format!(
            "paid out {by}: {} to this node, {} fees, {tx}",
            amount(settled.paid),
            amount(settled.fees)
        );
    }
    let mut text = stage(channel, close);
    if let (CloseStage::Posted, Some(posted), Some(now)) = (close.stage, &close.posted, ledger_ms) {
        text.push_str(&format!(" (in {})", span(posted.deadline_ms.saturating_sub(now))));
    }
    text
}
