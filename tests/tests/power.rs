//! The power goes at any moment, and what was not synced goes with it (FAULTS S2, S3, F7). `./x power --images N` tries more.

use towpath_tests::power::audit::Verdict;
use towpath_tests::power::disk::{Syncs, Unsynced};
use towpath_tests::power::recording::{Recording, lacking};
use towpath_tests::power::{Images, keep_images, last_image, open_images};

#[tokio::test]
async fn s2_s3_f7_a_power_cut_at_the_end_of_any_sync_loses_nothing_that_was_told() {
    if let Some(why) = lacking() {
        eprintln!("SKIPPED: {why}");
        return;
    }
    let mut recording = Recording::make(60).await;
    let of = |syncs| Images { count: 99, seed: 1, syncs };
    let tally = open_images(&recording, of(Syncs::Kept), |_| ()).expect("the trace tells all");
    assert_eq!((&tally.lost, &tally.noticed), (&Vec::new(), &Vec::new()));
    assert!(tally.images == 99 && Unsynced::ALL.iter().all(|kind| tally.whole[kind] == 33), "{tally:?}");
    assert!(tally.payments_told > 200 && tally.boundaries > 400, "there was something to lose: {tally:?}");

    // The same on disks that lie: the check finds what is lost, and the anchor notices a log that was not kept.
    let ignored = open_images(&recording, of(Syncs::Ignored), |_| ()).expect("the trace tells all");
    assert!(ignored.lost.len() > 33, "without syncs acknowledged payments are lost: {ignored:?}");
    let no_logs = open_images(&recording, of(Syncs::IgnoredForLogs), |_| ()).expect("the trace tells all");
    assert!(no_logs.lost.is_empty() && no_logs.noticed.len() > 33, "{no_logs:?}");

    let three = Images { count: 3, seed: 2, syncs: Syncs::Kept };
    let (kept, images) = keep_images(&recording, three).expect("the trace tells all");
    let last = kept.path().join("last");
    last_image(&recording, &last).expect("the trace tells all");
    recording.return_among_peers(&last).await;
    for (image, due) in &images {
        assert_eq!(recording.return_alone(image, due).await, Verdict::Whole, "{}", image.display());
    }
}
