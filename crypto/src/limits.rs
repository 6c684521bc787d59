//! Every bound of this crate on what a peer, a file or a user can make it hold, each with its reason.

/// The largest byte string that is ever decoded: above the largest block with its certificate.
pub const DECODE_BYTES_MAX: usize = 8 << 20;

/// How many times the bytes received a decoder may reserve for collections before it has read their elements.
///
/// It must be no less than `size_of::<T>() / shortest encoding of T` for every `T` that stands in a collection, or
/// honest values would be refused ([`crate::codec::fits`] tests it). The worst in use is an enum whose one variant is
/// a tag of four bytes beside a variant of a hundred. Reserved memory that is not filled costs no pages.
pub const DECODE_EXPANSION_MAX: usize = 32;

/// The longest address, in bytes: a payout of sixteen wallet keys is 560, twice that leaves room.
pub const ADDRESS_BYTES_MAX: usize = 1_100;

/// The longest textual id: an address of [`ADDRESS_BYTES_MAX`] bytes has 1,771 characters.
pub const ID_TEXT_MAX: usize = 1_800;

/// The most memory that reading a key file may take, in KiB: four times what we write ourselves, and what any machine
/// has that runs a node. Without a bound a planted file could ask for a terabyte.
pub const KEY_FILE_MEMORY_MAX_KIB: u32 = 256 * 1024;

/// The most passes over that memory: some seconds.
pub const KEY_FILE_PASSES_MAX: u32 = 16;

/// The most lanes; we write one, since nothing here computes lanes in parallel.
pub const KEY_FILE_LANES_MAX: u32 = 4;

/// The longest passphrase, in bytes.
pub const PASSPHRASE_BYTES_MAX: usize = 1024;
