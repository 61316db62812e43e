//! Pictures as sixel bands: six rows of pixels each, written colour by colour.
//!
//! Later pixels replace earlier ones, so a band begins with a *ground*: stretches filled with the
//! colour that occurs in most of their columns. What differs from it follows, colour by colour, as
//! many colours to a pass as fit side by side.
//!
//! A band is held as planes, one per colour, a byte per column: the sixel that the colour sets
//! there. From them come bits, one per column that isn't empty; all choices are made with those,
//! and writing is copying from the planes.

use crate::paint::simd::{not_zero, same};
use crate::paint::writer::DIGITS;

/// A colour's gaps from here on (in columns) are left to other colours in the same pass.
const GAP: usize = 10;
/// Bytes of a stretch of ground, and what it saves per column that has its colour; in thirds.
const STRETCH: i8 = 24;
const SAVED: u64 = 5;
/// Where stretches may begin is chosen in steps of so many columns, and then exactly.
const STEP: usize = 16;
/// Bytes that one colour's part may take beyond its columns: selection, a gap, and what is written
/// over next.
const ROOM: usize = 32;
/// Colours are looked at by so many at a time, when they are all looked at.
const VECTOR: usize = 32;
/// Columns of one word of bits.
const WORD: usize = 64;

/// Writes the bands of one picture, and knows which colours it needed.
#[derive(Default)]
pub(super) struct Bands {
    wide: usize,
    /// Words of bits per colour; one more is kept empty.
    words: usize,
    /// Bytes per plane: whole words and some to read past them.
    stride: usize,
    /// Colours of this band, rounded up to whole vectors.
    lanes: usize,
    planes: Vec<u8>,
    /// Whether a colour occurs in this band.
    present: Vec<bool>,
    /// Colours that do. Where it says *place* below, a colour's place in this list is meant: most
    /// bands have but two thirds of the picture's colours.
    here: Vec<u8>,
    /// By place.
    bits: Vec<u64>,
    /// Per step and place: what ground of that colour would save there.
    gains: Vec<i8>,
    /// The same up to there, against the best way to divide the band up to there.
    saved: Vec<i8>,
    ground: Vec<Stretch>,
    /// Each column that isn't empty and the GAP − 1 after it; where that begins and ends.
    fills: Vec<u64>,
    edges: Vec<u64>,
    /// Words with edges, and the edges' places.
    busy: Vec<u32>,
    ends: Vec<u32>,
    /// Per word the place.
    owner: Vec<u8>,
    nodes: Vec<Node>,
    /// Per column the first node that starts there, as its number plus one, and whether there is
    /// one.
    first: Vec<u32>,
    starts: Vec<u64>,
    used: Vec<bool>,
    /// What was written, up to `at`.
    text: Vec<u8>,
    at: usize,
}

/// A part of a band's ground, up to where the next one starts.
#[derive(Clone, Copy)]
struct Stretch {
    /// The colour's place.
    place: usize,
    start: usize,
}

/// Adjacent columns of one colour that are written together.
#[derive(Clone, Copy)]
struct Node {
    colour: u8,
    columns: u32,
    /// Another one that starts in the same column, as its number plus one.
    next: u32,
}

impl Bands {
    /// Begins a picture of this width in pixels, of colours below `colours`.
    pub(super) fn begin(&mut self, wide: usize, colours: usize) {
        self.wide = wide;
        self.words = wide.div_ceil(WORD);
        self.stride = self.words * WORD + 2 * STEP;
        let most = colours.next_multiple_of(VECTOR);
        let steps = self.words * WORD / STEP;
        self.planes.clear();
        self.planes.resize(colours * self.stride, 0);
        let all = colours * (self.words + 1);
        self.bits.clear();
        self.bits.resize(all, 0);
        self.fills.resize(all, 0);
        self.edges.resize(all, 0);
        self.busy.resize(all + 1, 0);
        // At most one begins or ends every five columns.
        self.ends.resize(all * 13 + 4, 0);
        self.owner.clear();
        for place in 0..colours {
            self.owner.resize((place + 1) * (self.words + 1), place as u8);
        }
        self.gains.resize(steps * most, 0);
        self.saved.resize(steps * most, 0);
        self.present.clear();
        self.present.resize(colours, false);
        self.first.clear();
        self.first.resize(self.words * WORD, 0);
        self.starts.clear();
        self.starts.resize(self.words + 1, 0);
        self.used.clear();
        self.used.resize(colours, false);
        self.at = 0;
    }

    /// Row 0…5 of the next band.
    #[inline(always)]
    pub(super) fn row(&mut self, row: usize, line: &[u8]) {
        let bit = 1u8 << row;
        let (stride, planes, present) = (self.stride, &mut *self.planes, &mut *self.present);
        for (x, colour) in line.iter().enumerate() {
            let colour = usize::from(*colour);
            if let (Some(sixel), Some(here)) =
                (planes.get_mut(colour * stride + x), present.get_mut(colour))
            {
                *sixel |= bit;
                *here = true;
            }
        }
    }

