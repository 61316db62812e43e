//! Cells to bytes: cursor moves, colours and glyphs, each as short as it can be.

use super::colour::Ink;

/// Decimal digits of 0…999, left-aligned, and how many.
pub(super) static DIGITS: [([u8; 3], u8); 1000] = {
    let mut table = [([0u8; 3], 0u8); 1000];
    let mut n = 0;
    while n < 1000 {
        let (a, b, c) = (b'0' + (n / 100) as u8, b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8);
        table[n] = match n {
            0..10 => ([c, 0, 0], 1),
            10..100 => ([b, c, 0], 2),
            _ => ([a, b, c], 3),
        };
        n += 1;
    }
    table
};

/// Number of decimal digits.
pub(super) fn digits(n: u16) -> usize {
    match n {
        0..10 => 1,
        10..100 => 2,
        100..1000 => 3,
        1000..10_000 => 4,
        _ => 5,
    }
}

/// Bytes of a colour inside an SGR sequence, without separators around it.
#[inline(always)]
pub(super) fn ink_cost(ink: Ink, background: bool) -> usize {
    match ink.index() {
        Some(i) if i < 8 => 2,
        Some(i) if i < 16 => 2 + usize::from(background),
        Some(i) => 5 + usize::from(DIGITS[usize::from(i)].1),
        None if ink == Ink::DEFAULT => 2,
        None => {
            let [r, g, b] = ink.look([0; 3]);
            7 + usize::from(DIGITS[usize::from(r)].1)
                + usize::from(DIGITS[usize::from(g)].1)
                + usize::from(DIGITS[usize::from(b)].1)
        }
    }
}

/// Writes cells; knows where the cursor is and which colours are set.
pub(super) struct Writer<'a> {
    out: &'a mut Vec<u8>,
    /// Where the next glyph would land; unknown at first and after a row's end.
    cursor: Option<(u16, u16)>,
    /// Current foreground; [`Ink::DEFAULT`] until one is set.
    pub(super) fg: Ink,
    /// Current background.
    pub(super) bg: Ink,
}

