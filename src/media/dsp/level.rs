//! Loudness as −dBov (RFC 6464 §3): 0 is full scale, 127 silence.

/// The level of silence.
pub const SILENCE: u8 = 127;

/// Root mean square of a block relative to full scale, in −dBov.
pub fn level_dbov(block: &[f32]) -> u8 {
    let power =
        block.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / block.len().max(1) as f64;
    // RFC 6464 counts relative to the largest sine a codec can carry times √2, i.e. to |1|.
    if power <= 1e-13 || !power.is_finite() {
        return SILENCE;
    }
    (-10.0 * power.log10()).round().clamp(0.0, 126.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_scale_is_zero_and_silence_127() {
        assert_eq!(level_dbov(&[1.0; 480]), 0);
        assert_eq!(level_dbov(&[0.0; 480]), SILENCE);
        assert_eq!(level_dbov(&[]), SILENCE);
        let sine: Vec<f32> = (0..480).map(|i| (i as f32 * 0.1308997).sin()).collect();
        assert_eq!(level_dbov(&sine), 3);
        assert_eq!(level_dbov(&[0.01; 480]), 40);
    }
}
