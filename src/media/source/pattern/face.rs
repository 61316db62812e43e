//! The person: hair, neck, head and what is in it. Every part is a few soft shapes, lit as parts
//! of one round head; the order of drawing is the order from back to front.

use super::canvas::Bands;
use super::canvas::{
    Below, Blob, Both, Colour, Ellipse, Lens, Plane, Rect, Solid, Without, mix, rgb,
};
use super::look::{Hair, Look};
use super::motion::{Pose, unit};

/// Half width and half height of a head.
const HEAD: (f32, f32) = (0.245, 0.325);
/// Middle of the head at rest.
const MIDDLE: f32 = 0.455;
const WHITE: Colour = rgb(240.0, 238.0, 234.0);
const DARK: Colour = rgb(30.0, 22.0, 22.0);

/// One person at one moment.
pub(super) struct Person<'a> {
    look: &'a Look,
    pose: Pose,
    /// Middle of the head.
    at: (f32, f32),
    /// Half width and half height.
    size: (f32, f32),
    /// x per y of everything in the face.
    shear: f32,
    /// The head as a body in the light.
    solid: Solid,
}

impl<'a> Person<'a> {
    pub(super) fn new(look: &'a Look, pose: Pose) -> Self {
        let drop = 0.012 * pose.mouth;
        let size = (HEAD.0 * look.width, HEAD.1 + drop);
        let at = (pose.sway.0, MIDDLE + pose.sway.1 + drop);
        let shear = -pose.roll;
        let solid = Solid {
            cx: at.0,
            cy: at.1,
            rx: size.0 * 1.12,
            ry: size.1 * 1.08,
            shear,
            lamp: [0.62 * look.side, -0.42, 0.66],
            ambient: 0.48,
            gain: 0.68,
        };
        Self { look, pose, at, size, shear, solid }
    }

    /// Draws the person over whatever `plane` shows.
    pub(super) fn draw(&self, plane: &mut Plane<'_>) {
        self.hair_behind(plane);
        self.body(plane);
        self.ears(plane);
        self.head(plane);
        for side in [-1.0, 1.0] {
            self.eye(plane, side);
        }
        self.nose(plane);
        if self.look.beard {
            self.beard(plane);
        }
        self.mouth(plane);
        for side in [-1.0, 1.0] {
            self.brow(plane, side);
        }
        if self.look.glasses {
            self.glasses(plane);
        }
        self.hair(plane);
    }

    /// A point of the face, given relative to its middle, turned with the head. `depth` is how
    /// far it stands out: turning moves it more.
    fn point(&self, x: f32, y: f32, depth: f32) -> (f32, f32) {
        let (turn, nod) = self.pose.turn;
        let x = x * (1.0 - 0.06 * turn * x.signum()) + turn * 0.030 * depth;
        let y = y + nod * 0.014 * depth;
        (self.at.0 + x + self.shear * y, self.at.1 + y - self.shear * x)
    }

    fn ellipse(&self, (x, y): (f32, f32), depth: f32, rx: f32, ry: f32) -> Ellipse {
        let (cx, cy) = self.point(x, y, depth);
        Ellipse::new(cx, cy, rx, ry).shear(self.shear)
    }

    fn blob(&self, (x, y): (f32, f32), depth: f32, rx: f32, ry: f32) -> Blob {
        let (cx, cy) = self.point(x, y, depth);
        Blob { cx, cy, rx, ry, shear: self.shear }
    }

    fn lens(&self, (x, y): (f32, f32), depth: f32, half: f32, up: f32, down: f32) -> Lens {
        let (cx, cy) = self.point(x, y, depth);
        Lens::new(cx, cy, half, up, down).tilt(-self.shear)
    }

    /// The outline of the head, grown by `by`.
    fn outline(&self, by: f32) -> Ellipse {
        let (rx, ry) = (self.size.0 + by, self.size.1 + by);
        Ellipse { taper: self.look.jaw, ..Ellipse::new(self.at.0, self.at.1, rx, ry) }
            .shear(self.shear)
    }