    /// Writes a band of so many rows.
    #[inline(always)]
    pub(super) fn write(&mut self, rows: usize) {
        self.look();
        self.choose_ground();
        self.write_ground((1 << rows) - 1);
        self.find_nodes();
        self.write_nodes();
    }

    /// Goes on below.
    pub(super) fn next(&mut self) {
        let mut pen = Pen::with_room(&mut self.text, self.at, 1);
        pen.put([b'-'; 4], 1);
        self.at = pen.at;
    }

    /// What was written since [`Bands::begin`].
    pub(super) fn written(&self) -> &[u8] {
        &self.text[..self.at]
    }

    /// The colours in use so far.
    pub(super) fn used(&self) -> impl Iterator<Item = usize> {
        self.used.iter().enumerate().filter_map(|(colour, used)| used.then_some(colour))
    }

    /// Finds out which columns each colour has, and what it would save as ground.
    #[inline(always)]
    fn look(&mut self) {
        let Self { words, stride, .. } = *self;
        self.here.clear();
        for (colour, present) in self.present.iter_mut().enumerate() {
            if std::mem::take(present) {
                self.here.push(colour as u8);
                self.used[colour] = true;
            }
        }
        let lanes = self.here.len().next_multiple_of(VECTOR);
        self.lanes = lanes;
        let gained = &mut self.gains[..words * WORD / STEP * lanes];
        gained.fill(0);
        let bits = self.bits.chunks_exact_mut(words + 1);
        for (place, (colour, bits)) in self.here.iter().zip(bits).enumerate() {
            let plane = &self.planes[usize::from(*colour) * stride..][..stride];
            for (w, (to, columns)) in bits.iter_mut().zip(plane.as_chunks::<WORD>().0).enumerate() {
                let [a, b, c, d] = columns.as_chunks::<STEP>().0 else { continue };
                let [a, b, c, d] = [a, b, c, d].map(|part| u64::from(not_zero(part)));
                *to = a | b << 16 | c << 32 | d << 48;
                let gains = (count_by_16(*to) * SAVED).to_le_bytes();
                let at = w * (WORD / STEP) * lanes + place;
                for (to, gain) in
                    gained[at..].iter_mut().step_by(lanes).zip(gains.iter().step_by(2))
                {
                    *to = *gain as i8;
                }
            }
        }
    }

    /// The stretches of the ground, last one first: those that save the most bytes. A walk over
    /// all ways to divide the band: per colour the best that a stretch of it can have saved up to
    /// here, begun where the best way so far would have ended.
    #[inline(always)]
    fn choose_ground(&mut self) {
        let Self { lanes, words, .. } = *self;
        let steps = words * WORD / STEP;
        let mut before = 0;
        for at in (0..steps * lanes).step_by(lanes) {
            let (done, rest) = self.saved.split_at_mut(at);
            let (now, gains) = (&mut rest[..lanes], &self.gains[at..][..lanes]);
            let mut best = i8::MIN;
            if at == 0 {
                now.copy_from_slice(gains);
                best = now.iter().fold(best, |best, saved| best.max(*saved));
            } else {
                // Never above 16 · SAVED nor below −STRETCH − 16 · SAVED.
                for ((now, saved), gain) in now.iter_mut().zip(&done[before..]).zip(gains) {
                    *now = (*saved).max(-STRETCH).wrapping_add(*gain);
                    best = best.max(*now);
                }
            }
            for saved in &mut *now {
                *saved = saved.wrapping_sub(best);
            }
            before = at;
        }
        self.ground.clear();
        let best = |step: usize| {
            self.saved[step * lanes..][..self.here.len()].iter().position(|saved| *saved == 0)
        };
        let mut step = steps - 1;
        while let Some(place) = best(step) {
            while step > 0 && self.saved[(step - 1) * lanes + place] > -STRETCH {
                step -= 1;
            }
            self.ground.push(Stretch { place, start: step * STEP });
            if step == 0 {
                break;
            }
            step -= 1;
        }
        self.place_borders();
    }

    /// Where exactly one stretch should end and the next begin.
    #[inline(always)]
    fn place_borders(&mut self) {
        let width = self.words + 1;
        let mut end = self.wide;
        for i in 0..self.ground.len().saturating_sub(1) {
            let (right, left) = (self.ground[i], self.ground[i + 1]);
            let has = |place: usize, x: usize| {
                (self.bits[place * width + x / WORD] >> (x % WORD) & 1) as i32
            };
            let from = (right.start - STEP).max(left.start + 1);
            let (mut saved, mut most, mut start) = (0, 0, from);
            for x in from..(right.start + STEP).min(end) {
                saved += has(left.place, x) - has(right.place, x);
                if saved > most {
                    (most, start) = (saved, x + 1);
                }
            }
            self.ground[i].start = start;
            end = start;
        }
    }

