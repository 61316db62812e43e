//! Answers of terminals that went wrong on their way, by the hundred thousand: cut off, mixed with
//! each other and with keys, repeated, with huge numbers, with random bytes.

use super::{MAX_PASTE, MAX_SEQUENCE, MAX_STRING, Parser, Reply, Token};
use crate::term::{Environment, Probe, Replies};

/// What real terminals answer, and the beginnings of what may never end.
const ANSWERS: [&[u8]; 25] = [
    b"\x1bP>|XTerm(379)\x1b\\",
    b"\x1bP>|kitty(0.41.1)\x1b\\",
    b"\x1bP>|foot(1.20.2)\x07",
    b"\x1b[?2026;2$y",
    b"\x1b[?2026;0$y",
    b"\x1b[6;20;10t",
    b"\x1b[4;960;1600t",
    b"\x1b[?1;0;1024S",
    b"\x1b[?2;0;1000;800S",
    b"\x1b[?2;3;0S",
    b"\x1b[2;2R",
    b"\x1b[3;3R",
    b"\x1b_Gi=31;OK\x1b\\",
    b"\x1b_Gi=32;EBADF: no such object\x1b\\",
    b"\x1b]4;1;rgb:cdcd/0000/0000\x1b\\",
    b"\x1b]4;15;rgb:ff/ff/ff\x07",
    b"\x1b]4;200;rgba:8/8/8/f\x07",
    b"\x1b[?62;4;22c",
    b"\x1b[200~pasted\x1b[201~",
    b"\x1b[200~",
    b"\x1b[I",
    b"\x1b[M !!",
    b"\x1b[1;5A",
    b"\x1b[97;5u",
    b"q",
];
const HUGE: &[u8] = b"99999999999999999999";

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % sides.max(1)
    }

    fn answer(&mut self) -> Vec<u8> {
        ANSWERS[self.roll(ANSWERS.len())].to_vec()
    }

    /// A batch of answers, each of them perhaps mangled.
    fn batch(&mut self) -> Vec<u8> {
        let mut batch = Vec::new();
        for _ in 0..1 + self.roll(10) {
            let mut answer = self.answer();
            match self.roll(8) {
                0 => answer.truncate(self.roll(answer.len() + 1)),
                1 => {
                    let other = self.answer();
                    let at = self.roll(answer.len() + 1);
                    let from = self.roll(other.len() + 1);
                    answer.splice(at..at, other[from..].iter().copied());
                }
                2 => answer = answer.repeat(1 + self.roll(40)),
                3 => {
                    let digit = answer.iter().position(u8::is_ascii_digit).unwrap_or(0);
                    answer.splice(digit..digit, HUGE.repeat(1 + self.roll(6)));
                }
                4 => {
                    let at = self.roll(answer.len());
                    answer[at] = self.roll(256) as u8;
                }
                5 => answer = (0..self.roll(40)).map(|_| self.roll(256) as u8).collect(),
                6 => {
                    // Another one's bytes among its own, in order.
                    let mut other = self.answer().into_iter();
                    let mut both = Vec::new();
                    for byte in answer {
                        both.push(byte);
                        both.extend(other.by_ref().take(self.roll(3)));
                    }
                    answer = both;
                }
                _ => {}
            }
            batch.extend(answer);
        }
        if self.roll(2000) == 0 { batch.repeat(1 + 100_000 / batch.len().max(1)) } else { batch }
    }
}

#[test]
fn a_quarter_million_mangled_batches_of_answers_are_survived_within_bounds() {
    let mut dice = Dice(20);
    let terminal = |name: &str| (name == "TERM").then(|| "xterm-256color".to_owned());
    let decide =
        || Probe::decide(Environment::from_fn(terminal), Replies::default(), (80, 24), (0, 0));
    let (mut parser, mut replies, mut probe) = (Parser::default(), Replies::default(), decide());
    let (mut answers, mut told) = (0, 0);
    for round in 0..250_000 {
        let batch = dice.batch();
        let longest = [7, batch.len()][dice.roll(2)];
        let piece = 1 + dice.roll(longest);
        let (mut tokens, mut waiting) = (Vec::new(), 0);
        for bytes in batch.chunks(piece) {
            waiting = parser.buffer.len() + bytes.len();
            tokens.extend(parser.feed(bytes));
            // What is kept: an answer of the longest kind, but never more than a paste's.
            assert!(parser.buffer.len() <= MAX_STRING + MAX_SEQUENCE, "{}", parser.buffer.len());
            assert!(parser.paste.as_ref().is_none_or(|paste| paste.len() <= MAX_PASTE));
        }
        let pasted = parser.paste.is_some();
        if pasted || dice.roll(3) > 0 {
            tokens.extend(parser.idle(false));
            tokens.extend(parser.idle(true));
            assert!(!parser.is_waiting(), "{batch:?}");
            assert_eq!(parser.feed(b"q").len(), 1, "a key after {batch:?}");
        }
        // Nothing comes of nothing; what was kept from before is short.
        assert!(tokens.len() <= batch.len() + waiting + MAX_STRING + MAX_SEQUENCE);
        for token in &tokens {
            let Token::Reply(reply) = token else { continue };
            answers += 1;
            if let Reply::Version(version) = reply {
                assert!(version.len() <= MAX_STRING && version.bytes().all(|b| b >= 0x20));
            }
            replies.learn(reply);
            if round % 16 == 0 && tokens.len() < 100 {
                probe.learn(reply);
                assert!((3..=200).contains(&probe.cell_px.0), "{:?}", probe.cell_px);
                assert!((4..=400).contains(&probe.cell_px.1), "{:?}", probe.cell_px);
                told = told.max(probe.told_colours());
                assert!(probe.sixel.is_none_or(|s| s.colours >= 2 && s.most != Some((0, 0))));
            }
        }
        if round % 1000 == 0 {
            (replies, probe) = (Replies::default(), decide());
        }
    }
    assert!((1..=16).contains(&told), "colours told: {told}");
    assert!(answers > 250_000, "{answers}: most answers are whole");
    assert!(replies.version.is_none_or(|version| version.len() <= MAX_STRING));
}
