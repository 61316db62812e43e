//! A commit's note: what MLS has no field for. It is the commit's authenticated data (RFC 9420
//! §6.3), so the committer's signature covers it and nobody can strip it.

use super::bytes::{Malformed, Reader, put_count};
use super::order::{SignedOrder, put_orders, read_orders};
use super::rules::Reason;
use super::state::MAX_MEMBERS;
use super::succession::Grants;
use std::collections::BTreeMap;

/// Longest note, in bytes: the orders one commit carries, and what is around them.
pub(super) const MAX_NOTE: usize = super::order::MAX_CARRIED_BYTES + 4096;

/// Why the committer removed whom, which orders it carries out, and who let it take over. Empty
/// in a commit that does nothing of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Note {
    /// By leaf; only for removals the committer makes itself.
    pub(super) removals: BTreeMap<u8, Reason>,
    pub(super) orders: Vec<SignedOrder>,
    pub(super) grants: Option<Grants>,
}

impl Note {
    const VERSION: u8 = 2;

    pub(super) fn encode(&self) -> Vec<u8> {
        if *self == Self::default() {
            return Vec::new();
        }
        let mut out = vec![Self::VERSION];
        put_count(&mut out, self.removals.len());
        for (leaf, why) in &self.removals {
            out.push(*leaf);
            out.push(match why {
                Reason::Left => 0,
                Reason::Decision => 1,
                Reason::Lost => 2,
                Reason::Replaced => 3,
            });
        }
        put_orders(&mut out, &self.orders);
        out.push(u8::from(self.grants.is_some()));
        if let Some(grants) = &self.grants {
            grants.put(&mut out);
        }
        out
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut note = Self::default();
        if bytes.is_empty() {
            return Ok(note);
        }
        if bytes.len() > MAX_NOTE {
            return Err(Malformed);
        }
        let mut r = Reader::new(bytes);
        if r.u8()? != Self::VERSION {
            return Err(Malformed);
        }
        let n = usize::from(r.u8()?);
        if n > MAX_MEMBERS {
            return Err(Malformed);
        }
        for _ in 0..n {
            let leaf = r.u8()?;
            let why = match r.u8()? {
                1 => Reason::Decision,
                2 => Reason::Lost,
                3 => Reason::Replaced,
                _ => return Err(Malformed),
            };
            note.removals.insert(leaf, why);
        }
        note.orders = read_orders(&mut r)?;
        note.grants = match r.u8()? {
            0 => None,
            1 => Some(Grants::read(&mut r)?),
            _ => return Err(Malformed),
        };
        r.end()?;
        if note.encode() == bytes { Ok(note) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::link::MemberId;

    #[test]
    fn a_note_parses_back_in_one_form_only() {
        let grants =
            Grants { term: 3, by: [(MemberId(1), [1; 64]), (MemberId(4), [2; 64])].into() };
        let note = Note {
            removals: [(3, Reason::Decision), (5, Reason::Lost), (6, Reason::Replaced)].into(),
            orders: Vec::new(),
            grants: Some(grants),
        };
        let bytes = note.encode();
        assert_eq!(Note::parse(&bytes), Ok(note));
        assert_eq!(Note::parse(&[]), Ok(Note::default()));
        for n in 1..bytes.len() {
            assert_eq!(Note::parse(&bytes[..n]), Err(Malformed));
        }
        for bad in [
            // Empty, but written down; unsorted; twice; no reason of a committer's; other version.
            &[2, 0, 0, 0][..],
            &[2, 2, 5, 2, 3, 1, 0, 0],
            &[2, 2, 3, 1, 3, 1, 0, 0],
            &[2, 1, 3, 0, 0, 0],
            &[1, 1, 3, 1, 0, 0],
            &[2, 17, 0, 0],
            &[2, 1, 3, 1, 17, 0],
            &[2, 1, 3, 1, 0, 2],
        ] {
            assert_eq!(Note::parse(bad), Err(Malformed), "{bad:?}");
        }
    }

    #[test]
    fn grants_of_one_voter_stand_in_a_note_once() {
        let one = Note {
            grants: Some(Grants { term: 1, by: [(MemberId(1), [1; 64])].into() }),
            ..Note::default()
        };
        let mut twice = one.encode();
        let entry = twice.split_off(twice.len() - 68);
        *twice.last_mut().unwrap() = 2;
        twice.extend_from_slice(&entry);
        twice.extend_from_slice(&entry);
        assert_eq!(Note::parse(&twice), Err(Malformed));
    }
}
