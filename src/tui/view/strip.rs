//! A call beside an editor: who holds keys, one picture, one line of state – where there is no room
//! for more, and until there is no room for a picture either.

use super::{Drawn, pen, tiles};
use crate::tui::model::{CallScreen, Model, TileInfo, TileRole, WordsState};
use crate::tui::strings;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// Below this there is no room for a picture: words only.
pub(super) const SMALLEST: (u16, u16) = (20, 6);
/// Fewest rows a picture is worth having.
const LEAST_ROWS: u16 = 3;

/// Draws the call, or nothing: when a question stands, a pane is open, or the whole roster leaves no
/// room for a picture.
pub(super) fn draw(model: &Model, call: &CallScreen, buf: &mut Buffer) -> Option<Drawn> {
    let area = buf.area;
    let asked = model.doubt().is_some() || model.knock().is_some() || model.removing.is_some();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        return None;
    }
    if asked || model.asking_to_leave || model.pane.is_some() {
        return None;
    }
    let roster = pen::wrap_row(&super::roster_row(model, call), area.width);
    let (head, body, foot) = super::split(area, roster.len() as u16, 1);
    let shown = call.tiles.iter().find(|t| Some(t.role) == model.large());
    let tile = shown.filter(|_| body.height >= LEAST_ROWS)?;
    for (row, y) in roster.iter().zip(head.y..head.bottom()) {
        pen::row(buf, head.x, y, head.width, row);
    }
    let tiles = tiles::inside(model, tile, body, buf).into_iter().collect();
    state(model, call, tile, foot, buf);
    Some(Drawn { tiles, roster: Some(call.security.epoch), ..Drawn::default() })
}

/// "Ada · mic on · words not compared: i": what doesn't fit is cut at the end.
fn state(model: &Model, call: &CallScreen, tile: &TileInfo, area: Rect, buf: &mut Buffer) {
    let theme = &model.theme;
    if let Some(note) = &model.note {
        pen::row(buf, area.x, area.y, area.width, &[(note.text.clone(), theme.warn)]);
        return;
    }
    let (own, dot) = (tile.role == TileRole::Own, (" · ".to_string(), theme.dim));
    let name = if own { strings::YOU.into() } else { tile.name.clone() };
    let state = match strings::tile_alert(tile) {
        Some(alert) => (alert, theme.alarm),
        None => (strings::mic(tile.mic).into(), theme.text),
    };
    let mut row = vec![(name, theme.strong), dot.clone(), state];
    if call.status.words != WordsState::Compared {
        row.extend([dot, (strings::words_hint(&call.status.words), theme.warn)]);
    }
    pen::row(buf, area.x, area.y, area.width, &row);
}
