//! Who is shown where: members and a pane of cells become rectangles.

use super::Rect;
use super::mode::Mode;
use crate::media::frame::Size;

/// Width to height of every tile's picture; the sizes that senders offer have it too.
const ASPECT: f32 = 5.0 / 3.0;

/// How the tiles are arranged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// All the same size, as large as can be.
    #[default]
    Grid,
    /// This one (counted from 0) large, the others in a strip beside or below.
    Speaker(usize),
    /// This one (counted from 0) is the own picture: small in the lower right corner, drawn over
    /// the grid of the others.
    SelfCorner(usize),
}

/// One member's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TileRect {
    /// Whose: counted from 0 in the order given by the caller.
    pub member: usize,
    /// The whole tile.
    pub tile: Rect,
    /// The part for the picture, 5:3 as nearly as whole cells allow, centred in the tile.
    pub picture: Rect,
    /// One row under the picture for the name; `None` where the tile is too small for it.
    pub label: Option<Rect>,
    /// Shown large.
    pub focus: bool,
    /// Lies over another tile: pass its rectangle to the other's `Painter::cover`.
    pub over: bool,
}

/// Fewest rows a tile needs to spare one for the name.
const LABEL_FROM_ROWS: u16 = 4;

/// Arranges `members` (1…16 make sense) in `area`, for cells of this size in pixels (only the
/// ratio counts). The tiles don't overlap unless `over` says so, and all lie inside `area`; in an
/// area too small for all, the last ones are left out.
pub fn layout(members: usize, area: Rect, kind: Kind, cell_px: (u16, u16)) -> Vec<TileRect> {
    if members == 0 || area.cells() == 0 {
        return Vec::new();
    }
    match kind {
        Kind::Speaker(focus) if members > 1 && focus < members => {
            speaker(members, focus, area, cell_px)
        }
        Kind::SelfCorner(own) if members > 1 && own < members => {
            let others: Vec<usize> = (0..members).filter(|m| *m != own).collect();
            let mut tiles = grid(&others, area, cell_px);
            tiles.extend(corner(own, area, cell_px));
            tiles
        }
        _ => {
            let mut tiles = grid(&(0..members).collect::<Vec<_>>(), area, cell_px);
            if let [only] = tiles.as_mut_slice() {
                only.focus = true;
            }
            tiles
        }
    }
}

/// The picture size in square pixels that shows all a tile of this size can show in this mode:
/// one pixel per sample across, and as many rows as square pixels need. Both even, at least 2×2.
pub fn tile_pixels(rect: Rect, mode: Mode, cell_px: (u16, u16)) -> Size {
    let (across, down) = mode.samples();
    let (cw, ch) = (f32::from(cell_px.0.max(1)), f32::from(cell_px.1.max(1)));
    let samples_x = f32::from(rect.cols) * across as f32;
    let samples_y = f32::from(rect.rows) * down as f32;
    // Pixels per cell across, so that neither axis has fewer pixels than samples.
    let per_cell = (across as f32).max(down as f32 * cw / ch);
    let width = samples_x.max(f32::from(rect.cols) * per_cell);
    let height = samples_y.max(f32::from(rect.rows) * per_cell * ch / cw);
    let even = |v: f32| (v.round().clamp(2.0, 8192.0) as u16).next_multiple_of(2);
    Size::new(even(width), even(height))
}

/// The largest 5:3 rectangle in cells inside `cols × rows`.
fn picture_in(cols: u16, rows: u16, cell_px: (u16, u16)) -> (u16, u16) {
    let ratio = ASPECT * f32::from(cell_px.1.max(1)) / f32::from(cell_px.0.max(1));
    let by_rows = (f32::from(rows) * ratio).round() as u16;
    if by_rows <= cols {
        (by_rows.max(1), rows)
    } else {
        (cols, ((f32::from(cols) / ratio).round() as u16).clamp(1, rows))
    }
}

fn tile(member: usize, tile: Rect, cell_px: (u16, u16)) -> TileRect {
    let label_rows = u16::from(tile.rows >= LABEL_FROM_ROWS);
    let (cols, rows) = picture_in(tile.cols, tile.rows - label_rows, cell_px);
    let x = tile.x + (tile.cols - cols) / 2;
    let y = tile.y + (tile.rows - label_rows - rows) / 2;
    let label = (label_rows == 1).then_some(Rect { x, y: y + rows, cols, rows: 1 });
    let picture = Rect { x, y, cols, rows };
    TileRect { member, tile, picture, label, focus: false, over: false }
}

/// Tiles of one size in rows; the number of columns that gives the largest pictures.
fn grid(members: &[usize], area: Rect, cell_px: (u16, u16)) -> Vec<TileRect> {
    let n = members.len() as u16;
    let mut best = (0usize, 1u16, 1u16);
    for across in 1..=n.min(area.cols) {
        let down = n.div_ceil(across);
        if down > area.rows {
            continue;
        }
        let (cols, rows) = (area.cols / across, area.rows / down);
        let label = u16::from(rows >= LABEL_FROM_ROWS);
        let (pc, pr) = picture_in(cols, rows - label, cell_px);
        let size = usize::from(pc) * usize::from(pr);
        if size > best.0 {
            best = (size, across, down);
        }
    }
    let (_, across, down) = best;
    let (cols, rows) = (area.cols / across, area.rows / down);
    let mut tiles = Vec::new();
    for (i, member) in members.iter().take(usize::from(across * down)).enumerate() {
        let (row, col) = (i as u16 / across, i as u16 % across);
        // The last row may be shorter: centred.
        let in_row = if row == down - 1 { n.saturating_sub(row * across) } else { across };
        let in_row = in_row.clamp(1, across);
        let left = (area.cols - in_row * cols) / 2;
        let top = (area.rows - down * rows) / 2;
        let rect = Rect { x: area.x + left + col * cols, y: area.y + top + row * rows, cols, rows };
        tiles.push(tile(*member, rect, cell_px));
    }
    tiles
}

