//! The one file that knows quinn's socket trait; it has changed between versions of quinn before.

use super::net::{Datagram, Shared};
use bytes::Bytes;
use quinn::udp::{EcnCodepoint, RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A socket of the virtual network.
pub struct VirtualSocket {
    network: Arc<Shared>,
    number: u64,
}

impl VirtualSocket {
    pub(super) fn new(network: Arc<Shared>, number: u64) -> Self {
        Self { network, number }
    }

    /// Sends one datagram, for those who speak something else than QUIC.
    pub(super) fn send_to(&self, to: SocketAddr, bytes: Bytes) -> io::Result<()> {
        let from = self.network.outer(self.number)?;
        self.network.send(Datagram { from, to, ecn: 0, bytes }, true);
        Ok(())
    }

    /// The next datagram.
    pub(super) async fn recv(&self) -> io::Result<Datagram> {
        std::future::poll_fn(|cx| self.network.poll_recv(self.number, cx.waker())).await
    }
}

impl Drop for VirtualSocket {
    fn drop(&mut self) {
        self.network.close(self.number);
    }
}

impl std::fmt::Debug for VirtualSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VirtualSocket {}", self.number)
    }
}

/// Sending never has to wait: what doesn't fit is lost on the way, as in a network.
#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _cx: &mut Context) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncUdpSocket for VirtualSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit) -> io::Result<()> {
        let from = self.network.outer(self.number)?;
        let size = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        for segment in transmit.contents.chunks(size) {
            let datagram = Datagram {
                from,
                to: transmit.destination,
                ecn: transmit.ecn.map_or(0, |ecn| ecn as u8),
                bytes: Bytes::copy_from_slice(segment),
            };
            self.network.send(datagram, true);
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut count = 0;
        for (buf, meta) in bufs.iter_mut().zip(meta.iter_mut()) {
            let datagram = match self.network.poll_recv(self.number, cx.waker()) {
                Poll::Ready(Ok(datagram)) => datagram,
                Poll::Ready(Err(error)) if count == 0 => return Poll::Ready(Err(error)),
                Poll::Pending if count == 0 => return Poll::Pending,
                _ => break,
            };
            let length = datagram.bytes.len().min(buf.len());
            buf[..length].copy_from_slice(&datagram.bytes[..length]);
            *meta = RecvMeta {
                addr: datagram.from,
                len: length,
                stride: length,
                ecn: EcnCodepoint::from_bits(datagram.ecn),
                dst_ip: Some(datagram.to.ip()),
            };
            count += 1;
        }
        Poll::Ready(Ok(count))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.network.inner(self.number)
    }

    fn max_transmit_segments(&self) -> usize {
        10
    }

    fn may_fragment(&self) -> bool {
        false
    }
}
