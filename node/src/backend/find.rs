//! What a caller means by an id, or by the beginning of one: the only thing whose id begins so, or an error that lists
//! what it could be. Money is never sent to what was only guessed: addresses must be whole.

use std::collections::BTreeSet;
use std::sync::Arc;

use towpath_api::{ApiError, Code};
use towpath_crypto::Digest;
use towpath_crypto::ed25519::PublicKey;
use towpath_crypto::id::{self, IdError, Kind};
use towpath_ledger::{BlockId, ChannelId, OutPoint, TxId};

use super::{Node, store_error};
use crate::worker::{ChannelView, node_text};

/// How many candidates an ambiguous beginning is answered with.
const LISTED_MAX: usize = 4;

/// Outputs of one transaction that are looked through for one that is known by a part of its id.
const OUTPUTS_MAX: usize = 4_096;

impl Node {
    /// The channel with this id, or the only one whose id begins so.
    pub(super) fn find(&self, text: &str) -> Result<Arc<ChannelView>, ApiError> {
        let whole = text.parse::<ChannelId>();
        if let Err(error) = &whole {
            is_beginning(error)?;
        }
        let is_meant = |id: &ChannelId| match &whole {
            Ok(whole) => id == whole,
            Err(_) => id::matches_prefix(&id.to_string(), text),
        };
        let found = match &whole {
            Ok(id) => self.board.get(id).into_iter().collect(),
            Err(error) => {
                let (low, high) = stretch(Kind::Channel, text, error)?;
                self.board
                    .between((ChannelId(low), ChannelId(high)), LISTED_MAX + 1, |view| is_meant(&view.id))
            }
        };
        let damaged = self.board.damaged(LISTED_MAX + 1, is_meant);
        if let ([], [(id, reason)]) = (found.as_slice(), damaged.as_slice()) {
            let detail = format!("what is stored of {id} cannot be used: {reason}");
            return Err(ApiError::new(Code::ChannelDamaged, detail));
        }
        if let (false, Some((id, _))) = (found.is_empty(), damaged.first()) {
            let detail = format!("{text} could also be {id}, which cannot be used");
            return Err(ApiError::new(Code::AmbiguousId, detail));
        }
        if let (Ok(id), []) = (&whole, found.as_slice()) {
            // It may well be on the ledger: this node is no party to it, or has forgotten it since it was settled.
            return Err(ApiError::new(Code::ChannelNotFound, format!("this node has no channel {id}")));
        }
        only(Code::ChannelNotFound, text, found, |view| view.id.to_string())
    }

    /// The node with this id, or the only one of those that this node knows whose id begins so.
    pub(super) fn find_node(&self, text: &str) -> Result<PublicKey, ApiError> {
        let error = match id::decode_array(Kind::Node, text) {
            Ok(key) => return Ok(PublicKey(key)),
            Err(error) => error,
        };
        is_beginning(&error)?;
        let peers = self.net.peers().into_keys();
        let parties = self.board.peers().into_iter();
        let validators = self.genesis.validators.members().iter().map(|member| member.key);
        let known: BTreeSet<[u8; 32]> = peers.chain(parties).chain(validators).map(|key| key.0).collect();
        let found = known.into_iter().map(PublicKey);
        let found: Vec<_> = found.filter(|key| id::matches_prefix(&node_text(key), text)).collect();
        only(Code::PeerNotFound, text, found, node_text)
    }

    /// The final transaction with this id, or the only one whose id begins so.
    pub(super) fn find_transaction(&self, text: &str) -> Result<TxId, ApiError> {
        let error = match text.parse() {
            Ok(id) => return Ok(id),
            Err(error) => error,
        };
        let (low, high) = stretch(Kind::Transaction, text, &error)?;
        let found = self.chain.transactions_between((&low, &high), LISTED_MAX + 1);
        let found = found.map_err(|error| store_error(&error))?;
        only(Code::TransactionNotFound, text, beginning(found, text), TxId::to_string)
    }

    /// The block with this id, or the only one whose id begins so.
    pub(super) fn find_block(&self, text: &str) -> Result<BlockId, ApiError> {
        let error = match text.parse() {
            Ok(id) => return Ok(id),
            Err(error) => error,
        };
        let (low, high) = stretch(Kind::Block, text, &error)?;
        let found = self.chain.blocks_between((&low, &high), LISTED_MAX + 1);
        let found = found.map_err(|error| store_error(&error))?;
        only(Code::BlockNotFound, text, beginning(found, text), BlockId::to_string)
    }

