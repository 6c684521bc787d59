//! Catching up, from honest peers and from liars.

use std::rc::Rc;

use towpath_consensus::wire::{Message, Status};
use towpath_consensus::{
    Blame, Engine, EngineError, Fault, Output, PeerChange, PeerId, SyncFailure, SyncReply, SyncRequest,
    SyncResponse, limits,
};
use towpath_ledger::{Block, BlockId};

use super::bench::{
    GENESIS, block, certificate, copy, decided, engine, engine_on, fill, hear, other_chain, requested,
    response,
};
use super::sim::disk::{DiskLog, Ledger, SharedDisk, Traits, Validators, mark};
use super::sim::{CrashPoint, Sim, SimEngine, config, secret, set};

#[test]
fn l16_a_late_node_catches_up_by_verified_certificates() {
    for seed in 0..4 {
        let mut sim = Sim::new(4, config(), seed);
        sim.network.loss_percent = seed * 3;
        sim.crash_at(3, 0, CrashPoint::Now, Some(20_000));
        sim.boot_all();
        sim.run(25, |_| false);
        let goal = sim.tip(0) + 3;
        assert!(sim.run_until(goal, 120), "seed {seed}");
        assert!(sim.agrees());
        assert!(sim.nodes[3].synced >= 10, "seed {seed}: {} blocks came by sync", sim.nodes[3].synced);
    }
}

/// A started engine of validator 3, which hears from `peer` that it is at height 3.
fn behind(peer: u8, chain: &[Block]) -> SimEngine {
    let (mut engine, _) = engine(3, 4);
    engine.start().expect("an empty log");
    hear(&mut engine, peer, 0, status(chain));
    engine
}

fn status(chain: &[Block]) -> Message {
    let last = chain.last().expect("a chain");
    Message::Status(Status { tip: last.header.height, block: last.id() })
}

/// Three blocks, each on the one before.
fn chain() -> Vec<Block> {
    let mut parent = GENESIS;
    (1..=3)
        .map(|height| {
            let block = block(parent, height, 1);
            parent = block.id();
            block
        })
        .collect()
}

fn blamed(outputs: &[Output]) -> Option<(PeerId, Blame)> {
    outputs.iter().find_map(|output| match output {
        Output::BlamePeer { peer, reason } => Some((*peer, *reason)),
        _ => None,
    })
}

fn committed(outputs: &[Output]) -> Vec<(u64, BlockId)> {
    let commit = |output: &Output| match output {
        Output::Committed { height, block, .. } => Some((*height, *block)),
        _ => None,
    };
    outputs.iter().filter_map(commit).collect()
}

#[test]
fn blocks_come_in_batches_from_one_peer() {
    let chain = chain();
    let (mut engine, _) = engine(3, 4);
    engine.start().expect("an empty log");
    let outputs = hear(&mut engine, 1, 0, status(&chain)).outputs;
    let (peer, request) = requested(&outputs).expect("it is three behind");
    assert_eq!((peer, request), (secret(1).public(), SyncRequest { from: 1, count: 3 }));
    let blocks = chain.iter().map(|block| decided(block, &[0, 1, 2])).collect();
    let outputs = engine.on_sync_response(peer, Ok(response(blocks))).expect("good blocks");
    let ids: Vec<_> = chain.iter().map(|block| (block.header.height, block.id())).collect();
    assert_eq!(committed(&outputs), ids);
}

