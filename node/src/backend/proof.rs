//! What a client that trusts nobody asks for: certified headers, and proofs against them (SPEC B-40 to B-42).

use towpath_api::limits::PAGE_MAX;
use towpath_api::{ApiError, CertifiedHeader, Code, HeaderPage, HeaderQuery, OutputProof};
use towpath_crypto::codec;
use towpath_ledger::light;
use towpath_ledger::proof::{StateEntry, StateKey, prove};

use super::{Node, store_error};

/// How often a proof is made anew because a block came in between.
const TRIES: u32 = 8;

impl Node {
    /// Decided headers from a height on.
    pub(super) fn headers(&self, query: &HeaderQuery) -> Result<HeaderPage, ApiError> {
        let tip = self.chain.tip().height();
        let count = u64::from(query.limit.unwrap_or(PAGE_MAX).min(PAGE_MAX));
        // Block 0 was decided by nobody.
        let from = query.from.max(1);
        let to = from.saturating_add(count).min(tip.saturating_add(1));
        let mut headers = Vec::new();
        for height in from..to {
            headers.extend(self.certified(height)?);
        }
        Ok(HeaderPage { headers, tip })
    }

    /// What the newest decided block says about an outpoint.
    pub(super) fn output_proof(&self, text: &str) -> Result<OutputProof, ApiError> {
        let outpoint = self.find_output(text)?;
        let key = StateKey::Output(outpoint);
        for _ in 0..TRIES {
            let tip = self.chain.tip();
            let entry = self.chain.output(&outpoint).map_err(|error| store_error(&error))?;
            let entry = entry.map(StateEntry::Output);
            let Some(certified) = self.certified(tip.height())? else {
                let none = "no block is decided yet; a proof needs one, so ask again when there is";
                return Err(ApiError::new(Code::NotReady, none));
            };
            // A block that is applied between the reads makes them of two ledgers, and what comes of that proves nothing.
            let Ok(proof) = prove(&*self.chain, tip.height(), &key) else { continue };
            if proof.verify(&tip.header().state_root, &key, entry.as_ref()).is_err() {
                continue;
            }
            return Ok(OutputProof {
                outpoint: outpoint.to_string(),
                certified,
                proof: hex::encode(codec::encode(&proof)),
                entry: entry.as_ref().map(|entry| hex::encode(codec::encode(entry))),
            });
        }
        let busy = "blocks come faster than this node can make a proof";
        Err(ApiError::new(Code::Internal, busy).with_hint("ask again"))
    }

    fn certified(&self, height: u64) -> Result<Option<CertifiedHeader>, ApiError> {
        let header = self.chain.header(height).map_err(|error| store_error(&error))?;
        let certificate = self.chain.certificate(height).map_err(|error| store_error(&error))?;
        let both = header.zip(certificate);
        Ok(both.map(|(header, certificate)| {
            let certified = light::CertifiedHeader { header, certificate };
            CertifiedHeader { height, bytes: hex::encode(codec::encode(&certified)) }
        }))
    }
}
