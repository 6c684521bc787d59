//! What was signed for one ledger or one channel, shown to another (FAULTS L3, L4): the same two parties with the same keys
//! and the same balances, so that only the ids differ.

use towpath_crypto::Amount;

use super::world::*;
use crate::rules::{ChannelFault, StateFault, TxError};
use crate::types::*;

/// Everything that can be signed about a channel, as healthy transactions of that channel: names and drafts.
fn everything(channel: &Open, posted: &Posted) -> Vec<(&'static str, Draft)> {
    let last = cosign(&channel.final_state(9, 200_000));
    let newest = cosign(&channel.state(9, 200_000));
    let proof = claim(Party::A, &newest.state, 8);
    let pays = |a: u64, b: u64| vec![alice().paid(Amount(a)), bob().paid(Amount(b))];
    let at_once = {
        let witness = Witness::Cooperative { state: Box::new(last.clone()), fee: Amount(0) };
        Draft::of(posted.outpoint, How::Witness(witness), pays(198_000, 800_000))
    };
    vec![
        ("cooperative", channel.cooperative(&last, CLOSE_FEE)),
        ("unilateral", channel.unilateral(Party::A, &newest, 2_000)),
        ("cooperative after a unilateral", sponsored(at_once)),
        ("supersede", posted.supersede(&newest, 2_000)),
        ("penalize", posted.penalize(None, &proof, 2_000)),
        ("penalize with a state", posted.penalize(Some(&newest), &proof, 2_000)),
        ("answer", posted.answer((Some(&newest), Some(&proof)), &[], 2_000, pays(98_000, 898_000))),
    ]
}

fn sponsored(draft: Draft) -> Draft {
    let mut draft = draft.with(coin(3, 9), How::Key(carol().wallet));
    draft.outputs.push(carol().paid(minus(COIN, FEE)));
    draft
}

/// A channel, open, and another world in which its version 5 is posted.
fn played(index: u32) -> (World, Open, World, Posted) {
    let mut world = World::new();
    let channel = world.open(index);
    let mut closing = world.clone();
    let draft = channel.unilateral(Party::A, &cosign(&channel.state(5, 700_000)), 2_000);
    let posted = Posted::of(&closing.submit(&draft).expect("a healthy close"));
    (world, channel, closing, posted)
}

#[test]
fn l4_nothing_signed_for_a_channel_counts_in_one_that_is_opened_again() {
    let (_, old, _, old_posted) = played(0);
    let (world, new, closing, posted) = played(1);
    assert_eq!((old.terms.key_a, old.terms.key_b), (new.terms.key_a, new.terms.key_b), "the same keys");
    assert_ne!(old.terms.id, new.terms.id);
    let replays = everything(&old, &old_posted).into_iter().zip(everything(&new, &posted));
    for ((name, replay), (_, healthy)) in replays {
        let spends_channel = healthy.inputs[0].0 == new.outpoint;
        let world = if spends_channel { &world } else { &closing };
        world.check(&healthy.sign(&world.view)).unwrap_or_else(|error| panic!("{name} is healthy: {error}"));
        // The old witness, in the place of the new one.
        let mut shown = healthy.clone();
        shown.inputs[0].1 = replay.inputs[0].1.clone();
        let refused = world.check(&shown.sign(&world.view)).expect_err(name);
        let other_channel = ChannelFault::State(StateFault::OtherChannel);
        let expected = [other_channel, ChannelFault::NoProof];
        let TxError::Channel { input: 0, fault } = &refused else { panic!("{name}: {refused}") };
        assert!(expected.contains(fault), "{name}: {refused}");
        // With the new channel's id written over the old one's, the signatures are for another.
        let mut forged = healthy.sign(&world.view);
        let Some(witness) = forged.witnesses.first_mut() else { panic!("it has a witness") };
        let How::Witness(old_witness) = &replay.inputs[0].1 else { panic!("a channel's witness") };
        *witness = renamed(old_witness.clone(), new.terms.id);
        assert_eq!(world.check(&forged), Err(TxError::BadSignature(0)), "{name}");
    }
}

/// The witness, with all its states said to be of this channel.
fn renamed(mut witness: Witness, channel: ChannelId) -> Witness {
    match &mut witness {
        Witness::Cooperative { state, .. }
        | Witness::Unilateral { state, .. }
        | Witness::Supersede { state, .. } => state.state.channel = channel,
        Witness::Penalize { state, proof, .. } => {
            proof.state.channel = channel;
            state.iter_mut().for_each(|state| state.state.channel = channel);
        }
        Witness::Answer { state, proof, .. } => {
            proof.iter_mut().for_each(|proof| proof.state.channel = channel);
            state.iter_mut().for_each(|state| state.state.channel = channel);
        }
        Witness::Wallet(_) | Witness::Finalize { .. } | Witness::Resize { .. } | Witness::Resolve { .. } => {}
    }
    witness
}

/// The very same transactions, on a ledger that differs in its chain id alone.
#[test]
fn l3_nothing_signed_for_a_ledger_counts_on_another() {
    let (world, channel, closing, posted) = played(0);
    let other = ChainId(Digest([0xc5; 32]));
    for (name, draft) in everything(&channel, &posted) {
        let world = if draft.inputs[0].0 == channel.outpoint { &world } else { &closing };
        let healthy = draft.sign(&world.view);
        let context = crate::rules::BlockContext { chain: other, ..world.context() };
        let check = |transaction: &Transaction| {
            crate::rules::apply_transaction(
                transaction,
                &world.view,
                &context,
                crate::rules::Signatures::Verify,
            )
        };
        assert_eq!(check(&healthy), Err(TxError::OtherChain(CHAIN)), "{name}");
        let mut renamed = healthy.clone();
        renamed.body.chain = other;
        assert!(matches!(check(&renamed), Err(TxError::BadSignature(_))), "{name}: {:?}", check(&renamed));
    }
}
