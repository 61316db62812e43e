//! Shapes with soft edges on planes of floating-point samples.
//!
//! A shape says how much of a point it covers; filling, shading and lighting multiply with that.
//! Samples are kept relative to the plane's zero (luma 16, chroma 128), so that *darker* is the
//! same multiplication on every plane. Coordinates: the picture is 1 high, x = 0 is its middle.

/// A colour as offsets from black: luma, blue and red difference.
pub(super) type Colour = [f32; 3];

/// BT.601 limited range, from red, green and blue in 0…255.
pub(super) const fn rgb(r: f32, g: f32, b: f32) -> Colour {
    [
        0.257 * r + 0.504 * g + 0.098 * b,
        -0.148 * r - 0.291 * g + 0.439 * b,
        0.439 * r - 0.368 * g - 0.071 * b,
    ]
}

/// The colour `amount` of the way from `a` to `b`.
pub(super) fn mix(a: Colour, b: Colour, amount: f32) -> Colour {
    std::array::from_fn(|i| a[i] + (b[i] - a[i]) * amount)
}

/// One plane of a picture being drawn.
pub(super) struct Plane<'a> {
    /// Samples, row by row, relative to the plane's zero.
    pub px: &'a mut [f32],
    /// Samples in a row.
    pub width: usize,
    /// Which component of a [`Colour`] this plane holds.
    pub channel: usize,
    /// Samples per unit of length.
    pub unit: f32,
}

/// A region with soft edges.
pub(super) trait Shape {
    /// What is the same for all points of a row.
    type Row: Copy;
    /// Left, top, right, bottom.
    fn bounds(&self) -> [f32; 4];
    /// Prepares a row; `edge` is the width of one sample, for smoothing.
    fn row(&self, y: f32, edge: f32) -> Self::Row;
    /// Coverage at `x`, 0…1.
    fn cover(row: &Self::Row, x: f32) -> f32;
}

impl Plane<'_> {
    /// Calls `with` on the samples each row of `shape` may cover, with the row's y and the x of
    /// the first sample.
    fn rows(&mut self, bounds: [f32; 4], mut with: impl FnMut(&mut [f32], f32, f32)) {
        let [left, top, right, bottom] = bounds;
        let (w, unit) = (self.width, self.unit);
        if w == 0 {
            return;
        }
        let height = self.px.len() / w;
        let half = w as f32 / 2.0;
        let clip = |v: f32, max: usize| (v.max(0.0) as usize).min(max);
        let (x0, x1) = (clip(left * unit + half - 1.0, w), clip(right * unit + half + 2.0, w));
        let (y0, y1) = (clip(top * unit - 1.0, height), clip(bottom * unit + 2.0, height));
        if x0 >= x1 {
            return;
        }
        let first = (x0 as f32 + 0.5 - half) / unit;
        for y in y0..y1 {
            let line = &mut self.px[y * w + x0..y * w + x1];
            with(line, (y as f32 + 0.5) / unit, first);
        }
    }

    /// Paints `shape` in one colour, `alpha` of it.
    pub fn fill<S: Shape>(&mut self, shape: &S, colour: Colour, alpha: f32) {
        let (colour, step) = (colour[self.channel], 1.0 / self.unit);
        self.rows(shape.bounds(), |line, y, first| {
            let row = shape.row(y, step);
            for (i, v) in line.iter_mut().enumerate() {
                let cover = S::cover(&row, first + i as f32 * step) * alpha;
                *v += (colour - *v) * cover;
            }
        });
    }

    /// Multiplies what `shape` covers: below 1 a shadow, above 1 a light.
    pub fn shade<S: Shape>(&mut self, shape: &S, factor: f32) {
        let (gain, step) = (factor - 1.0, 1.0 / self.unit);
        self.rows(shape.bounds(), |line, y, first| {
            let row = shape.row(y, step);
            for (i, v) in line.iter_mut().enumerate() {
                *v *= 1.0 + gain * S::cover(&row, first + i as f32 * step);
            }
        });
    }

    /// Paints `shape` in a colour that a light falls on as on `solid`.
    pub fn fill_lit<S: Shape>(&mut self, shape: &S, colour: Colour, solid: &Solid) {
        let (colour, step) = (colour[self.channel], 1.0 / self.unit);
        self.rows(shape.bounds(), |line, y, first| {
            let row = shape.row(y, step);
            let lit = solid.row(y);
            for (i, v) in line.iter_mut().enumerate() {
                let x = first + i as f32 * step;
                *v += (colour * lit.at(x) - *v) * S::cover(&row, x);
            }
        });
    }

    /// Paints horizontal bands: `pattern` is one period as amounts of `b` over `a`, `pitch` its
    /// length; rows bend down by `bend`·x².
    pub fn fill_bands<S: Shape>(
        &mut self,
        shape: &S,
        (a, b): (Colour, Colour),
        bands: &Bands,
        solid: &Solid,
    ) {
        let (a, b) = (a[self.channel], b[self.channel]);
        let step = 1.0 / self.unit;
        self.rows(shape.bounds(), |line, y, first| {
            let row = shape.row(y, step);
            let lit = solid.row(y);
            for (i, v) in line.iter_mut().enumerate() {
                let x = first + i as f32 * step;
                let amount = bands.at(x, y, step);
                *v += ((a + (b - a) * amount) * lit.at(x) - *v) * S::cover(&row, x);
            }
        });
    }
}

