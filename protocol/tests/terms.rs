//! Which terms are taken: every bound, at it and one past it (FAULTS C21), and what a lying opener tries.

mod common;

use common::world::{Crypto, bounds, contribution, identity, keys, open, payout};
use towpath_crypto::Amount;
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::rules::TermsFault;
use towpath_ledger::{LockFault, Multisig, Party, Payout, Time, Timelock};
use towpath_protocol::Unacceptable;
use towpath_protocol::{Acceptance, Bounds, Funding, Message, Now, Offer, Open, Reject};

const NOW: Now = Now { local_ms: 1_000, ledger: Time(1_000) };

fn good() -> Open {
    open(Crypto::Fast, 1_000, 500, 0)
}

fn ledger(fault: TermsFault) -> Reject {
    Reject::LedgerTerms(fault)
}

/// What B says to an offer.
fn answer(open: &Open, bounds: &Bounds) -> Result<(), Reject> {
    Acceptance::new(open, contribution(), &identity(Crypto::Fast, 2), bounds, NOW).map(drop)
}

/// B refuses the offer, for this reason; the same with all else as it was is fine.
fn refuses(change: impl Fn(&mut Open), expected: Reject) {
    let mut open = good();
    change(&mut open);
    assert_eq!(answer(&open, &bounds()), Err(expected), "{open:?}");
}

fn takes(change: impl Fn(&mut Open)) {
    let mut open = good();
    change(&mut open);
    assert_eq!(answer(&open, &bounds()), Ok(()), "{open:?}");
}

#[test]
fn c21_dispute_windows() {
    let params = bounds().params;
    let (least, most) = (params.dispute_window_ms_min, params.dispute_window_ms_max);
    for shown in [0, 1, least - 1, most + 1, u64::MAX] {
        // This node's own bounds are looked at first; they are never wider than the ledger's.
        let expected = Reject::Unacceptable(Unacceptable::Window { shown, least, most });
        refuses(|open| open.dispute_window_ms = shown, expected);
    }
    for shown in [least, most] {
        takes(|open| open.dispute_window_ms = shown);
    }
}

#[test]
fn c21_penalties_reserves_and_fees() {
    let most = bounds().params.penalty_basis_points_max;
    takes(|open| open.penalty_basis_points = most);
    for shown in [most + 1, u16::MAX] {
        refuses(|open| open.penalty_basis_points = shown, ledger(TermsFault::Penalty { shown, most }));
    }
    // Half of the capacity is what both can keep.
    takes(|open| open.reserve = Amount(750));
    for reserve in [751, 1_500, u64::MAX] {
        refuses(|open| open.reserve = Amount(reserve), ledger(TermsFault::Reserve));
    }
    let most = Amount(1_500).share(bounds().params.close_fee_basis_points_max);
    takes(|open| open.close_fee_max = most);
    for shown in [most.0 + 1, 1_501, u64::MAX] {
        let shown = Amount(shown);
        refuses(|open| open.close_fee_max = shown, ledger(TermsFault::CloseFee { shown, most }));
    }
    let other = towpath_ledger::AssetId(towpath_crypto::Digest([4; 32]));
    let (shown, most) = (Amount(10), Amount(0));
    refuses(|open| open.asset = other, ledger(TermsFault::CloseFee { shown, most }));
    takes(|open| (open.asset, open.close_fee_max) = (other, Amount(0)));
}

#[test]
fn c21_amounts() {
    takes(|open| (open.amount_a, open.amount_b) = (Amount(1_500), Amount(0)));
    takes(|open| (open.amount_a, open.amount_b) = (Amount(0), Amount(1_500)));
    refuses(|open| (open.amount_a, open.amount_b) = (Amount(0), Amount(0)), Reject::Terms("nothing in it"));
    for (a, b) in [(u64::MAX, 1), (1, u64::MAX), (u64::MAX, u64::MAX)] {
        let too_large = Reject::Terms("amounts too large");
        refuses(|open| (open.amount_a, open.amount_b) = (Amount(a), Amount(b)), too_large);
    }
    takes(|open| (open.amount_a, open.amount_b) = (Amount(u64::MAX), Amount(0)));
    let small = Bounds {
        params: towpath_ledger::rules::Params { output_min: Amount(1_501), ..bounds().params },
        ..bounds()
    };
    assert_eq!(answer(&good(), &small), Err(ledger(TermsFault::Capacity(Amount(1_501)))));
}

