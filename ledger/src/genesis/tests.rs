//! Genesis files: what reads back, what is refused and how, and what must never change.

use towpath_crypto::ed25519::SecretKey;
use towpath_crypto::id::{self, Kind};
use towpath_crypto::schnorr::WalletSecret;
use towpath_crypto::{Amount, codec};

use super::*;
use crate::chain::{ChainParams, Validator, ValidatorSet};
use crate::types::{AssetId, Payout, Time};

fn payout(name: u8) -> Payout {
    Payout::Key(WalletSecret::from_bytes([name; 32]).expect("a scalar").public())
}

fn node(name: u8) -> Validator {
    Validator { key: SecretKey::from_bytes(&[name; 32]).public(), power: name.into() }
}

fn genesis() -> Genesis {
    Genesis {
        name: "canal-1".into(),
        time: Time(1_790_000_000_000),
        native: AssetName { symbol: "TOW".into(), decimals: 6 },
        params: ChainParams::default(),
        validators: ValidatorSet::new((1..=4).map(node).collect()).expect("a proper set"),
        assets: vec![AssetName { symbol: "USD".into(), decimals: 2 }],
        allocations: vec![
            Allocation { payout: payout(1), asset: None, amount: Amount(5_000_000) },
            Allocation { payout: payout(2), asset: Some("USD".into()), amount: Amount(7) },
        ],
    }
}

fn text() -> String {
    genesis().to_toml().expect("a proper genesis")
}

/// The error for a proper file in which `from` is replaced by `to`.
fn refused(from: &str, to: &str) -> GenesisError {
    assert!(text().contains(from), "{from} is in the file");
    Genesis::parse(&text().replacen(from, to, 1)).expect_err("not a proper genesis")
}

#[test]
fn a_file_reads_back() {
    assert_eq!(Genesis::parse(&text()), Ok(genesis()));
}

#[test]
fn comments_spacing_and_the_order_of_validators_do_not_matter() {
    let mut tables: Vec<String> = text().split("[[validators]]").map(str::to_owned).collect();
    tables.swap(1, 2);
    let other = format!("# of our canal\n\n{}", tables.join("[[validators]]"));
    assert_ne!(other, text());
    assert_eq!(Genesis::parse(&other).map(|genesis| genesis.chain_id()), Ok(genesis().chain_id()));
}

#[test]
fn every_word_is_part_of_the_chain_id() {
    let id = genesis().chain_id();
    let changes = [
        ("canal-1", "canal-2"),
        ("1790000000000", "1790000000001"),
        ("decimals = 6", "decimals = 7"),
        ("power = 1", "power = 5"),
        ("amount = 7", "amount = 8"),
        ("fee_per_byte = 1", "fee_per_byte = 2"),
        ("clock_drift_ms_max = 1000", "clock_drift_ms_max = 1001"),
    ];
    for (from, to) in changes {
        let other = Genesis::parse(&text().replacen(from, to, 1)).expect("still proper");
        assert_ne!(other.chain_id(), id, "{from} became {to}");
    }
}

#[test]
fn unknown_and_missing_keys_are_refused_with_a_hint() {
    let GenesisError::Toml(message) = refused("fee_per_byte", "fee_per_bite") else { panic!("not the TOML") };
    assert!(message.contains("fee_per_bite") && message.contains("`fee_per_byte`"), "{message}");
    let GenesisError::Toml(message) = refused("output_min = 1000\n", "") else { panic!("not the TOML") };
    assert!(message.contains("output_min"), "{message}");
    let GenesisError::Toml(message) = refused("amount = 7", "amount = -7") else { panic!("not the TOML") };
    assert!(message.contains("line"), "{message}");
}

