//! Small drawing helpers: rows of styled words, frames, wrapping. All clip; none panics on a
//! rectangle that is too small.

use crate::tui::model::{Plot, Trust};
use crate::tui::theme::Theme;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::symbols::border;
use unicode_width::UnicodeWidthStr;

/// One line of styled words.
pub(super) type Row = Vec<(String, Style)>;

/// Columns `text` takes.
pub(super) fn width(text: &str) -> u16 {
    u16::try_from(text.width()).unwrap_or(u16::MAX)
}

/// Columns a row takes.
pub(super) fn row_width(row: &[(String, Style)]) -> u16 {
    row.iter().map(|(text, _)| width(text)).sum()
}

/// Draws a row within `room` columns; returns the column behind it. A row that is cut ends in "…".
pub(super) fn row(buf: &mut Buffer, x: u16, y: u16, room: u16, row: &[(String, Style)]) -> u16 {
    if y < buf.area.y || y >= buf.area.bottom() || x >= buf.area.right() {
        return x;
    }
    let end = x.saturating_add(room).min(buf.area.right());
    let mut at = x;
    for (text, style) in row {
        if at >= end {
            break;
        }
        let left = end - at;
        if width(text) > left {
            at = buf.set_stringn(at, y, text, usize::from(left.saturating_sub(1)), *style).0;
            at = buf.set_stringn(at, y, "…", usize::from(end - at), *style).0;
            break;
        }
        at = buf.set_stringn(at, y, text, usize::from(left), *style).0;
    }
    at
}

/// Draws `text` at the right end of `area`'s first line, one column from the edge.
pub(super) fn right(buf: &mut Buffer, area: Rect, text: &str, style: Style) {
    let x = area.right().saturating_sub(width(text) + 1).max(area.x);
    row(buf, x, area.y, area.right().saturating_sub(x), &[(text.to_string(), style)]);
}

/// Like [`right`], but leaves out whole parts from the end until the rest fits.
pub(super) fn right_fitting(buf: &mut Buffer, area: Rect, text: &str, mark: &str, style: Style) {
    let mut parts: Vec<&str> = text.split(mark).collect();
    while !parts.is_empty() && width(&parts.join(mark)) + 1 > area.width {
        parts.pop();
    }
    right(buf, area, &parts.join(mark), style);
}

/// A frame with a title in its top line; returns the room inside.
pub(super) fn frame(
    buf: &mut Buffer,
    area: Rect,
    set: border::Set<'_>,
    style: Style,
    title: &[(String, Style)],
) -> Rect {
    if area.width < 4 || area.height < 2 {
        return Rect { width: 0, height: 0, ..area };
    }
    let (left, top) = (area.x, area.y);
    let (end, bottom) = (area.right() - 1, area.bottom() - 1);
    for x in left + 1..end {
        buf.set_string(x, top, set.horizontal_top, style);
        buf.set_string(x, bottom, set.horizontal_bottom, style);
    }
    for y in top + 1..bottom {
        buf.set_string(left, y, set.vertical_left, style);
        buf.set_string(end, y, set.vertical_right, style);
    }
    buf.set_string(left, top, set.top_left, style);
    buf.set_string(end, top, set.top_right, style);
    buf.set_string(left, bottom, set.bottom_left, style);
    buf.set_string(end, bottom, set.bottom_right, style);
    on_frame(buf, area, top, Side::Left, title);
    Rect { x: left + 1, y: top + 1, width: area.width - 2, height: area.height - 2 }
}

/// Which end of a frame's line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// Writes into a frame's line `y`, between spaces.
pub(super) fn on_frame(
    buf: &mut Buffer,
    area: Rect,
    y: u16,
    side: Side,
    words: &[(String, Style)],
) {
    let room = area.width.saturating_sub(4);
    let length = row_width(words);
    if length == 0 || room < 3 {
        return;
    }
    let length = length.min(room - 2);
    let x = match side {
        Side::Left => area.x + 2,
        Side::Right => area.right() - 2 - (length + 2),
    };
    let space = words.first().map_or(Style::new(), |(_, s)| *s);
    buf.set_string(x, y, " ", space);
    let end = row(buf, x + 1, y, length, words);
    buf.set_string(end, y, " ", space);
}

/// Fills `area` with rows inside a titled frame. Empty rows are gaps: they go first when room is
/// short; what still doesn't fit is counted in the last line.
pub(super) fn boxed(
    buf: &mut Buffer,
    area: Rect,
    theme: &Theme,
    title: &str,
    rows: &[Row],
    more: &str,
) {
    let title = [(title.to_string(), theme.strong)];
    let inside = frame(buf, area, border::ROUNDED, theme.frame, &title);
    let inside = Rect { x: inside.x + 1, width: inside.width.saturating_sub(2), ..inside };
    rows_in(buf, inside, theme, rows, more);
}

/// See [`boxed`], without the frame.
pub(super) fn rows_in(
    buf: &mut Buffer,
    area: Rect,
    theme: &Theme,
    rows: &[Row],
    more: &str,
) -> bool {
    let room = usize::from(area.height);
    if room == 0 || area.width == 0 {
        return rows.is_empty();
    }
    let mut lines: Vec<Row> = rows.iter().flat_map(|row| wrap_row(row, area.width)).collect();
    while lines.len() > room {
        let Some(gap) = lines.iter().rposition(Vec::is_empty) else { break };
        lines.remove(gap);
    }
    let whole = lines.len() <= room;
    if !whole {
        let hidden = lines.len() - room + 1;
        lines.truncate(room - 1);
        lines.push(vec![(format!("… {hidden} {more}"), theme.dim)]);
    }
    for (line, y) in lines.iter().zip(area.y..) {
        row(buf, area.x, y, area.width, line);
    }
    whole
}

