//! Raw bytes drawn as pixels: what ciphertext looks like to somebody who can't open it.

use crate::media::frame::{RawFrame, Size};
use crate::time::MediaTime;

/// Shows `bytes` as a picture of blocks, one byte per block, in order; as many blocks as there
/// are bytes for (two thirds go to brightness, one to colour), at most one per pixel. The same
/// bytes always give the same picture. No bytes: black.
pub fn bytes_view(bytes: &[u8], size: Size) -> RawFrame {
    let mut frame = RawFrame::black(size, MediaTime::default());
    if bytes.is_empty() || size.luma() == 0 {
        return frame;
    }
    let (width, height) = (usize::from(size.width), usize::from(size.height));
    let luma = (bytes.len() * 2 / 3).max(1);
    // Blocks across and down with square blocks: across² = luma · width / height.
    let across = ((luma * width) as f64 / height as f64).sqrt() as usize;
    let across = across.clamp(1, width);
    let down = (luma / across).clamp(1, height);
    for (y, row) in frame.y.chunks_mut(width).enumerate() {
        let block_row = y * down / height * across;
        for (x, pixel) in row.iter_mut().enumerate() {
            let byte = bytes[(block_row + x * across / width) % bytes.len()];
            *pixel = 16 + (u32::from(byte) * 219 / 255) as u8;
        }
    }
    let rest = &bytes[luma.min(bytes.len() - 1)..];
    let (half_across, half_down) = (across.div_ceil(2), down.div_ceil(2));
    let (cw, ch) = (width.div_ceil(2), height.div_ceil(2));
    let planes = [(&mut frame.u, 0), (&mut frame.v, half_across * half_down)];
    for (plane, offset) in planes {
        for (y, row) in plane.chunks_mut(cw).enumerate() {
            let block_row = y * half_down / ch * half_across;
            for (x, pixel) in row.iter_mut().enumerate() {
                let at = offset + block_row + x * half_across / cw;
                *pixel = 16 + (u32::from(rest[at % rest.len()]) * 224 / 255) as u8;
            }
        }
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_at_any_size_give_a_whole_picture() {
        for len in [0, 1, 2, 3, 7, 100, 5000, 200_000] {
            let bytes: Vec<u8> = (0..len).map(|i| (i * 7919 % 251) as u8).collect();
            for (w, h) in [(2, 2), (80, 48), (320, 192), (2, 400)] {
                let f = bytes_view(&bytes, Size::new(w, h));
                assert_eq!(f.y.len(), f.size.luma());
                assert_eq!(f.u.len(), f.size.chroma());
                assert!(f.y.iter().all(|y| (16..=235).contains(y)));
            }
        }
    }

    #[test]
    fn different_bytes_look_different() {
        let size = Size::new(80, 48);
        let a: Vec<u8> = (0..3000).map(|i| (i * 31 % 256) as u8).collect();
        let mut b = a.clone();
        b[10] ^= 0xFF;
        assert_ne!(bytes_view(&a, size), bytes_view(&b, size));
        assert_eq!(bytes_view(&a, size), bytes_view(&a, size));
    }
}
