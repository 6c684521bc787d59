//! What the store reads from the disk, behind each row's version.

use towpath_crypto::codec::Readable;
use towpath_crypto::readable;

use crate::anchor;
use crate::chain::{self, HistoryRow, Place};
use crate::condition::{Behind, Tip};
use crate::limits::SMALL_ROW_BYTES_MAX;

/// Every kind of bytes that this crate reads, but for what the ledger reads (its `decoders`).
#[must_use]
pub fn decoders() -> Vec<Readable> {
    let mut all = readable![SMALL_ROW_BYTES_MAX => Tip, Behind, HistoryRow, Place];
    all.push(chain::tip_decoder());
    all.push(anchor::slot_decoder());
    all
}
