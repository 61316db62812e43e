//! Panes beside the pictures: people, who holds keys, figures, keys, explanation.

use super::pen::{self, Row};
use crate::tui::keymap::{self, Place};
use crate::tui::model::{
    CallScreen, Chosen, Model, Pane, PersonInfo, Plot, Screen, SecurityInfo, TileRole, Trust,
    WordsState,
};
use crate::tui::strings;
use crate::tui::theme::Theme;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Splits the room: what stays for pictures, what the pane takes. A narrow screen gives it all.
pub(super) fn make_room(model: &Model, area: Rect) -> (Rect, Rect) {
    let none = Rect { x: area.right(), width: 0, ..area };
    if model.pane.is_none() {
        return (area, none);
    }
    let width = match model.pane {
        _ if area.width < 72 => area.width,
        // Who holds keys is to be read whole, on the smallest usual screen too.
        Some(Pane::Security) => (area.width * 2 / 5).clamp(56, 72),
        _ => (area.width * 2 / 5).clamp(42, 64),
    };
    let rest = area.width - width;
    (Rect { width: rest.saturating_sub(1), ..area }, Rect { x: area.x + rest, width, ..area })
}

/// Cells of a small plot: as many seconds.
const PLOT: usize = 12;
/// Cells of the figure before it.
const VALUE: usize = 17;

pub(super) fn draw(model: &Model, area: Rect, buf: &mut Buffer) -> Vec<(TileRole, Rect)> {
    let theme = &model.theme;
    let Some(pane) = model.pane else { return Vec::new() };
    if area.width == 0 {
        return Vec::new();
    }
    let (title, rows) = match (pane, &model.screen) {
        (Pane::Help, _) => (strings::HELP, help(model)),
        (Pane::Explain, _) => (strings::EXPLAIN, explain(theme.text)),
        (Pane::People, Screen::Call(call)) => (strings::PEOPLE, people(model, call)),
        (Pane::Security, Screen::Call(call)) => {
            (strings::SECURITY, airy(security(theme, &call.security), area))
        }
        (Pane::Stats, Screen::Call(call)) => (strings::STATS, stats(theme, call, area)),
        _ => return Vec::new(),
    };
    pen::boxed(buf, area, theme, title, &rows, strings::MORE);
    Vec::new()
}

/// Whether the keys pane stands in `area` with all of the call words.
pub(super) fn shows_words(model: &Model, call: &CallScreen, area: Rect) -> bool {
    let width = area.width.saturating_sub(4);
    let lines: usize =
        words(&model.theme, &call.security).iter().map(|row| pen::wrap_row(row, width).len()).sum();
    // A frame, and perhaps a line that says how much there is no room for.
    model.pane == Some(Pane::Security) && lines + 3 <= usize::from(area.height)
}

/// Without empty lines where they would push others out.
fn airy(mut rows: Vec<Row>, area: Rect) -> Vec<Row> {
    let width = area.width.saturating_sub(4);
    let lines: usize = rows.iter().map(|row| pen::wrap_row(row, width).len().max(1)).sum();
    if lines > usize::from(area.height.saturating_sub(2)) {
        rows.retain(|row| !row.is_empty());
    }
    rows
}

