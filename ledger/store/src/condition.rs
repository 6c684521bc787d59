//! What is known of a database when it is opened: whether it holds everything that was ever acknowledged.
//!
//! Pure: [`judge`] compares what the anchor says with what the database says (SPEC S-6). Reading and writing either
//! is left to the stores; what a node does about a bad condition (sign nothing, close nothing) is left to the node.

use bincode::{Decode, Encode};

use crate::column::Column;
use crate::error::StoreError;
use crate::limits::{SMALL_ROW_BYTES_MAX, UNACKNOWLEDGED_MAX};
use crate::row;

/// Counts the synced writes of a database; the first is one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Default, Debug)]
pub struct Sequence(pub u64);

impl std::fmt::Display for Sequence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// One opening of a database: 16 random bytes, so that two copies of one folder that went on apart can be told from
/// each other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Default, Debug)]
pub struct Session(pub [u8; 16]);

/// What the anchor says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Anchored {
    /// There is no anchor.
    Missing,
    /// There is one, and no part of it can be read.
    Unreadable,
    /// Both slots can be read; this is the newer one.
    Whole(Mark),
    /// One slot can be read. The other one counts as newer by one: it was being written when the machine stopped,
    /// and that happens only after the database was synced.
    Half(Mark),
}

/// A point in the history of a database.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Default, Debug)]
pub struct Mark {
    /// The write.
    pub sequence: Sequence,
    /// The session that made it.
    pub session: Session,
}

/// How many writes touched each column, in the order of [`Column::ALL`].
pub type Counts = [u64; Column::ALL.len()];

/// The row that each write carries: where the database is in its history.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Default, Debug)]
pub struct Tip {
    /// This write.
    pub mark: Mark,
    /// The first write of this session.
    pub session_start: Sequence,
    /// The session before this one; zero for the first.
    pub previous_session: Session,
    /// What each column, which counts its writes itself, has to say (SPEC S-5).
    pub counts: Counts,
}

impl Tip {
    /// The version of the row.
    const ROW_VERSION: u8 = 1;

    /// The tip after one more write by `session` to the columns that `touched` says.
    pub(crate) fn next(&self, session: Session, touched: impl Fn(Column) -> bool) -> Self {
        let sequence = Sequence(self.mark.sequence.0.saturating_add(1));
        let mut next = Self { mark: Mark { sequence, session }, ..*self };
        if session != self.mark.session {
            next.session_start = sequence;
            next.previous_session = self.mark.session;
        }
        for (count, column) in next.counts.iter_mut().zip(Column::ALL) {
            *count = count.saturating_add(u64::from(touched(column)));
        }
        next
    }

    /// The session that made the write `sequence`, which is at most [`UNACKNOWLEDGED_MAX`] back.
    pub(crate) fn session_at(&self, sequence: Sequence) -> Session {
        if sequence >= self.session_start { self.mark.session } else { self.previous_session }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        row::encode(Self::ROW_VERSION, self)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        row::decode("the store's tip", Self::ROW_VERSION, bytes, SMALL_ROW_BYTES_MAX)
    }
}

/// How it was noticed that a database is not the newest one.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub enum Cause {
    /// The database ends before the newest acknowledged write: logs or tables were lost or cut, or this is a backup.
    LostWrites,
    /// There is an anchor and no database.
    DatabaseMissing,
    /// There is a database and no anchor.
    AnchorMissing,
    /// There is a database, and its anchor cannot be read.
    AnchorUnreadable,
    /// The anchor belongs to another history: one of the two was copied from elsewhere, or restored alone.
    OtherHistory,
    /// Writes are missing from the middle: of the log, or of the list of a column's tables.
    Hole,
}

/// A database that is not known to hold everything that was acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Behind {
    /// The newest write that was acknowledged, as far as it is known.
    pub anchor: Option<Sequence>,
    /// The newest write that was found.
    pub found: Sequence,
    /// How it was noticed.
    pub cause: Cause,
}

impl Behind {
    const ROW_VERSION: u8 = 1;

