//! Resizing a channel: both parties sign the transaction that does it (SPEC C-60 to C-62).

use towpath_crypto::Signable;
use towpath_crypto::ed25519::{Check, Signature};

use super::fault::ChannelFault;
use super::spot::Spot;
use crate::rules::demands::Demands;
use crate::rules::error::TxError;
use crate::types::{ChannelTerms, Party, ResizeIntent, TxId};

/// The channel goes on in its next generation with another capacity; nothing else of its terms changes.
pub(in crate::rules) fn resize(
    spot: &Spot<'_>,
    terms: &ChannelTerms,
    (a, b): (&Signature, &Signature),
    transaction: TxId,
    demands: &mut Demands,
) -> Result<(), TxError> {
    let intent = ResizeIntent { transaction, channel: terms.id };
    let digest = intent.signing_digest(&spot.context.chain);
    for (party, signature) in [(Party::A, a), (Party::B, b)] {
        spot.sign(Check { key: *terms.key(party), digest, signature: *signature }, demands);
    }
    let Some(generation) = terms.generation.checked_add(1) else {
        return Err(spot.refuse(ChannelFault::Generations));
    };
    let next = ChannelTerms { generation, ..terms.clone() };
    demands.resize_to(spot.entry.output.asset, next)
}
