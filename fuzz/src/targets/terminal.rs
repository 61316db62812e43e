//! Answers (and keys) of the terminal.

use super::Feed;
use crossterm::event::KeyCode;
use facetty::term::input::{Parser, Reply, Token};
use facetty::term::{Environment, Probe, Replies};

/// However the bytes are cut into pieces the tokens are the same; nothing in them controls a
/// terminal; and no answer upsets the probe.
pub(super) fn terminal(data: &[u8]) {
    let mut feed = Feed(data);
    let piece = usize::from(feed.u8() % 16) + 1;
    let bytes = feed.0;
    let mut parser = Parser::default();
    let mut whole = parser.feed(bytes);
    whole.extend(parser.idle(true));
    assert!(!parser.is_waiting());
    let mut parser = Parser::default();
    let mut pieces: Vec<Token> = bytes.chunks(piece).flat_map(|b| parser.feed(b)).collect();
    pieces.extend(parser.idle(true));
    // Over-long sequences are dropped by what has come of them.
    if bytes.len() <= 64 {
        assert_eq!(pieces, whole);
    }
    let environment = Environment::from_fn(|name| (name == "TERM").then(|| "xterm".to_owned()));
    let mut probe = Probe::decide(environment, Replies::default(), (80, 24), (0, 0));
    for token in &whole {
        match token {
            Token::Key(key) => {
                assert!(!matches!(key.code, KeyCode::Char(c) if c.is_control()));
            }
            Token::Paste(text) => {
                assert!(!text.chars().any(|c| c.is_control() && !"\n\t".contains(c)));
            }
            Token::Reply(reply) => {
                if let Reply::Version(version) = reply {
                    assert!(version.bytes().all(|b| (0x20..0x7f).contains(&b)));
                }
                probe.learn(reply);
                assert!(probe.cell_px.0 > 0 && probe.cell_px.1 > 0);
            }
            Token::Focus(_) => {}
        }
    }
}
