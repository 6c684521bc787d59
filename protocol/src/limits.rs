//! Every bound on what a peer, or a caller, can make a channel hold; each with its reason.

/// Bytes of one encoded message. A full proposal takes half of it; nothing larger is ever decoded.
pub const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// Updates in one proposal: what shares one signature. 512 payments with memos are 29 KiB.
pub const UPDATES_MAX: usize = 512;

/// Versions that a sequencer proposes past the newest one that it holds an acknowledgement of; the last is kept for the
/// version that follows a refusal. It also bounds how far
/// its `held` can lag behind, and with it how stale a state it can post without being penalized.
pub const IN_FLIGHT_MAX: u64 = 64;

/// Versions past the last acknowledged one at which acknowledgement is asked for and given, whatever the pacing: half
/// of [`IN_FLIGHT_MAX`], so that a stream never stands still for want of an answer.
pub const ACK_AT_LATEST: u64 = IN_FLIGHT_MAX / 2;

/// Bytes of updates in open proposals: what a sequencer keeps durable until it is acknowledged.
pub const IN_FLIGHT_BYTES_MAX: usize = 256 << 10;

/// Proposals kept, burnt ones among them, until a later version is co-signed.
pub const OPEN_MAX: usize = 128;

/// Proposals that a follower buffers behind a gap.
pub const BUFFERED_MAX: usize = 16;

/// Requests that a follower has open, and that a sequencer keeps for its follower.
pub const REQUESTS_MAX: usize = 1024;

/// Payments accepted from callers that wait for their first proposal or request.
pub const QUEUE_MAX: usize = 4096;

/// Inputs, and change outputs, that one party brings to a funding transaction.
pub const FUNDING_INPUTS_MAX: usize = 32;

/// How far ahead of the ledger's time a resize may expire, in milliseconds: a peer that agrees, or proposes, and then
/// does nothing makes the other's payments wait that long. A resize takes a few blocks.
pub const RESIZE_MS_MAX: u64 = 120_000;

/// Signatures in one wallet witness, and keys in one multisig payout.
pub const WALLET_KEYS_MAX: usize = 16;

/// How long a claim stays unanswered when nobody asks: long enough to share one signature among many payments, short
/// enough that a sequencer's books close within human patience.
pub const ACK_DELAY_MS_MAX: u64 = 500;

/// How long an offer waits for its acceptance, and an acceptance for the first signatures (FAULTS C2); one that the opener can
/// fund without this node waits until the deadline of the funding as well.
pub const OPEN_TIMEOUT_MS: u64 = 60_000;

/// How long peers have to agree to channels that share a funding: an honest one answers within a round trip and a sync, and
/// those that agreed at once must still hold their acceptance ([`OPEN_TIMEOUT_MS`]) when the last one is given up.
pub const AGREE_TIMEOUT_MS: u64 = 10_000;

/// Channels that share one funding: with the largest payouts they are 132 KiB, so that any ledger takes the transaction.
pub const FUNDED_TOGETHER_MAX: usize = 128;

/// The largest version number ever signed; far from the end of `u64`, so that version arithmetic never overflows.
pub const VERSION_MAX: u64 = u64::MAX - 2 * IN_FLIGHT_MAX;

/// Bytes of one stored row; an open proposal with its updates is the largest.
pub const ROW_BYTES_MAX: usize = MESSAGE_BYTES_MAX + (4 << 10);

/// Records in one message between a tower and its client: 64 of them are 35 KiB, so that they fit
/// [`MESSAGE_BYTES_MAX`], and share one sync at the tower.
pub const TOWER_ENTRIES_MAX: usize = 64;

/// Closings that a tower contests in one transaction, at its first try, its second, and from then on. Sharing a
/// transaction saves little but what is kept beside it in pools; 64 are some 62 KiB, a fifth of a default block's reserved part.
/// One of them that changes meanwhile voids it for all, so what did not work is tried in ever smaller company, in
/// other bytes, which gossip has not seen.
pub const TOWER_BATCHES: [usize; 3] = [64, 8, 1];

/// Closings for which a tower has no record, and which it remembers in case one comes in: each costs it about a kilobyte, and
/// whoever made it a transaction and a channel.
pub const TOWER_BARE_CASES_MAX: usize = 1 << 14;

/// Blocks after which a tower tries again: time for a transaction to reach a proposer and be decided.
pub const TOWER_RETRY_BLOCKS: u64 = 3;

/// Blocks past a deadline for which a tower leaves paying out to the parties, who share one transaction for many closings:
/// the author hands in its own with the first of them, the other party two later, and each needs one to be decided.
/// Nothing can be contested any more, so the rest of the window's length loses nobody anything.
pub const TOWER_LEAVES_BLOCKS: u64 = 6;

/// A tower that begins to answer with fewer longest steps of ledger time left than this raises an alarm (FAULTS W4).
pub const TOWER_LATE_STEPS: u64 = 3;

/// Records that a client has on their way to one tower, unacknowledged: a window of a few messages keeps a tower's sync
/// busy, and bounds what is sealed again when a session breaks.
pub const TOWER_IN_FLIGHT_MAX: usize = 4 * TOWER_ENTRIES_MAX;

/// How long a client waits for a tower's receipt before it calls the tower silent and sends again: far above a sync and a
/// round trip, far below any dispute window.
pub const TOWER_ANSWER_MS: u64 = 10_000;

/// Nodes that are asked for one slot: as many as a node can have sessions with.
pub const TOWER_ASKED_MAX: usize = 4_096;

/// How long a client takes to walk once over all that a tower keeps for it, page by page: within this a tower is found
/// out that has lost, or never kept, what it acknowledged.
pub const TOWER_AUDIT_MS: u64 = 600_000;

/// The least pause between two pages of such a walk: 36 KiB a second at most.
pub const TOWER_AUDIT_PAUSE_MS: u64 = 1_000;

/// Towers that a node uses: each costs a message a payment burst, and three already make losing all of them unlikely.
pub const TOWERS_MAX: usize = 16;
/// Versions that a recovery leaves unused past the highest that anybody showed (SPEC P-53). An honest peer shows a version
/// that is at most twice [`IN_FLIGHT_MAX`] below any that the lost side signed; this is eight thousand times as far.
pub const RECOVERY_GAP: u64 = 1 << 20;

/// Versions for each millisecond of time: what a recovery takes to be the most that a channel can ever have signed. A
/// channel spends at least a signature of some 40 µs on each version, so 25 a millisecond are out of reach; and times
/// 2,048 the versions stay below 2^53 until the year 2109, so that they are exact in every JSON reader.
pub const VERSIONS_PER_MS: u64 = 2_048;

/// By how much the local clock may lead the ledger's, in milliseconds, to be believed for that.
pub const CLOCK_LEAD_MS_MAX: u64 = 2 * 3_600_000;

/// How far past the ledger's time a version that a recovery jumps to may lie, in milliseconds: a peer cannot use up
/// the versions that there are.
pub const JUMP_LEAD_MS_MAX: u64 = 24 * 3_600_000;

/// The highest payment number that a peer's word is taken for: numbers go on from it, and never overflow.
pub const NUMBER_MAX: u64 = 1 << 62;
