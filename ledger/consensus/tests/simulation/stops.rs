//! When an engine must rather stop than sign (FAULTS L15).

use towpath_consensus::wire::Message;
use towpath_consensus::{EngineError, Fault, GossipVerdict, Signed};
use towpath_ledger::chain::VoteKind::Prevote;

use super::bench::{
    GENESIS, block, copy, engine, engine_on, hear, proposal, proposer, timers, verdict, vote, votes,
};
use super::sim::config;
use super::sim::disk::SharedDisk;
use super::sim::secret;

/// The validator after the proposer of height 1.
fn follower() -> (u8, u8) {
    let leader = proposer(1, 0, 4);
    (leader, (leader + 1) % 4)
}

/// The disk of a node that prevoted for a block, and of one that waited in vain and prevoted nil.
fn two_pasts() -> (SharedDisk, SharedDisk) {
    let (leader, own) = follower();
    let (mut one, for_block) = engine(own, 4);
    one.start().expect("an empty log");
    hear(&mut one, leader, 0, Message::Proposal(proposal(leader, 0, &block(GENESIS, 1, 1))));
    let (mut two, for_nil) = engine(own, 4);
    let started = two.start().expect("an empty log");
    let propose = config().propose;
    let (token, _) = *timers(&started).iter().find(|(_, after)| *after == propose).expect("armed");
    assert_eq!(votes(&two.on_timer(token).expect("never fatal")).len(), 1);
    (for_block, for_nil)
}

#[test]
fn l15_a_restarted_validator_sends_the_very_same_votes() {
    let (leader, own) = follower();
    let (mut one, disk) = engine(own, 4);
    one.start().expect("an empty log");
    let proposed = proposal(leader, 0, &block(GENESIS, 1, 1));
    let before = hear(&mut one, leader, 0, Message::Proposal(proposed.clone()));
    drop(one);
    let mut again = engine_on(own, 4, &disk, config());
    let replayed = again.start().expect("a good log");
    assert_eq!(votes(&replayed), votes(&before.outputs));
    // The proposer equivocates; the vote stands.
    let other = proposal(leader, 0, &block(GENESIS, 1, 2));
    let after = hear(&mut again, leader, 1, Message::Proposal(other));
    assert_eq!(votes(&after.outputs), []);
    // And a second replay of what both lives have logged changes nothing either.
    let mut third = engine_on(own, 4, &disk, config());
    assert_eq!(votes(&third.start().expect("a good log")), votes(&before.outputs));
}

#[test]
fn l15_a_restarted_proposer_proposes_the_very_same_block() {
    let leader = proposer(1, 0, 4);
    let (mut one, disk) = engine(leader, 4);
    one.start().expect("an empty log");
    let before = one.on_value_built(1, 0, block(GENESIS, 1, 1)).expect("a good block");
    let mut again = engine_on(leader, 4, &disk, config());
    let replayed = again.start().expect("a good log");
    let proposals = |outputs: &[towpath_consensus::Output]| -> Vec<Message> {
        let mut messages = super::bench::published(outputs);
        messages.retain(|message| matches!(message, Message::Proposal(_)));
        messages
    };
    assert_eq!(proposals(&replayed), proposals(&before));
    assert_eq!(proposals(&replayed).len(), 1);
    let built = again.on_value_built(1, 0, block(GENESIS, 1, 2)).expect("never fatal");
    assert_eq!(built, [], "the block that was asked for again comes too late");
}

#[test]
fn l15_a_log_that_leads_elsewhere_stops_the_node() {
    let (for_block, for_nil) = two_pasts();
    let own_vote = for_block.borrow().log[&1].last().expect("its vote").clone();
    for_nil.borrow_mut().log.get_mut(&1).expect("a log").splice(1.., [own_vote]);
    let (_, own) = follower();
    let error = engine_on(own, 4, &for_nil, config()).start().expect_err("it must not sign");
    assert!(matches!(error, EngineError::Fatal(Fault::ReplayDivergence(_))), "{error}");
}

