//! From any sample rate to any other: a windowed-sinc filter (Kaiser, 32 zero crossings) in many
//! phases, interpolated linearly, so that the ratio need not be rational, and may change a little on
//! the way.

/// Zero crossings on either side of the filter's centre.
const CROSSINGS: usize = 16;
/// Phases per zero crossing.
const FINE: usize = 256;
/// Products added up side by side.
const LANES: usize = 8;
/// Kaiser window parameter: about −80 dB outside the band.
const BETA: f64 = 8.0;

/// A sample rate no resampler takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} Hz is outside 1000…768000 Hz")]
pub struct RateError(pub u32);

/// A streaming converter of mono sound. Its delay is 16 input samples (or output samples, when it
/// goes down), taken off at the start: output sample 0 is input sample 0.
#[derive(Clone, Debug)]
pub struct Resampler {
    /// Input samples per output sample, by the nominal rates and now.
    nominal: f64,
    step: f64,
    /// Filter half length in input samples.
    half: usize,
    /// Phases: positions between two input samples for which there is a filter.
    phases: usize,
    /// The filters, one after the other; the last one is the first a sample later.
    table: Vec<f32>,
    /// Input not yet used up; the first sample has index `base`.
    held: Vec<f32>,
    base: i64,
    /// Where in the input the present step began to count, and output samples made since.
    anchor: f64,
    made: u64,
}

impl Resampler {
    /// A converter from `from` Hz to `to` Hz.
    pub fn new(from: u32, to: u32) -> Result<Self, RateError> {
        for rate in [from, to] {
            if !(1000..=768_000).contains(&rate) {
                return Err(RateError(rate));
            }
        }
        // The transition band takes its room below the Nyquist frequency of the lower rate.
        let cutoff =
            (f64::from(to) / f64::from(from)).min(1.0) * if from == to { 1.0 } else { 0.94 };
        let half = (CROSSINGS as f64 / cutoff).ceil() as usize;
        let phases = (FINE as f64 * cutoff).ceil() as usize;
        let norm = bessel(BETA);
        let tap = |phase: usize, k: usize| {
            let offset = k as f64 - (half as f64 - 1.0) - phase as f64 / phases as f64;
            let x = offset * cutoff;
            let edge = (x / CROSSINGS as f64).abs().min(1.0);
            let window = bessel(BETA * (1.0 - edge * edge).sqrt()) / norm;
            let sinc = match x {
                0.0 => 1.0,
                x => (x * std::f64::consts::PI).sin() / (x * std::f64::consts::PI),
            };
            (sinc * window * cutoff) as f32
        };
        let table = (0..=phases).flat_map(|p| (0..2 * half).map(move |k| (p, k)));
        let table = table.map(|(p, k)| tap(p, k)).collect();
        Ok(Self {
            nominal: f64::from(from) / f64::from(to),
            step: f64::from(from) / f64::from(to),
            half,
            phases,
            table,
            held: vec![0.0; half],
            base: -(half as i64),
            anchor: 0.0,
            made: 0,
        })
    }

    /// From here on takes this much more input for the same output than by the nominal rates:
    /// 0.0001 is 100 ppm faster. Beyond ±1 % it is held there. The waveform goes on without a step.
    pub fn trim(&mut self, faster: f64) {
        let step = self.nominal * (1.0 + faster.clamp(-0.01, 0.01));
        if step != self.step && step.is_finite() {
            (self.anchor, self.made) = (self.position(), 0);
            self.step = step;
        }
    }

    /// Where in the input the next output sample lies.
    fn position(&self) -> f64 {
        self.anchor + self.made as f64 * self.step
    }

    /// Takes `input` and appends what can be computed from it to `out`.
    pub fn process(&mut self, input: &[f32], out: &mut Vec<f32>) {
        self.held.extend_from_slice(input);
        let end = self.base + self.held.len() as i64;
        loop {
            let position = self.position();
            let centre = position.floor() as i64;
            if centre + self.half as i64 >= end {
                break;
            }
            out.push(self.at(position, centre));
            self.made += 1;
        }
        let needed_from = self.position().floor() as i64 - self.half as i64;
        let drop = usize::try_from(needed_from - self.base).unwrap_or(0).min(self.held.len());
        self.held.drain(..drop);
        self.base += drop as i64;
    }

    /// Ends the stream: appends the rest, as if silence followed.
    pub fn finish(&mut self, out: &mut Vec<f32>) {
        let tail = vec![0.0; self.half];
        self.process(&tail, out);
    }

