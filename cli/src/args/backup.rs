//! `towpath backup …`

use std::path::PathBuf;

use clap::Subcommand;

/// `towpath backup …`
#[derive(Subcommand, Debug)]
pub enum Backup {
    /// Back up a running node: its channels, its counters, its configuration; encrypted.
    Create {
        /// The file to make.
        file: PathBuf,
    },
    /// Check every byte of a backup.
    Verify {
        /// The backup to check.
        file: PathBuf,
        /// A file with the passphrase of the node's key file; without it, it is asked for.
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Make a node's data folder (--data-dir) out of a backup. The node then asks its peers and towers for what is newer.
    Restore {
        /// The backup to bring back.
        file: PathBuf,
        /// A file with the passphrase of the node's key file; without it, it is asked for.
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
}
