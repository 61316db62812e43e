//! Which of a camera's formats to take. Drivers offer dozens; the cheapest good one wins, and it
//! is chosen here because "closest" in a driver's binding may mean 10 pictures a second.

use std::fmt;

/// How a camera codes its pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pixels {
    /// Packed 4:2:2.
    Yuyv,
    /// Planar luma, interleaved 4:2:0 chroma.
    Nv12,
    /// JPEG pictures.
    Mjpeg,
    /// Luma only, 8 bits.
    Gray,
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
}

/// One format a camera offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Offer {
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
    /// Pictures per second.
    pub fps: u32,
    /// Pixel format.
    pub pixels: Pixels,
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pixels = match self.pixels {
            Pixels::Yuyv => "YUYV",
            Pixels::Nv12 => "NV12",
            Pixels::Mjpeg => "MJPEG",
            Pixels::Gray => "grey",
            Pixels::Rgb | Pixels::Bgr => "RGB",
        };
        write!(f, "{}x{} at {} fps, {pixels}", self.width, self.height, self.fps)
    }
}

/// Sorts the usable offers, best first. Without `large`, uncompressed pictures up to 640x480 come
/// first (nothing to decode, more than a terminal shows); with it, JPEG pictures of 1280x720.
pub fn rank(offers: &[Offer], large: bool) -> Vec<Offer> {
    let mut usable: Vec<Offer> = offers.iter().copied().filter(usable).collect();
    usable.sort_by_key(|offer| cost(offer, large));
    usable.dedup();
    usable
}

fn usable(offer: &Offer) -> bool {
    let even = offer.width.is_multiple_of(2) && offer.height.is_multiple_of(2);
    even && (32..=3840).contains(&offer.width)
        && (32..=2160).contains(&offer.height)
        && offer.fps > 0
}

/// Lower is better: smoothness, then the right class of size and coding, then what is nearest to
/// the size and rate aimed at.
fn cost(offer: &Offer, large: bool) -> (bool, u8, u32, u32, Pixels) {
    let (aim_w, aim_h) = if large { (1280, 720) } else { (640, 480) };
    let fits = offer.width <= aim_w && offer.height <= aim_h;
    let enough = offer.width >= aim_w / 2 && offer.height >= aim_h / 2;
    let raw = matches!(offer.pixels, Pixels::Yuyv | Pixels::Nv12);
    let class = match (fits && enough, raw, offer.pixels == Pixels::Mjpeg) {
        (true, true, _) => u8::from(large),
        (true, _, true) => u8::from(!large),
        (true, ..) => 2,
        // Too large can be scaled down; too small stays small.
        (false, ..) if enough => 3,
        _ => 4,
    };
    let area = |w: u16, h: u16| u32::from(w) * u32::from(h);
    let off_size = area(offer.width, offer.height).abs_diff(area(aim_w, aim_h));
    (offer.fps < 15, class, off_size, offer.fps.abs_diff(30), offer.pixels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(width: u16, height: u16, fps: u32, pixels: Pixels) -> Offer {
        Offer { width, height, fps, pixels }
    }

    /// What a common laptop camera offers.
    fn laptop() -> Vec<Offer> {
        vec![
            offer(1280, 720, 10, Pixels::Yuyv),
            offer(1280, 720, 30, Pixels::Mjpeg),
            offer(640, 480, 30, Pixels::Mjpeg),
            offer(640, 480, 30, Pixels::Yuyv),
            offer(640, 360, 30, Pixels::Yuyv),
            offer(320, 240, 30, Pixels::Yuyv),
        ]
    }

    #[test]
    fn uncompressed_vga_comes_first() {
        assert_eq!(rank(&laptop(), false)[0], offer(640, 480, 30, Pixels::Yuyv));
    }

    #[test]
    fn large_tiles_get_jpeg_at_720p_and_never_ten_pictures_a_second() {
        let ranked = rank(&laptop(), true);
        assert_eq!(ranked[0], offer(1280, 720, 30, Pixels::Mjpeg));
        assert_eq!(ranked.last(), Some(&offer(1280, 720, 10, Pixels::Yuyv)));
    }

    #[test]
    fn jpeg_is_taken_where_raw_is_too_slow() {
        let offers = [offer(640, 480, 5, Pixels::Yuyv), offer(640, 480, 30, Pixels::Mjpeg)];
        assert_eq!(rank(&offers, false)[0].pixels, Pixels::Mjpeg);
    }

    #[test]
    fn thirty_pictures_are_preferred_to_sixty() {
        let offers = [offer(640, 480, 60, Pixels::Yuyv), offer(640, 480, 30, Pixels::Yuyv)];
        assert_eq!(rank(&offers, false)[0].fps, 30);
    }

    #[test]
    fn absurd_formats_are_passed_over() {
        let offers = [
            offer(641, 480, 30, Pixels::Yuyv),
            offer(8000, 6000, 30, Pixels::Mjpeg),
            offer(640, 480, 0, Pixels::Yuyv),
            offer(2, 2, 30, Pixels::Yuyv),
        ];
        assert!(rank(&offers, false).is_empty());
    }
}