/// One large tile and a strip of the others, where the large one loses least.
fn speaker(members: usize, focus: usize, area: Rect, cell_px: (u16, u16)) -> Vec<TileRect> {
    let others: Vec<usize> = (0..members).filter(|m| *m != focus).collect();
    let side = area.cols / 4;
    let below = area.rows / 4;
    let beside_size = picture_in(area.cols - side, area.rows, cell_px);
    let above_size = picture_in(area.cols, area.rows - below, cell_px);
    let cells = |(c, r): (u16, u16)| usize::from(c) * usize::from(r);
    let (main, strip) = if below == 0 || cells(beside_size) >= cells(above_size) {
        (
            Rect { cols: area.cols - side, ..area },
            Rect { x: area.x + area.cols - side, cols: side, ..area },
        )
    } else {
        (
            Rect { rows: area.rows - below, ..area },
            Rect { y: area.y + area.rows - below, rows: below, ..area },
        )
    };
    let mut tiles = vec![TileRect { focus: true, ..tile(focus, main, cell_px) }];
    if strip.cells() > 0 {
        tiles.extend(grid(&others, strip, cell_px));
    }
    tiles
}

/// A small tile in the lower right corner, over what lies there.
fn corner(own: usize, area: Rect, cell_px: (u16, u16)) -> Option<TileRect> {
    let (cols, rows) = picture_in((area.cols / 4).max(8), (area.rows / 4).max(3), cell_px);
    if area.cols < cols + 8 || area.rows < rows + 3 {
        return None;
    }
    let picture = Rect { x: area.x + area.cols - cols, y: area.y + area.rows - rows, cols, rows };
    Some(TileRect { member: own, tile: picture, picture, label: None, focus: false, over: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inside(outer: Rect, r: Rect) -> bool {
        r.cells() > 0
            && outer.contains(r.x, r.y)
            && outer.contains(r.x + r.cols - 1, r.y + r.rows - 1)
    }

    #[test]
    fn every_tile_lies_inside_and_none_overlap() {
        for (cols, rows) in
            [(20, 6), (40, 12), (80, 24), (80, 20), (120, 40), (200, 60), (300, 100)]
        {
            for n in 1..=16 {
                for kind in
                    [Kind::Grid, Kind::Speaker(0), Kind::Speaker(n - 1), Kind::SelfCorner(0)]
                {
                    let area = Rect { x: 3, y: 2, cols, rows };
                    let tiles = layout(n, area, kind, (10, 20));
                    assert!(!tiles.is_empty());
                    for (i, t) in tiles.iter().enumerate() {
                        assert!(inside(area, t.tile), "{n} {kind:?} {cols}x{rows} {t:?}");
                        assert!(inside(t.tile, t.picture), "{n} {kind:?} {cols}x{rows} {t:?}");
                        if let Some(label) = t.label {
                            assert!(inside(t.tile, label));
                            assert!(!label.intersects(&t.picture));
                        }
                        for u in &tiles[i + 1..] {
                            assert!(t.member != u.member);
                            assert!(u.over || !t.tile.intersects(&u.tile), "{t:?} {u:?}");
                        }
                    }
                    if cols >= 80 {
                        assert_eq!(tiles.len(), n, "{kind:?} {cols}x{rows}");
                    }
                }
            }
        }
    }

    #[test]
    fn large_pictures_are_nearly_five_to_three() {
        for (cols, rows) in [(80, 24), (120, 40), (200, 60)] {
            for n in 1..=9 {
                for t in layout(n, Rect { x: 0, y: 0, cols, rows }, Kind::Grid, (10, 20)) {
                    if t.picture.rows < 8 {
                        continue;
                    }
                    let aspect =
                        f32::from(t.picture.cols) * 10.0 / (f32::from(t.picture.rows) * 20.0);
                    assert!((aspect / ASPECT - 1.0).abs() < 0.07, "{aspect} {t:?}");
                }
            }
        }
    }

    #[test]
    fn two_stand_side_by_side_and_the_speaker_is_largest() {
        let area = Rect { x: 0, y: 0, cols: 120, rows: 36 };
        let two = layout(2, area, Kind::Grid, (10, 20));
        assert_eq!(two[0].tile.y, two[1].tile.y);
        let tiles = layout(5, area, Kind::Speaker(2), (10, 20));
        assert_eq!(tiles[0].member, 2);
        assert!(tiles[0].focus);
        assert!(tiles[1..].iter().all(|t| t.picture.cells() * 4 < tiles[0].picture.cells()));
    }

    #[test]
    fn wanted_pixels_match_the_ladder_at_the_usual_panes() {
        let rect = |cols, rows| Rect { x: 0, y: 0, cols, rows };
        let size = |cols, rows, mode| tile_pixels(rect(cols, rows), mode, (10, 20));
        assert_eq!(size(120, 36, Mode::Sextant), Size::new(240, 144));
        assert_eq!(size(80, 24, Mode::Half), Size::new(80, 48));
        assert_eq!(size(80, 24, Mode::Ascii), Size::new(80, 48));
        assert_eq!(size(1, 1, Mode::Half), Size::new(2, 2));
    }
}
