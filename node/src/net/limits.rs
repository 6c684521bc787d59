//! Every bound of the network shell on what a peer can make it hold or wait for, each with its reason.
//!
//! Bounds on connections, which an operator may want to change, are fields of [`super::config::ConnectionLimits`].

use std::time::Duration;

use towpath_ledger::limits;

/// The largest gossip message, in bytes: a block travels inside one consensus proposal, so this is the largest block
/// with room for its envelope. A larger one could be built but never proposed (gossipsub's own default is 64 KiB).
pub const GOSSIP_BYTES_MAX: usize = limits::BLOCK_BYTES_MAX as usize + (64 << 10);

/// The largest transaction or announcement on gossip: the largest transaction of any genesis, with its envelope.
pub const GOSSIP_SMALL_BYTES_MAX: usize = limits::TRANSACTION_BYTES_MAX as usize + 1024;

/// What gossipsub puts around a message on the wire, at most: its topic and a few lengths.
pub const GOSSIP_OVERHEAD_BYTES: usize = 1024;

/// How often one consensus message may be published again within [`GOSSIP_MEMORY`]: the engine rebroadcasts every two
/// seconds, so thirty times, and twice that leaves room. It is also the amplification that a replaying peer can reach.
pub const GOSSIP_ATTEMPTS_MAX: u8 = 64;

/// How long a message id is remembered, so that a duplicate is not delivered or forwarded again.
pub const GOSSIP_MEMORY: Duration = Duration::from_secs(60);

/// A transaction that is published again after so long is another message, in milliseconds: money that waits is handed in
/// again no sooner ([`crate::limits::CLOSE_AGAIN_MS_MIN`]).
pub const TRANSACTION_STEP_MS: u64 = crate::limits::CLOSE_AGAIN_MS_MIN;

/// How many such steps are told apart: those of [`GOSSIP_MEMORY`], so that no number comes back while it is remembered. It is
/// also the amplification that a replaying peer can reach.
pub const TRANSACTION_ATTEMPTS_MAX: u8 = 32;

const _: () = assert!(
    TRANSACTION_STEP_MS * TRANSACTION_ATTEMPTS_MAX as u64
        > GOSSIP_MEMORY.as_millis() as u64 + TRANSACTION_STEP_MS
);

/// Published consensus messages whose next attempt number is remembered.
pub const GOSSIP_REPEATS_MAX: usize = 4096;

/// Gossip messages that wait in one peer's send queue; more are dropped and the peer counts as slow.
pub const GOSSIP_QUEUE_MAX: usize = 512;

/// How long a peer may take, from its first connection on, to say which topics it listens to: it is the first that a
/// connection carries, a stream for it may take [`HANDSHAKE_TIMEOUT`] to open, and the rest is for a slow line. Whoever says nothing
/// has not noticed that an earlier connection is gone, and believes that it has said it.
pub const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(15);

/// The largest sync request, in bytes: a height range, or a list of hashes.
pub const SYNC_REQUEST_BYTES_MAX: usize = 64 << 10;

/// The largest sync response, in bytes: several blocks, or one chunk of a snapshot. The canonical decoder stops at the
/// same size.
pub const SYNC_RESPONSE_BYTES_MAX: usize = 8 << 20;

/// How long a sync request may take, both ways together (FAULTS N2, N11).
pub const SYNC_TIMEOUT: Duration = Duration::from_secs(30);

/// Sync requests under way from one peer; more are answered with "busy" (FAULTS N11).
pub const SYNC_SERVED_PER_PEER_MAX: usize = 4;

/// Sync requests under way from all peers: each may hold a response of [`SYNC_RESPONSE_BYTES_MAX`].
pub const SYNC_SERVED_MAX: usize = 32;

/// Our own sync requests under way to one peer: what that peer would serve.
pub const SYNC_ASKED_PER_PEER_MAX: usize = 4;

/// Our own sync requests under way to all peers, each with a response in memory.
pub const SYNC_ASKED_MAX: usize = 64;

/// Bytes of sync responses that a peer may take at once before it is slowed down.
pub const SYNC_BUDGET_BYTES: u64 = 64 << 20;

/// Bytes of sync responses that a peer gets back every second: a node that joins takes a gigabyte in two minutes, and
/// a hundred greedy peers stay below a gigabit link.
pub const SYNC_BUDGET_BYTES_PER_SECOND: u64 = 8 << 20;

