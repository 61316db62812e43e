//! What can this terminal do? One batch of questions, fenced by one that every terminal answers,
//! and the environment; the decision says its reasons.

use super::input::Reply;
use crate::paint::{Ansi, Depth, Look, Mode, PixelTerminal, Protocol, Tile};
use std::collections::BTreeMap;

/// The questions, in order: name, synchronized output, sizes of cell and window, sixel's colours
/// and geometry, the width of a sextant (told by the cursor in row 2) and of an octant (row 3). On a
/// cleared alternate screen; what was drawn is wiped again.
const QUESTIONS: &str = "\x1b[>0q\x1b[?2026$p\x1b[16t\x1b[14t\x1b[?1;1;0S\x1b[?2;1;0S\
    \x1b[2;1H\u{1FB02}\x1b[6n\x1b[2;1H\x1b[2K\x1b[3;1H\u{1CD03}\x1b[6n\x1b[3;1H\x1b[2K";
/// Does it know kitty's graphics? A picture of one pixel, not shown. Multiplexers take the sequence
/// for a title, so they are not asked.
const KITTY: &str = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\";
/// How do the 16 ANSI colours look? One by one: not all terminals know of several in one question.
const COLOURS: u8 = 16;
/// Numbers of this question and of the same about shared memory.
const KITTY_DIRECT: u32 = 31;
const KITTY_SHARED: u32 = 32;
/// The last question (DA1) is answered by everything: no other answer comes after its.
const FENCE: &str = "\x1b[c";

/// The variables that say something about the terminal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<&'static str, String>);

const VARIABLES: [&str; 15] = [
    "TERM",
    "COLORTERM",
    "TERM_PROGRAM",
    "TERM_PROGRAM_VERSION",
    "TMUX",
    "STY",
    "SSH_CONNECTION",
    "SSH_TTY",
    "NO_COLOR",
    "WT_SESSION",
    "VTE_VERSION",
    "LC_ALL",
    "LC_CTYPE",
    "LANG",
    "KITTY_WINDOW_ID",
];

impl Environment {
    /// This process's environment.
    pub fn read() -> Self {
        Self::from_fn(|name| std::env::var(name).ok())
    }

    /// An environment from a function, for tests.
    pub fn from_fn(get: impl Fn(&str) -> Option<String>) -> Self {
        Self(
            VARIABLES
                .into_iter()
                .filter_map(|name| Some((name, get(name).filter(|v| !v.is_empty())?)))
                .collect(),
        )
    }

    fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether asking the terminal makes sense: some that cannot answer print the questions.
    pub(super) fn answers(&self) -> bool {
        !matches!(self.get("TERM"), "" | "dumb" | "linux")
    }

    /// What to ask. `shared`: the name, in base64, of an object in shared memory with one pixel.
    pub(super) fn questions(&self, shared: Option<&str>) -> String {
        let colours: String = match self.is_screen() {
            // It answers nothing of that kind, and doesn't let it through.
            true => String::new(),
            false => (0..COLOURS).map(|n| format!("\x1b]4;{n};?\x1b\\")).collect(),
        };
        if self.is_multiplexed() {
            return format!("{QUESTIONS}{colours}{FENCE}");
        }
        let shared = shared.map_or(String::new(), |name| {
            format!("\x1b_Gi={KITTY_SHARED},s=1,v=1,a=q,t=s,f=24;{name}\x1b\\")
        });
        format!("{KITTY}{shared}{QUESTIONS}{colours}{FENCE}")
    }

    /// The terminal may be on this machine and show what lies in its memory.
    pub(super) fn may_share(&self) -> bool {
        self.answers() && !self.is_multiplexed() && !self.is_remote()
    }

    /// Inside GNU screen, which gives `TERM` the name that tmux gives it, too.
    fn is_screen(&self) -> bool {
        self.has("STY") || self.get("TERM").starts_with("screen") && !self.has("TMUX")
    }

    /// Inside tmux or GNU screen.
    pub fn is_multiplexed(&self) -> bool {
        self.has("TMUX") || self.has("STY") || self.get("TERM").starts_with("screen")
    }

    /// The terminal is reached over a network.
    pub fn is_remote(&self) -> bool {
        self.has("SSH_CONNECTION") || self.has("SSH_TTY")
    }

    fn vte(&self) -> u32 {
        self.get("VTE_VERSION").parse().unwrap_or(0)
    }

    fn utf8(&self) -> Option<bool> {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find(|n| self.has(n))?;
        let value = self.get(locale).to_ascii_lowercase();
        Some(value.contains("utf-8") || value.contains("utf8"))
    }
}

