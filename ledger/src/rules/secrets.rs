//! The secrets registry: a secret is recorded once, with the time of the block in which it first appeared (SPEC L-20).

use std::collections::BTreeSet;

use super::error::{PayloadFault, TxError};
use crate::types::{Digest, Payload, Secret, Time};
use crate::view::View;

/// What a payload records on top of `view`.
pub(super) fn recorded<V: View + ?Sized>(
    payload: Option<&Payload>,
    view: &V,
    now: Time,
) -> Result<Vec<(Digest, Time, Secret)>, TxError> {
    let Some(Payload::Reveal(secrets)) = payload else { return Ok(Vec::new()) };
    let mut seen = BTreeSet::new();
    secrets.iter().map(|secret| record(secret, view, now, &mut seen)).collect()
}

fn record<V: View + ?Sized>(
    secret: &Secret,
    view: &V,
    now: Time,
    seen: &mut BTreeSet<Digest>,
) -> Result<(Digest, Time, Secret), TxError> {
    let condition = secret.condition().ok_or(TxError::BadPayload(PayloadFault::BadScalar))?;
    let key = condition.key();
    // A scalar and its negation open the same condition, so distinct secrets may still be one.
    if !seen.insert(key) || view.secret_time(&key)?.is_some() {
        return Err(TxError::SecretKnown(key));
    }
    Ok((key, now, *secret))
}
