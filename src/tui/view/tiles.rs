//! The tiles of a call: who has which rectangle, and the words around each picture.

use super::pen::{self, Row, Side};
use crate::paint::{Kind, Style, layout};
use crate::tui::model::{CallScreen, LayoutKind, Model, TileInfo, TileRole, WordsState};
use crate::tui::strings;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::symbols::border;

/// Least width of a room that has one column for the own picture and the call words.
const WITH_SIDE: u16 = 56;

/// Draws all tiles; returns where the pictures go, and the frame that lies over one of them.
pub(super) fn draw(
    model: &Model,
    call: &CallScreen,
    area: Rect,
    buf: &mut Buffer,
) -> (Vec<(TileRole, Rect)>, Option<Rect>) {
    if area.width < 8 || area.height < 3 {
        return (Vec::new(), None);
    }
    let own = call.tiles.iter().find(|t| t.role == TileRole::Own);
    let others: Vec<&TileInfo> = call.tiles.iter().filter(|t| t.role != TileRole::Own).collect();
    let all: Vec<&TileInfo> = call.tiles.iter().collect();
    let place = |tiles: &[&TileInfo], kind| layout(tiles.len(), (area).into(), kind, style(model));
    let at = |role| all.iter().position(|t| t.role == role);
    let (tiles, places) = match (own, model.layout) {
        (None, LayoutKind::Focus) | (_, LayoutKind::Others) if !others.is_empty() => {
            let places = place(&others, Kind::Grid);
            (others, places)
        }
        (Some(own), LayoutKind::Focus) if !others.is_empty() => {
            if area.width >= WITH_SIDE && model.pane.is_none() && shows_words(call) {
                return (with_words(model, call, own, &others, area, buf), None);
            }
            let corner = at(own.role).map(Kind::Corner).unwrap_or_default();
            let places = place(&all, corner);
            (all, places)
        }
        (_, LayoutKind::Speaker) => {
            let large = model.large().and_then(at);
            let places = place(&all, large.map(Kind::Speaker).unwrap_or_default());
            (all, places)
        }
        _ => {
            let places = place(&all, Kind::Grid);
            (all, places)
        }
    };
    let mut drawn = Vec::new();
    let mut over = None;
    for place in places {
        let Some(tile) = tiles.get(place.member) else { continue };
        if place.over {
            over = Some(place.tile.into());
            clear(place.tile.into(), buf);
        }
        drawn.extend(one(model, tile, place.tile.into(), buf));
    }
    (drawn, over)
}

/// Frames of one cell; a column between tiles.
fn style(model: &Model) -> Style {
    Style { cell_px: model.cell_px, frame: 1, gap: 1 }
}

/// The others, and a column with the call words and the own picture.
fn with_words(
    model: &Model,
    call: &CallScreen,
    own: &TileInfo,
    others: &[&TileInfo],
    area: Rect,
    buf: &mut Buffer,
) -> Vec<(TileRole, Rect)> {
    let width = (area.width / 5).clamp(22, 40);
    let room = Rect { width: area.width - width - 1, ..area };
    let places = layout(others.len(), room.into(), Kind::Grid, style(model));
    let mut drawn: Vec<_> = places
        .iter()
        .zip(others)
        .filter_map(|(place, tile)| one(model, tile, place.tile.into(), buf))
        .collect();
    let side = Rect { x: room.right() + 1, width, ..area };
    let height = picture_height(model, side.width).min(side.height);
    let place = Rect { y: side.bottom() - height, height, ..side };
    drawn.extend(one(model, own, place, buf));
    words(model, call, Rect { height: side.height - height, ..side }, buf);
    drawn
}

/// What lies under a tile isn't seen.
fn clear(area: Rect, buf: &mut Buffer) {
    for y in area.top()..area.bottom() {
        for x in area.left()..area.right() {
            if let Some(cell) = buf.cell_mut((x, y)) {
                cell.reset();
            }
        }
    }
}

/// Height of a framed tile of this width whose picture just fills it.
pub(super) fn picture_height(model: &Model, width: u16) -> u16 {
    let aspect = 5.0 / 3.0 * f32::from(model.cell_px.1.max(1)) / f32::from(model.cell_px.0.max(1));
    (f32::from(width.saturating_sub(2)) / aspect).ceil() as u16 + 2
}

