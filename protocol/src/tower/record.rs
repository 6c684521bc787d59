//! What a party gives to its towers: its newest co-signed state, and what it needs itself after it has lost everything
//! but its seed words; of one size, sealed, and found by nothing that the ledger shows before a close (SPEC T-1 to T-6).

use bincode::{Decode, Encode};
use towpath_crypto::ed25519::{PublicKey, verify_batch};
use towpath_crypto::hash::digest;
use towpath_crypto::sealed::{SEALED_OVERHEAD_BYTES, SealKey};
use towpath_crypto::{ChainId, Digest, Domain, codec};
use towpath_ledger::{Amount, ChannelState, ChannelTag, ChannelTerms, CoSigned, Party};

/// The version of a record's layout: its first byte.
const RECORD_VERSION: u8 = 1;

/// Bytes of a sealed record, whatever is in it.
pub const RECORD_BYTES: usize = 512;

/// Bytes of a record before it is sealed.
const PLAIN_BYTES: usize = RECORD_BYTES - SEALED_OVERHEAD_BYTES;

/// Bytes of a record's content: all of its fields have a fixed size.
const CONTENT_BYTES: usize = 4 + 281 + 8 + 8 + 32 + 4;

/// Where a tower keeps the record of one party of a channel. It says nothing of the channel, nor of the other party's
/// locator, to anyone who does not know the channel's tag.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Locator(pub Digest);

impl Locator {
    /// The one just below, so that a list behind it begins here; none below the first.
    #[must_use]
    pub fn before(&self) -> Option<Self> {
        let mut bytes = self.0.0;
        for byte in bytes.iter_mut().rev() {
            let (less, borrowed) = byte.overflowing_sub(1);
            *byte = less;
            if !borrowed {
                return Some(Self(Digest(bytes)));
            }
        }
        None
    }
}

impl std::fmt::Debug for Locator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Locator({:?})", self.0)
    }
}

/// How new a record is: of two the one with the higher sequence is kept. It is the state's generation and version, so a
/// client whose data is an old copy cannot replace what it gave away before, and learns so (FAULTS W3, S10).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Debug)]
pub struct Sequence {
    /// The channel's generation.
    pub generation: u32,
    /// The version.
    pub version: u64,
}

impl Sequence {
    /// The sequence of a record with this state.
    #[must_use]
    pub const fn of(state: &ChannelState) -> Self {
        Self { generation: state.generation, version: state.version }
    }
}

/// A sealed record.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Sealed(pub Box<[u8; RECORD_BYTES]>);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealed(..)")
    }
}

/// The place of one party of a channel at every tower, and the key of what lies there.
#[derive(Clone, Debug)]
pub struct Slot {
    /// Where.
    pub locator: Locator,
    /// What opens it.
    key: SealKey,
}

impl Slot {
    /// The slot of `party` in the channel with this tag: both parties can compute it, and whoever sees a posted state.
    #[must_use]
    pub fn new(tag: &ChannelTag, party: Party) -> Self {
        let party = codec::encode(&party);
        let derive = |domain| digest(domain, &[&tag.0.0, &party]);
        Self { locator: Locator(derive(Domain::TowerLocator)), key: SealKey::new(&derive(Domain::TowerKey)) }
    }

    /// Opens what lies here.
    ///
    /// # Errors
    /// [`RecordError`] if it was not sealed for this slot, or is no record.
    pub fn open(&self, sealed: &Sealed) -> Result<Record, RecordError> {
        let plain = self.key.open(sealed.0.as_slice()).ok_or(RecordError::Seal)?;
        let (version, rest) = plain.split_first().ok_or(RecordError::Layout)?;
        if *version != RECORD_VERSION {
            return Err(RecordError::Version(*version));
        }
        let (content, padding) = rest.split_at_checked(CONTENT_BYTES).ok_or(RecordError::Layout)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(RecordError::Layout);
        }
        codec::decode(content, CONTENT_BYTES).map_err(|_| RecordError::Layout)
    }
}

/// Why bytes are no record of a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecordError {
    /// Not sealed with the slot's key, or changed since.
    #[error("the record was not sealed for this channel and party")]
    Seal,
    /// A record of a later version of this program.
    #[error("the record has version {0}; this program reads {RECORD_VERSION}")]
    Version(u8),
    /// Not a record.
    #[error("the record is malformed")]
    Layout,
}

/// What one party gives to its towers.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Record {
    /// Whose it is.
    pub party: Party,
    /// The newest state that both signed.
    pub newest: CoSigned,
    /// The highest number of a payment by A in it; a party that lost its data gives no number twice.
    pub sent_a: u64,
    /// The highest number of a payment by B in it.
    pub sent_b: u64,
    /// The other party's node.
    pub peer: PublicKey,
    /// Which of its channel keys the party uses here.
    pub key_index: u32,
}

impl Record {
    /// How new it is.
    #[must_use]
    pub const fn sequence(&self) -> Sequence {
        Sequence::of(&self.newest.state)
    }

    /// Where it belongs.
    #[must_use]
    pub fn slot(&self) -> Slot {
        Slot::new(&self.newest.state.tag, self.party)
    }

    /// Sealed for `slot`, its own; always to the same bytes.
    #[must_use]
    pub fn seal(&self, slot: &Slot) -> Sealed {
        let mut plain = [0; PLAIN_BYTES];
        plain[0] = RECORD_VERSION;
        plain[1..=CONTENT_BYTES].copy_from_slice(&codec::encode(self));
        let sealed: Box<[u8]> = slot.key.seal(&plain).into();
        Sealed(sealed.try_into().expect("what has one size is sealed to one size"))
    }

    /// Whether both parties of the channel with these terms and this capacity signed its state, and the ledger takes it.
    /// A tower learns this only when a close appears: until then it cannot open what it keeps (SPEC T-9).
    #[must_use]
    pub fn holds(&self, chain: &ChainId, terms: &ChannelTerms, capacity: Amount) -> bool {
        let CoSigned { state, a, b } = &self.newest;
        towpath_ledger::rules::check_state(terms, capacity, state).is_ok()
            && verify_batch(&[a.check(&terms.key_a, chain, state), b.check(&terms.key_b, chain, state)])
    }
}
