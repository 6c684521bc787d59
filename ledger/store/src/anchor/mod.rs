//! The anchor: a small file beside the database with the newest write that was ever acknowledged
//! (`docs/decisions/anchor.md`).

mod file;
mod slot;

pub(crate) use file::{AnchorFile, sync_folder};
pub(crate) use slot::decoder as slot_decoder;