/// The answers that came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replies {
    /// Name and version by its own account.
    pub version: Option<String>,
    /// It knows the mode of synchronized output.
    pub sync: Option<bool>,
    /// Cell size in pixels.
    pub cell: Option<(u16, u16)>,
    /// Text area in pixels.
    pub window: Option<(u16, u16)>,
    /// Columns that a sextant took.
    pub sextant_width: Option<u16>,
    /// Columns that an octant took.
    pub octant_width: Option<u16>,
    /// It understood a question of kitty's graphics protocol.
    pub kitty: Option<bool>,
    /// It read a picture of that protocol from shared memory.
    pub kitty_shared: bool,
    /// It has sixel graphics (DA1, attribute 4).
    pub sixel: bool,
    /// Colours a sixel picture may have at once.
    pub sixel_colours: Option<u16>,
    /// Largest sixel picture in pixels.
    pub sixel_size: Option<(u16, u16)>,
    /// How its first 16 colours look, as far as it told.
    pub colours: [Option<[u8; 3]>; COLOURS as usize],
    /// The fence was answered.
    pub complete: bool,
}

impl Replies {
    /// Takes an answer in.
    pub fn learn(&mut self, reply: &Reply) {
        match reply {
            Reply::Version(version) => self.version = Some(version.clone()),
            Reply::Mode(2026, state) => self.sync = Some(matches!(state, 1..=3)),
            Reply::Mode(..) => {}
            Reply::CellPixels(w, h) => self.cell = Some((*w, *h)),
            Reply::WindowPixels(w, h) => self.window = Some((*w, *h)),
            Reply::Cursor(2, column) => self.sextant_width = Some(column.saturating_sub(1)),
            Reply::Cursor(3, column) => self.octant_width = Some(column.saturating_sub(1)),
            Reply::Cursor(..) => {}
            Reply::Kitty(KITTY_DIRECT, understood) => self.kitty = Some(*understood),
            Reply::Kitty(KITTY_SHARED, understood) => self.kitty_shared = *understood,
            Reply::Kitty(..) => {}
            Reply::Colour(number, look) => {
                if let Some(colour) = self.colours.get_mut(usize::from(*number)) {
                    *colour = Some(*look);
                }
            }
            Reply::Graphics(1, colours, _) => self.sixel_colours = Some(*colours),
            Reply::Graphics(2, w, h) => self.sixel_size = Some((*w, *h)),
            Reply::Graphics(..) => {}
            Reply::Attributes(attributes) => {
                self.sixel = attributes.contains(&4);
                self.complete = true;
            }
        }
    }
}

/// What a terminal said of its sixel graphics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sixel {
    /// Colours a picture may have at once; 256 when it didn't say.
    pub colours: u16,
    /// Largest picture in pixels, if it said.
    pub most: Option<(u16, u16)>,
}

/// What the terminal can do, and why we think so.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// It can be drawn on at all (not `TERM=dumb`).
    pub usable: bool,
    /// Best graphics mode.
    pub mode: Mode,
    /// Colours.
    pub depth: Depth,
    /// How it shows the 16 ANSI colours; xterm's where it didn't tell.
    pub ansi: Ansi,
    /// It shows a frame at once when asked to (mode 2026).
    pub sync: bool,
    /// Cell size in pixels, width and height; a usual one when it is not known.
    pub cell_px: (u16, u16),
    /// Whether `cell_px` was told by the terminal.
    pub cell_known: bool,
    /// Name and version by its own account; empty when it didn't say.
    pub terminal: String,
    /// It is reached over a network.
    pub remote: bool,
    /// It draws octants.
    pub octants: bool,
    /// It knows kitty's graphics protocol.
    pub kitty: bool,
    /// It reads pictures of that protocol from this machine's memory.
    pub kitty_shared: bool,
    /// It shows iTerm2's inline pictures, by its name.
    pub iterm2: bool,
    /// It shows sixels: colours at once and the largest picture in pixels, where it said so.
    pub sixel: Option<Sixel>,
    /// One sentence per decision.
    pub why: Vec<String>,
    environment: Environment,
    replies: Replies,
    cells: (u16, u16),
    kernel_px: (u16, u16),
}

/// Terminals that draw sextants themselves, by the name they tell. All others need a font with
/// them and show *nothing* without: xterm, for one, and the width looks right all the same.
const DRAWS_SEXTANTS: [&str; 9] =
    ["kitty", "foot", "wezterm", "ghostty", "contour", "vte", "iterm2", "windows terminal", "rio"];
