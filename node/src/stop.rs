//! Why a run of the node ends: the operator asks for it, something failed, or its data turned out to be an old copy.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::node::NodeError;

/// The first reason to stop: a signal, or something fatal.
#[derive(Clone)]
pub(crate) struct Stop {
    pub token: CancellationToken,
    reason: Arc<Mutex<Option<String>>>,
    /// Another run is to follow: whatever fails in this one after that is of no account.
    again: Arc<AtomicBool>,
}

impl Stop {
    pub fn new() -> Self {
        Self { token: CancellationToken::new(), reason: Arc::default(), again: Arc::default() }
    }

    /// Ends this run, for another one.
    pub fn again(&self) {
        self.again.store(true, Ordering::Release);
        self.token.cancel();
    }

    pub fn fatal(&self, reason: String) {
        tracing::error!(%reason, "the node stops");
        if let Ok(mut first) = self.reason.lock() {
            first.get_or_insert(reason);
        }
        self.token.cancel();
    }

    /// What the run ended with.
    pub fn ended(&self) -> Result<(), NodeError> {
        if self.again.load(Ordering::Acquire) {
            return Err(NodeError::OldCopy);
        }
        let reason = self.reason.lock().ok().and_then(|mut reason| reason.take());
        reason.map_or(Ok(()), |reason| Err(NodeError::Fatal(reason)))
    }

    /// Waits until this run is to end.
    pub async fn wait(&self, asked: &mut watch::Receiver<bool>) {
        tokio::select! {
            () = self.token.cancelled() => {}
            heard = asked.wait_for(|asked| *asked) => match heard {
                Ok(_asked) => tracing::info!("asked to stop"),
                Err(_gone) => self.fatal("cannot listen for signals".to_owned()),
            },
        }
        self.token.cancel();
    }
}

/// Listens for the operator's wish to stop, for all runs of this process: one that comes between two of them counts, too.
pub(crate) fn signals() -> Result<watch::Receiver<bool>, NodeError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(NodeError::Runtime)?;
    let (asked, is_asked) = watch::channel(false);
    let listen = async move {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut terminate, mut interrupt) =
            match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
                (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
                (Err(error), _) | (_, Err(error)) => {
                    return tracing::error!(%error, "cannot listen for signals");
                }
            };
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            asked.send_replace(true);
        }
    };
    // It ends with the process; if it cannot listen, the other end is dropped, and the node stops.
    let listener = move || runtime.block_on(listen);
    std::thread::Builder::new().name("signals".into()).spawn(listener).map_err(NodeError::Runtime)?;
    Ok(is_asked)
}
