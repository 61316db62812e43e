//! Draws the model. One function per part of the screen; each gets a rectangle of its own and no
//! two overlap.

mod demo;
mod panes;
mod pen;
mod qr;
mod questions;
mod strip;
mod tiles;
mod waiting;

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;

use crate::tui::keymap::{self, Action};
use crate::tui::model::{CallScreen, Model, Pane, Screen, Seen, TileRole, Trust};
use crate::tui::strings;
use pen::Row;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::time::Instant;

/// Below this there is room for one picture and one line only ([`strip`]).
const SMALLEST: (u16, u16) = (40, 12);

/// What was drawn, for the painter and the roster gate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drawn {
    /// Where the pictures go.
    pub tiles: Vec<(TileRole, Rect)>,
    /// The frame of a tile that lies over another one's picture.
    pub over: Option<Rect>,
    /// The question and the call words that stand here whole.
    pub seen: Seen,
    /// The epoch whose whole roster, every name, stands on this screen.
    pub roster: Option<u64>,
}

/// Draws the whole screen into `buf`, which is empty.
pub fn draw(model: &Model, now: Instant, buf: &mut Buffer) -> Drawn {
    let area = buf.area;
    if let Some(ground) = model.theme.ground {
        buf.set_style(area, ratatui::style::Style::new().bg(ground));
    }
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let strip = match &model.screen {
            Screen::Call(call) => strip::draw(model, call, buf),
            _ => None,
        };
        return strip.unwrap_or_else(|| too_small(model, now, buf));
    }
    match &model.screen {
        Screen::Waiting(screen) => {
            let (head, body, foot) = split(area, 1, foot_height(model));
            if !questions::fits(model, now, body) {
                return too_small(model, now, buf);
            }
            let title = [(strings::NAME.into(), model.theme.strong)];
            pen::row(buf, head.x + 1, head.y, head.width - 2, &title);
            pen::right(buf, head, &screen.fingerprint, model.theme.dim);
            let (body, question) = questions::make_room(model, now, body);
            let tiles = match model.pane {
                Some(Pane::Help) => panes::draw(model, body, buf),
                _ => waiting::draw(model, screen, body, buf),
            };
            let whole = questions::draw(model, now, question, buf);
            key_bar(model, foot, buf);
            let question = model.asked().filter(|_| whole);
            Drawn { tiles, seen: Seen { question, words: None }, ..Drawn::default() }
        }
        Screen::Call(call) => draw_call(model, call, now, buf),
        Screen::Demo(demo) => {
            let (head, body, foot) = split(area, 1, 1);
            demo::head(model, demo, head, buf);
            let tiles = demo::draw(model, demo, body, buf);
            key_bar(model, foot, buf);
            // The facts name everybody who holds keys, for both participants.
            Drawn { tiles, roster: Some(demo.epoch[0].min(demo.epoch[1])), ..Drawn::default() }
        }
    }
}

fn draw_call(model: &Model, call: &CallScreen, now: Instant, buf: &mut Buffer) -> Drawn {
    let theme = &model.theme;
    let area = buf.area;
    let clock = strings::clock(call.since);
    let width = area.width.saturating_sub(4 + clock.len() as u16);
    let roster = pen::wrap_row(&roster_row(model, call), width);
    let height = (roster.len() as u16).min(4);
    let (head, body, foot) = split(area, height, foot_height(model) + 1);
    if !questions::fits(model, now, body) {
        return too_small(model, now, buf);
    }
    for (row, y) in roster.iter().zip(head.y..head.bottom()) {
        pen::row(buf, head.x + 1, y, width, row);
    }
    pen::right(buf, Rect { height: 1, ..head }, &clock, theme.dim);

    let (body, question) = questions::make_room(model, now, body);
    let (room, pane) = panes::make_room(model, body);
    let mut tiles = panes::draw(model, pane, buf);
    let (own, over) = tiles::draw(model, call, room, buf);
    tiles.extend(own);
    let whole = questions::draw(model, now, question, buf);
    status_line(model, call, Rect { height: 1, ..foot }, buf);
    key_bar(model, Rect { y: foot.y + 1, height: foot.height - 1, ..foot }, buf);

    let complete = roster.len() <= usize::from(height);
    let roster = complete.then_some(call.security.epoch);
    let words = panes::shows_words(model, call, pane).then_some(call.security.words_epoch);
    Drawn { tiles, over, seen: Seen { question: model.asked().filter(|_| whole), words }, roster }
}

