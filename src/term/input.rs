//! Bytes from the terminal → keys, pastes, focus changes and answers to our questions.
//!
//! A pure parser: bytes go in as they come, in any pieces. What looks like the beginning of a
//! sequence waits for its rest; [`Parser::idle`], called when nothing came for a while, turns a
//! lone escape byte into the Esc key. Only answers that we ask for are taken for answers;
//! anything else of their shape is given back as keys, so no typing is ever lost to a sequence
//! that never ends.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What the parser made of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// A key.
    Key(KeyEvent),
    /// Text pasted between brackets; control characters other than newline and tab removed.
    Paste(String),
    /// The terminal's window gained (or lost) the focus.
    Focus(bool),
    /// An answer to one of the probe's questions.
    Reply(Reply),
}

/// Answers of the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// XTVERSION: name and version, printable ASCII only.
    Version(String),
    /// DA1: primary device attributes.
    Attributes(Vec<u16>),
    /// DECRPM: state of a private mode (0 unknown, 1 set, 2 reset, 3/4 permanently so).
    Mode(u16, u16),
    /// Size of a cell in pixels: width, height.
    CellPixels(u16, u16),
    /// Size of the text area in pixels: width, height.
    WindowPixels(u16, u16),
    /// Cursor position, from 1: row, column.
    Cursor(u16, u16),
    /// Kitty's graphics protocol, to a question with this number: whether it was understood.
    Kitty(u32, bool),
    /// OSC 4: how the palette's colour with this number looks, red, green, blue.
    Colour(u8, [u8; 3]),
    /// XTSMGRAPHICS, item (1: colour registers, 2: sixel geometry) and values; only successes.
    Graphics(u16, u16, u16),
}

/// Longest control sequence considered.
const MAX_SEQUENCE: usize = 64;
/// Longest string answer considered.
const MAX_STRING: usize = 256;
/// How XTVERSION's answer begins, and that of kitty's graphics protocol.
const VERSION: &[u8] = b"\x1bP>|";
const KITTY: &[u8] = b"\x1b_G";
/// How an answer about the palette begins.
const COLOUR: &[u8] = b"\x1b]4;";
/// Longest paste delivered; the rest is dropped.
const MAX_PASTE: usize = 64 * 1024;

/// The parser's state: bytes not understood yet.
#[derive(Default)]
pub struct Parser {
    buffer: Vec<u8>,
    paste: Option<Vec<u8>>,
    out: Vec<Token>,
}

/// What became of the bytes at the start of the buffer.
enum Step {
    /// So many were understood.
    Used(usize),
    /// More must come.
    Wait,
}

