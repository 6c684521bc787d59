//! One test for each trap of the core (`docs/decisions/consensus-engine.md`), where a test can close it. Trap 1 is in
//! `byzantine`, 13 with the codecs (`wire_tests.rs`, `log_tests.rs`, `convert_tests.rs`), 14 in `sync`; 5 and 11 are closed
//! by words.

use towpath_consensus::wire::{self, Message, RoundCertificate, RoundReason, Status};
use towpath_consensus::{EngineError, Fault, GossipVerdict, Output, limits};
use towpath_crypto::codec;
use towpath_ledger::chain::VoteKind::{Precommit, Prevote};

use super::bench::{
    GENESIS, block, decided, engine, fill, hear, other_chain, proposal, proposer, published, requested,
    response, timers, verdict, vote, votes,
};
use super::sim::disk::Failure;
use super::sim::secret;

/// Whichever write fails, done or not, nothing that depends on it leaves, and no input is taken any more.
#[test]
fn trap_02_a_failed_write_publishes_nothing_and_stops_the_engine() {
    for failure in [Failure::Lost, Failure::Written] {
        let (mut one, disk) = engine(0, 1);
        one.start().expect("an empty log");
        disk.borrow_mut().fail_after = Some((0, failure));
        let error = one.on_value_built(1, 0, block(GENESIS, 1, 1)).expect_err("the log failed");
        assert!(matches!(error, EngineError::Fatal(Fault::Log(_))), "{error}");
        assert_eq!(one.wake(), Err(EngineError::Halted));
        assert_eq!(one.start(), Err(EngineError::Halted));
        assert_eq!(one.on_timer(1), Err(EngineError::Halted));
        assert_eq!(disk.borrow().chain.len(), 0, "and nothing is decided");
    }
}

#[test]
fn trap_02_a_failed_commit_stops_the_engine() {
    for (failure, tip) in [(Failure::Lost, 0), (Failure::Written, 1)] {
        let (mut one, disk) = engine(0, 1);
        one.start().expect("an empty log");
        // The first write is the log's.
        disk.borrow_mut().fail_after = Some((1, failure));
        let error = one.on_value_built(1, 0, block(GENESIS, 1, 1)).expect_err("the commit failed");
        assert!(matches!(error, EngineError::Fatal(Fault::Host(_))), "{error}");
        assert_eq!(disk.borrow().tip(), tip);
        let mut again = super::bench::engine_on(0, 1, &disk, super::sim::config());
        let outputs = again.start().expect("a restart finds either tip");
        assert_eq!(again.progress().height, 2, "and decides what it had logged");
        assert!(!outputs.is_empty());
    }
}

/// A round is a number in every message, so the core's nil cannot arrive; and numbers near its edge are refused.
#[test]
fn trap_03_nil_round_is_refused() {
    let (mut one, _) = engine(0, 4);
    one.start().expect("an empty log");
    for round in [limits::ROUND + 1, u32::MAX] {
        let message = Message::Vote(vote(1, Prevote, 1, round, None));
        assert_eq!(verdict(&mut one, 1, message), GossipVerdict::Reject);
        let message = Message::Proposal(proposal(1, round, &block(GENESIS, 1, 1)));
        assert_eq!(verdict(&mut one, 1, message), GossipVerdict::Reject);
    }
    let mut locked = proposal(proposer(1, 0, 4), 0, &block(GENESIS, 1, 1));
    locked.pol_round = Some(0);
    assert_eq!(
        verdict(&mut one, 1, Message::Proposal(locked)),
        GossipVerdict::Reject,
        "a proof from no earlier round"
    );
}

#[test]
fn trap_04_a_late_timer_of_an_earlier_height_does_nothing() {
    let (mut one, _) = engine(0, 1);
    let mut outputs = one.start().expect("an empty log");
    outputs.extend(one.on_value_built(1, 0, block(GENESIS, 1, 1)).expect("a good block"));
    assert_eq!(one.progress().height, 2);
    let armed = timers(&outputs);
    let (pace, old) = armed.split_last().expect("timers");
    let started = one.on_timer(pace.0).expect("the next height begins");
    let before = one.progress();
    assert_eq!((before.height, before.round), (2, Some(0)));
    let status = super::sim::config().status;
    for (token, after) in old.iter().filter(|(_, after)| *after != status) {
        assert_eq!(one.on_timer(*token), Ok(Vec::new()), "token {token}, armed for {after:?}");
    }
    assert_eq!(one.progress(), before);
    let mut tokens: Vec<u64> = armed.iter().chain(&timers(&started)).map(|(token, _)| *token).collect();
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), armed.len() + timers(&started).len(), "no token is used twice");
}

