//! Figures of received media under the names of the report (see `sim::report`).

use crate::media::engine::audio::AudioStats;
use crate::media::engine::video_recv::VideoRecvStats;
use serde_json::{Value, json};

/// Pictures of one member.
pub fn video(stats: &VideoRecvStats) -> Value {
    json!({
        "frames_painted": stats.shown,
        "freezes": stats.freezes,
        "size": stats.size.map(|s| s.to_string()),
        "fps": (f64::from(stats.fps) * 10.0).round() / 10.0,
        "bytes": stats.bytes,
    })
}

/// Sound of one member.
pub fn audio(stats: &AudioStats) -> Value {
    json!({
        "playout_ms": (f64::from(stats.playout_ms) * 10.0).round() / 10.0,
        "level": -i32::from(stats.level),
        "speaking": stats.speaking,
        "packets": stats.jitter.received,
        "concealed_ms": stats.jitter.concealed_ms,
        "recovered_ms": stats.jitter.recovered_ms,
    })
}
