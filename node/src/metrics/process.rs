//! What this process uses of the machine, as Linux tells it.

use std::path::Path;

/// A tick of the kernel's accounting: `USER_HZ` is 100 on every architecture that the node runs on.
const TICK_US: u64 = 10_000;

/// What a process uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Processor time, user and system.
    pub cpu_us: u64,
    /// Resident memory.
    pub memory_bytes: u64,
    /// Open file descriptors.
    pub open_files: u64,
}

/// What this process uses now; zeros where the system doesn't tell.
#[must_use]
pub fn usage() -> Usage {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    Usage {
        cpu_us: cpu_ticks(&stat).unwrap_or_default().saturating_mul(TICK_US),
        memory_bytes: resident_kib(&status).unwrap_or_default().saturating_mul(1024),
        open_files: entries(Path::new("/proc/self/fd")),
    }
}

/// Fields 14 and 15 of proc(5) `stat`; the program's name before them may hold spaces and parentheses.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    user.checked_add(system)
}

/// The line `VmRSS:   1234 kB` of proc(5) `status`.
fn resident_kib(status: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    value.split_ascii_whitespace().next()?.parse().ok()
}

fn entries(dir: &Path) -> u64 {
    std::fs::read_dir(dir).map_or(0, |entries| entries.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::{cpu_ticks, resident_kib, usage};

    #[test]
    fn fields_are_found_behind_any_program_name() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15";
        assert_eq!(cpu_ticks(&format!("42 (towpath) {rest}")), Some(11 + 12));
        assert_eq!(cpu_ticks(&format!("42 (a) b) (c d) {rest}")), Some(11 + 12));
        assert_eq!(cpu_ticks("42"), None);
        assert_eq!(cpu_ticks("42 (x) S"), None);
        assert_eq!(resident_kib("Name:\tx\nVmRSS:\t    33 kB\n"), Some(33));
        assert_eq!(resident_kib(""), None);
    }

    #[test]
    fn this_process_uses_something() {
        let usage = usage();
        assert!(usage.memory_bytes > 0 && usage.open_files > 0);
    }
}