impl Parser {
    /// Takes over bytes; returns what is complete now.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Token> {
        self.buffer.extend_from_slice(bytes);
        self.run(false);
        std::mem::take(&mut self.out)
    }

    /// Whether [`Parser::idle`] would change something: set a short timer (25–50 ms) if so.
    pub fn is_waiting(&self) -> bool {
        !self.buffer.is_empty() || self.paste.is_some()
    }

    /// Nothing came for a while: a lone escape byte was the Esc key, and what began like a
    /// sequence were keys. The rest of an answer that began as ours is waited for by calling this
    /// only with `patience` over (about a second after its last byte).
    pub fn idle(&mut self, patience_over: bool) -> Vec<Token> {
        if let Some(mut paste) = self.paste.take_if(|_| patience_over) {
            // The closing bracket got lost.
            paste.append(&mut self.buffer);
            self.finish_paste(paste);
        }
        if self.paste.is_none() && (patience_over || !self.is_our_string()) {
            self.run(true);
        }
        std::mem::take(&mut self.out)
    }

    /// The buffer begins with an unfinished answer that we asked for.
    fn is_our_string(&self) -> bool {
        [VERSION, KITTY, COLOUR, b"\x1b[?"].iter().any(|ours| self.buffer.starts_with(ours))
    }

    fn run(&mut self, last: bool) {
        let mut at = 0;
        let buffer = std::mem::take(&mut self.buffer);
        while at < buffer.len() {
            match self.step(&buffer[at..], last) {
                Step::Used(n) => at += n.max(1),
                Step::Wait => break,
            }
        }
        self.buffer = buffer[at..].to_vec();
    }

    fn step(&mut self, b: &[u8], last: bool) -> Step {
        if self.paste.is_some() {
            return self.paste_step(b);
        }
        let Some(first) = b.first() else { return Step::Wait };
        match first {
            0x1b => self.escape(b, last),
            0x00 => self.key(KeyCode::Char(' '), KeyModifiers::CONTROL, 1),
            b'\r' => self.key(KeyCode::Enter, KeyModifiers::NONE, 1),
            b'\t' => self.key(KeyCode::Tab, KeyModifiers::NONE, 1),
            0x7f | 0x08 => self.key(KeyCode::Backspace, KeyModifiers::NONE, 1),
            c @ 0x01..=0x1a => {
                self.key(KeyCode::Char((c - 1 + b'a') as char), KeyModifiers::CONTROL, 1)
            }
            c @ 0x1c..=0x1f => {
                self.key(KeyCode::Char((c - 0x1c + b'4') as char), KeyModifiers::CONTROL, 1)
            }
            _ => self.text(b, KeyModifiers::NONE, 0, last),
        }
    }

    /// One UTF-8 character, after `skip` bytes of prefix.
    fn text(&mut self, b: &[u8], modifiers: KeyModifiers, skip: usize, last: bool) -> Step {
        let text = &b[skip..];
        let len = match text.first() {
            Some(0x00..=0x7f) => 1,
            Some(0xc2..=0xdf) => 2,
            Some(0xe0..=0xef) => 3,
            Some(0xf0..=0xf4) => 4,
            // A stray continuation byte: no key.
            _ => return Step::Used(skip + 1),
        };
        if text.len() < len {
            // Wait for the rest, unless what follows cannot be it.
            let broken = text[1..].iter().any(|c| c & 0xc0 != 0x80);
            return if last || broken { Step::Used(skip + 1) } else { Step::Wait };
        }
        match std::str::from_utf8(&text[..len]).ok().and_then(|s| s.chars().next()) {
            Some(c) if !c.is_control() => {
                let shift = if c.is_uppercase() { KeyModifiers::SHIFT } else { KeyModifiers::NONE };
                self.key(KeyCode::Char(c), modifiers | shift, skip + len)
            }
            Some(_) => Step::Used(skip + len),
            None => Step::Used(skip + 1),
        }
    }

    fn key(&mut self, code: KeyCode, modifiers: KeyModifiers, used: usize) -> Step {
        self.out.push(Token::Key(KeyEvent::new(code, modifiers)));
        Step::Used(used)
    }

    fn escape(&mut self, b: &[u8], last: bool) -> Step {
        match b.get(1) {
            None if last => self.key(KeyCode::Esc, KeyModifiers::NONE, 1),
            None => Step::Wait,
            // The first of two was the Esc key.
            Some(0x1b) => self.key(KeyCode::Esc, KeyModifiers::NONE, 1),
            Some(b'[') => self.control(b, last),
            Some(b'O') => match b.get(2) {
                None if last => self.key(KeyCode::Char('O'), alt_shift(), 2),
                None => Step::Wait,
                Some(c) => match arrow(*c) {
                    Some(code) => self.key(code, KeyModifiers::NONE, 3),
                    None => self.key(KeyCode::Char('O'), alt_shift(), 2),
                },
            },
            Some(b'P') => self.string(b, last, VERSION, |text| Some(Reply::Version(text))),
            Some(b'_') => self.string(b, last, KITTY, |text| kitty(&text)),
            Some(b']') => self.string(b, last, COLOUR, |text| colour(&text)),
            Some(b'\r') => self.key(KeyCode::Enter, KeyModifiers::ALT, 2),
            Some(b'\t') => self.key(KeyCode::Tab, KeyModifiers::ALT, 2),
            Some(0x7f) => self.key(KeyCode::Backspace, KeyModifiers::ALT, 2),
            Some(c @ 0x01..=0x1a) => self.key(
                KeyCode::Char((c - 1 + b'a') as char),
                KeyModifiers::ALT | KeyModifiers::CONTROL,
                2,
            ),
            Some(_) => self.text(b, KeyModifiers::ALT, 1, last),
        }
    }

    /// DCS, APC or OSC: only an answer that begins like `ours`; all else was Alt and more keys.
    fn string(
        &mut self,
        b: &[u8],
        last: bool,
        ours: &[u8],
        reply: impl Fn(String) -> Option<Reply>,
    ) -> Step {
        let prefix = b.len().min(ours.len());
        if b[..prefix] != ours[..prefix] || (last && prefix < ours.len()) {
            return self.text(b, KeyModifiers::ALT, 1, last);
        }
        let content = &b[prefix..];
        let end = content.iter().position(|c| *c == 0x1b || *c == 0x07 || *c == 0x9c);
        match end {
            Some(at) if at <= MAX_STRING => {
                // ST is two bytes; any other escape begins something else and ends this too.
                let st = match (content[at], content.get(at + 1)) {
                    (0x1b, None) if !last => return Step::Wait,
                    (0x1b, Some(b'\\')) => 2,
                    (0x1b, _) => 0,
                    _ => 1,
                };
                let printable = content[..at].iter().filter(|c| (0x20..0x7f).contains(*c));
                let reply = reply(printable.map(|c| *c as char).collect());
                self.out.extend(reply.map(Token::Reply));
                Step::Used(prefix + at + st)
            }
            None if content.len() <= MAX_STRING && !last => Step::Wait,
            // Too long or never ended: it was none. The prefix is dropped, the rest are keys.
            _ => Step::Used(prefix),
        }
    }

    fn control(&mut self, b: &[u8], last: bool) -> Step {
        // The Linux console's function keys: CSI [ A … CSI [ E.
        if b.get(2) == Some(&b'[') {
            return match b.get(3) {
                None if !last => Step::Wait,
                Some(c @ b'A'..=b'E') => self.key(KeyCode::F(c - b'A' + 1), KeyModifiers::NONE, 4),
                _ => Step::Used(3),
            };
        }
        let body = &b[2..];
        let end = body.iter().position(|c| !(0x20..=0x3f).contains(c));
        match end {
            None if last && body.is_empty() => self.key(KeyCode::Char('['), KeyModifiers::ALT, 2),
            None if last => Step::Used(b.len()),
            None if body.len() > MAX_SEQUENCE => Step::Used(b.len()),
            None => Step::Wait,
            // Broken off by something that cannot be part of it.
            Some(at) if !(0x40..=0x7e).contains(&body[at]) => Step::Used(2 + at),
            Some(at) if at > MAX_SEQUENCE => Step::Used(2 + at + 1),
            Some(at) => {
                // A mouse report of the oldest kind carries three more bytes.
                let extra = if body[at] == b'M' && at == 0 { 3 } else { 0 };
                if !last && b.len() < 2 + at + 1 + extra {
                    return Step::Wait;
                }
                self.sequence(&body[..at], body[at]);
                Step::Used((2 + at + 1 + extra).min(b.len()))
            }
        }
    }

    fn sequence(&mut self, parameters: &[u8], end: u8) {
        let private = parameters.first().copied().filter(|c| (0x3c..=0x3f).contains(c));
        let digits = &parameters[usize::from(private.is_some())..];
        let stop = digits.iter().position(|c| (0x20..=0x2f).contains(c)).unwrap_or(digits.len());
        let intermediate = digits.get(stop).copied();
        // Sub-parameters after a colon are not used by anything understood here.
        let numbers: Vec<u16> = digits[..stop]
            .split(|c| *c == b';')
            .map(|n| n.split(|c| *c == b':').next().unwrap_or(n))
            .map(|n| n.iter().fold(0u16, number))
            .collect();
        let n = |i: usize| numbers.get(i).copied().unwrap_or(0);
        let reply = match (private, intermediate, end) {
            (Some(b'?'), None, b'c') => Reply::Attributes(numbers),
            (Some(b'?'), Some(b'$'), b'y') => Reply::Mode(n(0), n(1)),
            (Some(b'?'), None, b'S') if n(1) == 0 && numbers.len() >= 3 => {
                Reply::Graphics(n(0), n(2), n(3))
            }
            (None, None, b't') if n(0) == 6 => Reply::CellPixels(n(2), n(1)),
            (None, None, b't') if n(0) == 4 => Reply::WindowPixels(n(2), n(1)),
            // `CSI 1 ; m R` is F3 with modifiers; the probe asks on another row.
            (None, None, b'R') if n(0) > 1 => Reply::Cursor(n(0), n(1)),
            (None, None, b'I') => return self.out.push(Token::Focus(true)),
            (None, None, b'O') => return self.out.push(Token::Focus(false)),
            (None, None, b'~') if n(0) == 200 => {
                self.paste = Some(Vec::new());
                return;
            }
            (None, None, _) => return self.special(&numbers, end),
            _ => return,
        };
        self.out.push(Token::Reply(reply));
    }

    fn special(&mut self, numbers: &[u16], end: u8) {
        let n = |i: usize| numbers.get(i).copied().unwrap_or(0);
        let code = match end {
            b'Z' => {
                self.key(KeyCode::BackTab, KeyModifiers::SHIFT, 0);
                return;
            }
            b'~' => tilde(n(0)),
            b'u' => match char::from_u32(u32::from(n(0))) {
                Some('\r') => Some(KeyCode::Enter),
                Some('\t') => Some(KeyCode::Tab),
                Some('\u{1b}') => Some(KeyCode::Esc),
                Some('\u{7f}') => Some(KeyCode::Backspace),
                Some(c) if !c.is_control() => Some(KeyCode::Char(c)),
                _ => None,
            },
            c => arrow(c),
        };
        if let Some(code) = code {
            self.key(code, modifiers(n(1)), 0);
        }
    }

    fn paste_step(&mut self, b: &[u8]) -> Step {
        const END: &[u8] = b"\x1b[201~";
        let Some(mut paste) = self.paste.take() else { return Step::Wait };
        if let Some(at) = b.windows(END.len()).position(|w| w == END) {
            paste.extend_from_slice(&b[..at]);
            self.finish_paste(paste);
            return Step::Used(at + END.len());
        }
        // What may be the beginning of the end stays.
        let keep = (1..END.len()).rev().find(|n| b.ends_with(&END[..*n])).unwrap_or(0);
        let take = b.len() - keep;
        let room = MAX_PASTE.saturating_sub(paste.len());
        paste.extend_from_slice(&b[..take.min(room)]);
        self.paste = Some(paste);
        if take > 0 { Step::Used(take) } else { Step::Wait }
    }

    fn finish_paste(&mut self, paste: Vec<u8>) {
        let text: String = String::from_utf8_lossy(&paste)
            .replace("\r\n", "\n")
            .replace('\r', "\n")
            .chars()
            .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
            .collect();
        self.out.push(Token::Paste(text));
    }
}

