//! The audit finds a ledger that does not add up (FAULTS I1, I2): what it lets pass shows nothing.

use towpath_crypto::Amount;

use super::world::*;
use crate::rules::audit::AuditError;
use crate::types::*;

/// A channel and a closing, both by the rules.
fn healthy() -> (World, Open, Posted) {
    let mut world = World::new();
    let channel = world.open(0);
    let closing = world.open(1);
    let state = cosign(&closing.state(3, 700_000));
    let posted = Posted::of(&world.submit(&closing.unilateral(Party::A, &state, 1_000)).expect("healthy"));
    assert_eq!(world.supply.check(&world.view), Ok(()));
    (world, channel, posted)
}

/// What the audit says when one output is another one, and a coin of Carol's makes the sums right.
fn audit(outpoint: OutPoint, change: impl FnOnce(&mut Output)) -> Result<(), AuditError> {
    let (mut world, ..) = healthy();
    let output = &mut world.view.entries.get_mut(&outpoint).expect("it exists").output;
    let before = output.amount.units();
    change(output);
    let more = output.amount.units().abs_diff(before);
    let rose = output.amount.units() > before;
    let coin = &mut world.view.entries.get_mut(&coin(3, 9)).expect("it exists").output.amount;
    let rest = if rose { coin.checked_sub(Amount(more)) } else { coin.checked_add(Amount(more)) };
    *coin = rest.expect("a coin is worth more");
    world.supply.check(&world.view)
}

#[test]
fn i1_a_unit_more_or_less_than_was_issued_is_found() {
    for units in [COIN.units() - 1, COIN.units() + 1] {
        let (mut world, ..) = healthy();
        world.view.entries.get_mut(&coin(3, 0)).expect("it exists").output.amount = Amount(units);
        let result = world.supply.check(&world.view);
        assert!(matches!(result, Err(AuditError::Supply { asset: AssetId::NATIVE, .. })), "{result:?}");
    }
    let (mut world, ..) = healthy();
    world.view.entries.remove(&coin(3, 0));
    assert!(matches!(world.supply.check(&world.view), Err(AuditError::Supply { .. })));
    let (mut world, ..) = healthy();
    let asset = AssetId(Digest([0x77; 32]));
    world.view.entries.get_mut(&coin(3, 0)).expect("it exists").output.asset = asset;
    assert!(matches!(world.supply.check(&world.view), Err(AuditError::Supply { .. })), "out of nothing");
}

#[test]
fn i2_an_output_of_nothing_and_a_channel_in_two_outputs_are_found() {
    assert_eq!(audit(coin(3, 0), |output| output.amount = Amount::ZERO), Err(AuditError::Zero(coin(3, 0))));
    let (_, channel, posted) = healthy();
    let of_channel = Lock::Channel(Box::new(channel.terms.clone()));
    let twice = Err(AuditError::TwoOutputs(channel.terms.id));
    assert_eq!(audit(coin(3, 0), |output| output.lock = of_channel), twice);
    let of_closing = Lock::Channel(Box::new(posted.closing.terms.clone()));
    assert_eq!(
        audit(coin(3, 0), |output| output.lock = of_closing),
        Err(AuditError::TwoOutputs(posted.closing.terms.id))
    );
}

#[test]
fn i2_a_closing_that_does_not_add_up_is_found() {
    let (_, _, posted) = healthy();
    let refused = Err(AuditError::Closing(posted.outpoint));
    let with = |change: &dyn Fn(&mut Closing)| {
        let mut closing = posted.closing.clone();
        change(&mut closing);
        audit(posted.outpoint, |output| output.lock = Lock::Closing(Box::new(closing)))
    };
    assert_eq!(with(&|_| {}), Ok(()));
    assert_eq!(with(&|closing| closing.author_fees = Amount(1_001)), refused, "fees that nobody took");
    assert_eq!(with(&|closing| closing.other_fees = Amount(1)), refused);
    assert_eq!(with(&|closing| closing.state.balance_a = Amount(700_001)), refused, "a state of more");
    assert_eq!(with(&|closing| closing.state.pending_total = Amount(1)), refused);
    assert_eq!(
        audit(posted.outpoint, |output| output.amount = Amount(output.amount.units() - 1)),
        refused,
        "an output of less"
    );
}
