//! The nodes of the tree and their rows: sixteen children a node, so that four levels of the binary tree cost one read.
//!
//! A subtree with one entry is that entry's leaf, which stands in the parent's row; an inner node below the root
//! therefore holds at least two entries. The root's row is there at each version, even without entries.

use towpath_crypto::Digest;
use towpath_crypto::codec::Readable;

use super::hash;
use super::source::TreeError;

/// What a row of nodes begins with; the next layout takes the next number.
const FORMAT: u8 = 1;
/// The kind of rows that hold nodes.
const NODE_ROW: u8 = b'n';
/// The kind of rows that list which nodes became stale at one version.
const STALE_ROW: u8 = b's';

/// Nibbles in a key.
pub(super) const DEPTH_MAX: usize = 64;
const HEADER_BYTES: usize = 5;
const LEAF_BYTES: usize = 96;
const INNER_BYTES: usize = 40;

/// Which nodes became stale at `version`.
pub(super) fn stale_row(version: u64) -> Vec<u8> {
    let mut key = vec![STALE_ROW];
    key.extend_from_slice(&version.to_be_bytes());
    key
}

/// The nibble of `key` at `depth`.
pub(super) fn nibble(key: &Digest, depth: usize) -> usize {
    let byte = key.0[depth / 2];
    usize::from(if depth.is_multiple_of(2) { byte >> 4 } else { byte & 0x0f })
}

/// The way from the root to a node: the first nibbles of all keys below it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    packed: [u8; 32],
    depth: u8,
}

impl Path {
    /// The root's.
    pub(super) const ROOT: Self = Self { packed: [0; 32], depth: 0 };

    /// Nibbles from the root.
    pub(super) fn depth(&self) -> usize {
        usize::from(self.depth)
    }

    /// The path of the child at `nibble`; `None` past the last nibble of a key.
    pub(super) fn child(mut self, nibble: usize) -> Option<Self> {
        let depth = self.depth();
        if depth >= DEPTH_MAX {
            return None;
        }
        let value = u8::try_from(nibble & 0x0f).expect("a nibble fits a byte");
        self.packed[depth / 2] |= if depth.is_multiple_of(2) { value << 4 } else { value };
        self.depth += 1;
        Some(self)
    }

    /// Whether `key` lies below this path.
    fn covers(&self, key: &Digest) -> bool {
        let full = self.depth() / 2;
        key.0[..full] == self.packed[..full]
            && (self.depth().is_multiple_of(2) || key.0[full] & 0xf0 == self.packed[full])
    }

    /// The key of the row of the node that `version` made at this path.
    pub(super) fn row(&self, version: u64) -> Vec<u8> {
        let bytes = self.depth().div_ceil(2);
        let mut key = Vec::with_capacity(10 + bytes);
        key.push(NODE_ROW);
        key.extend_from_slice(&version.to_be_bytes());
        key.push(self.depth);
        key.extend_from_slice(&self.packed[..bytes]);
        key
    }
}

/// What a node knows of one child.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Child {
    /// The only entry below.
    Leaf(Leaf),
    /// A node of its own.
    Inner {
        /// The version that made it; part of its row's key.
        version: u64,
        /// Its hash.
        hash: Digest,
    },
}

/// An entry of the tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Leaf {
    pub(super) key: Digest,
    pub(super) value: Digest,
    hash: Digest,
}

impl Leaf {
    /// With its hash, which is kept so that changing a neighbour does not compute it again.
    pub(super) fn new(key: Digest, value: Digest) -> Self {
        Self { key, value, hash: hash::leaf(&key, &value) }
    }
}

impl Child {
    pub(super) fn hash(&self) -> &Digest {
        match self {
            Self::Leaf(leaf) => &leaf.hash,
            Self::Inner { hash, .. } => hash,
        }
    }
}

/// Up to sixteen children.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Node {
    pub(super) children: [Option<Child>; 16],
}

impl Node {
    /// The hash of the binary subtree over `width` children from `start` on.
    pub(super) fn hash(&self, start: usize, width: usize) -> Digest {
        match self.range(start, width) {
            Range::Empty => hash::PLACEHOLDER,
            Range::One(child) => *child.hash(),
            Range::Many => {
                let half = width / 2;
                hash::inner(&self.hash(start, half), &self.hash(start + half, half))
            }
        }
    }

