//! What comes out of a channel's machine: rows to make durable, and then, in order, things to do.

use bincode::{Decode, Encode};
use towpath_crypto::Amount;
use towpath_crypto::ed25519::Signature;
use towpath_ledger::{
    ChannelId, ChannelState, CoSigned, OutPoint, Output, Party, SignedState, Time, Transaction, TxBody,
};

use crate::error::Reject;
use crate::event::Token;
use crate::journal::ChannelEvent;
use crate::life::{Life, Settlement};
use crate::message::{Change, Message, RefuseReason};

/// A row within the channel's own key space: `None` deletes it.
pub type Row = (Vec<u8>, Option<Vec<u8>>);

/// The outcome of a step. The driver makes all of `write` durable (synced), then runs `effects` in order. Each effect
/// is safe to repeat; after a restart the machine emits again what stored state still owes.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Outcome {
    /// To write, atomically.
    pub write: Vec<Row>,
    /// To do then.
    pub effects: Vec<Effect>,
}

/// Something to do, once everything written before it is durable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Send to the channel's peer, in this order.
    Send(Message),
    /// The caller's payment has a number: it is durable, and proposed or requested.
    Sent {
        /// The caller's.
        token: Token,
        /// The payment's number in this party's direction.
        number: u64,
    },
    /// The caller's command was carried out (all but payments).
    Done {
        /// The caller's.
        token: Token,
    },
    /// A command that was queued is not carried out; nothing of it was ever signed.
    Declined {
        /// The caller's.
        token: Token,
        /// Why.
        reason: Reject,
    },
    /// All of this party's payments up to this number are made, but for those reported as failed or unknown.
    Settled {
        /// The highest number.
        upto: u64,
    },
    /// This party's payment was not made, and cannot be made any more.
    Failed {
        /// Its number.
        number: u64,
        /// Why.
        reason: Failure,
    },
    /// Whether this party's payment was made is not known any more: the data that would tell is lost.
    Unknown {
        /// Its number.
        number: u64,
    },
    /// A payment to this party is final.
    Received {
        /// Its number in the other party's direction.
        number: u64,
        /// How much.
        amount: Amount,
        /// From the payer.
        memo: Option<[u8; 32]>,
    },
    /// Fund the channel alone: sign and broadcast a transaction with this output at this index, this first input
    /// and this expiry. Once for a channel, however often it is asked for.
    Fund {
        /// The first input.
        first_input: OutPoint,
        /// The output's index.
        index: u32,
        /// The output.
        output: Output,
        /// The transaction's expiry.
        expiry: Time,
    },
    /// Sign this party's inputs of a funding by both, or of a resize; answered with [`crate::Event::FundingSigned`].
    SignFunding {
        /// The transaction.
        body: TxBody,
        /// All outputs that it spends, in the order of its inputs.
        spent: Vec<Output>,
        /// Which inputs to sign: from here ..
        from: usize,
        /// .. up to here.
        to: usize,
    },
    /// Broadcast.
    Broadcast(Transaction),
    /// The funding never came and never will: its inputs are free.
    FundingReleased,
    /// A resize is final: the channel goes on with another capacity, in the next generation.
    Resized {
        /// Whose balance changed.
        by: Party,
        /// How.
        change: Change,
        /// All that is in the channel now.
        capacity: Amount,
    },
    /// A resize never became final, and can't any more: the inputs of who proposed it are free.
    ResizeEnded {
        /// Whose balance would have changed.
        by: Party,
        /// Why it did not.
        why: ResizeFailure,
    },
    /// The channel's place in its life changed.
    Life(Life),
    /// Whether payments can be sent now.
    Online(Online),
    /// Post a cooperative close. Both parties can; one transaction can close many channels.
    SubmitClose {
        /// The channel's output.
        funding: OutPoint,
        /// Final balances that both signed.
        state: Box<CoSigned>,
    },
    /// This party has signed final balances, and the other has lost the data without which it cannot sign them, too: close
    /// alone ([`crate::Command::ForceClose`]). Said again whenever the other one asks.
    CloseAlone,
    /// Post a unilateral close.
    PostClose {
        /// The channel's output.
        funding: OutPoint,
        /// The newest state.
        state: Box<CoSigned>,
        /// This party.
        author: Party,
        /// Taken out of this party's balance.
        fee: Amount,
        /// This party's, over [`towpath_ledger::CloseIntent`].
        signature: Signature,
    },
    /// Answer the peer's closing at once: with a newer state and a proof, as far as they exist.
    Answer {
        /// The closing.
        closing: OutPoint,
        /// A newer state than the posted one.
        state: Option<Box<CoSigned>>,
        /// The author's signature that says it held a higher version than the posted one.
        proof: Option<Box<SignedState>>,
        /// The state by which it settles: what was signed.
        settles: Box<ChannelState>,
        /// Taken out of this party's balance.
        fee: Amount,
        /// This party's, over [`towpath_ledger::CloseAnswer`].
        signature: Signature,
    },
    /// Replace the posted state by a newer one: this party is the author, so it can't answer.
    Supersede {
        /// The closing.
        closing: OutPoint,
        /// The newer state.
        state: Box<CoSigned>,
    },
    /// Finalize the closing once the ledger's time is past this.
    Finalize {
        /// The closing.
        closing: OutPoint,
        /// Its deadline.
        deadline: Time,
    },
    /// A person must know.
    Alarm(Alarm),
    /// An entry of the channel's log.
    Event(Box<ChannelEvent>),
}

