//! The names of a local network's nodes. Their keys follow from them; the node knows which these are.

use towpath_node::devnet;

/// The most nodes of a local network: all of them decide blocks, and each pair of them talks.
pub const NODES_MAX: usize = devnet::NAMES.len();

/// The names of the first `count` nodes.
#[must_use]
pub fn names(count: usize) -> Vec<&'static str> {
    devnet::NAMES.iter().copied().take(count).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_keys_are_distinct() {
        let key = |name: &str| devnet::seed(name).node_key().public().0;
        let keys: BTreeSet<[u8; 32]> = names(NODES_MAX).into_iter().map(key).collect();
        assert_eq!(keys.len(), NODES_MAX);
    }
}
