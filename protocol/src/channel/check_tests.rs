//! Each invariant can fail: a channel that is right, and one that is wrong in that one thing.

use std::sync::Arc;

use towpath_crypto::ed25519::{PublicKey, SecretKey, Signature};
use towpath_crypto::schnorr::WalletKey;
use towpath_crypto::{Amount, ChainId, Digest};
use towpath_ledger::{
    AssetId, ChannelId, ChannelTag, ChannelTerms, OutPoint, Party, Payout, StateSignature, Time, TxId,
};

use super::super::state::{Burnt, Fixed, Lost, Plan, Queued, Resizing};
use super::*;
use crate::event::Now;
use crate::life::Settlement;
use crate::limits::RECOVERY_GAP;
use crate::message::{Answer, Change, OpenId, Propose, ResizePlan};
use crate::signer::{Guard, KeySigner, Mark};
use crate::update::{Content, Transfer, Update};

fn signature(held: u64) -> StateSignature {
    StateSignature { held, signature: Signature([9; 64]) }
}

fn terms() -> ChannelTerms {
    let payout = Payout::Key(WalletKey([7; 32]));
    ChannelTerms {
        id: ChannelId(Digest([0xcd; 32])),
        generation: 0,
        key_a: PublicKey([1; 32]),
        key_b: PublicKey([2; 32]),
        payout_a: payout.clone(),
        payout_b: payout,
        dispute_window_ms: 1_000,
        penalty_basis_points: 5_000,
        reserve: Amount(10),
        close_fee_max: Amount::ZERO,
        expiry: None,
    }
}

/// A holds the first version; 60 are A's, 40 B's. A is the sequencer.
fn created(me: Party) -> Channel {
    let first = Content::first(&terms(), ChannelTag(Digest([3; 32])), (Amount(60), Amount(40)), Party::A);
    let outpoint = OutPoint { tx: TxId(Digest([4; 32])), index: 0 };
    let fixed = Fixed {
        open: OpenId([5; 32]),
        chain: ChainId(Digest([0xc0; 32])),
        asset: AssetId::NATIVE,
        capacity: Amount(100),
        terms: terms(),
        first,
        me,
        peer: PublicKey([6; 32]),
        key_index: 0,
        plan: Plan::Single { first_input: outpoint, index: 0 },
        funding_deadline: Time(1),
    };
    let keys = Arc::new(KeySigner::new(SecretKey::from_bytes(&[1; 32])));
    let now = Now { local_ms: 0, ledger: Time(0) };
    Channel::created(Arc::new(fixed), keys, mark(1), (signature(0), signature(0)), now)
}

fn mark(version: u64) -> Mark {
    Mark { version, digest: Digest([8; 32]), ..Mark::NONE }
}

fn set_mark(channel: &mut Channel, mark: Mark) {
    let (next, sealed) = (*channel.guard.next(), channel.guard.is_sealed());
    let keys = Arc::new(KeySigner::new(SecretKey::from_bytes(&[1; 32])));
    channel.guard = Guard::new(keys, mark).with_next(next, sealed);
}

fn set_next(channel: &mut Channel, next: Mark, sealed: bool) {
    let keys = Arc::new(KeySigner::new(SecretKey::from_bytes(&[1; 32])));
    channel.guard = Guard::new(keys, *channel.guard.mark()).with_next(next, sealed);
}

fn pay(from: Party, number: u64, units: u64) -> Transfer {
    Transfer { from, number, amount: Amount(units), memo: None }
}

/// A proposal of `version` on `base`, in which A has sent payments up to number 3.
fn proposal(channel: &Channel, version: u64, base: u64) -> OpenProposal {
    let updates = vec![Update::Transfer(pay(Party::A, 3, 1))];
    let propose = Propose { version, base, updates, answer: Answer::Later, signature: signature(5) };
    let mut content = channel.held.content.clone();
    (content.state.version, content.sent_a) = (version, 3);
    OpenProposal { propose, content, burnt: None }
}

fn open(channel: &mut Channel, version: u64, base: u64) {
    let proposal = proposal(channel, version, base);
    channel.open.push_back(Arc::new(proposal));
}

