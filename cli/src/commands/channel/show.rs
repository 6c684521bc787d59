//! `towpath channel show`

use towpath_api::{Client, PageQuery};

use super::view::one;
use super::why::evidence;
use crate::errors::CliError;
use crate::output::{Style, amount, answer, facts, table, time, word};

/// Prints a channel with its newest payments and the newest entries of its log.
///
/// # Errors
/// When the node refuses or cannot be asked.
pub async fn show(client: &Client, style: Style, id: &str) -> Result<(), CliError> {
    let channel = client.channel(id).await?;
    let page = PageQuery { limit: Some(10), before: None };
    let payments = client.payments(&channel.id, &page).await?;
    let events = client.channel_events(&channel.id, &page).await?;
    let document =
        serde_json::json!({ "channel": channel, "payments": payments.payments, "events": events.events });
    answer(style, &document, |_| {
        let mut text = one(&channel);
        if let Some(close) = &channel.close {
            text.push_str("\n\n");
            text.push_str(&facts(&evidence(&channel, close)));
        }
        if !payments.payments.is_empty() {
            let rows = payments.payments.iter().map(|payment| {
                let number = payment.id.rsplit('/').next().unwrap_or_default().to_owned();
                vec![
                    time(payment.time_ms),
                    word(&payment.direction),
                    number,
                    amount(payment.amount),
                    word(&payment.state),
                ]
            });
            text.push_str("\n\n");
            text.push_str(&table(&["payment", "way", ">number", ">amount", "state"], rows.collect()));
        }
        if !events.events.is_empty() {
            let rows = events.events.iter().map(|event| {
                vec![time(event.time_ms), event.index.to_string(), word(&event.kind), event.detail.clone()]
            });
            text.push_str("\n\n");
            text.push_str(&table(&["log", ">entry", "what", "detail"], rows.collect()));
        }
        text
    })
}
