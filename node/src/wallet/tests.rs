//! Selection never over- or underpays, and signs only what is ours.

use proptest::prelude::*;
use towpath_crypto::schnorr::{WalletKey, WalletSecret};
use towpath_crypto::{Amount, ChainId, Digest};
use towpath_ledger::{AssetId, Lock, OutPoint, Output, Payout, TxId};

use super::*;

const RULES: Rules = Rules { inputs_max: 16, output_min: Amount(100) };

fn coin(index: u32, amount: u64) -> Coin {
    Coin {
        outpoint: OutPoint { tx: TxId(Digest::ZERO), index },
        amount: Amount(amount),
        payout: Payout::Key(WalletKey([1; 32])),
    }
}

fn fee(inputs: usize) -> Amount {
    Amount(10 + 5 * inputs as u64)
}

#[test]
fn the_largest_coins_pay_first() {
    let chosen = select(vec![coin(0, 100), coin(1, 900), coin(2, 500)], Amount(600), RULES, fee).unwrap();
    assert_eq!(chosen.coins.iter().map(|coin| coin.outpoint.index).collect::<Vec<_>>(), [1]);
    assert_eq!(chosen.change, Amount(900 - 600 - 15));
}

#[test]
fn a_leftover_too_small_for_an_output_goes_to_the_fee() {
    let chosen = select(vec![coin(0, 700)], Amount(600), RULES, fee).unwrap();
    assert_eq!((chosen.fee, chosen.change), (Amount(100), Amount::ZERO));
}

#[test]
fn what_is_missing_is_said() {
    let error = select(vec![coin(0, 50), coin(1, 60)], Amount(600), RULES, fee).unwrap_err();
    assert_eq!(error, WalletError::Insufficient { needed: Amount(620), available: Amount(110) });
    let many = (0..40).map(|index| coin(index, 10)).collect();
    assert_eq!(
        select(many, Amount(390), RULES, fee).unwrap_err(),
        WalletError::TooFragmented { inputs_max: 16 }
    );
}

#[test]
fn a_lock_that_is_not_ours_is_not_signed() {
    let mut keys = Keyring::default();
    keys.push(WalletSecret::from_bytes([7; 32]).unwrap());
    let ours = keys.primary().unwrap();
    let chain = ChainId(Digest::ZERO);
    let selection = select(vec![coin(0, 1_000)], Amount(500), RULES, fee).unwrap();
    let body = payment(chain, &selection, ours.clone(), Amount(500), ours.clone());
    let output =
        |payout| Output { asset: AssetId::NATIVE, amount: Amount(1_000), lock: Lock::Wallet(payout) };
    assert!(sign(body.clone(), &[output(ours)], &keys).is_ok());
    let other = output(Payout::Key(WalletKey([9; 32])));
    assert_eq!(sign(body, &[other], &keys).unwrap_err(), WalletError::UnknownKey(0));
}

proptest! {
    #[test]
    fn coins_equal_target_fee_and_change(amounts in prop::collection::vec(1_u64..10_000, 1..30), target in 1_u64..50_000) {
        let coins = amounts.iter().enumerate().map(|(index, amount)| coin(u32::try_from(index).unwrap(), *amount)).collect();
        if let Ok(chosen) = select(coins, Amount(target), RULES, fee) {
            let paid = Amount::checked_sum(chosen.coins.iter().map(|coin| coin.amount)).unwrap();
            prop_assert_eq!(paid.units(), target + chosen.fee.units() + chosen.change.units());
            prop_assert!(chosen.fee >= fee(chosen.coins.len()));
            prop_assert!(chosen.change.is_zero() || chosen.change >= RULES.output_min);
        }
    }
}