/// The core keeps two values a round. A forger must not fill them.
#[test]
fn trap_06_forged_proposals_take_no_slot() {
    let leader = proposer(1, 0, 4);
    let own = (leader + 1) % 4;
    let (mut one, _) = engine(own, 4);
    one.start().expect("an empty log");
    for salt in 1..=5 {
        let wrong_author = proposal((leader + 2) % 4, 0, &block(GENESIS, 1, salt));
        assert_eq!(verdict(&mut one, 9, Message::Proposal(wrong_author)), GossipVerdict::Reject);
        let mut forged = proposal(leader, 0, &block(GENESIS, 1, salt));
        forged.signature = other_chain(leader, &forged.claim());
        assert_eq!(verdict(&mut one, 9, Message::Proposal(forged)), GossipVerdict::Reject);
    }
    let good = block(GENESIS, 1, 99);
    let heard = hear(&mut one, leader, 0, Message::Proposal(proposal(leader, 0, &good)));
    assert_eq!(heard.verdict, GossipVerdict::Accept);
    let voted = votes(&heard.outputs);
    assert!(voted.iter().any(|vote| vote.kind == Prevote && vote.block == Some(good.id())), "{voted:?}");
}

#[test]
fn trap_07_unverified_votes_are_not_kept() {
    let (mut one, _) = engine(0, 4);
    one.start().expect("an empty log");
    for height in [1, 2] {
        let mut forged = vote(1, Prevote, height, 0, None);
        forged.signature = other_chain(1, &forged.vote);
        assert_eq!(verdict(&mut one, 1, Message::Vote(forged)), GossipVerdict::Reject, "height {height}");
    }
    let stranger = |height| Message::Vote(vote(77, Prevote, height, 0, None));
    assert_eq!(verdict(&mut one, 1, stranger(1)), GossipVerdict::Reject, "the set of this height is known");
    assert_eq!(verdict(&mut one, 1, stranger(2)), GossipVerdict::Ignore, "that of later ones is not");
    let far = Message::Vote(vote(1, Prevote, 2 + limits::HEIGHTS_AHEAD, 0, None));
    assert_eq!(verdict(&mut one, 1, far), GossipVerdict::Ignore);
    let accepted = (0..100)
        .filter(|round| {
            let message = Message::Vote(vote(1, Precommit, 2, *round, None));
            verdict(&mut one, 1, message) == GossipVerdict::Accept
        })
        .count();
    assert_eq!(accepted, limits::LATER_PER_VALIDATOR, "one validator cannot fill the memory either");
    let large = fill(block(GENESIS, 2, 1), 1_000_000);
    let kept = (0..40)
        .filter(|round| {
            let author = proposer(2, *round, 4);
            let message = Message::Proposal(proposal(author, *round, &large));
            author != 0 && verdict(&mut one, 1, message) == GossipVerdict::Accept
        })
        .count();
    assert!(kept * 1_000_000 <= limits::LATER_BYTES, "{kept} proposals of a megabyte are kept");
    assert!(kept >= 2);
}

/// A proposal that is lost would cost the round: the core repeats votes, the engine repeats the proposal.
#[test]
fn trap_08_a_lost_proposal_is_sent_again() {
    let leader = proposer(1, 0, 4);
    let (mut one, _) = engine(leader, 4);
    let started = one.start().expect("an empty log");
    assert!(started.iter().any(|output| matches!(output, Output::BuildValue { height: 1, round: 0, .. })));
    let built = one.on_value_built(1, 0, block(GENESIS, 1, 1)).expect("a good block");
    let is_proposal = |message: &Message| matches!(message, Message::Proposal(_));
    assert_eq!(published(&built).iter().filter(|message| is_proposal(message)).count(), 1);
    let rebroadcast = super::sim::config().rebroadcast;
    let (token, _) = *timers(&built).iter().rfind(|(_, after)| *after == rebroadcast).expect("armed");
    let repeated = one.on_timer(token).expect("never fatal");
    assert_eq!(published(&repeated).iter().filter(|message| is_proposal(message)).count(), 1);
    assert!(published(&repeated).iter().any(|message| matches!(message, Message::Vote(_))));
    let bytes = |outputs: &[Output]| -> Vec<Vec<u8>> {
        let publish = |output: &Output| match output {
            Output::Publish(bytes) => Some(bytes.clone()),
            _ => None,
        };
        outputs.iter().filter_map(publish).collect()
    };
    for again in bytes(&repeated) {
        assert!(!bytes(&built).contains(&again), "trap 9: equal bytes would be dropped as duplicates");
    }
}

