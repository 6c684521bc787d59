//! The sync protocol on the wire: one request and one response a stream, opaque to this layer.
//!
//! Request: `u32` length, bytes. Response: one status byte (0 an answer, 1 busy), and for an answer `u32` length, bytes.
//! Lengths are little-endian. A length beyond the bound ends the stream before anything is allocated, and memory grows
//! with the bytes that arrive, not with the length that is claimed (FAULTS N3).

use std::io;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use libp2p::request_response::{Behaviour, Codec, Config, ProtocolSupport};

use super::limits::{
    SYNC_ASKED_PER_PEER_MAX, SYNC_REQUEST_BYTES_MAX, SYNC_RESPONSE_BYTES_MAX, SYNC_SERVED_PER_PEER_MAX,
    SYNC_TIMEOUT,
};

const STATUS_ANSWER: u8 = 0;
const STATUS_BUSY: u8 = 1;

/// An answer, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Response {
    Answer(Vec<u8>),
    Busy,
}

/// The codec.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SyncCodec;

pub(crate) type Sync = Behaviour<SyncCodec>;

pub(crate) fn behaviour(protocol: StreamProtocol) -> Sync {
    let config = Config::default()
        .with_request_timeout(SYNC_TIMEOUT)
        .with_max_concurrent_streams(SYNC_SERVED_PER_PEER_MAX + SYNC_ASKED_PER_PEER_MAX);
    Behaviour::with_codec(SyncCodec, [(protocol, ProtocolSupport::Full)], config)
}

async fn read_bytes<T: AsyncRead + Unpin + Send>(io: &mut T, limit: usize) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    io.read_exact(&mut length).await?;
    let length = u64::from(u32::from_le_bytes(length));
    if length > u64::try_from(limit).unwrap_or(u64::MAX) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "longer than allowed"));
    }
    let mut bytes = Vec::new();
    let read = io.take(length).read_to_end(&mut bytes).await?;
    if u64::try_from(read).ok() != Some(length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

async fn write_bytes<T: AsyncWrite + Unpin + Send>(io: &mut T, bytes: &[u8], limit: usize) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).ok().filter(|_| bytes.len() <= limit);
    let length = length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "longer than allowed"))?;
    io.write_all(&length.to_le_bytes()).await?;
    io.write_all(bytes).await
}

impl Codec for SyncCodec {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Response;

    async fn read_request<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        read_bytes(io, SYNC_REQUEST_BYTES_MAX).await
    }

    async fn read_response<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Response> {
        let mut status = [0; 1];
        io.read_exact(&mut status).await?;
        match status {
            [STATUS_ANSWER] => Ok(Response::Answer(read_bytes(io, SYNC_RESPONSE_BYTES_MAX).await?)),
            [STATUS_BUSY] => Ok(Response::Busy),
            [_] => Err(io::Error::new(io::ErrorKind::InvalidData, "unknown status")),
        }
    }

    async fn write_request<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        request: Vec<u8>,
    ) -> io::Result<()> {
        write_bytes(io, &request, SYNC_REQUEST_BYTES_MAX).await
    }

    async fn write_response<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        response: Response,
    ) -> io::Result<()> {
        match response {
            Response::Answer(bytes) => {
                io.write_all(&[STATUS_ANSWER]).await?;
                write_bytes(io, &bytes, SYNC_RESPONSE_BYTES_MAX).await
            }
            Response::Busy => io.write_all(&[STATUS_BUSY]).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::io::Cursor;

    use super::*;

    const PROTOCOL: StreamProtocol = StreamProtocol::new("/test");

    fn written(response: Response) -> Vec<u8> {
        let mut io = Cursor::new(Vec::new());
        block_on(SyncCodec.write_response(&PROTOCOL, &mut io, response)).unwrap();
        io.into_inner()
    }

    fn read(bytes: Vec<u8>) -> io::Result<Response> {
        block_on(SyncCodec.read_response(&PROTOCOL, &mut Cursor::new(bytes)))
    }

    #[test]
    fn the_bytes_of_a_response() {
        assert_eq!(written(Response::Busy), [1]);
        assert_eq!(written(Response::Answer(b"ab".to_vec())), [0, 2, 0, 0, 0, b'a', b'b']);
        assert_eq!(read(vec![0, 2, 0, 0, 0, b'a', b'b']).unwrap(), Response::Answer(b"ab".to_vec()));
        assert_eq!(read(vec![1]).unwrap(), Response::Busy);
    }

    #[test]
    fn n3_lying_lengths_and_unknown_statuses_are_refused() {
        assert!(read(vec![0, 0xff, 0xff, 0xff, 0xff, 1]).is_err());
        assert!(read(vec![0, 3, 0, 0, 0, 1]).is_err());
        assert!(read(vec![2]).is_err());
        assert!(read(vec![]).is_err());
        let too_long = u32::try_from(SYNC_REQUEST_BYTES_MAX + 1).unwrap().to_le_bytes().to_vec();
        assert!(block_on(SyncCodec.read_request(&PROTOCOL, &mut Cursor::new(too_long))).is_err());
    }

    #[test]
    fn n3_too_long_a_response_is_not_sent() {
        let long = Response::Answer(vec![0; SYNC_RESPONSE_BYTES_MAX + 1]);
        assert!(block_on(SyncCodec.write_response(&PROTOCOL, &mut Cursor::new(Vec::new()), long)).is_err());
    }
}
