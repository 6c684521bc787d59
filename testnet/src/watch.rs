//! What a network looks like at one moment, asked from its nodes.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;
use towpath_api::{ChannelQuery, ChannelState, Client, ClientError, Units};

use crate::error::TestnetError;
use crate::network::{client, has_traffic, is_running};
use crate::state::{NetworkState, NodeState};

/// The network at one moment.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Snapshot {
    /// Its nodes, in the order of the network.
    pub nodes: Vec<NodeView>,
    /// Its channels, each once, as its opener sees it.
    pub channels: Vec<ChannelView>,
    /// Payments of all nodes since the last snapshot, a second.
    pub payments_per_second: u64,
    /// Whether payments are made in the background.
    pub traffic: bool,
}

/// One node.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct NodeView {
    /// Its name.
    pub name: String,
    /// Its process, if it runs.
    pub pid: Option<i32>,
    /// What it said, if it answered.
    pub said: Option<Said>,
}

/// What a node says of itself.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Said {
    /// The height of its newest block.
    pub height: u64,
    /// Its connected peers.
    pub peers: u32,
    /// What its wallet has on the ledger.
    pub confirmed: Units,
    /// What it has in channels.
    pub in_channels: Units,
    /// Payments it made since it started.
    pub payments_sent: u64,
    /// Payments it got since it started.
    pub payments_received: u64,
}

/// One channel.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ChannelView {
    /// Its id.
    pub channel: String,
    /// Who opened it.
    pub opener: String,
    /// With whom.
    pub acceptor: String,
    /// Where it is in its life.
    pub state: ChannelState,
    /// Whether the two talk.
    pub online: bool,
    /// The opener's balance.
    pub opener_balance: Units,
    /// The acceptor's balance.
    pub acceptor_balance: Units,
    /// Payments both ways.
    pub payments: u64,
}

/// Takes snapshots, and measures from one to the next.
#[derive(Debug, Default)]
pub struct Watch {
    last: Option<(Instant, BTreeMap<String, u64>)>,
}

impl Watch {
    /// Asks all nodes; one that does not answer has nothing said.
    ///
    /// # Errors
    /// None but an unreadable network: nodes that are down are part of the picture.
    pub async fn look(&mut self, network: &NetworkState) -> Result<Snapshot, TestnetError> {
        let asked = futures::future::join_all(network.nodes.iter().map(|node| ask(network, node))).await;
        let (mut nodes, mut channels) = (Vec::new(), Vec::new());
        for (node, answer) in network.nodes.iter().zip(asked) {
            let (said, mut own) = answer.map_or((None, Vec::new()), |(said, own)| (Some(said), own));
            channels.append(&mut own);
            let pid = node.process.filter(|_| is_running(node)).map(|process| process.pid);
            nodes.push(NodeView { name: node.name.clone(), pid, said });
        }
        let payments_per_second = self.rate(&nodes);
        Ok(Snapshot { nodes, channels, payments_per_second, traffic: has_traffic(network) })
    }

    /// Payments a second since the last time, from counters that begin at zero when a node restarts.
    fn rate(&mut self, nodes: &[NodeView]) -> u64 {
        let now = Instant::now();
        let counts: BTreeMap<String, u64> = nodes
            .iter()
            .filter_map(|node| Some((node.name.clone(), node.said.as_ref()?.payments_sent)))
            .collect();
        let rate = self.last.as_ref().map_or(0, |(then, before)| {
            let made =
                |(name, count): (&String, &u64)| before.get(name).map_or(0, |old| count.saturating_sub(*old));
            let payments: u64 = counts.iter().map(made).sum();
            let ms = u64::try_from(now.duration_since(*then).as_millis()).unwrap_or(u64::MAX).max(1);
            payments.saturating_mul(1_000) / ms
        });
        self.last = Some((now, counts));
        rate
    }
}

async fn ask(network: &NetworkState, node: &NodeState) -> Option<(Said, Vec<ChannelView>)> {
    if !is_running(node) {
        return None;
    }
    // A node that does not answer is shown as such; why is in its log.
    asked(network, node, &client(node).ok()?).await.ok()
}

async fn asked(
    network: &NetworkState,
    node: &NodeState,
    client: &Client,
) -> Result<(Said, Vec<ChannelView>), ClientError> {
    let (info, stats) = (client.info().await?, client.stats().await?);
    let page = client.channels(&ChannelQuery::default()).await?;
    let said = Said {
        height: info.ledger.height,
        peers: info.peers,
        confirmed: info.wallet.confirmed,
        in_channels: info.wallet.in_channels,
        payments_sent: stats.payments_sent,
        payments_received: stats.payments_received,
    };
    let own = page.channels.into_iter().filter(|channel| channel.role == towpath_api::Role::Opener);
    let views = own.map(|channel| ChannelView {
        acceptor: network
            .nodes
            .iter()
            .find(|other| other.node == channel.peer)
            .map_or_else(|| channel.peer.clone(), |other| other.name.clone()),
        opener: node.name.clone(),
        state: channel.state,
        online: channel.online,
        opener_balance: channel.balance,
        acceptor_balance: channel.peer_balance,
        payments: channel.payments_sent.saturating_add(channel.payments_received),
        channel: channel.id,
    });
    Ok((said, views.collect()))
}
