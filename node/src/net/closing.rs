//! Connections that end in time. To close a connection in good order is to write what is left and a farewell; to a peer that is gone,
//! and takes nothing, that never ends. So it is given a while, and then the connection is dropped as it is.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use tokio::time::Sleep;

/// A connection's multiplexer, with a bound on its end.
pub(crate) struct InTime<M> {
    muxer: Pin<Box<M>>,
    /// How long closing may take.
    patience: Duration,
    /// Since closing began.
    give_up: Option<Pin<Box<Sleep>>>,
}

impl<M> InTime<M> {
    /// `patience`: how long closing may take.
    pub(crate) fn new(muxer: M, patience: Duration) -> Self {
        Self { muxer: Box::pin(muxer), patience, give_up: None }
    }
}

impl<M: StreamMuxer> StreamMuxer for InTime<M> {
    type Substream = M::Substream;
    type Error = M::Error;

    fn poll_inbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<M::Substream, M::Error>> {
        self.get_mut().muxer.as_mut().poll_inbound(cx)
    }

    fn poll_outbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<M::Substream, M::Error>> {
        self.get_mut().muxer.as_mut().poll_outbound(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), M::Error>> {
        let this = self.get_mut();
        if let Poll::Ready(closed) = this.muxer.as_mut().poll_close(cx) {
            return Poll::Ready(closed);
        }
        let patience = this.patience;
        let give_up = this.give_up.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        give_up.as_mut().poll(cx).map(Ok)
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, M::Error>> {
        self.get_mut().muxer.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use futures::io::Cursor;
    use libp2p::core::muxing::StreamMuxerExt;

    use super::*;

    /// A connection to a peer that takes nothing any more, or everything at once.
    struct Peer {
        is_gone: bool,
    }

    impl StreamMuxer for Peer {
        type Substream = Cursor<Vec<u8>>;
        type Error = io::Error;

        fn poll_inbound(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<Cursor<Vec<u8>>>> {
            Poll::Pending
        }

        fn poll_outbound(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<Cursor<Vec<u8>>>> {
            Poll::Pending
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            if self.is_gone { Poll::Pending } else { Poll::Ready(Ok(())) }
        }

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn n10_a_connection_to_a_peer_that_takes_nothing_is_closed_all_the_same() {
        // To one that is there, long before the hour is over.
        for (is_gone, patience) in [(true, Duration::from_millis(1)), (false, Duration::from_secs(3_600))] {
            let mut muxer = InTime::new(Peer { is_gone }, patience);
            std::future::poll_fn(|cx| muxer.poll_close_unpin(cx)).await.expect("it is closed");
        }
    }
}
