//! Who opens a channel with whom.

use std::str::FromStr;

/// The shape of a network's channels.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topology {
    /// Each with the next.
    Line,
    /// Each with the next, and the last with the first.
    #[default]
    Ring,
    /// The first with all others.
    Star,
    /// Each with each.
    Mesh,
}

impl Topology {
    /// The pairs (opener, acceptor) among `nodes` nodes, each pair once.
    #[must_use]
    pub fn edges(self, nodes: usize) -> Vec<(usize, usize)> {
        let line = (1..nodes).map(|node| (node - 1, node));
        match self {
            Self::Line => line.collect(),
            Self::Ring if nodes > 2 => line.chain([(nodes - 1, 0)]).collect(),
            Self::Ring => line.collect(),
            Self::Star => (1..nodes).map(|node| (0, node)).collect(),
            Self::Mesh => {
                (0..nodes).flat_map(|left| (left + 1..nodes).map(move |right| (left, right))).collect()
            }
        }
    }
}

/// A name that is no topology.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no topology: use line, ring, star or mesh")]
pub struct UnknownTopology(pub String);

impl FromStr for Topology {
    type Err = UnknownTopology;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "line" => Ok(Self::Line),
            "ring" => Ok(Self::Ring),
            "star" => Ok(Self::Star),
            "mesh" => Ok(Self::Mesh),
            other => Err(UnknownTopology(other.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_topology_joins_all_nodes_and_repeats_no_pair() {
        for topology in [Topology::Line, Topology::Ring, Topology::Star, Topology::Mesh] {
            for nodes in 2..8 {
                let edges = topology.edges(nodes);
                let joined: BTreeSet<_> = edges.iter().flat_map(|(a, b)| [*a, *b]).collect();
                assert_eq!(joined.len(), nodes, "{topology:?} of {nodes}");
                let pairs: BTreeSet<_> = edges.iter().map(|(a, b)| (a.min(b), a.max(b))).collect();
                assert_eq!(pairs.len(), edges.len(), "{topology:?} of {nodes}");
                assert!(edges.iter().all(|(a, b)| a != b));
            }
            assert!(topology.edges(1).is_empty());
        }
    }
}
