//! How RocksDB is set up: first that nothing acknowledged is lost without a word, then that several nodes fit on one
//! machine.
//!
//! What its defaults would lose, and why each setting is here, is in `docs/spec/storage.md`.

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, DBRecoveryMode, DataBlockIndexType,
    LogLevel, MergeOperands, Options, WriteOptions,
};

use crate::column::{Column, Layout};
use crate::limits::WAL_BYTES_MAX;

/// The column family of the store's own rows. It always exists in RocksDB, and no [`Column`] has its name.
pub(crate) const OWN_FAMILY: &str = "default";

/// How much memory one database may use for itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryBudget {
    /// For blocks read from tables, with their filters and indexes.
    pub cache_bytes: usize,
    /// For rows that are in the log and not in a table yet.
    pub write_buffer_bytes: usize,
    /// Open tables; each is a file descriptor.
    pub open_files: i32,
}

impl Default for MemoryBudget {
    /// Half a dozen nodes fit on a small machine.
    fn default() -> Self {
        Self { cache_bytes: 64 << 20, write_buffer_bytes: 64 << 20, open_files: 256 }
    }
}

/// How far the log is believed when a database is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Replay {
    /// Any damage refuses.
    Whole,
    /// Up to the first damage.
    UpToDamage,
}

/// The options of the database as a whole.
pub(crate) fn database(replay: Replay, budget: &MemoryBudget) -> Options {
    let mut options = Options::default();
    options.create_missing_column_families(true);
    options.set_wal_recovery_mode(match replay {
        Replay::Whole => DBRecoveryMode::AbsoluteConsistency,
        Replay::UpToDamage => DBRecoveryMode::PointInTime,
    });
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_paranoid_checks(true);
    // All columns reach their tables together. Otherwise a lost log could leave the tip's column newer than the
    // others, and the anchor would be satisfied by a database that misses rows.
    options.set_atomic_flush(true);
    options.set_db_write_buffer_size(budget.write_buffer_bytes);
    options.set_max_total_wal_size(WAL_BYTES_MAX);
    options.set_max_open_files(budget.open_files);
    options.set_max_background_jobs(2);
    options.set_max_subcompactions(1);
    options.set_bytes_per_sync(1 << 20);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(1 << 20);
    options.set_log_level(LogLevel::Warn);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options.set_max_manifest_file_size(4 << 20);
    options
}

/// Every column family with its options.
pub(crate) fn families(budget: &MemoryBudget) -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_lru_cache(budget.cache_bytes);
    let own = family(Layout::Points, &cache, budget);
    let columns =
        Column::ALL.map(|column| (column.name(), family(column.layout(), &cache, budget))).into_iter();
    std::iter::once((OWN_FAMILY, own))
        .chain(columns)
        .map(|(name, options)| ColumnFamilyDescriptor::new(name, options))
        .collect()
}

/// Every write is synced; nothing else would be a promise.
pub(crate) fn synced() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}

fn family(layout: Layout, cache: &Cache, budget: &MemoryBudget) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_format_version(6);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    let mut options = Options::default();
    options.set_write_buffer_size(budget.write_buffer_bytes / 2);
    options.set_max_write_buffer_number(2);
    options.set_target_file_size_base(16 << 20);
    options.set_max_bytes_for_level_base(64 << 20);
    options.set_level_compaction_dynamic_level_bytes(true);
    match layout {
        Layout::Points => {
            table.set_block_size(4 << 10);
            table.set_bloom_filter(10.0, false);
            table.set_optimize_filters_for_memory(true);
            table.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
            options.set_compression_type(DBCompressionType::None);
        }
        Layout::Bulk => {
            table.set_block_size(16 << 10);
            table.set_bloom_filter(10.0, false);
            options.set_compression_type(DBCompressionType::Lz4);
        }
        Layout::Log => {
            table.set_block_size(16 << 10);
            options.set_compression_type(DBCompressionType::Lz4);
        }
    }
    options.set_block_based_table_factory(&table);
    options.set_merge_operator_associative("towpath.count", add_counts);
    options
}

/// Adds little-endian counts; any other bytes count as nothing, which the check at opening then notices.
fn add_counts(_key: &[u8], existing: Option<&[u8]>, operands: &MergeOperands) -> Option<Vec<u8>> {
    let first = existing.map_or(0, count_of);
    let sum = operands.iter().fold(first, |sum, operand| sum.saturating_add(count_of(operand)));
    Some(sum.to_le_bytes().to_vec())
}

/// The count in `bytes`; zero if they are none.
pub(crate) fn count_of(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_le_bytes)
}
