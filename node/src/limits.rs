//! Every bound of the shell on what a peer or a caller can make it hold, with its reason.

use std::time::Duration;

/// Things that wait for a worker. A full inbox makes the sender wait: a session stops being read, a caller is told to
/// come back. Without peers' messages, which have a bound of their own, they are a megabyte or two a worker.
pub const INBOX: usize = 4_096;

/// What peers' messages that wait for a worker, or are in its turn, may cost to keep, in bytes.
pub const INBOX_COST: usize = 32 << 20;

/// What a message costs beside its bytes: as a value in memory, the smallest is some hundred times larger than as bytes.
pub const MESSAGE_COST: usize = 512;

/// Things that a worker takes in one turn: enough to share a sync among many, few enough to answer soon.
pub const TURN_INPUTS: usize = 2_048;

/// What peers' messages in one turn may cost, in bytes: some ten thousand payments. The frame that passes it is the last.
pub const TURN_COST: usize = 8 << 20;

/// Turns of a worker that are being written. Two, so that one is computed while the other is synced; more would only
/// make turns smaller.
pub const TURNS_IN_FLIGHT: usize = 2;

/// Transactions by gossip whose signatures are not verified yet: at most 64 MB.
pub const TRANSACTIONS_UNCHECKED: usize = 256;

/// Peers' requests for blocks that wait; the network takes no more than this at once.
pub const SYNC_REQUESTS: usize = crate::net::limits::SYNC_SERVED_MAX;

/// Things from the network that wait for the ledger driver.
pub const LEDGER_INBOX: usize = 1_024;

/// Things of this node's own that wait for the ledger driver: callers, and what channels owe the ledger. A hub that
/// closes more than this at once hands in the rest a little later.
pub const LEDGER_INBOX_OWN: usize = 4_096;

/// Openings by one peer that are not funded (FAULTS C2).
pub const OPENINGS_PER_PEER: usize = 4;

/// Openings by all peers that are not funded (FAULTS C2): each holds a few kilobytes, and for ten minutes at most.
pub const OPENINGS: u64 = 1_000;

/// Openings of one peer that are refused within a minute before no more are looked at. An honest one asks again because
/// it must wait, or after its terms were declined: not every few seconds.
pub const OPENINGS_REFUSED_PER_MINUTE: u32 = 16;

/// This node's own offers that wait for peers, of one worker.
pub const OFFERS: usize = 256;

/// Channels that are not settled, in all.
pub const CHANNELS: u64 = 200_000;

/// Streams that a worker remembers, ended ones included; as many may run.
pub const STREAMS: usize = 1_024;

/// Payments that one stream keeps unacknowledged.
pub const STREAM_IN_FLIGHT: u32 = 1_024;

/// The longest latency that is told apart, in microseconds: an hour.
pub const LATENCY_US_MAX: u64 = 3_600_000_000;

/// Idempotency keys that are remembered, the oldest of calls that are done forgotten first: some 20 MB, and 40 bytes for each
/// channel of openings of many.
pub const IDEMPOTENCY_KEYS: usize = 65_536;

/// How long a key is remembered after its call is done, in milliseconds: a day. Who lost an answer asks again sooner.
pub const IDEMPOTENCY_MS: u64 = 86_400_000;

/// Callers of one channel that wait for payments to settle.
pub const SETTLING: usize = 8_192;

/// Settled channels that are kept for lists; older ones are forgotten.
pub const SETTLED_CHANNELS: usize = 10_000;

/// Inputs of one wallet transaction: keeps it far below the ledger's bound on transactions.
pub const WALLET_INPUTS: usize = 64;

/// Payments from the wallet that are not final: each is a row, and handed in again and again.
pub const SENDS: usize = 1_024;

/// Fundings of many channels that are not final: each is a row of up to 140 KB, and gone after ten minutes.
pub const SHARED_FUNDINGS: usize = 64;

/// Addresses that a wallet hands out.
pub const ADDRESSES: u32 = 10_000;

