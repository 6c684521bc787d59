//! What two nodes say when one catches up: a request for decided blocks, and the blocks with their certificates.

use std::sync::Arc;

use bincode::{Decode, Encode};
use towpath_ledger::Block;
use towpath_ledger::chain::CommitCertificate;

use crate::limits;
use crate::wire::{self, WireError};

/// Asks for the blocks from a height on.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub struct SyncRequest {
    /// The first height.
    pub from: u64,
    /// The most blocks to send.
    pub count: u32,
}

/// A block and the quorum that decided it.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct DecidedBlock {
    /// The block.
    pub block: Arc<Block>,
    /// Its certificate.
    pub certificate: CommitCertificate,
}

/// Consecutive blocks from the requested height on, perhaps fewer than asked for.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct SyncResponse {
    /// The blocks, in order.
    pub blocks: Vec<DecidedBlock>,
}

impl SyncRequest {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        wire::with_version(self)
    }

    /// A request from a peer.
    ///
    /// # Errors
    /// When it is not the encoding of one.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        wire::without_version(bytes, limits::SYNC_REQUEST_BYTES)
    }
}

impl SyncResponse {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        wire::with_version(self)
    }

    /// The answer to `request`: each certificate names its block, each block binds its body, and the heights are those
    /// that were asked for. No signature is checked here.
    ///
    /// # Errors
    /// When anything of this does not hold.
    pub fn decode(bytes: &[u8], request: &SyncRequest) -> Result<Self, WireError> {
        let response: Self = wire::without_version(bytes, limits::SYNC_RESPONSE_BYTES)?;
        if response.blocks.len() > usize::try_from(request.count).unwrap_or(usize::MAX) {
            return Err(WireError::Invalid("more blocks than were asked for"));
        }
        let mut expected = request.from;
        for DecidedBlock { block, certificate } in &response.blocks {
            wire::check_round(certificate.round)?;
            wire::check_count(certificate.signatures.len())?;
            wire::check_block(block)?;
            let heights = block.header.height == expected && certificate.height == expected;
            if !heights || block.id() != certificate.block {
                return Err(WireError::Invalid(
                    "the certificate is not the block's, or the height not the asked",
                ));
            }
            expected = expected.saturating_add(1);
        }
        Ok(response)
    }
}
