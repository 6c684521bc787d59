//! `towpath ledger verify`: what a node says about the ledger, checked against the genesis alone (SPEC B-40 to B-42).

use std::path::Path;

use serde::Serialize;
use towpath_api::limits::PAGE_MAX;
use towpath_api::{Client, HeaderQuery, Lock, OutputProof, Units};
use towpath_crypto::codec;
use towpath_ledger::OutPoint;
use towpath_ledger::genesis::Genesis;
use towpath_ledger::light::{CertifiedHeader, LightClient};
use towpath_ledger::proof::{STATE_PROOF_BYTES_MAX, StateEntry, StateKey, StateProof};
use towpath_node::backend::lock_of;
use towpath_testnet::NetworkState;

use super::ledger::lock;
use crate::args::{Common, Verify};
use crate::context;
use crate::errors::CliError;
use crate::output::{Style, amount, answer, facts, grouped, short, table, time};

/// More than any header with its certificate has, in bytes.
const CERTIFIED_BYTES_MAX: usize = 64 * 1024;

/// More than any output has, in bytes.
const ENTRY_BYTES_MAX: usize = 64 * 1024;

/// What was proven.
#[derive(Serialize, Debug)]
struct Verified {
    chain: String,
    height: u64,
    block: String,
    time_ms: u64,
    state_root: String,
    /// How many validators signed, of how many.
    signers: (usize, usize),
    /// Headers whose certificates were checked.
    headers: u64,
    outputs: Vec<Proven>,
}

/// What is proven about an outpoint.
#[derive(Serialize, Debug)]
struct Proven {
    outpoint: String,
    unspent: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<Units>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lock: Option<Lock>,
}

/// Verifies the newest header, and what it says about outputs.
///
/// # Errors
/// When the genesis cannot be read, the node cannot be asked, or what it says is not proven.
pub async fn verify(common: &Common, args: Verify) -> Result<(), CliError> {
    let genesis = genesis(common, args.genesis.as_deref())?;
    let client = context::client(common)?;
    let mut checker = Checker::new(&genesis)?;
    if args.every_block {
        checker.all(&client).await?;
    }
    let mut outputs = Vec::new();
    for text in &args.outpoints {
        outputs.push(checker.output(text, &client.output_proof(text).await?)?);
    }
    if args.outpoints.is_empty() && !args.every_block {
        checker.newest(&client).await?;
    }
    let verified = checker.verified(outputs);
    answer(Style::of(common), &verified, picture)
}

