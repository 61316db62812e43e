//! Sample formats of sound cards, to and from mono floats, inside the card's callback: no
//! allocation, nothing that waits.

use cpal::{Data, FromSample, Sample, SampleFormat, SizedSample};
use rtrb::{Consumer, Producer};

/// Formats handled, best first.
pub(super) const FORMATS: [SampleFormat; 7] = [
    SampleFormat::F32,
    SampleFormat::I16,
    SampleFormat::I32,
    SampleFormat::U16,
    SampleFormat::F64,
    SampleFormat::U8,
    SampleFormat::I8,
];

/// Captured frames into the ring, mixed down. Returns how many samples found no room.
pub(super) fn capture(data: &Data, channels: usize, ring: &mut Producer<f32>) -> usize {
    match data.sample_format() {
        SampleFormat::F32 => capture_as::<f32>(data, channels, ring),
        SampleFormat::I16 => capture_as::<i16>(data, channels, ring),
        SampleFormat::I32 => capture_as::<i32>(data, channels, ring),
        SampleFormat::U16 => capture_as::<u16>(data, channels, ring),
        SampleFormat::F64 => capture_as::<f64>(data, channels, ring),
        SampleFormat::U8 => capture_as::<u8>(data, channels, ring),
        SampleFormat::I8 => capture_as::<i8>(data, channels, ring),
        _ => 0,
    }
}

/// The ring's samples out, on all channels; silence when it is empty. Returns how many samples
/// were missing.
pub(super) fn play(data: &mut Data, channels: usize, ring: &mut Consumer<f32>) -> usize {
    match data.sample_format() {
        SampleFormat::F32 => play_as::<f32>(data, channels, ring),
        SampleFormat::I16 => play_as::<i16>(data, channels, ring),
        SampleFormat::I32 => play_as::<i32>(data, channels, ring),
        SampleFormat::U16 => play_as::<u16>(data, channels, ring),
        SampleFormat::F64 => play_as::<f64>(data, channels, ring),
        SampleFormat::U8 => play_as::<u8>(data, channels, ring),
        SampleFormat::I8 => play_as::<i8>(data, channels, ring),
        _ => 0,
    }
}

fn capture_as<T>(data: &Data, channels: usize, ring: &mut Producer<f32>) -> usize
where
    T: SizedSample,
    f32: FromSample<T>,
{
    let Some(samples) = data.as_slice::<T>() else { return 0 };
    let channels = channels.max(1);
    let mut lost = 0;
    for frame in samples.chunks_exact(channels) {
        let sum: f32 = frame.iter().map(|s| f32::from_sample(*s)).sum();
        // Newest is discarded: the reader skips ahead by itself when it lags.
        lost += usize::from(ring.push(sum / channels as f32).is_err());
    }
    lost
}

fn play_as<T>(data: &mut Data, channels: usize, ring: &mut Consumer<f32>) -> usize
where
    T: SizedSample + FromSample<f32>,
{
    let Some(samples) = data.as_slice_mut::<T>() else { return 0 };
    let mut missing = 0;
    for frame in samples.chunks_exact_mut(channels.max(1)) {
        let sample = ring.pop().unwrap_or_else(|_| {
            missing += 1;
            0.0
        });
        frame.fill(T::from_sample(sample.clamp(-1.0, 1.0)));
    }
    missing
}
