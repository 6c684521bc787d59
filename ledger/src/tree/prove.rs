//! Paths through the tree: what proves to someone who knows only the root that an entry is there, or is not.

use bincode::{Decode, Encode};
use towpath_crypto::Digest;

use super::hash::{self, PLACEHOLDER};
use super::node::{self, Child, Node, Path, Range};
use super::source::{NodeSource, TreeError};

/// The most siblings that a path can have: the bits of a key.
pub const SIBLINGS_MAX: usize = 256;

/// The way from the root towards a key, as far as the tree goes.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct MerklePath {
    /// The entry at its end: that of the key, or the only one where the key would be; none = nothing is there.
    pub leaf: Option<(Digest, Digest)>,
    /// The hashes beside the way, from its end up to the root.
    pub siblings: Vec<Digest>,
}

/// Why a path does not prove what it is said to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// More siblings than a key has bits.
    #[error("the proof has {0} siblings, more than 256")]
    TooLong(usize),
    /// It ends elsewhere than at the entry.
    #[error("the proof is not one of this entry")]
    OtherEntry,
    /// It ends at the entry that is said to be absent.
    #[error("the proof shows that the entry exists")]
    Exists,
    /// It ends at an entry which does not stand where the absent one would.
    #[error("the proof ends at an unrelated entry")]
    Unrelated,
    /// It leads to another root.
    #[error("the proof does not lead to this state root")]
    OtherRoot,
}

impl MerklePath {
    /// Checks that under `root` the key has exactly this value, or none.
    ///
    /// # Errors
    /// [`PathError`] says why it proves nothing of the kind.
    pub fn verify(&self, root: &Digest, key: &Digest, value: Option<&Digest>) -> Result<(), PathError> {
        if self.siblings.len() > SIBLINGS_MAX {
            return Err(PathError::TooLong(self.siblings.len()));
        }
        let end = match (&self.leaf, value) {
            (Some(leaf), Some(value)) if leaf == &(*key, *value) => hash::leaf(&leaf.0, &leaf.1),
            (Some(_) | None, Some(_)) => return Err(PathError::OtherEntry),
            (Some(leaf), None) if &leaf.0 == key => return Err(PathError::Exists),
            (Some(leaf), None) if common_bits(&leaf.0, key) < self.siblings.len() => {
                return Err(PathError::Unrelated);
            }
            (Some(leaf), None) => hash::leaf(&leaf.0, &leaf.1),
            (None, None) => PLACEHOLDER,
        };
        if &self.climb(end, key) == root { Ok(()) } else { Err(PathError::OtherRoot) }
    }

    fn climb(&self, end: Digest, key: &Digest) -> Digest {
        let depths = (0..self.siblings.len()).rev();
        self.siblings.iter().zip(depths).fold(end, |hash, (sibling, depth)| {
            if bit(key, depth) { hash::inner(sibling, &hash) } else { hash::inner(&hash, sibling) }
        })
    }
}

/// The path towards `key` in version `version`.
///
/// # Errors
/// [`TreeError::NoVersion`] if that version is not kept; the others if the storage is damaged or unreachable.
pub fn prove(source: &impl NodeSource, version: u64, key: &Digest) -> Result<MerklePath, TreeError> {
    let mut node = node::load(source, &Path::ROOT, version)?.ok_or(TreeError::NoVersion(version))?;
    let mut path = Path::ROOT;
    let mut siblings = Vec::new();
    loop {
        match descend(&node, node::nibble(key, path.depth()), &mut siblings) {
            Step::End(leaf) => {
                siblings.reverse();
                return Ok(MerklePath { leaf: leaf.map(|leaf| (leaf.key, leaf.value)), siblings });
            }
            Step::Below { nibble, version } => {
                let row = path.row(version);
                path = path.child(nibble).ok_or_else(|| TreeError::damaged(&row, "too deep"))?;
                node = node::load_child(source, &path, version)?;
            }
        }
    }
}

/// The root of version `version`.
///
/// # Errors
/// As [`prove`].
pub fn root(source: &impl NodeSource, version: u64) -> Result<Digest, TreeError> {
    let node = node::load(source, &Path::ROOT, version)?.ok_or(TreeError::NoVersion(version))?;
    Ok(node.hash(0, 16))
}

enum Step {
    End(Option<node::Leaf>),
    Below { nibble: usize, version: u64 },
}

/// Goes down the four levels inside a node, noting the siblings.
fn descend(node: &Node, nibble: usize, siblings: &mut Vec<Digest>) -> Step {
    for height in (0..=4).rev() {
        let width = 1_usize << height;
        let start = nibble & !(width - 1);
        if height < 4 {
            siblings.push(node.hash(start ^ width, width));
        }
        match node.range(start, width) {
            Range::Empty => return Step::End(None),
            Range::One(Child::Leaf(leaf)) => return Step::End(Some(*leaf)),
            Range::One(Child::Inner { version, .. }) => return Step::Below { nibble, version: *version },
            Range::Many => {}
        }
    }
    Step::End(None)
}

fn bit(key: &Digest, depth: usize) -> bool {
    key.0.get(depth / 8).is_some_and(|byte| byte & (0x80 >> (depth % 8)) != 0)
}

fn common_bits(a: &Digest, b: &Digest) -> usize {
    (0..SIBLINGS_MAX).take_while(|depth| bit(a, *depth) == bit(b, *depth)).count()
}
