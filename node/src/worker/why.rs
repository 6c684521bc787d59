//! Why a channel is closed, and what shows it: one record beside the channel's rows, of constant size, kept as long as
//! the channel is. It is for people; nothing of it is ever signed, and no decision but the node's own patience rests on it.

use bincode::{Decode, Encode};
use towpath_api::{
    Close, CloseReason, CloseStage, Penalty, PostedState, ReplacedState, SettledBy, Settlement, Side, Units,
};
use towpath_crypto::codec;
use towpath_crypto::codec::Readable;
use towpath_crypto::readable;
use towpath_ledger::settle::PaidOut;
use towpath_ledger::{Closing, Lock, Party, Time, TxId, Witness};
use towpath_protocol::{ClosingStage, Life};

/// The suffix of its row among a channel's.
pub(super) const CLOSE_ROW: &[u8] = b"~close";

/// Bytes of that row, at most: all fields have a fixed size.
const ROW_BYTES_MAX: usize = 1_024;

/// The version of its layout.
const VERSION: u8 = 1;

/// Why a close began.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub(super) enum Cause {
    /// This node's operator asked for it, together with the peer.
    Asked,
    /// This node's operator asked to close alone.
    AskedAlone,
    /// The peer asked for it.
    PeerAsked,
    /// The peer closed alone.
    PeerAlone,
    /// The peer did not close together in time, so this node closed alone.
    PeerUnresponsive {
        /// How long it was given.
        after_ms: u64,
    },
    /// The peer closed alone with a state that it knew to be replaced.
    PeerCheated {
        /// What it posted.
        posted: u64,
        /// What it held.
        held: u64,
    },
    /// The channel's term was over.
    Expired {
        /// When.
        expiry: Time,
    },
    /// The ledger shows a close by this node that its data do not tell of: they are an old copy.
    Unknown,
}

/// The unilateral close that the ledger showed first.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub(super) struct Posted {
    pub author: Party,
    pub version: u64,
    pub tx: TxId,
    pub time: Time,
    pub deadline: Time,
}

/// A newer state that was shown since.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub(super) struct Replaced {
    pub version: u64,
    pub tx: TxId,
    pub time: Time,
}

/// Proof that the author knew better.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub(super) struct Cheat {
    pub author: Party,
    pub posted: u64,
    /// What it signed that it held; none if only the penalty was seen.
    pub held: Option<u64>,
}

/// How a channel's output ended.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub(super) enum How {
    Together,
    Answered,
    Finalized,
    Otherwise,
}

/// The end.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub(super) struct Ended {
    pub tx: TxId,
    pub height: u64,
    pub time: Time,
    pub how: How,
    pub version: u64,
    pub a: u64,
    pub b: u64,
    pub fees: u64,
    pub forfeit: u64,
}

/// See the module.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub(super) struct CloseRecord {
    version: u8,
    pub cause: Cause,
    /// When this node first knew of it, by its clock.
    pub began_ms: u64,
    /// The newest version that this node held then.
    pub held: u64,
    /// When this node closes alone unless both have signed by then, by its clock.
    pub force_at_ms: Option<u64>,
    pub posted: Option<Posted>,
    pub replaced: Option<Replaced>,
    pub cheat: Option<Cheat>,
    pub ended: Option<Ended>,
}