    /// The hair's body in the light: rounder and darker in the shade than skin.
    fn hair_solid(&self) -> Solid {
        let (rx, ry) = (self.size.0 * 1.35, self.size.1 * 1.3);
        Solid { rx, ry, cy: self.at.1 - 0.03, ambient: 0.45, gain: 0.85, ..self.solid }
    }

    fn hair_behind(&self, plane: &mut Plane<'_>) {
        let (colour, solid) = (self.look.hair_colour, self.hair_solid());
        let (a, b) = self.size;
        match self.look.hair {
            Hair::Long => {
                let fall = self.ellipse((0.0, 0.10), -0.6, a * 1.36, b * 1.26);
                plane.fill_lit(&fall, mix(colour, DARK, 0.35), &solid);
            }
            Hair::Bun => {
                let bun = self.ellipse((0.0, -b - 0.055), -0.8, 0.105, 0.085);
                plane.fill_lit(
                    &bun,
                    colour,
                    &Solid { rx: 0.12, ry: 0.1, cx: bun.cx, cy: bun.cy, ..solid },
                );
            }
            Hair::Curls => {
                for i in 0..15 {
                    let angle = (i as f32 / 14.0 - 0.5) * 4.2;
                    let radius = 0.092 + 0.022 * unit(self.look.seed ^ i);
                    let (x, y) = (angle.sin() * a * 1.10, -angle.cos() * b * 0.96 - 0.03);
                    let curl = self.ellipse((x, y), -0.5, radius, radius);
                    let round = Solid {
                        cx: curl.cx,
                        cy: curl.cy,
                        rx: radius * 1.2,
                        ry: radius * 1.2,
                        ..solid
                    };
                    plane.fill_lit(&curl, mix(colour, DARK, 0.15), &round);
                }
            }
            Hair::Bald => {
                let fringe = self.ellipse((0.0, 0.02), -0.3, a * 1.09, b * 0.52);
                plane.fill_lit(&fringe, colour, &solid);
            }
            Hair::Short | Hair::Parted => {}
        }
    }

    fn body(&self, plane: &mut Plane<'_>) {
        let (bx, by) = self.pose.body;
        let side = self.look.side;
        let torso = Solid {
            cx: bx,
            cy: 1.12 + by,
            rx: 0.78,
            ry: 0.5,
            shear: 0.0,
            lamp: [0.6 * side, -0.45, 0.66],
            ambient: 0.42,
            gain: 0.75,
        };
        let shoulders = Below { cx: bx, y: 0.825 + by, bend: 0.42, slope: 0.0, soft: 0.0 };
        let bands = Bands { pitch: 0.058, share: 0.42, phase: 0.85 + by, cx: bx, bend: 0.25 };
        plane.fill_bands(&shoulders, self.look.shirt, &bands, &torso);
        // Sleeves' seams give the shoulders their corners.
        for x in [-0.47, 0.47] {
            let seam = Ellipse::new(bx + x, 1.02 + by, 0.008, 0.12).shear(0.25 * f32::signum(x));
            plane.shade(&seam.soft(0.01), 0.8);
        }
        // Neck: from the head's place to the collar's.
        let (nx, ny) = (bx * 0.6 + self.at.0 * 0.4, 0.785);
        let neck = Ellipse::new(nx, ny, 0.118, 0.17);
        let neck_solid =
            Solid { cx: nx, cy: ny, rx: 0.15, ry: 0.5, ambient: 0.42, gain: 0.60, ..self.solid };
        plane.fill_lit(&neck, self.look.skin, &neck_solid);
        // The chin's shadow falls on it, away from the lamp.
        let (rx, ry) = (self.size.0 * 0.85, 0.15);
        let cast = Blob {
            cx: self.at.0 - 0.05 * side,
            cy: self.at.1 + self.size.1 - 0.01,
            rx,
            ry,
            shear: 0.0,
        };
        plane.shade(&Both(cast, neck), 0.45);
        // Collar: two flaps that meet below the throat.
        let cloth = mix(self.look.shirt.0, WHITE, 0.15);
        for s in [-1.0, 1.0] {
            let flap = Lens::new(nx + s * 0.082, 0.885 + by, 0.092, 0.030, 0.034);
            plane.shade(&Lens { cy: flap.cy + 0.008, ..flap.tilt(-0.62 * s).soft(0.012) }, 0.72);
            plane.fill_lit(&flap.tilt(-0.62 * s), cloth, &torso);
        }
    }

