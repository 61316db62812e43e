//! The demonstration: what Ada, Eve and Ben see side by side, and the facts under it.

use super::panes;
use super::pen::{self, Row};
use super::tiles;
use crate::tui::model::{AttackInfo, DemoFlow, DemoScreen, Model, Pane, TileRole};
use crate::tui::strings;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// Lines the facts need at least.
const FACTS: u16 = 12;

pub(super) fn head(model: &Model, demo: &DemoScreen, area: Rect, buf: &mut Buffer) {
    let theme = &model.theme;
    let [ada, left, right, ben] = demo.ports;
    let row: Row = vec![
        (strings::NAME.into(), theme.strong),
        ("  Ada ".into(), theme.text),
        (format!(":{ada}"), theme.dim),
        (" ⇄ ".into(), theme.dim),
        (format!(":{left}"), theme.dim),
        (" Eve ".into(), theme.text),
        (format!(":{right}"), theme.dim),
        (" ⇄ ".into(), theme.dim),
        (format!(":{ben}"), theme.dim),
        (" Ben".into(), theme.text),
    ];
    let end = pen::row(buf, area.x + 1, area.y, area.width - 2, &row);
    let rest = Rect { x: end + 2, width: area.right().saturating_sub(end + 2), ..area };
    pen::right_fitting(buf, rest, "UDP on 127.0.0.1", "\0", theme.dim);
}

pub(super) fn draw(
    model: &Model,
    demo: &DemoScreen,
    area: Rect,
    buf: &mut Buffer,
) -> Vec<(TileRole, Rect)> {
    let theme = &model.theme;
    let width = (area.width - 2) / 3;
    let height = tiles::picture_height(model, width).min(area.height.saturating_sub(FACTS)).max(4);
    let left = area.x + (area.width - (3 * width + 2)) / 2;
    let place = |n: u16| Rect { x: left + n * (width + 1), y: area.y, width, height };
    let eve_title: Row = vec![
        ("Eve".into(), theme.strong),
        (format!(" sees {}", strings::eve_sees(demo.eve_sees)), theme.warn),
    ];
    let sees = |who: &str, whom: &str| -> Row {
        vec![(who.into(), theme.strong), (format!(" sees {whom}"), theme.dim)]
    };
    let flow = |flow: &DemoFlow| -> Row {
        let ms = flow.latency_ms.map_or("–".into(), |ms| ms.to_string());
        vec![(format!("{:.0} fps · {ms} ms", flow.fps), theme.text)]
    };
    let opened: Row = if demo.handed_over {
        vec![("with Ben's key".into(), theme.warn)]
    } else {
        vec![(format!("opened {}", strings::thousands(demo.tried[1])), theme.text)]
    };
    let three = [
        (&demo.ada, sees("Ada", "Ben"), flow(&demo.flows[1])),
        (&demo.eve, eve_title, opened),
        (&demo.ben, sees("Ben", "Ada"), flow(&demo.flows[0])),
    ];
    let mut drawn = Vec::new();
    for ((tile, title, state), n) in three.iter().zip(0..) {
        drawn.extend(tiles::framed(model, tile, title, state, place(n), buf));
    }
    let below = Rect { y: area.y + height, height: area.height - height, ..area };
    match model.pane {
        Some(Pane::Explain | Pane::Help) => {
            panes::draw(model, below, buf);
        }
        _ => facts(model, demo, below, buf),
    }
    drawn
}

fn facts(model: &Model, demo: &DemoScreen, area: Rect, buf: &mut Buffer) {
    let theme = &model.theme;
    let bar = Rect { height: 1, ..area };
    let line: Row = match (&demo.attack, &demo.exporting) {
        (Some(attack), _) => attack_row(model, attack),
        _ if demo.handed_over => vec![(strings::HANDED_OVER.into(), theme.alarm)],
        (None, Some(file)) => vec![(strings::exporting(file), theme.alarm)],
        _ => vec![(strings::NOT_HANDED_OVER.into(), theme.dim)],
    };
    if demo.attack.is_none() && (demo.handed_over || demo.exporting.is_some()) {
        buf.set_style(bar, theme.alarm);
    }
    pen::row(buf, bar.x + 1, bar.y, bar.width - 2, &line);
    let roomy = area.height >= FACTS + 2;
    let top = area.y + 1 + u16::from(roomy);
    let below = Rect { y: top, height: area.bottom().saturating_sub(top), ..area };
    let half = (below.width - 2) / 2;
    let left = Rect { x: below.x + 1, width: half - 1, ..below };
    let right = Rect { x: below.x + half + 2, width: below.width - half - 3, ..below };
    let calls = call_rows(model, demo, (!roomy).then_some(left.width));
    let searches = search_rows(model, demo, right.width);
    pen::rows_in(buf, left, theme, &calls, strings::MORE);
    pen::rows_in(buf, right, theme, &searches, strings::MORE);
    // Where there is room, what one is looking at stands below anyway.
    let used = calls.len().max(searches.len()) as u16 + 2;
    let room = Rect {
        y: below.y + used,
        x: below.x + 1,
        width: below.width - 2,
        height: below.height.saturating_sub(used),
    };
    let rows = panes::explain(theme.dim);
    let lines: usize = rows.iter().map(|row| pen::wrap_row(row, room.width).len()).sum();
    if lines <= usize::from(room.height) {
        pen::rows_in(buf, room, theme, &rows, strings::MORE);
    }
}

