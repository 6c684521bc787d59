//! Payments for a network that people look at: small streams both ways on every channel, at a rate that leaves the
//! machine usable.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use towpath_api::{Client, ClientError, StartStream, Stream, StreamState, Units};

use crate::channels::Edge;
use crate::error::TestnetError;
use crate::network::client;
use crate::state::NetworkState;

/// Payments of one stream.
const STREAM_PAYMENTS: u64 = 25;

/// How often a stream is asked whether it is done.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// The pause between two streams of one side, and after a refusal.
const PAUSE: Duration = Duration::from_millis(300);

/// Payments that go on until they are stopped.
pub struct Traffic {
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Traffic {
    /// Starts it on these channels.
    ///
    /// # Errors
    /// When a node's token cannot be read.
    pub fn start(network: &NetworkState, edges: &[Edge]) -> Result<Self, TestnetError> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for (number, edge) in (1_u64..).zip(edges) {
            for (payer, amount) in [(&edge.opener, 100 * number), (&edge.acceptor, 70 * number)] {
                let client = client(network.node(payer)?)?;
                tasks.spawn(keep_paying(client, edge.channel.clone(), Units(amount), Arc::clone(&stop)));
            }
        }
        Ok(Self { stop, tasks })
    }

    /// Starts no more streams, and waits for those that run.
    pub async fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn keep_paying(client: Client, channel: String, amount: Units, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        // A node that was killed, or a side that has no more to pay, has its turn again later.
        let _ = one_stream(&client, &channel, amount, &stop).await;
        tokio::time::sleep(PAUSE).await;
    }
}

async fn one_stream(
    client: &Client,
    channel: &str,
    amount: Units,
    stop: &AtomicBool,
) -> Result<Stream, ClientError> {
    let request = StartStream { amount, count: STREAM_PAYMENTS, in_flight: 1, idempotency_key: None };
    let mut stream = client.start_stream(channel, &request).await?;
    while stream.state == StreamState::Running {
        if stop.load(Ordering::Relaxed) {
            return client.stop_stream(&stream.id).await;
        }
        tokio::time::sleep(ASK_EVERY).await;
        stream = client.stream(&stream.id).await?;
    }
    Ok(stream)
}