    fn ears(&self, plane: &mut Plane<'_>) {
        if self.look.hair == Hair::Long {
            return;
        }
        for s in [-1.0f32, 1.0] {
            // Turning the head hides one ear behind the cheek.
            let out = self.size.0 * (1.01 - 0.05 * s * self.pose.turn.0);
            let ear = self.ellipse((s * out, 0.015), -0.4, 0.036, 0.070);
            let round = Solid { rx: self.size.0 * 1.3, ..self.solid };
            plane.fill_lit(&ear, mix(self.look.skin, self.look.lips, 0.16), &round);
            let inner = self.blob((s * (out + 0.006), 0.010), -0.4, 0.024, 0.050);
            plane.shade(&inner, 0.66);
        }
    }

    fn head(&self, plane: &mut Plane<'_>) {
        plane.fill_lit(&self.outline(0.0), self.look.skin, &self.solid);
        let flush = mix(self.look.skin, self.look.lips, 0.75);
        for s in [-1.0, 1.0] {
            plane.fill(&self.blob((s * 0.135, 0.10), 0.5, 0.095, 0.075), flush, 0.38);
            // Cheekbones catch light, temples lose it.
            plane.shade(&self.blob((s * 0.140, 0.045), 0.6, 0.07, 0.045), 1.07);
            plane.shade(&self.blob((s * self.size.0 * 0.97, 0.06), 0.0, 0.07, 0.26), 0.86);
        }
        plane.shade(&self.blob((0.05 * self.look.side, -0.18), 0.7, 0.15, 0.10), 1.07);
        plane.shade(&self.blob((0.0, 0.285), 0.8, 0.075, 0.045), 1.07);
        if self.look.hair == Hair::Bald {
            plane.shade(&self.blob((0.08 * self.look.side, -0.24), 0.4, 0.09, 0.06), 1.22);
        }
    }

    fn eye(&self, plane: &mut Plane<'_>, s: f32) {
        let place = (s * 0.104, -0.012);
        let open = self.pose.lids;
        let (skin, side) = (self.look.skin, self.look.side);
        // Sockets: deeper on the nose's side and under the brow.
        plane.shade(&self.blob((s * 0.092, -0.028), 0.6, 0.105, 0.074), 0.74);
        plane.shade(&self.blob((s * 0.104, 0.030), 0.6, 0.080, 0.035), 0.93);
        let (half, high, low) = (0.062, 0.037 + 0.004 * self.pose.brow, 0.022);
        // The upper lid's edge travels from above the middle to below it.
        let up = -0.015 + (high + 0.015) * open;
        let lid = self.lens(place, 0.7, half * 1.06, high + 0.008, -up);
        plane.fill(&lid, mix(skin, DARK, 0.12), 0.8);
        let opening = self.lens(place, 0.7, half, up, low).tilt(-self.shear - 0.05 * s);
        plane.fill(&opening, WHITE, (open * 3.0).min(1.0));
        let (gx, gy) = self.pose.gaze;
        let look = (place.0 + gx * 0.018, place.1 - 0.005 + gy * 0.010);
        if open > 0.15 {
            let iris = self.ellipse(look, 0.7, 0.0305, 0.0310);
            plane.fill(&Both(iris, opening), mix(self.look.iris, DARK, 0.35), 1.0);
            let inner = self.ellipse((look.0, look.1 + 0.003), 0.7, 0.0240, 0.0245);
            plane.fill(&Both(inner, opening), self.look.iris, 1.0);
            let pupil = self.ellipse(look, 0.7, 0.0138, 0.0142);
            plane.fill(&Both(pupil, opening), rgb(8.0, 6.0, 8.0), 1.0);
            // The lid's shadow on the eyeball, then the lamp mirrored in it.
            let shadow = self.lens(place, 0.7, half, up, 0.012 - up);
            plane.shade(&Both(shadow, opening), 0.74);
            let glint = (look.0 + 0.009 * side, look.1 - 0.010);
            let glint = self.ellipse(glint, 0.7, 0.0065, 0.0065);
            plane.fill(&Both(glint, opening), WHITE, 0.95);
        }
        let lash = self.lens(place, 0.7, half * 1.06, up + 0.012, 0.001 - up);
        plane.fill(&lash.tilt(-self.shear - 0.05 * s), DARK, 0.92);
        let lower = self.lens(place, 0.7, half * 0.9, -low, low + 0.005);
        plane.shade(&lower, 0.76);
        let crease = self.lens((place.0, place.1 - 0.006), 0.7, half, high + 0.010, -high - 0.003);
        plane.shade(&crease, 0.80);
    }