/// Blocks after which a transaction that a channel owes and the ledger does not show is handed in again: one can be lost
/// in a full inbox, a full pool or by gossip, and money waits for it.
pub const CLOSE_AGAIN_BLOCKS: u32 = 3;

/// The least time between two such tries, in milliseconds: under load blocks come fast, and thousands may be owed.
pub const CLOSE_AGAIN_MS_MIN: u64 = 2_000;

/// The longest, in milliseconds: when no block comes, this node may be the one that misses them.
pub const CLOSE_AGAIN_MS: u64 = 20_000;

/// How long a cooperative close waits for others to share its transaction, in milliseconds: calls of one command come so
/// close together, and nobody notices it in one.
pub const CLOSE_GATHER_MS: u64 = 40;

/// The longest that it waits for peers to sign their final balances, too, in milliseconds.
pub const CLOSE_GATHER_MS_MAX: u64 = 500;

/// Blocks past a deadline that the party which did not close leaves to the author for paying out.
pub const CLOSE_OTHER_WAITS_BLOCKS: u32 = 2;

/// How long the peer of a channel whose term is over has to close together, in milliseconds.
pub const FORCE_AFTER_EXPIRY_MS: u64 = 30_000;

/// How long a node waits for its parts to end when it is asked to.
pub const SHUTDOWN: Duration = Duration::from_secs(10);

/// Things that wait for the tower's thread. Messages of peers may fill three quarters of it, so that blocks and sessions
/// always have room; what a peer loses it says again.
pub const TOWER_INBOX: usize = 1_024;

/// Things that the tower takes in one turn: they share one sync.
pub const TOWER_TURN_INPUTS: usize = 256;

/// Records of one node that the tower does not know otherwise: more channels than a person has.
pub const TOWER_RECORDS_PER_STRANGER: u64 = 128;

/// Records of one node for each channel that it has with the tower's, beside those of a stranger. A channel can be had for the
/// fees of two transactions, so it must not buy much; whoever has more elsewhere is named by the tower's operator.
pub const TOWER_RECORDS_PER_CHANNEL: u64 = 128;

/// Peers that are used as towers without having been named: one honest one that is there is enough, and each more is told when
/// this node's channels move.
pub const TOWER_PEERS: usize = 3;

/// Peers that are asked at a time for something that this node has lost.
pub const TOWER_PEERS_ASKED: usize = 8;

/// How long, in milliseconds, one of them may stand in the way of the next: a round trip. So 160 that say nothing are asked in
/// the time of a search, more than `network.max_peers` lets in unless it is raised.
pub const TOWER_PEER_TURN_MS: u64 = 500;

/// How often it is looked whose channels with the tower's node are gone, in milliseconds.
pub const TOWER_REVIEW_MS: u64 = 60_000;

/// Records of a client that are dropped in one write when the operator wants nothing kept for it.
pub const TOWER_DROPS: usize = 4_096;

/// Clients of the tower that a caller is shown, the largest first.
pub const TOWER_CLIENTS_SHOWN: usize = 100;

/// The most records that a tower can be told to keep: 12 GB of database.
pub const TOWER_RECORDS_MAX: u64 = 16 << 20;

/// How long the newest state of a channel may lack towers before that is an alarm: a reconnect takes less.
pub const TOWER_LAG_MS: u64 = 60_000;

/// Payments of one channel that wait for watchtowers: beyond it the channel takes none until a tower answers.
pub const CONFIRMING_MAX: usize = 4_096;

/// Slots that the node asks its towers for at once.
pub const TOWER_FETCHES: usize = 256;

/// Lost channels that are searched for at once; the next ones wait. Times [`TOWER_PEERS_ASKED`] their answers have room in the
/// tower's inbox, and they are fewer than [`TOWER_FETCHES`]: none is passed over as too many.
pub const SEARCHES: usize = 64;

/// Channels that this node does not know, and of which one peer's word is kept for its session: more than most peers share. The
/// rest is claimed in the next session.
pub const UNKNOWN_CHANNELS_PER_PEER: usize = 256;