/// Copies differ, so a gossip layer that drops equal bytes lets them pass; each node forwards one a tick.
#[test]
fn trap_09_copies_pass_once_a_tick() {
    let (mut one, _) = engine(0, 4);
    let started = one.start().expect("an empty log");
    let message = || Message::Vote(vote(1, Prevote, 1, 0, None));
    assert_eq!(hear(&mut one, 1, 1, message()).verdict, GossipVerdict::Accept);
    for copy in 2..10 {
        assert_eq!(
            hear(&mut one, 2, copy, message()).verdict,
            GossipVerdict::Ignore,
            "flooding with copies is futile"
        );
    }
    let status = super::sim::config().status;
    let (token, _) = *timers(&started).iter().find(|(_, after)| *after == status).expect("armed");
    one.on_timer(token).expect("never fatal");
    assert_eq!(hear(&mut one, 3, 10, message()).verdict, GossipVerdict::Accept);
    assert_eq!(hear(&mut one, 3, 11, message()).verdict, GossipVerdict::Ignore);
}

/// The largest block passes every decoder: gossip, log and sync.
#[test]
fn trap_09_the_largest_block_can_be_proposed_and_no_larger() {
    let leader = proposer(1, 0, 4);
    let overhead = codec::encode(&fill(block(GENESIS, 1, 1), 0)).len();
    let largest = fill(block(GENESIS, 1, 1), limits::BLOCK_BYTES - overhead);
    assert_eq!(codec::encode(&largest).len(), limits::BLOCK_BYTES);
    let (mut one, disk) = engine(leader, 4);
    one.start().expect("an empty log");
    let built = one.on_value_built(1, 0, largest.clone()).expect("never fatal");
    let message = published(&built).into_iter().find(|message| matches!(message, Message::Proposal(_)));
    let message = message.expect("it is proposed");
    assert!(wire::encode(0, message.clone()).len() <= limits::PROPOSAL_BYTES);
    let (mut two, _) = engine((leader + 1) % 4, 4);
    two.start().expect("an empty log");
    assert_eq!(verdict(&mut two, leader, message), GossipVerdict::Accept);
    let mut again = super::bench::engine_on(leader, 4, &disk, super::sim::config());
    again.start().expect("the log holds it");
    let mut chain = vec![decided(&largest, &[0, 1, 2])];
    let (mut three, _) = engine(3, 4);
    three.start().expect("an empty log");
    let status = Message::Status(Status { tip: 9, block: GENESIS });
    let heard = hear(&mut three, 1, 0, status);
    assert!(requested(&heard.outputs).is_some());
    chain.truncate(1);
    three.on_sync_response(secret(1).public(), Ok(response(chain))).expect("never fatal");
    assert_eq!(three.progress().height, 2);
    let (mut four, _) = engine(leader, 4);
    four.start().expect("an empty log");
    let larger = fill(block(GENESIS, 1, 1), limits::BLOCK_BYTES - overhead + 1);
    assert_eq!(four.on_value_built(1, 0, larger).expect("never fatal"), [], "one byte more is not sent");
}

/// The proposal and the value name the block by its id; the log holds its bytes once.
#[test]
fn trap_10_a_block_is_logged_once() {
    let size = 500_000;
    let leader = proposer(1, 0, 4);
    let large = fill(block(GENESIS, 1, 1), size);
    let logged = |disk: &super::sim::disk::SharedDisk| -> usize {
        disk.borrow().log.values().flatten().map(Vec::len).sum()
    };
    let (mut one, own_disk) = engine(leader, 4);
    one.start().expect("an empty log");
    one.on_value_built(1, 0, large.clone()).expect("a good block");
    let (mut two, other_disk) = engine((leader + 1) % 4, 4);
    two.start().expect("an empty log");
    hear(&mut two, leader, 0, Message::Proposal(proposal(leader, 0, &large)));
    for disk in [own_disk, other_disk] {
        assert!((size..size + 2_000).contains(&logged(&disk)), "{} bytes are logged", logged(&disk));
    }
}