    fn brow(&self, plane: &mut Plane<'_>, s: f32) {
        let lift = 0.010 * self.pose.brow;
        let place = (s * 0.108, -0.082 - lift);
        let thick = if self.look.beard { 0.030 } else { 0.022 };
        let brow = self.lens(place, 0.8, 0.070, 0.016 + thick / 2.0, thick / 2.0 - 0.014);
        let colour = mix(self.look.hair_colour, DARK, 0.40);
        plane.fill(&brow.tilt(-self.shear + 0.10 * s).soft(0.004), colour, 0.9);
    }

    fn nose(&self, plane: &mut Plane<'_>) {
        let side = self.look.side;
        // The side away from the lamp, the ridge towards it.
        plane.shade(&self.blob((-0.028 * side, 0.045), 1.2, 0.030, 0.100), 0.83);
        plane.shade(&self.blob((0.007 * side, 0.020), 1.3, 0.022, 0.105), 1.10);
        plane.shade(&self.blob((-0.006 * side, 0.125), 1.3, 0.065, 0.034), 0.80);
        let tip = mix(self.look.skin, self.look.lips, 0.28);
        plane.fill(&self.blob((0.0, 0.088), 1.5, 0.052, 0.042), tip, 0.55);
        plane.shade(&self.blob((0.012 * side, 0.074), 1.6, 0.024, 0.024), 1.20);
        for s in [-1.0, 1.0] {
            plane.shade(&self.blob((s * 0.042, 0.092), 1.3, 0.018, 0.026), 0.86);
            let hole = self.ellipse((s * 0.021, 0.110), 1.4, 0.0115, 0.0065).soft(0.006);
            plane.shade(&hole, 0.36);
        }
        // The groove to the lip.
        plane.shade(&self.blob((0.0, 0.148), 1.1, 0.014, 0.024), 0.91);
    }