    /// Writes the ground and takes it out of the planes.
    #[inline(always)]
    fn write_ground(&mut self, full: u8) {
        let mut end = self.wide;
        for Stretch { place, start } in &self.ground {
            let colour = usize::from(self.here[*place]);
            self.planes[colour * self.stride..][*start..end].fill(0);
            let bits = &mut self.bits[place * (self.words + 1)..][..=self.words];
            for (w, bits) in bits.iter_mut().enumerate().take(end.div_ceil(WORD)).skip(start / WORD)
            {
                let below = |x: usize| (1u64 << x.saturating_sub(w * WORD).min(63)) - 1;
                let last = if end >= (w + 1) * WORD { u64::MAX } else { below(end) };
                *bits &= below(*start) | !last;
            }
            end = *start;
        }
        let bytes = self.ground.len() * (ROOM + self.wide / 100);
        let mut pen = Pen::with_room(&mut self.text, self.at, bytes);
        for i in (0..self.ground.len()).rev() {
            let Stretch { place, start } = self.ground[i];
            // The last one reaches to the end: what it fills too much is replaced.
            let end = i.checked_sub(1).map_or(self.wide, |next| self.ground[next].start);
            pen.colour(self.here[place]);
            pen.sixels(full, end - start);
        }
        self.at = pen.at;
    }

    /// What is left of each colour, in parts without large gaps. All colours' bits are taken for
    /// one long line: the empty word after each keeps them apart.
    #[inline(always)]
    fn find_nodes(&mut self) {
        let Self { bits, fills, edges, busy, ends, .. } = self;
        let all = self.here.len() * (self.words + 1);
        let (bits, fills, edges) = (&bits[..all], &mut fills[..all], &mut edges[..all]);
        let mut before = 0;
        for (fill, bits) in fills.iter_mut().zip(bits) {
            *fill = spread(*bits, before);
            before = *bits;
        }
        let mut before = 0;
        for (edges, fill) in edges.iter_mut().zip(&*fills) {
            *edges = fill ^ (fill << 1 | before >> (WORD - 1));
            before = *fill;
        }
        // Without branches, which nobody could predict.
        let mut count = 0;
        for (w, edges) in edges.iter().enumerate() {
            busy[count] = w as u32;
            count += usize::from(*edges != 0);
        }
        let mut at = 0;
        for w in &busy[..count] {
            let mut left = edges[*w as usize];
            let next = at + left.count_ones() as usize;
            let mut put = |at: usize| {
                ends[at] = *w * WORD as u32 + left.trailing_zeros();
                left &= left.wrapping_sub(1);
            };
            for i in 0..4 {
                put(at + i);
            }
            for at in at + 4..next {
                put(at);
            }
            at = next;
        }
        let line = (self.words + 1) * WORD;
        self.nodes.clear();
        for [start, end] in ends[..at].as_chunks::<2>().0 {
            let place = usize::from(self.owner[*start as usize / WORD]);
            let (colour, from) = (self.here[place], place * line);
            let columns = *end + 1 - *start - GAP as u32;
            let start = *start as usize - from;
            let first = &mut self.first[start];
            self.nodes.push(Node { colour, columns, next: *first });
            *first = self.nodes.len() as u32;
            self.starts[start / WORD] |= 1 << (start % WORD);
        }
    }

    /// Writes all nodes, in as many passes as it takes: in each the nearest that still fits, again
    /// and again. They are taken out of the planes, which are empty then.
    #[inline(always)]
    fn write_nodes(&mut self) {
        let Self { text, at, nodes, first, starts, planes, stride, wide, .. } = self;
        let (stride, wide) = (*stride, *wide);
        let (first, starts, planes) = (&mut **first, &mut **starts, &mut **planes);
        let mut left = nodes.len();
        let columns: usize = nodes.iter().map(|node| node.columns as usize).sum();
        let mut pen = Pen::with_room(text, *at, columns + left * (ROOM + wide / 100));
        while left > 0 {
            pen.put([b'$'; 4], 1);
            let mut cursor = 0;
            while let Some(start) = next_start(starts, cursor) {
                let Some(node) = nodes.get((first[start] as usize).wrapping_sub(1)) else { return };
                first[start] = node.next;
                starts[start / WORD] &= !(u64::from(node.next == 0) << (start % WORD));
                left -= 1;
                pen.colour(node.colour);
                pen.sixels(0, start - cursor);
                cursor = start + node.columns as usize;
                let plane = &mut planes[usize::from(node.colour) * stride..][..stride];
                pen.columns(plane, start, cursor);
                plane[start..cursor].fill(0);
            }
        }
        *at = pen.at;
    }
}

