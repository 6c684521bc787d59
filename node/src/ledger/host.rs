//! What the consensus engine asks of the ledger: is this block valid, apply it, what did you decide.

use std::sync::Arc;

use bincode::{Decode, Encode};
use towpath_api::EventBody;
use towpath_consensus::{Check, Decided, Host, HostError, Tip as EngineTip, Validity};
use towpath_crypto::codec;
use towpath_crypto::codec::Readable;
use towpath_crypto::ed25519::PublicKey;
use towpath_crypto::readable;
use towpath_ledger::chain::{
    BlockEffects, ChainParams, Checks, CommitCertificate as Certificate, Pace, Proposal, Tip, ValidatorSet,
    build_block, execute_block, next_time, travel_time,
};
use towpath_ledger::mempool::{Admitted, Mempool, PoolLimits, Refusal, Source};
use towpath_ledger::rules::{BlockContext, Signatures, TxError, apply_transaction};
use towpath_ledger::{AssetId, Block, BlockId, Entry, Header, OutPoint, Time, Transaction};
use towpath_store::{Batch, ChainStore, Column, Store, StoreError};

use super::notice::{Notice, notice};
use crate::clock;
use crate::journal::{Entry as JournalEntry, Journal};

/// The chain on disk.
pub type Chain = ChainStore<Arc<dyn Store>>;

/// See the module. It owns the mempool, which remembers whose signatures were found valid.
pub(super) struct LedgerHost {
    pub(super) chain: Arc<Chain>,
    pub(super) pool: Mempool,
    journal: Arc<Journal>,
    params: ChainParams,
    validators: ValidatorSet,
    own: PublicKey,
    /// What the genesis made of the native asset.
    issued: u64,
    /// The newest block that was built or examined, and what it does: a block is executed before it is voted for and
    /// again before it is applied, and the second time costs nothing.
    known: Option<(BlockId, BlockEffects)>,
    /// Blocks that were applied since the driver last looked.
    applied: Vec<Applied>,
    /// Where ledger time is to go, on a network for tests.
    travel: Option<Time>,
    /// How fast ledger time may catch up with this node's clock (B-7b).
    pace: Pace,
}

/// A block that was applied.
pub(super) struct Applied {
    pub block: Arc<Block>,
    pub notice: Notice,
}

impl LedgerHost {
    pub(super) fn new(
        chain: Arc<Chain>,
        journal: Arc<Journal>,
        (params, validators): (ChainParams, ValidatorSet),
        own: PublicKey,
        issued: u64,
    ) -> Self {
        let pool = Mempool::new(PoolLimits::for_chain(&params));
        let pace = Pace::new(clock::now(), &params.blocks);
        Self {
            chain,
            pool,
            journal,
            params,
            validators,
            own,
            issued,
            known: None,
            applied: Vec::new(),
            travel: None,
            pace,
        }
    }

    /// Blocks that were applied since the last call.
    pub(super) fn take_applied(&mut self) -> Vec<Applied> {
        std::mem::take(&mut self.applied)
    }

    /// The next block that this node builds takes ledger time to `target`, if it is not there by then.
    pub(super) fn travel_to(&mut self, target: Time) {
        self.travel = self.travel.max(Some(target));
    }

