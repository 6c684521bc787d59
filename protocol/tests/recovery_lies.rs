//! Answers to who has lost its data, as a liar gives them: what is taken of its word, up to the last unit, and no more
//! (FAULTS C8, C9, C16, C17; SPEC P-51 to P-54).

mod common;

use common::forge::{Taken, sign, tell};
use common::loss::{copy, pay_both_ways, put_back, recovery};
use common::world::{Crypto, Cut, World};
use towpath_ledger::{ChannelState, CoSigned};
use towpath_protocol::limits::{JUMP_LEAD_MS_MAX, NUMBER_MAX, RECOVERY_GAP, VERSIONS_PER_MS};
use towpath_protocol::{
    Alarm, ChannelMessage, Content, Effect, Evidence, Jump, RecoveryEvent, Reject, Resume,
};

const A: usize = 0;
const B: usize = 1;
const CRYPTO: Crypto = Crypto::Fast;

/// A works with an old copy, has asked its peer, and has heard nothing yet; the honest answer is on its way.
fn asked() -> (World, Resume) {
    let mut world = World::open(CRYPTO, 1_000, 500, 0);
    pay_both_ways(&mut world, 4);
    let old = copy(&world, A);
    pay_both_ways(&mut world, 4);
    put_back(&mut world, A, &old);
    recovery(&mut world, A, RecoveryEvent::Distrust);
    recovery(&mut world, A, RecoveryEvent::Searched);
    world.connect();
    assert_eq!(world.deliver(B, usize::MAX, Cut::Nowhere), []);
    let answer = world.wires[A].iter().find_map(|message| match message {
        ChannelMessage::Resume(resume) => Some((**resume).clone()),
        _ => None,
    });
    (world, answer.expect("B answers"))
}

fn hear(world: &World, answer: &Resume) -> Taken {
    tell(CRYPTO, &world.sides[A].channel, ChannelMessage::Resume(Box::new(answer.clone())), world.now)
}

/// A state that both have signed, as only this test can make it.
fn shown(content: Content) -> Evidence {
    let [a, b] = [A, B].map(|side| sign(CRYPTO, side, &content.state, content.state.version));
    Evidence { content, a, b }
}

/// B's jump from what it shows.
fn jump(newest: &Evidence, version: u64) -> Jump {
    let state = ChannelState { version, ..newest.content.state.clone() };
    Jump { version, signature: sign(CRYPTO, B, &state, newest.content.state.version) }
}

fn with_jump(answer: &Resume, version: u64) -> Resume {
    Resume { jump: Some(jump(&answer.newest, version)), ..answer.clone() }
}

/// The least that A takes to be above all that it ever signed: it says so when it refuses.
fn mark(world: &World, answer: &Resume) -> u64 {
    match hear(world, &with_jump(answer, 1)).verdict {
        Err(Reject::Version { version: 1, seen, .. }) => seen,
        other => panic!("a jump to the beginning: {other:?}"),
    }
}

#[test]
fn p54_an_answer_counts_once_and_only_for_the_question_that_was_asked() {
    let (world, answer) = asked();
    let taken = hear(&world, &answer);
    assert_eq!(taken.verdict, Ok(()));
    assert!(!taken.after.is_lost(), "although nothing else told of what was lost");
    assert_eq!(taken.after.state().version, answer.jump.expect("it goes on").version);

    let unasked = Err(Reject::NotReestablished("resume"));
    for question in [answer.question - 1, answer.question + 1] {
        assert_eq!(hear(&world, &Resume { question, ..answer.clone() }).verdict, unasked);
    }
    // Who has not asked yet is not answered.
    let mut waits = World::open(CRYPTO, 1_000, 500, 0);
    recovery(&mut waits, A, RecoveryEvent::Distrust);
    assert_eq!(hear(&waits, &Resume { question: 0, ..answer }).verdict, unasked);
}

#[test]
fn c17_less_than_what_is_held_is_an_alarm_and_ends_the_hearing() {
    let (world, answer) = asked();
    let held = world.sides[A].channel.held().content.clone();
    let version = held.state.version;
    let less = Content { state: ChannelState { version: version - 1, ..held.state.clone() }, ..held.clone() };
    let mut other = held.clone();
    std::mem::swap(&mut other.state.balance_a, &mut other.state.balance_b);
    for content in [less, other] {
        let version = content.state.version;
        let taken = hear(&world, &Resume { newest: shown(content), ..answer.clone() });
        assert_eq!(taken.verdict, Ok(()));
        assert!(taken.after.is_lost() && taken.after.held().content == held, "nothing is taken of it");
        let alarm = |effect: &Effect| matches!(effect, Effect::Alarm(Alarm::ShownLess { shown, .. }) if *shown == version);
        assert!(taken.outcome.effects.iter().any(alarm));
        let again = tell(CRYPTO, &taken.after, ChannelMessage::Resume(Box::new(answer.clone())), world.now);
        assert_eq!(again.verdict, Err(Reject::NotReestablished("resume")), "it has had its word");
    }
}