/// Horizontal stripes on cloth.
pub(super) struct Bands {
    /// Length of a period.
    pub pitch: f32,
    /// Share of a period that is stripe.
    pub share: f32,
    /// Middle of a stripe at x = `cx`.
    pub phase: f32,
    /// Where the cloth hangs lowest.
    pub cx: f32,
    /// How much it rises towards the sides.
    pub bend: f32,
}

impl Bands {
    fn at(&self, x: f32, y: f32, edge: f32) -> f32 {
        let dx = x - self.cx;
        let along = (y - self.phase + self.bend * dx * dx) / self.pitch + 64.0;
        // Never negative, so a cast rounds down; `floor` would be a function call per sample.
        let off = (along - (along as i32) as f32 - 0.5).abs() * self.pitch;
        ((self.share * self.pitch / 2.0 - (self.pitch / 2.0 - off)) / edge + 0.5).clamp(0.0, 1.0)
    }
}

/// An ellipsoid under one lamp and soft light from everywhere: gives a shape its roundness.
#[derive(Clone, Copy)]
pub(super) struct Solid {
    pub cx: f32,
    pub cy: f32,
    pub rx: f32,
    pub ry: f32,
    /// How far x moves per y: a small rotation.
    pub shear: f32,
    /// Direction to the lamp; not necessarily of length 1.
    pub lamp: [f32; 3],
    /// Brightness away from the lamp.
    pub ambient: f32,
    /// What the lamp adds at most.
    pub gain: f32,
}

#[derive(Clone, Copy)]
struct SolidRow {
    offset: f32,
    per_x: f32,
    v2: f32,
    base: f32,
    lamp_x: f32,
    lamp_z: f32,
    ambient: f32,
    gain: f32,
}

impl Solid {
    fn row(&self, y: f32) -> SolidRow {
        let v = (y - self.cy) / self.ry;
        SolidRow {
            offset: self.cx + self.shear * (y - self.cy),
            per_x: 1.0 / self.rx,
            v2: v * v,
            base: 0.5 + 0.5 * self.lamp[1] * v.clamp(-1.0, 1.0),
            lamp_x: 0.5 * self.lamp[0],
            lamp_z: 0.5 * self.lamp[2],
            ambient: self.ambient,
            gain: self.gain,
        }
    }
}

impl SolidRow {
    fn at(&self, x: f32) -> f32 {
        let u = ((x - self.offset) * self.per_x).clamp(-1.0, 1.0);
        let z = (1.0 - u * u - self.v2).max(0.0).sqrt();
        let t = (self.base + self.lamp_x * u + self.lamp_z * z).max(0.0);
        self.ambient + self.gain * t * t
    }
}

/// An ellipse with an anti-aliased edge, or a softer one.
#[derive(Clone, Copy)]
pub(super) struct Ellipse {
    pub cx: f32,
    pub cy: f32,
    pub rx: f32,
    pub ry: f32,
    pub shear: f32,
    /// Narrowing towards the bottom (positive) for jaws: share of the width lost there.
    pub taper: f32,
    /// Width of the edge beyond one sample.
    pub soft: f32,
}

impl Ellipse {
    pub fn new(cx: f32, cy: f32, rx: f32, ry: f32) -> Self {
        Self { cx, cy, rx, ry, shear: 0.0, taper: 0.0, soft: 0.0 }
    }

    pub fn shear(self, shear: f32) -> Self {
        Self { shear, ..self }
    }

