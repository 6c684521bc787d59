//! What the engine reads from bytes.

use towpath_crypto::codec::Readable;
use towpath_crypto::readable;

use crate::evidence::Evidence;
use crate::limits::{PROPOSAL_BYTES, SYNC_REQUEST_BYTES, SYNC_RESPONSE_BYTES};
use crate::log::Record;
use crate::sync_wire::{SyncRequest, SyncResponse};
use crate::wire::{self, Envelope};

/// Every kind of bytes that this crate reads.
#[must_use]
pub fn decoders() -> Vec<Readable> {
    let mut all = readable![PROPOSAL_BYTES => Envelope, Evidence];
    all.extend([
        Readable { name: "towpath_consensus::wire::decode", limit: PROPOSAL_BYTES, read: read_message },
        Readable { name: "towpath_consensus::log::Record", limit: PROPOSAL_BYTES, read: read_record },
        Readable {
            name: "towpath_consensus::sync_wire::SyncRequest",
            limit: SYNC_REQUEST_BYTES,
            read: read_request,
        },
        Readable {
            name: "towpath_consensus::sync_wire::SyncResponse",
            limit: SYNC_RESPONSE_BYTES,
            read: read_response,
        },
    ]);
    all
}

/// The number of the copy is not part of what a message says.
fn read_message(bytes: &[u8]) -> Option<Vec<u8>> {
    let copy = u64::from_le_bytes(*bytes.get(1..)?.first_chunk()?);
    wire::decode(bytes).ok().map(|message| wire::encode(copy, message))
}

fn read_record(bytes: &[u8]) -> Option<Vec<u8>> {
    Record::decode(bytes).ok().map(|record| record.encode())
}

fn read_request(bytes: &[u8]) -> Option<Vec<u8>> {
    SyncRequest::decode(bytes).ok().map(|request| request.encode())
}

/// As the answer to the request that fits best.
fn read_response(bytes: &[u8]) -> Option<Vec<u8>> {
    let from = wire::without_version::<SyncResponse>(bytes, SYNC_RESPONSE_BYTES)
        .ok()?
        .blocks
        .first()?
        .block
        .header
        .height;
    let request = SyncRequest { from, count: u32::MAX };
    SyncResponse::decode(bytes, &request).ok().map(|response| response.encode())
}
