//! Measures what the processor does, for a screen: levels before and after, while the far end is
//! heard and between words.

use crate::media::seams::Pcm;

/// Share of a new block in a mean over about a second.
const SECOND: f32 = 0.01;
/// Mean power of a block of the reference that counts as heard: −50 dBov.
const HEARD: f32 = 1e-5;
/// The reference counts as heard for so many blocks after: devices, room.
const AFTER: u32 = 40;
/// Below this there is nothing to measure: −90 dBov.
const NOTHING: f32 = 1e-9;
/// Blocks over which a floor is sought: 1.5 s.
const FLOOR: u32 = 150;

/// Running levels.
#[derive(Clone, Debug)]
pub struct Gauge {
    far: f32,
    echo_in: f32,
    echo_out: f32,
    /// Blocks since the far end was heard; blocks it was heard in all.
    since: u32,
    heard: u32,
    before: Floor,
    after: Floor,
    gain: Option<f32>,
}

impl Default for Gauge {
    fn default() -> Self {
        Self {
            far: 0.0,
            echo_in: 0.0,
            echo_out: 0.0,
            since: AFTER,
            heard: 0,
            before: Floor::default(),
            after: Floor::default(),
            gain: None,
        }
    }
}

impl Gauge {
    /// Takes a captured block, its reference, and what it became before the gain and after it.
    pub fn take(&mut self, reference: &Pcm, captured: &Pcm, clean: &Pcm, out: &Pcm) {
        let (far, mic, clean, out) = (power(reference), power(captured), power(clean), power(out));
        self.since = if far > HEARD { 0 } else { self.since.saturating_add(1) };
        if far > HEARD {
            self.heard = self.heard.saturating_add(1);
        }
        if self.since < AFTER {
            for (mean, now) in
                [(&mut self.far, far), (&mut self.echo_in, mic), (&mut self.echo_out, clean)]
            {
                *mean += (now - *mean) * SECOND;
            }
        }
        if self.since >= AFTER {
            self.before.take(mic);
            self.after.take(clean);
        }
        if clean > NOTHING && out > NOTHING {
            let gain = decibels(out / clean);
            let last = self.gain.unwrap_or(gain);
            // Follow the loud: in them the gain is worth seeing.
            let share = if clean > HEARD { 0.05 } else { 0.005 };
            self.gain = Some(last + (gain - last) * share);
        }
    }

    /// Echo return loss enhancement and echo return loss, in dB.
    pub fn echo(&self) -> (Option<f32>, Option<f32>) {
        let worth = self.heard > 50 && self.echo_in > NOTHING;
        let ratio = |a: f32, b: f32| worth.then(|| decibels(a / b.max(NOTHING)));
        (ratio(self.echo_in, self.echo_out), ratio(self.far, self.echo_in))
    }

    /// How much the floor fell, in dB.
    pub fn noise(&self) -> Option<f32> {
        let (before, after) = (self.before.floor?, self.after.floor?);
        (before > NOTHING).then(|| decibels(before / after.max(NOTHING)))
    }

    /// Mean gain, in dB.
    pub fn gain(&self) -> Option<f32> {
        self.gain
    }
}

/// The least level, over a while, of a level smoothed over about 100 ms.
#[derive(Clone, Debug, Default)]
struct Floor {
    smooth: f32,
    least: f32,
    blocks: u32,
    floor: Option<f32>,
}

impl Floor {
    fn take(&mut self, now: f32) {
        self.smooth += (now - self.smooth) * 0.1;
        self.least = if self.blocks == 0 { self.smooth } else { self.least.min(self.smooth) };
        self.blocks += 1;
        if self.blocks >= FLOOR {
            self.floor = Some(self.least);
            self.blocks = 0;
        }
    }
}

fn power(block: &Pcm) -> f32 {
    block.iter().map(|s| s * s).sum::<f32>() / block.len() as f32
}

fn decibels(ratio: f32) -> f32 {
    10.0 * ratio.max(1e-12).log10()
}
