//! A commit travels with everything it needs, as one unit: the message with a new member's
//! pre-shared key, the proposals it refers to, its committer's statement, and the commit itself. Out of order they would
//! fail (a commit before its proposal, a commit before its PSK), and some members would never
//! get a proposal that went to the sequencer only.

use super::bytes::{Malformed, Reader, put_bytes, put_count};
use super::statement::Statement;
use super::{MAX_BUNDLE, MAX_PROPOSAL, sha256};
use std::collections::VecDeque;

/// First byte of a bundle. An MLS message begins with 0x00 (version 0x0001), so the two can't be
/// taken for one another.
const BUNDLE: u8 = 0xB3;
/// Proposals in one bundle: more than all members asking for two things each.
const MAX_PROPOSALS: usize = 64;

/// A parsed bundle. The parts are MLS messages nobody has looked into yet.
pub(super) struct Bundle<'a> {
    pub(super) psk: Option<&'a [u8]>,
    pub(super) proposals: Vec<&'a [u8]>,
    pub(super) commit: &'a [u8],
    /// Names this commit; who signed it is not checked here.
    pub(super) statement: Statement,
}

impl<'a> Bundle<'a> {
    pub(super) fn is_one(bytes: &[u8]) -> bool {
        bytes.first() == Some(&BUNDLE)
    }

    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_BUNDLE {
            return Err(Malformed);
        }
        let mut r = Reader::new(bytes);
        if r.u8()? != BUNDLE {
            return Err(Malformed);
        }
        let psk = match r.u8()? {
            0 => None,
            1 => Some(r.bytes(MAX_PROPOSAL)?),
            _ => return Err(Malformed),
        };
        let n = usize::from(r.u8()?);
        if n > MAX_PROPOSALS {
            return Err(Malformed);
        }
        let proposals = (0..n).map(|_| r.bytes(MAX_PROPOSAL)).collect::<Result<_, _>>()?;
        let commit = r.bytes(MAX_BUNDLE)?;
        let statement = Statement::read_in_bundle(&mut r, sha256(commit))?;
        r.end()?;
        Ok(Self { psk, proposals, commit, statement })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![BUNDLE, u8::from(self.psk.is_some())];
        if let Some(psk) = self.psk {
            put_bytes(&mut out, psk);
        }
        put_count(&mut out, self.proposals.len());
        self.proposals.iter().for_each(|proposal| put_bytes(&mut out, proposal));
        put_bytes(&mut out, self.commit);
        self.statement.put_in_bundle(&mut out);
        out
    }
}

/// Hashes of the last bundles: a bundle comes from several members, MLS sees it once.
#[derive(Default)]
pub(super) struct Seen(VecDeque<[u8; 32]>);

impl Seen {
    const KEPT: usize = 64;

    pub(super) fn contains(&self, hash: &[u8; 32]) -> bool {
        self.0.contains(hash)
    }

    pub(super) fn insert(&mut self, hash: [u8; 32]) {
        if self.0.len() == Self::KEPT {
            self.0.pop_front();
        }
        self.0.push_back(hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement() -> Statement {
        let (by, confirmation, commit_hash) = ([1; 32], [2; 32], sha256(b"commit"));
        Statement { by, epoch: 9, confirmation, commit_hash, signature: [3; 64] }
    }

    #[test]
    fn a_bundle_parses_back_and_no_part_of_it_does() {
        for psk in [None, Some(&b"psk"[..])] {
            let proposals: Vec<&[u8]> = vec![b"one", b""];
            let bundle = Bundle { psk, proposals, commit: b"commit", statement: statement() };
            let bytes = bundle.encode();
            let parsed = Bundle::parse(&bytes).unwrap();
            assert_eq!(
                (parsed.psk, parsed.proposals, parsed.commit, parsed.statement),
                (psk, bundle.proposals, &b"commit"[..], statement())
            );
            for n in 0..bytes.len() {
                assert!(Bundle::parse(&bytes[..n]).is_err());
            }
            assert!(Bundle::parse(&[&bytes[..], &[0]].concat()).is_err());
        }
    }

    #[test]
    fn lengths_beyond_the_caps_are_refused_before_anything_is_allocated() {
        let mut bytes = vec![BUNDLE, 0, 0];
        bytes.extend_from_slice(&u32::MAX.to_be_bytes());
        assert!(Bundle::parse(&bytes).is_err());
        assert!(Bundle::parse(&[BUNDLE, 0, 255]).is_err());
        assert!(Bundle::parse(&vec![BUNDLE; MAX_BUNDLE + 1]).is_err());
    }

    #[test]
    fn the_memory_of_bundles_is_bounded() {
        let mut seen = Seen::default();
        (0..200u8).for_each(|i| seen.insert([i; 32]));
        assert!(seen.contains(&[199; 32]) && !seen.contains(&[0; 32]));
        assert_eq!(seen.0.len(), Seen::KEPT);
    }
}