#[test]
fn what_cannot_work_is_refused() {
    assert!(matches!(refused("canal-1", "Canal 1"), GenesisError::Name(_)));
    assert!(matches!(
        refused("block_bytes_max = 1048576", "block_bytes_max = 1000"),
        GenesisError::Params(_)
    ));
    assert!(matches!(refused("\"TOW\"", "\"TOW!\""), GenesisError::Symbol(_)));
    assert!(matches!(refused("\"TOW\"", "\"USD\""), GenesisError::SymbolTwice(_)));
    assert!(matches!(refused("decimals = 6", "decimals = 19"), GenesisError::Decimals(_)));
    assert!(matches!(
        refused("asset = \"USD\"", "asset = \"EUR\""),
        GenesisError::UnknownAsset { index: 1, .. }
    ));
    assert!(matches!(refused("amount = 5000000", "amount = 5"), GenesisError::TooSmall { index: 0, .. }));
    assert!(matches!(refused("power = 1", "power = 0"), GenesisError::Validators(_)));
    let (one, two) = (node(1).key, node(2).key);
    let id = |key: towpath_crypto::ed25519::PublicKey| id::encode(Kind::Node, &key.0);
    assert!(matches!(refused(&id(one), &id(two)), GenesisError::Validators(_)));
    assert!(matches!(refused(&id(one), "node1xyz"), GenesisError::ValidatorId { .. }));
    let address = id::encode(Kind::Address, &codec::encode(&payout(1)));
    assert!(matches!(refused(&address, &id(one)), GenesisError::Address { index: 0, .. }));
    let garbage = id::encode(Kind::Address, &[9; 40]);
    assert!(matches!(refused(&address, &garbage), GenesisError::AddressContent { index: 0 }));
}

#[test]
fn l6_a_supply_past_the_largest_amount_is_refused() {
    let mut genesis = genesis();
    genesis.allocations = vec![Allocation { payout: payout(1), asset: None, amount: Amount(1 << 62) }; 2];
    assert_eq!(genesis.check(), Err(GenesisError::Supply("TOW".into())));
}

#[test]
fn l8_bounds_of_a_genesis() {
    let many = |count| vec![Allocation { payout: payout(1), asset: None, amount: Amount(1_000) }; count];
    let with = |count| Genesis { allocations: many(count), ..genesis() };
    assert_eq!(with(crate::limits::GENESIS_ALLOCATIONS_MAX).check(), Ok(()));
    for count in [0, crate::limits::GENESIS_ALLOCATIONS_MAX + 1] {
        assert_eq!(with(count).check(), Err(GenesisError::Count { what: "allocations", count }));
    }
    let long = " ".repeat(crate::limits::GENESIS_BYTES_MAX + 1);
    assert_eq!(Genesis::parse(&long), Err(GenesisError::TooLong(long.len())));
}

#[test]
fn l19_a_dispute_window_outlasts_three_times_the_censors() {
    let mut genesis = genesis();
    assert_eq!(genesis.validators.faulty_max(), 2, "those of power 1 and 2 of 10");
    let least = 3 * (2 + 2) * genesis.params.blocks.block_step_ms_max;
    genesis.params.rules.dispute_window_ms_min = least;
    assert_eq!(genesis.check(), Ok(()));
    genesis.params.rules.dispute_window_ms_min = least - 1;
    assert!(
        matches!(genesis.check(), Err(GenesisError::Params(error)) if error.name == "dispute_window_ms_min")
    );
}

#[test]
fn block_0_holds_the_allocations() {
    let genesis = genesis();
    let state = genesis.start().expect("an empty tree");
    let chain = genesis.chain_id();
    assert_eq!((state.block.header.chain, state.block.header.height), (chain, 0));
    assert_eq!(state.entries.len(), 2);
    let (outpoint, entry) = &state.entries[1];
    assert_eq!((outpoint.tx.0, outpoint.index), (chain.0, 1));
    assert_eq!(Some(entry.output.asset), genesis.asset_id("USD"));
    assert_eq!(genesis.asset_id("TOW"), Some(AssetId::NATIVE));
    assert_eq!(genesis.asset_id("EUR"), None);
    let mut nodes = crate::tree::MemoryNodes::new();
    nodes.apply(state.tree.clone());
    let key = crate::proof::StateKey::Output(*outpoint);
    let proof = crate::proof::prove(&nodes, 0, &key).expect("version 0");
    let entry = crate::proof::StateEntry::Output(entry.clone());
    assert_eq!(proof.verify(&state.block.header.state_root, &key, Some(&entry)), Ok(()));
}

#[test]
fn golden_genesis() {
    assert_eq!(text(), include_str!("golden.toml"));
    assert_eq!(
        genesis().chain_id().0.to_string(),
        "b2f49d42dae89ac191621857f02ec8dee09f5815c45e9d5ec350a9ded768f8f3"
    );
    let block = genesis().start().expect("an empty tree").block;
    assert_eq!(block.id().0.to_string(), "f973ddf4775bdae497b33932c939bd296ba05e9276d473b51d4d95f1ca61bdf4");
}
