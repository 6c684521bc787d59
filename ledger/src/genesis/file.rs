//! The shape of a genesis file, and the way from it and to it.
//!
//! Each parameter is written out: a default would let two versions of the software read two ledgers into one file.

use serde::{Deserialize, Serialize};
use towpath_crypto::codec;
use towpath_crypto::ed25519::PublicKey;
use towpath_crypto::id::{self, Kind};

use super::content::{Allocation, AssetName, Genesis};
use super::error::GenesisError;
use crate::chain::{BlockParams, ChainParams, Validator, ValidatorSet};
use crate::limits;
use crate::rules::Params;
use crate::types::{Amount, Payout, Time};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    time_ms: u64,
    native: FileAsset,
    params: FileParams,
    validators: Vec<FileValidator>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    assets: Vec<FileAsset>,
    allocations: Vec<FileAllocation>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileAsset {
    symbol: String,
    decimals: u8,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileValidator {
    node: String,
    power: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileAllocation {
    address: String,
    amount: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asset: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileParams {
    fee_per_byte: u64,
    output_min: u64,
    transaction_bytes_max: u32,
    block_bytes_max: u32,
    reserved_basis_points: u16,
    block_step_ms_max: u64,
    clock_drift_ms_max: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    time_travel: bool,
    dispute_window_ms_min: u64,
    dispute_window_ms_max: u64,
    penalty_basis_points_max: u16,
    close_fee_basis_points_max: u16,
    conditional_expiry_ms_max: u64,
    secret_retention_ms: u64,
}

impl Genesis {
    /// Reads a genesis file.
    ///
    /// # Errors
    /// [`GenesisError`] says what is wrong, and where; an unknown key is refused with those that there are.
    pub fn parse(text: &str) -> Result<Self, GenesisError> {
        if text.len() > limits::GENESIS_BYTES_MAX {
            return Err(GenesisError::TooLong(text.len()));
        }
        let file: File = toml::from_str(text).map_err(|error| GenesisError::Toml(error.to_string()))?;
        let validators = file.validators.iter().enumerate().map(read_validator).collect::<Result<_, _>>()?;
        let allocations =
            file.allocations.iter().enumerate().map(read_allocation).collect::<Result<_, _>>()?;
        let mut assets: Vec<AssetName> = file.assets.into_iter().map(AssetName::from).collect();
        assets.sort_unstable();
        let genesis = Self {
            name: file.name,
            time: Time(file.time_ms),
            native: file.native.into(),
            params: file.params.into(),
            validators: ValidatorSet::new(validators)?,
            assets,
            allocations,
        };
        genesis.check()?;
        Ok(genesis)
    }

    /// The file that reads back as this genesis.
    ///
    /// # Errors
    /// [`GenesisError`] if it is not a valid one.
    pub fn to_toml(&self) -> Result<String, GenesisError> {
        self.check()?;
        let file = File {
            name: self.name.clone(),
            time_ms: self.time.0,
            native: (&self.native).into(),
            params: (&self.params).into(),
            validators: self.validators.members().iter().map(FileValidator::from).collect(),
            assets: self.assets.iter().map(FileAsset::from).collect(),
            allocations: self.allocations.iter().map(FileAllocation::from).collect(),
        };
        toml::to_string(&file).map_err(|error| GenesisError::Toml(error.to_string()))
    }
}

fn read_validator((index, validator): (usize, &FileValidator)) -> Result<Validator, GenesisError> {
    let key = id::decode_array(Kind::Node, &validator.node)
        .map_err(|error| GenesisError::ValidatorId { index, error })?;
    Ok(Validator { key: PublicKey(key), power: validator.power })
}

fn read_allocation((index, allocation): (usize, &FileAllocation)) -> Result<Allocation, GenesisError> {
    let bytes = id::decode(Kind::Address, &allocation.address)
        .map_err(|error| GenesisError::Address { index, error })?;
    let payout: Payout =
        codec::decode(&bytes, bytes.len()).map_err(|_| GenesisError::AddressContent { index })?;
    Ok(Allocation { payout, asset: allocation.asset.clone(), amount: Amount(allocation.amount) })
}

impl From<&Validator> for FileValidator {
    fn from(validator: &Validator) -> Self {
        Self { node: id::encode(Kind::Node, &validator.key.0), power: validator.power }
    }
}

impl From<&Allocation> for FileAllocation {
    fn from(allocation: &Allocation) -> Self {
        Self {
            address: id::encode(Kind::Address, &codec::encode(&allocation.payout)),
            amount: allocation.amount.units(),
            asset: allocation.asset.clone(),
        }
    }
}

impl From<FileAsset> for AssetName {
    fn from(asset: FileAsset) -> Self {
        Self { symbol: asset.symbol, decimals: asset.decimals }
    }
}

impl From<&AssetName> for FileAsset {
    fn from(asset: &AssetName) -> Self {
        Self { symbol: asset.symbol.clone(), decimals: asset.decimals }
    }
}

impl From<FileParams> for ChainParams {
    fn from(file: FileParams) -> Self {
        let rules = Params {
            fee_per_byte: Amount(file.fee_per_byte),
            output_min: Amount(file.output_min),
            transaction_bytes_max: file.transaction_bytes_max,
            dispute_window_ms_min: file.dispute_window_ms_min,
            dispute_window_ms_max: file.dispute_window_ms_max,
            penalty_basis_points_max: file.penalty_basis_points_max,
            close_fee_basis_points_max: file.close_fee_basis_points_max,
            conditional_expiry_ms_max: file.conditional_expiry_ms_max,
            secret_retention_ms: file.secret_retention_ms,
        };
        let blocks = BlockParams {
            block_bytes_max: file.block_bytes_max,
            reserved_basis_points: file.reserved_basis_points,
            block_step_ms_max: file.block_step_ms_max,
            clock_drift_ms_max: file.clock_drift_ms_max,
            time_travel: file.time_travel,
        };
        Self { rules, blocks }
    }
}

impl From<&ChainParams> for FileParams {
    fn from(params: &ChainParams) -> Self {
        let ChainParams { rules, blocks } = params;
        Self {
            fee_per_byte: rules.fee_per_byte.units(),
            output_min: rules.output_min.units(),
            transaction_bytes_max: rules.transaction_bytes_max,
            block_bytes_max: blocks.block_bytes_max,
            reserved_basis_points: blocks.reserved_basis_points,
            block_step_ms_max: blocks.block_step_ms_max,
            clock_drift_ms_max: blocks.clock_drift_ms_max,
            time_travel: blocks.time_travel,
            dispute_window_ms_min: rules.dispute_window_ms_min,
            dispute_window_ms_max: rules.dispute_window_ms_max,
            penalty_basis_points_max: rules.penalty_basis_points_max,
            close_fee_basis_points_max: rules.close_fee_basis_points_max,
            conditional_expiry_ms_max: rules.conditional_expiry_ms_max,
            secret_retention_ms: rules.secret_retention_ms,
        }
    }
}
