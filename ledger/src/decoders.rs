//! What the ledger reads from bytes.

use towpath_crypto::codec::Readable;
use towpath_crypto::readable;

use crate::chain::{BlockParams, ChainParams, CommitCertificate, SignedVote, Validator, Vote, VoteKind};
use crate::genesis::{Allocation, AssetName, Genesis};
use crate::light::CertifiedHeader;
use crate::limits::{BLOCK_BYTES_MAX, GENESIS_BYTES_MAX, TRANSACTION_BYTES_MAX};
use crate::merkle::TransactionProof;
use crate::proof::{RecordedSecret, STATE_PROOF_BYTES_MAX, StateEntry, StateKey, StateProof};
use crate::rules::Params;
use crate::tree::{self, MerklePath};
use crate::*;

const TRANSACTION: usize = TRANSACTION_BYTES_MAX as usize;
const BLOCK: usize = BLOCK_BYTES_MAX as usize;
const SMALL: usize = 64 << 10;

/// Every kind of bytes that this crate reads.
#[must_use]
pub fn decoders() -> Vec<Readable> {
    let mut all = readable![
        BLOCK => Block;
        TRANSACTION => Transaction, TxBody, Spend, Payload, Witness, Entry, Output, Lock;
        STATE_PROOF_BYTES_MAX => StateProof, StateEntry, MerklePath;
        SMALL => Header, BlockId, TxId, OutPoint, Secret, Payout, Multisig, Timelock, Deadline, Closing, Condition,
            Conditional, AssetId, ChannelId, ChannelTag, Party, ChannelTerms, ChannelState, StateClaim, StateSignature,
            SignedState, CoSigned, CloseIntent, CloseAnswer, ResizeIntent, PendingPayment, Time, StateKey, RecordedSecret,
            TransactionProof, Params, Vote, VoteKind, Validator, CommitCertificate, SignedVote, ChainParams, BlockParams,
            AssetName, Allocation, CertifiedHeader
    ];
    all.extend(tree::decoders());
    all.push(Readable {
        name: "towpath_ledger::genesis::parse",
        limit: GENESIS_BYTES_MAX,
        read: read_genesis,
    });
    all
}

/// A genesis file has many spellings: what is read must be written and read again as the same.
fn read_genesis(bytes: &[u8]) -> Option<Vec<u8>> {
    let genesis = Genesis::parse(std::str::from_utf8(bytes).ok()?).ok()?;
    assert_eq!(
        Genesis::parse(&genesis.to_toml().expect("what was read can be written")).as_ref(),
        Ok(&genesis),
        "a genesis is written as it was read"
    );
    Some(bytes.to_vec())
}