/// Draws one tile; returns where its picture goes, if it shows one.
pub(super) fn one(
    model: &Model,
    tile: &TileInfo,
    area: Rect,
    buf: &mut Buffer,
) -> Option<(TileRole, Rect)> {
    let theme = &model.theme;
    let trust = strings::trust_short(&tile.trust);
    let own = tile.role == TileRole::Own;
    let narrow = area.width < pen::width(&tile.name) + 12;
    let mut title: Row = vec![(tile.name.clone(), theme.strong)];
    if own && narrow {
        title = vec![(strings::YOU.into(), theme.strong)];
    } else if own {
        title.push((format!(" ({})", strings::YOU), theme.dim));
    } else {
        title.push((format!(" · {trust}"), pen::trust_style(theme, &tile.trust)));
    }
    let mut state: Row = vec![(strings::mic(tile.mic).into(), theme.text)];
    if own && model.talking() {
        state = vec![("talking".into(), theme.good)];
    }
    if model.pinned == Some(tile.role) {
        title.push((" · pinned".into(), theme.dim));
    }
    state.push((" · ".into(), theme.dim));
    let camera = strings::camera(tile.camera);
    let fits = pen::row_width(&state) + pen::width(camera) + 6 <= area.width;
    let camera = if fits { camera } else { strings::camera_short(tile.camera) };
    state.push((camera.into(), theme.text));
    let picture = framed(model, tile, &title, &state, area, buf);
    if tile.speaking {
        let words = [("speaking".to_string(), theme.frame_live)];
        if area.width >= pen::row_width(&state) + 20 {
            pen::on_frame(buf, area, area.bottom() - 1, Side::Right, &words);
        }
    }
    picture
}

/// A frame with a title above and a state below; the words inside, or where the picture goes.
pub(super) fn framed(
    model: &Model,
    tile: &TileInfo,
    title: &[(String, ratatui::style::Style)],
    state: &[(String, ratatui::style::Style)],
    area: Rect,
    buf: &mut Buffer,
) -> Option<(TileRole, Rect)> {
    let theme = &model.theme;
    let alert = strings::tile_alert(tile);
    // A frozen picture has a frame of its own, so that it can't pass as live at a glance.
    let (set, style) = match &alert {
        Some(_) => (border::DOUBLE, theme.warn),
        None if tile.speaking => (border::ROUNDED, theme.frame_live),
        None => (border::ROUNDED, theme.frame),
    };
    let inside = pen::frame(buf, area, set, style, title);
    if inside.width == 0 || inside.height == 0 {
        return None;
    }
    if let Some(alert) = alert {
        let words = [(alert, theme.alarm)];
        let both = pen::row_width(title) + pen::row_width(&words) + 9 <= area.width;
        let y = if both { area.y } else { area.bottom() - 1 };
        if both {
            pen::on_frame(buf, area, area.bottom() - 1, Side::Left, state);
        }
        pen::on_frame(buf, area, y, if both { Side::Right } else { Side::Left }, &words);
    } else {
        pen::on_frame(buf, area, area.bottom() - 1, Side::Left, state);
    }
    self::inside(model, tile, inside, buf)
}

/// What stands in a tile: words in its middle, or its picture, whose place is returned.
pub(super) fn inside(
    model: &Model,
    tile: &TileInfo,
    inside: Rect,
    buf: &mut Buffer,
) -> Option<(TileRole, Rect)> {
    let theme = &model.theme;
    match strings::tile_words(tile) {
        None => Some((tile.role, inside)),
        Some(words) => {
            let lines = pen::wrap_row(&[(words, theme.dim)], inside.width.saturating_sub(2));
            let top = inside.y + inside.height.saturating_sub(lines.len() as u16) / 2;
            for (line, y) in lines.iter().zip(top..inside.bottom()) {
                let x = inside.x + inside.width.saturating_sub(pen::row_width(line)) / 2;
                pen::row(buf, x, y, inside.right() - x, line);
            }
            None
        }
    }
}

/// Until they are compared, the call words stand beside the pictures.
fn shows_words(call: &CallScreen) -> bool {
    call.status.words != WordsState::Compared
}

/// The call words.
fn words(model: &Model, call: &CallScreen, area: Rect, buf: &mut Buffer) {
    let theme = &model.theme;
    if area.height < 8 {
        return;
    }
    let mut rows: Vec<Row> = vec![Vec::new(), vec![("call words".into(), theme.dim)], Vec::new()];
    if call.security.words.is_none() {
        rows.push(vec![(strings::ONE_MOMENT.into(), theme.dim)]);
    }
    for pair in call.security.words.iter().flat_map(|words| words.chunks(2)) {
        let second = pair.get(1).map_or("", String::as_str);
        rows.push(vec![(format!("{:<10}{second}", pair[0]), theme.compare)]);
    }
    rows.push(Vec::new());
    rows.push(vec![("compare aloud: i".into(), theme.dim)]);
    let area = Rect { x: area.x + 1, width: area.width.saturating_sub(1), ..area };
    pen::rows_in(buf, area, theme, &rows, strings::MORE);
}