    /// What the binary subtree over `width` children from `start` on is.
    pub(super) fn range(&self, start: usize, width: usize) -> Range<'_> {
        let mut found = None;
        for child in self.children.iter().skip(start).take(width).flatten() {
            if found.replace(child).is_some() {
                return Range::Many;
            }
        }
        match found {
            None => Range::Empty,
            // A single inner node is only reached at its own place: its entries need the levels above it.
            Some(child @ Child::Inner { .. }) if width == 1 => Range::One(child),
            Some(Child::Inner { .. }) => Range::Many,
            Some(child @ Child::Leaf(_)) => Range::One(child),
        }
    }

    /// The row's bytes: format, which children there are, which of them are leaves, then each in its fixed size.
    pub(super) fn encode(&self) -> Vec<u8> {
        let (mut present, mut leaves) = (0_u16, 0_u16);
        let mut bytes = vec![FORMAT, 0, 0, 0, 0];
        for (index, child) in self.children.iter().enumerate() {
            match child {
                None => {}
                Some(Child::Leaf(leaf)) => {
                    present |= 1 << index;
                    leaves |= 1 << index;
                    bytes.extend_from_slice(&leaf.key.0);
                    bytes.extend_from_slice(&leaf.value.0);
                    bytes.extend_from_slice(&leaf.hash.0);
                }
                Some(Child::Inner { version, hash }) => {
                    present |= 1 << index;
                    bytes.extend_from_slice(&version.to_be_bytes());
                    bytes.extend_from_slice(&hash.0);
                }
            }
        }
        bytes[1..3].copy_from_slice(&present.to_be_bytes());
        bytes[3..5].copy_from_slice(&leaves.to_be_bytes());
        bytes
    }

    /// The node in a row, with everything checked that its place in the tree says about it.
    pub(super) fn decode(bytes: &[u8], path: &Path, version: u64) -> Result<Self, &'static str> {
        let Some((&[format, p0, p1, l0, l1], mut rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err("too short");
        };
        let (present, leaves) = (u16::from_be_bytes([p0, p1]), u16::from_be_bytes([l0, l1]));
        if format != FORMAT {
            return Err("unknown format");
        }
        if leaves & !present != 0 {
            return Err("a leaf without a child");
        }
        let mut node = Self::default();
        for (index, slot) in node.children.iter_mut().enumerate() {
            let bit = 1_u16 << index;
            if present & bit == 0 {
                continue;
            }
            let below = path.child(index).ok_or("too deep")?;
            let (child, after) =
                if leaves & bit == 0 { take_inner(rest, version)? } else { take_leaf(rest, &below)? };
            *slot = Some(child);
            rest = after;
        }
        if !rest.is_empty() {
            return Err("trailing bytes");
        }
        if path.depth() > 0 && matches!(node.range(0, 16), Range::Empty | Range::One(_)) {
            return Err("fewer than two entries below an inner node");
        }
        Ok(node)
    }
}

/// How a row of the root is read, which any key may be below.
pub(super) fn decoder() -> Readable {
    let read = |bytes: &[u8]| Node::decode(bytes, &Path::ROOT, u64::MAX).ok().map(|node| node.encode());
    let limit = HEADER_BYTES + 16 * LEAF_BYTES;
    Readable { name: "towpath_ledger::tree::node::Node", limit, read }
}

fn take_leaf<'a>(bytes: &'a [u8], below: &Path) -> Result<(Child, &'a [u8]), &'static str> {
    let (fields, rest) = bytes.split_first_chunk::<LEAF_BYTES>().ok_or("too short")?;
    let leaf = Leaf { key: part(fields, 0), value: part(fields, 32), hash: part(fields, 64) };
    if !below.covers(&leaf.key) {
        return Err("a leaf in the wrong place");
    }
    Ok((Child::Leaf(leaf), rest))
}

fn take_inner(bytes: &[u8], version_max: u64) -> Result<(Child, &[u8]), &'static str> {
    let (fields, rest) = bytes.split_first_chunk::<INNER_BYTES>().ok_or("too short")?;
    let (head, _) = fields.split_first_chunk::<8>().ok_or("too short")?;
    let version = u64::from_be_bytes(*head);
    if version > version_max {
        return Err("a child newer than its parent");
    }
    Ok((Child::Inner { version, hash: part(fields, 8) }, rest))
}

/// The 32 bytes of a fixed-size child from `start` on.
fn part(fields: &[u8], start: usize) -> Digest {
    let mut digest = Digest::ZERO;
    digest.0.copy_from_slice(&fields[start..start + 32]);
    digest
}

/// What a binary subtree inside a node is.
pub(super) enum Range<'a> {
    /// Without entries.
    Empty,
    /// One leaf, or one inner node at its own place.
    One(&'a Child),
    /// Anything else.
    Many,
}

/// Reads the node that `version` made at `path`.
pub(super) fn load(
    source: &impl super::NodeSource,
    path: &Path,
    version: u64,
) -> Result<Option<Node>, TreeError> {
    let key = path.row(version);
    let Some(bytes) = source.node(&key)? else { return Ok(None) };
    Node::decode(&bytes, path, version).map(Some).map_err(|reason| TreeError::damaged(&key, reason))
}

/// Reads a node that its parent names. Its hash is not computed again: the storage's checksums guard rows at rest, and
/// a wrong node shows in the state root of the next block that touches it.
pub(super) fn load_child(
    source: &impl super::NodeSource,
    path: &Path,
    version: u64,
) -> Result<Node, TreeError> {
    load(source, path, version)?.ok_or_else(|| TreeError::missing(&path.row(version)))
}
