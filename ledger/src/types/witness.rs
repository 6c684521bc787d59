//! Why an input may be spent.

use bincode::{Decode, Encode};
use towpath_crypto::Amount;
use towpath_crypto::ed25519::Signature;
use towpath_crypto::schnorr::{WalletKey, WalletSignature};

use super::channel::{CoSigned, Party, SignedState};
use super::pending::PendingPayment;

/// The authority for one input. Wallet witnesses sign the whole transaction; channel witnesses carry states instead,
/// and the rules bind the outputs, so that one transaction can close hundreds of channels without interaction.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub enum Witness {
    /// Spends a [`super::Lock::Wallet`]: signatures over [`super::Spend`], ascending by key.
    Wallet(Vec<(WalletKey, WalletSignature)>),
    /// Spends a channel, or a closing, with final balances that both signed; paid at once.
    Cooperative {
        /// The final state.
        state: Box<CoSigned>,
        /// The fee taken out of A's balance, and out of B's when A's share of it is used up.
        fee: Amount,
    },
    /// Spends a channel into a closing.
    Unilateral {
        /// The posted state.
        state: Box<CoSigned>,
        /// Who closes.
        author: Party,
        /// The fee taken out of the author's balance.
        fee: Amount,
        /// The author's, over [`super::CloseIntent`].
        signature: Signature,
    },
    /// Spends a closing into one with a higher co-signed version; by anyone.
    Supersede {
        /// The newer state.
        state: Box<CoSigned>,
        /// The fee taken out of the other party's balance.
        fee: Amount,
    },
    /// Spends a closing into a penalized one; by anyone.
    Penalize {
        /// A newer co-signed state, if the prover has one.
        state: Option<Box<CoSigned>>,
        /// The author's signature that says it held a higher version than it posted.
        proof: Box<SignedState>,
        /// The fee taken out of the other party's balance.
        fee: Amount,
    },
    /// Spends a closing at once: the other party agrees to settle by `state`, or by the posted one.
    Answer {
        /// A newer co-signed state.
        state: Option<Box<CoSigned>>,
        /// The proof that makes it a penalty.
        proof: Option<Box<SignedState>>,
        /// All conditional payments of the state.
        pending: Vec<PendingPayment>,
        /// The fee taken out of the answering party's balance.
        fee: Amount,
        /// The other party's, over [`super::CloseAnswer`].
        signature: Signature,
    },
    /// Spends a closing after its deadline; by anyone.
    Finalize {
        /// All conditional payments of the state.
        pending: Vec<PendingPayment>,
        /// The fee taken out of the author's balance, and out of the other party's when that share is used up.
        fee: Amount,
    },
    /// Spends a channel into one of the next generation; both sign [`super::ResizeIntent`].
    Resize {
        /// A's.
        a: Signature,
        /// B's.
        b: Signature,
    },
    /// Spends a conditional output to its payee or payer, as the secrets registry decides; by anyone.
    Resolve {
        /// The fee taken out of the payment.
        fee: Amount,
    },
}
