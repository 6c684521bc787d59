//! Opens the channels of a topology, both sides with the same amount, so that money can flow both ways from the start.

use std::time::{Duration, Instant};

use towpath_api::{
    Channel, ChannelQuery, ChannelState, Client, ClientError, Code, OpenChannel, OpenWait, Pay, PayWait,
    Units,
};

use crate::error::TestnetError;
use crate::network::client;
use crate::state::{NetworkState, NodeState};

/// How long one opening may take: some blocks, and some tries while the nodes get to know each other.
const OPEN_MAX: Duration = Duration::from_secs(90);

/// The pause before another try.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// How long a unilateral close can be answered in these channels unless somebody says otherwise: as long as people who
/// try one will wait.
pub const DISPUTE_WINDOW_MS: u64 = 30_000;

/// An open channel of the network.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Edge {
    /// The channel, `chan1…`.
    pub channel: String,
    /// The name of the node that opened it.
    pub opener: String,
    /// The name of the other node.
    pub acceptor: String,
}

/// Opens the channels that the network's topology asks for and that are not there yet; each side puts in `amount`, and
/// a unilateral close can be answered for `dispute_window_ms` of ledger time.
///
/// # Errors
/// [`TestnetError::Call`] names the node that refused.
pub async fn open_all(
    network: &NetworkState,
    amount: Units,
    dispute_window_ms: u64,
) -> Result<Vec<Edge>, TestnetError> {
    let pairs = network.topology.edges(network.nodes.len());
    let opening = pairs.iter().filter_map(|(opener, acceptor)| {
        let (opener, acceptor) = (network.nodes.get(*opener)?, network.nodes.get(*acceptor)?);
        Some(open(opener, acceptor, (amount, dispute_window_ms)))
    });
    futures::future::try_join_all(opening).await
}

async fn open(opener: &NodeState, acceptor: &NodeState, terms: (Units, u64)) -> Result<Edge, TestnetError> {
    let client = client(opener)?;
    let call = |source: ClientError| TestnetError::Call { name: opener.name.clone(), source };
    let query = ChannelQuery { peer: Some(acceptor.node.clone()), ..ChannelQuery::default() };
    let known = client.channels(&query).await.map_err(call)?.channels;
    let channel = match known.into_iter().find(|channel| channel.state == ChannelState::Active) {
        Some(channel) => channel,
        None => open_new(&client, opener, acceptor, terms).await?,
    };
    Ok(Edge { channel: channel.id, opener: opener.name.clone(), acceptor: acceptor.name.clone() })
}

async fn open_new(
    client: &Client,
    opener: &NodeState,
    acceptor: &NodeState,
    (amount, window_ms): (Units, u64),
) -> Result<Channel, TestnetError> {
    let call = |source: ClientError| TestnetError::Call { name: opener.name.clone(), source };
    let both = request(acceptor, (amount, Some(amount)), window_ms);
    match open_once(client, &both).await {
        Ok(channel) => Ok(channel),
        // A node that does not put money into others' channels: pay half of it across.
        Err(ClientError::Api(error)) if error.code == Code::PeerRefused => {
            let alone = request(acceptor, (Units(amount.0.saturating_mul(2)), None), window_ms);
            let channel = open_once(client, &alone).await.map_err(call)?;
            let half =
                Pay { amount, memo: None, idempotency_key: None, wait: PayWait::Settled, timeout_ms: None };
            client.pay(&channel.id, &half).await.map_err(call)?;
            Ok(channel)
        }
        Err(error) => Err(call(error)),
    }
}

fn request(
    acceptor: &NodeState,
    (amount, peer_amount): (Units, Option<Units>),
    window_ms: u64,
) -> OpenChannel {
    OpenChannel {
        peer: acceptor.node.clone(),
        address: Some(acceptor.p2p.clone()),
        amount,
        peer_amount,
        dispute_window_ms: Some(window_ms),
        reserve: None,
        expires_ms: None,
        wait: OpenWait::Active,
        timeout_ms: u64::try_from(OPEN_MAX.as_millis()).ok(),
        idempotency_key: None,
    }
}

/// Tries until it is open, or refused for a reason that does not pass.
pub(crate) async fn open_once(client: &Client, request: &OpenChannel) -> Result<Channel, ClientError> {
    let deadline = Instant::now() + OPEN_MAX;
    loop {
        match client.open_channel(request).await {
            Ok(channel) => return Ok(channel),
            Err(ClientError::Api(error)) if passes(error.code) && Instant::now() < deadline => {
                tokio::time::sleep(RETRY_AFTER).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether another try can help: nodes that start connect to each other, and coins are held for other openings.
const fn passes(code: Code) -> bool {
    matches!(code, Code::PeerOffline | Code::NotReady | Code::TooManyRequests | Code::InsufficientFunds)
}
