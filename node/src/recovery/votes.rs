//! Whether this node votes. A validator whose log may miss votes that it gave follows under another key, until the chain is
//! past them (SPEC R-12), or until its operator says that the ledger waits for nobody else (SPEC R-13).

use towpath_store::{Batch, Store, StoreError};

use super::Pending;

/// What a node does when blocks are decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It votes, if it is a validator.
    Votes,
    /// It only follows.
    Follows,
}

/// Why an operator's word, that a validator may vote again, is not taken.
#[derive(Debug, thiserror::Error)]
pub enum VoteFromError {
    /// It never votes.
    #[error("this node is no validator of this ledger; start it without --vote-from")]
    NotAValidator,
    /// There is nothing to decide.
    #[error("no vote of this validator is missing, and it votes; start it without --vote-from")]
    NothingMissing,
    /// It has no ledger yet.
    #[error(
        "this node has no block yet; start it without --vote-from, and let it fetch what other nodes have"
    )]
    NothingHere,
    /// The height is not the one that the ledger waits for.
    #[error(
        "the newest block here is {tip}, so {asked} is not the height that is to be decided. Start the node without \
         --vote-from until it has all blocks that any node has; if the ledger then still waits for it, take the height \
         after the newest one, now {}",
        .tip.saturating_add(1)
    )]
    Height {
        /// What the operator says.
        asked: u64,
        /// The newest block.
        tip: u64,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the node does, whose newest block is `tip`.
#[must_use]
pub fn role(pending: Option<&Pending>, tip: u64) -> Role {
    match pending {
        Some(pending) if tip <= pending.votes_after => Role::Follows,
        Some(_) | None => Role::Votes,
    }
}

/// The operator says that no block of the height `asked` was ever decided, so that a vote which is lost, and is given again,
/// contradicts nothing that counts. It is durable when this returns: what is left to do besides.
///
/// # Errors
/// [`VoteFromError`]; nothing is changed.
pub fn vote_from(
    store: &dyn Store,
    pending: Option<Pending>,
    (is_validator, tip): (bool, u64),
    asked: u64,
) -> Result<Option<Pending>, VoteFromError> {
    if !is_validator {
        return Err(VoteFromError::NotAValidator);
    }
    let Some(mut pending) = pending.filter(|pending| role(Some(pending), tip) == Role::Follows) else {
        return Err(VoteFromError::NothingMissing);
    };
    if tip == 0 {
        return Err(VoteFromError::NothingHere);
    }
    if asked != tip.saturating_add(1) {
        return Err(VoteFromError::Height { asked, tip });
    }
    pending.votes_after = 0;
    let mut batch = Batch::new();
    pending.put(&mut batch);
    store.commit(batch)?;
    Ok(Some(pending).filter(|pending| !pending.is_done()))
}

#[cfg(test)]
mod tests {
    use towpath_store::MemoryStore;

    use super::super::Cause;
    use super::*;

    #[test]
    fn l15_a_validator_that_may_miss_votes_follows_until_the_chain_is_past_them() {
        assert_eq!(role(None, 0), Role::Votes);
        let mut pending = Pending::new(Cause::Backup);
        assert_eq!(role(Some(&pending), 1 << 40), Role::Follows, "how far it has to be is not known yet");
        pending.votes_after = 7;
        assert_eq!(
            [6, 7, 8].map(|tip| role(Some(&pending), tip)),
            [Role::Follows, Role::Follows, Role::Votes]
        );
    }

    #[test]
    fn l15_the_operators_word_is_taken_for_the_next_height_alone_and_lasts() {
        let store = MemoryStore::new();
        let pending = Pending::new(Cause::Copy);
        let ask = |pending: Option<Pending>, is_validator, tip, asked| {
            vote_from(&store, pending, (is_validator, tip), asked)
        };
        assert!(matches!(ask(Some(pending), false, 9, 10), Err(VoteFromError::NotAValidator)));
        assert!(matches!(ask(None, true, 9, 10), Err(VoteFromError::NothingMissing)));
        assert!(matches!(ask(Some(pending), true, 0, 1), Err(VoteFromError::NothingHere)));
        for asked in [0, 9, 11, u64::MAX] {
            let refused = ask(Some(pending), true, 9, asked).expect_err("another height");
            assert!(matches!(refused, VoteFromError::Height { .. }));
            assert!(refused.to_string().ends_with("now 10"), "{refused}");
        }
        assert_eq!(Pending::read(&store), Ok(None), "nothing was written");
        let left = ask(Some(pending), true, 9, 10).expect("it is the height that is to be decided");
        let mut expected = pending;
        expected.votes_after = 0;
        assert_eq!(left, Some(expected), "all else is still to be recovered");
        assert_eq!(Pending::read(&store), Ok(left));
        assert_eq!(role(left.as_ref(), 9), Role::Votes);
        assert!(matches!(ask(left, true, 9, 10), Err(VoteFromError::NothingMissing)));
    }
}
