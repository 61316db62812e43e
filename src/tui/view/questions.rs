//! Questions: a knock waits for an answer. They take room of their own below the pictures.

use super::pen::{self, Row};
use crate::tui::model::{KnockInfo, Model, Trust};
use crate::tui::strings;
use crate::tui::update::KNOCK_GUARD;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::symbols::border;
use std::time::Instant;

/// Lines of a knock with its frame.
const KNOCK: u16 = 7;

/// Splits the room: what stays for pictures, what the question takes (nothing, if there is none).
pub(super) fn make_room(model: &Model, area: Rect) -> (Rect, Rect) {
    let height = if model.knock().is_some() { KNOCK.min(area.height) } else { 0 };
    let rest = area.height - height;
    (Rect { height: rest, ..area }, Rect { y: area.y + rest, height, ..area })
}

pub(super) fn draw(model: &Model, now: Instant, area: Rect, buf: &mut Buffer) {
    let Some((knock, since)) = model.knock() else { return };
    let theme = &model.theme;
    let mut title = vec![(strings::KNOCK.to_string(), theme.warn)];
    let waiting = model.knocks_waiting();
    if waiting > 1 {
        title.push((format!(" · {} more behind", waiting - 1), theme.dim));
    }
    let inside = pen::frame(buf, area, border::DOUBLE, theme.warn, &title);
    let inside = Rect { x: inside.x + 1, width: inside.width.saturating_sub(2), ..inside };
    let rows = knock_rows(model, knock, since, now);
    pen::rows_in(buf, inside, theme, &rows, strings::MORE);
}

/// The same where there is room for words only.
pub(super) fn short_rows(
    model: &Model,
    knock: &KnockInfo,
    since: Instant,
    now: Instant,
) -> Vec<Row> {
    let theme = &model.theme;
    let trust = (strings::trust_short(&knock.trust).into(), pen::trust_style(theme, &knock.trust));
    let keys = if now < since + KNOCK_GUARD {
        (strings::KNOCK_WAIT.into(), theme.dim)
    } else {
        ("a let in  d decline".into(), theme.key)
    };
    vec![
        vec![(knock.fingerprint.clone(), theme.compare)],
        vec![("says ".into(), theme.dim), (knock.claimed.clone(), theme.strong)],
        vec![trust, (" – knocks".into(), theme.warn)],
        vec![keys],
    ]
}

/// The fingerprint first: a name is only a claim.
fn knock_rows(model: &Model, knock: &KnockInfo, since: Instant, now: Instant) -> Vec<Row> {
    let theme = &model.theme;
    let label = |text: &str| (format!("{text:<13}"), theme.dim);
    let mut claimed = vec![label("calls itself"), (knock.claimed.clone(), theme.strong)];
    if !matches!(knock.trust, Trust::Verified(_)) {
        claimed.push((" – only a claim".into(), theme.dim));
    }
    let keys = if now < since + KNOCK_GUARD {
        vec![(strings::KNOCK_WAIT.into(), theme.dim)]
    } else {
        let left = strings::seconds(knock.time_left);
        vec![
            ("a".into(), theme.key),
            (" let in   ".into(), theme.text),
            ("d".into(), theme.key),
            (" decline".into(), theme.text),
            (format!("   refused by itself in {left}"), theme.dim),
        ]
    };
    vec![
        vec![label("fingerprint"), (knock.fingerprint.clone(), theme.compare)],
        claimed,
        vec![
            label("known"),
            (strings::trust_long(&knock.trust), pen::trust_style(theme, &knock.trust)),
        ],
        vec![label("invite"), (knock.invite.clone(), theme.text)],
        keys,
    ]
}