    pub fn soft(self, soft: f32) -> Self {
        Self { soft, ..self }
    }
}

/// Row of an [`Ellipse`].
#[derive(Clone, Copy)]
pub(super) struct EllipseRow {
    offset: f32,
    per_rx: f32,
    v2: f32,
    slope2: f32,
    per_edge: f32,
}

impl Shape for Ellipse {
    type Row = EllipseRow;

    fn bounds(&self) -> [f32; 4] {
        let x = self.rx + self.shear.abs() * self.ry + self.soft;
        let y = self.ry + self.soft;
        [self.cx - x, self.cy - y, self.cx + x, self.cy + y]
    }

    fn row(&self, y: f32, edge: f32) -> EllipseRow {
        let v = (y - self.cy) / self.ry;
        let low = v.clamp(0.0, 1.0);
        let rx = self.rx * (1.0 - self.taper * low * low * (1.6 - 0.6 * low));
        EllipseRow {
            offset: self.cx + self.shear * (y - self.cy),
            per_rx: 1.0 / rx,
            // A tapered shape keeps its width longer, as a jaw does.
            v2: if self.taper > 0.0 {
                v * v * (1.0 - 0.30 * (1.0 - low * low) * low)
            } else {
                v * v
            },
            slope2: v * v / (self.ry * self.ry),
            per_edge: 1.0 / (edge + self.soft),
        }
    }

    fn cover(row: &EllipseRow, x: f32) -> f32 {
        let u = (x - row.offset) * row.per_rx;
        let inside = 1.0 - u * u - row.v2;
        // Distance to the edge, to first order: value over gradient.
        let gradient = 2.0 * (u * u * row.per_rx * row.per_rx + row.slope2).sqrt() + 1e-6;
        (inside / gradient * row.per_edge + 0.5).clamp(0.0, 1.0)
    }
}

/// A blurred spot that fades from its middle.
#[derive(Clone, Copy)]
pub(super) struct Blob {
    pub cx: f32,
    pub cy: f32,
    pub rx: f32,
    pub ry: f32,
    pub shear: f32,
}

impl Shape for Blob {
    type Row = (f32, f32, f32);

    fn bounds(&self) -> [f32; 4] {
        let x = self.rx + self.shear.abs() * self.ry;
        [self.cx - x, self.cy - self.ry, self.cx + x, self.cy + self.ry]
    }

    fn row(&self, y: f32, _edge: f32) -> Self::Row {
        let v = (y - self.cy) / self.ry;
        (self.cx + self.shear * (y - self.cy), 1.0 / self.rx, 1.0 - v * v)
    }

    fn cover(&(offset, per_rx, rest): &Self::Row, x: f32) -> f32 {
        let u = (x - offset) * per_rx;
        let q = (rest - u * u).max(0.0);
        q * q
    }
}

/// What lies between two parabolas that meet at both ends: lids, lips, brows. The upper one
/// rises `up` above the line between the ends in the middle, the lower one sinks `down` below it.
#[derive(Clone, Copy)]
pub(super) struct Lens {
    pub cx: f32,
    pub cy: f32,
    /// Half the length.
    pub half: f32,
    pub up: f32,
    pub down: f32,
    /// Slope of the line between the ends.
    pub tilt: f32,
    pub soft: f32,
}

impl Lens {
    pub fn new(cx: f32, cy: f32, half: f32, up: f32, down: f32) -> Self {
        Self { cx, cy, half, up, down, tilt: 0.0, soft: 0.0 }
    }

    pub fn tilt(self, tilt: f32) -> Self {
        Self { tilt, ..self }
    }

    pub fn soft(self, soft: f32) -> Self {
        Self { soft, ..self }
    }
}

/// Row of a [`Lens`].
#[derive(Clone, Copy)]
pub(super) struct LensRow {
    lens: Lens,
    y: f32,
    per_edge: f32,
    per_half: f32,
}

impl Shape for Lens {
    type Row = LensRow;

    fn bounds(&self) -> [f32; 4] {
        let lean = self.tilt.abs() * self.half + self.soft;
        let x = self.half + self.soft;
        let top = self.up.max(-self.down) + lean;
        let bottom = self.down.max(-self.up) + lean;
        [self.cx - x, self.cy - top.max(0.0), self.cx + x, self.cy + bottom.max(0.0)]
    }

    fn row(&self, y: f32, edge: f32) -> LensRow {
        let per_edge = 1.0 / (edge + self.soft);
        LensRow { lens: *self, y: y - self.cy, per_edge, per_half: 1.0 / self.half }
    }