/// Peers whose budgets are remembered; a budget that has filled up again is forgotten first.
pub const BUDGETS_MAX: usize = 4096;

/// The longest channel message, in bytes: a proposal of a few hundred updates with their onions.
pub const MESSAGE_BYTES_MAX: usize = 512 << 10;

/// The longest plain frame: one longest message with its length. Batches are cut to it.
pub const FRAME_BYTES_MAX: usize = MESSAGE_BYTES_MAX + 4;

/// Messages in one frame: an empty-looking message takes five bytes of the frame and some fifty of memory, so their
/// number is bounded as well as their bytes.
pub const FRAME_MESSAGES_MAX: usize = 4096;

/// The read buffer that an idle session keeps, in bytes: ten thousand idle sessions hold 80 MB.
pub const BUFFER_IDLE_BYTES: usize = 8 << 10;

/// How long connecting, opening a stream, and a session's handshake may take (FAULTS N2).
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a frame may take from its first byte to its last (FAULTS N2).
pub const FRAME_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a write may wait for a peer that does not read (FAULTS N2).
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Batches that wait to be written to one peer. A full queue ends the session: the channel protocol starts again from
/// what both sides hold, which a lost message in the middle of a session would not allow.
pub const OUTBOX_BATCHES_MAX: usize = 4096;

/// Bytes that wait to be written to one peer, with the same effect.
pub const OUTBOX_BYTES_MAX: usize = 16 << 20;

/// Frames of one peer that the node has taken but not finished with; then reading from that peer stops.
pub const FRAMES_UNFINISHED_MAX: usize = 8;

/// Session attempts that one peer may make at once before it is slowed down: each costs a handshake.
pub const ATTEMPTS_BURST: u64 = 16;

/// Session attempts that one peer gets back every second.
pub const ATTEMPTS_PER_SECOND: u64 = 1;

/// Inbound channel streams that wait in one connection for the driver; honest peers have one.
pub const STREAMS_WAITING_MAX: usize = 4;

/// Commands that wait for the driver.
pub const COMMANDS_MAX: usize = 4096;

/// Gossip messages, sync requests and notices that wait for the node. Consensus messages may fill it, all others only
/// half of it.
pub const EVENTS_MAX: usize = 1024;

/// Frames of channel messages, and sessions going up and down, that wait for the node.
pub const CHANNEL_EVENTS_MAX: usize = 1024;

/// Nodes that this node keeps connected: the channel peers of a hub.
pub const WANTED_MAX: usize = 16_384;

/// Addresses that are kept for one peer.
pub const ADDRESSES_PER_PEER_MAX: usize = 8;

/// Lookups of where a wanted node is, at the same time: each asks some twenty peers.
pub const LOOKUPS_MAX: usize = 8;

/// Dials that are started in one go.
pub const DIALS_AT_ONCE_MAX: usize = 32;

/// Peers that are banned at the same time; the ban that ends first makes room.
pub const BANS_MAX: usize = 4096;

/// How long a peer of another chain is kept out.
pub const BAN_OTHER_CHAIN: Duration = Duration::from_secs(60);

/// How long a peer of another chain stays connected after it was found out: closing at once can throw away the message
/// from which it would learn the same, and its operator would see nothing but a connection that ends.
pub const FOREIGN_GRACE: Duration = Duration::from_secs(5);

/// How long a peer is kept out whose gossip was rejected until it fell below the graylist threshold.
pub const BAN_MISBEHAVED: Duration = Duration::from_secs(600);

/// The longest text of a peer that reaches a log or an event, in characters (FAULTS N12).
pub const PEER_TEXT_CHARS_MAX: usize = 64;

/// How long a shutdown waits for connections to close in good order; then they are cut.
pub const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a connection that is closed may take to write what is left. A peer that is gone takes nothing: without a bound its
/// connection would count until the system gives it up, a quarter of an hour later, and the peer would not be dialled again.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection without streams is kept.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Streams that one connection may have open: gossip, channel, sync, lookups and pings are a dozen.
pub const STREAMS_PER_CONNECTION_MAX: usize = 128;

/// The most that one connection's QUIC streams may have in flight, in bytes: a whole sync response.
pub const QUIC_CONNECTION_BYTES: u32 = 16 << 20;

/// The most that one QUIC stream may have in flight, in bytes.
pub const QUIC_STREAM_BYTES: u32 = 8 << 20;
