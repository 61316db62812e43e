//! Switching sound without clicks.

/// A switch for a stream of sound that opens and closes in 5 ms ramps (raised cosine).
#[derive(Clone, Debug)]
pub struct Gate {
    /// 0 closed … `RAMP` open.
    step: usize,
}

/// Samples of a ramp: 5 ms.
const RAMP: usize = 240;

impl Gate {
    /// A gate that starts open or closed.
    pub fn new(open: bool) -> Self {
        Self { step: if open { RAMP } else { 0 } }
    }

    /// Lets one block through, moving towards open or closed.
    pub fn apply(&mut self, block: &mut [f32], open: bool) {
        for sample in block {
            self.step = if open { (self.step + 1).min(RAMP) } else { self.step.saturating_sub(1) };
            match self.step {
                0 => *sample = 0.0,
                RAMP => {}
                step => {
                    let phase = std::f32::consts::PI * step as f32 / RAMP as f32;
                    *sample *= 0.5 - 0.5 * phase.cos();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_never_jumps() {
        let mut gate = Gate::new(false);
        let mut last = 0.0f32;
        for i in 0..20 {
            let mut block = [1.0f32; 480];
            gate.apply(&mut block, i % 3 != 0);
            for sample in block {
                assert!((sample - last).abs() < 0.01);
                last = sample;
            }
        }
    }

    #[test]
    fn a_closed_gate_is_silent_and_an_open_one_changes_nothing() {
        let mut block = [0.7f32; 480];
        Gate::new(true).apply(&mut block, true);
        assert_eq!(block, [0.7; 480]);
        Gate::new(false).apply(&mut block, false);
        assert_eq!(block, [0.0; 480]);
    }
}
