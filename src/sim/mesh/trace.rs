//! What happened, as a hash for comparing runs and, when kept, as text for people. Nothing derived
//! from a key may come in here: keys differ from run to run.

use super::seen::{Seen, What};
use std::collections::VecDeque;
use std::time::Duration;

/// Lines kept.
const LINES: usize = 4000;

/// The trace of one simulation.
pub struct Trace {
    hash: u64,
    keep: bool,
    lines: VecDeque<String>,
}

impl Trace {
    /// Empty; `keep` the newest lines, too.
    pub fn new(keep: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, keep, lines: VecDeque::new() }
    }

    /// Equal seeds give equal hashes.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The newest lines.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    fn mix(&mut self, value: u64) {
        // FNV-1a over eight bytes at a time: enough to compare two runs.
        self.hash = (self.hash ^ value).wrapping_mul(0x0000_0100_0000_01b3);
        self.hash ^= self.hash >> 29;
    }

    /// Something at a time; `text` is made only when lines are kept.
    pub fn note(
        &mut self,
        at: Duration,
        kind: &'static str,
        values: &[u64],
        text: impl FnOnce() -> String,
    ) {
        self.mix(u64::try_from(at.as_nanos()).unwrap_or(u64::MAX));
        for byte in kind.bytes() {
            self.mix(u64::from(byte));
        }
        for value in values {
            self.mix(*value);
        }
        if self.keep {
            let values: Vec<_> = values.iter().map(u64::to_string).collect();
            let line =
                format!("{:9.3} {kind:<10} {} {}", at.as_secs_f64(), values.join(" "), text());
            self.lines.push_back(line.trim_end().to_string());
            if self.lines.len() > LINES {
                self.lines.pop_front();
            }
        }
    }

    /// What a rule sees, too.
    pub fn seen(&mut self, seen: &Seen) {
        let (run, person) = (seen.run as u64, seen.person as u64);
        match &seen.what {
            // Too many for people; counted.
            What::Sealed(s) => self.mix(s.kid ^ s.ctr << 12 ^ run << 40),
            What::Opened(o) => self.mix(o.by as u64 ^ run << 40),
            What::Shown(branch) => self.mix(u64::from(*branch)),
            What::Entered(e) => {
                let values = [run, person, e.epoch, u64::from(e.branch), e.sequencer as u64];
                self.note(seen.at, "entered", &values, || {
                    format!("members {:?} term {} split {}", e.members, e.term, e.split)
                });
            }
            other => self.note(seen.at, "seen", &[run, person], || format!("{other:?}")),
        }
    }
}