    fn mouth(&self, plane: &mut Plane<'_>) {
        let (open, wide) = (self.pose.mouth, self.pose.wide);
        let place = (0.0, 0.182);
        let half = 0.082 * (1.0 + 0.13 * wide - 0.14 * open);
        let sag = 0.013 * (1.0 - 0.6 * open);
        let (rise, fall) = (0.010 * open, 0.088 * open);
        let lips = self.look.lips;
        // A shadow below the lower lip, corners that fold.
        plane.shade(&self.blob((0.0, 0.226 + fall * 0.9), 0.9, 0.070, 0.024), 0.82);
        for s in [-1.0, 1.0] {
            plane.shade(&self.blob((s * half, 0.182), 0.9, 0.020, 0.018), 0.80);
        }
        let outer = self.lens(place, 1.0, half, rise - sag + 0.021, fall + sag + 0.026);
        plane.fill(&outer, lips, 0.92);
        let upper = self.lens(place, 1.0, half, rise - sag + 0.021, sag - rise);
        plane.shade(&upper, 0.84);
        let bow = self.blob((0.0, 0.1615 - rise + sag), 1.0, 0.016, 0.010);
        plane.fill(&bow, self.look.skin, 0.55);
        let shine = (0.012 * self.look.side, 0.197 + sag + fall);
        plane.shade(&self.blob(shine, 1.0, 0.042, 0.013), 1.24);
        let inside = self.lens(place, 1.0, half * 0.90, rise - sag, fall + sag + 0.004);
        plane.fill(&inside, rgb(66.0, 20.0, 24.0), 0.95);
        if open > 0.06 {
            let (_, y) = self.point(place.0, place.1, 1.0);
            let deep = self.blob((0.0, 0.182 + sag + fall * 1.05), 1.0, 0.052, fall * 0.62);
            plane.fill(&Both(deep, inside), rgb(196.0, 84.0, 86.0), 0.9);
            let bite = y + sag - rise + 0.010 + 0.016 * open;
            let bite =
                Below { cx: self.at.0, y: bite, bend: -1.4, slope: -self.shear, soft: 0.002 };
            let teeth = self.lens(place, 1.0, half * 0.80, rise - sag, fall + sag);
            let strength = ((open - 0.06) * 8.0).min(1.0);
            plane.fill(&Without(teeth, bite), WHITE, 0.93 * strength);
        }
    }

    fn beard(&self, plane: &mut Plane<'_>) {
        let (_, y) = self.point(0.0, 0.128, 0.8);
        let (cx, _) = self.point(0.0, 0.128, 0.8);
        let edge = Below { cx, y, bend: -1.2, slope: -self.shear, soft: 0.026 };
        let solid = Solid { ambient: 0.42, gain: 0.75, ..self.solid };
        let colour = mix(self.look.hair_colour, self.look.skin, 0.12);
        plane.fill_lit(&Both(self.outline(0.018), edge), colour, &solid);
        // Skin shows beside the lower lip; whiskers part under the nose.
        plane.fill(
            &self.blob((0.0, 0.222 + 0.07 * self.pose.mouth), 0.9, 0.06, 0.022),
            self.look.skin,
            0.35,
        );
        for s in [-1.0, 1.0] {
            let whisker = self.lens((s * 0.052, 0.153), 1.1, 0.062, 0.020, 0.008);
            plane.fill_lit(&whisker.tilt(-self.shear + 0.34 * s).soft(0.006), colour, &solid);
            plane.shade(&self.blob((s * 0.09, 0.25), 0.6, 0.05, 0.06), 0.88);
        }
    }

