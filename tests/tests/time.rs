//! Time travel on a local network, and the window that ends by it.

use std::time::Duration;

use towpath_api::{ChannelState, CloseChannel, CloseMode, CloseWait};
use towpath_testnet::{Plan, Topology, advance};
use towpath_tests::kit::{Net, until};

#[tokio::test]
async fn c12_a_day_of_a_window_passes_at_once_and_the_silent_peer_keeps_its_share() {
    let mut net = Net::up(&Plan::of(4, Topology::Line)).await;
    let edges = net.open(1_000_000).await;
    let edge = edges.iter().find(|edge| edge.opener == "carol").expect("carol has a channel with dave");
    let carol = net.client("carol");
    net.network.kill("dave").await.expect("killed");
    let request = CloseChannel {
        mode: CloseMode::Force,
        force_after_ms: None,
        wait: CloseWait::Sent,
        timeout_ms: None,
    };
    carol.close_channel(&edge.channel, &request).await.expect("closing");
    until("the ledger shows the closing", async || {
        let channel = carol.channel(&edge.channel).await.ok()?;
        channel.deadline_ms.is_some().then_some(())
    })
    .await;
    let closing = carol.channel(&edge.channel).await.expect("a channel");
    assert_ne!(closing.state, ChannelState::Settled, "nobody answers, so the window is open");

    let journey = advance(net.network.state(), Duration::from_secs(25 * 3_600)).await.expect("it travels");
    assert_eq!(journey.to_ms - journey.from_ms, 25 * 3_600_000);
    assert!(Some(journey.to_ms) > closing.deadline_ms);
    until("the channel is paid out", async || {
        let channel = carol.channel(&edge.channel).await.ok()?;
        (channel.state == ChannelState::Settled).then_some(())
    })
    .await;

    net.network.restart("dave").await.expect("it serves, and follows");
    let dave = net.client("dave");
    until("dave sees that it was paid out", async || {
        let channel = dave.channel(&edge.channel).await.ok()?;
        (channel.state == ChannelState::Settled).then_some(())
    })
    .await;
    assert!(dave.info().await.expect("info").ledger.time_ms >= journey.to_ms);
}
