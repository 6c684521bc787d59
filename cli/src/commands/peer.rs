//! `towpath peer …`

use towpath_api::{ConnectPeer, PeerDirection};

use crate::args::{Common, Peer};
use crate::context;
use crate::errors::CliError;
use crate::output::{Style, answer, micros, short, table};

/// Runs one of the peers' commands.
///
/// # Errors
/// When the node refuses or cannot be asked.
pub async fn peer(common: &Common, command: Peer) -> Result<(), CliError> {
    let client = context::client(common)?;
    let style = Style::of(common);
    match command {
        Peer::List => answer(style, &client.peers().await?, |peers| {
            if peers.peers.is_empty() {
                return "no peers; `towpath peer connect ADDRESS` makes one".to_owned();
            }
            let rows = peers.peers.iter().map(|peer| {
                vec![
                    short(&peer.node),
                    if peer.connected { "connected" } else { "away" }.to_owned(),
                    peer.direction
                        .map_or("", |direction| match direction {
                            PeerDirection::Inbound => "in",
                            PeerDirection::Outbound => "out",
                        })
                        .to_owned(),
                    peer.rtt_us.map_or_else(String::new, micros),
                    peer.channels.to_string(),
                    peer.addresses.first().cloned().unwrap_or_default(),
                ]
            });
            table(&["node", "state", "way", ">round trip", ">channels", "address"], rows.collect())
        }),
        Peer::Connect { address } => {
            let address = context::p2p_address(common, &address).unwrap_or(address);
            let peer = client.connect(&ConnectPeer { address }).await?;
            answer(style, &peer, |peer| format!("connected to {}", peer.node))
        }
        Peer::Disconnect { peer } => {
            let peer = context::node_id(common, &peer)?;
            client.disconnect(&peer).await?;
            answer(style, &serde_json::json!({ "disconnected": peer }), |_| {
                format!("disconnected from {peer}")
            })
        }
    }
}
