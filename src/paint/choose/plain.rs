//! Ramps, dots, and no colours: brightness is told by how much ink a glyph has.

use super::*;

/// 4×4 Bayer matrix, centred on 0, in −0.5…0.5.
const BAYER: [[f32; 4]; 4] = {
    let order = [[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]];
    let mut m = [[0.0; 4]; 4];
    let mut y = 0;
    while y < 4 {
        let mut x = 0;
        while x < 4 {
            m[y][x] = (order[y][x] as f32 + 0.5) / 16.0 - 0.5;
            x += 1;
        }
        y += 1;
    }
    m
};

/// Height of the dither's steps, either way.
const DITHER: f32 = 112.0;

impl<const N: usize, const M: usize> Job<'_, N, M> {
    /// A cell of a ramp or without colours: keep it if it would look the same.
    #[inline(always)]
    pub(super) fn plain_cell(
        &mut self,
        cell: &[[f32; 3]; N],
        i: usize,
        (col, row): (usize, usize),
        stats: &mut Stats,
    ) -> f32 {
        let luma = |s: &[f32; 3]| 0.299 * s[0] + 0.587 * s[1] + 0.114 * s[2];
        let (pattern, fg) = if let Some(ramp) = self.driver.ramp() {
            let last = ramp.len() - 1;
            let step = (luma(&cell[0]) / 255.0 * (last as f32 + 0.99)).clamp(0.0, last as f32);
            // The glyph darkens already: lift the colour half-way to full brightness.
            let peak = cell[0].iter().fold(1.0f32, |a, b| a.max(*b)) / 255.0;
            let lift = 1.0 / peak.sqrt();
            (step as u8, self.scheme.ink(cell[0].map(|v| (v * lift).min(255.0))))
        } else {
            let mut pattern = 0u8;
            for (k, sample) in cell.iter().enumerate() {
                pattern |= u8::from(luma(sample) > 128.0) << k;
            }
            // Of dots the number tells the brightness: their colour is lifted half-way to full.
            let mean: [f32; 3] =
                std::array::from_fn(|c| cell.iter().map(|s| s[c]).sum::<f32>() / N as f32);
            let peak = mean.iter().fold(1.0f32, |a, b| a.max(*b)) / 255.0;
            let lift = 1.0 / peak.sqrt();
            (pattern, self.scheme.ink(mean.map(|v| (v * lift).min(255.0))))
        };
        let near = {
            let change = distance(looks(self.shadow.fg[i]), looks(fg));
            pattern == 0 || change <= self.lambda * 3.0 * 16.0
        };
        let same = self.shadow.glyph[i] == u16::from(pattern) && near;
        if same && self.shadow.shown[i] && !self.is_due(col, row) {
            stats.kept += 1;
            return 0.0;
        }
        self.shadow.set(i, pattern.into(), fg, Ink::DEFAULT, self.table);
        let at = (self.rect.x + col as u16, self.rect.y + row as u16);
        self.emit(i, col, at, stats);
        0.0
    }

    /// Ordered dither where a glyph's ink is all there is: neighbouring samples lean different ways.
    #[inline(always)]
    pub(super) fn dither(&self, row: usize, samples: &mut [f32]) {
        if self.driver.ramp().is_some() {
            return;
        }
        let (across, down) = self.driver.samples();
        let stride = self.shadow.stride;
        for k in 0..N {
            let y = row * down + k / across;
            for c in 0..3 {
                let run = &mut samples[(k * 3 + c) * stride..][..stride];
                for (cell, v) in run.iter_mut().enumerate() {
                    let x = cell * across + k % across;
                    *v = (*v + 2.0 * DITHER * BAYER[y % 4][x % 4]).clamp(0.0, 255.0);
                }
            }
        }
    }
}