#[test]
fn c21_times() {
    let deadline = good().funding_deadline;
    for past in [0, NOW.ledger.0 - 1, NOW.ledger.0] {
        refuses(|open| open.funding_deadline = Time(past), Reject::Terms("funding deadline in the past"));
    }
    takes(|open| open.funding_deadline = Time(NOW.ledger.0 + 1));
    let latest = NOW.ledger.plus_ms(bounds().funding_ms_max);
    takes(|open| open.funding_deadline = latest);
    for late in [latest.0 + 1, u64::MAX] {
        refuses(|open| open.funding_deadline = Time(late), Reject::Terms("funding deadline too far"));
    }
    for early in [0, NOW.ledger.0, deadline.0] {
        let never = Reject::Terms("expires before it is funded");
        refuses(|open| open.expiry = Some(Time(early)), never);
    }
    takes(|open| open.expiry = Some(Time(deadline.0 + 1)));
}

#[test]
fn c21_keys_and_payouts() {
    let b = keys(Crypto::Fast, 2).public();
    refuses(|open| open.key = b, ledger(TermsFault::SameKey));
    for weak in [[0; 32], [0xff; 32], {
        let mut one = [0; 32];
        one[0] = 1;
        one
    }] {
        refuses(|open| open.key = PublicKey(weak), ledger(TermsFault::WeakKey));
    }
    let no_point = towpath_crypto::schnorr::WalletKey([0xff; 32]);
    refuses(|open| open.payout = Payout::Key(no_point), ledger(TermsFault::Payout(LockFault::WeakKey)));
    let Payout::Key(key) = payout(1) else { panic!("a key") };
    takes(|open| open.payout = Payout::Timelock(Timelock { not_before: Time(u64::MAX), key }));
    takes(|open| open.payout = Payout::Multisig(Multisig { required: 1, keys: vec![key] }));
    for required in [0, 2, 255] {
        let mut open = good();
        open.payout = Payout::Multisig(Multisig { required, keys: vec![key] });
        assert!(matches!(answer(&open, &bounds()), Err(Reject::LedgerTerms(TermsFault::Payout(_)))));
    }
}

#[test]
fn c21_another_ledger_and_no_inputs() {
    refuses(|open| open.chain.0.0[0] ^= 1, Reject::Terms("another ledger"));
    let nothing = Funding::Dual { inputs: Vec::new(), change: Vec::new() };
    refuses(|open| open.funding = nothing.clone(), Reject::Terms("no inputs"));
}

#[test]
fn c21_an_offer_is_checked_before_it_is_made() {
    let offer =
        |open: Open, seed: u8| Offer::new(open, identity(Crypto::Fast, seed), &bounds(), NOW).map(drop);
    assert_eq!(offer(good(), 1), Ok(()));
    assert_eq!(offer(good(), 2), Err(Reject::Terms("another key than this channel's")));
    let past = Open { funding_deadline: Time(0), ..good() };
    assert_eq!(offer(past, 1), Err(Reject::Terms("funding deadline in the past")));
}

#[test]
fn both_parties_compute_the_same_terms() {
    for sequencer in [Party::A, Party::B] {
        let open = Open { sequencer, ..good() };
        let offer = Offer::new(open.clone(), identity(Crypto::Fast, 1), &bounds(), NOW).expect("fine");
        let accepted = Acceptance::new(&open, contribution(), &identity(Crypto::Fast, 2), &bounds(), NOW);
        let (acceptance, _) = accepted.expect("fine");
        let Message::Accept(accept) = acceptance.message() else { panic!("an acceptance") };
        let a = offer.on_accept(&accept, NOW, &mut common::fast::FastVerifier).expect("fine");
        assert_eq!(a.id(), acceptance.id());
        assert_eq!(a.state().sequencer, sequencer);
        assert_eq!(a.terms().generation, 0);
    }
}
