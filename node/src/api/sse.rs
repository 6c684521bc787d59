//! Writes a feed of events as server-sent events: filters, heartbeats, and an end when the node stops.
//!
//! Nothing is kept for a listener but its place: the feed is read only as fast as the listener reads.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use futures::stream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use towpath_api::{EventItem, EventType};

use super::backend::EventFeed;

/// Which events a listener wants.
pub struct Filter {
    pub types: Vec<EventType>,
    pub channel: Option<String>,
}

/// One listener.
pub struct Listening {
    pub feed: Box<dyn EventFeed>,
    pub filter: Filter,
    pub heartbeat: Duration,
    pub shutdown: CancellationToken,
    /// Given back when the listener goes.
    pub _permit: OwnedSemaphorePermit,
}

/// The answer that goes on until the listener or the node goes.
pub fn respond(listening: Listening) -> Response {
    let opening = place(listening.feed.place());
    let chunks = stream::unfold((listening, Some(opening)), |(mut listening, opening)| async move {
        let chunk = match opening {
            Some(opening) => opening,
            None => listening.next().await?,
        };
        Some((Ok::<_, Infallible>(Bytes::from(chunk)), (listening, None)))
    });
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, Body::from_stream(chunks)).into_response()
}

impl Listening {
    /// The next bytes to write; none at the end.
    async fn next(&mut self) -> Option<String> {
        let items = tokio::select! {
            biased;
            () = self.shutdown.cancelled() => return None,
            items = self.feed.next() => items,
            () = tokio::time::sleep(self.heartbeat) => return Some(heartbeat(self.feed.place())),
        };
        let items = match items {
            Ok(items) => items,
            Err(error) => {
                tracing::warn!(%error, "an event stream ends");
                return None;
            }
        };
        let mut text = String::new();
        for item in items {
            self.filter.write(&item, &mut text);
        }
        if text.is_empty() {
            // All filtered away: the place moves on all the same.
            text = place(self.feed.place());
        }
        Some(text)
    }
}

impl Filter {
    fn write(&self, item: &EventItem, text: &mut String) {
        match item {
            EventItem::Gap(gap) => append(text, gap.resumed_after, "gap", gap),
            EventItem::Event(event) => {
                let Some(kind) = event.body.event_type().filter(|kind| self.types.contains(kind)) else {
                    return;
                };
                if self.channel.is_none() || self.channel.as_deref() == event.body.channel() {
                    append(text, event.index, kind.as_str(), event);
                }
            }
        }
    }
}

fn append(text: &mut String, index: u64, kind: &str, data: &impl serde::Serialize) {
    // JSON has no raw line breaks, so one data line holds it.
    let data = serde_json::to_string(data).unwrap_or_default();
    text.push_str(&format!("id: {index}\nevent: {kind}\ndata: {data}\n\n"));
}

fn place(index: u64) -> String {
    format!("id: {index}\n\n")
}

fn heartbeat(index: u64) -> String {
    format!(": heartbeat\nid: {index}\n\n")
}