/// Certificates are verified at the door, as everything else.
#[test]
fn trap_07_forged_certificates_are_rejected() {
    let (mut one, _) = engine(0, 4);
    one.start().expect("an empty log");
    let round_vote = |index, kind| {
        let signed = vote(index, kind, 1, 3, None);
        wire::RoundVote { kind, block: None, validator: signed.validator, signature: signed.signature }
    };
    let certificate = |votes| {
        let reason = RoundReason::Skip;
        Message::Round(RoundCertificate { height: 1, round: 3, reason, votes })
    };
    let one_vote = certificate(vec![round_vote(1, Prevote)]);
    assert_eq!(verdict(&mut one, 1, one_vote), GossipVerdict::Reject, "one of four is no reason to skip");
    let mut forged = round_vote(2, Prevote);
    forged.kind = Precommit;
    let forged = certificate(vec![round_vote(1, Prevote), forged]);
    assert_eq!(verdict(&mut one, 1, forged), GossipVerdict::Reject);
    let good = certificate(vec![round_vote(1, Prevote), round_vote(2, Prevote)]);
    assert_eq!(verdict(&mut one, 1, good), GossipVerdict::Accept);
    assert_eq!(one.progress().round, Some(3), "two of four are in round 3, so one honest one is");
    let polka = |signers: &[u8]| {
        let id = block(GENESIS, 1, 1).id();
        let sign = |index: &u8| {
            let signed = vote(*index, Prevote, 1, 3, Some(id));
            (signed.validator, signed.signature)
        };
        let signatures = signers.iter().map(sign).collect();
        Message::Polka(wire::PolkaCertificate { height: 1, round: 3, block: id, signatures })
    };
    assert_eq!(verdict(&mut one, 1, polka(&[1, 2])), GossipVerdict::Reject);
    assert_eq!(verdict(&mut one, 1, polka(&[1, 2, 2])), GossipVerdict::Reject);
    assert_eq!(verdict(&mut one, 1, polka(&[1, 2, 3])), GossipVerdict::Accept);
}

/// The core keeps evidence in memory until its height ends. The votes behind it are in the log, so a process that ends
/// in between loses none.
#[test]
fn trap_12_evidence_survives_a_restart_and_is_part_of_the_commit() {
    let leader = proposer(1, 0, 4);
    let others: Vec<u8> = (0..4).filter(|index| *index != leader).collect();
    let (own, cheat, honest) = (others[0], others[1], others[2]);
    let good = block(GENESIS, 1, 1);
    let (mut one, disk) = engine(own, 4);
    one.start().expect("an empty log");
    hear(&mut one, leader, 0, Message::Proposal(proposal(leader, 0, &good)));
    for content in [Some(good.id()), None] {
        let message = Message::Vote(vote(cheat, Prevote, 1, 0, content));
        assert_eq!(verdict(&mut one, cheat, message), GossipVerdict::Accept, "{content:?}");
    }
    // The next write, whatever it is for, makes both votes durable: a vote is sent after the third prevote.
    hear(&mut one, leader, 0, Message::Vote(vote(leader, Prevote, 1, 0, Some(good.id()))));
    drop(one);
    let mut again = super::bench::engine_on(own, 4, &disk, super::sim::config());
    again.start().expect("a good log");
    for index in [leader, honest] {
        hear(&mut again, index, 0, Message::Vote(vote(index, Precommit, 1, 0, Some(good.id()))));
    }
    assert_eq!(again.progress().height, 2, "own precommit and two others decide");
    let evidence = disk.borrow().evidence.clone();
    assert_eq!(evidence.iter().map(|pair| pair.culprit()).collect::<Vec<_>>(), [secret(cheat).public()]);
    assert!(evidence.iter().all(|pair| pair.verify(&super::sim::disk::CHAIN).is_ok()));
}
