//! What the inputs of a transaction demand of it: signatures, and outputs.

use super::apply::BlockContext;
use super::error::TxError;
use super::signature::SignatureCheck;
use crate::types::{AssetId, Lock, Output, TxBody};

/// Gathered input by input, then held against the outputs.
#[derive(Debug, Default)]
pub(super) struct Demands {
    checks: Vec<SignatureCheck>,
}

impl Demands {
    /// Demands that this signature is valid.
    pub(super) fn sign(&mut self, check: SignatureCheck) {
        self.checks.push(check);
    }

    /// Checks the outputs; what is left to check are the signatures.
    pub(super) fn meet(
        self,
        body: &TxBody,
        context: &BlockContext<'_>,
    ) -> Result<Vec<SignatureCheck>, TxError> {
        for (index, output) in body.outputs.iter().enumerate() {
            check_output(index, output, context)?;
        }
        Ok(self.checks)
    }
}

fn check_output(index: usize, output: &Output, context: &BlockContext<'_>) -> Result<(), TxError> {
    let least = context.params.output_min;
    match &output.lock {
        Lock::Wallet(_) if output.asset == AssetId::NATIVE && output.amount < least => {
            Err(TxError::Dust { index, least })
        }
        Lock::Wallet(_) => Ok(()),
        Lock::Channel(_) | Lock::Closing(_) | Lock::Conditional(_) => Err(TxError::Undemanded(index)),
    }
}
