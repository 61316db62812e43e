//! A strict reader of what painters and composers write: anything but the few sequences they may
//! use is an error, and it notes which cells are written.

use std::collections::BTreeSet;

/// What a stream did.
#[derive(Default)]
pub struct Strict {
    /// Columns and rows written to, from 0.
    pub cells: BTreeSet<(u16, u16)>,
    /// Glyphs written.
    pub glyphs: BTreeSet<char>,
    cursor: Option<(u16, u16)>,
}

impl Strict {
    /// Reads a whole stream (one that ends inside a sequence is an error).
    pub fn read(&mut self, bytes: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(bytes).map_err(|e| format!("not UTF-8: {e}"))?;
        // Where the cursor stands at the start is unknown: the first thing must be a move.
        self.cursor = None;
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '\u{1b}' => {
                    if chars.next() != Some('[') {
                        return Err("an escape that is no control sequence".into());
                    }
                    let mut parameters = String::new();
                    let end = loop {
                        match chars.next() {
                            Some(c @ ('0'..='9' | ';' | '?')) => parameters.push(c),
                            Some(c @ 'A'..='z') => break c,
                            other => return Err(format!("{other:?} inside a control sequence")),
                        }
                    };
                    self.sequence(&parameters, end)?;
                }
                c if c.is_control() => return Err(format!("control character {c:?}")),
                c => {
                    let (x, y) = self.cursor.ok_or(format!("{c:?} at an unknown place"))?;
                    self.glyphs.insert(c);
                    self.cells.insert((x, y));
                    self.cursor = Some((x + 1, y));
                }
            }
        }
        Ok(())
    }

    fn sequence(&mut self, parameters: &str, end: char) -> Result<(), String> {
        let bad = || Err(format!("CSI {parameters} {end}"));
        if matches!((parameters, end), ("?2026" | "?25", 'h' | 'l')) {
            return Ok(());
        }
        let numbers: Vec<u16> = if parameters.is_empty() {
            Vec::new()
        } else {
            match parameters.split(';').map(str::parse).collect() {
                Ok(numbers) => numbers,
                Err(_) => return bad(),
            }
        };
        match (end, numbers.as_slice()) {
            ('H', [row @ 1..=u16::MAX, col @ 1..=u16::MAX]) => {
                self.cursor = Some((col - 1, row - 1))
            }
            ('C', []) => self.cursor = self.cursor.map(|(x, y)| (x + 1, y)),
            ('C', [n @ 2..=u16::MAX]) => self.cursor = self.cursor.map(|(x, y)| (x + n, y)),
            ('m', rest) => {
                let mut rest = rest;
                loop {
                    rest = match rest {
                        [] => break,
                        [38 | 48, 2, r, g, b, more @ ..] if [r, g, b].iter().all(|c| **c < 256) => {
                            more
                        }
                        [38 | 48, 5, 16..=255, more @ ..] => more,
                        [0..=9 | 30..=37 | 39..=47 | 49 | 90..=97 | 100..=107, more @ ..] => more,
                        _ => return bad(),
                    };
                }
            }
            _ => return bad(),
        }
        Ok(())
    }
}
