//! What sizes and times of packets say to whoever carries them (and what they don't): whole calls
//! in virtual time, looked at through the capture of the line alone.

use facetty::sim::loopback::{Options, play};
use facetty::sim::scenario::Scenario;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

/// A capture in memory.
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

/// Ada's datagrams: seconds since the first datagram of the call, length.
fn on_the_line(ada: &str, at: &str) -> Vec<(f64, usize)> {
    let text = format!(
        "name = \"line\"\nseconds = 9\nseed = 5\n[[participant]]\nname = \"ada\"\n{ada}\n\
         [[participant]]\nname = \"ben\"\n[link]\ndelay_ms = 10\n{at}"
    );
    let scenario = Scenario::parse(&text).expect("a scenario");
    let kept = Kept::default();
    let tap: Option<Box<dyn Write + Send>> = Some(Box::new(kept.clone()));
    play(&scenario, Options { tap, ..Options::default() }).expect("played");
    let capture = kept.0.lock().expect("kept");
    datagrams(&capture)
}

/// Reads a pcapng: the datagrams of the first participant (10.0.0.1).
fn datagrams(mut capture: &[u8]) -> Vec<(f64, usize)> {
    let word = |bytes: &[u8], at: usize| {
        u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
    };
    let (mut all, mut first) = (Vec::new(), None);
    while capture.len() >= 12 {
        let (kind, length) = (word(capture, 0), word(capture, 4) as usize);
        let block = &capture[..length];
        capture = &capture[length..];
        if kind != 6 {
            continue;
        }
        let micros = u64::from(word(block, 12)) << 32 | u64::from(word(block, 16));
        let begin = *first.get_or_insert(micros);
        let packet = &block[28..];
        if packet[12..16] == [10, 0, 0, 1] {
            let udp = usize::from(u16::from_be_bytes([packet[24], packet[25]]));
            all.push(((micros - begin) as f64 / 1e6, udp - 8));
        }
    }
    all
}

/// Packets and bytes per second, from three seconds on, when everything has settled.
fn rate(all: &[(f64, usize)]) -> (f64, f64) {
    let settled = all.iter().filter(|(at, _)| (3.0..9.0).contains(at));
    let bytes: usize = settled.clone().map(|(_, length)| length).sum();
    (settled.count() as f64 / 6.0, bytes as f64 / 6.0)
}

fn apart(a: f64, b: f64) -> f64 {
    (a - b).abs() / a.max(b)
}

const OFF: &str = "[[at]]\ns = 1.5\nwho = \"ada\"\naction = \"camera-off\"\n";
const MUTE: &str = "[[at]]\ns = 1.5\nwho = \"ada\"\naction = \"mute\"\n";

#[test]
fn muted_speech_and_silence_look_the_same() {
    let voice = "video = \"none\"";
    let speech = on_the_line(voice, "");
    let sizes = |all: &[(f64, usize)]| {
        let mut sizes: Vec<usize> =
            all.iter().filter(|(at, _)| *at >= 3.0).map(|(_, length)| *length).collect();
        sizes.sort_unstable();
        sizes
    };
    let muted = on_the_line(voice, MUTE);
    assert_eq!(sizes(&speech), sizes(&muted), "the very same datagrams");
    let tone = on_the_line("video = \"none\"\naudio = \"tone\"", "");
    assert_eq!(sizes(&speech), sizes(&tone));
}

#[test]
fn a_camera_that_is_off_is_covered_at_a_constant_rate_and_seen_otherwise() {
    let (packets, bytes) = rate(&on_the_line("", ""));
    let (fewer, less) = rate(&on_the_line("", OFF));
    assert!(apart(bytes, less) > 0.4, "control: {bytes} and {less} bytes/s");
    assert!(apart(packets, fewer) > 0.05, "control: {packets} and {fewer} packets/s");

    let constant = "constant_rate = true";
    let (packets, bytes) = rate(&on_the_line(constant, ""));
    let (same, alike) = rate(&on_the_line(constant, OFF));
    assert!(apart(bytes, alike) < 0.06, "{bytes} and {alike} bytes/s");
    assert!(apart(packets, same) < 0.03, "{packets} and {same} packets/s");
}

#[test]
fn how_much_moves_in_the_picture_is_hidden_at_a_constant_rate() {
    let rates = |more: &str| {
        let (_, still) = rate(&on_the_line(&format!("video = \"pattern:card\"\n{more}"), ""));
        let (_, lively) = rate(&on_the_line(&format!("video = \"pattern:noise\"\n{more}"), ""));
        (still, lively)
    };
    let (still, lively) = rates("");
    assert!(apart(still, lively) > 0.15, "control: {still} and {lively} bytes/s");
    let (still, lively) = rates("constant_rate = true");
    assert!(apart(still, lively) < 0.08, "{still} and {lively} bytes/s");
}
