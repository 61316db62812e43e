//! Colours: few, calm, and never the only carrier of a meaning. `NO_COLOR` leaves bold, dim and
//! reversed.

use ratatui::style::{Color, Modifier, Style};

/// What each kind of text looks like.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    /// Behind everything; `None`: the terminal's own background. Own colours need a ground of
    /// their own: the terminal may be light or dark.
    pub ground: Option<Color>,
    /// Ordinary words.
    pub text: Style,
    /// Labels, units, hints.
    pub dim: Style,
    /// Names and headings.
    pub strong: Style,
    /// Call words, fingerprints: what people compare.
    pub compare: Style,
    /// Something good and checked.
    pub good: Style,
    /// Something to notice.
    pub warn: Style,
    /// Something wrong.
    pub bad: Style,
    /// A bar that must be read.
    pub alarm: Style,
    /// A key to press.
    pub key: Style,
    /// Frames of boxes.
    pub frame: Style,
    /// Frame of a tile whose owner speaks.
    pub frame_live: Style,
    /// The first line.
    pub head: Style,
    /// Dark modules on light ground, for QR codes; `None`: no colours at all.
    pub qr: Option<Style>,
}

impl Theme {
    /// The theme for an environment: `NO_COLOR` set and not empty, or colours.
    pub fn for_env(no_color: Option<&std::ffi::OsStr>, true_color: bool) -> Self {
        match no_color {
            Some(value) if !value.is_empty() => Self::mono(),
            _ if true_color => Self::colour(),
            _ => Self::ansi(),
        }
    }

    /// True colour.
    pub fn colour() -> Self {
        let fg = |r, g, b| Style::new().fg(Color::Rgb(r, g, b));
        Self {
            ground: Some(Color::Rgb(17, 19, 23)),
            text: fg(200, 204, 209),
            dim: fg(126, 134, 144),
            strong: fg(236, 238, 241).add_modifier(Modifier::BOLD),
            compare: fg(134, 196, 206).add_modifier(Modifier::BOLD),
            good: fg(142, 190, 140),
            warn: fg(222, 178, 104),
            bad: fg(226, 116, 108).add_modifier(Modifier::BOLD),
            alarm: Style::new()
                .fg(Color::Rgb(24, 20, 16))
                .bg(Color::Rgb(222, 178, 104))
                .add_modifier(Modifier::BOLD),
            key: fg(134, 196, 206).add_modifier(Modifier::BOLD),
            frame: fg(74, 82, 92),
            frame_live: fg(134, 196, 206),
            head: fg(126, 134, 144),
            qr: Some(Style::new().fg(Color::Rgb(0, 0, 0)).bg(Color::Rgb(255, 255, 255))),
        }
    }

    /// The terminal's own 16 colours.
    pub fn ansi() -> Self {
        let fg = |color| Style::new().fg(color);
        Self {
            ground: None,
            text: Style::new(),
            dim: fg(Color::DarkGray),
            strong: Style::new().add_modifier(Modifier::BOLD),
            compare: fg(Color::Cyan).add_modifier(Modifier::BOLD),
            good: fg(Color::Green),
            warn: fg(Color::Yellow),
            bad: fg(Color::Red).add_modifier(Modifier::BOLD),
            alarm: fg(Color::Black).bg(Color::Yellow),
            key: fg(Color::Cyan).add_modifier(Modifier::BOLD),
            frame: fg(Color::DarkGray),
            frame_live: fg(Color::Cyan),
            head: fg(Color::DarkGray),
            qr: Some(Style::new().fg(Color::Indexed(16)).bg(Color::Indexed(231))),
        }
    }

    /// No colours.
    pub fn mono() -> Self {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let dim = Style::new().add_modifier(Modifier::DIM);
        let reversed = Style::new().add_modifier(Modifier::REVERSED);
        Self {
            ground: None,
            text: Style::new(),
            dim,
            strong: bold,
            compare: bold,
            good: Style::new(),
            warn: bold,
            bad: bold,
            alarm: reversed,
            key: bold,
            frame: dim,
            frame_live: bold,
            head: dim,
            qr: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn no_color_means_no_colour() {
        let theme = Theme::for_env(Some(OsStr::new("1")), true);
        let styles = [
            theme.text,
            theme.dim,
            theme.strong,
            theme.compare,
            theme.good,
            theme.warn,
            theme.bad,
            theme.alarm,
            theme.key,
            theme.frame,
            theme.frame_live,
            theme.head,
        ];
        assert!(styles.iter().all(|s| s.fg.is_none() && s.bg.is_none()));
        assert!(theme.qr.is_none());
    }

    #[test]
    fn an_empty_no_color_counts_as_unset() {
        assert!(Theme::for_env(Some(OsStr::new("")), true).qr.is_some());
    }
}