/// The genesis that the user trusts: the one given, that of the data folder, or that of the local network.
fn genesis(common: &Common, given: Option<&Path>) -> Result<Genesis, CliError> {
    let path = match (given, common.data_dir()) {
        (Some(path), _) => path.to_owned(),
        (None, Some(dir)) => dir.join("genesis.toml"),
        (None, None) => match NetworkState::load(&common.testnet_dir) {
            Ok(network) => network.genesis,
            Err(_) => {
                let what = "which ledger? its genesis file is what everything is checked against: give --genesis FILE";
                return Err(CliError::Usage(what.to_owned()));
            }
        },
    };
    let failed = |error: &dyn std::fmt::Display| CliError::Local(format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(&path).map_err(|error| failed(&error))?;
    Genesis::parse(&text).map_err(|error| failed(&error))
}

/// A light client, and what it has seen.
struct Checker {
    light: LightClient,
    validators: usize,
    headers: u64,
    newest: Option<CertifiedHeader>,
}

fn unproven(what: impl std::fmt::Display) -> CliError {
    CliError::Failed(format!("not proven: {what}"))
}

impl Checker {
    fn new(genesis: &Genesis) -> Result<Self, CliError> {
        let failed = |error: &dyn std::fmt::Display| CliError::Local(format!("the genesis: {error}"));
        let start = genesis.start().map_err(|error| failed(&error))?;
        let light = LightClient::new(genesis.validators.clone(), start.block.header)
            .map_err(|error| failed(&error))?;
        Ok(Self { light, validators: genesis.validators.members().len(), headers: 0, newest: None })
    }

    /// Takes a header for true if its certificate proves it.
    fn header(&mut self, said: &towpath_api::CertifiedHeader) -> Result<CertifiedHeader, CliError> {
        let certified: CertifiedHeader =
            codec::decode(&bytes(&said.bytes)?, CERTIFIED_BYTES_MAX).map_err(unproven)?;
        self.light.accept(certified.clone()).map_err(unproven)?;
        self.headers += 1;
        if self.newest.as_ref().is_none_or(|newest| newest.header.height < certified.header.height) {
            self.newest = Some(certified.clone());
        }
        Ok(certified)
    }

    /// Every header since the genesis: each one's certificate, and that each names the one before.
    async fn all(&mut self, client: &Client) -> Result<(), CliError> {
        loop {
            let from = self.light.tip().height + 1;
            let page = client.headers(&HeaderQuery { from, limit: Some(PAGE_MAX) }).await?;
            if page.headers.is_empty() {
                return if page.tip < from {
                    Ok(())
                } else {
                    Err(unproven(format_args!(
                        "the node has no header {from} though its tip is {}",
                        page.tip
                    )))
                };
            }
            for (height, said) in (from..).zip(&page.headers) {
                let certified = self.header(said)?;
                if certified.header.height != height {
                    let found = certified.header.height;
                    return Err(unproven(format_args!(
                        "the node gave header {found} where {height} is next"
                    )));
                }
            }
        }
    }

    async fn newest(&mut self, client: &Client) -> Result<(), CliError> {
        let tip = client.headers(&HeaderQuery::default()).await?.tip;
        if tip == 0 {
            let what = "no block is decided yet: the ledger stands where the genesis left it";
            return Err(CliError::Failed(what.to_owned()));
        }
        let page = client.headers(&HeaderQuery { from: tip, limit: None }).await?;
        let said = page.headers.last().ok_or_else(|| unproven("the node has no decided header"))?;
        self.header(said).map(|_| ())
    }

    fn output(&mut self, text: &str, said: &OutputProof) -> Result<Proven, CliError> {
        let certified = self.header(&said.certified)?;
        let outpoint: OutPoint = said.outpoint.parse().map_err(unproven)?;
        // An old proof is true of its block, and says nothing of now.
        if certified.header.height < self.light.tip().height {
            let (old, tip) = (certified.header.height, self.light.tip().height);
            return Err(unproven(format_args!("the proof is of height {old}, and {tip} is decided")));
        }
        // Of an output that was never made it is always true that there is none.
        if said.entry.is_none() && !said.outpoint.eq_ignore_ascii_case(text) {
            return Err(unproven(
                "give the whole id of an output that may be spent: a beginning fits others, too",
            ));
        }
        // A node must not answer about another output than was asked for.
        if !said.outpoint.starts_with(text.to_lowercase().trim_end_matches('…')) {
            return Err(unproven(format_args!(
                "asked for {text}, the node proves something about {outpoint}"
            )));
        }
        let proof: StateProof =
            codec::decode(&bytes(&said.proof)?, STATE_PROOF_BYTES_MAX).map_err(unproven)?;
        let entry = match &said.entry {
            Some(hex) => Some(codec::decode(&bytes(hex)?, ENTRY_BYTES_MAX).map_err(unproven)?),
            None => None,
        };
        let root = &certified.header.state_root;
        proof.verify(root, &StateKey::Output(outpoint), entry.as_ref()).map_err(unproven)?;
        let output = match entry {
            Some(StateEntry::Output(entry)) => Some(entry.output),
            Some(StateEntry::Secret(_)) => return Err(unproven("the node shows a secret for an output")),
            None => None,
        };
        Ok(Proven {
            outpoint: outpoint.to_string(),
            unspent: output.is_some(),
            amount: output.as_ref().map(|output| output.amount.into()),
            lock: output.map(|output| lock_of(&output.lock)),
        })
    }

    fn verified(&self, outputs: Vec<Proven>) -> Verified {
        let header = self.light.tip();
        let signers = self.newest.as_ref().map_or(0, |newest| newest.certificate.signatures.len());
        Verified {
            chain: header.chain.to_string(),
            height: header.height,
            block: header.id().to_string(),
            time_ms: header.time.0,
            state_root: header.state_root.to_string(),
            signers: (signers, self.validators),
            headers: self.headers,
            outputs,
        }
    }
}

fn bytes(hex: &str) -> Result<Vec<u8>, CliError> {
    hex::decode(hex).map_err(unproven)
}

fn picture(verified: &Verified) -> String {
    let (signed, of) = verified.signers;
    let mut text = facts(&[
        ("chain", verified.chain.clone()),
        ("height", format!("{}, decided by {signed} of {of} validators", grouped(verified.height))),
        ("block", verified.block.clone()),
        ("time", time(verified.time_ms)),
        ("state root", verified.state_root.clone()),
        ("checked", format!("against the genesis alone, in {} certified headers", grouped(verified.headers))),
    ]);
    if !verified.outputs.is_empty() {
        let rows = verified.outputs.iter().map(|output| {
            let worth = output.amount.map_or_else(|| "-".to_owned(), amount);
            let lock = output.lock.as_ref().map_or_else(|| "spent, or never made".to_owned(), lock);
            vec![short(&output.outpoint), worth, lock]
        });
        text.push_str(&format!("\n\n{}", table(&["output", ">amount", "proven"], rows.collect())));
    }
    text
}
