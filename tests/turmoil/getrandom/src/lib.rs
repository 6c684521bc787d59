//! `getrandom` 0.2 by way of 0.4, which asks C's function that a simulation can put itself in place of: the published 0.2
//! asks the kernel. Only what `ring` uses of it is here.

/// The system gives no random bytes.
pub type Error = system::Error;

/// Fills `bytes` with random ones.
///
/// # Errors
/// [`Error`].
pub fn getrandom(bytes: &mut [u8]) -> Result<(), Error> {
    system::fill(bytes)
}
