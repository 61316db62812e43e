//! Dividing the estimate of one link between sound and picture. Overheads count: at these rates
//! the headers of small packets weigh as much as what they carry, so the length of an audio packet
//! is a rate control of its own.

use super::estimator::Feedback;
use super::ladder::{self, Plan};
use crate::media::frame::Want;

/// IP and UDP headers of a packet.
const IP_UDP: u64 = 28;
/// QUIC's share of a packet: short header, frame headers, tag, part of the acknowledgements.
const QUIC: u64 = 30;
/// Seal of a media frame: header and tag.
const SEAL: u64 = 24;
/// Everything around one media packet, in bytes.
pub const OVERHEAD: u64 = IP_UDP + QUIC + SEAL;
/// Payload that fits into one packet.
const PACKET: u64 = 1_150;
/// Part of the rate kept free for reports, control messages and retransmission.
const RESERVE: f64 = 0.08;

/// Opus bit rate with deep redundancy: some 14 kbit/s of it tell of the last quarter of a second. At 24
/// they are 9 and tell of it too coarsely (STOI .75 instead of .83 where bursts take 40 %), at 20
/// they reach back 100 ms.
const DEEP_BPS: u32 = 32_000;
/// How far it reaches: what playing waits for at most, and some more.
const DEEP_MS: u16 = 240;
/// Thinner paths have no room for it.
const DEEP_RATE: u64 = 120_000;

/// What one link may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Opus bit rate, without overhead.
    pub audio_bps: u32,
    /// Length of an audio packet in milliseconds: 20, 40 or 60.
    pub audio_millis: u8,
    /// Carry a coarse copy of the packet before (Opus in-band FEC), out of `audio_bps`.
    pub audio_fec: bool,
    /// Carry deep redundancy (DRED) for so many ms before a packet, out of `audio_bps`; 0: none.
    pub audio_deep_ms: u16,
    /// What to encode for this receiver; `None`: no picture.
    pub video: Option<Plan>,
}

impl Budget {
    /// Bit rate of the coded video, 0 for none.
    pub fn video_bps(&self) -> u64 {
        self.video.map_or(0, |plan| plan.bits_per_second.into())
    }

    /// What this costs on the wire, in bit/s, overheads included.
    pub fn wire_bps(&self) -> u64 {
        audio_wire(self.audio_bps, self.audio_millis) + self.video.map_or(0, |p| video_wire(&p))
    }
}

/// Divides `rate` (bit/s on the wire). `loss` (0–1) decides on redundancy inside the audio rate,
/// never on top of it; where `deep` redundancy pays, the audio rate itself is higher if it can be.
pub fn split(rate: u64, loss: f64, deep: bool, feedback: Feedback, want: &Want) -> Budget {
    let deep = deep && feedback == Feedback::Fresh && rate >= DEEP_RATE;
    let (audio_bps, audio_millis) = match rate {
        _ if feedback != Feedback::Fresh => (12_000, 60),
        _ if deep => (DEEP_BPS, 20),
        400_000.. => (24_000, 20),
        120_000.. => (20_000, 20),
        96_000.. => (16_000, 40),
        40_000.. => (12_000, 60),
        _ => (8_000, 60),
    };
    let audio_fec = loss >= 0.01 && !deep;
    let audio_deep_ms = if deep { DEEP_MS } else { 0 };
    let mut budget = Budget { audio_bps, audio_millis, audio_fec, audio_deep_ms, video: None };
    if feedback == Feedback::Fresh {
        let usable = (rate as f64 * (1.0 - RESERVE)) as u64;
        let rest = usable.saturating_sub(audio_wire(audio_bps, audio_millis));
        budget.video = best_video(want, rest);
    }
    budget
}

/// The best plan whose wire rate, packet overhead included, stays within `rest`: the overhead
/// depends on the frame rate, so each one is tried with what its packets leave over.
fn best_video(want: &Want, rest: u64) -> Option<Plan> {
    let paces = ladder::PACES.into_iter().filter(|pace| *pace < want.decifps);
    std::iter::once(want.decifps)
        .chain(paces)
        .filter_map(|decifps| {
            let first_packets = u64::from(decifps) * OVERHEAD * 8 / 10;
            // Further packets of a large frame cost in proportion to its bytes.
            let bits = rest.saturating_sub(first_packets) * PACKET / (PACKET + OVERHEAD);
            ladder::plan(&Want { decifps, ..*want }, bits).filter(|plan| plan.decifps == decifps)
        })
        .max_by_key(|plan| (plan.size, plan.decifps))
}