/// "i=31;OK", or what was wrong instead of "OK".
fn kitty(text: &str) -> Option<Reply> {
    let (keys, said) = text.split_once(';')?;
    let number = keys.split(',').find_map(|key| key.strip_prefix("i="))?;
    Some(Reply::Kitty(number.parse().ok()?, said == "OK"))
}

/// "7;rgb:e5e5/e5e5/e5e5" (X11's notation: one to four digits each), with an alpha value or without.
fn colour(text: &str) -> Option<Reply> {
    let (number, said) = text.split_once(';')?;
    let channels = said.strip_prefix("rgb:").or_else(|| said.strip_prefix("rgba:"))?;
    let channel = |digits: &str| {
        let most = match digits.len() {
            n @ 1..=4 => (1u32 << (4 * n)) - 1,
            _ => return None,
        };
        // No sign, as `from_str_radix` would allow.
        let hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
        let value = u32::from_str_radix(digits, 16).ok().filter(|_| hex)?;
        u8::try_from((value * 255 + most / 2) / most).ok()
    };
    let mut all = channels.split('/').map(channel);
    let look = [all.next()??, all.next()??, all.next()??];
    let rest = all.count();
    (rest <= 1).then_some(())?;
    number.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
    Some(Reply::Colour(number.parse().ok()?, look))
}

