//! Whole calls in virtual time: what a scenario's report says, and that it can be relied on.

mod played;

use facetty::sim::loopback::{LoopbackError, Options, play};
use played::{comparable, played, scenario};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

const TWO: &str = r#"
name = "two"
seconds = 4
seed = 3
[[participant]]
name = "ada"
[[participant]]
name = "ben"
"#;

#[test]
fn a_clean_call_shows_every_picture_in_time_and_conceals_nothing() {
    let report = played(&format!(
        "{TWO}[link]\ndelay_ms = 1\n[expect]\nall = [{}]",
        r#""call_words_agree == 1", "epoch == 1", "first_picture_ms <= 300",
           "video.on_time_pct >= 99", "video.latency_ms.p95 <= 120", "video.freezes_per_min == 0",
           "video.ssim >= 0.9", "video.fps >= 13", "audio.latency_ms.p95 <= 100",
           "audio.concealed_pct == 0", "tap.plaintext_hits == 0", "tap.control_hits >= 10""#
    ));
    assert!(report.ok, "{:?}", report.failures);
    assert_eq!(report.participants.len(), 2);
    for p in &report.participants {
        assert!(p.wire.up_kbps > 30.0 && p.wire.packets > 100, "{:?}", p.wire);
        let [received] = p.received.as_slice() else { panic!("one direction each") };
        assert_eq!(received.video.size, "160x96");
        assert!(received.video.frames_sent > 40 && received.audio.kbps > 10.0);
        // Latency is the network's millisecond and what playing waits for, and never less.
        assert!(received.video.latency_ms.p50 >= 1.0 && received.audio.latency_ms.p50 >= 40.0);
    }
    assert_eq!(report.tap.packets, report.participants.iter().map(|p| p.wire.packets).sum::<u64>());
}

#[test]
fn equal_seeds_give_equal_reports_and_other_seeds_other_networks() {
    let text =
        format!("{TWO}[link]\ndelay_ms = 30\njitter_ms = 4\nloss_pct = 8\nrate_kbps = 800\n");
    let with_seed = |seed| {
        let options = Options { seed: Some(seed), ..Options::default() };
        comparable(&play(&scenario(&text), options).expect("played"))
    };
    let first = with_seed(7);
    assert_eq!(first, with_seed(7));
    assert_ne!(first, with_seed(8));
}

#[test]
fn a_sealer_that_copies_is_found_out() {
    let text = TWO.replace("seconds = 4", "seconds = 2");
    let text = format!("{text}[expect]\nall = [\"tap.plaintext_hits == 0\"]\n");
    let options = Options { copying_sealer: true, ..Options::default() };
    let leaking = play(&scenario(&text), options).expect("played");
    assert!(leaking.tap.plaintext_hits > 100, "{:?}", leaking.tap);
    assert!(!leaking.ok && leaking.failures[0].contains("tap.plaintext_hits"));
    let sealed = played(&text);
    assert_eq!(sealed.tap.plaintext_hits, 0);
    // The control finds names, invite and keys where they were planted, and pieces of frames.
    assert!(sealed.ok && sealed.tap.control_hits > 100, "{:?}", sealed.tap);
}

#[test]
fn a_third_comes_the_founder_leaves_and_the_others_go_on() {
    let text = TWO.replace("seconds = 4", "seconds = 8");
    let report = played(&format!(
        r#"{text}
[[participant]]
name = "cai"
join_at = 1.5
[link]
delay_ms = 10
[[at]]
s = 4.5
who = "ada"
action = "leave"
[[window]]
name = "after"
from = 5.5
to = 8
[expect]
all = [
  "call_words_agree == 1",
  "ben.from.cai.windows.after.fps >= 13", "cai.from.ben.windows.after.fps >= 13",
  "ben.from.cai.windows.after.concealed_pct == 0",
  "cai.from.ada.video.freezes_per_min == 0",
]
"#
    ));
    assert!(report.ok, "{:?}", report.failures);
    let epochs: Vec<_> = report.participants.iter().map(|p| p.epoch).collect();
    assert!(epochs[1] > epochs[0] && epochs[1] == epochs[2], "{epochs:?}");
    assert_eq!(report.participants[2].received.len(), 2);
}

#[test]
fn a_camera_switched_off_is_no_freeze_and_a_muted_voice_not_unintelligible() {
    let text = TWO.replace("seconds = 4", "seconds = 6");
    let change =
        |s: f64, action: &str| format!("[[at]]\ns = {s}\nwho = \"ben\"\naction = \"{action}\"\n");
    let report = played(&format!(
        "{text}{}{}{}{}",
        change(2.0, "camera-off"),
        change(2.0, "mute"),
        change(4.0, "camera-on"),
        change(4.0, "unmute"),
    ));
    let of_ben = &report.participants[0].received[0];
    assert_eq!(of_ben.video.freezes_per_min, 0.0, "{:?}", of_ben.video);
    assert!(of_ben.video.frames_painted < report.participants[1].received[0].video.frames_painted);
    assert_eq!(of_ben.audio.concealed_pct, 0.0);
}

#[test]
fn who_cannot_be_reached_is_named() {
    let text = TWO.replace("seconds = 4", "seconds = 2");
    let report = played(&format!("{text}[link]\ndown = true\n"));
    assert!(!report.ok);
    assert!(report.failures.iter().any(|f| f.contains("ben was in no call")), "{report:?}");
}

#[test]
fn devices_are_refused_in_virtual_time() {
    let text = TWO.replacen("name = \"ada\"", "name = \"ada\"\naudio = \"mic\"", 1);
    let refused = play(&scenario(&text), Options::default());
    assert!(matches!(refused, Err(LoopbackError::Source { name, .. }) if name == "ada"));
}

/// Bytes that can be looked at afterwards.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("kept").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_capture_holds_every_datagram() {
    let kept = Kept::default();
    let text = TWO.replace("seconds = 4", "seconds = 1.5");
    let options = Options { tap: Some(Box::new(kept.clone())), ..Options::default() };
    let report = play(&scenario(&text), options).expect("played");
    let bytes = kept.0.lock().expect("kept");
    let (mut at, mut packets) = (0, 0);
    while at + 8 <= bytes.len() {
        let word = |i: usize| u32::from_le_bytes(bytes[i..i + 4].try_into().expect("four bytes"));
        packets += u64::from(word(at) == 6);
        at += word(at + 4) as usize;
    }
    assert_eq!((at, packets), (bytes.len(), report.tap.packets));
    assert!(packets > 50);
}
