//! `towpath tower …`

use clap::Subcommand;

/// See the module.
#[derive(Subcommand, Debug)]
pub enum Tower {
    /// Keep other nodes' newest channel states, sealed, and answer stale closes with them.
    Serve {
        /// Take no more of them; those that are there are kept and answered with.
        #[arg(long)]
        off: bool,
    },
    /// Use a watchtower: it gets the newest state of every channel from now on.
    Add {
        /// `node1…`, `node1…@/ip4/…/tcp/…`, or a name in the local network.
        tower: String,
    },
    /// Use a watchtower no more.
    Remove {
        /// `node1…`, or a name in the local network.
        tower: String,
    },
    /// The nodes for which this one keeps most records.
    Clients,
    /// Drop all records that a node gave to this watchtower.
    ///
    /// Stale closes of its channels are not answered any more, unless it gives them again.
    Drop {
        /// `node1…`, or a name in the local network.
        node: String,
    },
    /// The watchtowers that the node uses.
    List,
    /// How the node does as a watchtower, and how its own watchtowers do.
    Status {
        /// What this one has of each channel: `node1…`, or a name in the local network.
        tower: Option<String>,
    },
}