#[test]
fn l15_a_log_with_two_own_votes_stops_the_node() {
    let (for_block, for_nil) = two_pasts();
    let own_vote = for_block.borrow().log[&1].last().expect("its vote").clone();
    for_nil.borrow_mut().log.get_mut(&1).expect("a log").push(own_vote);
    let (_, own) = follower();
    let error = engine_on(own, 4, &for_nil, config()).start().expect_err("it must not sign");
    let kind = Signed::Vote(Prevote);
    assert_eq!(error, EngineError::Fatal(Fault::DoubleSign { kind, height: 1, round: 0 }));
}

/// What led to the vote is gone, the vote is not: the guard remembers what the core cannot derive.
#[test]
fn l15_the_guard_refuses_what_the_log_contradicts() {
    let (for_block, _) = two_pasts();
    let own_vote = for_block.borrow().log[&1].last().expect("its vote").clone();
    *for_block.borrow_mut().log.get_mut(&1).expect("a log") = vec![own_vote];
    let (_, own) = follower();
    let mut one = engine_on(own, 4, &for_block, config());
    let started = one.start().expect("nothing contradicts it yet");
    let propose = config().propose;
    let (token, _) = *timers(&started).iter().find(|(_, after)| *after == propose).expect("armed");
    let error = one.on_timer(token).expect_err("a vote for nil would be the second one");
    let kind = Signed::Vote(Prevote);
    assert_eq!(error, EngineError::Fatal(Fault::DoubleSign { kind, height: 1, round: 0 }));
}

/// An old disk, or a second node with the same key: this node hears its own voice say what it never said.
#[test]
fn l15_an_own_vote_without_record_stops_the_node() {
    let (mut one, _) = engine(0, 4);
    one.start().expect("an empty log");
    for height in [1, 2] {
        let (mut one, _) = engine(0, 4);
        one.start().expect("an empty log");
        let message = towpath_consensus::wire::encode(0, Message::Vote(vote(0, Prevote, height, 4, None)));
        let error = one.on_gossip(secret(1).public(), &message).expect_err("it must not go on");
        assert_eq!(error, EngineError::Fatal(Fault::KeyInUse { height, round: 4 }));
    }
    let mut forged = vote(0, Prevote, 1, 4, None);
    forged.signature = super::bench::other_chain(0, &forged.vote);
    assert_eq!(
        verdict(&mut one, 1, Message::Vote(forged)),
        GossipVerdict::Reject,
        "nobody else can cause that"
    );
}

#[test]
fn an_own_vote_that_comes_back_is_ignored() {
    let (leader, own) = follower();
    let (mut one, _) = engine(own, 4);
    one.start().expect("an empty log");
    let block = block(GENESIS, 1, 1);
    hear(&mut one, leader, 0, Message::Proposal(proposal(leader, 0, &block)));
    let echo = vote(own, Prevote, 1, 0, Some(block.id()));
    assert_eq!(verdict(&mut one, 1, Message::Vote(echo)), GossipVerdict::Ignore);
}

#[test]
fn l15_a_damaged_log_stops_the_node() {
    let (for_block, _) = two_pasts();
    let (_, own) = follower();
    let records = for_block.borrow().log[&1].len();
    assert!(records >= 4, "a block, a proposal, a value, a vote");
    for record in 0..records {
        for cut in [0, 1, 7] {
            let disk = copy(&for_block);
            disk.borrow_mut().log.get_mut(&1).expect("a log")[record].truncate(cut);
            let error = engine_on(own, 4, &disk, config()).start().expect_err("it must not guess");
            let EngineError::Fatal(Fault::LogDamaged { height: 1, index, .. }) = error else {
                panic!("record {record}, cut to {cut}: {error}");
            };
            assert_eq!(index, record);
        }
    }
    let disk = copy(&for_block);
    disk.borrow_mut().log.get_mut(&1).expect("a log").remove(0);
    let error = engine_on(own, 4, &disk, config()).start().expect_err("the block is missing");
    assert!(matches!(error, EngineError::Fatal(Fault::LogDamaged { .. })), "{error}");
}