/// The same by `TERM`.
const TERM_DRAWS_SEXTANTS: [&str; 6] = ["kitty", "foot", "wezterm", "ghostty", "contour", "rio"];
/// Since this version VTE draws sextants itself.
const VTE_DRAWS_SEXTANTS: u32 = 6200;
/// Terminals that draw octants (Unicode 16) themselves, by the name they tell, and since when. Older
/// ones show boxes, nothing, or take two columns.
const DRAWS_OCTANTS: [(&str, (u32, u32)); 4] =
    [("kitty", (0, 40)), ("foot", (1, 20)), ("ghostty", (1, 2)), ("vte", (7800, 0))];

impl Probe {
    /// Decides. `cells` is the screen's size in columns and rows, `kernel_px` its size in pixels
    /// as the kernel knows it (0 = it doesn't).
    pub fn decide(
        environment: Environment,
        replies: Replies,
        cells: (u16, u16),
        kernel_px: (u16, u16),
    ) -> Self {
        let mut why = Vec::new();
        let term = environment.get("TERM").to_string();
        let usable = !matches!(term.as_str(), "" | "dumb");
        let terminal = replies.version.clone().unwrap_or_default();
        let mode = mode(&environment, &replies, &mut why);
        let depth = depth(&environment, &terminal, &mut why);
        let ansi = ansi(&environment, &replies, depth, &mut why);
        let sync = replies.sync == Some(true);
        let octants = octants(&environment, &replies, &mut why);
        let mode = if octants && mode == Mode::Mixed { Mode::MixedOctant } else { mode };
        let (kitty, sixel) = pixels(&environment, &replies, &mut why);
        let iterm2 = iterm2(&environment, &terminal);
        why.push(match replies.sync {
            Some(true) => "frames shown at once: the terminal knows mode 2026".into(),
            Some(false) => "no synchronized output: the terminal doesn't know mode 2026".into(),
            None => "no synchronized output: the terminal didn't answer".into(),
        });
        let (cell_px, cell_known) = cell(&replies, cells, kernel_px, &mut why);
        let remote = environment.is_remote();
        if remote {
            why.push("reached over ssh: every byte counts".into());
        }
        if !replies.complete && environment.answers() {
            why.push("the terminal did not answer all questions in time".into());
        }
        Self {
            usable,
            mode,
            depth,
            ansi,
            sync,
            cell_px,
            cell_known,
            terminal,
            remote,
            octants,
            kitty,
            kitty_shared: kitty && replies.kitty_shared,
            iterm2,
            sixel,
            why,
            environment,
            replies,
            cells,
            kernel_px,
        }
    }

    /// Of how many of the 16 ANSI colours the terminal told how they look.
    pub fn told_colours(&self) -> usize {
        self.replies.colours.iter().flatten().count()
    }

    /// Whether the last question was answered: whatever comes now answers something else.
    pub fn is_complete(&self) -> bool {
        self.replies.complete
    }

    /// The ways to show pixels that it has, best first. Sixels need the true size of a cell.
    pub fn protocols(&self) -> Vec<Protocol> {
        let sixel = self.sixel.is_some() && self.cell_known;
        [(self.kitty, Protocol::Kitty), (self.iterm2, Protocol::Iterm2), (sixel, Protocol::Sixel)]
            .into_iter()
            .filter_map(|(has, protocol)| has.then_some(protocol))
            .collect()
    }

    /// All ways to show pictures that make sense here, plainest first: glyphs that took another room
    /// than one column are left out.
    pub fn looks(&self) -> Vec<Look> {
        let broken = |width: Option<u16>| width.is_some_and(|width| width != 1);
        let breaks = |mode: &Mode| match mode {
            Mode::Sextant | Mode::Mixed => broken(self.replies.sextant_width),
            Mode::Octant | Mode::MixedOctant => {
                broken(self.replies.sextant_width) || broken(self.replies.octant_width)
            }
            _ => false,
        };
        let modes = Mode::ALL.into_iter().filter(|mode| !breaks(mode)).map(Look::Cells);
        modes.chain(self.protocols().into_iter().map(Look::Pixels)).collect()
    }

    /// The best way to show pictures: pixels where they cost the terminal next to nothing – in
    /// memory that it shares with us –, else cells. All others are for the user to choose.
    pub fn look(&self) -> Look {
        if self.kitty_shared { Look::Pixels(Protocol::Kitty) } else { Look::Cells(self.mode) }
    }

