//! `towpath channel close`

use towpath_api::{Client, CloseChannel, CloseMode, CloseWait};

use super::view::one;
use crate::errors::CliError;
use crate::output::{Style, answer};

/// Closes a channel.
///
/// # Errors
/// When the node refuses or cannot be asked.
pub async fn close(
    client: &Client,
    style: Style,
    channel: &str,
    (force, no_wait): (bool, bool),
) -> Result<(), CliError> {
    let mode = if force { CloseMode::Force } else { CloseMode::Cooperative };
    let wait = if no_wait || force { CloseWait::Sent } else { CloseWait::Settled };
    let closed = client.close_channel(channel, &CloseChannel { mode, wait, timeout_ms: None }).await?;
    answer(style, &closed, |closed| {
        let mut text = one(&closed.channel);
        if let Some(tx) = &closed.tx {
            text.push_str(&format!("\npaid out by  {tx}"));
        }
        text
    })
}
