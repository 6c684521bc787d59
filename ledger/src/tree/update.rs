//! Makes the next version of the tree out of the last one and a block's changes.
//!
//! All changes go down together, so a node that many of them touch is read, hashed and written once.

use std::collections::BTreeMap;

use towpath_crypto::Digest;

use super::node::{self, Child, DEPTH_MAX, Leaf, Node, Path};
use super::source::{NodeSource, TreeError};

/// What a version adds to the storage.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TreeBatch {
    /// Rows to write: the new nodes, and one row that lists [`TreeBatch::stale`] for [`super::prune()`].
    pub rows: Vec<(Vec<u8>, Vec<u8>)>,
    /// Rows that this version no longer needs, but the versions before it do.
    pub stale: Vec<Vec<u8>>,
}

/// Makes version `version` out of version `parent` (none = a tree without entries). A change maps a key to its new
/// value, or to nothing if the entry goes; taking away what is not there changes nothing.
///
/// Returns the root and what is to be written with the block. The root depends on the entries alone.
///
/// # Errors
/// [`TreeError`]: the storage is incomplete, damaged or unreachable.
pub fn update(
    source: &impl NodeSource,
    parent: Option<u64>,
    version: u64,
    changes: &BTreeMap<Digest, Option<Digest>>,
) -> Result<(Digest, TreeBatch), TreeError> {
    let mut writer = Writer { source, version, batch: TreeBatch::default() };
    let mut root = match parent {
        None => Node::default(),
        Some(parent) if parent >= version => return Err(TreeError::NotAfter { version, parent }),
        Some(parent) => {
            let root = node::load(source, &Path::ROOT, parent)?.ok_or(TreeError::NoVersion(parent))?;
            writer.batch.stale.push(Path::ROOT.row(parent));
            root
        }
    };
    let changes: Vec<Change> = changes.iter().map(|(key, value)| (*key, *value)).collect();
    writer.change_children(&mut root, &Path::ROOT, &changes)?;
    let hash = root.hash(0, 16);
    writer.batch.rows.push((Path::ROOT.row(version), root.encode()));
    writer.batch.rows.push((node::stale_row(version), super::prune::encode_stale(&writer.batch.stale)));
    Ok((hash, writer.batch))
}

type Change = (Digest, Option<Digest>);

struct Writer<'a, S> {
    source: &'a S,
    version: u64,
    batch: TreeBatch,
}

impl<S: NodeSource> Writer<'_, S> {
    /// Applies sorted changes to the children of the node at `path`; whether anything changed.
    fn change_children(
        &mut self,
        node: &mut Node,
        path: &Path,
        changes: &[Change],
    ) -> Result<bool, TreeError> {
        let mut changed = false;
        for (index, group) in groups(changes, path.depth()) {
            let Some(slot) = node.children.get_mut(index) else { continue };
            let below =
                path.child(index).ok_or_else(|| TreeError::damaged(&path.row(self.version), "too deep"))?;
            let after = self.change_child(*slot, &below, group)?;
            changed |= after != *slot;
            *slot = after;
        }
        Ok(changed)
    }

    fn change_child(
        &mut self,
        child: Option<Child>,
        path: &Path,
        changes: &[Change],
    ) -> Result<Option<Child>, TreeError> {
        match child {
            None => Ok(self.grow(path, &inserted(changes, None))),
            Some(Child::Leaf(leaf)) => {
                let after = self.grow(path, &inserted(changes, Some(leaf)));
                Ok(after)
            }
            Some(Child::Inner { version, .. }) => {
                let mut node = node::load_child(self.source, path, version)?;
                if !self.change_children(&mut node, path, changes)? {
                    return Ok(child);
                }
                self.batch.stale.push(path.row(version));
                Ok(self.settle(path, &node))
            }
        }
    }

    /// The subtree over `leaves`, which are sorted and distinct.
    fn grow(&mut self, path: &Path, leaves: &[Leaf]) -> Option<Child> {
        match leaves {
            [] => None,
            [leaf] => Some(Child::Leaf(*leaf)),
            many => {
                let mut node = Node::default();
                let mut rest = many;
                while let Some(first) = rest.first() {
                    let index = node::nibble(&first.key, path.depth());
                    let size = rest.partition_point(|leaf| node::nibble(&leaf.key, path.depth()) == index);
                    let (group, after) = rest.split_at(size);
                    let below = path.child(index).expect("distinct keys part before their last nibble");
                    if let Some(slot) = node.children.get_mut(index) {
                        *slot = self.grow(&below, group);
                    }
                    rest = after;
                }
                self.settle(path, &node)
            }
        }
    }

    /// The child that stands for `node`: nothing, its only entry, or a row of its own.
    fn settle(&mut self, path: &Path, node: &Node) -> Option<Child> {
        match node.range(0, 16) {
            super::node::Range::Empty => None,
            super::node::Range::One(child) => Some(*child),
            super::node::Range::Many => {
                self.batch.rows.push((path.row(self.version), node.encode()));
                Some(Child::Inner { version: self.version, hash: node.hash(0, 16) })
            }
        }
    }
}

/// Sorted changes in groups of one nibble at `depth`.
fn groups(changes: &[Change], depth: usize) -> impl Iterator<Item = (usize, &[Change])> {
    debug_assert!(depth < DEPTH_MAX, "a node has a nibble left to split by");
    changes
        .chunk_by(move |(a, _), (b, _)| node::nibble(a, depth) == node::nibble(b, depth))
        .filter_map(move |group| group.first().map(|(key, _)| (node::nibble(key, depth), group)))
}

/// The entries below a place that held at most `existing`, after `changes`.
fn inserted(changes: &[Change], existing: Option<Leaf>) -> Vec<Leaf> {
    let mut leaves: Vec<Leaf> =
        changes.iter().filter_map(|(key, value)| value.map(|value| Leaf::new(*key, value))).collect();
    if let Some(leaf) = existing
        && let Err(place) = changes.binary_search_by(|(key, _)| key.cmp(&leaf.key))
    {
        // `place` counts removals too; the leaves before it are those with smaller keys.
        let place = changes.iter().take(place).filter(|(_, value)| value.is_some()).count();
        leaves.insert(place, leaf);
    }
    leaves
}