    /// What a tile must know to show pixels. `number` is its own, from 0.
    pub fn pixel_terminal(&self, screen_rows: u16, number: u32) -> PixelTerminal {
        let sixel = self.sixel.unwrap_or(Sixel { colours: 256, most: None });
        PixelTerminal {
            sixel_colours: sixel.colours,
            sixel_max_size: sixel.most,
            screen_rows,
            // Others may have pictures on this terminal, too.
            id_base: 0x00fa_ce00 + 2 * number,
            ansi: self.ansi,
        }
    }

    /// Lets a tile show kitty's pictures through memory, if the terminal can read there. `number`: the
    /// tile's own.
    pub fn share(&self, tile: &mut Tile, number: u32) {
        if self.kitty_shared && tile.look() == Look::Pixels(Protocol::Kitty) {
            tile.share(Box::new(super::SharedMemory::new(number)));
        }
    }

    /// Takes in an answer that came after the probe was over (slow line); `true`: something is
    /// different now.
    pub fn learn(&mut self, reply: &Reply) -> bool {
        let mut replies = self.replies.clone();
        replies.learn(reply);
        let now = Self::decide(self.environment.clone(), replies, self.cells, self.kernel_px);
        let decided = |p: &Self| {
            let pixels = (p.kitty, p.kitty_shared, p.iterm2, p.sixel);
            let ansi = (p.depth == Depth::Ansi16).then_some(p.ansi);
            (p.mode, p.depth, p.sync, p.cell_px, p.octants, pixels, ansi)
        };
        let changed = decided(&now) != decided(self);
        *self = now;
        changed
    }
}

fn mode(environment: &Environment, replies: &Replies, why: &mut Vec<String>) -> Mode {
    let term = environment.get("TERM");
    let (mode, reason) = match (term, replies.sextant_width) {
        ("" | "dumb", _) => (Mode::Ascii, "TERM says it is no screen".to_string()),
        ("linux", _) => {
            (Mode::Half, "half blocks: the Linux console's font has no more".to_string())
        }
        (_, Some(1)) => match draws_sextants(environment, replies) {
            Some(who) => (Mode::Mixed, format!("sextants: {who} draws them")),
            None => (
                Mode::Quadrant,
                "quadrants: sextants need a font that has them here (try them by hand)".to_string(),
            ),
        },
        (_, Some(w)) if w > 2 => {
            (Mode::Ascii, format!("ASCII: a sextant took {w} columns, so no UTF-8 here"))
        }
        (_, Some(w)) => (Mode::Quadrant, format!("quadrants: a sextant took {w} columns")),
        (_, None) => match environment.utf8() {
            Some(false) => (Mode::Ascii, "ASCII: the locale is not UTF-8".to_string()),
            _ => (Mode::Quadrant, "quadrants: the width of sextants is unknown".to_string()),
        },
    };
    why.push(reason);
    mode
}

/// What tells that the terminal draws sextants without a font.
fn draws_sextants(environment: &Environment, replies: &Replies) -> Option<String> {
    if let Some(version) = &replies.version {
        let name = version.to_ascii_lowercase();
        // A multiplexer or xterm answers for itself: nothing else then counts.
        return DRAWS_SEXTANTS.iter().any(|n| name.starts_with(n)).then(|| version.clone());
    }
    if environment.has("TMUX") || environment.has("STY") {
        return None;
    }
    let term = environment.get("TERM");
    if TERM_DRAWS_SEXTANTS.iter().any(|n| term.contains(n)) {
        return Some(term.to_string());
    }
    if environment.has("WT_SESSION") {
        return Some("Windows Terminal".to_string());
    }
    let vte = environment.vte();
    (vte >= VTE_DRAWS_SEXTANTS).then(|| format!("VTE {vte}"))
}

