//! From the network to the parts of the node: each event and each message to who it is for.

use towpath_crypto::ed25519::PublicKey;
use towpath_protocol::Message;

use crate::ledger::Ingress;
use crate::net::{Credit, NetEvent, NetEvents, NetHandle, Offence};
use crate::tower::{Input as TowerInput, TowerHandle};
use crate::worker::{self, Input, Load, Workers};

/// Hands what comes from the network to who it is for.
pub(crate) async fn route(
    mut events: NetEvents,
    net: NetHandle,
    (workers, tower): (Workers, TowerHandle),
    ingress: Ingress,
) {
    while let Some(event) = events.recv().await {
        match event {
            NetEvent::Listening { address } => tracing::info!(%address, "listens for peers"),
            NetEvent::PeerUp { node, agent } => {
                tracing::info!(peer = %worker::node_text(&node), %agent, "connected");
                ingress.peers();
            }
            NetEvent::PeerDown { node } => {
                tracing::info!(peer = %worker::node_text(&node), "disconnected");
                ingress.peers();
            }
            NetEvent::OtherChain { node, theirs } => {
                tracing::warn!(peer = %worker::node_text(&node), %theirs, "a node of another chain was turned away");
            }
            NetEvent::Gossip { topic, from, id, bytes } => ingress.gossip(topic, from, id, bytes),
            NetEvent::SyncRequest { from: _, bytes, reply } => ingress.sync(bytes, reply),
            NetEvent::SessionUp { node, session } => {
                tower.push(TowerInput::SessionUp(node)).await;
                workers.push(&node, Input::SessionUp(node, session)).await;
            }
            NetEvent::SessionDown { node, reason } => {
                tracing::debug!(peer = %worker::node_text(&node), %reason, "a channel session ended");
                tower.push(TowerInput::SessionDown(node)).await;
                workers.push(&node, Input::SessionDown(node)).await;
            }
            NetEvent::Messages { node, messages, credit } => {
                let load = Load::of(messages.len(), messages.iter().map(Vec::len).sum());
                let decoded: Result<Vec<_>, _> =
                    messages.iter().map(|bytes| towpath_protocol::Message::decode(bytes)).collect();
                match decoded {
                    Ok(messages) => share_out(node, messages, (credit, load), (&workers, &tower)).await,
                    Err(error) => {
                        tracing::warn!(peer = %worker::node_text(&node), %error, "a malformed message; its session ends");
                        net.end_session(node, Offence::Malformed);
                    }
                }
            }
        }
    }
}

/// Hands a peer's messages to the worker of its channels, in their order, and to the tower.
async fn share_out(
    peer: PublicKey,
    messages: Vec<Message>,
    (credit, load): (Credit, Load),
    (workers, tower): (&Workers, &TowerHandle),
) {
    let mut for_channels = Vec::with_capacity(messages.len());
    for message in messages {
        match message {
            Message::Tower(message) => {
                if !tower.hear(peer, message, credit.clone()) {
                    tracing::debug!(peer = %worker::node_text(&peer), "the tower is busy; a message to it was dropped");
                }
            }
            Message::Open(_)
            | Message::Accept(_)
            | Message::Decline(_)
            | Message::Channel(..)
            | Message::Hello(_)
            | Message::Stale(_) => for_channels.push(message),
        }
    }
    if !for_channels.is_empty() {
        workers.push(&peer, Input::Messages { peer, messages: for_channels, credit, load }).await;
    }
}