    /// The block that comes next, for the rules of transactions.
    fn next_block(&self) -> BlockContext<'_> {
        let tip = self.chain.tip();
        let time = next_time(tip.header().time, clock::now(), &self.pace, &self.params.blocks);
        let (chain, height) = (self.chain.chain(), tip.height() + 1);
        BlockContext { chain, height, time, params: &self.params.rules }
    }

    /// Lets a transaction wait for a block.
    pub(super) fn admit(
        &mut self,
        transaction: Transaction,
        source: Source,
        signatures: Signatures,
    ) -> Result<Admitted, Refusal> {
        let params = self.params.rules.clone();
        let context = BlockContext { params: &params, ..self.next_block() };
        self.pool.insert(transaction, source, &*self.chain, &context, signatures)
    }

    /// Whether the rules allow a transaction in the next block.
    pub(super) fn check(&self, transaction: &Transaction) -> Result<(), TxError> {
        let context = self.next_block();
        apply_transaction(transaction, &*self.chain, &context, Signatures::Verify).map(|_effects| ())
    }

    /// Builds a block on the tip out of what waits.
    pub(super) fn build(&mut self) -> Result<Block, HostError> {
        let parent = self.chain.tip();
        let (before, params) = (parent.header().time, &self.params.blocks);
        let travelled = self.travel.and_then(|target| travel_time(before, target, params));
        let time = travelled.unwrap_or_else(|| next_time(before, clock::now(), &self.pace, params));
        let proposal = Proposal { proposer: self.own, time };
        let candidates = self.pool.candidates(self.params.blocks.transactions_bytes_max());
        let built = build_block(self.tip_of(parent.header()), &candidates, proposal, &self.pool)
            .map_err(|error| HostError(error.to_string()))?;
        for dropped in built.dropped {
            tracing::debug!(transaction = %dropped.id, reason = %dropped.error, "dropped from the mempool");
            self.pool.remove(&dropped.id);
        }
        self.known = Some((built.block.id(), built.effects));
        Ok(built.block)
    }

    fn tip_of<'a>(&'a self, parent: &'a Header) -> Tip<'a, Chain, Chain> {
        Tip {
            chain: self.chain.chain(),
            params: &self.params,
            validators: &self.validators,
            parent,
            view: &self.chain,
            nodes: &self.chain,
        }
    }

    /// What a block does on top of the tip; the inner error says why it is invalid.
    fn execute(&self, block: &Block, checks: Checks) -> Result<Result<BlockEffects, String>, HostError> {
        let parent = self.chain.tip();
        match execute_block(self.tip_of(parent.header()), block, checks, &self.pool) {
            Ok(effects) => Ok(Ok(effects)),
            Err(error) if error.is_local() => Err(HostError(error.to_string())),
            Err(error) => Ok(Err(error.to_string())),
        }
    }
}

impl Host for LedgerHost {
    fn tip(&self) -> EngineTip {
        let tip = self.chain.tip();
        EngineTip { height: tip.height(), block: tip.id() }
    }

    fn validator_set(&self, _height: u64) -> Result<ValidatorSet, HostError> {
        // The set of the genesis decides every height: changes of the set are not part of the ledger's rules yet.
        Ok(self.validators.clone())
    }

    fn validate(&mut self, block: &Arc<Block>, check: Check) -> Result<Validity, HostError> {
        let id = block.id();
        if check == Check::Decided && self.known.as_ref().is_some_and(|(known, _)| *known == id) {
            return Ok(Validity::Valid);
        }
        let checks = match check {
            Check::Proposal => {
                let now = clock::now();
                Checks::Full { now, rise_ms_max: self.pace.rise_ms_max(now, &self.params.blocks) }
            }
            Check::Decided => Checks::Replay,
        };
        match self.execute(block, checks)? {
            Ok(effects) => {
                self.known = Some((id, effects));
                Ok(Validity::Valid)
            }
            Err(reason) => Ok(Validity::Invalid(reason)),
        }
    }

    fn commit(&mut self, decided: &Decided) -> Result<(), HostError> {
        let failed = |error: StoreError| HostError(error.to_string());
        let block = &decided.block;
        let id = block.id();
        let effects = match self.known.take() {
            Some((known, effects)) if known == id => effects,
            Some(_) | None => self.execute(block, Checks::Replay)?.map_err(HostError)?,
        };
        let mut batch = self.chain.apply(block, &decided.certificate, &effects).map_err(failed)?;
        for (index, evidence) in decided.evidence.iter().enumerate() {
            let mut key = b"evidence/".to_vec();
            key.extend(effects.height.to_be_bytes());
            key.extend(u32::try_from(index).unwrap_or(u32::MAX).to_be_bytes());
            batch.put(Column::Audit, key, codec::encode(evidence));
        }
        let event = EventBody::Block {
            block: id.to_string(),
            height: effects.height,
            time_ms: effects.time.0,
            transactions: u64::try_from(block.transactions.len()).unwrap_or(u64::MAX),
        };
        self.keep_books(&effects, &mut batch)?;
        let entry = JournalEntry { batch, events: vec![event] };
        let rise_ms = effects.time.ms_since(self.chain.tip().header().time);
        self.journal.commit(entry, clock::now_ms()).map_err(failed)?;
        self.chain.applied(block, &effects).map_err(failed)?;
        self.pace.applied(rise_ms, clock::now(), &self.params.blocks);
        self.pool.on_block(&effects);
        self.applied.push(Applied { block: Arc::clone(block), notice: notice(block, &effects) });
        Ok(())
    }

