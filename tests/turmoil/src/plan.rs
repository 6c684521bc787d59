//! What a seed is about. Each draws its own mix, as the worlds of the first layer do.

use towpath_node::net::ConnectionLimits;
use towpath_sim::rng::Rng;

/// What happens in a world, and how often. Times are in milliseconds; a mean of zero is never.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many nodes.
    pub nodes: usize,
    /// How many of them decide blocks: the first ones.
    pub validators: usize,
    /// How long faults and work go on.
    pub work_ms: u64,
    /// Workers of each node.
    pub workers: usize,
    /// The shortest and the longest time that a segment takes.
    pub delay_ms: (u64, u64),
    /// Segments of a connection that may be on their way in one direction; then writes wait.
    pub segments_max: usize,
    /// The most that one write takes, in bytes.
    pub write_max: usize,
    /// Bounds on connections.
    pub limits: ConnectionLimits,
    /// The shortest and the longest time between two turns of a node's parts.
    pub pace_ms: (u64, u64),
    /// The shortest and the longest time that a sync takes.
    pub sync_ms: (u64, u64),
    /// Mean time between losses of what is on its way between two nodes.
    pub loss_ms: u64,
    /// Mean time between cuts of a link.
    pub cut_ms: u64,
    /// Mean time between links that carry nothing in one direction.
    pub one_way_ms: u64,
    /// Mean time between links that hold back what is sent, and bring it later.
    pub stall_ms: u64,
    /// Mean time between crashes.
    pub crash_ms: u64,
    /// Whether crashes come in the middle of writes, too.
    pub torn: bool,
    /// Mean time between writes that fail.
    pub disk_error_ms: u64,
    /// Mean time between nodes that are asked to stop.
    pub stop_ms: u64,
    /// The longest that a node is away, or a link not whole, at a time.
    pub away_ms: u64,
    /// Mean time between wishes of callers.
    pub work_gap_ms: u64,
    /// The most payments in one wish.
    pub burst: u64,
    /// Wishes that are closes, of a thousand.
    pub churn: u64,
    /// Whether channels are closed in the end.
    pub closes_all: bool,
    /// Whether a party goes, and is away until its peers have closed alone: the last node, which decides no blocks.
    pub leaves: bool,
}

impl Plan {
    /// What `rng` draws.
    #[must_use]
    pub fn draw(rng: &mut Rng) -> Self {
        let some = |rng: &mut Rng, share: u64, low: u64, high: u64| {
            let drawn = rng.between(low, high);
            if rng.chance(share) { drawn } else { 0 }
        };
        let validators = if rng.chance(400) { 4 } else { 1 };
        let nodes = usize::max(validators, 2 + rng.index(3));
        let few = rng.chance(400);
        // A line that is narrow and slow at once carries less than a handshake in the time that one may take.
        let is_slow = rng.chance(200);
        let is_narrow = !is_slow && rng.chance(350);
        Self {
            nodes,
            validators,
            work_ms: rng.between(60_000, 150_000),
            workers: 1 + rng.index(2),
            delay_ms: if is_slow { (50, 900) } else { (1, rng.between(5, if is_narrow { 60 } else { 150 })) },
            // Also the connections that may wait to be accepted, of which turmoil takes no more.
            segments_max: if is_narrow { 16 + rng.index(8) } else { 64 },
            write_max: if is_narrow { 128 << rng.index(5) } else { 64 << 10 },
            limits: ConnectionLimits {
                incoming: if few { nodes } else { 512 },
                outgoing: if few { nodes } else { 256 },
                per_peer: if few { 1 + rng.index(2) } else { 4 },
                per_address: 16,
                pending_incoming: if few { 2 + rng.index(3) } else { 128 },
                pending_outgoing: if few { 2 + rng.index(3) } else { 128 },
            },
            pace_ms: (1, rng.between(2, 30)),
            sync_ms: if rng.chance(200) { (1, 800) } else { (1, rng.between(2, 30)) },
            loss_ms: some(rng, 500, 5_000, 40_000),
            cut_ms: some(rng, 600, 10_000, 60_000),
            one_way_ms: some(rng, 400, 10_000, 60_000),
            stall_ms: some(rng, 400, 10_000, 60_000),
            crash_ms: some(rng, 600, 15_000, 60_000),
            torn: rng.chance(500),
            disk_error_ms: some(rng, 200, 30_000, 90_000),
            stop_ms: some(rng, 300, 20_000, 90_000),
            away_ms: rng.between(500, 45_000),
            work_gap_ms: rng.between(300, 4_000),
            burst: if rng.chance(300) { rng.between(20, 400) } else { rng.between(1, 8) },
            churn: rng.between(5, 60),
            closes_all: rng.chance(500),
            leaves: validators < nodes && rng.chance(200),
        }
    }
}