/// "epoch 7 · 3 hold keys: Ada (verified), Ben (new, added by Ada), you · split, without Cleo".
fn roster_row(model: &Model, call: &CallScreen) -> Row {
    let theme = &model.theme;
    let people = &call.security.people;
    let mut row: Row =
        vec![(format!("epoch {} · {} hold keys: ", call.security.epoch, people.len()), theme.dim)];
    for (n, person) in people.iter().enumerate() {
        let comma = if n + 1 < people.len() { ", " } else { "" };
        if person.trust == Trust::Own {
            row.push((format!("{}{comma}", strings::YOU), theme.strong));
            continue;
        }
        let added = match &person.added_by {
            // Who added somebody is news for as long as it is the newest change.
            Some(by) if person.since_epoch == call.security.epoch => format!(", added by {by}"),
            _ => String::new(),
        };
        row.push((person.name.clone(), theme.strong));
        row.push((
            format!(" ({}{added}){comma}", strings::trust_short(&person.trust)),
            pen::trust_style(theme, &person.trust),
        ));
    }
    if let Some(apart) = &call.security.apart {
        row.push((" · ".into(), theme.dim));
        row.push((apart.clone(), theme.warn));
    }
    row
}

fn status_line(model: &Model, call: &CallScreen, area: Rect, buf: &mut Buffer) {
    let theme = &model.theme;
    if let Some(note) = &model.note {
        pen::row(buf, area.x + 1, area.y, area.width - 2, &[(note.text.clone(), theme.warn)]);
        return;
    }
    let compared = call.status.words == crate::tui::model::WordsState::Compared;
    let words = strings::words_hint(&call.status.words);
    let style = if compared { theme.good } else { theme.warn };
    let figures = strings::figures(&call.status).join(" · ");
    let x = pen::row(buf, area.x + 1, area.y, area.width - 2, &[(words, style)]);
    let left = Rect { x: x + 2, width: area.right().saturating_sub(x + 2), ..area };
    pen::right_fitting(buf, left, &figures, " · ", theme.dim);
}

fn foot_height(model: &Model) -> u16 {
    u16::from(model.note.is_some() && matches!(model.screen, Screen::Waiting(_))) + 1
}

/// The keys valid now. When room is short the least needed go first; help always stays.
fn key_bar(model: &Model, area: Rect, buf: &mut Buffer) {
    let theme = &model.theme;
    let mut area = area;
    if let (Some(note), true) = (&model.note, area.height > 1) {
        pen::row(buf, area.x + 1, area.y, area.width - 2, &[(note.text.clone(), theme.warn)]);
        area = Rect { y: area.y + 1, height: area.height - 1, ..area };
    }
    let mut rows = keymap::valid(&model.places());
    rows.retain(|r| !r.short.is_empty() && model.offers(r.action));
    const SPARE: [Action; 7] = [
        Action::Graphics,
        Action::Layout,
        Action::Talk,
        Action::Stats,
        Action::EveSees,
        Action::Camera,
        Action::Mic,
    ];
    let length = |rows: &[&keymap::Binding]| {
        rows.iter().map(|r| pen::width(r.label) + 1 + pen::width(r.short)).sum::<u16>()
            + 2 * rows.len().saturating_sub(1) as u16
    };
    for spare in SPARE {
        if length(&rows) > area.width.saturating_sub(2) {
            rows.retain(|r| r.action != spare);
        }
    }
    let mut row: Row = Vec::new();
    if model.asking_to_leave {
        row.push((format!("{}  ", strings::LEAVE), theme.warn));
    }
    if let Some((_, name)) = &model.removing {
        row.push((format!("Remove {name} from the call?  "), theme.warn));
    }
    for (n, binding) in rows.iter().enumerate() {
        let gap = if n == 0 { "" } else { "  " };
        row.push((format!("{gap}{}", binding.label), theme.key));
        row.push((format!(" {}", binding.short), theme.dim));
    }
    pen::row(buf, area.x + 1, area.y, area.width - 2, &row);
}