    fn hair(&self, plane: &mut Plane<'_>) {
        let (colour, solid) = (self.look.hair_colour, self.hair_solid());
        let (a, b) = self.size;
        let part = match self.look.hair {
            Hair::Parted => 0.085 * self.look.side,
            _ => 0.0,
        };
        // The hairline: height at the forehead and how steeply it falls to the ears.
        let (line, fall) = match self.look.hair {
            Hair::Bald => return,
            Hair::Short => (-0.190, 1.5),
            Hair::Parted => (-0.225, 1.5),
            Hair::Bun => (-0.225, 2.2),
            Hair::Long => (-0.245, 4.3),
            Hair::Curls => (-0.195, 2.0),
        };
        let (cx, y) = self.point(part, line, 0.6);
        // How much the hair stands off the skull at the sides and on top.
        let (out, high) = match self.look.hair {
            Hair::Bun => (0.010, 0.016),
            Hair::Long | Hair::Curls => (0.028, 0.036),
            _ => (0.014, 0.042),
        };
        let cap = Ellipse { taper: 0.0, ry: b + high, rx: a + out, ..self.outline(0.0) };
        let face = Below { cx, y, bend: fall, slope: -self.shear, soft: 0.010 };
        // A shadow on the forehead first: hair has thickness.
        let under = Below { y: y + 0.030, soft: 0.035, ..face };
        plane.shade(&Both(self.outline(0.0), Without(cap, under)), 0.84);
        plane.fill_lit(&Without(cap, face), colour, &solid);
        if matches!(self.look.hair, Hair::Short | Hair::Parted) {
            let side = self.look.side;
            let quiff = self.ellipse((0.045 * side, -b * 0.93), 0.3, a * 0.72, 0.075);
            let quiff = Ellipse { shear: self.shear - 0.5 * side, ..quiff };
            plane.fill_lit(&quiff, colour, &solid);
            for i in 0..9u64 {
                let x = (i as f32 / 8.0 - 0.5) * a * 1.5;
                let long = 0.030 + 0.022 * unit(self.look.seed ^ (300 + i));
                let y = line - 0.018 + fall * (x - part) * (x - part);
                let tuft = self.ellipse((x, y), 0.6, 0.026, long);
                let lean = 1.1 * (x - part) - 0.35 * side;
                plane.fill_lit(&Ellipse { shear: self.shear + lean, ..tuft }, colour, &solid);
            }
            for s in [-1.0, 1.0] {
                let burn = self.ellipse((s * (a - 0.004), -0.065), -0.1, 0.022, 0.085);
                plane.fill_lit(&Both(burn, cap), colour, &solid);
            }
        }
        if self.look.hair == Hair::Curls {
            for i in 0..7 {
                let x = (i as f32 / 6.0 - 0.5) * a * 1.75;
                let y = line - 0.015 + fall * x * x;
                let curl = self.ellipse((x, y), 0.4, 0.052, 0.050);
                let round = Solid { cx: curl.cx, cy: curl.cy, rx: 0.07, ry: 0.07, ..solid };
                plane.fill_lit(&curl, colour, &round);
            }
        }
        if self.look.hair == Hair::Long {
            for s in [-1.0, 1.0] {
                let lock = self.ellipse((s * a * 0.985, 0.15), -0.1, 0.058, b * 0.92);
                let lock = Ellipse { shear: self.shear + 0.08 * s, ..lock };
                plane.fill_lit(&lock, colour, &solid);
                let strand = self.blob((s * a * 1.0, 0.14), -0.1, 0.018, b * 0.7);
                plane.shade(&strand, 1.25);
            }
        }
        // Strands: fine sheen along the way the hair is combed.
        for i in 0..9u64 {
            let x = (unit(self.look.seed ^ (100 + i)) - 0.5) * a * 1.7;
            let y = line - 0.055 + 0.35 * fall * x * x - 0.04 * unit(self.look.seed ^ (200 + i));
            let lean = (x - part) * 2.4;
            let strand = self.blob((x, y), 0.3, 0.011, 0.058);
            let strand = Blob { shear: self.shear + lean, ..strand };
            let factor = if i % 3 == 0 { 0.80 } else { 1.20 };
            plane.shade(&Both(strand, Without(cap, face)), factor);
        }
    }

    fn glasses(&self, plane: &mut Plane<'_>) {
        let frame = rgb(34.0, 30.0, 36.0);
        for s in [-1.0, 1.0] {
            let place = (s * 0.106, -0.004);
            let lens = self.ellipse(place, 0.9, 0.079, 0.066);
            let hole = Ellipse { rx: 0.0675, ry: 0.0545, ..lens };
            plane.fill(&hole, rgb(206.0, 220.0, 236.0), 0.06);
            let glint = (place.0 + 0.030 * self.look.side + 0.02 * self.pose.turn.0, -0.030);
            let glint = Blob { shear: -0.8, ..self.blob(glint, 0.9, 0.014, 0.030) };
            plane.fill(&Both(glint, hole), WHITE, 0.42);
            plane.fill(&Without(lens, hole), frame, 0.95);
            let (x, y) = self.point(s * 0.182, -0.016, 0.8);
            let (ear, _) = self.point(s * self.size.0 * 1.0, -0.016, -0.4);
            let temple =
                Rect { left: x.min(ear), top: y - 0.006, right: x.max(ear), bottom: y + 0.006 };
            plane.fill(&temple, frame, 0.9);
        }
        let bridge = self.lens((0.0, -0.012), 1.2, 0.034, 0.018, -0.009);
        plane.fill(&bridge, frame, 0.95);
    }
}
