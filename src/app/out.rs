//! Standard output that survives its reader: `facetty … | head -1` ends in peace, not in a panic.

use crate::app::exit::{Exit, Failure};
use std::fmt::Display;
use std::io::{self, Write};
use unicode_width::UnicodeWidthStr;

/// Standard output, line by line, each flushed: a reader sees an event when it happens.
#[derive(Debug, Default)]
pub struct Out {
    closed: bool,
    failed: Option<io::ErrorKind>,
}

impl Out {
    /// Writes one line. After the reader has gone this does nothing.
    pub fn line(&mut self, text: impl Display) {
        self.write(format_args!("{text}\n"));
    }

    /// Writes `text` behind `head`. On a terminal it is broken between words, and goes on below its
    /// beginning; in a file or a pipe it stays one line.
    pub fn hanging(&mut self, head: &str, text: &str) {
        let columns = crate::term::columns(io::stdout());
        self.line(hanging(head, text, columns));
    }

    /// Writes `text` as it is.
    pub fn raw(&mut self, text: impl Display) {
        self.write(format_args!("{text}"));
    }

    /// Whether the reader has gone, or the output can't be written: time to end.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// The end of a run that ended well otherwise: a reader that went is no failure, a full disk
    /// is one.
    pub fn end(self, exit: Exit) -> Result<Exit, Failure> {
        match self.failed {
            None => Ok(if self.closed { Exit::Ended } else { exit }),
            Some(kind) => Err(Failure::new(
                Exit::Device,
                format_args!("standard output can't be written: {kind}"),
            )),
        }
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        if self.closed {
            return;
        }
        let mut stdout = io::stdout().lock();
        if let Err(e) = stdout.write_fmt(text).and_then(|()| stdout.flush()) {
            self.closed = true;
            if e.kind() != io::ErrorKind::BrokenPipe {
                self.failed = Some(e.kind());
            }
        }
    }
}

/// A line that goes on where fewer columns than this would be left begins near the left edge.
const NARROW: usize = 24;
/// So near.
const EDGE: usize = 4;

/// `text` behind `head`, broken between words so that no line takes more than `columns`; further
/// lines begin below the text. Only a word that is longer than that (a path, a fingerprint) is left
/// whole, to be copied. `None`: one line.
pub fn hanging(head: &str, text: &str, columns: Option<usize>) -> String {
    let Some(columns) = columns else { return format!("{head}{text}") };
    let under = head.width();
    let indent = if columns < under + NARROW { EDGE.min(under) } else { under };
    let mut out = head.to_owned();
    let (mut at, mut fresh) = (under, true);
    for word in text.split_whitespace() {
        let wide = word.width();
        if at + usize::from(!fresh) + wide > columns && at > indent {
            let kept = out.trim_end_matches(' ').len();
            out.truncate(kept);
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            (at, fresh) = (indent, true);
        }
        if !fresh {
            out.push(' ');
            at += 1;
        }
        out.push_str(word);
        (at, fresh) = (at + wide, false);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHY: &str = "quadrants: sextants need a font that has them here (try them by hand)";

    #[test]
    fn lines_break_between_words_and_go_on_below_their_text() {
        let head = "ok    pictures      ";
        for columns in [40, 60, 79, 80, 100] {
            let shown = hanging(head, WHY, Some(columns));
            assert!(shown.starts_with(head), "{shown}");
            assert!(shown.lines().all(|line| line.width() <= columns), "{columns}: {shown}");
            let indent = if columns < 44 { 4 } else { 20 };
            for line in shown.lines().skip(1) {
                let (margin, rest) = line.split_at(indent);
                assert!(margin.trim().is_empty() && !rest.starts_with(' '), "{columns}: {shown}");
            }
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(words(&shown), words(&format!("{head}{WHY}")));
        }
    }

    #[test]
    fn a_word_longer_than_the_line_stays_whole_on_its_own() {
        let path = "/home/somebody/with/a/long/name/.config/facetty/identity";
        let shown = hanging("next:  ", &format!("look at {path} and say"), Some(40));
        assert_eq!(shown, format!("next:  look at\n       {path}\n       and say"));
        // In a very narrow window nothing loops or gets lost.
        let shown = hanging("ok    pictures      ", WHY, Some(1));
        assert!(WHY.split_whitespace().all(|word| shown.contains(word)), "{shown}");
    }

    #[test]
    fn without_a_terminal_it_is_one_line() {
        assert_eq!(hanging("ok  ", WHY, None), format!("ok  {WHY}"));
    }

    #[test]
    fn wide_letters_take_two_columns() {
        let shown = hanging("", "日本 日本 日本", Some(9));
        assert_eq!(shown, "日本 日本\n日本");
    }
}