/// No room for pictures: everything that matters, in words.
fn too_small(model: &Model, now: Instant, buf: &mut Buffer) -> Drawn {
    let theme = &model.theme;
    let area = buf.area;
    let mut rows: Vec<Row> = Vec::new();
    let (mut roster, mut words) = (None, None);
    if let Some((doubt, since)) = model.doubt() {
        rows.extend(questions::short_doubt(model, doubt, since, now));
    } else if let Some((knock, since)) = model.knock() {
        rows.extend(questions::short_rows(model, knock, since, now));
    } else if model.asking_to_leave {
        rows.push(vec![(format!("{} q leave", strings::LEAVE), theme.warn)]);
    } else if let Some((_, name)) = &model.removing {
        rows.push(vec![(format!("Remove {name} from the call? x remove"), theme.warn)]);
    }
    let question = rows.len();
    match &model.screen {
        Screen::Waiting(screen) => {
            rows.extend(waiting::invite_rows(model, screen));
            if !screen.progress.is_empty() {
                rows.push(vec![(screen.progress.clone(), theme.text)]);
            }
        }
        Screen::Call(call) => {
            rows.push(roster_row(model, call));
            roster = Some((call.security.epoch, rows.len()));
            if model.pane == Some(Pane::Security) {
                rows.extend(panes::words(theme, &call.security));
                words = Some((call.security.words_epoch, rows.len()));
            }
            for tile in &call.tiles {
                // Pictures that nobody sees don't come: that is no alarm.
                let alert = strings::tile_alert(tile).filter(|_| !strings::is_frozen(tile));
                let state = alert.unwrap_or_else(|| {
                    format!("{}, {}", strings::mic(tile.mic), strings::camera(tile.camera))
                });
                rows.push(vec![(format!("{}: ", tile.name), theme.strong), (state, theme.text)]);
            }
            rows.push(vec![(strings::words_hint(&call.status.words), theme.warn)]);
        }
        Screen::Demo(demo) => rows.extend(demo::short_rows(model, demo)),
    }
    rows.push(vec![(strings::TOO_SMALL.into(), theme.dim)]);
    let wrapped: Vec<Vec<Row>> = rows.iter().map(|row| pen::wrap_row(row, area.width)).collect();
    let until = |rows: usize| wrapped.iter().take(rows).map(Vec::len).sum::<usize>();
    // A note, which says what a key didn't do and why, lies over the last line: what is under it isn't
    // seen.
    let height = area.height - u16::from(model.note.is_some()).min(area.height);
    // Shown whole, if the lines up to the last one of it are on the screen.
    let fits = |rows: usize| until(rows) <= usize::from(height);
    let question = model.asked().filter(|_| fits(question));
    let epoch = |shown: Option<(u64, usize)>| shown.filter(|(_, rows)| fits(*rows)).map(|s| s.0);
    let (roster, words) = (epoch(roster), epoch(words));
    let lines: Vec<&Row> = wrapped.iter().flatten().collect();
    for (row, y) in lines.iter().zip(area.y..area.y + height) {
        pen::row(buf, area.x, y, area.width, row);
    }
    if let (Some(note), true) = (&model.note, height < area.height) {
        pen::row(buf, area.x, area.y + height, area.width, &[(note.text.clone(), theme.warn)]);
    }
    Drawn { roster, seen: Seen { question, words }, ..Drawn::default() }
}

fn split(area: Rect, head: u16, foot: u16) -> (Rect, Rect, Rect) {
    let middle = area.height.saturating_sub(head + foot);
    (
        Rect { height: head, ..area },
        Rect { y: area.y + head, height: middle, ..area },
        Rect { y: area.y + head + middle, height: foot, ..area },
    )
}
