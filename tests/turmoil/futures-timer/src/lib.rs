//! `futures-timer` on tokio's clock, which a simulation can stop and move: the published crate waits on a thread and a
//! clock of its own. Only what libp2p uses of it is here.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Waits so long.
pub struct Delay {
    until: Until,
}

/// A wait can be made before the runtime is there that it runs on: tokio's timer is taken at the first poll then.
enum Until {
    For(Duration),
    Moment(Pin<Box<Sleep>>),
}

impl Delay {
    /// A wait from now on.
    #[must_use]
    pub fn new(duration: Duration) -> Self {
        Self { until: Until::begin(duration) }
    }

    /// The same wait, begun anew.
    pub fn reset(&mut self, duration: Duration) {
        self.until = Until::begin(duration);
    }
}

impl Until {
    fn begin(duration: Duration) -> Self {
        match tokio::runtime::Handle::try_current() {
            Ok(_runtime) => Self::Moment(Box::pin(sleep_until(moment(duration)))),
            Err(_none) => Self::For(duration),
        }
    }
}

/// The moment after so long; a wait that no clock reaches is one of many years.
fn moment(duration: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);
    Instant::now() + duration.min(FAR)
}

impl Future for Delay {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Until::For(duration) = self.until {
            self.until = Until::Moment(Box::pin(sleep_until(moment(duration))));
        }
        match &mut self.until {
            Until::Moment(sleep) => sleep.as_mut().poll(context),
            Until::For(_) => Poll::Pending,
        }
    }
}

impl fmt::Debug for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Delay")
    }
}
