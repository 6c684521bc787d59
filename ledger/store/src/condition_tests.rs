//! Each way in which a database and its anchor can fit, or not.

use crate::column::Column;
use crate::condition::{Anchored, Behind, Cause, Condition, Found, Mark, Sequence, Session, Tip, judge};

const A: Session = Session([1; 16]);
const B: Session = Session([2; 16]);

fn mark(sequence: u64, session: Session) -> Mark {
    Mark { sequence: Sequence(sequence), session }
}

/// A database whose session A made the writes 1 to 9, and session B those from 10 on.
fn found(sequence: u64) -> Found {
    let mut tip = Tip::default();
    for next in 1..=sequence {
        tip = tip.next(if next < 10 { A } else { B }, |column| column == Column::Outputs);
    }
    Found { tip: (sequence > 0).then_some(tip), count: sequence, counts: tip.counts, unresolved: None }
}

#[track_caller]
fn check(anchored: Anchored, found: &Found, expected: Option<Cause>) {
    match (judge(anchored, found), expected) {
        (Condition::Healthy, None) => {}
        (Condition::Behind(behind), Some(cause)) => assert_eq!(behind.cause, cause),
        (condition, expected) => panic!("{condition:?}, expected {expected:?}"),
    }
}

#[test]
fn an_honest_crash_is_healthy_at_every_step() {
    check(Anchored::Missing, &found(0), None);
    check(Anchored::Whole(Mark::default()), &found(0), None);
    check(Anchored::Whole(mark(5, A)), &found(5), None);
    check(Anchored::Whole(mark(5, A)), &found(6), None);
    check(Anchored::Whole(mark(5, A)), &found(7), None);
    check(Anchored::Whole(mark(9, A)), &found(10), None);
    check(Anchored::Whole(mark(9, A)), &found(11), None);
    check(Anchored::Whole(mark(10, B)), &found(11), None);
    check(Anchored::Whole(Mark::default()), &found(2), None);
}

#[test]
fn s3_a_torn_anchor_slot_counts_as_newer_by_one() {
    check(Anchored::Half(mark(5, A)), &found(6), None);
    check(Anchored::Half(mark(5, A)), &found(7), None);
    check(Anchored::Half(mark(5, A)), &found(5), Some(Cause::LostWrites));
}

#[test]
fn s5_a_database_before_its_anchor_is_behind() {
    check(Anchored::Whole(mark(6, A)), &found(5), Some(Cause::LostWrites));
    check(Anchored::Whole(mark(12, B)), &found(11), Some(Cause::LostWrites));
    check(Anchored::Whole(mark(1, A)), &found(0), Some(Cause::DatabaseMissing));
    check(Anchored::Half(Mark::default()), &found(0), Some(Cause::DatabaseMissing));
}

#[test]
fn s5_a_missing_or_unreadable_anchor_is_not_trusted() {
    check(Anchored::Missing, &found(5), Some(Cause::AnchorMissing));
    check(Anchored::Unreadable, &found(5), Some(Cause::AnchorUnreadable));
    check(Anchored::Unreadable, &found(0), Some(Cause::AnchorUnreadable));
}

#[test]
fn s10_an_anchor_of_another_history_is_noticed() {
    check(Anchored::Whole(mark(5, B)), &found(5), Some(Cause::OtherHistory));
    check(Anchored::Whole(mark(10, A)), &found(11), Some(Cause::OtherHistory));
    check(Anchored::Whole(mark(5, A)), &found(8), Some(Cause::OtherHistory));
}

#[test]
fn s4_a_hole_in_the_log_is_noticed() {
    let hole = Found { count: 6, ..found(7) };
    check(Anchored::Whole(mark(7, A)), &hole, Some(Cause::Hole));
    let mut column_hole = found(7);
    column_hole.counts[0] = 3;
    check(Anchored::Whole(mark(7, A)), &column_hole, Some(Cause::Hole));
}

#[test]
fn an_unresolved_condition_stays_and_grows() {
    let earlier = Behind { anchor: Some(Sequence(4)), found: Sequence(2), cause: Cause::Hole };
    let database = Found { unresolved: Some(earlier), ..found(7) };
    assert_eq!(judge(Anchored::Whole(mark(7, A)), &database), Condition::Behind(earlier));
    let worse = Behind { anchor: Some(Sequence(8)), found: Sequence(2), cause: Cause::LostWrites };
    assert_eq!(judge(Anchored::Whole(mark(8, A)), &database), Condition::Behind(worse));
}

#[test]
fn rows_are_promises() {
    let tip = found(11).tip.expect("it has one");
    let bytes = tip.encode();
    let expected = [
        "01",
        "0b00000000000000",
        "02020202020202020202020202020202",
        "0a00000000000000",
        "01010101010101010101010101010101",
        "0b00000000000000",
        &"00".repeat(8 * 13),
    ];
    assert_eq!(hex(&bytes), expected.concat());
    assert_eq!(Tip::decode(&bytes), Ok(tip));
    let behind = Behind { anchor: Some(Sequence(4)), found: Sequence(2), cause: Cause::Hole };
    assert_eq!(hex(&behind.encode()), "010104000000000000000200000000000000".to_owned() + "05000000");
    assert_eq!(Behind::decode(&behind.encode()), Ok(behind));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