#[test]
fn c8_payment_numbers_of_an_answer_never_fall_and_leave_room() {
    let (world, answer) = asked();
    let known = world.sides[A].channel.held().content.clone();
    assert!(known.sent_a > 0 && known.sent_b > 0);
    let with = |sent_a, sent_b| {
        let newest = &answer.newest;
        let newest =
            Evidence { content: Content { sent_a, sent_b, ..newest.content.clone() }, ..newest.clone() };
        hear(&world, &Resume { newest, ..answer.clone() }).verdict
    };
    let unproven = Err(Reject::Unproven(answer.newest.content.state.version));
    for (sent_a, sent_b) in [
        (known.sent_a - 1, known.sent_b),
        (known.sent_a, known.sent_b - 1),
        (NUMBER_MAX + 1, known.sent_b),
        (known.sent_a, NUMBER_MAX + 1),
        (u64::MAX, u64::MAX),
    ] {
        assert_eq!(with(sent_a, sent_b), unproven, "{sent_a} {sent_b}");
    }
    assert_eq!(with(known.sent_a, known.sent_b), Ok(()));
    assert_eq!(with(NUMBER_MAX, NUMBER_MAX), Ok(()));
}

#[test]
fn c8_c9_a_jump_is_above_all_that_was_signed_within_reach_and_signed_by_the_peer() {
    let (world, answer) = asked();
    let mark = mark(&world, &answer);
    let base = answer.newest.content.state.version;
    assert!(mark >= base + RECOVERY_GAP);
    let limit = (world.now.ledger.0 + JUMP_LEAD_MS_MAX) * VERSIONS_PER_MS;
    for version in [mark, limit + 1, u64::MAX] {
        let refused = Err(Reject::Version { version, held: base, seen: mark });
        assert_eq!(hear(&world, &with_jump(&answer, version)).verdict, refused);
    }
    for version in [mark + 1, limit] {
        let taken = hear(&world, &with_jump(&answer, version));
        assert_eq!((taken.verdict, taken.after.state().version), (Ok(()), version));
    }

    let version = mark + 1;
    let state = ChannelState { version, ..answer.newest.content.state.clone() };
    for held in [base - 1, base + 1, version] {
        let jump = Some(Jump { version, signature: sign(CRYPTO, B, &state, held) });
        let verdict = hear(&world, &Resume { jump, ..answer.clone() }).verdict;
        assert_eq!(verdict, Err(Reject::Held { held }));
    }
    for signer in [A, 3] {
        let jump = Some(Jump { version, signature: sign(CRYPTO, signer, &state, base) });
        assert_eq!(hear(&world, &Resume { jump, ..answer.clone() }).verdict, Err(Reject::Signature));
    }
    let mut richer = state;
    richer.balance_a.0 -= 1;
    richer.balance_b.0 += 1;
    let jump = Some(Jump { version, signature: sign(CRYPTO, B, &richer, base) });
    assert_eq!(hear(&world, &Resume { jump, ..answer }).verdict, Err(Reject::Signature));
}

#[test]
fn c8_a_jump_from_a_version_past_what_time_allows_leaves_the_same_room() {
    let (world, answer) = asked();
    let mut content = answer.newest.content.clone();
    content.state.version = (world.now.ledger.0 + JUMP_LEAD_MS_MAX) * VERSIONS_PER_MS;
    let answer = Resume { newest: shown(content), ..answer };
    let mark = mark(&world, &answer);
    assert_eq!(mark, answer.newest.content.state.version + RECOVERY_GAP);
    assert_eq!(hear(&world, &with_jump(&answer, mark + 4 * RECOVERY_GAP)).verdict, Ok(()));
    let far = hear(&world, &with_jump(&answer, mark + 4 * RECOVERY_GAP + 1)).verdict;
    assert!(matches!(far, Err(Reject::Version { .. })), "{far:?}");
}

#[test]
fn p54_nothing_goes_on_from_final_balances() {
    let (world, answer) = asked();
    let mut content = answer.newest.content.clone();
    content.state.is_final = true;
    content.state.version += 1;
    let last = Resume { newest: shown(content), ..answer };
    let mark = mark(&world, &last);
    let refused = hear(&world, &with_jump(&last, mark + 1)).verdict;
    assert!(matches!(refused, Err(Reject::Version { .. })), "{refused:?}");
    let newest = CoSigned { state: last.newest.content.state.clone(), a: last.newest.a, b: last.newest.b };
    let taken = hear(&world, &Resume { jump: None, ..last });
    assert_eq!(taken.verdict, Ok(()));
    let posts = |effect: &Effect| matches!(effect, Effect::SubmitClose { state, .. } if **state == newest);
    assert!(!taken.after.is_lost() && taken.outcome.effects.iter().any(posts), "it is posted");
}
