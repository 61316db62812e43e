//! The ledger: what a member saw happen to the group, line by line, each line bound to all before
//! it. Two members can compare theirs afterwards: the same epochs with the same confirmation
//! hashes mean that both followed one group, from the first epoch they share.
//!
//! A line is one JSON object. Its last field, `hash`, is SHA-256 over a label, the hash of the line
//! before and the line's own text up to there: a changed, missing or moved line is found, with its
//! number. Whoever can write the whole file can write another history; that the *last* hash is the
//! one that stood on the screen, or that another member's ledger agrees, rules that out.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

use crate::time::Wall;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const LABEL: &[u8] = b"facetty ledger 1";
const HASH: &str = ",\"hash\":\"";

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Happened {
    /// The group is in a new epoch.
    Epoch {
        /// The call began, or we joined; "joined", "left", "keys".
        why: String,
        /// Who orders the changes.
        sequencer: u32,
        /// Everybody who holds keys.
        roster: Vec<Member>,
    },
    /// A member acknowledged the epoch: that it is in the state we are in, or not.
    Ack {
        /// Who.
        member: u32,
        /// The same state.
        agrees: bool,
    },
    /// A member is out.
    Out {
        /// Who.
        member: u32,
        /// "left", "lost", "removed by N".
        how: String,
    },
    /// Anything else that bears on trust, in words: a member not heard, a split, a proof.
    Seen {
        /// About whom.
        member: u32,
        /// What.
        what: String,
    },
    /// Our user compared the call words and they matched.
    WordsMatch,
}

/// Somebody who holds keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Number in the group.
    pub member: u32,
    /// Fingerprint of the identity, in full.
    pub fingerprint: String,
    /// Claimed name.
    pub name: String,
    /// Since this epoch.
    pub since: u64,
    /// Added by, unless the founder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<u32>,
}

/// One line without its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Counts from 0.
    pub n: u64,
    /// Hash of the line before; of nothing, for the first.
    pub previous: String,
    /// Milliseconds since 1970, by our clock.
    pub time: u64,
    /// The epoch.
    pub epoch: u64,
    /// Confirmation hash of the epoch (SHA-256 of RFC 9420's confirmation tag): equal for all.
    pub confirmation: String,
    /// What happened.
    #[serde(flatten)]
    pub happened: Happened,
}

/// The end of the chain, to which lines are added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    lines: u64,
    head: [u8; 32],
}

impl Default for Chain {
    fn default() -> Self {
        Self { lines: 0, head: hash(&[0; 32], b"") }
    }
}

impl Chain {
    /// Lines so far.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Hash of the last line.
    pub fn head(&self) -> [u8; 32] {
        self.head
    }

    /// Adds a line; returns it, without line break.
    pub fn add(&mut self, at: Wall, epoch: u64, confirmation: &[u8; 32], what: Happened) -> String {
        let entry = Entry {
            n: self.lines,
            previous: hex(&self.head),
            time: at.0,
            epoch,
            confirmation: hex(confirmation),
            happened: what,
        };
        // Numbers and strings only: nothing to fail on.
        let body = serde_json::to_string(&entry).unwrap_or_default();
        self.head = hash(&self.head, body.as_bytes());
        self.lines += 1;
        let open = body.strip_suffix('}').unwrap_or(&body);
        format!("{open}{HASH}{}\"}}", hex(&self.head))
    }
}

/// Where a ledger is not what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Damage {
    /// Counts from 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

/// A ledger whose every line fits.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// The lines.
    pub entries: Vec<Entry>,
    /// Hash of the last one.
    pub head: [u8; 32],
}

/// Reads a ledger and checks the chain.
pub fn read(text: &str) -> Result<Ledger, Damage> {
    let mut chain = Chain::default();
    let mut entries = Vec::new();
    if !text.ends_with('\n') {
        let what = if text.is_empty() { "there is no line" } else { "the last line was cut short" };
        return Err(Damage { line: text.lines().count().max(1), what: what.into() });
    }
    for (n, line) in text.lines().enumerate() {
        let damage = |what: &str| Damage { line: n + 1, what: what.into() };
        let (open, end) =
            line.rsplit_once(HASH).ok_or_else(|| damage("not a line of a ledger: no hash"))?;
        let body = format!("{open}}}");
        let own = end.strip_suffix("\"}").ok_or_else(|| damage("text after the hash"))?;
        let entry: Entry =
            serde_json::from_str(&body).map_err(|e| damage(&format!("not an entry: {e}")))?;
        let before = hex(&chain.head);
        if own != hex(&hash(&chain.head, body.as_bytes())) {
            // Whole in itself, but made after another line? Then lines are missing or moved.
            let moved = unhex(&entry.previous)
                .is_some_and(|previous| own == hex(&hash(&previous, body.as_bytes())));
            return Err(damage(if moved {
                "does not follow the line before: a line is missing, added or moved"
            } else {
                "this line was changed"
            }));
        }
        if entry.previous != before || entry.n != n as u64 {
            return Err(damage("its number or its link to the line before was changed"));
        }
        chain.head = hash(&chain.head, body.as_bytes());
        chain.lines += 1;
        entries.push(entry);
    }
    Ok(Ledger { entries, head: chain.head })
}