/// Breaks a row at spaces into rows of at most `room` columns, styles kept; words that are longer
/// are cut. Further lines are indented under the first.
pub(super) fn wrap_row(row: &[(String, Style)], room: u16) -> Vec<Row> {
    if row.is_empty() || room == 0 {
        return vec![Vec::new()];
    }
    let first = row.first().map_or("", |(text, _)| text.as_str());
    // Further lines stand under the words behind a label, or where the first one began.
    let leading = width(first) - width(first.trim_start_matches(' '));
    let label = if row.len() > 1 && first.ends_with(' ') { width(first) } else { leading };
    let indent = if label <= room / 2 { label } else { 0 };
    let mut lines: Vec<Row> = Vec::new();
    let mut line: Row = Vec::new();
    let mut used = 0;
    for (piece, style) in pieces(row) {
        let mut rest = piece;
        loop {
            let length = width(rest.trim_end_matches(' '));
            if used + length <= room {
                break;
            }
            if used > indent {
                lines.push(trimmed(std::mem::take(&mut line)));
                used = indent;
                if indent > 0 {
                    line.push((" ".repeat(usize::from(indent)), style));
                }
                continue;
            }
            let cut = fitting(&rest, room - used);
            let tail = rest.split_off(cut);
            line.push((rest, style));
            lines.push(std::mem::take(&mut line));
            rest = tail;
            used = 0;
        }
        used += width(&rest);
        line.push((rest, style));
    }
    lines.push(trimmed(line));
    lines
}

/// Without the spaces at its end.
fn trimmed(mut line: Row) -> Row {
    if let Some((text, _)) = line.last_mut() {
        text.truncate(text.trim_end_matches(' ').len());
    }
    line
}

/// `text` in at most `room` columns; what is cut ends in "…".
pub(super) fn cut(text: &str, room: u16) -> String {
    if width(text) <= room {
        return text.to_string();
    }
    format!("{}…", &text[..fitting(text, room.saturating_sub(1))])
}

/// How many bytes of `text` take at most `room` columns; at least one character.
fn fitting(text: &str, room: u16) -> usize {
    let mut end = 0;
    for (i, c) in text.char_indices() {
        let next = i + c.len_utf8();
        if end > 0 && width(&text[..next]) > room {
            break;
        }
        end = next;
    }
    end
}

/// Words with the spaces behind them, each with its style.
fn pieces(row: &[(String, Style)]) -> Vec<(String, Style)> {
    let mut out: Vec<(String, Style)> = Vec::new();
    for (text, style) in row {
        for piece in text.split_inclusive(' ') {
            out.push((piece.to_string(), *style));
        }
    }
    out
}

/// How a state of trust looks; it always stands beside its word.
pub(super) fn trust_style(theme: &Theme, trust: &Trust) -> Style {
    match trust {
        Trust::Own | Trust::Known(_) => theme.text,
        Trust::Verified(_) => theme.good,
        Trust::New => theme.warn,
        Trust::Changed(_) => theme.bad,
    }
}

/// A plot of the last `cells` values, one cell each: eighths of a cell high, from zero.
pub(super) fn plot(plot: &Plot, cells: usize) -> String {
    const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let from = plot.values.len().saturating_sub(cells);
    let shown = plot.values.get(from..).unwrap_or_default();
    let top = shown.iter().copied().fold(plot.least_top.max(f32::MIN_POSITIVE), f32::max);
    let bar = |value: &f32| {
        // Something is never drawn as nothing.
        let eighths = (value / top * 8.0).round().max(f32::from(u8::from(*value > 0.0)));
        BARS.get(eighths as usize).copied().unwrap_or('█')
    };
    shown.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(rows: &[Row]) -> Vec<String> {
        rows.iter().map(|r| r.iter().map(|(t, _)| t.as_str()).collect()).collect()
    }

    #[test]
    fn wrapping_keeps_every_word_within_the_room() {
        let row = vec![("the quick brown fox jumps".to_string(), Style::new())];
        let lines = plain(&wrap_row(&row, 10));
        assert_eq!(lines, ["the quick", "brown fox", "jumps"]);
    }

    #[test]
    fn a_word_longer_than_the_room_is_cut() {
        let row = vec![("facetty1abcdefghij".to_string(), Style::new())];
        assert_eq!(plain(&wrap_row(&row, 8)), ["facetty1", "abcdefgh", "ij"]);
    }

    #[test]
    fn wrapped_lines_keep_the_indent() {
        let row = vec![("  one two three".to_string(), Style::new())];
        assert_eq!(plain(&wrap_row(&row, 9)), ["  one two", "  three"]);
    }

    #[test]
    fn wrapped_lines_stand_beside_their_label() {
        let row =
            vec![("known  ".to_string(), Style::new()), ("never met at all".into(), Style::new())];
        assert_eq!(plain(&wrap_row(&row, 16)), ["known  never met", "       at all"]);
    }

    #[test]
    fn no_rectangle_is_too_small_to_draw_in() {
        let row = vec![("words and more words".to_string(), Style::new())];
        for w in 0..12 {
            for h in 0..5 {
                let area = Rect::new(0, 0, w, h);
                let mut buf = Buffer::empty(area);
                boxed(&mut buf, area, &Theme::mono(), "title", std::slice::from_ref(&row), "more");
            }
        }
    }
}
