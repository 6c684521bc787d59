//! Those who pay while nodes are killed: each lane one payer with idempotency keys that asks again until it knows, and
//! each channel a stream that the node drives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::task::JoinSet;
use towpath_api::{
    Client, ClientError, Code, Pay, PayWait, Payment, PaymentState, StartStream, StreamState, Units,
};

use super::book::{Book, Lane, Outcome};
use crate::channels::Edge;
use crate::error::TestnetError;
use crate::network::client;
use crate::state::NetworkState;

/// What each payment of a stream pays: the auditor tells the two kinds apart by it.
pub const STREAM_AMOUNT: u64 = 7;

/// Payments of one stream.
const STREAM_PAYMENTS: u64 = 200;

/// Unacknowledged payments of a stream.
const STREAM_IN_FLIGHT: u32 = 8;

/// How long a payer waits for one answer.
const ANSWER_MS: u64 = 3_000;

/// The pause before asking again.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// After the end of the traffic: how long a payer goes on asking what became of its last payment.
const RESOLVE_MAX: Duration = Duration::from_secs(120);

/// All payers of a run.
pub struct Payers {
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Payers {
    /// Starts two payers and a stream on each channel.
    ///
    /// # Errors
    /// When a node's token cannot be read.
    pub fn start(
        network: &NetworkState,
        edges: &[Edge],
        book: &Arc<Book>,
        seed: u64,
    ) -> Result<Self, TestnetError> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for (index, edge) in (0_u64..).zip(edges) {
            for (side, name) in (0_u64..).zip([&edge.opener, &edge.acceptor]) {
                let payer = Payer {
                    client: client(network.node(name)?)?,
                    lane: (edge.channel.clone(), name.clone()),
                    book: Arc::clone(book),
                    stop: Arc::clone(&stop),
                };
                let random = ChaCha8Rng::seed_from_u64(seed ^ ((index * 2 + side + 1) << 32));
                tasks.spawn(payer.pay(random));
            }
            let client = client(network.node(&edge.opener)?)?;
            tasks.spawn(stream(client, edge.channel.clone(), Arc::clone(&stop)));
        }
        Ok(Self { stop, tasks })
    }

    /// No new payments; waits until each payer knows what became of its last one.
    pub async fn finish(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while self.tasks.join_next().await.is_some() {}
    }
}

struct Payer {
    client: Client,
    lane: Lane,
    book: Arc<Book>,
    stop: Arc<AtomicBool>,
}

/// What an answer says about a payment.
enum Said {
    Known(Outcome),
    AskAgain,
    Fault(String),
}

impl Payer {
    async fn pay(self, mut random: ChaCha8Rng) {
        while !self.stop.load(Ordering::Relaxed) {
            let amount = random.random_range(1..=500);
            let (number, memo) = self.book.ask(&self.lane, amount);
            let request = Pay {
                amount: Units(amount),
                memo: Some(memo),
                idempotency_key: Some(format!("crash-{number}")),
                wait: PayWait::Settled,
                timeout_ms: Some(ANSWER_MS),
            };
            self.resolve(number, &request).await;
        }
    }

    /// Asks with the same key until it is known what became of the payment.
    async fn resolve(&self, number: usize, request: &Pay) {
        let mut give_up = None;
        loop {
            match said(self.client.pay(&self.lane.0, request).await) {
                Said::Known(outcome) => return self.book.resolve(number, outcome),
                Said::Fault(what) => {
                    return self.book.fault(format!("payment {number} by {}: {what}", self.lane.1));
                }
                Said::AskAgain => {}
            }
            if self.stop.load(Ordering::Relaxed) {
                let deadline = *give_up.get_or_insert_with(|| Instant::now() + RESOLVE_MAX);
                if Instant::now() > deadline {
                    return;
                }
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }
}

fn said(answer: Result<Payment, ClientError>) -> Said {
    match answer {
        Ok(payment) => match payment.state {
            PaymentState::Settled => Said::Known(Outcome::Acked(payment.id)),
            PaymentState::Sent | PaymentState::Confirming => Said::AskAgain,
            PaymentState::Failed => Said::Known(Outcome::Refused),
            PaymentState::Unknown => Said::Fault("the node lost data, and says so".to_owned()),
        },
        Err(ClientError::Api(error)) => match error.code {
            Code::InsufficientBalance | Code::PaymentFailed => Said::Known(Outcome::Refused),
            Code::PeerOffline
            | Code::NotReady
            | Code::TooManyRequests
            | Code::WaitTimeout
            | Code::RequestTimeout
            | Code::ChannelNotActive => Said::AskAgain,
            other => Said::Fault(format!("{other}: {}", error.detail)),
        },
        // Nobody answered, or the answer was cut off by a kill.
        Err(
            ClientError::Unreachable { .. }
            | ClientError::TimedOut { .. }
            | ClientError::Answer { .. }
            | ClientError::NotANode { .. },
        ) => Said::AskAgain,
        Err(error @ (ClientError::BadUrl { .. } | ClientError::TooLarge { .. })) => {
            Said::Fault(error.to_string())
        }
    }
}

/// Keeps a stream going; a node that was killed has forgotten it, and gets a new one.
async fn stream(client: Client, channel: String, stop: Arc<AtomicBool>) {
    let request = StartStream {
        amount: Units(STREAM_AMOUNT),
        count: STREAM_PAYMENTS,
        in_flight: STREAM_IN_FLIGHT,
        idempotency_key: None,
    };
    let mut running: Option<String> = None;
    while !stop.load(Ordering::Relaxed) {
        running = match &running {
            None => client.start_stream(&channel, &request).await.ok().map(|stream| stream.id),
            Some(id) => {
                let stream =
                    client.stream(id).await.ok().filter(|stream| stream.state == StreamState::Running);
                stream.map(|stream| stream.id)
            }
        };
        tokio::time::sleep(AGAIN_AFTER).await;
    }
    if let Some(id) = running {
        // A stream that a dead node has forgotten is stopped already.
        let _ = client.stop_stream(&id).await;
    }
}