/// What two members' ledgers have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// One history, in these epochs.
    Same {
        /// First epoch both saw.
        first: u64,
        /// Last epoch both saw.
        last: u64,
        /// How many both saw.
        epochs: usize,
    },
    /// No epoch that both saw: nothing can be said.
    NothingShared,
    /// From here on they saw different things.
    Different {
        /// Line in the first ledger, from 1.
        a: usize,
        /// Line in the second.
        b: usize,
        /// The first's epoch there.
        epoch_a: u64,
        /// The second's.
        epoch_b: u64,
    },
}

/// Compares the epochs of two ledgers, from the first that both saw.
pub fn compare(a: &Ledger, b: &Ledger) -> Comparison {
    let (a, b) = (a.epochs(), b.epochs());
    let (Some(first_a), Some(first_b)) = (a.first(), b.first()) else {
        return Comparison::NothingShared;
    };
    let first = first_a.epoch.max(first_b.epoch);
    let mut left = a.iter().skip_while(|e| e.epoch < first).peekable();
    let mut right = b.iter().skip_while(|e| e.epoch < first).peekable();
    let (mut epochs, mut last) = (0, first);
    while let (Some(x), Some(y)) = (left.peek().copied(), right.peek().copied()) {
        match (x.epoch.cmp(&y.epoch), x.begun, y.begun) {
            // Somebody was out and came back: what lies between they did not see.
            (std::cmp::Ordering::Less, _, true) => drop(left.next()),
            (std::cmp::Ordering::Greater, true, _) => drop(right.next()),
            (std::cmp::Ordering::Equal, ..) if x.confirmation == y.confirmation => {
                (epochs, last) = (epochs + 1, x.epoch);
                left.next();
                right.next();
            }
            _ => {
                let (epoch_a, epoch_b) = (x.epoch, y.epoch);
                return Comparison::Different { a: x.line, b: y.line, epoch_a, epoch_b };
            }
        }
    }
    if epochs == 0 { Comparison::NothingShared } else { Comparison::Same { first, last, epochs } }
}

struct Epoch<'l> {
    line: usize,
    epoch: u64,
    confirmation: &'l str,
    begun: bool,
}

impl Ledger {
    fn epochs(&self) -> Vec<Epoch<'_>> {
        let lines = self.entries.iter().enumerate();
        lines
            .filter_map(|(n, entry)| match &entry.happened {
                Happened::Epoch { why, .. } => Some(Epoch {
                    line: n + 1,
                    epoch: entry.epoch,
                    confirmation: &entry.confirmation,
                    begun: why == "begun" || why == "returned",
                }),
                _ => None,
            })
            .collect()
    }
}

