//! Free ports of this machine, below those that the kernel gives to outgoing connections: a node that is down must find
//! its port free when it comes back.

use std::net::TcpListener;
use std::ops::Range;
use std::path::Path;

use crate::error::TestnetError;

/// Below Linux's range of ephemeral ports, above the well-known ones.
const PORTS: Range<u16> = 20_000..32_000;

/// `count` distinct ports of the loopback address that nobody listens on now.
///
/// # Errors
/// When this machine has not so many.
pub fn free(count: usize, dir: &Path) -> Result<Vec<u16>, TestnetError> {
    let span = PORTS.end - PORTS.start;
    // Two networks that are set up at the same time start their search at different places.
    let start = u16::try_from(std::process::id().wrapping_mul(97) % u32::from(span)).unwrap_or(0);
    let candidates = (0..span).map(|step| PORTS.start + (start + step) % span);
    // The listeners are held until all ports are chosen.
    let listeners: Vec<TcpListener> =
        candidates.filter_map(|port| TcpListener::bind(("127.0.0.1", port)).ok()).take(count).collect();
    let ports =
        listeners.iter().filter_map(|listener| listener.local_addr().ok()).map(|address| address.port());
    let ports: Vec<u16> = ports.collect();
    if ports.len() == count {
        return Ok(ports);
    }
    let reason = format!("this machine has only {} of {count} free ports", ports.len());
    Err(TestnetError::SetUp { name: dir.display().to_string(), reason })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ports_are_distinct_and_free() {
        let ports = free(8, Path::new("/nowhere")).unwrap();
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 8);
        assert!(ports.iter().all(|port| PORTS.contains(port)));
    }
}