fn burnt(channel: &mut Channel, version: u64) {
    let proposal = OpenProposal { burnt: Some(Burnt::Dependent), ..proposal(channel, version, 0) };
    channel.open.push_back(Arc::new(proposal));
}

/// A proposal of nothing, far above all that was signed (SPEC P-54).
fn jump(channel: &mut Channel, base: u64) {
    let mut jump = proposal(channel, base + RECOVERY_GAP + 1, base);
    jump.propose.updates.clear();
    channel.open.push_back(Arc::new(jump));
}

fn edit(channel: &mut Channel, at: usize, change: impl FnOnce(&mut OpenProposal)) {
    change(Arc::make_mut(&mut channel.open[at]));
}

/// Version 5 is held. Versions 6 to 8 are proposed, of which 7 is burnt; payments 4 and 5 wait.
fn sequencer() -> Channel {
    let mut channel = created(Party::A);
    channel.held.content.state.version = 5;
    channel.held.theirs.held = 5;
    channel.memory.expected = 6;
    channel.next_number = 6;
    open(&mut channel, 6, 5);
    burnt(&mut channel, 7);
    open(&mut channel, 8, 6);
    set_mark(&mut channel, Mark { held: 5, ..mark(8) });
    assert!([4, 5].into_iter().all(|number| channel.outgoing.insert(pay(Party::A, number, 1))));
    channel
}

/// B holds version 5, which it signed, and asks for payments of 20 and 10: all that it has above its reserve.
fn follower() -> Channel {
    let mut channel = created(Party::B);
    channel.held.content.state.version = 5;
    channel.memory.expected = 6;
    channel.next_number = 2;
    set_mark(&mut channel, Mark { held: 5, ..mark(5) });
    assert!(channel.outgoing.insert(pay(Party::B, 1, 20)));
    channel.memory.queue_total = Amount(10);
    channel
}

/// A has signed B's wish to add 30: version 6 is the first of the next generation.
fn resizing() -> Channel {
    let mut channel = created(Party::A);
    channel.held.content.state.version = 5;
    channel.memory.expected = 6;
    set_mark(&mut channel, Mark { held: 5, ..mark(5) });
    set_next(&mut channel, Mark { generation: 1, ..mark(6) }, true);
    let mut content = channel.held.content.clone();
    (content.state.generation, content.state.version) = (1, 6);
    content.state.balance_b = Amount(70);
    let plan = ResizePlan {
        change: Change::Add(Amount(30)),
        inputs: Vec::new(),
        outputs: Vec::new(),
        expiry: Time(9),
    };
    channel.resize = Some(Arc::new(Resizing {
        by: Party::B,
        base: 5,
        plan,
        content,
        mine: signature(0),
        theirs: Some(signature(0)),
        intent: Some(Signature([9; 64])),
        intent_theirs: None,
        witnesses: None,
    }));
    channel
}

fn edit_resize(channel: &mut Channel, change: impl FnOnce(&mut Resizing)) {
    change(Arc::make_mut(channel.resize.as_mut().expect("a resize")));
}

const LOST: Lost = Lost { proven: 0, floor: 5 };

#[track_caller]
fn holds(mut channel: Channel, change: impl FnOnce(&mut Channel)) {
    change(&mut channel);
    assert_eq!(channel.check(), Ok(()));
}

#[track_caller]
fn breaks(claim: &str, mut channel: Channel, change: impl FnOnce(&mut Channel)) {
    change(&mut channel);
    assert_eq!(channel.check().map_err(|broken| broken.0), Err(claim));
}

#[test]
fn what_the_invariants_are_tried_on_is_right() {
    for channel in [created(Party::A), created(Party::B), sequencer(), follower(), resizing()] {
        holds(channel, |_| {});
    }
}

#[test]
fn i1_funds() {
    breaks("the held balances make the capacity", sequencer(), |channel| {
        channel.held.content.state.balance_a = Amount(61);
    });
    breaks("the balances of every open proposal make the capacity", sequencer(), |channel| {
        edit(channel, 1, |open| open.content.state.balance_b = Amount(39));
    });
    breaks("what waits can be paid", follower(), |channel| channel.memory.queue_total = Amount(11));
    breaks("what waits can be paid", follower(), |channel| channel.memory.queue_total = Amount::MAX);
    holds(follower(), |channel| {
        // What waits is kept after a loss only to say what became of it.
        (channel.lost, channel.memory.queue_total) = (Some(LOST), Amount(11));
    });
    holds(sequencer(), |channel| channel.memory.queue_total = Amount(1_000));
}

