//! Who is shown where: members and a room of cells become rectangles.

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
    Corner(usize),
}

/// What tiles look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Size of a cell in pixels; only the ratio counts.
    pub cell_px: (u16, u16),
    /// Cells of a frame on each side of a picture, for names and states.
    pub frame: u16,
    /// Empty cells between tiles, across.
    pub gap: u16,
}

/// One member's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TileRect {
    /// Whose: counted from 0 in the order given by the caller.
    pub member: usize,
    /// The whole tile: picture and frame.
    pub tile: Rect,
    /// The part for the picture, 5:3 as nearly as whole cells allow.
    pub picture: Rect,
    /// Shown large.
    pub focus: bool,
    /// Lies over other tiles: pass its rectangle to their `Painter::cover`.
    pub over: bool,
}

/// Smallest picture that shows anything, in cells.
const LEAST: (u16, u16) = (6, 2);

/// Least width of the own picture in its corner; where that is too much of what lies under it, it is
/// one among the others.
const CORNER: u16 = 12;

/// Arranges `members` (1…16 make sense) in `area`. The tiles don't overlap unless `over` says so, and
/// all lie inside `area`; in an area too small for all, the last ones are left out, and in one too
/// small for the arrangement asked for, it is a grid.
pub fn layout(members: usize, area: Rect, kind: Kind, style: Style) -> Vec<TileRect> {
    let all: Vec<usize> = (0..members).collect();
    let without = |one: usize| all.iter().copied().filter(|m| *m != one).collect::<Vec<_>>();
    let special = match kind {
        Kind::Speaker(focus) if members > 1 && focus < members => {
            speaker(focus, &without(focus), area, style)
        }
        Kind::Corner(own) if members > 1 && own < members => {
            let mut tiles = grid(&without(own), area, style);
            corner(own, &tiles, style).map(|tile| {
                tiles.push(tile);
                tiles
            })
        }
        _ => None,
    };
    special.unwrap_or_else(|| grid(&all, area, style))
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

/// The largest 5:3 picture in `cols × rows` cells, frame and all; `None`: no room for any.
fn picture_in(cols: u16, rows: u16, style: Style) -> Option<(u16, u16)> {
    let (cols, rows) = (cols.checked_sub(2 * style.frame)?, rows.checked_sub(2 * style.frame)?);
    if cols == 0 || rows == 0 {
        return None;
    }
    let ratio = ASPECT * f32::from(style.cell_px.1.max(1)) / f32::from(style.cell_px.0.max(1));
    let by_rows = (f32::from(rows) * ratio).round() as u16;
    Some(if by_rows <= cols {
        (by_rows.max(1), rows)
    } else {
        (cols, ((f32::from(cols) / ratio).round() as u16).clamp(1, rows))
    })
}

/// A tile at `(x, y)` with a picture of this size.
fn tile(member: usize, (x, y): (u16, u16), (cols, rows): (u16, u16), style: Style) -> TileRect {
    let frame = style.frame;
    let picture = Rect { x: x + frame, y: y + frame, cols, rows };
    let tile = Rect { x, y, cols: cols + 2 * frame, rows: rows + 2 * frame };
    TileRect { member, tile, picture, focus: false, over: false }
}

fn size((cols, rows): (u16, u16)) -> usize {
    usize::from(cols) * usize::from(rows)
}

/// Tiles of one size in rows, in the middle of the area; as many columns as give the largest
/// pictures.
fn grid(members: &[usize], area: Rect, style: Style) -> Vec<TileRect> {
    let n = members.len().min(usize::from(u16::MAX)) as u16;
    let fits = |across: u16| {
        let down = n.div_ceil(across);
        let cols = (area.cols.checked_sub(style.gap * (across - 1))?) / across;
        Some((picture_in(cols, area.rows / down, style)?, across))
    };
    let best = (1..=n).filter_map(fits).fold(None, |best: Option<((u16, u16), u16)>, next| {
        Some(best.filter(|best| size(best.0) >= size(next.0)).unwrap_or(next))
    });
    // Nobody has room: the first ones get what there is.
    let Some((picture, across)) = best else {
        return if n > 1 { grid(&members[..members.len() - 1], area, style) } else { Vec::new() };
    };
    let (cols, rows) = (picture.0 + 2 * style.frame, picture.1 + 2 * style.frame);
    let top = area.y + (area.rows - rows * n.div_ceil(across)) / 2;
    let line = |(row, members): (usize, &[usize])| {
        let count = members.len() as u16;
        // The last row may be shorter: centred.
        let left = area.x + (area.cols - cols * count - style.gap * (count - 1)) / 2;
        let place = |(i, member): (usize, &usize)| {
            let x = left + i as u16 * (cols + style.gap);
            tile(*member, (x, top + row as u16 * rows), picture, style)
        };
        members.iter().enumerate().map(place).collect::<Vec<_>>()
    };
    let mut tiles: Vec<_> =
        members.chunks(usize::from(across)).enumerate().flat_map(line).collect();
    if let [only] = tiles.as_mut_slice() {
        only.focus = true;
    }
    tiles
}

/// One large tile and a strip of the others, beside or below, whichever shows more; a cell of the
/// large one counts twice.
fn speaker(focus: usize, others: &[usize], area: Rect, style: Style) -> Option<Vec<TileRect>> {
    let halves = |share: u16, below: bool| {
        let (strip_cols, strip_rows) =
            if below { (area.cols, area.rows / share) } else { (area.cols / share, area.rows) };
        let (main_cols, main_rows) = if below {
            (area.cols, area.rows - strip_rows)
        } else {
            (area.cols.saturating_sub(strip_cols + style.gap), area.rows)
        };
        let main = Rect { cols: main_cols, rows: main_rows, ..area };
        let strip = Rect {
            x: area.x + area.cols - strip_cols,
            y: area.y + area.rows - strip_rows,
            cols: strip_cols,
            rows: strip_rows,
        };
        let mut tiles = grid(&[focus], main, style);
        let rest = grid(others, strip, style);
        let shows = |tile: &TileRect| size((tile.picture.cols, tile.picture.rows));
        let seen = |tile: &TileRect| tile.picture.cols >= LEAST.0 && tile.picture.rows >= LEAST.1;
        let large = tiles.first().map_or(0, shows);
        let small = rest.first().map_or(0, shows);
        let whole = rest.len() == others.len() && rest.iter().all(seen) && large > small;
        let score = 2 * large + small * rest.len();
        rest.into_iter().for_each(|tile| tiles.push(TileRect { focus: false, ..tile }));
        whole.then_some((score, tiles))
    };
    let ways = (3..=6).flat_map(|share| [halves(share, false), halves(share, true)]);
    Some(ways.flatten().max_by_key(|(score, _)| *score)?.1)
}

/// A small tile over the lower right corner of the last of the others' pictures.
fn corner(own: usize, others: &[TileRect], style: Style) -> Option<TileRect> {
    let under = others.last()?.picture;
    let wide = (under.cols / 4).max(CORNER) + 2 * style.frame;
    let (cols, rows) = picture_in(wide, under.rows / 3 * 2, style)?;
    if cols < CORNER || cols * 3 > under.cols {
        return None;
    }
    let (wide, high) = (cols + 2 * style.frame, rows + 2 * style.frame);
    let at = (under.x + under.cols - wide, under.y + under.rows - high);
    Some(TileRect { over: true, ..tile(own, at, (cols, rows), style) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Style = Style { cell_px: (10, 20), frame: 0, gap: 0 };
    const FRAMED: Style = Style { cell_px: (10, 20), frame: 1, gap: 1 };

    fn inside(outer: Rect, r: Rect) -> bool {
        r.cells() > 0
            && outer.contains(r.x, r.y)
            && outer.contains(r.x + r.cols - 1, r.y + r.rows - 1)
    }

    #[test]
    fn every_tile_lies_inside_and_none_overlap() {
        for style in [PLAIN, FRAMED, Style { cell_px: (9, 14), ..FRAMED }] {
            for (cols, rows) in
                [(1, 1), (3, 3), (20, 6), (40, 12), (80, 24), (80, 20), (120, 40), (300, 100)]
            {
                for n in 0..=16 {
                    for kind in
                        [Kind::Grid, Kind::Speaker(0), Kind::Speaker(n.max(1) - 1), Kind::Corner(0)]
                    {
                        let area = Rect { x: 3, y: 2, cols, rows };
                        let tiles = layout(n, area, kind, style);
                        assert_eq!(
                            n > 0 && cols > 2 * style.frame,
                            !tiles.is_empty(),
                            "{n} {kind:?} {area:?}"
                        );
                        for (i, t) in tiles.iter().enumerate() {
                            assert!(inside(area, t.tile), "{n} {kind:?} {cols}x{rows} {t:?}");
                            assert!(inside(t.tile, t.picture), "{n} {kind:?} {area:?} {t:?}");
                            assert_eq!(t.tile.cols, t.picture.cols + 2 * style.frame);
                            assert_eq!(t.tile.rows, t.picture.rows + 2 * style.frame);
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
    }

    #[test]
    fn large_pictures_are_nearly_five_to_three() {
        for cell_px in [(10, 20), (8, 15), (9, 14)] {
            for (cols, rows) in [(80, 24), (120, 40), (200, 60)] {
                for n in 1..=16 {
                    for kind in [Kind::Grid, Kind::Speaker(0), Kind::Corner(0)] {
                        let area = Rect { x: 0, y: 0, cols, rows };
                        for t in layout(n, area, kind, Style { cell_px, ..FRAMED }) {
                            if t.picture.rows < 8 {
                                continue;
                            }
                            let aspect = f32::from(t.picture.cols) * f32::from(cell_px.0)
                                / (f32::from(t.picture.rows) * f32::from(cell_px.1));
                            assert!((aspect / ASPECT - 1.0).abs() < 0.07, "{aspect} {t:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn two_stand_side_by_side_and_the_speaker_is_largest() {
        let area = Rect { x: 0, y: 0, cols: 120, rows: 36 };
        let two = layout(2, area, Kind::Grid, FRAMED);
        assert_eq!(two[0].tile.y, two[1].tile.y);
        for n in 2..=16 {
            let tiles = layout(n, area, Kind::Speaker(n / 2), FRAMED);
            assert_eq!(tiles[0].member, n / 2);
            assert!(tiles[0].focus);
            let large = tiles[0].picture.cells();
            assert!(tiles[1..].iter().all(|t| t.picture.cells() * 3 < large), "{n}: {tiles:?}");
            let grid = layout(n, area, Kind::Grid, FRAMED);
            assert!(n == 2 || large > grid[0].picture.cells(), "{n}");
        }
    }

    #[test]
    fn the_own_corner_covers_little_of_one_picture() {
        for (cols, rows) in [(56, 18), (80, 24), (120, 36), (200, 60)] {
            for n in 2..=16 {
                let tiles = layout(n, Rect { x: 0, y: 0, cols, rows }, Kind::Corner(n - 1), FRAMED);
                let (own, others) = tiles.split_last().expect("tiles");
                if !own.over {
                    assert!(n > 3 || cols < 80, "{n} in {cols}x{rows}: no corner");
                    continue;
                }
                let under: Vec<_> =
                    others.iter().filter(|t| t.tile.intersects(&own.tile)).collect();
                assert_eq!(under.len(), 1);
                assert!(inside(under[0].picture, own.tile));
                assert!(own.tile.cells() * 3 < under[0].picture.cells(), "{n} {own:?}");
            }
        }
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