    fn cover(row: &LensRow, x: f32) -> f32 {
        let dx = x - row.lens.cx;
        let u = dx * row.per_half;
        let bow = (1.0 - u * u).max(0.0);
        let y = row.y - row.lens.tilt * dx;
        let over = (y + row.lens.up * bow) * row.per_edge;
        let under = (row.lens.down * bow - y) * row.per_edge;
        // Both edges may cross one sample: what is left between them counts.
        let cover = (over + 0.5).clamp(0.0, 1.0) + (under + 0.5).clamp(0.0, 1.0) - 1.0;
        cover.max(0.0)
    }
}

/// Everything below a parabola: shoulders, hairlines, beards.
#[derive(Clone, Copy)]
pub(super) struct Below {
    pub cx: f32,
    pub y: f32,
    /// Sinks by `bend`·(x − cx)².
    pub bend: f32,
    /// And by `slope`·(x − cx).
    pub slope: f32,
    pub soft: f32,
}

/// Row of a [`Below`].
#[derive(Clone, Copy)]
pub(super) struct BelowRow {
    below: Below,
    y: f32,
    per_edge: f32,
}

impl Shape for Below {
    type Row = BelowRow;

    fn bounds(&self) -> [f32; 4] {
        let top = if self.bend < 0.0 || self.slope != 0.0 { 0.0 } else { self.y - self.soft };
        [-99.0, top, 99.0, 2.0]
    }

    fn row(&self, y: f32, edge: f32) -> BelowRow {
        BelowRow { below: *self, y, per_edge: 1.0 / (edge + self.soft) }
    }

    fn cover(row: &BelowRow, x: f32) -> f32 {
        let dx = x - row.below.cx;
        let line = row.below.y + (row.below.bend * dx + row.below.slope) * dx;
        // Steep stretches are smoothed along x as well.
        let steep = 1.0 + 2.0 * (row.below.bend * dx).abs();
        ((row.y - line) * row.per_edge / steep + 0.5).clamp(0.0, 1.0)
    }
}

/// Where both shapes are.
pub(super) struct Both<A, B>(pub A, pub B);

impl<A: Shape, B: Shape> Shape for Both<A, B> {
    type Row = (A::Row, B::Row);

    fn bounds(&self) -> [f32; 4] {
        let (a, b) = (self.0.bounds(), self.1.bounds());
        [a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]
    }

    fn row(&self, y: f32, edge: f32) -> Self::Row {
        (self.0.row(y, edge), self.1.row(y, edge))
    }

    fn cover(row: &Self::Row, x: f32) -> f32 {
        A::cover(&row.0, x) * B::cover(&row.1, x)
    }
}

/// Where the first shape is and the second is not.
pub(super) struct Without<A, B>(pub A, pub B);

impl<A: Shape, B: Shape> Shape for Without<A, B> {
    type Row = (A::Row, B::Row);

    fn bounds(&self) -> [f32; 4] {
        self.0.bounds()
    }

    fn row(&self, y: f32, edge: f32) -> Self::Row {
        (self.0.row(y, edge), self.1.row(y, edge))
    }

    fn cover(row: &Self::Row, x: f32) -> f32 {
        A::cover(&row.0, x) * (1.0 - B::cover(&row.1, x))
    }
}

/// A rectangle with anti-aliased edges.
#[derive(Clone, Copy)]
pub(super) struct Rect {
    pub left: f32,
    pub top: f32,
    pub right: f32,
    pub bottom: f32,
}

impl Shape for Rect {
    type Row = (f32, f32, f32, f32);

    fn bounds(&self) -> [f32; 4] {
        [self.left, self.top, self.right, self.bottom]
    }

    fn row(&self, y: f32, edge: f32) -> Self::Row {
        let per = 1.0 / edge;
        let inside = ((y - self.top) * per + 0.5).clamp(0.0, 1.0)
            + ((self.bottom - y) * per + 0.5).clamp(0.0, 1.0)
            - 1.0;
        (self.left, self.right, per, inside.max(0.0))
    }

    fn cover(&(left, right, per, inside): &Self::Row, x: f32) -> f32 {
        let across = ((x - left) * per + 0.5).clamp(0.0, 1.0)
            + ((right - x) * per + 0.5).clamp(0.0, 1.0)
            - 1.0;
        across.max(0.0) * inside
    }
}
