//! Waiting for nodes: asked again and again until the answer is as wanted.

use std::time::{Duration, Instant};

use towpath_api::{Channel, ChannelState, Client, ClientError};

use crate::error::TestnetError;

/// How often a node is asked.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// How long anything may take that needs no window to end.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// Asks until there is an answer.
///
/// # Errors
/// [`TestnetError::TimedOut`], or the first error of asking.
pub async fn until<T>(
    what: &str,
    mut ask: impl AsyncFnMut() -> Result<Option<T>, TestnetError>,
) -> Result<T, TestnetError> {
    let deadline = Instant::now() + WAIT_MAX;
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            return Err(TestnetError::TimedOut { what: what.to_owned(), seconds: WAIT_MAX.as_secs() });
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// A node and its name.
#[derive(Clone, Debug)]
pub struct Node {
    pub name: String,
    pub client: Client,
}

impl Node {
    /// An error of calling it.
    pub fn call(&self) -> impl Fn(ClientError) -> TestnetError + use<> {
        let name = self.name.clone();
        move |source| TestnetError::Call { name: name.clone(), source }
    }

    /// A channel as it sees it.
    pub async fn channel(&self, id: &str) -> Result<Channel, TestnetError> {
        self.client.channel(id).await.map_err(self.call())
    }
}

/// Waits until both sides of an active channel talk, agree, and have nothing under way: what the second one sees then.
///
/// # Errors
/// When a node does not answer, or they do not come to rest.
pub async fn at_rest(first: &Node, second: &Node, channel: &str) -> Result<Channel, TestnetError> {
    until("the channel comes to rest", async || {
        let (a, b) = (first.channel(channel).await?, second.channel(channel).await?);
        let is_active = [&a, &b].iter().all(|side| side.state == ChannelState::Active && side.online);
        let agree = a.version == b.version
            && (a.balance, a.peer_balance) == (b.peer_balance, b.balance)
            && (a.payments_sent, b.payments_sent) == (b.payments_received, a.payments_received)
            && a.pending.0 == 0;
        Ok((is_active && agree).then_some(b))
    })
    .await
}

/// Waits until a node knows that a channel is paid out.
///
/// # Errors
/// When it does not answer, or does not see it.
pub async fn settled(node: &Node, channel: &str) -> Result<Channel, TestnetError> {
    until(&format!("{} sees the channel paid out", node.name), async || {
        let channel = node.channel(channel).await?;
        Ok((channel.state == ChannelState::Settled).then_some(channel))
    })
    .await
}
