//! This node's watchtowers as a source of states: what they keep for its defence is what it lost (SPEC T-46).

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use towpath_ledger::{ChannelTag, ChannelTerms, Party};
use towpath_protocol::{Content, Evidence, StateSigner, tower};

use super::source::{Record, RecordSource};
use crate::tower::TowerHandle;
use crate::worker::ChannelKeys;

/// All watchtowers that this node uses.
pub struct Towers {
    tower: TowerHandle,
    keys: Arc<ChannelKeys>,
}

impl Towers {
    /// Those that are asked through `tower`, under the slots that `keys` lead to.
    #[must_use]
    pub const fn new(tower: TowerHandle, keys: Arc<ChannelKeys>) -> Self {
        Self { tower, keys }
    }

    /// Where a party's records of a channel lie: the seed and the ledger are enough to know it.
    fn slot(&self, terms: &ChannelTerms, key_index: u32) -> Option<(ChannelTag, Party)> {
        let signer = self.keys.signer(key_index);
        let own = signer.public();
        let me = [Party::A, Party::B].into_iter().find(|party| *terms.key(*party) == own)?;
        Some((signer.tag(terms.key(me.other()), &terms.id)?, me))
    }
}

impl RecordSource for Towers {
    fn find(&self, terms: &ChannelTerms, key_index: u32) -> BoxFuture<'static, Vec<Record>> {
        let (slot, tower, channel) = (self.slot(terms, key_index), self.tower.clone(), terms.id);
        async move {
            let Some((tag, party)) = slot else { return Vec::new() };
            match tower.fetch(&tag, party).await {
                Ok(found) => found.into_iter().map(record).collect(),
                Err(error) => {
                    tracing::warn!(%channel, %error, "the watchtowers were not asked for the channel");
                    Vec::new()
                }
            }
        }
        .boxed()
    }
}

fn record(kept: tower::Record) -> Record {
    let tower::Record { newest, sent_a, sent_b, peer, .. } = kept;
    let content = Content { state: newest.state, sent_a, sent_b };
    Record { evidence: Evidence { content, a: newest.a, b: newest.b }, peer: Some(peer) }
}
