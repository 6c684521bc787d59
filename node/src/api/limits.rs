//! What callers can make the API hold or wait for. Bounds that the client must know too are `towpath_api::limits`.

use std::time::Duration;

/// Connections served at once; more are told to come back. Each holds a task and a buffer of 64 KiB at most.
pub const CONNECTIONS_MAX: usize = 256;

/// Event streams served at once: each is a connection that stays.
pub const LISTENERS_MAX: usize = 64;

/// How long a request's header may take, and how long an idle connection is kept.
pub const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a request's body may take: 256 KiB at the pace of a modem.
pub const BODY_READ_TIMEOUT: Duration = Duration::from_secs(15);

/// The largest header, and the read buffer of a connection.
pub const HEADER_BYTES_MAX: usize = 64 * 1024;

/// How long a shutdown waits for requests that are being answered.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// How long the node may take for what is not asked to wait; past it the caller is told that the node is busy.
pub const BACKEND_TIMEOUT: Duration = Duration::from_secs(25);

/// The pause after the system refused to accept a connection (no file descriptors left): it won't help to spin.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The longest id in a path: an address with many keys is the longest text that the node prints.
pub const PATH_ID_BYTES_MAX: usize = 512;

/// How much of a caller's own text an error repeats.
pub const DETAIL_CHARS_MAX: usize = 300;
