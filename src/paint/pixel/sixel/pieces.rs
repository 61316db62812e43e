//! What changed, as few rectangles of whole cells.

use super::super::Cells;
use super::super::scale::Canvas;

/// What a piece costs beyond its pixels, in pixels: colours and header against pixels at about half
/// a byte.
const PIECE_COST: usize = 2200;
/// Most pieces of one picture, unless covers or the terminal's limits demand more.
const MOST_PIECES: usize = 6;

/// A rectangle of cells of the tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub x: usize,
    pub y: usize,
    pub cols: usize,
    pub rows: usize,
}

impl Piece {
    pub(super) fn area(&self) -> usize {
        self.cols * self.rows
    }

    fn with(&self, other: &Piece) -> Piece {
        let (x, y) = (self.x.min(other.x), self.y.min(other.y));
        let right = (self.x + self.cols).max(other.x + other.cols);
        let bottom = (self.y + self.rows).max(other.y + other.rows);
        Piece { x, y, cols: right - x, rows: bottom - y }
    }
}

/// Rectangles that hold all changed cells and no covered one, none larger than `most` pixels.
pub(super) fn pieces(changed: &[bool], cells: &Cells, most: (usize, usize)) -> Vec<Piece> {
    let Canvas { cols, rows, cell: (cw, ch) } = cells.canvas;
    let spare = PIECE_COST / (cw * ch).max(1);
    let mut found: Vec<Piece> = Vec::new();
    for row in 0..rows {
        let line = &changed[row * cols..][..cols];
        let mut col = 0;
        while col < cols {
            if !line[col] {
                col += 1;
                continue;
            }
            let len = line[col..].iter().take_while(|c| **c).count();
            let mut piece = Piece { x: col, y: row, cols: len, rows: 1 };
            col += len;
            // Joins whatever it pays to join, then tries again with the result.
            loop {
                let join = (0..found.len()).rev().find(|i| {
                    let other = &found[*i];
                    let both = piece.with(other);
                    both.area() <= piece.area() + other.area() + spare && !cells.any_covered(both)
                });
                let Some(i) = join else { break };
                piece = piece.with(&found.swap_remove(i));
            }
            found.push(piece);
        }
    }
    // However small, each picture makes some terminals (xterm) look at their whole screen.
    while found.len() > MOST_PIECES {
        let n = found.len();
        let pairs = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j)));
        let best = pairs
            .map(|(i, j)| (i, j, found[i].with(&found[j])))
            .filter(|(_, _, both)| !cells.any_covered(*both))
            .min_by_key(|(i, j, both)| {
                both.area() as isize - (found[*i].area() + found[*j].area()) as isize
            });
        let Some((i, j, both)) = best else { break };
        found.swap_remove(j);
        found[i] = both;
    }
    let (wide, high) = ((most.0 / cw.max(1)).max(1), (most.1 / ch.max(1)).max(1));
    let mut small = Vec::new();
    for p in found {
        for y in (p.y..p.y + p.rows).step_by(high) {
            for x in (p.x..p.x + p.cols).step_by(wide) {
                let (cols, rows) = (wide.min(p.x + p.cols - x), high.min(p.y + p.rows - y));
                small.push(Piece { x, y, cols, rows });
            }
        }
    }
    small
}

impl Cells {
    fn any_covered(&self, p: Piece) -> bool {
        (p.y..p.y + p.rows)
            .any(|y| self.covered[y * self.canvas.cols + p.x..][..p.cols].contains(&true))
    }
}
