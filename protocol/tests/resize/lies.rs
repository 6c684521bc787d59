//! Resizes with a liar at the other end: offers that don't follow, are not signed or not wanted, and what is said to a side that
//! waits for the ledger.

use towpath_ledger::Amount;
use towpath_protocol::{Change, ChannelMessage, Effect, Reject};

use super::common;
use super::common::harbour::Harbour;
use super::common::world::{Crypto, Cut};
use super::{A, B, add, agreed, decide, harbour, out, withheld};

/// A follower that has not heard of a resize, its sequencer's offer, and the time.
fn offered() -> (Harbour, towpath_protocol::Resize) {
    let mut harbour = harbour();
    harbour.world.pay(A, 40).expect("paid");
    harbour.world.settle();
    harbour.resize(A, add(100)).expect("it is wanted");
    let Some(ChannelMessage::Resize(offer)) = harbour.world.wires[B].front().cloned() else {
        panic!("an offer: {:?}", harbour.world.wires[B])
    };
    (harbour, *offer)
}

#[test]
fn c8_c9_an_offer_that_is_not_the_next_or_not_signed_is_a_breach() {
    let (harbour, offer) = offered();
    let victim = &harbour.world.sides[B].channel;
    let tell = |lie: towpath_protocol::Resize| {
        let message = ChannelMessage::Resize(Box::new(lie));
        common::forge::tell(Crypto::Fast, victim, message, harbour.world.now)
    };
    let said = tell(offer.clone()).said();
    assert!(matches!(said[..], [ChannelMessage::ResizeAgreed(_)]), "{said:?}");
    let held = victim.state().version;
    let mut unsigned = offer.clone();
    unsigned.signature.signature.0[40] ^= 1;
    let mut holds = offer.clone();
    holds.signature.held = 1;
    for (lie, why) in [
        (towpath_protocol::Resize { base: held - 1, ..offer.clone() }, Reject::Base { base: held - 1, held }),
        (towpath_protocol::Resize { base: held + 1, ..offer.clone() }, Reject::Base { base: held + 1, held }),
        (
            towpath_protocol::Resize { version: held, ..offer.clone() },
            Reject::Version { version: held, held, seen: held },
        ),
        (
            towpath_protocol::Resize { version: held + 129, ..offer.clone() },
            Reject::Version { version: held + 129, held, seen: held },
        ),
        // Another state than the one that was signed.
        (towpath_protocol::Resize { version: offer.version + 1, ..offer.clone() }, Reject::Signature),
        (unsigned, Reject::Signature),
        (holds, Reject::Held { held: 1 }),
    ] {
        assert_eq!(tell(lie).verdict, Err(why));
    }
}

#[test]
fn c10_c21_an_offer_that_is_not_wanted_is_refused_and_nothing_is_signed() {
    let (mut harbour, offer) = offered();
    let victim = harbour.world.sides[B].channel.clone();
    let now = harbour.world.now;
    let spendable = harbour.world.sides[A].channel.state().balance_a.0 - 10;
    let plan = |change: Change| towpath_protocol::ResizePlan { change, ..offer.plan.clone() };
    let expiring = |expiry| towpath_protocol::ResizePlan { expiry, ..offer.plan.clone() };
    for lie in [
        plan(out(spendable + 1)),
        plan(add(0)),
        plan(add(5_000)),
        plan(add(u64::MAX)),
        expiring(now.ledger),
        expiring(now.ledger.plus_ms(120_001)),
    ] {
        let message =
            ChannelMessage::Resize(Box::new(towpath_protocol::Resize { plan: lie, ..offer.clone() }));
        let taken = common::forge::tell(Crypto::Fast, &victim, message, now);
        assert_eq!(taken.verdict, Ok(()));
        assert!(matches!(taken.said()[..], [ChannelMessage::Refuse(_)]), "{:?}", taken.said());
        assert_eq!((taken.after.mark(), taken.after.resizing()), (victim.mark(), None));
    }
    // One at a time: of two that spend one output either could become final.
    harbour.world.settle();
    let sealed = harbour.world.sides[B].channel.clone();
    let other = towpath_protocol::Resize { version: offer.version + 1, plan: plan(add(7)), ..offer };
    let taken = common::forge::tell(Crypto::Fast, &sealed, ChannelMessage::Resize(Box::new(other)), now);
    assert!(matches!(taken.said()[..], [ChannelMessage::Refuse(_)]), "{:?}", taken.said());
    assert_eq!(taken.after.resizing(), sealed.resizing());
}

#[test]
fn c9_nobody_signs_the_transaction_without_the_others_signatures() {
    let (mut harbour, _) = offered();
    harbour.world.deliver(B, usize::MAX, Cut::Nowhere);
    let Some(ChannelMessage::ResizeAgreed(honest)) = harbour.world.wires[A].front().cloned() else {
        panic!("an agreement: {:?}", harbour.world.wires[A])
    };
    let victim = &harbour.world.sides[A].channel;
    let (mut state, mut intent, mut held, mut version) = (honest, honest, honest, honest);
    state.signature.signature.0[40] ^= 1;
    intent.intent.0[40] ^= 1;
    held.signature.held -= 1;
    version.version += 1;
    for (lie, why) in [
        (state, Reject::Signature),
        (intent, Reject::Signature),
        (held, Reject::Held { held: honest.version - 1 }),
        (version, Reject::NotOpen(honest.version + 1)),
    ] {
        let taken =
            common::forge::tell(Crypto::Fast, victim, ChannelMessage::ResizeAgreed(lie), harbour.world.now);
        assert_eq!(taken.verdict, Err(why));
        assert!(
            !taken
                .outcome
                .effects
                .iter()
                .any(|effect| matches!(effect, Effect::SignFunding { .. } | Effect::Broadcast(_)))
        );
    }
    // Refused: both go on, and what B signed for it can't become final, since A never signs.
    let refuse = towpath_protocol::Refuse {
        what: towpath_protocol::Refused::Resize { version: honest.version },
        reason: towpath_protocol::RefuseReason::Busy,
    };
    let taken = common::forge::tell(Crypto::Fast, victim, ChannelMessage::Refuse(refuse), harbour.world.now);
    assert_eq!(taken.after.resizing(), None);
}

#[test]
fn what_is_proposed_to_a_side_that_waits_for_the_ledger_counts_for_nothing() {
    let mut harbour = harbour();
    harbour.resize(A, out(100)).expect("it is wanted");
    harbour.world.settle();
    // A lies: it goes on in the old generation, pays with it, and has the resize all the same.
    let victim = harbour.world.sides[B].channel.clone();
    let resize = withheld(&mut harbour);
    let version = victim.resizing().map(|_| victim.state().version + 2).expect("it agreed");
    let pays = towpath_protocol::Update::Transfer(towpath_protocol::Transfer {
        from: towpath_ledger::Party::A,
        number: 1,
        amount: Amount(500),
        memo: None,
    });
    let base = victim.state().version;
    let propose = common::forge::propose(Crypto::Fast, &victim, (version, base), &[pays], base);
    let taken =
        common::forge::tell(Crypto::Fast, &victim, ChannelMessage::Propose(propose), harbour.world.now);
    assert_eq!(taken.verdict, Ok(()));
    assert_eq!((taken.after.held(), taken.after.mark()), (victim.held(), victim.mark()));
    assert!(
        !taken.outcome.effects.iter().any(|effect| matches!(effect, Effect::Received { .. })),
        "it is not paid"
    );
    harbour.apply(&resize).expect("the ledger takes it");
    decide(&mut harbour);
    assert_eq!(agreed(&harbour), (1, 1_400, 900, 500));
}
