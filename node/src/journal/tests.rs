//! Events in order, and what a listener is told who is somewhere that the log is not.

use std::sync::Arc;

use towpath_api::EventBody;
use towpath_store::{Column, GroupWriter, MemoryStore, Scan, Store, StoreError};

use super::{Entry, Journal, Page};

fn journal(retention: u64) -> Arc<Journal> {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let writer = GroupWriter::start(Arc::clone(&store), |error| panic!("no write fails here: {error}"))
        .expect("threads");
    Arc::new(Journal::open(store, writer, retention).expect("an empty log"))
}

fn block(height: u64) -> EventBody {
    EventBody::Block { block: "block1b".to_owned(), height, time_ms: 1, transactions: 0 }
}

fn write(journal: &Arc<Journal>, heights: std::ops::RangeInclusive<u64>) {
    let events = heights.map(block).collect();
    journal.commit(Entry { events, ..Entry::default() }, 7).expect("written");
}

/// The indices of a page of events.
fn indices(page: Page) -> Vec<u64> {
    match page {
        Page::Events(events) => events.iter().map(|event| event.index).collect(),
        Page::Gap { after, resumed_after } => panic!("a gap from {after} to {resumed_after}"),
    }
}

#[tokio::test]
async fn a_listener_resumes_behind_the_index_that_it_saw() {
    let journal = journal(1_000);
    write(&journal, 1..=3);
    let mut listener = journal.listen(Some(1));
    assert_eq!(indices(listener.next().await.expect("readable")), [2, 3]);
    let mut live = journal.listen(None);
    write(&journal, 4..=4);
    for listener in [&mut listener, &mut live] {
        assert_eq!(indices(listener.next().await.expect("readable")), [4]);
        assert_eq!(listener.place(), 4);
    }
}

#[tokio::test]
async fn a_listener_ahead_of_the_log_is_told_and_goes_on_from_its_end() {
    let journal = journal(1_000);
    write(&journal, 1..=3);
    let mut listener = journal.listen(Some(90));
    assert_eq!(listener.place(), 3);
    let page = listener.next().await.expect("readable");
    assert!(matches!(page, Page::Gap { after: 90, resumed_after: 3 }), "{page:?}");
    write(&journal, 4..=5);
    assert_eq!(indices(listener.next().await.expect("readable")), [4, 5]);
}

#[tokio::test]
async fn a_listener_at_the_end_of_the_log_is_not_ahead() {
    let journal = journal(1_000);
    write(&journal, 1..=3);
    let mut listener = journal.listen(Some(3));
    write(&journal, 4..=4);
    assert_eq!(indices(listener.next().await.expect("readable")), [4]);
}

#[tokio::test]
async fn a_listener_whose_place_was_pruned_is_told_what_is_missing() {
    let journal = journal(100);
    let mut slow = journal.listen(Some(0));
    for thousand in 0..3 {
        write(&journal, thousand * 1_000 + 1..=thousand * 1_000 + 1_000);
    }
    let mut resumed = journal.listen(Some(500));
    for (listener, was) in [(&mut slow, 0), (&mut resumed, 500)] {
        let page = listener.next().await.expect("readable");
        let Page::Gap { after, resumed_after } = page else { panic!("no gap: {page:?}") };
        assert_eq!(after, was);
        // More may be pruned while one reads: then there is another gap, which begins where the first one ended.
        let (mut place, mut page) = (resumed_after, listener.next().await.expect("readable"));
        while let Page::Gap { after, resumed_after } = page {
            assert_eq!(after, place);
            (place, page) = (resumed_after, listener.next().await.expect("readable"));
        }
        let next = indices(page);
        assert_eq!(next.first(), Some(&(place + 1)));
        assert!(place >= 2_000 && next.len() <= 1_100, "{place}, {} left", next.len());
    }
}

#[test]
fn s11_nothing_is_written_and_nobody_released_after_the_last_entry() {
    let journal = journal(1_000);
    write(&journal, 1..=2);
    let (told, heard) = std::sync::mpsc::channel();
    let last = Entry { events: vec![block(3)], ..Entry::default() };
    journal.submit_last(last, 7, move || told.send(()).expect("somebody waits"));
    // Whoever comes after it hears of no success, at once: a vote, a signature, another proof.
    let late = || Entry { events: vec![block(4)], ..Entry::default() };
    assert_eq!(journal.commit(late(), 7), Err(StoreError::Closed));
    journal.submit(late(), 7, || panic!("not written"));
    journal.submit_last(late(), 7, || panic!("not written"));
    heard.recv().expect("the last one is durable");
    let rows = journal.store().scan(Column::Events, &Scan::prefix(&[])).expect("it reads");
    assert_eq!(rows.len(), 3);
}
