//! Which terms a party agrees to: those with which it can always close and defend itself (SPEC P-30; FAULTS C20, C21).

mod common;

use common::world::{
    Crypto, accept_message, chain, contribution, identity, open, params, payout, verify_with,
};
use towpath_crypto::schnorr::WalletSecret;
use towpath_ledger::rules::Params;
use towpath_ledger::{Amount, Multisig, Payout, Time};
use towpath_protocol::{
    Acceptance, Accepts, Bounds, Channel, Contribution, Now, Offer, Open, Reject, Unacceptable,
};

const NOW: Now = Now { local_ms: 1_000, ledger: Time(1_000) };

/// A ledger on which bytes cost something, and a node that wants something of its own.
fn bounds() -> Bounds {
    Bounds {
        chain: chain(),
        params: Params { fee_per_byte: Amount(1), ..params() },
        funding_ms_max: 600_000,
        accepts: Accepts {
            penalty_basis_points_min: 2_500,
            dispute_window_ms_min: 8_000,
            dispute_window_ms_max: 20_000,
        },
    }
}

fn multisig() -> Payout {
    let mut keys: Vec<_> =
        (10..26).map(|number| WalletSecret::from_bytes([number; 32]).expect("a scalar").public()).collect();
    keys.sort();
    Payout::Multisig(Multisig { required: 1, keys })
}

fn wanted(close_fee_max: u64) -> Open {
    Open { close_fee_max: Amount(close_fee_max), ..open(Crypto::Fast, 500_000, 500_000, 0) }
}

fn offered(open: &Open) -> Result<Offer, Reject> {
    Offer::new(open.clone(), identity(Crypto::Fast, 1), &bounds(), NOW)
}

fn accepted(open: &Open, payout: Payout) -> Result<Acceptance, Reject> {
    let contribution = Contribution { payout, ..contribution() };
    Acceptance::new(open, contribution, &identity(Crypto::Fast, 2), &bounds(), NOW).map(|(made, _)| made)
}

/// B agrees to anything; does A to what follows?
fn agreed(open: &Open, payout_b: Payout) -> Result<Channel, Reject> {
    let offer = offered(open)?;
    let easy = Bounds { params: Params { fee_per_byte: Amount(0), ..bounds().params }, ..bounds() };
    let contribution = Contribution { payout: payout_b, ..contribution() };
    let (acceptance, _) =
        Acceptance::new(open, contribution, &identity(Crypto::Fast, 2), &easy, NOW).expect("easy terms");
    let accept = accept_message(acceptance.message());
    verify_with(Crypto::Fast, |verifier| offer.on_accept(&accept, NOW, verifier))
}

fn refused<T>(result: Result<T, Reject>) -> Option<Unacceptable> {
    match result {
        Ok(_) => None,
        Err(Reject::Unacceptable(why)) => Some(why),
        Err(other) => panic!("{other}"),
    }
}

/// The least closing fee that both name when it is missing.
fn least(payouts: (Payout, Payout)) -> u64 {
    let open = Open { payout: payouts.0, ..wanted(0) };
    match refused(accepted(&open, payouts.1)) {
        Some(Unacceptable::CloseFee { shown: Amount(0), least }) => least.0,
        other => panic!("{other:?}"),
    }
}

#[test]
fn c21_nobody_agrees_to_a_channel_that_can_not_pay_for_its_defence() {
    let least = least((payout(1), payout(2)));
    assert!((1_500..2_500).contains(&least), "two payouts to a key: {least}");
    for close_fee_max in [0, 1, least - 1] {
        let open = wanted(close_fee_max);
        let why = Some(Unacceptable::CloseFee { shown: Amount(close_fee_max), least: Amount(least) });
        assert_eq!(refused(accepted(&open, payout(2))), why, "the acceptor");
        assert_eq!(refused(offered(&open)), why, "the opener");
    }
    assert_eq!(refused(accepted(&wanted(least), payout(2))), None);
    assert_eq!(refused(agreed(&wanted(least), payout(2))), None);
}

