//! Drawn pictures: a talking head, and test pictures around it.
//!
//! Nobody's footage: the head is computed from the fingerprint of an identity (what it looks
//! like), a seed, the time (how it moves) and the sound (how far the mouth is open). Every
//! picture is a pure function of these, so a receiver that knows the frame number can draw the
//! picture that was sent and measure what the network and the codec have done to it.

mod canvas;
mod card;
mod face;
mod grain;
mod look;
mod motion;
mod room;

pub use crate::config::PatternKind;
pub use look::{ADA, BEN};

use crate::media::frame::{RawFrame, Size};
use crate::media::marker;
use crate::media::seams::{FrameSource, SourceLost};
use crate::media::source::{Mouth, VideoOptions};
use crate::time::{MediaTime, Now};
use canvas::{Colour, Plane};
use face::Person;
use grain::Grain;
use look::Look;
use motion::Pose;
use std::time::Instant;

/// Grain of every face: enough to be honest to the encoder.
const MILD: f32 = 0.8;
/// Grain of [`PatternKind::Noise`]: a webcam in the evening.
const STRONG: f32 = 6.0;
/// How long the flash of [`PatternKind::Flash`] lasts, in µs from each whole second.
const FLASH: u64 = 100_000;
/// Pictures lower than this are drawn larger and averaged down.
const FINE: usize = 80;

/// Draws the pictures of one participant; keeps what stands still between them.
pub struct Render {
    kind: PatternKind,
    look: Look,
    seed: u64,
    grain: Grain,
    mouth: Mouth,
    stage: Option<Stage>,
}

/// Buffers for one picture size.
struct Stage {
    size: Size,
    /// Drawn this many times larger in each direction.
    scale: usize,
    /// Still background and working copy of each plane.
    planes: [(Vec<f32>, Vec<f32>); 3],
}

impl Render {
    /// A renderer for whoever has these fingerprint bytes. Renderers with equal arguments draw
    /// equal pictures.
    pub fn new(kind: PatternKind, identity: &[u8], seed: u64, mouth: Mouth) -> Self {
        let look = Look::of(identity);
        let seed = motion::hash(seed ^ look.seed);
        Self { kind, look, seed, grain: Grain::new(seed), mouth, stage: None }
    }

    /// The picture of media time `at`, numbered `number` in its strip.
    pub fn frame(&mut self, size: Size, at: MediaTime, number: u32) -> RawFrame {
        let grain = match self.kind {
            PatternKind::Face | PatternKind::Flash => MILD,
            PatternKind::Noise => STRONG,
            PatternKind::Card => 0.0,
        };
        self.draw(size, at, number, grain)
    }

    /// The same picture without its grain: what a measurement of noisy pictures compares with.
    pub fn clean_frame(&mut self, size: Size, at: MediaTime, number: u32) -> RawFrame {
        self.draw(size, at, number, 0.0)
    }

    fn draw(&mut self, size: Size, at: MediaTime, number: u32, grain: f32) -> RawFrame {
        let mut frame = RawFrame::black(size, at);
        let high = usize::from(size.height - marker::strip_height(size));
        if size.width < 2 || high < 2 {
            return frame;
        }
        if self.kind == PatternKind::Flash && at.0 % 1_000_000 < FLASH {
            frame.y.fill(235);
        } else {
            let pose = Pose::at(self.seed, at, (self.mouth)(at));
            let stage = match self.stage.take() {
                Some(stage) if stage.size == size => stage,
                _ => Stage::new(size, self.kind, &self.look),
            };
            let stage = self.stage.insert(stage);
            stage.paint(self.kind, &self.look, at, &pose);
            stage.quantise(&mut frame, |row, width| {
                (grain > 0.0).then(|| (self.grain.row(number, row, width), grain))
            });
        }
        marker::draw(&mut frame, number);
        frame
    }
}

impl Stage {
    fn new(size: Size, kind: PatternKind, look: &Look) -> Self {
        let high = usize::from(size.height - marker::strip_height(size));
        let scale = FINE.div_ceil(high).max(1);
        let planes = std::array::from_fn(|channel| {
            let (w, h) = extent(size, scale, channel);
            let mut still = vec![0.0; w * h];
            let unit = h as f32;
            let half = w as f32 / unit / 2.0;
            let mut plane = Plane { px: &mut still, width: w, channel, unit };
            match kind {
                PatternKind::Card => card::draw_still(&mut plane, half),
                _ => room::draw(&mut plane, look, half),
            }
            let work = still.clone();
            (still, work)
        });
        Self { size, scale, planes }
    }