fn hash(previous: &[u8; 32], body: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(LABEL).chain_update(previous).chain_update(body).finalize().into()
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (i, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn epoch(why: &str) -> Happened {
        let member = Member {
            member: 0,
            fingerprint: "rr4c-syvb".into(),
            name: "Ada \"x\",\"hash\":\"".into(),
            since: 0,
            by: None,
        };
        Happened::Epoch { why: why.into(), sequencer: 0, roster: vec![member] }
    }

    /// A ledger over these epochs; the confirmation hash of each is its byte.
    fn ledger(epochs: &[(u64, u8, &str)]) -> String {
        let mut chain = Chain::default();
        let mut text = String::new();
        for (n, (number, byte, why)) in epochs.iter().enumerate() {
            let at = Wall(1_700_000_000_000 + n as u64);
            text += &(chain.add(at, *number, &[*byte; 32], epoch(why)) + "\n");
            let ack = Happened::Ack { member: 1, agrees: true };
            text += &(chain.add(at, *number, &[*byte; 32], ack) + "\n");
        }
        assert_eq!(chain.lines(), 2 * epochs.len() as u64);
        assert_eq!(read(&text).unwrap().head, chain.head());
        text
    }

    fn five() -> String {
        ledger(&[
            (0, 0, "begun"),
            (1, 1, "joined"),
            (2, 2, "joined"),
            (3, 3, "left"),
            (4, 4, "keys"),
        ])
    }

    #[test]
    fn every_changed_character_is_found_in_its_line() {
        let good = five();
        for (i, byte) in good.bytes().enumerate().filter(|(_, b)| *b != b'\n') {
            let mut bytes = good.clone().into_bytes();
            bytes[i] = if byte == b'0' { b'1' } else { b'0' };
            let line = good[..i].matches('\n').count() + 1;
            let found = read(std::str::from_utf8(&bytes).unwrap()).unwrap_err();
            assert_eq!(found.line, line, "character {i}: {found}");
        }
    }

    #[test]
    fn missing_added_and_moved_lines_are_found() {
        let good = five();
        let lines: Vec<&str> = good.lines().collect();
        let join = |lines: &[&str]| lines.join("\n") + "\n";
        for n in 0..lines.len() - 1 {
            let mut without = lines.clone();
            without.remove(n);
            let found = read(&join(&without)).unwrap_err();
            assert_eq!(found.line, n + 1);
            assert!(found.what.contains("missing, added or moved"), "{found}");
            let mut swapped = lines.clone();
            swapped.swap(n, n + 1);
            assert_eq!(read(&join(&swapped)).unwrap_err().line, n + 1);
            let mut doubled = lines.clone();
            doubled.insert(n, lines[n]);
            assert_eq!(read(&join(&doubled)).unwrap_err().line, n + 2);
        }
    }

    #[test]
    fn a_cut_inside_a_line_is_found_and_the_head_tells_of_cut_lines() {
        let good = five();
        let whole = read(&good).unwrap();
        for cut in 0..good.len() {
            match read(&good[..cut]) {
                Err(_) => {}
                Ok(shorter) => {
                    assert!(good[..cut].ends_with('\n'));
                    assert_ne!(shorter.head, whole.head);
                }
            }
        }
    }

    #[test]
    fn a_line_rewritten_with_its_own_hash_breaks_the_next() {
        let good = five();
        let mut chain = Chain::default();
        let first = chain.add(Wall(1), 0, &[9; 32], epoch("begun"));
        let mut lines: Vec<&str> = good.lines().collect();
        lines[0] = &first;
        let found = read(&(lines.join("\n") + "\n")).unwrap_err();
        assert_eq!(found.line, 2);
    }

    #[test]
    fn two_members_agree_from_the_first_epoch_they_share() {
        let of = |epochs: &[(u64, u8, &str)]| read(&ledger(epochs)).unwrap();
        let host = read(&five()).unwrap();
        let joiner = of(&[(2, 2, "begun"), (3, 3, "left"), (4, 4, "keys")]);
        let same = Comparison::Same { first: 2, last: 4, epochs: 3 };
        assert_eq!(compare(&host, &joiner), same);
        assert_eq!(compare(&joiner, &host), same);
        let early = of(&[(0, 0, "begun")]);
        assert_eq!(compare(&early, &joiner), Comparison::NothingShared);
        let back = of(&[(1, 1, "begun"), (2, 2, "joined"), (4, 4, "begun")]);
        assert_eq!(compare(&host, &back), Comparison::Same { first: 1, last: 4, epochs: 3 });
        assert_eq!(compare(&back, &host), Comparison::Same { first: 1, last: 4, epochs: 3 });
    }

    #[test]
    fn the_first_difference_is_named() {
        let of = |epochs: &[(u64, u8, &str)]| read(&ledger(epochs)).unwrap();
        let host = read(&five()).unwrap();
        let other = of(&[(2, 2, "begun"), (3, 33, "left"), (4, 44, "keys")]);
        let different = Comparison::Different { a: 7, b: 3, epoch_a: 3, epoch_b: 3 };
        assert_eq!(compare(&host, &other), different);
        let gap = of(&[(1, 1, "begun"), (2, 2, "joined"), (4, 4, "keys")]);
        let different = Comparison::Different { a: 7, b: 5, epoch_a: 3, epoch_b: 4 };
        assert_eq!(compare(&host, &gap), different);
    }

    proptest! {
        #![proptest_config(crate::wire::seeded())]

        #[test]
        fn any_text_is_read_or_refused(text in "(.{0,80}\n){0,4}", lines in vec(0usize..10, 0..12)) {
            let _ = read(&text);
            let good = five();
            let all: Vec<&str> = good.lines().collect();
            let picked: Vec<&str> = lines.iter().map(|n| all[*n]).collect();
            let read = read(&(picked.join("\n") + "\n"));
            let in_order = lines.iter().enumerate().all(|(n, line)| n == *line);
            prop_assert_eq!(read.is_ok(), in_order && !lines.is_empty());
        }

        #[test]
        fn names_of_any_kind_round_trip(name in ".{0,64}", what in ".{0,64}") {
            let mut chain = Chain::default();
            let member =
                Member { member: 3, fingerprint: "f".into(), name, since: 1, by: Some(0) };
            let roster = Happened::Epoch { why: "begun".into(), sequencer: 0, roster: vec![member] };
            let seen = Happened::Seen { member: 3, what };
            let mut text = chain.add(Wall(5), 1, &[1; 32], roster.clone()) + "\n";
            text += &(chain.add(Wall(6), 1, &[1; 32], seen.clone()) + "\n");
            let read = read(&text).unwrap();
            prop_assert_eq!(&read.entries[0].happened, &roster);
            prop_assert_eq!(&read.entries[1].happened, &seen);
        }
    }
}