#[test]
fn c21_a_larger_payout_lock_of_either_party_asks_for_more() {
    let small = least((payout(1), payout(2)));
    let theirs = Open { payout: multisig(), ..wanted(small) };
    assert!(matches!(refused(accepted(&theirs, payout(2))), Some(Unacceptable::CloseFee { .. })));

    // What A offered was enough for what A knew; B's lock makes it too little.
    let both = accepted(&wanted(small), multisig());
    let Some(Unacceptable::CloseFee { least, .. }) = refused(both) else { panic!("B itself refuses") };
    assert!(least > Amount(small + 400), "{least}");
    assert!(matches!(refused(agreed(&wanted(small), multisig())), Some(Unacceptable::CloseFee { .. })));
    assert!(matches!(refused(agreed(&wanted(least.0 - 1), multisig())), Some(Unacceptable::CloseFee { .. })));
    assert_eq!(refused(agreed(&wanted(least.0), multisig())), None);
}

#[test]
fn c20_a_channel_too_small_to_close_is_refused_with_the_least_capacity() {
    let least_fee = least((payout(1), payout(2)));
    let sized = |capacity: u64| Open {
        close_fee_max: Amount(capacity).share(params().close_fee_basis_points_max),
        amount_a: Amount(capacity),
        amount_b: Amount::ZERO,
        ..wanted(0)
    };
    let Some(Unacceptable::Capacity { shown: Amount(1_000), least }) = refused(offered(&sized(1_000))) else {
        panic!("the capacity is what is wrong");
    };
    assert_eq!(least.share(params().close_fee_basis_points_max), Amount(least_fee));
    assert_eq!(
        refused(accepted(&sized(least.0 - 1), payout(2))),
        Some(Unacceptable::Capacity { shown: Amount(least.0 - 1), least })
    );
    assert_eq!(refused(accepted(&sized(least.0), payout(2))), None);
    assert_eq!(refused(agreed(&sized(least.0), payout(2))), None);
}

#[test]
fn c21_windows_and_penalties_have_the_nodes_own_bounds_on_both_sides() {
    let with = |dispute_window_ms: u64, penalty_basis_points: u16| Open {
        dispute_window_ms,
        penalty_basis_points,
        ..wanted(10_000)
    };
    for (window, penalty, is_fine) in [
        (7_999, 5_000, false),
        (8_000, 5_000, true),
        (20_000, 5_000, true),
        (20_001, 5_000, false),
        (10_000, 0, false),
        (10_000, 2_499, false),
        (10_000, 2_500, true),
    ] {
        let open = with(window, penalty);
        assert_eq!(refused(accepted(&open, payout(2))).is_none(), is_fine, "{window} ms, {penalty}");
        assert_eq!(refused(offered(&open)).is_none(), is_fine, "{window} ms, {penalty}");
    }
    assert_eq!(
        refused(accepted(&with(7_999, 5_000), payout(2))),
        Some(Unacceptable::Window { shown: 7_999, least: 8_000, most: 20_000 })
    );
    assert_eq!(
        refused(accepted(&with(8_000, 2_499), payout(2))),
        Some(Unacceptable::Penalty { shown: 2_499, least: 2_500 })
    );
}

#[test]
fn bounds_outside_of_the_ledgers_own_make_nothing_impossible() {
    let strict = Accepts {
        penalty_basis_points_min: 5_001,
        dispute_window_ms_min: u64::MAX,
        dispute_window_ms_max: u64::MAX,
    };
    let ledger = Params { penalty_basis_points_max: 5_000, dispute_window_ms_max: 10_000, ..params() };
    let bounds = Bounds { params: ledger, accepts: strict, ..bounds() };
    let made = Acceptance::new(&wanted(10), contribution(), &identity(Crypto::Fast, 2), &bounds, NOW);
    assert!(made.is_ok(), "the ledger's longest window and highest penalty");
}
