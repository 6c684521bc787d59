//! Whose word on its process is kept, and for how long: of those who could be contradicted, and of nobody else.

use towpath_crypto::ed25519::{PublicKey, SecretKey};
use towpath_ledger::Amount;
use towpath_protocol::{Epoch, Hello, Life, Message};
use towpath_store::{Batch, Column, Scan};

use super::openings::{dual, offer};
use super::town::{Node, POLICY, Town, heard};
use crate::epoch;
use crate::net::SessionId;
use crate::worker::Input;
use crate::worker::accept::Policy;

fn secret(number: u16) -> SecretKey {
    let mut bytes = [9; 32];
    bytes[..2].copy_from_slice(&number.to_be_bytes());
    SecretKey::from_bytes(&bytes)
}

/// The word of a process of a node.
fn hello(node: &Node, of: &SecretKey, (start, instance): (u64, u8)) -> Message {
    let epoch = Epoch { start, instance: [instance; 16] };
    Message::Hello(Hello::sign(of, &node.parts.chain_id, epoch))
}

/// A session in which a process of a node says which one it is.
fn greet(node: &mut Node, of: &SecretKey, process: (u64, u8)) {
    let word = hello(node, of, process);
    node.turn(vec![Input::SessionUp(of.public(), SessionId(1))]);
    node.turn(vec![heard(of.public(), vec![word])]);
}

fn part(node: &mut Node, of: &SecretKey) {
    node.turn(vec![Input::SessionDown(of.public())]);
}

/// Whether what was said last is that an older process speaks; then nothing else is said to it.
fn is_told_to_be_old(node: &mut Node, of: &SecretKey) -> bool {
    let last = node.said.drain(..).map(|(_, message)| message).next_back();
    let is_told = matches!(last, Some(Message::Stale(_)));
    assert_ne!(is_told, node.worker.sessions.contains(&of.public()));
    is_told
}

fn row(node: &Node, of: &PublicKey) -> Option<Hello> {
    epoch::newest_of(&*node.store, of).expect("it reads")
}

/// Nothing is left of any stranger, in memory or on disk.
fn assert_no_trace(node: &Node) {
    let worker = &node.worker;
    assert_eq!((worker.heard.len(), worker.hailed.len(), worker.sessions.len()), (0, 0, 0));
    assert_eq!((worker.refusals.len(), worker.unknown.len()), (0, 0));
    let rows = node.store.scan(Column::Meta, &Scan::prefix(b"epoch/peer/")).expect("it reads");
    assert_eq!(rows, []);
}

#[tokio::test]
async fn s11_strangers_that_say_hello_leave_nothing_behind() {
    let mut town = Town::new(1, 1, POLICY);
    let node = &mut town.nodes[0];
    node.written = Batch::new();
    for number in 0..200 {
        let stranger = secret(number);
        greet(node, &stranger, (10, 1));
        assert!(!is_told_to_be_old(node, &stranger));
        // As long as its session lasts, it is one process that is spoken with.
        let older = hello(node, &stranger, (9, 2));
        node.turn(vec![heard(stranger.public(), vec![older])]);
        assert!(matches!(node.said.pop_back(), Some((_, Message::Stale(_)))));
        assert_eq!(node.worker.heard.len(), 1);
        part(node, &stranger);
        assert_no_trace(node);
    }
    assert!(node.written.is_empty(), "and nothing was written for any of them");
}

#[tokio::test]
async fn s11_strangers_that_leave_before_the_wallet_answers_leave_nothing_behind() {
    let policy = Policy {
        contribute_max: Amount(1_000_000),
        contribute_peer_max: Amount(1_000_000),
        contribute_opening_max: Amount(1_000_000),
        ..POLICY
    };
    // It would bring something, and has no coins.
    let mut town = Town::new(1, 0, policy);
    for number in 0..4 {
        let (stranger, open) = (secret(number), dual(&town, number, 1_000_000));
        let node = &mut town.nodes[0];
        greet(node, &stranger, (10, 1));
        node.hear(stranger.public(), vec![Message::Open(Box::new(open))]);
        part(node, &stranger);
        assert_eq!(node.worker.awaited.len(), 1, "it asks its wallet");
        town.settle().await;
        assert!(town.nodes[0].worker.awaited.is_empty());
        assert_no_trace(&town.nodes[0]);
    }
}

#[tokio::test]
async fn s11_an_older_process_is_known_from_the_first_row_of_an_opening_on() {
    let mut town = Town::new(1, 1, POLICY);
    let (stranger, open) = (secret(1), offer(&town, 1));
    let node = &mut town.nodes[0];
    greet(node, &stranger, (10, 1));
    assert_eq!(row(node, &stranger.public()), None);
    // One turn, one write: the opening and the word.
    node.hear(stranger.public(), vec![Message::Open(Box::new(open))]);
    assert_eq!(row(node, &stranger.public()).map(|hello| hello.epoch.start), Some(10));
    node.restart();
    greet(node, &stranger, (9, 2));
    assert!(is_told_to_be_old(node, &stranger));
    part(node, &stranger);
    greet(node, &stranger, (11, 2));
    assert!(!is_told_to_be_old(node, &stranger));
    assert_eq!(row(node, &stranger.public()).map(|hello| hello.epoch.start), Some(11));
    part(node, &stranger);
    // Nobody finishes the opening, and its deadline passes.
    town.block_after(300_000).await;
    town.block().await;
    assert_no_trace(&town.nodes[0]);
}

#[tokio::test]
async fn s11_a_peers_older_process_is_known_as_long_as_a_channel_with_it_lives() {
    let mut town = Town::new(2, 2, POLICY);
    let channel = town.open(0, 1, 1_000_000).await;
    let peer = town.nodes[0].seed.node_key();
    let newest = row(&town.nodes[1], &peer.public()).expect("its word is on disk").epoch.start;
    let node = &mut town.nodes[1];
    part(node, &peer);
    greet(node, &peer, (newest - 1, 2));
    assert!(is_told_to_be_old(node, &peer), "its word is kept in memory without a session, too");
    node.restart();
    greet(node, &peer, (newest - 1, 2));
    assert!(is_told_to_be_old(node, &peer));
    part(node, &peer);
    assert!(node.worker.heard.is_empty(), "the row is enough");

    // The process that is not old comes again, and both close.
    let other = node.id;
    town.nodes[0].turn(vec![Input::SessionDown(other), Input::SessionUp(other, SessionId(2))]);
    town.nodes[1].turn(vec![Input::SessionUp(peer.public(), SessionId(2))]);
    town.settle().await;
    town.close(0, &channel).await;
    town.block().await;
    assert!(matches!(town.nodes[1].life(&channel), Some(Life::Settled(_))));
    assert_eq!(row(&town.nodes[1], &peer.public()), None);
    part(&mut town.nodes[1], &peer);
    assert_no_trace(&town.nodes[1]);
}
