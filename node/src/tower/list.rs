//! Which towers this node uses, and whether it serves: what was decided at run time, kept across restarts.

use bincode::{Decode, Encode};
use libp2p::Multiaddr;
use towpath_crypto::codec;
use towpath_crypto::codec::Readable;
use towpath_crypto::ed25519::PublicKey;
use towpath_crypto::id::{self, Kind};
use towpath_crypto::readable;
use towpath_store::{Batch, Column, Scan, Store, StoreError};

/// Rows of `Meta`: this prefix ‖ node.
const TOWERS_PREFIX: &[u8] = b"tower/uses/";

/// The row of `Meta` that says whether the node serves, if that was decided at run time.
const SERVES_ROW: &[u8] = b"tower/serves";

/// Bytes of such a row, at most.
const ROW_BYTES_MAX: usize = 2_048;

/// A tower that the node uses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Its node.
    pub node: PublicKey,
    /// Where it can be reached, if that was said.
    pub address: Option<Multiaddr>,
}

/// As people write it: `node1…`, or `node1…@` and where it can be reached.
impl std::str::FromStr for Listed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (node, address) = match text.split_once('@') {
            Some((node, address)) => (node, Some(address)),
            None => (text, None),
        };
        let node =
            id::decode_array(Kind::Node, node).map_err(|error| format!("'{node}' is no node: {error}"))?;
        let address = address
            .map(|address| address.parse().map_err(|error| format!("'{address}' is no address: {error}")))
            .transpose()?;
        Ok(Self { node: PublicKey(node), address })
    }
}

#[derive(Encode, Decode)]
struct Row {
    version: u8,
    address: Option<String>,
    /// Whether it is used; a tower of the configuration that was removed at run time stays removed.
    is_used: bool,
}

fn key(node: &PublicKey) -> Vec<u8> {
    [TOWERS_PREFIX, &node.0].concat()
}

/// The towers of the configuration, with what was added and removed since.
///
/// # Errors
/// When the database cannot be read.
pub fn towers(store: &dyn Store, configured: &[Listed]) -> Result<Vec<Listed>, StoreError> {
    let mut towers: Vec<Listed> = configured.to_vec();
    for (key, row) in store.scan(Column::Meta, &Scan::prefix(TOWERS_PREFIX))? {
        let node = key.strip_prefix(TOWERS_PREFIX).and_then(|node| node.try_into().ok());
        let (Some(node), Ok(row)) = (node, codec::decode::<Row>(&row, ROW_BYTES_MAX)) else {
            return Err(StoreError::Corrupt { what: "the list of towers".to_owned() });
        };
        let node = PublicKey(node);
        towers.retain(|tower| tower.node != node);
        if row.is_used {
            let address = row.address.and_then(|address| address.parse().ok());
            towers.push(Listed { node, address });
        }
    }
    Ok(towers)
}

/// Remembers that the node uses `tower`.
pub fn add(batch: &mut Batch, tower: &Listed) {
    let address = tower.address.as_ref().map(ToString::to_string);
    let row = Row { version: 1, address, is_used: true };
    batch.put(Column::Meta, key(&tower.node), codec::encode(&row));
}

/// Remembers that it does not.
pub fn remove(batch: &mut Batch, node: &PublicKey) {
    let row = Row { version: 1, address: None, is_used: false };
    batch.put(Column::Meta, key(node), codec::encode(&row));
}

/// Whether the node serves.
///
/// # Errors
/// When the database cannot be read.
pub fn serves(store: &dyn Store, configured: bool) -> Result<bool, StoreError> {
    Ok(store.get(Column::Meta, SERVES_ROW)?.map_or(configured, |row| row == [1]))
}

/// Remembers whether it does.
pub fn serve(batch: &mut Batch, serves: bool) {
    batch.put(Column::Meta, SERVES_ROW, vec![u8::from(serves)]);
}

/// How its rows are read.
pub(crate) fn decoders() -> Vec<Readable> {
    readable![ROW_BYTES_MAX => Row]
}

#[cfg(test)]
mod tests {
    use towpath_store::MemoryStore;

    use super::*;

    fn listed(number: u8, address: Option<&str>) -> Listed {
        Listed { node: PublicKey([number; 32]), address: address.map(|address| address.parse().unwrap()) }
    }

    #[test]
    fn what_was_decided_at_run_time_goes_before_the_configuration() {
        let store = MemoryStore::new();
        let configured = [listed(1, None), listed(2, None)];
        assert_eq!(towers(&store, &configured).unwrap(), configured);
        let mut batch = Batch::new();
        let third = listed(3, Some("/ip4/127.0.0.1/tcp/9"));
        add(&mut batch, &third);
        remove(&mut batch, &PublicKey([1; 32]));
        serve(&mut batch, true);
        store.commit(batch).unwrap();
        assert_eq!(towers(&store, &configured).unwrap(), [listed(2, None), third]);
        assert!(serves(&store, false).unwrap());
        let mut batch = Batch::new();
        serve(&mut batch, false);
        add(&mut batch, &listed(1, None));
        store.commit(batch).unwrap();
        assert!(!serves(&store, true).unwrap());
        assert_eq!(towers(&store, &configured).unwrap().len(), 3);
    }
}
