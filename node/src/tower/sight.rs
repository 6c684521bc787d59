//! What the ledger did to channels, as a tower needs to hear it.

use std::collections::BTreeMap;

use towpath_ledger::{Block, ChannelId, ChannelTag, Entry, Lock, OutPoint, Witness};
use towpath_protocol::tower::{Posted, Sighting};
use towpath_store::StoreError;

use crate::ledger::{Chain, Change, Notice};

/// Channels that are read at once when the tower starts.
const PAGE: usize = 1_000;

/// A closing output, if it is one.
fn posted(outpoint: OutPoint, entry: &Entry) -> Option<Sighting> {
    match &entry.output.lock {
        Lock::Closing(closing) => Some(Sighting::Posted(Box::new(Posted {
            outpoint,
            created: entry.time,
            asset: entry.output.asset,
            amount: entry.output.amount,
            closing: closing.clone(),
        }))),
        Lock::Channel(_) | Lock::Wallet(_) | Lock::Conditional(_) => None,
    }
}

/// What a block did. Closings that are spent again are left out: the notice of the block that did it follows.
///
/// # Errors
/// When the database cannot be read.
pub fn in_notice(chain: &Chain, notice: &Notice) -> Result<Vec<Sighting>, StoreError> {
    let mut seen = Vec::new();
    for change in &notice.channels {
        match &change.what {
            Change::Closing { outpoint, entry, .. } if chain.output(outpoint)?.is_some() => {
                seen.extend(posted(*outpoint, entry));
            }
            Change::Gone { was, by } => {
                let tag = tag_of(was, by);
                seen.extend(tag.map(|tag| Sighting::Settled { channel: change.channel, tag }));
            }
            Change::Closing { .. } | Change::Funded { .. } => {}
        }
    }
    Ok(seen)
}

/// The tag that a settlement shows: in the closing that it ends, or in the final state.
fn tag_of(was: &Lock, by: &Witness) -> Option<ChannelTag> {
    match (was, by) {
        (Lock::Closing(closing), _) => Some(closing.state.tag),
        (_, Witness::Cooperative { state, .. }) => Some(state.state.tag),
        _ => None,
    }
}

/// Every closing that the ledger shows now.
///
/// # Errors
/// When the database cannot be read.
pub fn open_closings(chain: &Chain) -> Result<Vec<Sighting>, StoreError> {
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let (outputs, last) = chain.channel_outputs(after.as_ref(), PAGE)?;
        seen.extend(outputs.iter().filter_map(|(outpoint, entry)| posted(*outpoint, entry)));
        if last.is_none() {
            return Ok(seen);
        }
        after = last;
    }
}

/// The channels of `known`, and of those that the blocks from `first` on close in any way, that are settled by now.
///
/// # Errors
/// When the database cannot be read.
pub fn settled_since(
    chain: &Chain,
    first: u64,
    known: Vec<(ChannelId, ChannelTag)>,
) -> Result<Vec<Sighting>, StoreError> {
    let mut tags: BTreeMap<ChannelId, ChannelTag> = known.into_iter().collect();
    for height in first..=chain.tip().height() {
        // A block that is pruned tells nothing: what it settled keeps its place on the shelf.
        if let Some(block) = chain.block(height)? {
            tags.extend(shown(&block));
        }
    }
    let mut settled = Vec::new();
    for (channel, tag) in tags {
        if chain.channel_output(&channel)?.is_none() {
            settled.push(Sighting::Settled { channel, tag });
        }
    }
    Ok(settled)
}

/// The channels of which a block shows a state. Each channel that ends shows one, when it ends or before.
fn shown(block: &Block) -> impl Iterator<Item = (ChannelId, ChannelTag)> + '_ {
    let witnesses = block.transactions.iter().flat_map(|transaction| &transaction.witnesses);
    witnesses.filter_map(|witness| {
        let state = match witness {
            Witness::Cooperative { state, .. }
            | Witness::Unilateral { state, .. }
            | Witness::Supersede { state, .. } => &state.state,
            Witness::Penalize { proof, .. } => &proof.state,
            Witness::Answer { .. }
            | Witness::Wallet(_)
            | Witness::Finalize { .. }
            | Witness::Resize { .. }
            | Witness::Resolve { .. } => return None,
        };
        Some((state.channel, state.tag))
    })
}
