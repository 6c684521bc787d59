//! The driver's inbox: two bounded lanes, so that what peers send never crowds out what this node itself must say. A
//! flood of gossip fills its own lane; closes, answers and callers come in by the other one.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Input;
use crate::limits;

/// Which lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lane {
    /// What this node's own parts want.
    Own,
    /// What comes from the network.
    Heard,
}

impl Lane {
    const fn of(input: &Input) -> Self {
        match input {
            Input::Consensus { .. }
            | Input::Heard { .. }
            | Input::Ripe { .. }
            | Input::SyncResponse { .. }
            | Input::Peers => Self::Heard,
            Input::Submit { .. }
            | Input::Waiting { .. }
            | Input::Funds(_)
            | Input::Travel(_)
            | Input::Stop => Self::Own,
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::Own => Self::Heard,
            Self::Heard => Self::Own,
        }
    }

    const fn bound(self) -> usize {
        match self {
            Self::Own => limits::LEDGER_INBOX_OWN,
            Self::Heard => limits::LEDGER_INBOX,
        }
    }
}

struct Lanes {
    own: VecDeque<Input>,
    heard: VecDeque<Input>,
    /// Whose turn it is when both have something.
    next: Lane,
    is_closed: bool,
}

impl Lanes {
    const fn lane(&mut self, lane: Lane) -> &mut VecDeque<Input> {
        match lane {
            Lane::Own => &mut self.own,
            Lane::Heard => &mut self.heard,
        }
    }

    /// One of each lane in turn: neither waits for the other to run dry.
    fn pop(&mut self) -> Option<Input> {
        let next = self.next;
        for lane in [next, next.other()] {
            if let Some(input) = self.lane(lane).pop_front() {
                self.next = lane.other();
                return Some(input);
            }
        }
        None
    }
}

struct Shared {
    lanes: Mutex<Lanes>,
    /// Something came in.
    filled: Condvar,
    /// Something went out, or the driver ended.
    drained: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Lanes> {
        // A panic ends the process, so no half-changed lanes are ever seen.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bounded sending end of the driver's inbox.
#[derive(Clone)]
pub struct LedgerHandle(Arc<Shared>);

impl std::fmt::Debug for LedgerHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LedgerHandle")
    }
}

/// The driver's end.
pub struct LedgerInbox(Arc<Shared>);

/// The inbox is full, or the driver ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ledger is busy; try again")]
pub struct LedgerBusy;

impl LedgerHandle {
    /// Both ends of an inbox.
    #[must_use]
    pub fn inbox() -> (Self, LedgerInbox) {
        let lanes = Lanes { own: VecDeque::new(), heard: VecDeque::new(), next: Lane::Own, is_closed: false };
        let shared =
            Arc::new(Shared { lanes: Mutex::new(lanes), filled: Condvar::new(), drained: Condvar::new() });
        (Self(Arc::clone(&shared)), LedgerInbox(shared))
    }

    /// Hands over without waiting.
    ///
    /// # Errors
    /// [`LedgerBusy`]; the input is lost.
    pub fn offer(&self, input: Input) -> Result<(), LedgerBusy> {
        let lane = Lane::of(&input);
        let mut lanes = self.0.lock();
        if lanes.is_closed || lanes.lane(lane).len() >= lane.bound() {
            return Err(LedgerBusy);
        }
        lanes.lane(lane).push_back(input);
        self.0.filled.notify_one();
        Ok(())
    }

    /// Hands over from a thread that may wait.
    pub fn push(&self, input: Input) {
        let lane = Lane::of(&input);
        let mut lanes = self.0.lock();
        while !lanes.is_closed && lanes.lane(lane).len() >= lane.bound() {
            lanes = self.0.drained.wait(lanes).unwrap_or_else(PoisonError::into_inner);
        }
        // The driver ends only with the node; what is lost then is emitted again at the next start.
        if !lanes.is_closed {
            lanes.lane(lane).push_back(input);
            self.0.filled.notify_one();
        }
    }

    /// Inputs that wait, in both lanes.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        let lanes = self.0.lock();
        u64::try_from(lanes.own.len() + lanes.heard.len()).unwrap_or(u64::MAX)
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// [`LedgerBusy`] when the inbox is full or the node is stopping.
    pub async fn ask<T>(&self, make: impl FnOnce(oneshot::Sender<T>) -> Input) -> Result<T, LedgerBusy> {
        let (sender, receiver) = oneshot::channel();
        self.offer(make(sender))?;
        receiver.await.map_err(|_| LedgerBusy)
    }
}