    fn at(&self, position: f64, centre: i64) -> f32 {
        let first = centre - self.half as i64 + 1;
        let skip = usize::try_from(first - self.base).unwrap_or(0);
        let taps = 2 * self.half;
        let between = (position - centre as f64) * self.phases as f64;
        let phase = (between as usize).min(self.phases - 1);
        let held = self.held.get(skip..skip + taps).unwrap_or_default();
        let filter = |p: usize| self.table.get(p * taps..(p + 1) * taps).unwrap_or_default();
        let (one, next) = (dot(held, filter(phase)), dot(held, filter(phase + 1)));
        one + (next - one) * (between - phase as f64) as f32
    }
}

/// Sum of products, in lanes that a processor adds at once.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (a, b) = (a.chunks(LANES), b.chunks(LANES));
    for (a, b) in a.zip(b) {
        for ((lane, x), y) in lanes.iter_mut().zip(a).zip(b) {
            *lane += x * y;
        }
    }
    lanes.iter().sum()
}

/// A whole recording at once; the output is `len × to / from` samples long (rounded up).
pub fn resample(sound: &[f32], from: u32, to: u32) -> Result<Vec<f32>, RateError> {
    if from == to {
        return Ok(sound.to_vec());
    }
    let mut resampler = Resampler::new(from, to)?;
    let mut out = Vec::with_capacity((sound.len() as f64 / resampler.step) as usize + 2);
    resampler.process(sound, &mut out);
    resampler.finish(&mut out);
    let want = (sound.len() as u64 * u64::from(to)).div_ceil(u64::from(from));
    out.resize(usize::try_from(want).unwrap_or(out.len()), 0.0);
    Ok(out)
}

/// Modified Bessel function of the first kind, order 0, by its power series.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..40 {
        term *= (x / (2.0 * f64::from(k))).powi(2);
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    fn sine(n: usize, rate: f64, hertz: f64) -> Vec<f32> {
        (0..n).map(|i| (0.8 * (i as f64 * hertz / rate * TAU).sin()) as f32).collect()
    }

    fn snr(got: &[f32], want: &[f32]) -> f64 {
        // The ends lean on silence beyond the recording.
        let n = got.len().min(want.len());
        let (mut s, mut e) = (0.0, 1e-20);
        for (g, w) in got[200..n - 200].iter().zip(&want[200..n - 200]) {
            s += f64::from(*w).powi(2);
            e += f64::from(g - w).powi(2);
        }
        10.0 * (s / e).log10()
    }

    #[test]
    fn tones_keep_pitch_phase_and_level() {
        for (from, to) in [
            (44_100, 48_000),
            (16_000, 48_000),
            (48_000, 44_100),
            (8_000, 48_000),
            (48_000, 16_000),
            (96_000, 48_000),
            (48_000, 10_000),
        ] {
            for hertz in [200.0, 1000.0, 3000.0] {
                let out =
                    resample(&sine(from as usize / 2, f64::from(from), hertz), from, to).unwrap();
                assert_eq!(out.len(), to as usize / 2);
                let snr = snr(&out, &sine(out.len(), f64::from(to), hertz));
                assert!(snr > 55.0, "{from}→{to} at {hertz} Hz: {snr:.1} dB");
            }
        }
    }

    #[test]
    fn what_the_lower_rate_cannot_hold_is_removed() {
        let out = resample(&sine(48_000, 48_000.0, 9_500.0), 48_000, 16_000).unwrap();
        let power = out[400..15_000].iter().map(|s| s * s).sum::<f32>() / 14_600.0;
        assert!(power < 1e-6, "{power}");
    }

    #[test]
    fn pieces_give_the_same_as_the_whole() {
        let sound = sine(4410, 44_100.0, 440.0);
        let mut whole = Vec::new();
        Resampler::new(44_100, 48_000).unwrap().process(&sound, &mut whole);
        let mut pieces = Vec::new();
        let mut resampler = Resampler::new(44_100, 48_000).unwrap();
        for chunk in sound.chunks(77) {
            resampler.process(chunk, &mut pieces);
        }
        assert_eq!(whole, pieces);
    }

    #[test]
    fn absurd_rates_are_refused() {
        assert_eq!(Resampler::new(0, 48_000).err(), Some(RateError(0)));
        assert_eq!(Resampler::new(48_000, 4_000_000).err(), Some(RateError(4_000_000)));
    }
}