    fn decided(&self, height: u64) -> Result<Option<(Arc<Block>, Certificate)>, HostError> {
        self.chain.decided(height).map_err(|error| HostError(error.to_string()))
    }
}

impl LedgerHost {
    /// The second, simpler count of all money: what is unspent and all fees together are what the genesis made, after
    /// every block (FAULTS I1). A block that breaks this is not applied, whatever the rules said.
    fn keep_books(&self, effects: &BlockEffects, batch: &mut Batch) -> Result<(), HostError> {
        let failed = |error: StoreError| HostError(error.to_string());
        let sum = |outputs: &[(OutPoint, Entry)]| -> u128 {
            let native = outputs.iter().filter(|(_, entry)| entry.output.asset == AssetId::NATIVE);
            native.map(|(_, entry)| u128::from(entry.output.amount.units())).sum()
        };
        let before = read_books(&self.chain).map_err(failed)?;
        let Books { unspent, fees } = before.unwrap_or(Books { unspent: self.issued, fees: 0 });
        let books = Books {
            unspent: u64::try_from(
                (u128::from(unspent) + sum(&effects.created)).saturating_sub(sum(&effects.spent)),
            )
            .map_err(|_| HostError("more money than there can be".to_owned()))?,
            fees: fees.saturating_add(effects.fees.units()),
        };
        if books.unspent.checked_add(books.fees) != Some(self.issued) {
            let Books { unspent, fees } = books;
            let issued = self.issued;
            return Err(HostError(format!(
                "block {} does not conserve the supply: {unspent} unspent and {fees} fees are not {issued}",
                effects.height
            )));
        }
        batch.put(Column::Meta, BOOKS_ROW, codec::encode(&books));
        Ok(())
    }
}

/// All native money, by where it is.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
struct Books {
    unspent: u64,
    fees: u64,
}

/// The row of `Meta` that holds them.
const BOOKS_ROW: &[u8] = b"ledger/books";

/// The books after the newest block. At the genesis there are none, whatever a row says that came out of a backup: it is of
/// blocks that this replica has yet to apply, and their fees would be counted twice.
fn read_books(chain: &Chain) -> Result<Option<Books>, StoreError> {
    if chain.tip().height() == 0 {
        return Ok(None);
    }
    let Some(row) = chain.meta(BOOKS_ROW)? else { return Ok(None) };
    let books = codec::decode(&row, 64).map_err(|error| StoreError::Corrupt { what: error.to_string() })?;
    Ok(Some(books))
}

/// What the genesis made, and the fees of all blocks so far.
///
/// # Errors
/// When the database cannot be read.
pub fn read_fees(chain: &Chain) -> Result<u64, StoreError> {
    Ok(read_books(chain)?.map_or(0, |books| books.fees))
}

/// All native money, counted after the newest block; `issued` is what the genesis made.
///
/// # Errors
/// When the database cannot be read.
pub fn supply(chain: &Chain, issued: u64) -> Result<u64, StoreError> {
    Ok(read_books(chain)?.map_or(issued, |books| books.unspent.saturating_add(books.fees)))
}

/// How its row is read.
pub(crate) fn decoders() -> Vec<Readable> {
    readable![64 => Books]
}

#[cfg(test)]
mod tests {
    use towpath_crypto::seed::Seed;
    use towpath_store::MemoryStore;

    use super::super::testing::{TestLedger, genesis};
    use super::*;

    #[test]
    fn s10_books_out_of_a_backup_count_for_nothing_on_a_ledger_that_begins_anew() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let mut batch = Batch::new();
        batch.put(Column::Meta, BOOKS_ROW, codec::encode(&Books { unspent: 60, fees: 40 }));
        store.commit(batch).expect("no write fails here");
        let seed = Seed::from_entropy(&[1; 32]);
        let mut ledger = TestLedger::new(seed.clone(), genesis(&[&seed], 1), store);
        assert_eq!(read_fees(&ledger.chain), Ok(0));
        assert_eq!(supply(&ledger.chain, 100), Ok(100));
        let block = ledger.build(&[], 1_000);
        ledger.apply(&block);
        assert_eq!(read_fees(&ledger.chain), Ok(40), "from then on the row is this replica's own");
    }
}
