//! The columns of the one database: what is kept apart, and how each is laid out on disk.
//!
//! A column is a RocksDB column family; all columns share one log, so that a batch over several is atomic. What the
//! keys and values of a column mean is decided by its writer and listed in `docs/format/storage.md`.

/// A column of the database.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Column {
    /// Unspent outputs by outpoint.
    Outputs,
    /// Blocks with their certificates by height, and heights by block id.
    Blocks,
    /// Where a transaction is: block height and position, by id.
    TxIndex,
    /// Recorded secrets of conditional payments.
    Secrets,
    /// Nodes of the state tree, and the list of those that went stale.
    StateTree,
    /// Outputs and history by payout key, and channel outputs by channel id.
    WalletIndex,
    /// The newest state of each channel.
    Channels,
    /// The event log of each channel.
    ChannelEvents,
    /// The audit log.
    Audit,
    /// What belongs to the node as a whole.
    Meta,
    /// What the consensus engine must find again after a crash.
    ConsensusLog,
    /// Events for those who listen to the node.
    Events,
    /// Block bodies that were proposed and not decided yet.
    Proposals,
    /// What a watchtower keeps for others.
    Tower,
}

/// How a column is read, and so how it is laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Layout {
    /// Small rows found by their whole key: filters, small blocks with a hash index, no compression.
    Points,
    /// Large or repetitive rows read in order: larger blocks, compressed.
    Bulk,
    /// Rows that are written, read once after a crash and deleted.
    Log,
}

impl Column {
    /// Every column.
    pub const ALL: [Self; 14] = [
        Self::Outputs,
        Self::Blocks,
        Self::TxIndex,
        Self::Secrets,
        Self::StateTree,
        Self::WalletIndex,
        Self::Channels,
        Self::ChannelEvents,
        Self::Audit,
        Self::Meta,
        Self::ConsensusLog,
        Self::Events,
        Self::Proposals,
        Self::Tower,
    ];

    /// The name on disk; part of the format.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Outputs => "outputs",
            Self::Blocks => "blocks",
            Self::TxIndex => "transaction-index",
            Self::Secrets => "secrets",
            Self::StateTree => "state-tree",
            Self::WalletIndex => "wallet-index",
            Self::Channels => "channels",
            Self::ChannelEvents => "channel-events",
            Self::Audit => "audit",
            Self::Meta => "meta",
            Self::ConsensusLog => "consensus-log",
            Self::Events => "events",
            Self::Proposals => "proposals",
            Self::Tower => "tower",
        }
    }

    /// The position in [`Column::ALL`].
    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    pub(crate) const fn layout(self) -> Layout {
        match self {
            Self::Outputs
            | Self::TxIndex
            | Self::Secrets
            | Self::StateTree
            | Self::Channels
            | Self::Meta
            | Self::Tower => Layout::Points,
            Self::Blocks | Self::WalletIndex | Self::ChannelEvents | Self::Audit | Self::Events => {
                Layout::Bulk
            }
            Self::ConsensusLog | Self::Proposals => Layout::Log,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_distinct_and_all_columns_are_listed() {
        let names: BTreeSet<_> = Column::ALL.iter().map(|column| column.name()).collect();
        assert_eq!(names.len(), Column::ALL.len());
        for (index, column) in Column::ALL.into_iter().enumerate() {
            assert_eq!(column.index(), index);
        }
        assert!(!names.contains("default"), "the default column family holds the store's own rows");
    }
}
