//! At the API: requests that fit its document here and there, and bytes that are no requests.

use tokio::io::AsyncWriteExt;
use towpath_fuzz::mutate;

use super::{Storm, random, side_by_side};
use crate::http::{Caller, answer};
use crate::requests::Requests;

/// Callers at once, and requests of each for each operation in a round.
const CALLERS: u8 = 4;
const REQUESTS: u64 = 2;

/// Connections of a round whose bytes are no request any more.
const BROKEN: u64 = 60;

/// The longest of these, in bytes: more than a header may have.
const BROKEN_BYTES_MAX: usize = 80_000;

impl Storm {
    pub(super) async fn requests(&self, seed: u64) {
        side_by_side(CALLERS, async |lane| {
            let mut requests =
                Requests::new(seed.wrapping_mul(0x100) + u64::from(lane), &self.document, &self.known);
            let mut caller = Caller::new(&self.api);
            for operation in &self.operations {
                for _ in 0..REQUESTS {
                    let request = requests.request(operation, &self.api);
                    let answer = caller.ask(&request).await;
                    let shown = || format!("{}\n{}", String::from_utf8_lossy(&request), answer.text);
                    assert!(answer.status >= 200, "no answer to {}", shown());
                    assert!(answer.status < 500 || answer.status == 503, "the node fails at {}", shown());
                    self.tally.add("requests", 1);
                }
            }
        })
        .await;
    }

    /// Broken off after the last byte: some are never answered, and none is answered with a failure of the node.
    pub(super) async fn no_requests(&self, seed: u64) {
        let mut random = random("no requests", seed, 0);
        let mut requests = Requests::new(!seed, &self.document, &self.known);
        for _ in 0..BROKEN {
            let Some(operation) = random.pick(&self.operations) else { return };
            let mut bytes = requests.request(operation, &self.api);
            let other = self.word(&mut random);
            mutate(&mut random, &mut bytes, &other, BROKEN_BYTES_MAX);
            let mut stream = self.api.connect().await;
            let _refused_early = stream.write_all(&bytes).await;
            let _closed_early = stream.shutdown().await;
            let answer = answer(stream).await;
            let failed = answer.status >= 500 && answer.status != 503;
            assert!(!failed, "{}\n{}", String::from_utf8_lossy(&bytes), answer.text);
            self.tally.add("no requests", 1);
        }
    }
}