    pub(crate) fn encode(&self) -> Vec<u8> {
        row::encode(Self::ROW_VERSION, self)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        row::decode("the store's condition", Self::ROW_VERSION, bytes, SMALL_ROW_BYTES_MAX)
    }

    /// This and an earlier one that was never resolved: the least that was found, the most that was acknowledged.
    fn merged_with(self, earlier: Self) -> Self {
        Self {
            anchor: self.anchor.max(earlier.anchor),
            found: self.found.min(earlier.found),
            cause: self.cause,
        }
    }
}

impl std::fmt::Display for Behind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let found = self.found;
        match (self.cause, self.anchor) {
            (Cause::LostWrites, Some(anchor)) => {
                write!(f, "the database ends at write {found}, but write {anchor} was acknowledged")?;
            }
            (Cause::DatabaseMissing, _) => write!(f, "the database is gone, its anchor is not")?,
            (Cause::AnchorMissing, _) => write!(f, "the anchor of the database (write {found}) is missing")?,
            (Cause::AnchorUnreadable, _) => {
                write!(f, "the anchor of the database (write {found}) is unreadable")?
            }
            (Cause::OtherHistory, _) => {
                write!(
                    f,
                    "the anchor does not belong to this database (write {found}): one of them is a copy"
                )?;
            }
            (Cause::Hole, _) => write!(f, "writes before write {found} are missing from the database")?,
            (Cause::LostWrites, None) => write!(f, "the database ends at write {found}, too early")?,
        }
        f.write_str("; the node signs and closes nothing until it has recovered its channels from its peers")
    }
}

/// What is known of an opened database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    /// It holds everything that was ever acknowledged, as far as this folder can tell. A folder that was restored
    /// from a backup *together with* its anchor looks like this too; peers, watchtowers and the ledger notice that.
    Healthy,
    /// It does not, or nobody can tell. The node may read and recover; it must not sign or close with what it has.
    Behind(Behind),
}

/// What the database says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Found {
    /// The tip row; none in an empty database.
    pub tip: Option<Tip>,
    /// How many writes the database holds, counted by the writes themselves.
    pub count: u64,
    /// The same of each column.
    pub counts: Counts,
    /// An earlier condition that nobody has resolved.
    pub unresolved: Option<Behind>,
}

impl Found {
    pub(crate) fn sequence(&self) -> Sequence {
        self.tip.map_or(Sequence(0), |tip| tip.mark.sequence)
    }
}

/// Compares the two (SPEC S-6).
pub(crate) fn judge(anchored: Anchored, found: &Found) -> Condition {
    let behind = |cause, anchor| {
        let now = Behind { anchor, found: found.sequence(), cause };
        Condition::Behind(found.unresolved.map_or(now, |earlier| now.merged_with(earlier)))
    };
    let (mark, required) = match anchored {
        Anchored::Missing if found.tip.is_none() => return Condition::Healthy,
        Anchored::Missing => return unresolved_or(found, || behind(Cause::AnchorMissing, None)),
        Anchored::Unreadable => return unresolved_or(found, || behind(Cause::AnchorUnreadable, None)),
        Anchored::Whole(mark) => (mark, mark.sequence.0),
        Anchored::Half(mark) => (mark, mark.sequence.0.saturating_add(1)),
    };
    let Some(tip) = found.tip else {
        let fresh = required == 0;
        return if fresh { Condition::Healthy } else { behind(Cause::DatabaseMissing, Some(mark.sequence)) };
    };
    let sequence = tip.mark.sequence;
    if sequence.0 < required {
        return behind(Cause::LostWrites, Some(Sequence(required)));
    }
    let window = mark.sequence.0.saturating_add(UNACKNOWLEDGED_MAX);
    if sequence.0 > window || tip.session_at(mark.sequence) != mark.session {
        return behind(Cause::OtherHistory, Some(mark.sequence));
    }
    if found.count != sequence.0 || found.counts != tip.counts {
        return behind(Cause::Hole, Some(mark.sequence));
    }
    found.unresolved.map_or(Condition::Healthy, Condition::Behind)
}

fn unresolved_or(found: &Found, now: impl FnOnce() -> Condition) -> Condition {
    found.unresolved.map_or_else(now, Condition::Behind)
}
