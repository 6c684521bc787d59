//! Ten thousand malformed inputs at one running node, over all its ports: nothing comes of them (FAULTS A5, F9, F10).

use std::path::Path;

use towpath_crypto::hash::{ChainId, Digest};
use towpath_crypto::id::{self, Kind};
use towpath_ledger::ChannelId;
use towpath_testnet::{NodeState, Plan, Topology, is_running};
use towpath_tests::kit::{Net, metric, pay, quiet, until};
use towpath_tests::requests::collect;
use towpath_tests::storm::{QuicPort, ROUND, Stalled, Storm};
use towpath_tests::stranger::Stranger;

/// Inputs, without those before memory is measured; `MALFORMED_INPUTS` asks for more.
const INPUTS: u64 = 10_000;

/// By how much the node's memory may grow meanwhile.
const GROWTH_KIB_MAX: u64 = 64 << 10;

/// An honest payment there and back for so many inputs.
const INPUTS_A_PAYMENT: u64 = 50;

/// A network of three whose middle one listens by QUIC as well, as nodes do that nobody configured.
async fn network() -> (Net, QuicPort) {
    let mut net = Net::prepared(&Plan::of(3, Topology::Line));
    let bob = net.node("bob");
    let port = bob.p2p.split('/').nth(4).and_then(|port| port.parse().ok()).expect("a port");
    let quic = QuicPort(port);
    let text = std::fs::read_to_string(&bob.config).expect("a configuration");
    let mut config: toml::Table = text.parse().expect("a configuration");
    let listen = config["network"]["listen"].as_array_mut().expect("a list");
    listen.push(quic.multiaddr().into());
    std::fs::write(&bob.config, config.to_string()).expect("written");
    net.network.up().await.expect("all nodes serve");
    (net, quic)
}

/// What the system says that a process has in memory.
fn resident_kib(node: &NodeState) -> u64 {
    let pid = node.process.expect("it runs").pid;
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"));
    let status = status.expect("the process is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Ids of everything that the node says of itself, so that some requests get past the first check.
async fn known_ids(net: &Net, channel: &str) -> Vec<String> {
    let info = net.client("bob").info().await.expect("it answers");
    let mut known = vec![channel.to_owned(), channel[..14].to_owned()];
    collect(&serde_json::to_value(info).expect("JSON"), &mut known);
    known
}

fn chain(net: &Net) -> ChainId {
    let text = std::fs::read_to_string(&net.network.state().genesis).expect("a genesis");
    towpath_ledger::genesis::Genesis::parse(&text).expect("a genesis").chain_id()
}

fn channel_id(text: &str) -> ChannelId {
    let bytes = id::decode(Kind::Channel, text).expect("an id");
    ChannelId(Digest(bytes.try_into().expect("32 bytes")))
}

async fn frames_rejected(net: &Net) -> u64 {
    let mut sum = 0;
    for reason in ["length", "decryption", "content", "message"] {
        let name = format!("towpath_frames_rejected_total{{reason=\"{reason}\"}}");
        sum += metric(&net.client("bob"), &name).await;
    }
    sum
}

#[tokio::test]
async fn a5_f9_f10_ten_thousand_malformed_inputs_over_all_ports_change_nothing() {
    let inputs = std::env::var("MALFORMED_INPUTS").ok().map(|text| text.parse().expect("a number"));
    let inputs: u64 = inputs.unwrap_or(INPUTS).max(INPUTS);
    let (net, quic) = network().await;
    // Requests may do with the first channel what they like; honest work goes through the second.
    let [common, honest] = &net.open(1_000_000).await[..] else { panic!("two channels") };
    let (alice, bob, carol) = (net.client("alice"), net.client("bob"), net.client("carol"));
    let process = net.node("bob").process;
    let document = bob.openapi().await.expect("the OpenAPI document");
    let known = known_ids(&net, &common.channel).await;
    let storm =
        Storm::new(net.node("bob"), chain(&net), quic, document, (known, channel_id(&honest.channel)));
    // What any first use takes is in memory after a round.
    storm.round(0).await;
    let (warm, before_kib) = (storm.tally.total(), resident_kib(net.node("bob")));
    let before = bob.channel(&honest.channel).await.expect("a channel");
    let harm = async {
        let stalled = Stalled::begin(&storm).await;
        for seed in 1..=inputs / ROUND {
            storm.round(seed).await;
        }
        stalled.are_hung_up().await;
        storm.tally.total() - warm
    };
    let work = async {
        let mut payments = 0;
        for count in 1..=inputs / INPUTS_A_PAYMENT {
            storm.tally.reaches(warm + count * INPUTS_A_PAYMENT).await;
            pay(&bob, &honest.channel, 2).await.expect("an honest payment");
            pay(&carol, &honest.channel, 1).await.expect("an honest payment");
            payments += 1;
        }
        payments
    };
    let (sent, payments) = tokio::join!(harm, work);
    let growth_kib = resident_kib(net.node("bob")).saturating_sub(before_kib);
    println!(
        "{sent} inputs, {payments} honest payments there and back, {before_kib} KiB and {growth_kib} more: {:?}",
        storm.tally.counts()
    );
    assert!(sent >= inputs, "{sent} inputs of {inputs}");
    assert!(growth_kib <= GROWTH_KIB_MAX, "the node's memory grew by {growth_kib} KiB");
    assert!(is_running(net.node("bob")) && net.node("bob").process == process, "it never stopped");
    // They came as far as they were meant to: most frames were opened and found wanting.
    let (rejected, frames) = (frames_rejected(&net).await, storm.tally.counts()["frames of sessions"]);
    assert!(rejected >= frames / 2, "{rejected} of {frames} frames were rejected");
    // Honest work, while and after: each payment counts once, and a stranger is welcome by QUIC.
    pay(&bob, &honest.channel, 1).await.expect("an honest payment");
    let (after, _) = quiet(&bob, &carol, &honest.channel).await;
    assert_eq!(before.balance.0 - after.balance.0, payments + 1);
    let peer = net.node("bob").p2p.rsplit('/').next().expect("an id").to_owned();
    let _line =
        Stranger::dial(&format!("{}/p2p/{peer}", quic.multiaddr()), chain(&net), [7; 32]).session().await;
    // Some requests were valid by chance, and paid, streamed or closed: both still agree on that channel, to the unit.
    until("both agree", async || {
        let (here, there) =
            (bob.channel(&common.channel).await.ok()?, alice.channel(&common.channel).await.ok()?);
        let agree = here.balance == there.peer_balance && here.peer_balance == there.balance;
        (agree && here.version == there.version).then_some(())
    })
    .await;
}
