//! Every bound of this crate on what a peer, a file or a user can make it hold, each with its reason.

/// The largest byte string that is ever decoded: above the largest block with its certificate.
pub const DECODE_BYTES_MAX: usize = 8 << 20;

/// The longest address, in bytes: a payout of sixteen wallet keys is 560, twice that leaves room.
pub const ADDRESS_BYTES_MAX: usize = 1_100;

/// The longest textual id: an address of [`ADDRESS_BYTES_MAX`] bytes has 1,771 characters.
pub const ID_TEXT_MAX: usize = 1_800;