#[test]
fn l16_l24_forged_answers_are_refused_and_the_next_peer_is_asked() {
    let chain = chain();
    let first = &chain[0];
    let forge = |change: &dyn Fn(&mut towpath_consensus::DecidedBlock)| {
        let mut forged = decided(first, &[0, 1, 2]);
        change(&mut forged);
        response(vec![forged])
    };
    let other = block(GENESIS, 1, 2);
    let forgeries: Vec<(&str, Blame, Vec<u8>)> = vec![
        ("no quorum", Blame::ForgedCertificate, forge(&|f| f.certificate = certificate(first, 0, &[0, 1]))),
        (
            "signed by strangers",
            Blame::ForgedCertificate,
            forge(&|f| f.certificate = certificate(first, 0, &[0, 7, 8])),
        ),
        (
            "one signer thrice",
            Blame::ForgedCertificate,
            forge(&|f| f.certificate = certificate(first, 0, &[0, 0, 0])),
        ),
        ("of another round", Blame::ForgedCertificate, forge(&|f| f.certificate.round = 1)),
        (
            "of another ledger",
            Blame::ForgedCertificate,
            forge(&|f| {
                let vote = f.certificate.vote();
                f.certificate.signatures.iter_mut().zip([0, 1, 2]).for_each(|((key, signature), index)| {
                    (*key, *signature) = (secret(index).public(), other_chain(index, &vote));
                });
            }),
        ),
        (
            "of another block",
            Blame::Malformed,
            forge(&|f| f.certificate = certificate(&other, 0, &[0, 1, 2])),
        ),
        (
            "another body",
            Blame::Malformed,
            forge(&|f| {
                let body = fill(block(GENESIS, 1, 1), 10).transactions;
                f.block = std::sync::Arc::new(Block { transactions: body, ..first.clone() });
            }),
        ),
        ("an unheard-of round", Blame::Malformed, forge(&|f| f.certificate.round = u32::MAX)),
        ("no signature", Blame::Malformed, forge(&|f| f.certificate.signatures.clear())),
        ("another height", Blame::Malformed, response(vec![decided(&chain[1], &[0, 1, 2])])),
        ("too many", Blame::Malformed, response(vec![decided(first, &[0, 1, 2]); 4])),
        ("nothing", Blame::FalseStatus, response(Vec::new())),
        ("garbage", Blame::Malformed, vec![1, 2, 3]),
    ];
    for (what, reason, bytes) in forgeries {
        let mut engine = behind(1, &chain);
        hear(&mut engine, 2, 0, status(&chain));
        let outputs = engine.on_sync_response(secret(1).public(), Ok(bytes)).expect("never fatal");
        assert_eq!(blamed(&outputs), Some((secret(1).public(), reason)), "{what}");
        assert_eq!(committed(&outputs), [], "{what}");
        let (peer, _) = requested(&outputs).expect("the next one is asked");
        assert_eq!(peer, secret(2).public(), "{what}");
        let blocks = chain.iter().map(|block| decided(block, &[0, 1, 2])).collect();
        let outputs = engine.on_sync_response(peer, Ok(response(blocks))).expect("good blocks");
        assert_eq!(committed(&outputs).len(), 3, "{what}: and the chain is applied");
    }
}

#[test]
fn silent_and_vanished_peers_are_passed_over() {
    let chain = chain();
    let mut engine = behind(1, &chain);
    hear(&mut engine, 2, 0, status(&chain));
    let failed = Err(SyncFailure::Unreachable);
    let outputs = engine.on_sync_response(secret(1).public(), failed).expect("never fatal");
    assert_eq!(blamed(&outputs), Some((secret(1).public(), Blame::NoAnswer)));
    assert_eq!(requested(&outputs).map(|(peer, _)| peer), Some(secret(2).public()));
    let gone = towpath_consensus::PeerChange::Disconnected;
    let outputs = engine.on_peer(secret(2).public(), gone).expect("never fatal");
    assert_eq!(requested(&outputs), None, "nobody is left who is ahead");
    let outputs = hear(&mut engine, 1, 0, status(&chain)).outputs;
    assert_eq!(
        requested(&outputs).map(|(peer, _)| peer),
        Some(secret(1).public()),
        "until one says so again"
    );
}

#[test]
fn strangers_statuses_and_unasked_answers_are_ignored() {
    let chain = chain();
    let (mut engine, _) = engine(3, 4);
    engine.start().expect("an empty log");
    assert_eq!(requested(&hear(&mut engine, 77, 0, status(&chain)).outputs), None);
    let blocks = chain.iter().map(|block| decided(block, &[0, 1, 2])).collect();
    let outputs = engine.on_sync_response(secret(1).public(), Ok(response(blocks))).expect("never fatal");
    assert_eq!(outputs, []);
}

