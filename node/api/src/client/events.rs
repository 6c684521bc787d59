//! Reads the node's events, and goes on where it stopped when the connection breaks.

use std::collections::VecDeque;
use std::time::Duration;

use super::error::ClientError;
use super::http::Client;
use super::sse::{Frame, Parser};
use crate::limits;
use crate::types::{Event, EventItem, EventQuery};

/// A stream of events that survives broken connections and restarts of the node: each event comes once, in order.
///
/// Dropping it closes the connection.
pub struct EventReader {
    client: Client,
    query: EventQuery,
    /// The index up to which everything was handed out or filtered away.
    place: Option<u64>,
    connection: Option<Connection>,
    ready: VecDeque<Frame>,
}

struct Connection {
    response: reqwest::Response,
    parser: Parser,
}

impl EventReader {
    pub(super) async fn open(client: Client, query: EventQuery) -> Result<Self, ClientError> {
        let place = query.after;
        let mut reader = Self { client, query, place, connection: None, ready: VecDeque::new() };
        reader.connect().await?;
        Ok(reader)
    }

    /// The index of the newest event that was handed out or filtered away; `after` for a later reader.
    #[must_use]
    pub const fn place(&self) -> Option<u64> {
        self.place
    }

    /// The next event. When the connection breaks, it is opened again from the last index. Safe to cancel.
    ///
    /// # Errors
    /// The node refuses, or can't be reached again for some seconds; the next call tries again.
    pub async fn next(&mut self) -> Result<EventItem, ClientError> {
        loop {
            while let Some(frame) = self.ready.pop_front() {
                if let Some(item) = self.read(frame)? {
                    return Ok(item);
                }
            }
            if self.connection.is_none() {
                self.reconnect().await?;
            }
            self.fill().await;
        }
    }

    /// Waits for more bytes; drops the connection if it ends, fails or stays silent.
    async fn fill(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        let chunk = tokio::time::timeout(limits::EVENT_SILENCE_MAX, connection.response.chunk()).await;
        let Ok(Ok(Some(bytes))) = chunk else {
            self.connection = None;
            return;
        };
        let mut frames = Vec::new();
        if connection.parser.push(&bytes, &mut frames).is_err() {
            self.connection = None;
        }
        self.ready.extend(frames);
    }

    async fn reconnect(&mut self) -> Result<(), ClientError> {
        let mut last = self.client.unreachable("the event stream broke".to_owned());
        for delay_ms in limits::RECONNECT_DELAYS_MS {
            match self.connect().await {
                Ok(()) => return Ok(()),
                Err(error) if is_passing(&error) => last = error,
                Err(error) => return Err(error),
            }
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        }
        Err(last)
    }

    async fn connect(&mut self) -> Result<(), ClientError> {
        let response = self.client.open_events(&self.query, self.place).await?;
        self.connection = Some(Connection { response, parser: Parser::default() });
        Ok(())
    }

    fn read(&mut self, frame: Frame) -> Result<Option<EventItem>, ClientError> {
        let item = match (frame.event.as_str(), frame.data.as_str()) {
            (_, "") => None,
            ("gap", data) => Some(EventItem::Gap(parse(data)?)),
            (_, data) => {
                let event: Event = parse(data)?;
                // A node that went on from an older index than asked for would repeat itself.
                let is_new = self.place.is_none_or(|place| event.index > place);
                is_new.then_some(EventItem::Event(event))
            }
        };
        match &item {
            Some(EventItem::Gap(gap)) => self.place = Some(gap.resumed_after),
            Some(EventItem::Event(event)) => self.place = Some(event.index),
            None => self.place = self.place.max(frame.last_id),
        }
        Ok(item)
    }
}

fn parse<T: serde::de::DeserializeOwned>(data: &str) -> Result<T, ClientError> {
    serde_json::from_str(data)
        .map_err(|source| ClientError::Answer { route: "GET /v1/events".to_owned(), source })
}

/// Whether trying again can help: the node restarts, is busy, or isn't ready yet.
fn is_passing(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable { .. } | ClientError::TimedOut { .. } => true,
        ClientError::Api(error) => matches!(error.status, 429 | 503),
        ClientError::BadUrl { .. }
        | ClientError::NotANode { .. }
        | ClientError::Answer { .. }
        | ClientError::TooLarge { .. } => false,
    }
}