/// An attack in one line: what Eve does, and what the members' machines say.
fn attack_row(model: &Model, attack: &AttackInfo) -> Row {
    let theme = &model.theme;
    let style = if attack.over { theme.dim } else { theme.warn };
    vec![
        (format!("{} ", attack.key), theme.key),
        (attack.eve.clone(), style),
        (" → ".into(), theme.dim),
        (attack.members.clone(), theme.text),
        (if attack.over { " (over)" } else { "" }.into(), theme.dim),
    ]
}

/// What Ada's and Ben's machines say. Where room is short the suite gets one line of `width`.
fn call_rows(model: &Model, demo: &DemoScreen, width: Option<u16>) -> Vec<Row> {
    let theme = &model.theme;
    let label = |text: &str| (format!("{text:<9}"), theme.dim);
    let [ada, ben] = demo.epoch;
    let epoch = if ada == ben {
        (format!("{ada} at both"), theme.text)
    } else {
        (format!("Ada {ada}, Ben {ben}"), theme.warn)
    };
    let mut rows: Vec<Row> = vec![
        vec![("Ada and Ben".into(), theme.strong)],
        vec![label("keys"), (format!("held by {}", demo.roster.join(", ")), theme.text)],
        vec![label("epoch"), epoch],
    ];
    let suite = match width {
        Some(width) => pen::cut(&demo.suite, width.saturating_sub(9)),
        None => demo.suite.clone(),
    };
    rows.push(vec![label("suite"), (suite, theme.text)]);
    match &demo.words {
        [Some(words), Some(_)] if demo.words_agree() => {
            let all: Vec<&str> = words.split_whitespace().filter(|w| *w != "·").collect();
            for (n, four) in all.chunks(4).enumerate() {
                let head = if n == 0 { "words" } else { "" };
                rows.push(vec![label(head), (four.join(" "), theme.compare)]);
            }
            rows.push(vec![label(""), ("the same at both".into(), theme.good)]);
        }
        [Some(_), Some(_)] => rows.push(vec![label("words"), ("DIFFER".into(), theme.bad)]),
        _ => rows.push(vec![label("words"), ("one moment".into(), theme.dim)]),
    }
    for (name, flow) in ["Ada→Ben", "Ben→Ada"].iter().zip(&demo.flows) {
        let ms = flow.latency_ms.map_or("–".into(), |ms| ms.to_string());
        let figures = format!("{:.0} fps · {ms} ms · {} kbit/s", flow.fps, flow.kbps);
        rows.push(vec![label(name), (figures, theme.text)]);
    }
    let [there, back] = [&demo.flows[0], &demo.flows[1]].map(|flow| flow.loss_pct);
    rows.push(vec![label("lost"), (format!("{there:.1} % · {back:.1} %"), theme.text)]);
    rows.push(vec![
        label("Eve saw"),
        (
            format!(
                "{} packets, {} kB",
                strings::thousands(demo.seen[0]),
                strings::thousands(demo.seen[1] / 1000)
            ),
            theme.text,
        ),
    ]);
    rows
}

/// What Eve finds, beside the control that shows the search works.
fn search_rows(model: &Model, demo: &DemoScreen, width: u16) -> Vec<Row> {
    let theme = &model.theme;
    let columns = |what: String, a: (String, _), b: (String, _), style| -> Row {
        let room = usize::from(width.saturating_sub(18));
        let pad = room.saturating_sub(usize::from(pen::width(&what)));
        vec![
            (format!("{what}{}", " ".repeat(pad)), style),
            (format!("{:>8}", a.0), a.1),
            (format!("{:>10}", b.0), b.1),
        ]
    };
    let mut rows = vec![columns(
        strings::SEARCH_TITLE.into(),
        (strings::SEARCH_HITS.into(), theme.dim),
        (strings::SEARCH_CONTROL.into(), theme.dim),
        theme.strong,
    )];
    let counted = |what: &str, hits: u64, control: u64| {
        let found = if hits == 0 { theme.good } else { theme.bad };
        let checked = if control == 0 { theme.warn } else { theme.text };
        columns(
            what.into(),
            (strings::thousands(hits), found),
            (strings::thousands(control), checked),
            theme.text,
        )
    };
    for row in &demo.searches {
        rows.push(counted(row.what, row.hits, row.control));
    }
    let (hits, control) = demo.totals();
    let verdict = match (hits, control) {
        (_, 0) => ("the search is not checked yet".to_string(), theme.warn),
        (0, _) => ("nothing found; the control works".to_string(), theme.good),
        _ => ("FOUND ON THE LINE".to_string(), theme.bad),
    };
    rows.push(vec![verdict]);
    rows.push(vec![
        ("entropy ".into(), theme.dim),
        (format!("{:.2} → {:.2} bit", demo.entropy[0], demo.entropy[1]), theme.text),
        (" (no proof)".into(), theme.dim),
    ]);
    rows.push(vec![
        ("frames ".into(), theme.dim),
        (
            format!(
                "tried {}, opened {}",
                strings::thousands(demo.tried[0]),
                strings::thousands(demo.tried[1])
            ),
            theme.text,
        ),
    ]);
    rows
}

/// The facts for a screen without room for pictures.
pub(super) fn short_rows(model: &Model, demo: &DemoScreen) -> Vec<Row> {
    let theme = &model.theme;
    let (hits, control) = demo.totals();
    let agree = if demo.words_agree() { "words the same" } else { "words not the same yet" };
    vec![
        vec![("Ada ⇄ Eve ⇄ Ben".into(), theme.strong)],
        vec![(format!("plaintext hits {hits} (control {control})"), theme.text)],
        vec![(format!("epoch {}, {agree}", demo.epoch[0]), theme.text)],
    ]
}