fn people(model: &Model, call: &CallScreen) -> Vec<Row> {
    let theme = &model.theme;
    let mut rows = Vec::new();
    let chosen = model.chosen();
    let mark = |who| if chosen == Some(who) { "▸ " } else { "" };
    for person in &call.security.people {
        let host = match person {
            PersonInfo { host: true, .. } => " · host",
            PersonInfo { may_admit: true, .. } => " · may let in",
            _ => "",
        };
        let mark = mark(Chosen::Member(person.member));
        rows.push(vec![
            (mark.into(), theme.key),
            (person.name.clone(), theme.strong),
            (
                format!(" · {}", strings::trust_short(&person.trust)),
                pen::trust_style(theme, &person.trust),
            ),
            (host.into(), theme.dim),
        ]);
        rows.push(vec![(format!("  {}", person.fingerprint), theme.compare)]);
        if let Some(like) = &person.looks_like {
            rows.push(vec![(format!("  looks like {like}"), theme.warn)]);
        }
        if !person.path.is_empty() {
            rows.push(vec![(format!("  {}", person.path), theme.dim)]);
        }
        rows.push(Vec::new());
    }
    if !call.security.barred.is_empty() {
        rows.push(vec![(strings::REMOVED.into(), theme.strong)]);
    }
    for person in &call.security.barred {
        let name = person.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
        rows.push(vec![
            (mark(Chosen::Barred(person.identity)).into(), theme.key),
            (person.fingerprint.clone(), theme.compare),
            (name, theme.text),
        ]);
    }
    if call.security.locked {
        rows.push(vec![(strings::LOCKED.into(), theme.good)]);
    }
    match &call.invite {
        Some(invite) => {
            let left = strings::seconds(invite.expires_in);
            rows.push(vec![
                (format!("{} ", strings::INVITE), theme.strong),
                (format!("· uses left {} · {left}", invite.uses), theme.dim),
            ]);
            rows.push(vec![(invite.text.clone(), theme.compare)]);
            rows.push(vec![
                ("y".into(), theme.key),
                (" copies it · ".into(), theme.dim),
                ("u".into(), theme.key),
                (" voids it".into(), theme.dim),
            ]);
        }
        None => {
            rows.push(vec![("n".into(), theme.key), (" makes a further invite".into(), theme.dim)]);
        }
    }
    rows
}

/// The call words, and whether they were compared.
pub(super) fn words(theme: &Theme, info: &SecurityInfo) -> Vec<Row> {
    let mut rows: Vec<Row> = vec![vec![(strings::WORDS_HOW.into(), theme.text)]];
    match &info.words {
        None => rows.push(vec![(format!("  {}", strings::ONE_MOMENT), theme.dim)]),
        Some(words) => {
            for four in words.chunks(4) {
                rows.push(vec![(format!("  {}", four.join(" ")), theme.compare)]);
            }
        }
    }
    let mut state = match &info.words_state {
        WordsState::Computing => vec![("  being computed".into(), theme.dim)],
        WordsState::NotCompared => vec![("  not compared yet".into(), theme.warn)],
        WordsState::Compared => vec![("  compared: they match".into(), theme.good)],
        WordsState::Changed(why) => vec![(format!("  changed: {why}"), theme.warn)],
    };
    if matches!(info.words_state, WordsState::NotCompared | WordsState::Changed(_)) {
        state.push((" · ".into(), theme.dim));
        state.push(("w".into(), theme.key));
        state.push((" they match".into(), theme.dim));
    }
    rows.push(state);
    rows
}

fn security(theme: &Theme, info: &SecurityInfo) -> Vec<Row> {
    // The words come first: they are to be read where there is little room.
    let mut rows = words(theme, info);
    rows.push(Vec::new());
    rows.push(vec![
        (format!("epoch {}", info.epoch), theme.strong),
        (format!(" · {}", info.suite), theme.dim),
    ]);
    rows.push(Vec::new());
    if let Some(trouble) = &info.trouble {
        rows.push(vec![(trouble.clone(), theme.warn)]);
    }
    if info.locked {
        rows.push(vec![(strings::LOCKED.into(), theme.good)]);
    }
    for person in &info.people {
        rows.extend(key_holder(theme, person));
    }
    rows.push(Vec::new());
    rows.push(vec![("authenticator ".into(), theme.dim), (info.authenticator.clone(), theme.text)]);
    rows.push(vec![("ledger ".into(), theme.dim), (info.ledger.clone(), theme.text)]);
    if !info.line_shows.is_empty() {
        rows.push(vec![
            ("the line shows ".into(), theme.dim),
            (info.line_shows.join(", "), theme.text),
        ]);
    }
    rows
}

