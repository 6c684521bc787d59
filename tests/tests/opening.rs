//! One command opens channels with many peers by one transaction; those that decline or are away are left out (FAULTS C12).

use std::fs;

use towpath_api::{ChannelState, Code, OpenedChannels, TransactionStatus, Units};
use towpath_testnet::{Plan, Topology};
use towpath_tests::kit::{Net, pay, until};

/// What the command prints: two of the four peers are left out.
fn open(net: &Net, names: &[String], extra: &[&str]) -> String {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let [alice, bob, proud, away, erin] = names[..] else { panic!("five nodes") };
    let mut words = vec!["--node", alice, "channel", "open", "--idempotency-key", "spring", "--no-wait"];
    words.extend([bob, "1000000", proud, "2000000", away, "3000000", erin, "4000000"]);
    words.extend(extra);
    let output = net.run(&words);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(5), "who is left out is told: {text} {output:?}");
    text
}

#[tokio::test]
async fn c12_one_command_opens_channels_with_all_who_agree_and_a_crash_changes_nothing() {
    let mut net = Net::prepared(&Plan { validators: 1, ..Plan::of(5, Topology::Star) });
    let names: Vec<String> = net.network.state().nodes.iter().map(|node| node.name.clone()).collect();
    let [alice, bob, proud, _, erin] = &names[..] else { panic!("five nodes") };
    let config = net.dir.path().join(proud).join("config.toml");
    let text = fs::read_to_string(&config).expect("a file");
    assert!(text.contains("[channels]"), "{text}");
    let text = text.replace("[channels]", "[channels]\ncapacity_min = 900000000");
    fs::write(&config, text).expect("written");
    for name in [alice, bob, proud, erin] {
        net.start(name).await;
    }
    let client = net.client(alice);
    let before = client.wallet().await.expect("a wallet").available;

    let opened: OpenedChannels = serde_json::from_str(&open(&net, &names, &[])).expect("an answer");
    net.network.kill(alice).await.expect("killed");
    net.start(alice).await;

    let ids: Vec<Option<String>> = opened.openings.iter().map(|one| one.id.clone()).collect();
    let codes: Vec<Option<Code>> =
        opened.openings.iter().map(|one| one.error.as_ref().map(|error| error.code)).collect();
    assert_eq!(codes, [None, Some(Code::PeerRefused), Some(Code::PeerOffline), None], "{opened:?}");
    let [Some(first), None, None, Some(last)] = &ids[..] else { panic!("{opened:?}") };
    for (id, peer) in [(first, bob), (last, erin)] {
        for node in [alice, peer] {
            let client = net.client(node);
            until("the channel is active at both", async || {
                let channel = client.channel(id).await.ok()?;
                (channel.state == ChannelState::Active && channel.online).then_some(())
            })
            .await;
        }
        pay(&net.client(alice), id, 7).await.expect("it is paid");
    }

    let tx = opened.tx.clone().expect("a transaction");
    let found = client.transaction(&tx).await.expect("it is known");
    assert_eq!(found.status, TransactionStatus::Final);
    let mut fundings = Vec::new();
    for id in [first, last] {
        fundings.push(client.channel(id).await.expect("a channel").funding.expect("it is funded"));
    }
    assert_ne!(fundings[0], fundings[1], "two outputs of one transaction");
    let wallet = client.wallet().await.expect("a wallet");
    let fee = opened.fee.expect("a fee").0;
    assert_eq!(wallet.available, Units(before.0 - 5_000_000 - fee), "the rest came back, with one fee");
    assert_eq!(wallet.reserved, Units(0));

    // The same word finds the same channels, after the crash, too; and the table tells of each peer.
    let again: OpenedChannels = serde_json::from_str(&open(&net, &names, &[])).expect("an answer");
    let found: Vec<Option<String>> = again.openings.iter().map(|one| one.id.clone()).collect();
    assert_eq!((found, &again.tx, again.fee), (ids, &opened.tx, opened.fee));
    let table = open(&net, &names, &["--table"]);
    for words in [bob.as_str(), "1,000,000", "active", "left out: the peer declined", tx.as_str()] {
        assert!(table.contains(words), "no '{words}' in\n{table}");
    }
    assert_eq!(client.channels(&Default::default()).await.expect("a page").channels.len(), 2);
}