    fn paint(&mut self, kind: PatternKind, look: &Look, at: MediaTime, pose: &Pose) {
        let person = (kind != PatternKind::Card).then(|| Person::new(look, *pose));
        for (channel, (still, work)) in self.planes.iter_mut().enumerate() {
            work.copy_from_slice(still);
            let (w, h) = extent(self.size, self.scale, channel);
            let mut plane = Plane { px: work, width: w, channel, unit: h as f32 };
            match &person {
                Some(person) => {
                    // The room takes the colour, skin only a hint of it.
                    coloured_light(&mut plane, pose, 0.10, 11.0);
                    person.draw(&mut plane);
                    coloured_light(&mut plane, pose, 0.10, 3.5);
                }
                None => card::draw_moving(&mut plane, w as f32 / h as f32 / 2.0, at, pose),
            }
        }
    }

    /// Averages down, adds grain and rounds into the picture above the strip.
    fn quantise<'g>(
        &self,
        frame: &mut RawFrame,
        grain: impl Fn(usize, usize) -> Option<(&'g [f32], f32)>,
    ) {
        let outputs = [&mut frame.y, &mut frame.u, &mut frame.v];
        for (channel, (out, (_, work))) in outputs.into_iter().zip(&self.planes).enumerate() {
            let (w, _) = extent(self.size, 1, channel);
            let (zero, low, high) =
                if channel == 0 { (16.0, 16.0, 235.0) } else { (128.0, 16.0, 240.0) };
            let mut line = vec![0.0f32; w];
            let rows = work.chunks_exact(w * self.scale * self.scale);
            for (y, (out, rows)) in out.chunks_exact_mut(w).zip(rows).enumerate() {
                shrink(rows, self.scale, &mut line);
                if channel == 0
                    && let Some((noise, sigma)) = grain(y, w)
                {
                    line.iter_mut().zip(noise).for_each(|(v, n)| *v += n * sigma);
                }
                for (out, v) in out.iter_mut().zip(&line) {
                    *out = (v + (zero + 0.5)).clamp(low, high) as u8;
                }
            }
        }
    }
}

/// Means of `scale` × `scale` blocks of some rows.
fn shrink(rows: &[f32], scale: usize, line: &mut [f32]) {
    if scale == 1 {
        line.copy_from_slice(rows);
        return;
    }
    line.fill(0.0);
    for row in rows.chunks_exact(line.len() * scale) {
        for (v, block) in line.iter_mut().zip(row.chunks_exact(scale)) {
            *v += block.iter().sum::<f32>();
        }
    }
    let share = 1.0 / (scale * scale) as f32;
    line.iter_mut().for_each(|v| *v *= share);
}

/// Width and height of a plane, above the strip, drawn `scale` times larger.
fn extent(size: Size, scale: usize, channel: usize) -> (usize, usize) {
    let half = if channel == 0 { 1 } else { 2 };
    let high = usize::from(size.height - marker::strip_height(size));
    (usize::from(size.width) / half * scale, high / half * scale)
}

/// A lamp of slowly changing colour that wanders across: gradients on everything.
fn coloured_light(plane: &mut Plane<'_>, pose: &Pose, gain: f32, tint: f32) {
    let (across, hue) = pose.light;
    let w = plane.width;
    let half = w as f32 / plane.unit / 2.0;
    let fall = |d: f32| 1.0 / (1.0 + d * d);
    let columns: Vec<f32> = (0..w)
        .map(|i| fall(((i as f32 + 0.5) / plane.unit - half - across * half * 0.8) * 1.6))
        .collect();
    // Luma rises with the light; chroma is drawn towards its colour.
    let tint: Colour = [0.0, tint * hue[0], tint * hue[1]];
    let (gain, add) = (if plane.channel == 0 { gain } else { 0.0 }, tint[plane.channel]);
    let unit = plane.unit;
    for (y, line) in plane.px.chunks_exact_mut(w).enumerate() {
        let row = fall(((y as f32 + 0.5) / unit - 0.35) * 1.3);
        let (gain, add, keep) = (gain * row, add * row, 1.0 - gain / 2.0);
        for (v, column) in line.iter_mut().zip(&columns) {
            *v = *v * (keep + gain * column) + add * column;
        }
    }
}