fn alt_shift() -> KeyModifiers {
    KeyModifiers::ALT | KeyModifiers::SHIFT
}

fn number(n: u16, digit: &u8) -> u16 {
    if digit.is_ascii_digit() {
        n.saturating_mul(10).saturating_add(u16::from(digit - b'0'))
    } else {
        n
    }
}

fn arrow(c: u8) -> Option<KeyCode> {
    Some(match c {
        b'A' => KeyCode::Up,
        b'B' => KeyCode::Down,
        b'C' => KeyCode::Right,
        b'D' => KeyCode::Left,
        b'H' => KeyCode::Home,
        b'F' => KeyCode::End,
        b'M' => KeyCode::Enter,
        b'P'..=b'S' => KeyCode::F(c - b'P' + 1),
        _ => return None,
    })
}

fn tilde(n: u16) -> Option<KeyCode> {
    Some(match n {
        1 | 7 => KeyCode::Home,
        2 => KeyCode::Insert,
        3 => KeyCode::Delete,
        4 | 8 => KeyCode::End,
        5 => KeyCode::PageUp,
        6 => KeyCode::PageDown,
        11..=15 => KeyCode::F((n - 10) as u8),
        17..=21 => KeyCode::F((n - 11) as u8),
        23 | 24 => KeyCode::F((n - 12) as u8),
        _ => return None,
    })
}

