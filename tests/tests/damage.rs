//! A node's data folder is harmed at random places (FAULTS S4, S5). `./x damage --positions N` tries more.

use towpath_tests::damage::{self, Verdict};

#[tokio::test]
async fn s4_s5_f8_damage_anywhere_in_the_data_folder_is_noticed_or_harmless() {
    let tally = damage::run(40, 1, |_, _, _| ()).await.expect("nothing goes unnoticed");
    let is_noticed =
        |verdict: &Verdict| matches!(verdict, Verdict::Refused | Verdict::Recovery | Verdict::Damaged);
    assert!(tally.keys().any(|(_, verdict)| is_noticed(verdict)), "some damage does harm: {tally:?}");
}
