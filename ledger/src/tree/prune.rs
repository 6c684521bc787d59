//! Which nodes can go: a node that became stale at one version is needed by the versions before it only.

use towpath_crypto::codec::Readable;

use super::node;
use super::source::{NodeSource, TreeError};

/// Rows to delete.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PrunePlan {
    /// Their keys.
    pub delete: Vec<Vec<u8>>,
}

/// What can be deleted once no version before `version` is wanted any more: the nodes that became stale at `version`
/// and the row that lists them. To keep `n` versions, prune `height + 1 - n` with the block of each height. Pruning
/// a version twice deletes nothing.
///
/// # Errors
/// [`TreeError`]: the storage is damaged or unreachable.
pub fn prune(source: &impl NodeSource, version: u64) -> Result<PrunePlan, TreeError> {
    let row = node::stale_row(version);
    let Some(bytes) = source.node(&row)? else { return Ok(PrunePlan::default()) };
    let mut delete = decode_stale(&bytes).ok_or_else(|| TreeError::damaged(&row, "not a list of rows"))?;
    delete.push(row);
    Ok(PrunePlan { delete })
}

/// Keys one after another, each behind its length; a key is at most 42 bytes.
pub(super) fn encode_stale(keys: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for key in keys {
        bytes.push(u8::try_from(key.len()).expect("a row's key is at most 42 bytes"));
        bytes.extend_from_slice(key);
    }
    bytes
}

/// How a list of stale rows is read.
pub(super) fn decoder() -> Readable {
    let read = |bytes: &[u8]| decode_stale(bytes).map(|keys| encode_stale(&keys));
    Readable { name: "towpath_ledger::tree::prune::decode_stale", limit: 64 << 10, read }
}

fn decode_stale(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut keys = Vec::new();
    while let Some((length, rest)) = bytes.split_first() {
        let (key, after) = rest.split_at_checked(usize::from(*length))?;
        keys.push(key.to_vec());
        bytes = after;
    }
    Some(keys)
}
