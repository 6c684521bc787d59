//! A cheater, for tests alone: what a party can do with its own keys and an old copy of its data. No node does this.

use std::path::Path;
use std::sync::Arc;

use towpath_crypto::codec;
use towpath_crypto::id::{self, Kind};
use towpath_ledger::genesis::Genesis;
use towpath_ledger::settle::{self, Place, Posting};
use towpath_ledger::{ChannelId, Digest, Transaction};
use towpath_node::devnet;
use towpath_protocol::{Channel, Command, Effect, Event, Immediate, KeySigner, Now};
use towpath_store::{Column, RocksOptions, RocksStore, Scan, Store};

/// Copies a stopped node's data folder.
///
/// # Panics
/// When it cannot be copied.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a file");
        }
    }
}

/// The channel as a copy of `name`'s data folder has it.
fn channel_in(folder: &Path, name: &str, channel: ChannelId) -> Channel {
    let opened = RocksStore::open(&RocksOptions::new(folder.join("store"))).expect("a copy of a store");
    let rows = opened.store.scan(Column::Channels, &Scan::prefix(&channel.0.0)).expect("it reads");
    let rows: Vec<(Vec<u8>, Vec<u8>)> = rows
        .into_iter()
        .map(|(key, value)| (key[32..].to_vec(), value))
        // The node's own rows are beside the machine's.
        .filter(|(suffix, _)| !suffix.starts_with(b"~"))
        .collect();
    let parts = || rows.iter().map(|(key, value)| (key.as_slice(), value.as_slice()));
    let index = Channel::key_index_of(parts()).expect("a channel's rows");
    let signer = KeySigner::new(devnet::seed(name).channel_key(index));
    Channel::restore(parts(), Arc::new(signer)).expect("a channel's rows")
}

/// The close that `name` posts by the newest state in an old copy of its data, and the version of that state.
///
/// # Panics
/// When the copy has no such channel, or it cannot be closed.
#[must_use]
pub fn stale_close(folder: &Path, genesis: &Path, name: &str, channel: &str) -> (Transaction, u64) {
    let genesis = Genesis::parse(&std::fs::read_to_string(genesis).expect("a genesis")).expect("a genesis");
    let id = ChannelId(Digest(id::decode_array(Kind::Channel, channel).expect("a channel's id")));
    let mut machine = channel_in(folder, name, id);
    let params = &genesis.params.rules;
    let place = Place { chain: genesis.chain_id(), params, asset: machine.asset() };
    let (terms, capacity) = (machine.terms().clone(), machine.capacity());
    let fee = settle::unilateral_fee(&place, &terms, (machine.state(), capacity), machine.me());
    let command = Command::ForceClose { fee: fee.expect("balances cover it") };
    let now = Now { local_ms: 1, ledger: genesis.time };
    let force = Event::Command { token: 1, command };
    machine.step(force, now, &mut Immediate).expect("an active channel");
    let outcome = machine.step(Event::TurnEnd, now, &mut Immediate).expect("a turn ends");
    let posted = outcome.effects.into_iter().find_map(|effect| match effect {
        Effect::PostClose { funding, state, author, fee, signature } => {
            let posting = Posting { funding, capacity, terms: &terms, state: &state, author, fee, signature };
            Some((settle::unilateral(&place, &posting).ok()?, state.state.version))
        }
        _ => None,
    });
    posted.expect("a forced close posts")
}

/// A transaction as the API takes it.
#[must_use]
pub fn encoded(transaction: &Transaction) -> String {
    codec::encode(transaction).iter().map(|byte| format!("{byte:02x}")).collect()
}