fn modifiers(n: u16) -> KeyModifiers {
    let bits = n.saturating_sub(1);
    let mut modifiers = KeyModifiers::NONE;
    for (bit, modifier) in
        [(1, KeyModifiers::SHIFT), (2, KeyModifiers::ALT), (4, KeyModifiers::CONTROL)]
    {
        if bits & bit != 0 {
            modifiers |= modifier;
        }
    }
    modifiers
}

#[cfg(test)]
mod mangled;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(code: KeyCode, modifiers: KeyModifiers) -> Token {
        Token::Key(KeyEvent::new(code, modifiers))
    }

    fn plain(c: char) -> Token {
        key(KeyCode::Char(c), KeyModifiers::NONE)
    }

    fn all(bytes: &[u8]) -> Vec<Token> {
        let mut parser = Parser::default();
        let mut tokens = parser.feed(bytes);
        tokens.extend(parser.idle(true));
        assert!(!parser.is_waiting());
        tokens
    }

    #[test]
    fn keys_are_told_apart() {
        let n = KeyModifiers::NONE;
        for (bytes, expected) in [
            (&b"a"[..], plain('a')),
            (b"A", key(KeyCode::Char('A'), KeyModifiers::SHIFT)),
            ("ü".as_bytes(), plain('ü')),
            ("日".as_bytes(), plain('日')),
            (b"\r", key(KeyCode::Enter, n)),
            (b"\x1b", key(KeyCode::Esc, n)),
            (b"\x03", key(KeyCode::Char('c'), KeyModifiers::CONTROL)),
            (b"\x1a", key(KeyCode::Char('z'), KeyModifiers::CONTROL)),
            (b"\x7f", key(KeyCode::Backspace, n)),
            (b"\x1b[A", key(KeyCode::Up, n)),
            (b"\x1bOB", key(KeyCode::Down, n)),
            (b"\x1b[1;5C", key(KeyCode::Right, KeyModifiers::CONTROL)),
            (b"\x1b[Z", key(KeyCode::BackTab, KeyModifiers::SHIFT)),
            (b"\x1b[5~", key(KeyCode::PageUp, n)),
            (b"\x1b[24~", key(KeyCode::F(12), n)),
            (b"\x1bOP", key(KeyCode::F(1), n)),
            (b"\x1b[[C", key(KeyCode::F(3), n)),
            (b"\x1b[1;2R", key(KeyCode::F(3), KeyModifiers::SHIFT)),
            (b"\x1bx", key(KeyCode::Char('x'), KeyModifiers::ALT)),
            (b"\x1bP", key(KeyCode::Char('P'), alt_shift())),
            (b"\x1b_", key(KeyCode::Char('_'), KeyModifiers::ALT)),
            (b"\x1b]", key(KeyCode::Char(']'), KeyModifiers::ALT)),
            (b"\x1b[", key(KeyCode::Char('['), KeyModifiers::ALT)),
            (b"\x1b[97;5u", key(KeyCode::Char('a'), KeyModifiers::CONTROL)),
            (b"\x1b[I", Token::Focus(true)),
            (b"\x1b[O", Token::Focus(false)),
        ] {
            assert_eq!(all(bytes), [expected], "{bytes:?}");
        }
    }

    #[test]
    fn answers_never_become_keys_even_cut_in_pieces() {
        let stream =
            b"\x1bP>|kitty(0.26.5)\x1b\\\x1b[?2026;2$y\x1b[6;24;12t\x1b[4;480;960t\x1b[2;2R\
            \x1b_Gi=31;OK\x1b\\\x1b_Gi=32,I=1;EBADF:no such\x1b\\\x1b[?1;0;256S\x1b[?2;0;1000;800S\
            \x1b[?2;3;0S\x1b]4;0;rgb:0000/0000/0000\x07\x1b]4;9;rgb:ff/7f/0\x1b\\\
            \x1b]4;15;rgba:ffff/8080/7fff/ffff\x1b\\\x1b[?62;4c";
        let expected = [
            Reply::Version("kitty(0.26.5)".into()),
            Reply::Mode(2026, 2),
            Reply::CellPixels(12, 24),
            Reply::WindowPixels(960, 480),
            Reply::Cursor(2, 2),
            Reply::Kitty(31, true),
            Reply::Kitty(32, false),
            Reply::Graphics(1, 256, 0),
            Reply::Graphics(2, 1000, 800),
            Reply::Colour(0, [0, 0, 0]),
            Reply::Colour(9, [255, 127, 0]),
            Reply::Colour(15, [255, 128, 127]),
            Reply::Attributes(vec![62, 4]),
        ]
        .map(Token::Reply);
        for cut in 0..=stream.len() {
            let mut parser = Parser::default();
            let mut tokens = parser.feed(&stream[..cut]);
            tokens.extend(parser.feed(&stream[cut..]));
            assert_eq!(tokens, expected, "cut at {cut}");
        }
    }

    #[test]
    fn answers_about_colours_that_make_no_sense_are_none() {
        for said in [
            "0;?",
            "0;",
            ";rgb:0/0/0",
            "x;rgb:0/0/0",
            "+1;rgb:0/0/0",
            "256;rgb:0/0/0",
            "1;rgb:0/0",
            "1;rgb:00000/0/0",
            "1;rgb:+1/0/0",
            "1;rgb://",
            "1;rgb:0/0/0/0/0",
            "1;red",
            "1;rgb:g/0/0",
        ] {
            assert_eq!(all(format!("\x1b]4;{said}\x07").as_bytes()), [], "{said}");
        }
        // Other answers of that kind were not asked for: their bytes are keys, as before.
        assert!(all(b"\x1b]11;rgb:0/0/0\x07").iter().all(|t| matches!(t, Token::Key(_))));
    }

    #[test]
    fn keys_between_answers_are_kept() {
        let tokens = all(b"q\x1b[?2026;0$yx\x1b[?1;2cy");
        let keys: Vec<_> = tokens.iter().filter(|t| matches!(t, Token::Key(_))).collect();
        assert_eq!(keys, [&plain('q'), &plain('x'), &plain('y')]);
    }

    #[test]
    fn an_answer_cut_off_for_ever_does_not_eat_the_keys_after_it() {
        let mut parser = Parser::default();
        assert!(parser.feed(b"\x1bP>|kit").is_empty());
        assert!(parser.idle(false).is_empty());
        parser.idle(true);
        assert_eq!(parser.feed(b"q"), [plain('q')]);
    }

    #[test]
    fn a_paste_is_one_token_without_control_characters() {
        let bytes = b"\x1b[200~facetty1abc\r\n\x1b]0;evil\x07\x1b[31m\x1b[201~q";
        let tokens = all(bytes);
        assert_eq!(tokens[0], Token::Paste("facetty1abc\n]0;evil[31m".into()));
        assert_eq!(tokens[1], plain('q'));
        for cut in 0..bytes.len() {
            let mut parser = Parser::default();
            let mut pieces = parser.feed(&bytes[..cut]);
            pieces.extend(parser.feed(&bytes[cut..]));
            assert_eq!(pieces, tokens, "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_are_survived(bytes: Vec<u8>, cut in 0usize..64) {
            let mut parser = Parser::default();
            let cut = cut.min(bytes.len());
            parser.feed(&bytes[..cut]);
            parser.idle(false);
            parser.feed(&bytes[cut..]);
            parser.idle(true);
            prop_assert!(!parser.is_waiting());
            // Whatever came before, the next key is heard.
            prop_assert_eq!(parser.feed(b"q"), vec![plain('q')]);
        }

        #[test]
        fn typed_text_comes_out_as_typed(text in "[a-z0-9 äß日本]{0,40}") {
            let typed: String = all(text.as_bytes()).into_iter().map(|t| match t {
                Token::Key(KeyEvent { code: KeyCode::Char(c), .. }) => c,
                other => panic!("{other:?}"),
            }).collect();
            prop_assert_eq!(typed, text);
        }

        #[test]
        fn garbled_answers_neither_hang_nor_hide_keys(
            cut in 0usize..70, garbage in proptest::collection::vec(any::<u8>(), 0..8),
        ) {
            let stream = b"\x1bP>|XTerm(379)\x1b\\\x1b[?2026;0$y\x1b[6;18;9t\x1b[2;2R\x1b[?64;1;2c";
            let cut = cut.min(stream.len());
            let mut parser = Parser::default();
            parser.feed(&stream[..cut]);
            parser.feed(&garbage);
            parser.feed(&stream[cut..]);
            parser.idle(true);
            let tokens = parser.feed(b"q");
            prop_assert_eq!(tokens.last(), Some(&plain('q')));
        }
    }
}
