//! Figures of a call under the names of the report (see `sim::report`): one object a second, for
//! `--json` and for the file of `--stats`.

use crate::app::exit::{Exit, Failure};
use crate::media::engine::audio::AudioStats;
use crate::media::engine::video_recv::VideoRecvStats;
use crate::node::NodeView;
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How often figures are told.
pub const EVERY: Duration = Duration::from_secs(1);

/// Pictures of one member.
pub fn video(stats: &VideoRecvStats) -> Value {
    json!({
        "frames_painted": stats.shown,
        "freezes": stats.freezes,
        "frozen_ms": stats.frozen.as_millis() as u64,
        "size": stats.size.map(|s| s.to_string()),
        "fps": tenth(stats.fps.into()),
        "kbps": stats.kbps,
        "bytes": stats.bytes,
    })
}

/// Sound of one member.
pub fn audio(stats: &AudioStats) -> Value {
    json!({
        "playout_ms": tenth(stats.playout_ms.into()),
        "level": -i32::from(stats.level),
        "speaking": stats.speaking,
        "packets": stats.jitter.received,
        "late": stats.jitter.late,
        "concealed_ms": stats.jitter.concealed_ms,
        "recovered_ms": stats.jitter.recovered_ms,
        "dred_ms": stats.jitter.dred_ms,
        "kbps": stats.kbps,
    })
}

/// Turns views into figures: rates need what was before.
#[derive(Debug, Default)]
pub struct Meter {
    tx: u64,
    rx: u64,
    at: Option<Instant>,
}

impl Meter {
    /// The figures of this view; rates since the one before.
    pub fn read(&mut self, view: &NodeView) -> Value {
        let tx: u64 = view.links.values().map(|l| l.tx_bytes).sum();
        let rx: u64 = view.links.values().map(|l| l.rx_bytes).sum();
        let packets: u64 = view.links.values().map(|l| l.tx_packets).sum();
        let since = |at: Instant| view.at.saturating_duration_since(at).as_secs_f64().max(0.05);
        let seconds = self.at.map_or(1.0, since);
        let rate =
            |now: u64, before: u64| tenth(now.saturating_sub(before) as f64 * 8e-3 / seconds);
        let value = json!({
            "event": "stats",
            "epoch": view.call.epoch,
            "wire": {
                "up_kbps": rate(tx, self.tx),
                "down_kbps": rate(rx, self.rx),
                "packets": packets,
            },
            "mic_level": -i32::from(view.media.audio.mic_level),
            "cleaned": view.media.audio.apm.map(|apm| json!({
                "erle_db": apm.erle_db,
                "echo_delay_ms": apm.align.lag_ms,
                "drift_ppm": apm.align.drift_ppm,
                "noise_db": apm.noise_db,
                "gain_db": apm.gain_db,
            })),
            "received": received(view),
            "sent": sent(view),
            "dropped": {
                "malformed": view.call.counters.malformed,
                "forged": view.call.counters.forged,
                "replayed": view.call.counters.replayed,
                "bad_seal": view.call.counters.bad_seal,
                "unknown_key": view.call.counters.unknown_key,
            },
        });
        (self.tx, self.rx, self.at) = (tx, rx, Some(view.at));
        value
    }
}

/// What is received of each member.
fn received(view: &NodeView) -> Vec<Value> {
    view.call
        .members
        .iter()
        .filter(|m| !m.is_me)
        .map(|m| {
            let video = view.media.received.get(&m.id);
            let audio = view.media.audio.members.get(&m.id);
            json!({
                "from": m.name,
                "member": m.id.0,
                "video": video.map(self::video),
                "audio": audio.map(self::audio),
                "rtt_ms": view.links.get(&m.id).map(|l| l.rtt.as_millis() as u64),
            })
        })
        .collect()
}

/// What the path to each member carries.
fn sent(view: &NodeView) -> Vec<Value> {
    view.budgets
        .iter()
        .map(|(id, budget)| {
            json!({
                "to": view.call.members.iter().find(|m| m.id == *id).map(|m| m.name.as_str()),
                "member": id.0,
                "rate_kbps": tenth(budget.rate_bps as f64 * 1e-3),
                "loss_pct": tenth(budget.loss * 100.0),
                "queue_ms": budget.queue_delay.as_millis() as u64,
                "copies": budget.copies,
                "copies_kbps": tenth(budget.copies_bps as f64 * 1e-3),
            })
        })
        .collect()
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Opens the file of `--stats`. A file that exists is not written over; a pipe or a terminal may
/// exist.
pub fn file(path: &Path) -> Result<File, Failure> {
    let special = path.metadata().is_ok_and(|m| !m.is_file());
    let opened = if special {
        OpenOptions::new().write(true).open(path)
    } else {
        OpenOptions::new().write(true).create_new(true).open(path)
    };
    opened.map_err(|e| {
        Failure::new(
            Exit::Usage,
            format_args!("the figures can't be kept: {}: {e}", path.display()),
        )
        .next("choose a file that does not exist yet")
    })
}

/// Writes a line a second until the call is over or the file takes no more.
pub async fn keep(mut to: File, view: watch::Receiver<Arc<NodeView>>, origin: Instant) {
    let mut meter = Meter::default();
    let mut tick = tokio::time::interval(EVERY);
    tick.tick().await;
    while view.has_changed().is_ok() {
        tick.tick().await;
        let now = Arc::clone(&view.borrow());
        if let Err(error) = line(&mut to, &mut meter, &now, origin) {
            tracing::warn!(%error, "the file of figures takes no more");
            return;
        }
    }
}

fn line(to: &mut File, meter: &mut Meter, view: &NodeView, origin: Instant) -> io::Result<()> {
    let mut value = meter.read(view);
    if let Value::Object(map) = &mut value {
        let at = view.at.saturating_duration_since(origin).as_secs_f64();
        map.insert("s".into(), json!((at * 1000.0).round() / 1000.0));
    }
    // One write for a line: whoever reads along never sees half of one.
    to.write_all(format!("{value}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_exists_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stats.jsonl");
        file(&path).unwrap().write_all(b"mine\n").unwrap();
        let failure = file(&path).err().unwrap();
        assert!(failure.to_string().contains("can't be kept"), "{failure}");
        assert_eq!(std::fs::read(&path).unwrap(), b"mine\n");
        assert!(file(&folder.path().join("no/such/folder")).is_err());
        assert!(cfg!(windows) || file(Path::new("/dev/null")).is_ok());
    }
}