/// Bits of columns and of the GAP − 1 after each; `before`: the word before.
#[inline(always)]
fn spread(bits: u64, before: u64) -> u64 {
    let mut fill = bits | bits << 1;
    fill |= fill << 2;
    fill |= fill << 4;
    fill |= fill << (GAP - 8);
    let mut rest = before >> (WORD - GAP + 1);
    rest |= rest >> 1;
    rest |= rest >> 2;
    rest |= rest >> 4;
    rest |= rest >> 8;
    fill | rest
}

/// The first column from this one on in which a node starts.
#[inline(always)]
fn next_start(starts: &[u64], from: usize) -> Option<usize> {
    let mut w = from / WORD;
    let mut found = starts.get(w)? & u64::MAX << (from % WORD);
    while found == 0 {
        w += 1;
        found = *starts.get(w)?;
    }
    Some(w * WORD + found.trailing_zeros() as usize)
}

/// How many bits are set in each 16 of 64.
#[inline(always)]
fn count_by_16(bits: u64) -> u64 {
    let n = bits - (bits >> 1 & 0x5555_5555_5555_5555);
    let n = (n & 0x3333_3333_3333_3333) + (n >> 2 & 0x3333_3333_3333_3333);
    let n = (n + (n >> 4)) & 0x0f0f_0f0f_0f0f_0f0f;
    (n + (n >> 8)) & 0x00ff_00ff_00ff_00ff
}

/// Runs below this are looked up.
const SHORT: usize = 128;
/// What repeats a sixel so many times, with zeros for the sixel, and its length.
static RUNS: [([u8; 8], u8); SHORT] = {
    let mut table = [([0u8; 8], 0u8); SHORT];
    let mut run = 0;
    while run < SHORT {
        let ([a, b, c], count) = DIGITS[run];
        table[run] =
            if run < 4 { ([0; 8], run as u8) } else { ([b'!', a, b, c, 0, 0, 0, 0], 2 + count) };
        run += 1;
    }
    table
};

/// Writes sixels into room that was made before: nothing is asked per byte, and short things are
/// written several bytes at a time, of which some are written over next.
struct Pen<'a> {
    room: &'a mut [u8],
    at: usize,
}

impl<'a> Pen<'a> {
    /// Goes on at `at`, where there is room for so many bytes then and a bit more.
    #[inline(always)]
    fn with_room(text: &'a mut Vec<u8>, at: usize, bytes: usize) -> Self {
        let end = at + bytes + ROOM;
        if text.len() < end {
            text.resize(2 * end, 0);
        }
        Self { room: text, at }
    }

    #[inline(always)]
    fn put<const N: usize>(&mut self, bytes: [u8; N], count: usize) {
        if let Some(room) = self.room.get_mut(self.at..self.at + N) {
            room.copy_from_slice(&bytes);
            self.at += count;
        }
    }

    #[inline(always)]
    fn colour(&mut self, colour: u8) {
        let ([a, b, c], count) = DIGITS[usize::from(colour)];
        self.put([b'#', a, b, c], 1 + usize::from(count));
    }

    /// The same sixel again and again.
    #[inline(always)]
    fn sixels(&mut self, sixel: u8, run: usize) {
        let sixel = b'?' + sixel;
        if run < SHORT {
            let (text, count) = RUNS[run];
            self.put(text.map(|byte| if byte == 0 { sixel } else { byte }), count.into());
            return;
        }
        let mut rest = run;
        // More than a thousand columns are written in several runs.
        while rest > 0 {
            let part = rest.min(999);
            let ([a, b, c], count) = DIGITS[part];
            self.put([b'!', a, b, c], 1 + usize::from(count));
            self.put([sixel; 4], 1);
            rest -= part;
        }
    }

    /// Columns of a plane: as they are, but for runs of four and more.
    #[inline(always)]
    fn columns(&mut self, plane: &[u8], mut from: usize, to: usize) {
        while let Some(ahead) = plane.get(from..from + STEP + 1)
            && from < to
            && let (Some(here), Some(next)) = (ahead.first_chunk(), ahead.last_chunk())
        {
            self.put(here.map(|sixel| sixel + b'?'), 0);
            let alike = same(here, next);
            // Where a run of four begins; the last three columns cannot tell.
            let runs = alike & alike >> 1 & alike >> 2;
            let plain = runs.trailing_zeros().min(STEP as u32 - 2) as usize;
            if from + plain >= to || runs == 0 {
                self.at += plain.min(to - from);
                from += plain;
                continue;
            }
            self.at += plain;
            from += plain;
            let sixel = plane[from];
            let run = plane[from..to].iter().take_while(|other| **other == sixel).count();
            self.sixels(sixel, run);
            from += run;
        }
    }
}
