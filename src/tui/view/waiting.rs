//! Before the call: the host's invite with its QR code, or the joiner's progress; the own picture,
//! the microphone's level, and what became of each address.

use super::pen::{self, Row};
use super::qr::Qr;
use super::tiles;
use crate::tui::model::{AddressState, Model, TileRole, WaitingScreen};
use crate::tui::strings;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// Width of the column beside the code.
const SIDE: u16 = 34;

pub(super) fn draw(
    model: &Model,
    screen: &WaitingScreen,
    area: Rect,
    buf: &mut Buffer,
) -> Vec<(TileRole, Rect)> {
    let theme = &model.theme;
    let code = screen.invite.as_ref().and_then(|invite| Qr::new(&invite.qr_text));
    let beside = match &code {
        Some(code) if area.width >= code.size().0 + SIDE && area.height >= code.size().1 => {
            let (width, height) = code.size();
            let top = area.y + (area.height - height).min(1);
            let place = Rect { x: area.x + 1, y: top, width, height };
            code.draw(place, theme, buf);
            Rect { x: area.x + width + 3, width: area.width - width - 4, ..area }
        }
        _ => Rect { x: area.x + 1, width: area.width - 2, ..area },
    };
    let rows = rows(model, screen);
    let needed: usize = rows.iter().map(|row| pen::wrap_row(row, beside.width).len()).sum();
    let needed = (needed as u16).min(area.height);
    let own_width = beside.width.min(64);
    // The own picture takes what the words leave.
    let own_height =
        tiles::picture_height(model, own_width).min(area.height - needed.min(area.height));
    let mut drawn = Vec::new();
    let mut words = beside;
    if own_height >= 7 {
        let width = own_width.min((f32::from(own_height - 2) * 10.0 / 3.0) as u16 + 2);
        let place = Rect { width, height: own_height, ..beside };
        drawn.extend(tiles::one(model, &screen.own, place, buf));
        words = Rect { y: beside.y + own_height, height: beside.height - own_height, ..beside };
    }
    pen::rows_in(buf, words, theme, &rows, strings::MORE);
    drawn
}

/// The invite, in words.
pub(super) fn invite_rows(model: &Model, screen: &WaitingScreen) -> Vec<Row> {
    let theme = &model.theme;
    let Some(invite) = &screen.invite else { return Vec::new() };
    let uses = if invite.uses == 1 { "1 use".into() } else { format!("{} uses", invite.uses) };
    let left = strings::seconds(invite.expires_in);
    vec![
        vec![
            (format!("{} ", strings::INVITE), theme.strong),
            (format!("· {uses} · {left} left"), theme.dim),
        ],
        vec![(invite.text.clone(), theme.compare)],
    ]
}

fn rows(model: &Model, screen: &WaitingScreen) -> Vec<Row> {
    let theme = &model.theme;
    let mut rows = vec![level_row(model, screen)];
    if screen.invite.is_some() {
        rows.extend(invite_rows(model, screen));
        rows.push(vec![(strings::INVITE_HOW.into(), theme.dim)]);
        if !screen.progress.is_empty() {
            // A contact who was not reached.
            rows.push(vec![(screen.progress.clone(), theme.warn)]);
        }
    } else {
        rows.push(Vec::new());
        rows.push(vec![(screen.progress.clone(), theme.strong)]);
        if let Some(expects) = &screen.expects {
            rows.push(vec![
                ("to ".into(), theme.dim),
                (expects.clone(), theme.compare),
                (" and nobody else".into(), theme.dim),
            ]);
        }
        rows.push(Vec::new());
        rows.push(vec![(strings::JOIN_SAFE.into(), theme.dim)]);
    }
    rows.push(Vec::new());
    for row in &screen.addresses {
        let style = match row.state {
            AddressState::Connected => theme.good,
            AddressState::Failed(_) => theme.warn,
            AddressState::Listening | AddressState::Trying => theme.dim,
        };
        rows.push(vec![
            (format!("{} ", row.address), theme.text),
            (format!("{} · {}", row.kind, strings::address(&row.state)), style),
        ]);
    }
    if screen.private_only {
        rows.push(vec![(strings::PRIVATE_ONLY.into(), theme.warn)]);
    }
    rows
}

/// "mic ▮▮▮▮▯▯▯▯ −32 dB".
fn level_row(model: &Model, screen: &WaitingScreen) -> Row {
    let theme = &model.theme;
    let Some(level) = screen.mic_level.filter(|_| model.mic || model.talking()) else {
        let track =
            if screen.mic_level.is_some() { crate::tui::model::Track::Off } else { screen.own.mic };
        return vec![(strings::mic(track).into(), theme.dim)];
    };
    // −60 dB and below is an empty bar.
    let bars = usize::try_from((i32::from(level) + 60).clamp(0, 60) / 5).unwrap_or(0);
    vec![
        ("mic ".into(), theme.dim),
        ("▮".repeat(bars), theme.good),
        ("▯".repeat(12 - bars), theme.frame),
        (format!(" {level} dB"), theme.dim),
    ]
}
