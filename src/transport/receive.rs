//! The receiving half of a link.

use super::limits::{FRAME, FRAME_PATIENCE, FRAMES_IN_BYTES};
use super::link::{Shared, count};
use bytes::{Bytes, BytesMut};
use quinn::{ReadError, RecvStream, VarInt};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Most we reserve for a message on the word of its length field alone.
const RESERVE: usize = 16 * 1024;

/// Takes control messages off the stream. Returns when the peer broke the rules: a message longer
/// than it may be now, or the end of the stream while the connection lives.
pub(crate) async fn control(shared: &Shared, mut stream: RecvStream) {
    loop {
        let Some(header) = read_exactly(&mut stream, 4).await else { return };
        let length = header.iter().fold(0usize, |n, byte| n << 8 | usize::from(*byte));
        if length > shared.control_limit() {
            return;
        }
        let Some(message) = read_exactly(&mut stream, length).await else { return };
        shared.inbox.control(message).await;
    }
}

/// `None`: the stream ended. Waits for ever when the connection is gone, since whoever drives the
/// link then knows why.
async fn read_exactly(stream: &mut RecvStream, length: usize) -> Option<Bytes> {
    let mut bytes = BytesMut::with_capacity(length.min(RESERVE));
    while bytes.len() < length {
        match stream.read_chunk(length - bytes.len(), true).await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk.bytes),
            Err(ReadError::ConnectionLost(_)) => return std::future::pending().await,
            Ok(None) | Err(_) => return None,
        }
    }
    Some(bytes.freeze())
}

/// Takes datagrams; before the peer is authenticated they are dropped and counted.
pub(crate) async fn datagrams(shared: &Shared) {
    while let Ok(datagram) = shared.connection.read_datagram().await {
        if shared.is_authenticated() {
            shared.inbox.datagram(datagram);
        } else {
            count(&shared.counters.datagrams_early);
        }
    }
    std::future::pending().await
}

/// Takes frame streams. Before the peer is authenticated it has no credit to open any (RFC 9000
/// §4.6); after that, as many at once as [`FRAMES_IN`](super::limits::FRAMES_IN).
pub(crate) async fn frames(shared: &Arc<Shared>) {
    let mut reading = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(_) = reading.join_next(), if !reading.is_empty() => {}
            stream = shared.connection.accept_uni() => match stream {
                Ok(stream) => {
                    reading.spawn(read_frame(shared.clone(), stream));
                }
                Err(_) => return std::future::pending().await,
            },
        }
    }
}

async fn read_frame(shared: Arc<Shared>, mut stream: RecvStream) {
    let counters = &shared.counters;
    let mut arriving = Arriving { shared: &shared, bytes: BytesMut::new() };
    match timeout(FRAME_PATIENCE, arriving.read(&mut stream)).await {
        Ok(Ok(())) => {
            count(&counters.frames_received);
            let frame = std::mem::take(&mut arriving.bytes);
            counters.arriving.fetch_sub(frame.len(), Ordering::Relaxed);
            shared.inbox.frame(frame.freeze());
        }
        Ok(Err(Broken::Reset)) => count(&counters.frames_reset),
        Ok(Err(Broken::Gone)) => {}
        Ok(Err(Broken::TooMuch)) | Err(_) => {
            count(&counters.frames_refused);
            let _ = stream.stop(VarInt::from_u32(0));
        }
    }
}

/// Why a frame did not arrive whole.
enum Broken {
    Reset,
    TooMuch,
    Gone,
}

/// The part of a frame that is here; counted against what one peer may have us hold.
struct Arriving<'a> {
    shared: &'a Shared,
    bytes: BytesMut,
}

impl Arriving<'_> {
    async fn read(&mut self, stream: &mut RecvStream) -> Result<(), Broken> {
        let all = &self.shared.counters.arriving;
        loop {
            // Never asks for more than the longest frame and one byte.
            match stream.read_chunk(FRAME + 1 - self.bytes.len(), true).await {
                Ok(Some(chunk)) => {
                    self.bytes.extend_from_slice(&chunk.bytes);
                    let held = all.fetch_add(chunk.bytes.len(), Ordering::Relaxed);
                    let too_much = held + chunk.bytes.len() > FRAMES_IN_BYTES;
                    if too_much || self.bytes.len() > FRAME {
                        return Err(Broken::TooMuch);
                    }
                }
                Ok(None) => return Ok(()),
                Err(ReadError::Reset(_)) => return Err(Broken::Reset),
                Err(_) => return Err(Broken::Gone),
            }
        }
    }
}

impl Drop for Arriving<'_> {
    fn drop(&mut self) {
        self.shared.counters.arriving.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}