    /// The output with this id, or the only unspent one whose id begins so.
    pub(super) fn find_output(&self, text: &str) -> Result<OutPoint, ApiError> {
        let error = match text.parse() {
            Ok(outpoint) => return Ok(outpoint),
            Err(error) => error,
        };
        let (low, high) = stretch(Kind::Output, text, &error)?;
        let found = self.chain.outputs_between((&low, &high), OUTPUTS_MAX);
        let found = found.map_err(|error| store_error(&error))?;
        only(Code::OutputNotFound, text, beginning(found, text), OutPoint::to_string)
    }
}

/// Refuses what is of another kind, or holds characters that no id has; a text that is only too short may be a
/// beginning.
fn is_beginning(error: &IdError) -> Result<(), ApiError> {
    match error {
        IdError::Checksum { .. } | IdError::WrongLength { .. } => Ok(()),
        // The ellipsis of a shortened id is no character of it.
        IdError::BadCharacter { character: '…', .. } => Ok(()),
        IdError::WrongKind { .. }
        | IdError::NotAnId { .. }
        | IdError::BadCharacter { .. }
        | IdError::MixedCase { .. }
        | IdError::NotCanonical { .. } => Err(ApiError::new(Code::InvalidId, error.to_string())),
    }
}

/// Where in an index of `kind` to look for what begins with `text`.
fn stretch(kind: Kind, text: &str, error: &IdError) -> Result<(Digest, Digest), ApiError> {
    is_beginning(error)?;
    let (low, high) =
        id::prefix_range(kind, text).map_err(|error| ApiError::new(Code::InvalidId, error.to_string()))?;
    let digest = |bytes: &[u8]| bytes.first_chunk::<32>().map(|bytes| Digest(*bytes)).unwrap_or(Digest::ZERO);
    Ok((digest(&low), digest(&high)))
}

/// The checksum, and the index of an output, are in the text alone.
fn beginning<T: ToString>(found: Vec<T>, text: &str) -> Vec<T> {
    found.into_iter().filter(|found| id::matches_prefix(&found.to_string(), text)).collect()
}

/// The only one of what was found.
fn only<T>(none: Code, text: &str, found: Vec<T>, name: impl Fn(&T) -> String) -> Result<T, ApiError> {
    let thing = match none {
        Code::PeerNotFound => "known node",
        Code::TransactionNotFound => "final transaction",
        Code::BlockNotFound => "block",
        Code::OutputNotFound => "unspent output",
        _ => "channel",
    };
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (None, _) if none == Code::ChannelNotFound => {
            Err(ApiError::new(none, format!("this node has no channel with an id that begins with {text}")))
        }
        (None, _) => Err(ApiError::new(none, format!("no {thing} has an id that begins with {text}"))),
        (Some(first), Some(second)) => {
            let mut names: Vec<String> = [first, second]
                .iter()
                .chain(found.by_ref().take(LISTED_MAX - 2).collect::<Vec<_>>().iter())
                .map(name)
                .collect();
            if found.next().is_some() {
                names.push("others".to_owned());
            }
            let detail = format!("{text} could be {}", names.join(", or "));
            Err(ApiError::new(Code::AmbiguousId, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(found: &[&str]) -> Result<String, ApiError> {
        let found = found.iter().map(ToString::to_string).collect();
        only(Code::ChannelNotFound, "chan1q", found, String::clone)
    }

    #[test]
    fn one_is_taken_several_are_listed_and_none_is_said() {
        assert_eq!(pick(&["chan1qa"]).ok().as_deref(), Some("chan1qa"));
        let error = pick(&["chan1qa", "chan1qb"]).expect_err("ambiguous");
        assert_eq!(error.code, Code::AmbiguousId);
        assert_eq!(error.detail, "chan1q could be chan1qa, or chan1qb");
        let error = pick(&["a", "b", "c", "d", "e"]).expect_err("ambiguous");
        assert_eq!(error.detail, "chan1q could be a, or b, or c, or d, or others");
        let error = pick(&[]).expect_err("nothing");
        assert_eq!(error.code, Code::ChannelNotFound);
        assert_eq!(error.detail, "this node has no channel with an id that begins with chan1q");
    }

    #[test]
    fn an_id_of_another_kind_is_not_taken_for_a_beginning() {
        let error = |text: &str| text.parse::<ChannelId>().expect_err("no channel id");
        assert!(is_beginning(&error("chan1qqq")).is_ok());
        assert!(is_beginning(&error("chan1qqq…")).is_ok());
        for text in ["tx1qqq", "alice", "chan1qbq", ""] {
            assert!(is_beginning(&error(text)).is_err(), "{text}");
        }
    }
}
