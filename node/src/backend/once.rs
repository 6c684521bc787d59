//! Calls that are made once: the first with an idempotency key goes on with a claim to it; a repeated one waits until what
//! the first led to is durable, and then learns what that is.

use std::time::Duration;

use tokio::time::Instant;
use towpath_api::{ApiError, Code};
use towpath_crypto::Digest;

use super::Node;
use super::channels::{LOOK_EVERY, WAIT_MS, timed_out};
use crate::clock;
use crate::idempotency::{Claim, Claimed, Key, Outcome};

/// Whether a call is the first with its key.
pub(super) enum Once {
    /// It is, or it has no key.
    First(Option<Claim>),
    /// It was made before, and this became of it.
    Again(Key, Outcome),
}

impl Node {
    /// Takes the key of a call with this content, or waits for what became of the call that has it.
    pub(super) async fn once(
        &self,
        word: Option<&str>,
        content: Digest,
        until: Instant,
    ) -> Result<Once, ApiError> {
        let Some(key) = word.map(Key::of) else { return Ok(Once::First(None)) };
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        loop {
            match self.idempotency.claim(key, content, clock::now_ms()) {
                Ok(claim) => return Ok(Once::First(Some(claim))),
                Err(Claimed::Before(outcome)) => return Ok(Once::Again(key, outcome)),
                Err(Claimed::UnderWay) if Instant::now() < until => drop(ticks.tick().await),
                Err(Claimed::UnderWay) => return Err(timed_out("the first call with this idempotency key")),
                Err(Claimed::Conflict) => {
                    let detail = "this idempotency key was used for another call";
                    return Err(ApiError::new(Code::IdempotencyConflict, detail));
                }
                Err(Claimed::Full) => {
                    let detail = "too many calls with idempotency keys are not done; wait for some of them";
                    return Err(ApiError::new(Code::TooManyRequests, detail));
                }
            }
        }
    }
}

/// When a call that waits so long at most gives up.
pub(super) fn deadline(timeout_ms: Option<u64>) -> Instant {
    Instant::now() + Duration::from_millis(timeout_ms.unwrap_or(WAIT_MS))
}

/// An outcome of another kind of call than the one that was repeated: contents of two kinds are never the same.
pub(super) fn other_kind() -> ApiError {
    ApiError::new(Code::Internal, "what is remembered of this idempotency key is of another kind of call")
}