/// A quorum's signatures under a block that breaks the rules: not a bad peer, but a broken ledger.
#[test]
fn l12_l16_an_invalid_block_with_a_good_certificate_stops_the_node() {
    let mut bad = block(GENESIS, 1, 1);
    bad.header.state_root.0[mark::INVALID] = 1;
    let mut engine = behind(1, &[bad.clone(), block(bad.id(), 2, 1)]);
    let answer = response(vec![decided(&bad, &[0, 1, 2])]);
    let error = engine.on_sync_response(secret(1).public(), Ok(answer)).expect_err("it must not go on");
    assert!(matches!(error, EngineError::Fatal(Fault::DecidedInvalid { height: 1, .. })), "{error}");
    assert_eq!(engine.wake(), Err(EngineError::Halted));
}

/// L12 at one height: a peer names another block than ours. A bare claim costs the peer; a certificate stops the node.
#[test]
fn l12_another_block_at_a_decided_height_is_looked_into() {
    let chain = chain();
    let other = block(GENESIS, 1, 2);
    let start = || {
        let disk = super::sim::disk::SharedDisk::default();
        disk.borrow_mut()
            .chain
            .push((std::sync::Arc::new(chain[0].clone()), certificate(&chain[0], 0, &[0, 1, 2])));
        let mut engine = engine_on(3, 4, &disk, config());
        engine.start().expect("an empty log");
        let outputs = hear(&mut engine, 1, 0, status(std::slice::from_ref(&other))).outputs;
        assert_eq!(requested(&outputs), Some((secret(1).public(), SyncRequest { from: 1, count: 1 })));
        engine
    };
    let forged = response(vec![decided(&other, &[1, 2])]);
    let outputs = start().on_sync_response(secret(1).public(), Ok(forged)).expect("a lie is not fatal");
    assert_eq!(blamed(&outputs), Some((secret(1).public(), Blame::ForgedCertificate)));
    let same = response(vec![decided(&chain[0], &[0, 1, 2])]);
    let outputs = start().on_sync_response(secret(1).public(), Ok(same)).expect("a lie is not fatal");
    assert_eq!(blamed(&outputs), Some((secret(1).public(), Blame::FalseStatus)));
    let proof = response(vec![decided(&other, &[1, 2, 3])]);
    let error = start().on_sync_response(secret(1).public(), Ok(proof)).expect_err("it must not go on");
    let EngineError::Fatal(Fault::Fork { height: 1, ours, theirs, culprits }) = error else {
        panic!("another reason: {error}");
    };
    assert_eq!((ours, theirs.block), (chain[0].id(), other.id()));
    assert_eq!(culprits.len(), 2, "1 and 2 signed both");
}

#[test]
fn requests_are_answered_within_bounds() {
    let (mut engine, disk) = engine(0, 1);
    engine.start().expect("an empty log");
    let mut parent = GENESIS;
    for height in 1..=100 {
        let block = fill(block(parent, height, 1), 100_000);
        parent = block.id();
        disk.borrow_mut().chain.push((std::sync::Arc::new(block.clone()), certificate(&block, 0, &[0])));
    }
    let mut engine = engine_on(0, 1, &copy(&disk), config());
    let mut ask = |from, count| {
        let request = SyncRequest { from, count };
        match engine.on_sync_request(&request.encode()).expect("never fatal") {
            SyncReply::Blocks(bytes) => {
                assert!(bytes.len() <= limits::SYNC_RESPONSE_BYTES);
                SyncResponse::decode(&bytes, &request).expect("what we send, we take").blocks.len()
            }
            SyncReply::Malformed => panic!("a good request"),
        }
    };
    assert_eq!(ask(1, 3), 3);
    assert_eq!(ask(99, 64), 2, "no more than there is");
    assert_eq!(ask(101, 64), 0);
    assert_eq!(ask(u64::MAX, u32::MAX), 0);
    assert_eq!(ask(0, 1), 0, "genesis has no certificate");
    let many = ask(1, u32::MAX);
    assert!((20..=22).contains(&many), "two megabytes of blocks: {many}");
    assert_eq!(engine.on_sync_request(&[9; 8]).expect("never fatal"), SyncReply::Malformed);
}