impl Effect {
    /// Whether this reports something that happened: the driver records it in the same write as the rows, because a
    /// machine that is restored does not report it again. All other effects are orders.
    #[must_use]
    pub const fn is_fact(&self) -> bool {
        match self {
            Self::Sent { .. }
            | Self::Settled { .. }
            | Self::Failed { .. }
            | Self::Unknown { .. }
            | Self::Received { .. }
            | Self::Life(_)
            | Self::FundingReleased
            | Self::Resized { .. }
            | Self::ResizeEnded { .. }
            | Self::Alarm(_)
            | Self::Event(_) => true,
            Self::Send(_)
            | Self::CloseAlone
            | Self::Done { .. }
            | Self::Declined { .. }
            | Self::Fund { .. }
            | Self::SignFunding { .. }
            | Self::Broadcast(_)
            | Self::Online(_)
            | Self::SubmitClose { .. }
            | Self::PostClose { .. }
            | Self::Answer { .. }
            | Self::Supersede { .. }
            | Self::Finalize { .. } => false,
        }
    }
}

/// Whether payments can be sent now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Online {
    /// Both sides said what they hold.
    Yes,
    /// They did not, yet.
    No,
}

/// Why a resize came to nothing.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub enum ResizeFailure {
    /// The peer refused it.
    Refused(RefuseReason),
    /// The ledger's time is past its expiry, without it.
    Expired,
    /// The channel was closed first.
    Closed,
    /// Data of the channel was lost, here or by the peer, before this party had signed the transaction.
    Lost,
}

/// Why a payment was not made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The peer refused it.
    Refused(RefuseReason),
    /// The peer went past it.
    Skipped,
    /// The channel was closed without it.
    Closed,
    /// This node lost the data with which it was to be made.
    Lost,
}

/// A person must know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Alarm {
    /// The peer proved that this node signed a higher version than it has: its data is an old copy. Nothing is signed
    /// or closed any more (FAULTS C16); the peer's state is kept for a recovery.
    DataLost {
        /// The highest version that this node remembers.
        mine: u64,
        /// The version that the peer proved.
        proven: u64,
    },
    /// The peer says that it holds less than what was proved: it has lost data too and does not say so, or it lies. The
    /// channel is not recovered.
    ShownLess {
        /// What it showed.
        shown: u64,
        /// What was proved.
        proven: u64,
    },
    /// The signer refused what the machine asked for: a fault of this program. Nothing was released.
    Signer(crate::signer::SignError),
    /// The channel settled with less than this party's newest state says.
    Loss {
        /// The version by which it settled.
        version: u64,
        /// The newest that this party held.
        held: u64,
        /// How.
        outcome: Settlement,
    },
    /// The ledger shows a closing of this channel that does not fit its terms.
    ForeignClosing(ChannelId),
}
