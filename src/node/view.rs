//! What a screen, a script or a report can see of a node: plain values, published regularly.

use super::audio::AudioView;
use super::video::SentVideo;
use crate::call::{Budget, CallView};
use crate::media::engine::video_recv::VideoRecvStats;
use crate::wire::link::MemberId;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A node as it stands.
#[derive(Clone, Debug)]
pub struct NodeView {
    /// When this was made.
    pub at: Instant,
    /// The call.
    pub call: CallView,
    /// The media sides.
    pub media: MediaView,
    /// Connections, by member.
    pub links: BTreeMap<MemberId, LinkReport>,
    /// What may be sent to each member.
    pub budgets: BTreeMap<MemberId, Budget>,
}

/// The media sides.
#[derive(Clone, Debug, Default)]
pub struct MediaView {
    /// Own pictures.
    pub sent: SentVideo,
    /// Received pictures, by member.
    pub received: BTreeMap<MemberId, VideoRecvStats>,
    /// Sound.
    pub audio: AudioView,
    /// The microphone is on.
    pub mic_on: bool,
    /// The camera is on.
    pub camera_on: bool,
    /// Media that was dropped between the sides because somebody was too slow.
    pub dropped: u64,
}

/// What one member's media looks like, together.
#[derive(Clone, Debug, Default)]
pub struct PeerMedia {
    /// Pictures.
    pub video: VideoRecvStats,
    /// Sound.
    pub audio: crate::media::engine::audio::AudioStats,
}

/// One connection.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LinkReport {
    /// Smoothed round-trip time.
    pub rtt: Duration,
    /// UDP payload bytes sent.
    pub tx_bytes: u64,
    /// UDP payload bytes received.
    pub rx_bytes: u64,
    /// UDP datagrams sent.
    pub tx_packets: u64,
    /// UDP datagrams received.
    pub rx_packets: u64,
    /// Packets QUIC declared lost.
    pub lost_packets: u64,
}