impl LedgerInbox {
    /// The next input, if one waits. Looks at no clock: where nodes are stepped time may stand still.
    pub(super) fn try_take(&self) -> Option<Input> {
        let input = self.0.lock().pop()?;
        self.0.drained.notify_all();
        Some(input)
    }

    /// The next input, or nothing if none comes in so long.
    pub(super) fn take(&self, wait: Duration) -> Option<Input> {
        let until = Instant::now() + wait;
        let mut lanes = self.0.lock();
        loop {
            if let Some(input) = lanes.pop() {
                self.0.drained.notify_all();
                return Some(input);
            }
            let left = until.checked_duration_since(Instant::now())?;
            (lanes, _) = self.0.filled.wait_timeout(lanes, left).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for LedgerInbox {
    fn drop(&mut self) {
        let mut lanes = self.0.lock();
        lanes.is_closed = true;
        // What waits is dropped with its answers' ends, so that nobody waits for a driver that is gone.
        lanes.own.clear();
        lanes.heard.clear();
        self.0.drained.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use towpath_crypto::ed25519::PublicKey;
    use towpath_ledger::Time;

    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn heard(number: u8) -> Input {
        Input::SyncResponse { peer: PublicKey([number; 32]), answer: None }
    }

    fn own(number: u64) -> Input {
        Input::Travel(Time(number))
    }

    fn name(input: Option<Input>) -> String {
        match input {
            Some(Input::SyncResponse { peer, .. }) => format!("heard {}", peer.0[0]),
            Some(Input::Travel(time)) => format!("own {}", time.0),
            Some(Input::Stop) => "stop".to_owned(),
            Some(other) => panic!("{other:?}"),
            None => "nothing".to_owned(),
        }
    }

    #[test]
    fn l20_a_flood_of_gossip_refuses_no_close_of_our_own() {
        let (handle, inbox) = LedgerHandle::inbox();
        while handle.offer(heard(1)).is_ok() {}
        assert_eq!(usize::try_from(handle.waiting()).expect("small"), limits::LEDGER_INBOX);
        handle.offer(own(7)).expect("the other lane has room");
        assert_eq!(name(inbox.take(NOW)), "own 7", "and is not behind the flood");
        handle.offer(heard(2)).expect_err("the flood's lane is full still");
        assert_eq!(name(inbox.take(NOW)), "heard 1");
        handle.offer(heard(2)).expect("one place is free");
    }

    #[test]
    fn both_lanes_move_and_each_keeps_its_order() {
        let (handle, inbox) = LedgerHandle::inbox();
        for number in 1..=3 {
            handle.offer(own(number.into())).expect("room");
            handle.offer(heard(number)).expect("room");
        }
        let taken: Vec<String> = (0..7).map(|_| name(inbox.take(NOW))).collect();
        assert_eq!(taken, ["own 1", "heard 1", "own 2", "heard 2", "own 3", "heard 3", "nothing"]);
    }

    #[test]
    fn our_own_lane_is_bounded_too_and_a_push_waits_for_room() {
        let (handle, inbox) = LedgerHandle::inbox();
        let mut count = 0_u64;
        while handle.offer(own(count)).is_ok() {
            count += 1;
        }
        assert_eq!(usize::try_from(count).expect("small"), limits::LEDGER_INBOX_OWN);
        let pusher = {
            let handle = handle.clone();
            std::thread::spawn(move || handle.push(Input::Stop))
        };
        let taken: Vec<String> = (0..=count).map(|_| name(inbox.take(Duration::from_secs(60)))).collect();
        assert_eq!(taken.last().map(String::as_str), Some("stop"));
        pusher.join().expect("it went on");
    }

    #[test]
    fn nobody_waits_for_a_driver_that_ended() {
        let (handle, inbox) = LedgerHandle::inbox();
        while handle.offer(own(1)).is_ok() {}
        let pusher = {
            let handle = handle.clone();
            std::thread::spawn(move || handle.push(own(2)))
        };
        drop(inbox);
        pusher.join().expect("it does not wait for ever");
        assert_eq!(handle.offer(own(3)), Err(LedgerBusy));
    }
}
