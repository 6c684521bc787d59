//! `towpath events`

use towpath_api::{EventItem, EventQuery};

use crate::args::{Common, Events};
use crate::context;
use crate::errors::CliError;
use crate::output::{Style, element, time};

/// Follows a node's events until Ctrl-C, or until the limit is reached.
///
/// # Errors
/// When the node refuses, or stays away.
pub async fn events(common: &Common, args: Events) -> Result<(), CliError> {
    let query = EventQuery { types: args.types, channel: args.channel, after: args.after };
    let mut reader = context::client(common)?.events(query).await?;
    let style = Style::of(common);
    let mut left = args.limit.unwrap_or(u64::MAX);
    while left > 0 {
        let item = tokio::select! {
            item = reader.next() => item?,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        match item {
            EventItem::Event(event) => {
                element(style, &event, |event| {
                    let body = serde_json::to_value(&event.body).expect("events are plain data");
                    let kind = event.body.event_type().map_or("unknown", towpath_api::EventType::as_str);
                    format!("{:>8}  {}  {kind:<15} {}", event.index, time(event.time_ms), details(&body))
                })?;
                left -= 1;
            }
            EventItem::Gap(gap) => element(style, &serde_json::json!({ "gap": gap }), |_| {
                format!("          events {} to {} are no longer kept", gap.after + 1, gap.resumed_after)
            })?,
        }
    }
    Ok(())
}

/// The fields of an event but its type, as `name=value`.
fn details(body: &serde_json::Value) -> String {
    let Some(fields) = body.as_object() else { return String::new() };
    let field = |(name, value): (&String, &serde_json::Value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        format!("{name}={text}")
    };
    fields.iter().filter(|(name, _)| *name != "type").map(field).collect::<Vec<_>>().join(" ")
}