/// The first two numbers in a version: "foot(1.20.2)" is 1.20, "VTE(7802)" is 7802.0.
fn numbers(version: &str) -> (u32, u32) {
    let mut parts = version
        .split(|c: char| !c.is_ascii_digit())
        .filter(|digits| !digits.is_empty())
        .map(|digits| digits.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

fn octants(environment: &Environment, replies: &Replies, why: &mut Vec<String>) -> bool {
    let version = replies.version.as_deref().unwrap_or_default();
    let name = version.to_ascii_lowercase();
    let draws = DRAWS_OCTANTS
        .iter()
        .any(|(terminal, since)| name.starts_with(terminal) && numbers(version) >= *since);
    let (octants, reason) = match replies.octant_width {
        _ if environment.is_multiplexed() => (false, "no octants: inside a multiplexer".into()),
        Some(1) if draws => (true, format!("octants: {version} draws them")),
        Some(1) => (false, "no octants: the terminal isn't known to draw them".into()),
        Some(w) => (false, format!("no octants: one took {w} columns")),
        None => (false, "no octants: their width is unknown".into()),
    };
    why.push(reason);
    octants
}

/// Kitty's graphics, and sixels.
fn pixels(
    environment: &Environment,
    replies: &Replies,
    why: &mut Vec<String>,
) -> (bool, Option<Sixel>) {
    if environment.is_multiplexed() {
        why.push("no pixel graphics: a multiplexer doesn't pass them on in order".into());
        return (false, None);
    }
    let kitty = replies.kitty == Some(true);
    let sixel = replies.sixel.then(|| Sixel {
        colours: replies.sixel_colours.filter(|n| *n >= 2).unwrap_or(256),
        most: replies.sixel_size.filter(|(w, h)| *w > 0 && *h > 0),
    });
    why.push(match (kitty, sixel) {
        (true, _) => "pixels: the terminal knows kitty's graphics protocol".into(),
        (false, Some(Sixel { colours, most: Some((w, h)) })) => {
            format!("pixels: sixels of {colours} colours, {w}x{h} at most")
        }
        (false, Some(Sixel { colours, most: None })) => {
            format!("pixels: sixels of {colours} colours")
        }
        (false, None) => "no pixel graphics: the terminal told of none".into(),
    });
    (kitty, sixel)
}

/// Terminals that show iTerm2's inline pictures, by the name they tell.
const SHOWS_ITERM2: [&str; 4] = ["iterm2", "wezterm", "mintty", "konsole"];

fn iterm2(environment: &Environment, terminal: &str) -> bool {
    let name = terminal.to_ascii_lowercase();
    let named = SHOWS_ITERM2.iter().any(|n| name.starts_with(n));
    !environment.is_multiplexed() && (named || environment.get("TERM_PROGRAM") == "iTerm.app")
}

fn depth(environment: &Environment, terminal: &str, why: &mut Vec<String>) -> Depth {
    let term = environment.get("TERM");
    let colorterm = environment.get("COLORTERM");
    let version = terminal.to_ascii_lowercase();
    let number = || -> u32 {
        let digits: String = version
            .chars()
            .skip_while(|c| !c.is_ascii_digit())
            .take_while(char::is_ascii_digit)
            .collect();
        digits.parse().unwrap_or(0)
    };
    let known =
        ["kitty", "foot", "wezterm", "ghostty", "contour", "iterm2", "konsole", "vte", "mlterm"];
    let by_term = ["kitty", "alacritty", "foot", "ghostty", "wezterm", "contour"];
    let vte = environment.vte();
    let (depth, reason): (Depth, String) = if matches!(term, "" | "dumb") {
        (Depth::Mono, "no colours: TERM says so".into())
    } else if term == "linux" {
        (Depth::Ansi16, "16 colours: the Linux console".into())
    } else if environment.is_screen() {
        // It turns what it is given into what it believes the outer terminal has.
        if term.contains("256color") {
            (Depth::Indexed256, format!("256 colours: inside GNU screen, TERM={term}"))
        } else {
            (Depth::Ansi16, format!("16 colours: inside GNU screen, TERM={term}"))
        }
    } else if matches!(colorterm, "truecolor" | "24bit") {
        (Depth::True, format!("true colour: COLORTERM={colorterm}"))
    } else if known.iter().any(|name| version.starts_with(name))
        || version.starts_with("xterm") && number() >= 331
    {
        (Depth::True, format!("true colour: {terminal} has it"))
    } else if term.ends_with("-direct") || by_term.iter().any(|name| term.contains(name)) {
        (Depth::True, format!("true colour: TERM={term}"))
    } else if environment.has("WT_SESSION") {
        (Depth::True, "true colour: Windows Terminal".into())
    } else if vte >= 3600 {
        (Depth::True, format!("true colour: VTE {vte}"))
    } else if term.contains("256color") || environment.has("TMUX") || !version.is_empty() {
        (Depth::Indexed256, format!("256 colours: TERM={term}, and nothing tells of more"))
    } else if matches!(term, "vt100" | "vt102" | "vt220" | "vt320") {
        (Depth::Mono, format!("no colours: TERM={term}"))
    } else {
        (Depth::Indexed256, format!("256 colours: a guess, for TERM={term}"))
    };
    why.push(reason);
    depth
}

/// How the first 16 colours look. Only pictures of no more colours use them: whoever shows 256 has 240
/// that look alike everywhere.
fn ansi(environment: &Environment, replies: &Replies, depth: Depth, why: &mut Vec<String>) -> Ansi {
    let console = environment.get("TERM") == "linux";
    let mut ansi = if console { Ansi::VGA } else { Ansi::XTERM };
    let mut told = 0;
    for (colour, look) in ansi.0.iter_mut().zip(replies.colours) {
        if let Some(look) = look {
            (*colour, told) = (look, told + 1);
        }
    }
    if depth == Depth::Ansi16 {
        let looks = ansi.0.map(|[r, g, b]| format!("#{r:02x}{g:02x}{b:02x}")).join(" ");
        why.push(match told {
            0 if console => format!("they are the VGA's: {looks}"),
            0 => format!("they are taken for xterm's, the terminal didn't tell: {looks}"),
            16 => format!("they are as the terminal told: {looks}"),
            _ => format!("{told} of them are as the terminal told, the others xterm's: {looks}"),
        });
    } else if told > 0 {
        why.push(format!("{told} of the first 16 colours told, not needed at this depth"));
    }
    ansi
}

fn cell(
    replies: &Replies,
    (cols, rows): (u16, u16),
    kernel_px: (u16, u16),
    why: &mut Vec<String>,
) -> ((u16, u16), bool) {
    let per_cell =
        |(w, h): (u16, u16)| (w.checked_div(cols).unwrap_or(0), h.checked_div(rows).unwrap_or(0));
    let sane = |&(w, h): &(u16, u16)| {
        (3..=200).contains(&w) && (4..=400).contains(&h) && w * 4 >= h && w <= h * 2
    };
    let candidates = [
        (replies.cell, "cell size told by the terminal"),
        (replies.window.map(per_cell), "cell size from the window's size"),
        (Some(per_cell(kernel_px)), "cell size from the kernel"),
    ];
    for (candidate, reason) in candidates {
        if let Some((w, h)) = candidate.filter(sane) {
            why.push(format!("{reason}: {w}x{h} pixels"));
            return ((w, h), true);
        }
    }
    why.push("cell size unknown: taken as twice as high as wide".into());
    ((10, 20), false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn env(pairs: &[(&str, &str)]) -> Environment {
        Environment::from_fn(|name| {
            pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_string())
        })
    }

    fn answered() -> Replies {
        Replies { sextant_width: Some(1), complete: true, ..Replies::default() }
    }

    fn decide(pairs: &[(&str, &str)], replies: Replies) -> (Mode, Depth) {
        let p = Probe::decide(env(pairs), replies, (80, 24), (0, 0));
        assert!(p.why.len() >= 4);
        (p.mode, p.depth)
    }

    #[test]
    fn usual_terminals_get_their_best() {
        let named = |v: &str| Replies { version: Some(v.into()), ..answered() };
        let xterm = [("TERM", "xterm-256color"), ("LANG", "en_US.UTF-8")];
        for (pairs, replies, expected) in [
            (&xterm[..], named("XTerm(379)"), (Mode::Quadrant, Depth::True)),
            (&xterm, named("XTerm(300)"), (Mode::Quadrant, Depth::Indexed256)),
            (&xterm, answered(), (Mode::Quadrant, Depth::Indexed256)),
            (&xterm, Replies::default(), (Mode::Quadrant, Depth::Indexed256)),
            (&[("TERM", "xterm-kitty")], named("kitty(0.26)"), (Mode::Mixed, Depth::True)),
            (&[("TERM", "alacritty")], answered(), (Mode::Quadrant, Depth::True)),
            (
                &[("TERM", "linux"), ("LANG", "C.UTF-8")],
                Replies::default(),
                (Mode::Half, Depth::Ansi16),
            ),
            (&[("TERM", "dumb")], Replies::default(), (Mode::Ascii, Depth::Mono)),
            (&[], Replies::default(), (Mode::Ascii, Depth::Mono)),
            (
                &[("TERM", "xterm-256color"), ("TERM_PROGRAM", "Apple_Terminal")],
                answered(),
                (Mode::Quadrant, Depth::Indexed256),
            ),
            (
                &[("TERM", "xterm-256color"), ("WT_SESSION", "1")],
                answered(),
                (Mode::Mixed, Depth::True),
            ),
            (
                &[("TERM", "screen.xterm-256color"), ("STY", "1.x"), ("COLORTERM", "truecolor")],
                answered(),
                (Mode::Quadrant, Depth::Indexed256),
            ),
            (
                &[("TERM", "tmux-256color"), ("TMUX", "/tmp/x"), ("COLORTERM", "truecolor")],
                answered(),
                (Mode::Quadrant, Depth::True),
            ),
            (
                &[("TERM", "xterm"), ("LANG", "C")],
                Replies::default(),
                (Mode::Ascii, Depth::Indexed256),
            ),
            // NO_COLOR is about text.
            (&[("TERM", "xterm-kitty"), ("NO_COLOR", "1")], answered(), (Mode::Mixed, Depth::True)),
            (
                &[("TERM", "screen.xterm"), ("STY", "1.x")],
                answered(),
                (Mode::Quadrant, Depth::Ansi16),
            ),
        ] {
            assert_eq!(decide(pairs, replies), expected, "{pairs:?}");
        }
    }

    #[test]
    fn a_sextant_of_wrong_width_is_not_used() {
        for (width, mode) in [(0, Mode::Quadrant), (2, Mode::Quadrant), (4, Mode::Ascii)] {
            let replies = Replies { sextant_width: Some(width), ..answered() };
            assert_eq!(decide(&[("TERM", "xterm")], replies).0, mode);
        }
    }

    #[test]
    fn cell_size_comes_from_the_best_source_that_makes_sense() {
        let cell = |replies: Replies, kernel| {
            Probe::decide(env(&[("TERM", "xterm")]), replies, (80, 24), kernel).cell_px
        };
        let told = Replies { cell: Some((9, 18)), window: Some((800, 480)), ..answered() };
        assert_eq!(cell(told.clone(), (960, 576)), (9, 18));
        assert_eq!(cell(Replies { cell: Some((0, 0)), ..told.clone() }, (960, 576)), (10, 20));
        assert_eq!(cell(answered(), (960, 576)), (12, 24));
        assert_eq!(cell(answered(), (0, 0)), (10, 20));
        assert_eq!(cell(Replies { cell: Some((600, 2)), ..answered() }, (0, 0)), (10, 20));
    }

    #[test]
    fn late_answers_are_taken_in() {
        let mut p = Probe::decide(env(&[("TERM", "xterm")]), Replies::default(), (80, 24), (0, 0));
        assert!(!p.sync);
        assert!(p.learn(&Reply::Mode(2026, 2)));
        assert!(p.sync);
        assert!(!p.is_complete());
        assert!(!p.learn(&Reply::Cursor(2, 2)));
        assert!(p.learn(&Reply::Version("foot(1.13)".into())));
        assert_eq!((p.mode, p.depth), (Mode::Mixed, Depth::True));
        assert!(p.learn(&Reply::Cursor(3, 2)) == p.octants);
        assert!(!p.learn(&Reply::Attributes(vec![1])));
        assert!(p.is_complete());
    }

    #[test]
    fn octants_are_used_only_where_a_known_version_draws_them() {
        let xterm = [("TERM", "xterm-256color")];
        for (version, width, draws) in [
            ("kitty(0.40.1)", Some(1), true),
            ("kitty(0.39.9)", Some(1), false),
            ("foot(1.20.2)", Some(1), true),
            ("foot(1.13.1)", Some(2), false),
            ("foot(1.20.2)", None, false),
            ("ghostty 1.2.0", Some(1), true),
            ("VTE(7802)", Some(1), true),
            ("VTE(7600)", Some(1), false),
            ("XTerm(402)", Some(1), false),
            ("", Some(1), false),
        ] {
            let version = Some(version.to_string());
            let replies = Replies { version, octant_width: width, ..answered() };
            let p = Probe::decide(env(&xterm), replies.clone(), (80, 24), (0, 0));
            assert_eq!(p.octants, draws, "{:?}", replies.version);
            assert_eq!(p.mode == Mode::MixedOctant, draws);
            let offered = p.looks().contains(&Look::Cells(Mode::Octant));
            assert_eq!(offered, width.is_none_or(|w| w == 1), "{width:?}");
            let tmux = env(&[("TERM", "tmux-256color"), ("TMUX", "/tmp/x")]);
            assert!(!Probe::decide(tmux, replies, (80, 24), (0, 0)).octants);
        }
    }

    #[test]
    fn the_first_16_colours_are_as_told_and_matter_only_where_there_are_no_more() {
        let theme = |n: u8| [n, 255 - n, 10 * n];
        let mut replies = answered();
        for n in (0..=255).filter(|n| *n != 7) {
            replies.learn(&Reply::Colour(n, theme(n & 15)));
        }
        let few = env(&[("TERM", "screen"), ("STY", "1.tty")]);
        let p = Probe::decide(few.clone(), replies.clone(), (80, 24), (0, 0));
        assert_eq!((p.depth, p.told_colours()), (Depth::Ansi16, 15));
        for (n, look) in p.ansi.0.into_iter().enumerate() {
            let told = theme(n as u8);
            assert_eq!(look, if n == 7 { Ansi::XTERM.0[7] } else { told }, "{n}");
        }
        assert!(p.why.iter().any(|why| why.contains("15 of them") && why.contains("#00ff00")));
        assert_eq!(p.pixel_terminal(24, 0).ansi, p.ansi);

        // One that comes late is taken in; where 256 are shown it changes nothing.
        let mut late = p.clone();
        assert!(late.learn(&Reply::Colour(7, theme(7))));
        assert_eq!((late.told_colours(), late.ansi.0[7]), (16, theme(7)));
        let xterm = env(&[("TERM", "xterm-256color")]);
        let mut rich = Probe::decide(xterm, replies, (80, 24), (0, 0));
        assert!(rich.depth != Depth::Ansi16 && !rich.learn(&Reply::Colour(7, theme(7))));
        assert_eq!(rich.told_colours(), 16);
    }

    #[test]
    fn consoles_have_the_vgas_colours_and_screen_is_not_asked_about_them() {
        let asks = |pairs: &[(&str, &str)]| env(pairs).questions(None).matches("\x1b]4;").count();
        assert_eq!(asks(&[("TERM", "xterm-256color")]), 16);
        assert_eq!(asks(&[("TERM", "tmux-256color"), ("TMUX", "/tmp/x")]), 16);
        assert_eq!(asks(&[("TERM", "screen"), ("TMUX", "/tmp/x")]), 16, "tmux under screen's name");
        assert_eq!(asks(&[("TERM", "screen.xterm-256color")]), 0);
        assert_eq!(asks(&[("TERM", "xterm"), ("STY", "1.tty")]), 0);
        assert!(!env(&[("TERM", "linux")]).answers());
        let p = Probe::decide(env(&[("TERM", "linux")]), Replies::default(), (80, 25), (0, 0));
        assert_eq!((p.depth, p.ansi), (Depth::Ansi16, Ansi::VGA));
        let screen = env(&[("TERM", "screen"), ("STY", "1.tty")]);
        let p = Probe::decide(screen, Replies::default(), (80, 24), (0, 0));
        assert_eq!((p.depth, p.ansi), (Depth::Ansi16, Ansi::XTERM));
        assert!(p.why.iter().any(|why| why.contains("didn't tell")));
    }

    #[test]
    fn pixel_graphics_are_believed_only_when_told_and_not_through_a_multiplexer() {
        let told = |kitty, attributes: Vec<u16>| {
            let mut replies = Replies { kitty, ..answered() };
            replies.learn(&Reply::Graphics(1, 1024, 0));
            replies.learn(&Reply::Graphics(2, 1000, 800));
            replies.learn(&Reply::Attributes(attributes));
            replies
        };
        let of = |pairs: &[(&str, &str)], replies| {
            let p = Probe::decide(env(pairs), replies, (80, 24), (0, 0));
            (p.kitty, p.sixel)
        };
        let xterm = [("TERM", "xterm-256color")];
        let sixel = Sixel { colours: 1024, most: Some((1000, 800)) };
        assert_eq!(of(&xterm, told(Some(true), vec![62])), (true, None));
        assert_eq!(of(&xterm, told(Some(false), vec![62, 4])), (false, Some(sixel)));
        assert_eq!(of(&xterm, told(None, vec![64, 14])), (false, None));
        let tmux = [("TERM", "tmux-256color"), ("TMUX", "/tmp/x")];
        assert_eq!(of(&tmux, told(Some(true), vec![62, 4])), (false, None));
        assert!(!env(&tmux).questions(None).contains("\x1b_G"), "tmux would make a title of it");
        assert!(env(&xterm).questions(Some("AA")).ends_with(FENCE));
    }

    proptest! {
        #[test]
        fn any_answers_give_a_decision_with_sane_cells(
            version: Option<String>, cell: Option<(u16, u16)>, window: Option<(u16, u16)>,
            sextant_width: Option<u16>, octant_width: Option<u16>, sixel_colours: Option<u16>,
            sixel_size: Option<(u16, u16)>, sixel: bool, cells: (u16, u16), kernel: (u16, u16),
        ) {
            let replies = Replies {
                version, cell, window, sextant_width, octant_width, sixel, sixel_colours,
                sixel_size, ..Replies::default()
            };
            let p = Probe::decide(env(&[("TERM", "xterm")]), replies, cells, kernel);
            prop_assert!((3..=200).contains(&p.cell_px.0) && (4..=400).contains(&p.cell_px.1));
            prop_assert!(p.sixel.is_none_or(|s| s.colours >= 2 && s.most != Some((0, 0))));
        }
    }
}
