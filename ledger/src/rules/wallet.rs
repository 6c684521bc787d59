//! Wallet keys, multisigs and timelocks (SPEC L-10 to L-13).

use towpath_crypto::schnorr::{Check, WalletKey, WalletSignature};
use towpath_crypto::{Digest, Signable};

use super::apply::BlockContext;
use super::demands::Demands;
use super::error::{TxError, WalletFault};
use super::signature::{SignatureCheck, Signed};
use crate::types::{Entry, OutPoint, Payout, Spend, Time, Transaction, TxId, Witness};

/// What the wallet inputs of one transaction sign: hashed once, since every one of them signs the same.
pub(super) struct Spending {
    digest: Digest,
    now: Time,
}

impl Spending {
    /// The whole body and all spent outputs; without a wallet input nothing is hashed.
    pub(super) fn new(
        transaction: &Transaction,
        id: TxId,
        spent: &[(OutPoint, Entry)],
        context: &BlockContext<'_>,
    ) -> Self {
        let signs = transaction.witnesses.iter().any(|witness| matches!(witness, Witness::Wallet(_)));
        let digest = if signs {
            let spent = spent.iter().map(|(_, entry)| entry.output.clone()).collect();
            Spend { transaction: id, spent }.signing_digest(&context.chain)
        } else {
            Digest::ZERO
        };
        Self { digest, now: context.time }
    }

    /// Checks that the right keys sign, in ascending order and no more than required, so that a witness has one form.
    pub(super) fn check(
        &self,
        input: usize,
        payout: &Payout,
        signatures: &[(WalletKey, WalletSignature)],
        demands: &mut Demands,
    ) -> Result<(), TxError> {
        self.signers_fit(payout, signatures).map_err(|fault| TxError::Wallet { input, fault })?;
        for (key, signature) in signatures {
            let check = Check { key: *key, digest: self.digest, signature: *signature };
            demands.sign(SignatureCheck { input, signed: Signed::Wallet(check) });
        }
        Ok(())
    }

    fn signers_fit(
        &self,
        payout: &Payout,
        signatures: &[(WalletKey, WalletSignature)],
    ) -> Result<(), WalletFault> {
        match payout {
            Payout::Key(key) => signed_by(1, std::slice::from_ref(key), signatures),
            Payout::Timelock(lock) if self.now < lock.not_before => Err(WalletFault::Locked(lock.not_before)),
            Payout::Timelock(lock) => signed_by(1, std::slice::from_ref(&lock.key), signatures),
            Payout::Multisig(multisig) => {
                signed_by(usize::from(multisig.required), &multisig.keys, signatures)
            }
        }
    }
}

fn signed_by(
    required: usize,
    keys: &[WalletKey],
    signatures: &[(WalletKey, WalletSignature)],
) -> Result<(), WalletFault> {
    if signatures.len() != required {
        return Err(WalletFault::SignatureCount);
    }
    let ascending = signatures.is_sorted_by(|left, right| left.0 < right.0);
    let known = signatures.iter().all(|(key, _)| keys.binary_search(key).is_ok());
    if ascending && known { Ok(()) } else { Err(WalletFault::UnknownKey) }
}
