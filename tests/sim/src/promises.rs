//! What honest nodes have signed, as their peers heard it: nobody signs two contents for one version of a channel (I4).
//!
//! Signatures are deterministic, so two different ones for the same version and the same `held` are two contents; and a
//! proposal that is made again is the same updates on the same base.

use std::collections::BTreeMap;

use towpath_crypto::ed25519::Signature;
use towpath_crypto::hash::sha256;
use towpath_crypto::{Digest, codec};
use towpath_ledger::{ChannelId, StateSignature};
use towpath_protocol::{ChannelMessage, Message};

use crate::violation::{Violation, must};

/// See the module.
#[derive(Default)]
pub struct Promises {
    /// By node, channel, version and `held`.
    signed: BTreeMap<(usize, ChannelId, u64, u64), Signature>,
    /// By node, channel and version: base and updates.
    proposed: BTreeMap<(usize, ChannelId, u64), Digest>,
}

impl Promises {
    /// A node says these messages.
    ///
    /// # Errors
    /// When they contradict what it said before.
    pub fn hear(&mut self, node: usize, messages: &[Vec<u8>]) -> Result<(), Violation> {
        for bytes in messages {
            let message = Message::decode(bytes).map_err(|error| {
                Violation::new("an honest node speaks properly", format!("node {node}: {error}"))
            })?;
            let Message::Channel(channel, message) = message else { continue };
            match message {
                ChannelMessage::Propose(propose) => {
                    let content = sha256(&codec::encode(&(propose.base, &propose.updates)));
                    let known = *self.proposed.entry((node, channel, propose.version)).or_insert(content);
                    must(known == content, "I4 one content a version", || {
                        format!("node {node} proposes another version {} of {channel}", propose.version)
                    })?;
                    self.sign((node, channel, propose.version), &propose.signature)?;
                }
                ChannelMessage::Ack(ack) => self.sign((node, channel, ack.version), &ack.signature)?,
                ChannelMessage::Created(signature) => self.sign((node, channel, 1), &signature)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn sign(&mut self, of: (usize, ChannelId, u64), by: &StateSignature) -> Result<(), Violation> {
        let (node, channel, version) = of;
        let known = *self.signed.entry((node, channel, version, by.held)).or_insert(by.signature);
        must(known == by.signature, "I4 one content a version", || {
            format!("node {node} signs two contents for version {version} of {channel}")
        })
    }
}