/// `--video pattern…`: pictures at the wanted size, due at multiples of the frame time on the
/// capture clock, so that they never drift. The number in the strip is the picture's time in
/// nominal frame times ([`number_at`]), whatever rate is wanted meanwhile.
pub struct Pattern {
    render: Render,
    origin: Instant,
    nominal: u16,
    size: Size,
    decifps: u16,
    /// Index of the next picture, counted at the current rate from the origin.
    next_index: u64,
    on: bool,
}

/// The strip's number of a picture captured at `at` by a source of nominally `decifps` tenths of
/// a picture per second.
pub fn number_at(at: MediaTime, decifps: u16) -> u32 {
    let number = (u128::from(at.0) * u128::from(decifps) + 5_000_000) / 10_000_000;
    (number % u128::from(marker::MODULUS)) as u32
}

/// The capture time of picture `number` of a source that runs at its nominal rate (before the
/// strip's numbers wrap).
pub fn time_of(number: u32, decifps: u16) -> MediaTime {
    at_index(u64::from(number), decifps)
}

fn at_index(index: u64, decifps: u16) -> MediaTime {
    let micros = u128::from(index) * 10_000_000 / u128::from(decifps.max(1));
    MediaTime(u64::try_from(micros).unwrap_or(u64::MAX))
}

/// The last index due at `at`.
fn index_at(at: MediaTime, decifps: u16) -> u64 {
    // Rounded so that `index_at(at_index(i)) == i` in spite of whole microseconds.
    let index = ((u128::from(at.0) + 1) * u128::from(decifps.max(1)) - 1) / 10_000_000;
    u64::try_from(index).unwrap_or(u64::MAX)
}

impl Pattern {
    /// A pattern as `options` describe it.
    pub fn new(kind: PatternKind, options: VideoOptions) -> Self {
        let nominal = options.decifps.max(1);
        Self {
            render: Render::new(kind, &options.identity, options.seed, options.mouth),
            origin: options.origin,
            nominal,
            size: options.size,
            decifps: nominal,
            next_index: 0,
            on: true,
        }
    }
}

impl FrameSource for Pattern {
    fn due(&self) -> Option<Instant> {
        self.on.then(|| at_index(self.next_index, self.decifps).instant(self.origin))
    }

    fn next(&mut self, now: Now) -> Result<Option<RawFrame>, SourceLost> {
        if !self.on || now.mono < self.origin {
            return Ok(None);
        }
        // A late poll takes the newest picture due and skips the ones before it.
        let index = index_at(MediaTime::since(self.origin, now.mono), self.decifps);
        if index < self.next_index {
            return Ok(None);
        }
        self.next_index = index + 1;
        let at = at_index(index, self.decifps);
        Ok(Some(self.render.frame(self.size, at, number_at(at, self.nominal))))
    }

    fn hint(&mut self, size: Size, decifps: u16) {
        self.size = size;
        // Never faster than nominal: numbers would repeat.
        let decifps = if decifps == 0 { self.nominal } else { decifps.min(self.nominal) };
        if decifps != self.decifps {
            let last = at_index(self.next_index, self.decifps);
            let taken = self.next_index > 0;
            self.decifps = decifps;
            // The first slot of the new rate after the picture that came last.
            self.next_index =
                if taken { index_at(MediaTime(last.0.saturating_sub(1)), decifps) + 1 } else { 0 };
        }
    }

    fn enable(&mut self, on: bool, now: Now) {
        if on && !self.on {
            let at = MediaTime::since(self.origin, now.mono);
            self.next_index = self.next_index.max(index_at(at, self.decifps));
        }
        self.on = on;
    }

    fn describe(&self) -> String {
        let name = match self.render.kind {
            PatternKind::Face => "pattern",
            PatternKind::Card => "pattern:card",
            PatternKind::Flash => "pattern:flash",
            PatternKind::Noise => "pattern:noise",
        };
        format!("{name}, {} at {:.1} fps", self.size, f32::from(self.decifps) / 10.0)
    }
}
