//! The tiles of a call: who has which rectangle, and the words around each picture.

use super::pen::{self, Row, Side};
use crate::tui::model::{CallScreen, LayoutKind, Model, TileInfo, TileRole, WordsState};
use crate::tui::strings;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::symbols::border;

/// Width to height of a picture in cells: 5:3 pixels, a cell being twice as high as wide.
const ASPECT: f32 = 10.0 / 3.0;

/// Draws all tiles; returns where the pictures go.
pub(super) fn draw(
    model: &Model,
    call: &CallScreen,
    area: Rect,
    buf: &mut Buffer,
) -> Vec<(TileRole, Rect)> {
    if area.width < 8 || area.height < 3 {
        return Vec::new();
    }
    let own = call.tiles.iter().find(|t| t.role == TileRole::Own);
    let others: Vec<&TileInfo> = call.tiles.iter().filter(|t| t.role != TileRole::Own).collect();
    let mut drawn = Vec::new();
    let all = |tiles: &[&TileInfo], area: Rect, buf: &mut Buffer| -> Vec<(TileRole, Rect)> {
        let places = grid(tiles.len(), area);
        tiles.iter().zip(places).filter_map(|(tile, place)| one(model, tile, place, buf)).collect()
    };
    match (own, model.layout) {
        (None, _) | (_, LayoutKind::Others) if !others.is_empty() => {
            drawn.extend(all(&others, area, buf));
        }
        (Some(own), LayoutKind::Focus)
            if !others.is_empty() && area.width >= 56 && model.pane.is_none() =>
        {
            let side = (area.width / 5).clamp(22, 40);
            let room = Rect { width: area.width - side - 1, ..area };
            drawn.extend(all(&others, room, buf));
            let side = Rect { x: room.right() + 1, width: side, ..area };
            let height = picture_height(side.width).min(side.height);
            let place = Rect { y: side.bottom() - height, height, ..side };
            drawn.extend(one(model, own, place, buf));
            words(model, call, Rect { height: side.height - height, ..side }, buf);
        }
        _ => {
            let tiles: Vec<&TileInfo> = call.tiles.iter().collect();
            drawn.extend(all(&tiles, area, buf));
        }
    }
    drawn
}

/// Height of a framed tile of this width whose picture just fills it.
pub(super) fn picture_height(width: u16) -> u16 {
    (f32::from(width.saturating_sub(2)) / ASPECT).ceil() as u16 + 2
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
    let mut title: Row = vec![(tile.name.clone(), theme.strong)];
    if own {
        title.push((format!(" ({})", strings::YOU), theme.dim));
    } else {
        title.push((format!(" · {trust}"), pen::trust_style(theme, &tile.trust)));
    }
    let mut state: Row = vec![(strings::mic(tile.mic).into(), theme.text)];
    if own && model.talking() {
        state = vec![("talking".into(), theme.good)];
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

/// The call words beside the pictures, until they are compared.
fn words(model: &Model, call: &CallScreen, area: Rect, buf: &mut Buffer) {
    let theme = &model.theme;
    let Some(words) = &call.security.words else { return };
    if area.height < 8 || call.status.words == WordsState::Compared {
        return;
    }
    let mut rows: Vec<Row> = vec![Vec::new(), vec![("call words".into(), theme.dim)], Vec::new()];
    for pair in words.chunks(2) {
        let second = pair.get(1).map_or("", String::as_str);
        rows.push(vec![(format!("{:<10}{second}", pair[0]), theme.compare)]);
    }
    rows.push(Vec::new());
    rows.push(vec![("read aloud, compare: i".into(), theme.dim)]);
    let area = Rect { x: area.x + 1, width: area.width.saturating_sub(1), ..area };
    pen::rows_in(buf, area, theme, &rows, strings::MORE);
}

/// `n` rectangles of one size in `area`, in the arrangement that makes pictures largest.
pub(super) fn grid(n: usize, area: Rect) -> Vec<Rect> {
    let size = |columns: usize| {
        let rows = n.div_ceil(columns);
        let w = (usize::from(area.width) + 1) / columns - 1;
        let h = usize::from(area.height) / rows;
        (w.saturating_sub(2) as f32).min(h.saturating_sub(2) as f32 * ASPECT)
    };
    let most = n.min((usize::from(area.width) + 1) / 10).max(1);
    let Some(columns) = (1..=most).max_by(|a, b| size(*a).total_cmp(&size(*b))) else {
        return Vec::new();
    };
    let rows = n.div_ceil(columns);
    let w = ((usize::from(area.width) + 1) / columns - 1) as u16;
    let h = area.height / rows.max(1) as u16;
    (0..n)
        .map(|i| {
            let (column, line) = ((i % columns) as u16, (i / columns) as u16);
            // The last line may be short: centre it.
            let in_line =
                if usize::from(line) + 1 == rows { n - columns * (rows - 1) } else { columns };
            let used = in_line as u16 * (w + 1) - 1;
            let x = area.x + (area.width - used) / 2 + column * (w + 1);
            Rect { x, y: area.y + line * h, width: w, height: h }
        })
        .collect()
}