fn key_holder(theme: &Theme, person: &PersonInfo) -> Vec<Row> {
    let mut facts = vec![format!("since epoch {}", person.since_epoch)];
    match &person.added_by {
        Some(by) => facts.push(format!("added by {by}")),
        None => facts.push("founded the call".into()),
    }
    if person.host {
        facts.push("host".into());
    }
    let path = if person.path.is_empty() { String::new() } else { format!(" · {}", person.path) };
    let trust = match &person.trust {
        Trust::Own => strings::YOU.into(),
        trust => strings::trust_long(trust),
    };
    let mut rows = vec![
        vec![
            (person.name.clone(), theme.strong),
            (format!(" · {trust}"), pen::trust_style(theme, &person.trust)),
        ],
        vec![(format!("  {}", person.fingerprint), theme.compare), (path, theme.dim)],
        vec![(format!("  {}", facts.join(" · ")), theme.dim)],
    ];
    if let Some(like) = &person.looks_like {
        rows.insert(1, vec![(format!("  looks like {like}"), theme.warn)]);
    }
    rows
}

fn stats(theme: &Theme, call: &CallScreen, area: Rect) -> Vec<Row> {
    // A frame, label and value; a plot takes what is left of the line, or nothing.
    let left = usize::from(area.width).saturating_sub(4 + 13 + VALUE);
    let cells = if left < 4 { 0 } else { left.min(PLOT) };
    let pair = |label: &str, value: String| -> Row {
        vec![(format!("  {label:<11}"), theme.dim), (value, theme.text)]
    };
    let drawn = |label: &str, value: String, plot: &Plot| -> Row {
        if cells == 0 {
            return pair(label, value);
        }
        let mut row = pair(label, format!("{value:<VALUE$}"));
        row.push((pen::plot(plot, cells), theme.dim));
        row
    };
    let ms = |value: Option<u32>| value.map_or("–".into(), |v| format!("{v} ms"));
    let mut rows: Vec<Row> = Vec::new();
    for peer in &call.stats.peers {
        let plots = &peer.plots;
        rows.push(vec![(peer.name.clone(), theme.strong)]);
        let picture = format!("{:.1} fps", peer.fps);
        rows.push(drawn("picture", format!("{} {picture}", peer.size), &plots.fps));
        let rates = format!("{} + {} kbit/s", peer.video_kbps, peer.audio_kbps);
        rows.push(drawn("received", rates, &plots.kbps));
        rows.push(drawn("latency", ms(peer.latency_ms), &plots.wait_ms));
        rows.push(drawn("round trip", ms(peer.rtt_ms), &plots.rtt_ms));
        rows.push(drawn("lost", format!("{:.1} %", peer.loss_pct), &plots.loss_pct));
        let concealed = format!("{:.1} % of sound", peer.concealed_pct);
        rows.push(drawn("concealed", concealed, &plots.concealed));
        rows.push(pair("freezes", peer.freezes.to_string()));
        let copies = match peer.copies {
            0 => String::new(),
            1 => ", sound sent twice".into(),
            n => format!(", sound sent {} times", n + 1),
        };
        rows.push(pair("path", format!("{} kbit/s{copies}", peer.path_kbps)));
        rows.push(Vec::new());
    }
    if !call.stats.own.is_empty() {
        rows.push(vec![("You".into(), theme.strong)]);
    }
    for (label, value) in &call.stats.own {
        rows.push(pair(label, value.clone()));
    }
    rows
}

fn help(model: &Model) -> Vec<Row> {
    let theme = &model.theme;
    let places = super::Model { pane: None, ..model.clone() }.places();
    let line = |row: &&keymap::Binding| -> Row {
        vec![(format!("{:<8}", row.label), theme.key), (row.help.into(), theme.text)]
    };
    let mut rows: Vec<Row> =
        keymap::valid(&places).iter().filter(|row| !row.is_one_of_many()).map(line).collect();
    if !places.contains(&Place::Call) {
        return rows;
    }
    for (place, title) in [(Place::People, strings::PEOPLE), (Place::Security, strings::SECURITY)] {
        rows.push(Vec::new());
        rows.push(vec![(strings::in_pane(title), theme.strong)]);
        rows.extend(keymap::valid(&[place]).iter().map(line));
    }
    rows
}

pub(super) fn explain(style: Style) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for paragraph in strings::EXPLANATION {
        if !rows.is_empty() {
            rows.push(Vec::new());
        }
        rows.push(vec![((*paragraph).into(), style)]);
    }
    rows
}
