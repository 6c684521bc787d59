//! The tree against the Jellyfish Merkle tree of the `jmt` crate, and against itself.

use std::collections::BTreeMap;

use jmt::storage::{Node, NodeKey, TreeReader};
use jmt::{JellyfishMerkleTree, KeyHash, OwnedValue, SimpleHasher, Version};
use proptest::prelude::*;
use towpath_crypto::hash::{Hasher, digest};
use towpath_crypto::{Digest, Domain};

use super::*;

type Entries = BTreeMap<Digest, Digest>;
type Changes = BTreeMap<Digest, Option<Digest>>;

/// Our hash in the shape that the other crate takes.
struct Tagged(Hasher);

impl SimpleHasher for Tagged {
    fn new() -> Self {
        Self(Hasher::new(Domain::StateTree))
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
    fn get_node_option(&self, key: &NodeKey) -> Result<Option<Node>, anyhow::Error> {
        Ok(self.0.get(key).cloned())
    }
    fn get_value_option(&self, _: Version, _: KeyHash) -> Result<Option<OwnedValue>, anyhow::Error> {
        Ok(None)
    }
    fn get_rightmost_leaf(&self) -> Result<Option<(NodeKey, jmt::storage::LeafNode)>, anyhow::Error> {
        Ok(None)
    }
}

/// The root by the other crate, from scratch.
fn other_root(entries: &Entries) -> Digest {
    let nodes = OtherNodes::default();
    let tree = JellyfishMerkleTree::<_, Tagged>::new(&nodes);
    let values = entries.iter().map(|(key, value)| (KeyHash(key.0), Some(value.0.to_vec())));
    let (root, _) = tree.put_value_set(values, 0).expect("an empty tree takes any entries");
    Digest(root.0)
}

/// Few enough distinct keys that they meet, with long common prefixes among them.
fn key(number: u16) -> Digest {
    let mut key = digest(Domain::Test, &[&(number / 3).to_be_bytes()]);
    key.0[31 - usize::from(number % 3) * 7] ^= u8::try_from(number % 3).expect("below three") << 2;
    key
}

fn changes() -> impl Strategy<Value = Changes> {
    let change = (0_u16..60, proptest::option::weighted(0.6, any::<u8>()));
    proptest::collection::vec(change, 0..40).prop_map(|list| {
        list.into_iter().map(|(number, value)| (key(number), value.map(|v| Digest([v; 32])))).collect()
    })
}

fn apply(entries: &mut Entries, changes: &Changes) {
    for (key, value) in changes {
        match value {
            Some(value) => entries.insert(*key, *value),
            None => entries.remove(key),
        };
    }
}

/// Versions 1, 2, … of a tree, with the entries and the root of each.
fn history(blocks: &[Changes]) -> (MemoryNodes, Vec<(Entries, Digest)>) {
    let mut nodes = MemoryNodes::new();
    let (root, batch) = update(&nodes, None, 0, &Changes::new()).expect("nothing is read");
    nodes.apply(batch);
    let mut versions = vec![(Entries::new(), root)];
    for (changes, version) in blocks.iter().zip(1_u64..) {
        let (root, batch) = update(&nodes, Some(version - 1), version, changes).expect("the parent is there");
        nodes.apply(batch);
        let mut entries = versions.last().expect("version 0").0.clone();
        apply(&mut entries, changes);
        versions.push((entries, root));
    }
    (nodes, versions)
}

fn all_of(entries: &Entries) -> Changes {
    entries.iter().map(|(key, value)| (*key, Some(*value))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn l14_root_depends_on_the_entries_alone(blocks in proptest::collection::vec(changes(), 1..6)) {
        let (_, versions) = history(&blocks);
        for (entries, root) in versions {
            let (rebuilt, _) = update(&MemoryNodes::new(), None, 7, &all_of(&entries)).expect("nothing is read");
            prop_assert_eq!(rebuilt, root);
            if !entries.is_empty() {
                prop_assert_eq!(other_root(&entries), root);
            }
        }
    }

    #[test]
    fn every_key_is_proven_present_or_absent(blocks in proptest::collection::vec(changes(), 1..5)) {
        let (nodes, versions) = history(&blocks);
        for ((entries, root), version) in versions.iter().zip(0_u64..) {
            for number in 0..60 {
                let key = key(number);
                let path = prove(&nodes, version, &key).expect("the version is kept");
                let value = entries.get(&key);
                prop_assert_eq!(path.verify(root, &key, value), Ok(()));
                let lie = if value.is_some() { None } else { Some(Digest([1; 32])) };
                prop_assert!(path.verify(root, &key, lie.as_ref()).is_err());
            }
        }
    }

    #[test]
    fn pruning_leaves_the_newer_versions_whole(blocks in proptest::collection::vec(changes(), 3..8), keep in 1_u64..3) {
        let (mut nodes, versions) = history(&blocks);
        let tip = u64::try_from(versions.len()).expect("few") - 1;
        let oldest = tip + 1 - keep;
        for version in 0..=oldest {
            let plan = prune(&nodes, version).expect("rows are whole");
            nodes.prune(&plan);
            prop_assert!(prune(&nodes, version).expect("rows are whole").delete.is_empty());
        }
        for ((entries, expected), version) in versions.iter().zip(0_u64..) {
            if version < oldest {
                prop_assert_eq!(root(&nodes, version), Err(TreeError::NoVersion(version)));
                continue;
            }
            prop_assert_eq!(&root(&nodes, version).expect("kept"), expected);
            for number in 0..60 {
                let path = prove(&nodes, version, &key(number)).expect("kept");
                prop_assert_eq!(path.verify(expected, &key(number), entries.get(&key(number))), Ok(()));
            }
        }
    }

    #[test]
    fn a_tree_of_one_kept_version_holds_no_other_rows(blocks in proptest::collection::vec(changes(), 1..8)) {
        let (mut nodes, versions) = history(&blocks);
        let tip = u64::try_from(versions.len()).expect("few") - 1;
        for version in 0..=tip {
            let plan = prune(&nodes, version).expect("rows are whole");
            nodes.prune(&plan);
        }
        let mut fresh = MemoryNodes::new();
        let (_, batch) = update(&fresh, None, tip, &all_of(&versions.last().expect("some").0)).expect("new");
        fresh.apply(batch);
        let count = |nodes: &MemoryNodes| nodes.rows().filter(|(key, _)| key.first() == Some(&b'n')).count();
        prop_assert_eq!(count(&nodes), count(&fresh));
    }
}

/// Some forty entries, among them some with a long common prefix.
fn forty() -> (MemoryNodes, Changes) {
    let changes: Changes = (0..40).map(|n| (key(n), Some(Digest([1; 32])))).collect();
    let (nodes, _) = history(std::slice::from_ref(&changes));
    (nodes, changes)
}

#[test]
fn a_damaged_row_is_refused_or_harmless() {
    let (nodes, changes) = forty();
    let (mut damages, mut refused) = (0, 0);
    for (row, bytes) in nodes.rows() {
        let places = (0..bytes.len()).filter(|place| *place < 45 || place % 11 == 0);
        for place in places {
            let mut damaged = bytes.to_vec();
            damaged[place] ^= 0x11;
            let mut copy = nodes.clone();
            copy.apply(TreeBatch { rows: vec![(row.to_vec(), damaged)], stale: vec![] });
            // Nothing panics; what is refused is counted.
            damages += 1;
            let wrong = [prove(&copy, 1, &key(1)).is_err(), update(&copy, Some(1), 2, &changes).is_err()];
            refused += usize::from(wrong.contains(&true));
        }
    }
    assert!(refused > damages / 20, "damage to the structure is noticed: {refused} of {damages}");
}

#[test]
fn a_missing_row_is_an_error() {
    let (nodes, _) = forty();
    let rows: Vec<Vec<u8>> =
        nodes.rows().map(|(k, _)| k.to_vec()).filter(|k| k.first() == Some(&b'n') && k.len() > 10).collect();
    assert!(rows.len() > 5, "the tree has inner nodes");
    for row in rows {
        let mut copy = nodes.clone();
        copy.prune(&PrunePlan { delete: vec![row] });
        let other: Changes = (0..40).map(|n| (key(n), Some(Digest([2; 32])))).collect();
        assert!(matches!(update(&copy, Some(1), 2, &other), Err(TreeError::Missing { .. })));
    }
}

#[test]
fn a_version_follows_its_parent() {
    let (nodes, _) = history(&[Changes::new()]);
    assert_eq!(
        update(&nodes, Some(1), 1, &Changes::new()),
        Err(TreeError::NotAfter { version: 1, parent: 1 })
    );
    assert_eq!(update(&nodes, Some(5), 6, &Changes::new()), Err(TreeError::NoVersion(5)));
}

#[test]
fn golden_root_and_row() {
    let changes: Changes = (0..3).map(|n| (key(n), Some(Digest([7; 32])))).collect();
    let (root, batch) = update(&MemoryNodes::new(), None, 9, &changes).expect("nothing is read");
    let rows: Vec<u8> = batch.rows.iter().flat_map(|(key, row)| [key.as_slice(), row].concat()).collect();
    assert_eq!(root.to_string(), "90cde6b4bc4dcce72555df757b3e24b2947e50f35663030c716da4471d3b6907");
    assert_eq!(
        digest(Domain::Test, &[&rows]).to_string(),
        "0696271e1de650f9b739cfe4e69cacbe6ce83bc6b744ffafa48706e1d1d61c87"
    );
    let (empty, _) = update(&MemoryNodes::new(), None, 0, &Changes::new()).expect("nothing is read");
    assert_eq!(empty, PLACEHOLDER);
}
