//! Time travel: the whole network goes forward at once, so that a dispute window of a day ends while one looks on.

use std::time::{Duration, Instant};

use serde::Serialize;
use towpath_api::{Client, Travel};

use crate::error::TestnetError;
use crate::network::{client, is_running};
use crate::state::NetworkState;

/// How long the network may take for the block that goes there: more than a failed round of consensus or two.
const ARRIVAL_MAX: Duration = Duration::from_secs(60);

/// How often a node is asked whether it is there.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// Where a network went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Journey {
    /// Ledger time before, in milliseconds since 1970.
    pub from_ms: u64,
    /// Ledger time now; it never goes back.
    pub to_ms: u64,
    /// The height at which it is there.
    pub height: u64,
}

/// Moves ledger time and the clocks of all running nodes forward by `by`, and waits until all of them are there.
///
/// # Errors
/// When no node runs, one of them refuses (the ledger must be one that travels), or they do not arrive.
pub async fn advance(network: &NetworkState, by: Duration) -> Result<Journey, TestnetError> {
    let mut nodes: Vec<(&str, Client)> = Vec::new();
    for node in network.nodes.iter().filter(|node| is_running(node)) {
        nodes.push((&node.name, client(node)?));
    }
    if nodes.is_empty() {
        return Err(TestnetError::Broken("no node of this network runs".to_owned()));
    }
    let mut from_ms = 0;
    for (name, client) in &nodes {
        from_ms = from_ms.max(tip(name, client).await?.time_ms);
    }
    let by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
    let to_ms = from_ms.saturating_add(by_ms);
    for (name, client) in &nodes {
        client.travel(&Travel { time_ms: to_ms }).await.map_err(|source| call(name, source))?;
    }
    let deadline = Instant::now() + ARRIVAL_MAX;
    let mut height = 0;
    for (name, client) in &nodes {
        loop {
            let tip = tip(name, client).await?;
            if tip.time_ms >= to_ms {
                height = height.max(tip.height);
                break;
            }
            if Instant::now() > deadline {
                return Err(TestnetError::Broken(format!(
                    "ledger time of {name} did not move within {} s: blocks need more than two thirds of the validators",
                    ARRIVAL_MAX.as_secs()
                )));
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
    Ok(Journey { from_ms, to_ms, height })
}

async fn tip(name: &str, client: &Client) -> Result<towpath_api::LedgerTip, TestnetError> {
    Ok(client.info().await.map_err(|source| call(name, source))?.ledger)
}

fn call(name: &str, source: towpath_api::ClientError) -> TestnetError {
    TestnetError::Call { name: name.to_owned(), source }
}