/// A node without a key, on a ledger whose validators 0 to 3 handed over to 4 to 7 at height 3.
fn after_a_handover(disk: &SharedDisk) -> SimEngine {
    let validators: Validators = Rc::new(|height| if height < 3 { set(0..4) } else { set(4..8) });
    let (own, traits, now) = (secret(9).public(), Traits::default(), Rc::default());
    let ledger = Ledger { disk: disk.clone(), own, validators, traits, now, real: None };
    let mut engine =
        Engine::new(secret(9), ledger, DiskLog(disk.clone()), config()).expect("a readable ledger");
    for peer in 1..3 {
        engine.on_peer(secret(peer).public(), PeerChange::Connected).expect("never fatal");
    }
    engine.start().expect("an empty log");
    engine
}

/// So far that the node asks at once.
fn far_ahead() -> Message {
    Message::Status(Status { tip: 9, block: GENESIS })
}

/// Long-range attack: keys that decided once are for sale later. They sign nothing that counts after their time.
#[test]
fn l16_former_validators_decide_nothing_after_their_time() {
    let chain = chain();
    let mut engine = after_a_handover(&SharedDisk::default());
    hear(&mut engine, 1, 0, status(&chain));
    let signed = |height: usize, signers: &[u8]| decided(&chain[height - 1], signers);
    let answer = response(vec![signed(1, &[0, 1, 2]), signed(2, &[1, 2, 3]), signed(3, &[0, 1, 2])]);
    let outputs = engine.on_sync_response(secret(1).public(), Ok(answer)).expect("never fatal");
    assert_eq!(committed(&outputs).len(), 2, "what they decided in their time stands");
    assert_eq!(blamed(&outputs), Some((secret(1).public(), Blame::ForgedCertificate)));
    hear(&mut engine, 2, 0, far_ahead());
    let answer = response(vec![signed(3, &[4, 5, 7])]);
    let outputs = engine.on_sync_response(secret(2).public(), Ok(answer)).expect("never fatal");
    assert_eq!(committed(&outputs), [(3, chain[2].id())]);
}

/// The same keys write another history from genesis on. Who was there does not follow it; who is new and follows it stops
/// when it meets the other one, with the names of those who signed both.
#[test]
fn l16_l12_another_history_by_sold_keys_is_noticed_and_never_switched_to() {
    let honest = chain();
    let mut forged = vec![block(GENESIS, 1, 7)];
    forged.push(block(forged[0].id(), 2, 7));
    let sold = |blocks: &[Block]| blocks.iter().map(|block| decided(block, &[0, 1, 2])).collect();
    // New: it takes what a quorum signed.
    let mut engine = after_a_handover(&SharedDisk::default());
    hear(&mut engine, 1, 0, status(&forged));
    let outputs = engine.on_sync_response(secret(1).public(), Ok(response(sold(&forged)))).expect("signed");
    assert_eq!(committed(&outputs).len(), 2);
    let outputs = hear(&mut engine, 2, 0, status(&honest[..2])).outputs;
    assert_eq!(requested(&outputs), Some((secret(2).public(), SyncRequest { from: 2, count: 1 })));
    let proof = response(vec![decided(&honest[1], &[1, 2, 3])]);
    let error = engine.on_sync_response(secret(2).public(), Ok(proof)).expect_err("it must not go on");
    let EngineError::Fatal(Fault::Fork { height: 2, ours, theirs, culprits }) = error else {
        panic!("another reason: {error}");
    };
    assert_eq!((ours, theirs.block), (forged[1].id(), honest[1].id()));
    let mut sellers = [secret(1).public(), secret(2).public()];
    sellers.sort_unstable();
    assert_eq!(culprits, sellers);
    // Lagging: it has the first honest block, and is shown the rest of the other history.
    let disk = SharedDisk::default();
    let first = decided(&honest[0], &[0, 1, 2]);
    disk.borrow_mut().chain.push((first.block, first.certificate));
    let mut engine = after_a_handover(&disk);
    hear(&mut engine, 1, 0, far_ahead());
    let answer = response(sold(&forged[1..]));
    let error = engine.on_sync_response(secret(1).public(), Ok(answer)).expect_err("it must not go on");
    assert!(matches!(error, EngineError::Fatal(Fault::DecidedInvalid { height: 2, .. })), "{error}");
    assert_eq!(disk.borrow().tip(), 1, "what is applied stays applied");
}