impl<'a> Writer<'a> {
    /// Starts with default colours and an unknown cursor.
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, cursor: None, fg: Ink::DEFAULT, bg: Ink::DEFAULT }
    }

    /// Bytes it takes to move to a cell.
    #[inline(always)]
    pub(super) fn move_cost(&self, x: u16, y: u16) -> usize {
        match self.cursor {
            Some((cx, cy)) if cy == y && cx == x => 0,
            Some((cx, cy)) if cy == y && cx + 1 == x => 3,
            Some((cx, cy)) if cy == y && cx < x => 3 + digits(x - cx),
            _ => 4 + digits(y + 1) + digits(x + 1),
        }
    }

    /// Bytes it takes to set these colours; `None` = not needed by the glyph.
    #[inline(always)]
    pub(super) fn colour_cost(&self, fg: Option<Ink>, bg: Option<Ink>) -> usize {
        let fg = fg.filter(|fg| *fg != self.fg).map_or(0, |i| ink_cost(i, false));
        let bg = bg.filter(|bg| *bg != self.bg).map_or(0, |i| ink_cost(i, true));
        match (fg, bg) {
            (0, 0) => 0,
            (a, 0) | (0, a) => 3 + a,
            (a, b) => 4 + a + b,
        }
    }

    /// Writes one cell.
    pub(super) fn put(
        &mut self,
        (x, y): (u16, u16),
        glyph: &str,
        fg: Option<Ink>,
        bg: Option<Ink>,
    ) {
        self.go(x, y);
        self.colours(fg, bg);
        self.out.extend_from_slice(glyph.as_bytes());
        self.cursor = Some((x + 1, y));
    }

    /// Where the cursor stands in row `y`, if it is in that row.
    pub(super) fn column_in(&self, y: u16) -> Option<u16> {
        self.cursor.filter(|c| c.1 == y).map(|c| c.0)
    }

    /// Forgets the cursor: after the last column a terminal may hold it back or wrap it.
    pub(super) fn end_row(&mut self) {
        self.cursor = None;
    }

    /// Back to default colours, if they were changed.
    pub(super) fn finish(self) {
        if self.fg != Ink::DEFAULT || self.bg != Ink::DEFAULT {
            self.out.extend_from_slice(b"\x1b[m");
        }
    }

    fn go(&mut self, x: u16, y: u16) {
        match self.cursor {
            Some((cx, cy)) if cy == y && cx == x => {}
            Some((cx, cy)) if cy == y && cx < x => {
                self.out.extend_from_slice(b"\x1b[");
                if x - cx > 1 {
                    self.number(x - cx);
                }
                self.out.push(b'C');
            }
            _ => {
                self.out.extend_from_slice(b"\x1b[");
                self.number(y + 1);
                self.out.push(b';');
                self.number(x + 1);
                self.out.push(b'H');
            }
        }
    }

    fn colours(&mut self, fg: Option<Ink>, bg: Option<Ink>) {
        let fg = fg.filter(|fg| *fg != self.fg);
        let bg = bg.filter(|bg| *bg != self.bg);
        if fg.is_none() && bg.is_none() {
            return;
        }
        self.out.extend_from_slice(b"\x1b[");
        if let Some(ink) = fg {
            self.ink(ink, false);
            self.fg = ink;
        }
        if fg.is_some() && bg.is_some() {
            self.out.push(b';');
        }
        if let Some(ink) = bg {
            self.ink(ink, true);
            self.bg = ink;
        }
        self.out.push(b'm');
    }

    fn ink(&mut self, ink: Ink, background: bool) {
        match ink.index() {
            Some(i) if i < 16 => {
                let base = if i < 8 { 30 } else { 82 };
                self.number(u16::from(i) + base + if background { 10 } else { 0 });
            }
            Some(i) => {
                self.out.extend_from_slice(if background { b"48;5;" } else { b"38;5;" });
                self.byte(i);
            }
            None if ink == Ink::DEFAULT => {
                self.out.extend_from_slice(if background { b"49" } else { b"39" });
            }
            None => {
                self.out.extend_from_slice(if background { b"48;2;" } else { b"38;2;" });
                let [r, g, b] = ink.look([0; 3]);
                self.byte(r);
                self.out.push(b';');
                self.byte(g);
                self.out.push(b';');
                self.byte(b);
            }
        }
    }

    fn byte(&mut self, n: u8) {
        let (digits, len) = &DIGITS[usize::from(n)];
        self.out.extend_from_slice(&digits[..usize::from(*len)]);
    }

    fn number(&mut self, n: u16) {
        if let Ok(n) = u8::try_from(n) {
            return self.byte(n);
        }
        let mut buffer = [0u8; 5];
        let mut at = buffer.len();
        let mut n = n;
        while n > 0 {
            at -= 1;
            buffer[at] = b'0' + (n % 10) as u8;
            n /= 10;
        }
        self.out.extend_from_slice(&buffer[at..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predicted_costs_are_the_real_ones() {
        let inks = [
            Ink::rgb([0, 10, 255]),
            Ink::rgb([100, 9, 99]),
            Ink::indexed(3),
            Ink::indexed(12),
            Ink::indexed(99),
            Ink::indexed(255),
        ];
        let mut out = Vec::new();
        let mut w = Writer::new(&mut out);
        let mut at = 0;
        for (i, fg) in inks.iter().enumerate() {
            for (j, bg) in inks.iter().enumerate() {
                for x in [3u16, 4, 6, 40, 260] {
                    let y = (i * 6 + j) as u16 * 30;
                    let fg = (x != 4).then_some(*fg);
                    let cost = w.move_cost(x, y) + w.colour_cost(fg, Some(*bg)) + 3;
                    w.put((x, y), "▀", fg, Some(*bg));
                    assert_eq!(w.out.len() - at, cost, "{x},{y} {fg:?} {bg:?}");
                    at = w.out.len();
                }
            }
        }
    }

    #[test]
    fn nothing_changed_writes_nothing() {
        let mut out = Vec::new();
        Writer::new(&mut out).finish();
        assert!(out.is_empty());
    }
}