impl CloseRecord {
    pub(super) fn new(cause: Cause, began_ms: u64, held: u64) -> Self {
        Self {
            version: VERSION,
            cause,
            began_ms,
            held,
            force_at_ms: None,
            posted: None,
            replaced: None,
            cheat: None,
            ended: None,
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// A row of another version tells nothing that can be shown, and hides no channel.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        codec::decode::<Self>(bytes, ROW_BYTES_MAX).ok().filter(|record| record.version == VERSION)
    }

    /// The ledger shows a closing, first or changed; `me` is this node.
    pub(super) fn on_closing(
        &mut self,
        me: Party,
        closing: &Closing,
        tx: TxId,
        (time, deadline): (Time, Time),
    ) {
        let author = closing.author;
        if self.posted.is_none() {
            self.posted = Some(Posted { author, version: closing.posted_version, tx, time, deadline });
            let by_peer = author != me;
            match self.cause {
                Cause::PeerAsked if by_peer => self.cause = Cause::PeerAlone,
                _ => {}
            }
        } else if self.replaced.is_none_or(|known| known.version < closing.state.version)
            && closing.state.version > closing.posted_version
        {
            self.replaced = Some(Replaced { version: closing.state.version, tx, time });
        }
        if closing.penalized {
            self.on_cheat(me, Cheat { author, posted: closing.posted_version, held: None });
        }
    }

    /// The author of a close is shown to have known better.
    pub(super) fn on_cheat(&mut self, me: Party, cheat: Cheat) {
        if self.cheat.is_none_or(|known| known.held.is_none()) {
            self.cheat = Some(cheat);
        }
        if cheat.author != me
            && let Some(held) = cheat.held
        {
            self.cause = Cause::PeerCheated { posted: cheat.posted, held };
        }
    }

    /// The channel's output is gone.
    pub(super) fn on_gone(
        &mut self,
        me: Party,
        (was, by): (&Lock, &Witness),
        paid: &PaidOut,
        (tx, height, time): (TxId, u64, Time),
    ) {
        if let (Lock::Closing(closing), Witness::Answer { proof: Some(proof), .. }) = (was, by) {
            let held = Some(proof.signature.held);
            self.on_cheat(me, Cheat { author: closing.author, posted: closing.posted_version, held });
        }
        let how = match by {
            Witness::Cooperative { .. } => How::Together,
            Witness::Answer { .. } => How::Answered,
            Witness::Finalize { .. } => How::Finalized,
            Witness::Wallet(_)
            | Witness::Unilateral { .. }
            | Witness::Supersede { .. }
            | Witness::Penalize { .. }
            | Witness::Resize { .. }
            | Witness::Resolve { .. } => How::Otherwise,
        };
        self.force_at_ms = None;
        self.ended = Some(Ended {
            tx,
            height,
            time,
            how,
            version: paid.version,
            a: paid.a.units(),
            b: paid.b.units(),
            fees: paid.fees.units(),
            forfeit: paid.forfeit.units(),
        });
    }

    /// For the API, seen by `me`; `life` and `now` say how far it is.
    pub(super) fn to_api(&self, me: Party, life: Life, now: Time) -> Close {
        let side = |party: Party| if party == me { Side::Local } else { Side::Remote };
        Close {
            reason: self.reason(),
            stage: self.stage(life, now),
            began_ms: self.began_ms,
            held: self.held,
            force_at_ms: self.force_at_ms,
            posted: self.posted.map(|posted| PostedState {
                by: side(posted.author),
                version: posted.version,
                tx: posted.tx.to_string(),
                time_ms: posted.time.0,
                deadline_ms: posted.deadline.0,
            }),
            replaced: self.replaced.map(|replaced| ReplacedState {
                version: replaced.version,
                tx: replaced.tx.to_string(),
                time_ms: replaced.time.0,
            }),
            penalty: self.cheat.map(|cheat| Penalty {
                by: side(cheat.author),
                posted: cheat.posted,
                held: cheat.held,
                amount: self.ended.map(|ended| Units(ended.forfeit)),
            }),
            settlement: self.ended.map(|ended| settlement(me, &ended)),
        }
    }

    const fn reason(&self) -> CloseReason {
        match self.cause {
            Cause::Asked => CloseReason::Asked,
            Cause::AskedAlone => CloseReason::AskedAlone,
            Cause::PeerAsked => CloseReason::PeerAsked,
            Cause::PeerAlone => CloseReason::PeerAlone,
            Cause::PeerUnresponsive { after_ms } => CloseReason::PeerUnresponsive { after_ms },
            Cause::PeerCheated { posted, held } => CloseReason::PeerCheated { posted, held },
            Cause::Expired { expiry } => CloseReason::Expired { expiry_ms: expiry.0 },
            Cause::Unknown => CloseReason::Unrecognised,
        }
    }

    fn stage(&self, life: Life, now: Time) -> CloseStage {
        let deadline = self.posted.map(|posted| posted.deadline);
        match life {
            Life::Settled(_) => CloseStage::Settled,
            Life::Closing(ClosingStage::Agreed) => CloseStage::Agreed,
            Life::Closing(ClosingStage::Unilateral) | Life::Disputed => match deadline {
                None => CloseStage::Posting,
                Some(deadline) if now > deadline => CloseStage::Due,
                Some(_) => CloseStage::Posted,
            },
            Life::Opening
            | Life::Active
            | Life::Closing(ClosingStage::Draining | ClosingStage::Finishing) => CloseStage::Asking,
        }
    }
}

fn settlement(me: Party, ended: &Ended) -> Settlement {
    let (paid, paid_peer) = match me {
        Party::A => (ended.a, ended.b),
        Party::B => (ended.b, ended.a),
    };
    Settlement {
        by: match ended.how {
            How::Together => SettledBy::Together,
            How::Answered => SettledBy::Answer,
            How::Finalized => SettledBy::Deadline,
            How::Otherwise => SettledBy::Unrecognised,
        },
        tx: ended.tx.to_string(),
        height: ended.height,
        time_ms: ended.time.0,
        version: ended.version,
        paid: Units(paid),
        paid_peer: Units(paid_peer),
        fees: Units(ended.fees),
    }
}

/// How its row is read.
pub(crate) fn decoders() -> Vec<Readable> {
    readable![ROW_BYTES_MAX => CloseRecord]
}
