//! Starting, finding and stopping node processes. A process is known by its number *and* the moment of its start, so
//! that one which merely got the number of a dead node is never touched.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::TestnetError;
use crate::state::{NodeState, ProcessId};

/// How long a node may take to end by itself.
const STOP_MAX: Duration = Duration::from_secs(15);

/// How often a process that is ending is looked at; the kernel offers no event for a process that is not our child.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Bytes at the end of a log that an error shows.
const TAIL_BYTES: usize = 2_000;

/// Starts the node with this program's own binary, or has the program in `before` do so, which must become it (as `nice` does).
/// It outlives this process; its output goes to its log.
///
/// # Errors
/// When the log cannot be opened or the program cannot be started.
pub fn start(
    program: &Path,
    before: &[OsString],
    node: &NodeState,
) -> Result<(Child, ProcessId), TestnetError> {
    let mut words = before.iter().map(OsString::as_os_str).chain([program.as_os_str()]);
    let mut command = Command::new(words.next().unwrap_or(program.as_os_str()));
    spawn(command.args(words).arg("node").arg("--config").arg(&node.config), &node.log)
}

/// Starts a process that makes payments on the network in `dir` until it is stopped; its output goes to `log`.
///
/// # Errors
/// When the log cannot be opened or the program cannot be started.
pub fn start_traffic(program: &Path, dir: &Path, log: &Path) -> Result<(Child, ProcessId), TestnetError> {
    spawn(Command::new(program).arg("--testnet-dir").arg(dir).args(["testnet", "traffic"]), log)
}

fn spawn(command: &mut Command, log: &Path) -> Result<(Child, ProcessId), TestnetError> {
    let io = |source| TestnetError::Io { path: log.to_owned(), source };
    let file = File::options().create(true).append(true).open(log).map_err(io)?;
    let child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone().map_err(io)?)
        .stderr(file)
        // A group of its own: Ctrl-C at the terminal reaches the network's owner alone, who then stops its nodes.
        .process_group(0)
        .spawn()
        .map_err(|source| TestnetError::Io { path: command.get_program().into(), source })?;
    let pid = i32::try_from(child.id()).expect("process numbers fit");
    let start_ticks = start_ticks(pid).unwrap_or(0);
    Ok((child, ProcessId { pid, start_ticks }))
}

/// Whether the process still runs. A dead child that nobody waited for does not.
#[must_use]
pub fn is_running(process: ProcessId) -> bool {
    start_ticks(process.pid) == Some(process.start_ticks)
}

/// Kills at once, as a crash would; a process that is gone already is fine.
pub fn kill(process: ProcessId) {
    signal(process, Signal::KILL);
}

/// Asks the process to end.
pub fn terminate(process: ProcessId) {
    signal(process, Signal::TERM);
}

fn signal(process: ProcessId, signal: Signal) {
    if is_running(process)
        && let Some(pid) = Pid::from_raw(process.pid)
    {
        // It may have ended in between; then there is nothing to do.
        let _ = kill_process(pid, signal);
    }
}

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// By itself.
    Cleanly,
    /// It had to be killed.
    Killed,
}

/// Asks the processes to end, waits, and kills those that do not.
pub async fn stop(processes: &[ProcessId]) -> Ended {
    for process in processes {
        terminate(*process);
    }
    if gone(processes, STOP_MAX).await {
        return Ended::Cleanly;
    }
    for process in processes {
        kill(*process);
    }
    gone(processes, STOP_MAX).await;
    Ended::Killed
}

/// Waits until none of the processes runs any more; whether that happened in time.
pub async fn gone(processes: &[ProcessId], within: Duration) -> bool {
    let deadline = Instant::now() + within;
    loop {
        if !processes.iter().any(|process| is_running(*process)) {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// When a process started, in ticks since boot; none if there is no such process, or it is a zombie.
fn start_ticks(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold anything: what follows the last one is regular.
    let rest = stat.rsplit_once(')')?.1;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let (state, ticks) = (fields.first()?, fields.get(19)?);
    if *state == "Z" { None } else { ticks.parse().ok() }
}

/// The end of a node's log.
#[must_use]
pub fn log_tail(log: &Path) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let tail = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
    let text = String::from_utf8_lossy(tail);
    // From the first whole line on.
    text.split_once('\n')
        .map_or(text.as_ref(), |(_, rest)| if bytes.len() > TAIL_BYTES { rest } else { &text })
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_number_and_its_start() {
        let own = i32::try_from(std::process::id()).unwrap();
        let ticks = start_ticks(own).unwrap();
        assert!(is_running(ProcessId { pid: own, start_ticks: ticks }));
        assert!(
            !is_running(ProcessId { pid: own, start_ticks: ticks + 1 }),
            "another process of that number"
        );
    }

    #[test]
    fn a_killed_child_is_gone_even_before_it_is_waited_for() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let process = ProcessId { pid, start_ticks: start_ticks(pid).unwrap() };
        assert!(is_running(process));
        kill(process);
        child.wait().unwrap();
        assert!(!is_running(process));
    }
}
