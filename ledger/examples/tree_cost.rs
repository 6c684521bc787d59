//! What the state tree costs a block: CPU time for each changed entry, beside that of the `jmt` crate on the same hashes.
//!
//! `cargo run --release -p towpath-ledger --example tree_cost -- [entries] [changes a block]`

use std::collections::BTreeMap;

use jmt::storage::{LeafNode, Node, NodeKey, TreeReader};
use jmt::{JellyfishMerkleTree, KeyHash, OwnedValue, SimpleHasher, Version};
use towpath_crypto::hash::{Hasher, digest};
use towpath_crypto::{Digest, Domain};
use towpath_ledger::tree::{MemoryNodes, prune, update};

type Changes = BTreeMap<Digest, Option<Digest>>;

const BLOCKS: u64 = 10;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>().expect("a number"));
    let entries = arguments.next().unwrap_or(100_000);
    let changed = arguments.next().unwrap_or(4_000);
    println!("{entries} entries, {BLOCKS} blocks of {changed} changes (half of them removals)");
    ours(entries, changed);
    theirs(entries, changed);
}

/// CPU time of this thread: on a busy machine the clock on the wall says little.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("this example needs Linux");
    let nanoseconds = text.split(' ').next().and_then(|field| field.parse::<u64>().ok());
    nanoseconds.expect("the first field is a number") as f64 / 1e9
}

fn key(number: u64) -> Digest {
    digest(Domain::Test, &[&number.to_le_bytes()])
}

/// The entries, in steps of 100,000.
fn filling(entries: u64) -> impl Iterator<Item = Changes> {
    (0..entries.div_ceil(100_000)).map(move |step| {
        let numbers = step * 100_000..entries.min((step + 1) * 100_000);
        numbers.map(|number| (key(number), Some(key(number + 1)))).collect()
    })
}

/// A block that takes away as many old entries, from everywhere, as it adds.
fn block(entries: u64, changed: u64, height: u64) -> Changes {
    let half = changed / 2;
    let stride = (entries / half.max(1)).max(1);
    let gone = (0..half).map(|n| (key((n * stride + height) % entries), None));
    let come = (0..half).map(|n| (key(entries + height * half + n), Some(key(n))));
    gone.chain(come).collect()
}

fn ours(entries: u64, changed: u64) {
    let mut nodes = MemoryNodes::new();
    let (_, batch) = update(&nodes, None, 0, &Changes::new()).expect("nothing is read");
    nodes.apply(batch);
    let mut height = 0;
    for changes in filling(entries) {
        let (_, batch) = update(&nodes, Some(height), height + 1, &changes).expect("kept in memory");
        nodes.apply(batch);
        height += 1;
    }
    let (mut seconds, mut rows, mut bytes) = (0.0, 0, 0);
    for number in 0..BLOCKS {
        let changes = block(entries, changed, number);
        let start = cpu_seconds();
        let (_, batch) = update(&nodes, Some(height), height + 1, &changes).expect("kept in memory");
        seconds += cpu_seconds() - start;
        rows += batch.rows.len();
        bytes += batch.rows.iter().map(|(key, row)| key.len() + row.len()).sum::<usize>();
        nodes.apply(batch);
        height += 1;
        let plan = prune(&nodes, height).expect("kept in memory");
        nodes.prune(&plan);
    }
    report("towpath", changed, seconds, rows, bytes);
    let (kept, bytes) = nodes.rows().fold((0, 0), |(n, b), (key, row)| (n + 1, b + key.len() + row.len()));
    println!("  all rows: {kept}, {:.0} bytes an entry", bytes as f64 / entries as f64);
}

fn report(name: &str, changed: u64, seconds: f64, rows: usize, bytes: usize) {
    let changes = (BLOCKS * changed) as f64;
    println!(
        "{name}: {:.1} ms a block, {:.2} us a change, {:.2} rows and {:.0} bytes written a change",
        seconds * 1e3 / BLOCKS as f64,
        seconds * 1e6 / changes,
        rows as f64 / changes,
        bytes as f64 / changes,
    );
}

/// The hash that `jmt` takes, with the tag computed once as ours does.
struct Tagged(Hasher);

thread_local!(static TAGGED: Hasher = Hasher::new(Domain::StateTree));

impl SimpleHasher for Tagged {
    fn new() -> Self {
        Self(TAGGED.with(Clone::clone))
    }
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }
    fn finalize(self) -> [u8; 32] {
        self.0.finish().0
    }
}

#[derive(Default)]
struct OtherNodes(BTreeMap<NodeKey, Node>);

impl TreeReader for OtherNodes {
    fn get_node_option(&self, key: &NodeKey) -> anyhow::Result<Option<Node>> {
        Ok(self.0.get(key).cloned())
    }
    fn get_value_option(&self, _: Version, _: KeyHash) -> anyhow::Result<Option<OwnedValue>> {
        Ok(None)
    }
    fn get_rightmost_leaf(&self) -> anyhow::Result<Option<(NodeKey, LeafNode)>> {
        Ok(None)
    }
}

/// The same work by `jmt`, which is favoured: its nodes are kept decoded.
fn theirs(entries: u64, changed: u64) {
    let mut nodes = OtherNodes::default();
    let mut version = 0;
    for changes in filling(entries) {
        put(&mut nodes, version, &changes);
        version += 1;
    }
    let (mut seconds, mut rows, mut bytes) = (0.0, 0, 0);
    for number in 0..BLOCKS {
        let changes = block(entries, changed, number);
        let (time, written, size) = put(&mut nodes, version, &changes);
        (seconds, rows, bytes) = (seconds + time, rows + written, bytes + size);
        version += 1;
    }
    report("jmt", changed, seconds, rows, bytes);
}

fn put(nodes: &mut OtherNodes, version: Version, changes: &Changes) -> (f64, usize, usize) {
    let values = changes.iter().map(|(key, value)| (KeyHash(key.0), value.map(|value| value.0.to_vec())));
    let values: Vec<_> = values.collect();
    let start = cpu_seconds();
    let tree = JellyfishMerkleTree::<_, Tagged>::new(nodes);
    let (_, batch) = tree.put_value_set(values, version).expect("kept in memory");
    let seconds = cpu_seconds() - start;
    let size =
        |(key, node)| borsh::to_vec(key).map_or(0, |k| k.len()) + borsh::to_vec(node).map_or(0, |n| n.len());
    let (rows, bytes) = (batch.node_batch.nodes().len(), batch.node_batch.nodes().iter().map(size).sum());
    for stale in &batch.stale_node_index_batch {
        nodes.0.remove(&stale.node_key);
    }
    nodes.0.extend(batch.node_batch.nodes().iter().map(|(key, node)| (key.clone(), node.clone())));
    (seconds, rows, bytes)
}