fn audio_wire(bps: u32, millis: u8) -> u64 {
    u64::from(bps) + OVERHEAD * 8 * 1000 / u64::from(millis.max(1))
}

fn video_wire(plan: &Plan) -> u64 {
    let frames = f64::from(plan.decifps) / 10.0;
    let bytes = f64::from(plan.bits_per_second) / 8.0 / frames.max(0.1);
    let packets = (bytes / PACKET as f64).ceil().max(1.0);
    u64::from(plan.bits_per_second) + (frames * packets * OVERHEAD as f64 * 8.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::frame::Size;

    fn want(width: u16, height: u16, decifps: u16) -> Want {
        Want { size: Size::new(width, height), decifps, max_kbps: 0, paused: false, focus: false }
    }

    #[test]
    fn nothing_ever_exceeds_the_rate() {
        for (width, height, fps) in
            [(80, 48, 125), (160, 96, 150), (240, 144, 300), (640, 384, 300)]
        {
            for kbps in (36..3000).step_by(7) {
                for deep in [false, true] {
                    let want = want(width, height, fps);
                    let budget = split(kbps * 1000, 0.0, deep, Feedback::Fresh, &want);
                    assert!(budget.wire_bps() <= kbps * 1000, "{kbps} {width}: {budget:?}");
                }
            }
        }
    }

    #[test]
    fn a_64k_link_carries_long_packets_and_a_moving_picture() {
        let budget = split(64_000, 0.0, false, Feedback::Fresh, &want(80, 48, 125));
        assert_eq!(budget.audio_millis, 60);
        let video = budget.video.unwrap();
        assert_eq!(video.size, Size::new(80, 48));
        assert!(video.decifps >= 80 && video.bits_per_second >= 20_000, "{video:?}");
    }

    #[test]
    fn a_100k_link_carries_40_ms_packets_and_a_clean_small_tile() {
        let budget = split(100_000, 0.0, false, Feedback::Fresh, &want(80, 48, 125));
        assert_eq!(budget.audio_millis, 40);
        assert!(budget.video.unwrap().bits_per_second >= 28_000);
    }

    #[test]
    fn a_small_call_with_ample_rate_stays_below_100_kbps() {
        let budget = split(300_000, 0.0, false, Feedback::Fresh, &want(80, 48, 125));
        assert!(budget.wire_bps() <= 95_000, "{}", budget.wire_bps());
    }

    #[test]
    fn without_feedback_there_is_sound_only() {
        let tile = want(80, 48, 125);
        for feedback in [Feedback::AudioOnly, Feedback::Stopped] {
            let budget = split(5_000_000, 0.0, false, feedback, &tile);
            assert!(budget.video.is_none() && budget.wire_bps() < 25_000);
        }
    }

    #[test]
    fn more_rate_never_gives_less_video() {
        let mut last = 0;
        for kbps in 40..1000 {
            let video = split(kbps * 1000, 0.0, false, Feedback::Fresh, &want(240, 144, 300)).video;
            let pixels = video.map_or(0, |p| p.size.luma());
            // Steps of the audio rate may take a little back, never a rung.
            assert!(pixels >= last, "{kbps}");
            last = pixels;
        }
    }

    #[test]
    fn deep_redundancy_goes_where_there_is_room_for_it_and_instead_of_the_coarse_copy() {
        let tile = want(160, 96, 150);
        for (kbps, deep) in [(64, false), (100, false), (130, true), (300, true), (2000, true)] {
            let budget = split(kbps * 1000, 0.3, true, Feedback::Fresh, &tile);
            assert_eq!((budget.audio_deep_ms > 0, budget.audio_fec), (deep, !deep), "{kbps}");
        }
        let silent = split(2_000_000, 0.3, true, Feedback::AudioOnly, &tile);
        assert_eq!(silent.audio_deep_ms, 0);
    }
}
