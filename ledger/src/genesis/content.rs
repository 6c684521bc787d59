//! What a genesis says, which of it is allowed, and the chain id that follows.

use std::collections::{BTreeMap, BTreeSet};

use bincode::{Decode, Encode};
use towpath_crypto::hash::digest;
use towpath_crypto::{Amount, ChainId, Domain, codec};

use super::error::GenesisError;
use crate::chain::{ChainParams, Validator, ValidatorSet};
use crate::limits;
use crate::types::{AssetId, OutPoint, Payout, Time, TxId};

/// The largest number in a genesis: what TOML's integers hold.
const NUMBER_MAX: u64 = i64::MAX.unsigned_abs();

/// A genesis. [`Genesis::parse`] gives only valid ones; one that is put together by hand is checked by
/// [`Genesis::check`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Genesis {
    /// The ledger's name, for people: lower-case letters, digits and hyphens.
    pub name: String,
    /// The time of block 0.
    pub time: Time,
    /// What the asset in which fees are paid is called.
    pub native: AssetName,
    /// The parameters of the rules.
    pub params: ChainParams,
    /// Who decides blocks.
    pub validators: ValidatorSet,
    /// Assets that exist from the start beside the native one, ascending by symbol and distinct.
    pub assets: Vec<AssetName>,
    /// Who owns what at the start, in the order of the outputs of block 0.
    pub allocations: Vec<Allocation>,
}

/// How people call an asset and write its amounts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Debug)]
pub struct AssetName {
    /// One to twelve ASCII letters and digits.
    pub symbol: String,
    /// One unit on a screen is so many powers of ten in base units.
    pub decimals: u8,
}

/// An output of block 0.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Allocation {
    /// Who owns it.
    pub payout: Payout,
    /// The symbol of its asset; none = the native one.
    pub asset: Option<String>,
    /// How much.
    pub amount: Amount,
}

/// The canonical form: what the chain id is the hash of.
#[derive(Encode)]
struct Canonical<'a> {
    name: &'a str,
    time: Time,
    native: &'a AssetName,
    params: &'a ChainParams,
    validators: &'a [Validator],
    assets: &'a [AssetName],
    allocations: &'a [Allocation],
}

impl Genesis {
    /// The chain id: the hash of the canonical encoding, in which validators and assets are sorted.
    #[must_use]
    pub fn chain_id(&self) -> ChainId {
        let canonical = Canonical {
            name: &self.name,
            time: self.time,
            native: &self.native,
            params: &self.params,
            validators: self.validators.members(),
            assets: &self.assets,
            allocations: &self.allocations,
        };
        ChainId(digest(Domain::Genesis, &[&codec::encode(&canonical)]))
    }

    /// The id of an asset that exists from the start. Its outpoint counts down from the largest index, where no output
    /// of block 0 is, so that no issue can have the same id.
    #[must_use]
    pub fn asset_id(&self, symbol: &str) -> Option<AssetId> {
        if symbol == self.native.symbol {
            return Some(AssetId::NATIVE);
        }
        let position = self.assets.iter().position(|asset| asset.symbol == symbol)?;
        let index = u32::MAX - u32::try_from(position).ok()?;
        let chain = self.chain_id();
        Some(AssetId::issued_by(&chain, &OutPoint { tx: TxId(chain.0), index }))
    }

    /// Checks that a ledger can start from it.
    ///
    /// # Errors
    /// [`GenesisError`] names the first thing that is wrong.
    pub fn check(&self) -> Result<(), GenesisError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=limits::CHAIN_NAME_BYTES_MAX).contains(&self.name.len()) || !self.name.bytes().all(plain) {
            return Err(GenesisError::Name(self.name.clone()));
        }
        if self.time.0 > NUMBER_MAX {
            return Err(GenesisError::Time(self.time));
        }
        self.params.check(self.validators.faulty_max())?;
        if let Some(weak) = self.validators.members().iter().find(|member| member.key.is_weak()) {
            return Err(GenesisError::ValidatorKey(weak.key));
        }
        self.check_assets()?;
        self.check_allocations()
    }

    fn check_assets(&self) -> Result<(), GenesisError> {
        if self.assets.len() > limits::GENESIS_ASSETS_MAX {
            return Err(GenesisError::Count { what: "assets", count: self.assets.len() });
        }
        let mut seen = BTreeSet::new();
        for asset in std::iter::once(&self.native).chain(&self.assets) {
            let symbol = &asset.symbol;
            let fits = (1..=limits::SYMBOL_BYTES_MAX).contains(&symbol.len());
            if !fits || !symbol.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return Err(GenesisError::Symbol(symbol.clone()));
            }
            if !seen.insert(symbol) {
                return Err(GenesisError::SymbolTwice(symbol.clone()));
            }
            if asset.decimals > limits::DECIMALS_MAX {
                return Err(GenesisError::Decimals(symbol.clone()));
            }
        }
        if self.assets.is_sorted() { Ok(()) } else { Err(GenesisError::UnsortedAssets) }
    }

    fn check_allocations(&self) -> Result<(), GenesisError> {
        let count = self.allocations.len();
        if !(1..=limits::GENESIS_ALLOCATIONS_MAX).contains(&count) {
            return Err(GenesisError::Count { what: "allocations", count });
        }
        let mut supplies: BTreeMap<&str, Amount> = BTreeMap::new();
        for (index, allocation) in self.allocations.iter().enumerate() {
            allocation.payout.check().map_err(|fault| GenesisError::Payout { index, fault })?;
            let symbol = allocation.asset.as_deref().unwrap_or(&self.native.symbol);
            let least = match &allocation.asset {
                None => self.params.rules.output_min,
                Some(asset) if self.assets.iter().any(|known| known.symbol == *asset) => Amount(1),
                Some(asset) => return Err(GenesisError::UnknownAsset { index, symbol: asset.clone() }),
            };
            if allocation.amount < least {
                return Err(GenesisError::TooSmall { index, least });
            }
            let supply = supplies.entry(symbol).or_insert(Amount::ZERO);
            let sum = supply.checked_add(allocation.amount).filter(|sum| sum.units() <= NUMBER_MAX);
            *supply = sum.ok_or_else(|| GenesisError::Supply(symbol.to_owned()))?;
        }
        Ok(())
    }
}