#[test]
fn p25_tags() {
    let claim = "every state has the channel's tag";
    let other = ChannelTag(Digest([0xee; 32]));
    breaks(claim, sequencer(), |channel| channel.held.content.state.tag = other);
    breaks(claim, sequencer(), |channel| edit(channel, 2, |open| open.content.state.tag = other));
}

#[test]
fn p6_versions_and_their_bases() {
    let rise = "open versions rise from the held one";
    breaks(rise, sequencer(), |channel| edit(channel, 0, |open| open.propose.version = 5));
    breaks(rise, sequencer(), |channel| edit(channel, 1, |open| open.propose.version = 6));
    let built = "each open version is built on the one before";
    breaks(built, sequencer(), |channel| edit(channel, 0, |open| open.propose.base = 4));
    breaks(built, sequencer(), |channel| edit(channel, 2, |open| open.propose.base = 7));
    breaks("what is held is not expected", sequencer(), |channel| channel.memory.expected = 5);
    let follows = "a follower has proposed nothing but where to go on after a loss";
    breaks(follows, follower(), |channel| {
        burnt(channel, 6);
        set_mark(channel, Mark { held: 5, ..mark(6) });
    });
    breaks(built, sequencer(), |channel| (channel.lost, channel.open[0]) = (None, channel.open[2].clone()));
    holds(sequencer(), |channel| {
        channel.lost = Some(LOST);
        edit(channel, 0, |open| open.propose.base = 4);
    });
}

#[test]
fn p2_numbers() {
    let given = "waiting payments have numbers that were given, and not used";
    for number in [3, 6] {
        breaks(given, sequencer(), |channel| {
            assert!(channel.outgoing.insert(pay(Party::A, number, 1)));
        });
    }
    breaks("numbers are given before they are used", sequencer(), |channel| {
        (channel.next_number, channel.outgoing) = (3, Default::default());
    });
    holds(sequencer(), |channel| (channel.next_number, channel.outgoing) = (4, Default::default()));
}

#[test]
fn c7_the_mark_and_what_was_signed() {
    breaks("the mark covers every proposal", sequencer(), |channel| set_mark(channel, mark(7)));
    let known = "what was signed last is held, or proposed";
    breaks(known, sequencer(), |channel| set_mark(channel, mark(9)));
    breaks(known, created(Party::A), |channel| set_mark(channel, mark(2)));
    let raised = Mark { digest: Digest::ZERO, ..mark(9) };
    holds(sequencer(), |channel| set_mark(channel, raised));
    holds(sequencer(), |channel| {
        set_mark(channel, mark(9));
        channel.life = Life::Settled(Settlement::Unilateral);
    });
    breaks("the mark covers what was completed", follower(), |channel| set_mark(channel, mark(4)));
    holds(follower(), |channel| {
        // What others show of this party's signatures lies below the floor.
        set_mark(channel, mark(4));
        channel.lost = Some(LOST);
    });
    breaks("a claim is above everything that was signed", follower(), |channel| channel.held.mine = None);
    holds(follower(), |channel| {
        channel.held.mine = None;
        set_mark(channel, mark(4));
    });
}

#[test]
fn c25_what_was_said_to_be_held() {
    breaks("no more was said to be held than is held", sequencer(), |channel| {
        set_mark(channel, Mark { held: 6, ..mark(8) });
    });
    breaks("the peer holds nothing that does not exist", sequencer(), |channel| channel.held.theirs.held = 6);
}

