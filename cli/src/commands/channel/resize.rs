//! `towpath channel resize`

use towpath_api::{Change, Client, ResizeChannel, ResizeState, ResizeWait, Resized};

use super::view::one;
use crate::args::Resize;
use crate::errors::CliError;
use crate::output::{Style, answer};

/// Resizes a channel, and says how that ended.
///
/// # Errors
/// When the node refuses or cannot be asked, or the resize came to nothing.
pub async fn resize(client: &Client, style: Style, args: Resize) -> Result<(), CliError> {
    let change = match (args.add, args.pay_out) {
        (Some(amount), None) => Change::Add(amount),
        (None, Some(amount)) => Change::PayOut(amount),
        // The parser takes exactly one of them.
        (Some(_), Some(_)) | (None, None) => {
            return Err(CliError::Usage("give one of --add and --pay-out".to_owned()));
        }
    };
    let request = ResizeChannel {
        change,
        wait: if args.no_wait { ResizeWait::Proposed } else { ResizeWait::Final },
        timeout_ms: Some(args.timeout.ms()),
        idempotency_key: args.idempotency_key,
    };
    let resized = client.resize_channel(&args.channel, &request).await?;
    answer(style, &resized, shown)?;
    match resized.state {
        ResizeState::Void => Err(CliError::Failed(
            "the resize came to nothing and nothing was spent; `towpath channel show` has the log".to_owned(),
        )),
        ResizeState::Pending | ResizeState::Final | ResizeState::Unrecognised => Ok(()),
    }
}

fn shown(resized: &Resized) -> String {
    let state = match resized.state {
        ResizeState::Pending => "proposed; payments wait for the ledger",
        ResizeState::Final => "resized",
        ResizeState::Void => "not resized",
        ResizeState::Unrecognised => "resize in a state that this program doesn't know",
    };
    format!("{state}, transaction {}\n\n{}", resized.tx, one(&resized.channel))
}
