//! Questions: a knock, or a changed key, waits for an answer. They take room of their own below
//! the pictures.

use super::pen::{self, Row};
use crate::tui::model::{DoubtInfo, KnockInfo, Model, Trust};
use crate::tui::strings;
use crate::tui::update::KNOCK_GUARD;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::symbols::border;
use std::time::Instant;

/// Splits the room: what stays for pictures, what the question takes (nothing, if there is none).
pub(super) fn make_room(model: &Model, now: Instant, area: Rect) -> (Rect, Rect) {
    let height = lines(model, now, area.width).min(area.height);
    let rest = area.height - height;
    (Rect { height: rest, ..area }, Rect { y: area.y + rest, height, ..area })
}

/// Whether this much room shows the whole question, if there is one.
pub(super) fn fits(model: &Model, now: Instant, area: Rect) -> bool {
    lines(model, now, area.width) <= area.height
}

/// Lines of the question with its frame; 0: there is none.
fn lines(model: &Model, now: Instant, width: u16) -> u16 {
    question(model, now).map_or(0, |(_, rows)| {
        let inside = width.saturating_sub(4);
        rows.iter().map(|row| pen::wrap_row(row, inside).len() as u16).sum::<u16>() + 2
    })
}

/// Title and rows of the question that stands now.
fn question(model: &Model, now: Instant) -> Option<(Row, Vec<Row>)> {
    let theme = &model.theme;
    if let Some((doubt, since)) = model.doubt() {
        let title = vec![(strings::DOUBT.to_string(), theme.warn)];
        return Some((title, doubt_rows(model, doubt, since, now)));
    }
    let (knock, since) = model.knock()?;
    let what = if knock.ring { strings::RING } else { strings::KNOCK };
    let mut title = vec![(what.to_string(), theme.warn)];
    let waiting = model.knocks_waiting();
    if waiting > 1 {
        title.push((format!(" · {} more behind", waiting - 1), theme.dim));
    }
    Some((title, knock_rows(model, knock, since, now)))
}

/// Draws the question, if there is one; whether all of it is there to be seen.
pub(super) fn draw(model: &Model, now: Instant, area: Rect, buf: &mut Buffer) -> bool {
    let Some((title, rows)) = question(model, now) else { return true };
    let inside = pen::frame(buf, area, border::DOUBLE, model.theme.warn, &title);
    let inside = Rect { x: inside.x + 1, width: inside.width.saturating_sub(2), ..inside };
    pen::rows_in(buf, inside, &model.theme, &rows, strings::MORE)
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
    let warning = knock.looks_like.as_ref().map(|like| format!("looks like {like}"));
    let warning: Row = warning.map(|text| (text, theme.warn)).into_iter().collect();
    vec![
        vec![(knock.fingerprint.clone(), theme.compare)],
        vec![("says ".into(), theme.dim), (knock.claimed.clone(), theme.strong)],
        vec![
            trust,
            (if knock.ring { " – calls you  ".into() } else { " – knocks  ".into() }, theme.warn),
        ]
        .into_iter()
        .chain(warning)
        .collect(),
        vec![keys],
    ]
}

/// The question about a changed key where there is room for words only.
pub(super) fn short_doubt(
    model: &Model,
    doubt: &DoubtInfo,
    since: Instant,
    now: Instant,
) -> Vec<Row> {
    let theme = &model.theme;
    let mut rows = vec![
        vec![(strings::DOUBT.into(), theme.warn)],
        vec![(doubt.fingerprint.clone(), theme.compare)],
        vec![("says ".into(), theme.dim), (doubt.name.clone(), theme.strong)],
        vec![("known ".into(), theme.dim), (doubt.known_fingerprint.clone(), theme.compare)],
    ];
    rows.push(if now < since + KNOCK_GUARD {
        vec![(strings::KNOCK_WAIT.into(), theme.dim)]
    } else {
        vec![("a it is them  d not sure".into(), theme.key)]
    });
    rows.push(vec![(strings::DOUBT_HOW.into(), theme.warn)]);
    rows
}

/// Both fingerprints under each other, to be compared letter by letter.
fn doubt_rows(model: &Model, doubt: &DoubtInfo, since: Instant, now: Instant) -> Vec<Row> {
    let theme = &model.theme;
    let label = |text: &str| (format!("{text:<13}"), theme.dim);
    let where_from = if doubt.member { " – let in by another member" } else { " – the host" };
    let keys = if now < since + KNOCK_GUARD {
        vec![(strings::KNOCK_WAIT.into(), theme.dim)]
    } else {
        let no =
            if doubt.member { " not sure: nothing is sent to them" } else { " not sure: leave" };
        vec![
            ("a".into(), theme.key),
            (" it is them   ".into(), theme.text),
            ("d".into(), theme.key),
            (no.into(), theme.text),
        ]
    };
    vec![
        vec![label("this key"), (doubt.fingerprint.clone(), theme.compare)],
        vec![
            label("you know"),
            (doubt.known_fingerprint.clone(), theme.compare),
            (format!("  {}", doubt.known), theme.dim),
        ],
        vec![
            label("calls itself"),
            (doubt.name.clone(), theme.strong),
            (where_from.into(), theme.dim),
        ],
        vec![(strings::DOUBT_HOW.into(), theme.warn)],
        keys,
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
            (if knock.ring { " answer   ".into() } else { " let in   ".into() }, theme.text),
            ("d".into(), theme.key),
            (" decline".into(), theme.text),
            (format!("   refused by itself in {left}"), theme.dim),
        ]
    };
    let mut rows = vec![
        vec![label("fingerprint"), (knock.fingerprint.clone(), theme.compare)],
        claimed,
        vec![
            label("known"),
            (strings::trust_long(&knock.trust), pen::trust_style(theme, &knock.trust)),
        ],
        vec![label("invite"), (knock.invite.clone(), theme.text)],
        keys,
    ];
    if let Some(like) = &knock.looks_like {
        rows.insert(3, vec![label("looks like"), (like.clone(), theme.warn)]);
    }
    rows
}