#[test]
fn n3_bounds() {
    let many = |count: u64| {
        let mut channel = created(Party::A);
        (2..2 + count).for_each(|version| burnt(&mut channel, version));
        set_mark(&mut channel, mark(1 + count));
        channel
    };
    holds(many(OPEN_MAX as u64), |_| {});
    breaks("open proposals are bounded", many(OPEN_MAX as u64 + 1), |_| {});
    let far = |version| {
        let mut channel = created(Party::A);
        (channel.next_number, channel.memory.expected) = (4, 2);
        open(&mut channel, version, 1);
        set_mark(&mut channel, mark(version));
        channel
    };
    holds(far(1 + IN_FLIGHT_MAX), |_| {});
    breaks("versions in flight are bounded", far(2 + IN_FLIGHT_MAX), |_| {});
    holds(follower(), |channel| {
        channel.outgoing = Default::default();
        channel.held.content.sent_b = 0;
        jump(channel, 5);
        set_mark(channel, Mark { held: 5, ..mark(6 + RECOVERY_GAP) });
    });
    let queued = Queued { token: 0, amount: Amount(1), memo: None };
    holds(sequencer(), |channel| channel.memory.queue = vec![queued; QUEUE_MAX].into());
    breaks("the queue is bounded", sequencer(), |channel| {
        channel.memory.queue = vec![queued; QUEUE_MAX + 1].into();
    });
    let buffer = |channel: &mut Channel, count: usize| {
        let propose = channel.open[0].propose.clone();
        channel.memory.buffered = (0..count as u64).map(|version| (version, propose.clone())).collect();
    };
    holds(sequencer(), |channel| buffer(channel, BUFFERED_MAX));
    breaks("buffered proposals are bounded", sequencer(), |channel| buffer(channel, BUFFERED_MAX + 1));
    let ask = |channel: &mut Channel, count: usize| {
        channel.memory.inbox = (0..count as u64).map(|number| (number, pay(Party::B, number, 1))).collect();
    };
    holds(sequencer(), |channel| ask(channel, REQUESTS_MAX));
    breaks("kept requests are bounded", sequencer(), |channel| ask(channel, REQUESTS_MAX + 1));
}

#[test]
fn p62_what_a_resize_rests_on() {
    let sealed = "nothing is signed while a resize may become final";
    let next = Mark { generation: 1, ..mark(6) };
    breaks(sealed, resizing(), |channel| set_next(channel, next, false));
    breaks(sealed, sequencer(), |channel| set_next(channel, Mark::NONE, true));
    let of_next = "what was signed for the next generation is of the next one";
    breaks(of_next, resizing(), |channel| set_next(channel, Mark { generation: 2, ..next }, true));
    breaks(of_next, sequencer(), |channel| set_next(channel, mark(1), false));
    let last = "the first state of the next generation is the last that was signed";
    breaks(last, resizing(), |channel| set_next(channel, Mark { version: 7, ..next }, true));
    breaks("a resize leads to the next generation", resizing(), |channel| {
        edit_resize(channel, |resize| resize.content.state.generation = 2);
    });
    breaks("who agrees to a resize has signed it", resizing(), |channel| {
        set_next(channel, next, false);
        edit_resize(channel, |resize| resize.intent = None);
    });
    breaks(
        "nobody signs a resize without the other's signature on the next generation",
        resizing(),
        |channel| {
            edit_resize(channel, |resize| resize.theirs = None);
        },
    );
    // Its own wish, not signed yet: the balance that changes is its own.
    holds(resizing(), |channel| {
        set_next(channel, next, false);
        edit_resize(channel, |resize| {
            (resize.by, resize.intent, resize.theirs) = (Party::A, None, None);
            (resize.content.state.balance_a, resize.content.state.balance_b) = (Amount(90), Amount(40));
        });
    });
}

#[test]
fn p60_what_a_resize_changes() {
    breaks("nothing is open while the channel is resized", resizing(), |channel| {
        burnt(channel, 6);
        set_mark(channel, mark(6));
    });
    let base = "the next generation goes on from what is held";
    breaks(base, resizing(), |channel| edit_resize(channel, |resize| resize.base = 4));
    breaks("a resize changes one balance", resizing(), |channel| {
        edit_resize(channel, |resize| resize.content.state.balance_a = Amount(61));
    });
    holds(resizing(), |channel| {
        // After a loss what is held came from others, and may be newer than the base.
        channel.lost = Some(LOST);
        edit_resize(channel, |resize| resize.base = 4);
    });
}
