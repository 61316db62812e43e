//! Who leads when the sequencer doesn't: beats that show it is there, grants that let somebody
//! else take over.
//!
//! A member grants a term to one candidate only, and from then on refuses, in this epoch, every
//! commit of a lower term. So of two commits made for one epoch at most one finds a majority that
//! merges it, unless members lie, and then their two signatures show it. Grants name the epoch by
//! its confirmation hash: they are worth nothing in another epoch or branch.
//!
//! A sequencer that was silent for a while and comes back before anybody succeeded it finds that
//! those who granted the role refuse what it commits. It asks for grants itself, of a later term:
//! a *renewal*.

use super::Group;
use super::bytes::{Malformed, Reader};
use super::signed::{fits, signed_bytes};
use super::state::MAX_MEMBERS;
use crate::wire::link::MemberId;
use std::collections::BTreeMap;

/// A grant is for one of this many terms after the current one.
pub const MAX_TERM_AHEAD: u32 = 64;

const GRANT: &str = "grant";
const BEAT: &str = "beat";

/// A member's signed word that a candidate may take over from the sequencer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// MLS epoch it is given in.
    pub epoch: u64,
    /// Confirmation hash of that epoch.
    pub confirmation: [u8; 32],
    /// The term the candidate would lead.
    pub term: u32,
    /// To whom.
    pub candidate: MemberId,
    /// By whom.
    pub voter: MemberId,
    /// By the voter's leaf key, over purpose, group id, epoch, confirmation hash, term and
    /// candidate.
    pub signature: [u8; 64],
}

impl Grant {
    /// For the wire: 116 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.epoch.to_be_bytes().to_vec();
        out.extend_from_slice(&self.confirmation);
        out.extend_from_slice(&self.term.to_be_bytes());
        out.extend_from_slice(&self.candidate.0.to_be_bytes());
        out.extend_from_slice(&self.voter.0.to_be_bytes());
        out.extend_from_slice(&self.signature);
        out
    }

    /// Reads what [`encode`](Self::encode) wrote; the signature is checked by
    /// [`Group::verify_grant`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let grant = Self {
            epoch: r.u64()?,
            confirmation: r.array()?,
            term: r.u32()?,
            candidate: MemberId(r.u32()?),
            voter: MemberId(r.u32()?),
            signature: r.array()?,
        };
        r.end()?;
        Ok(grant)
    }
}

/// A grant wasn't given, or isn't worth anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// We are not in the group any more.
    #[error("no longer a member")]
    Evicted,
    /// The candidate or the voter isn't a member.
    #[error("{0} is not in the group")]
    UnknownMember(MemberId),
    /// The sequencer grants nothing to others: it hands over.
    #[error("the sequencer hands over instead")]
    Sequencer,
    /// The candidate is to be removed by an order we hold.
    #[error("the candidate is ordered out")]
    OrderedOut,
    /// The candidate is proved to have made two commits of one epoch.
    #[error("the candidate equivocated")]
    Equivocated,
    /// Not after the current term, or too far after it.
    #[error("not one of the next terms")]
    Term,
    /// This term, or a later one, was granted in this epoch already.
    #[error("term {0} is granted already")]
    Granted(u32),
    /// For another epoch or another branch.
    #[error("for another epoch")]
    OtherEpoch,
    /// Not signed by the voter.
    #[error("the signature is not the voter's")]
    Signature,
}

/// How a commit with grants stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Succession {
    /// More than half of the epoch's members granted it.
    Majority,
    /// Fewer did; only those go with it. A split branch.
    Split,
    /// The sequencer itself, in a later term. More than half granted it, or whoever receives it
    /// granted either this or nothing in the epoch.
    Renewal,
}

/// The sequencer's signed sign of life. Members pass it on: who hears a new one hears the
/// sequencer, whoever brought it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// MLS epoch the sequencer is in.
    pub epoch: u64,
    /// Confirmation hash of that epoch.
    pub confirmation: [u8; 32],
    /// Counts up.
    pub n: u64,
    /// By the sequencer's leaf key, over purpose, group id and the above.
    pub signature: [u8; 64],
}

impl Beat {
    /// For the wire: 112 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.epoch.to_be_bytes().to_vec();
        out.extend_from_slice(&self.confirmation);
        out.extend_from_slice(&self.n.to_be_bytes());
        out.extend_from_slice(&self.signature);
        out
    }

    /// Reads what [`encode`](Self::encode) wrote; the signature is checked by
    /// [`Group::verify_beat`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let (epoch, confirmation) = (r.u64()?, r.array()?);
        let beat = Self { epoch, confirmation, n: r.u64()?, signature: r.array()? };
        r.end()?;
        Ok(beat)
    }
}

/// A beat says nothing to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BeatError {
    /// We are not in the group any more.
    #[error("no longer a member")]
    Evicted,
    /// We aren't the sequencer.
    #[error("not the sequencer")]
    NotSequencer,
    /// From an epoch behind or ahead of ours.
    #[error("from epoch {0}")]
    OtherEpoch(u64),
    /// From our epoch's number, but another branch.
    #[error("from another branch")]
    OtherBranch,
    /// Not signed by the sequencer.
    #[error("the signature is not the sequencer's")]
    Signature,
}

/// Grants of one term to one candidate, as a commit carries them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Grants {
    pub(super) term: u32,
    /// By voter: each counts once.
    pub(super) by: BTreeMap<MemberId, [u8; 64]>,
}

impl Grants {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.term.to_be_bytes());
        put_signatures(out, &self.by);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { term: r.u32()?, by: read_signatures(r)? })
    }
}

/// Appends signatures by member, lowest first.
pub(super) fn put_signatures(out: &mut Vec<u8>, by: &BTreeMap<MemberId, [u8; 64]>) {
    super::bytes::put_count(out, by.len());
    for (member, signature) in by {
        out.extend_from_slice(&member.0.to_be_bytes());
        out.extend_from_slice(signature);
    }
}

pub(super) fn read_signatures(
    r: &mut Reader<'_>,
) -> Result<BTreeMap<MemberId, [u8; 64]>, Malformed> {
    let n = usize::from(r.u8()?);
    if n > MAX_MEMBERS {
        return Err(Malformed);
    }
    let mut by = BTreeMap::new();
    for _ in 0..n {
        let member = MemberId(r.u32()?);
        if by.last_key_value().is_some_and(|(last, _)| *last >= member) {
            return Err(Malformed);
        }
        by.insert(member, r.array()?);
    }
    Ok(by)
}

/// An epoch, as grants name it.
#[derive(Clone, Copy)]
pub(super) struct EpochName {
    pub(super) group: [u8; 16],
    pub(super) epoch: u64,
    pub(super) confirmation: [u8; 32],
}

impl EpochName {
    pub(super) fn grant<T>(&self, term: u32, to: MemberId, with: impl FnOnce(&[&[u8]]) -> T) -> T {
        let (epoch, term) = (self.epoch.to_be_bytes(), term.to_be_bytes());
        with(&[&self.group, &epoch, &self.confirmation, &term, &to.0.to_be_bytes()])
    }

    pub(super) fn is_granted(
        &self,
        voter: &[u8; 32],
        term: u32,
        to: MemberId,
        signature: &[u8; 64],
    ) -> bool {
        self.grant(term, to, |fields| fits(voter, GRANT, fields, signature))
    }

    pub(super) fn beat<T>(&self, n: u64, with: impl FnOnce(&[&[u8]]) -> T) -> T {
        let (epoch, n) = (self.epoch.to_be_bytes(), n.to_be_bytes());
        with(&[&self.group, &epoch, &self.confirmation, &n])
    }
}

impl Group {
    pub(super) fn epoch_name(&self) -> EpochName {
        EpochName { group: self.id, epoch: self.epoch(), confirmation: self.confirmation_hash() }
    }

    /// Lets `candidate` (ourselves, perhaps; or the sequencer again) lead in `term`. Once for each
    /// epoch and term; the same question again gets the same answer. Afterwards this group refuses
    /// commits of lower terms in this epoch, the sequencer's ordinary ones among them.
    pub fn grant(&mut self, term: u32, candidate: MemberId) -> Result<Grant, GrantError> {
        if self.evicted {
            return Err(GrantError::Evicted);
        }
        if self.state.of(candidate).is_none() {
            return Err(GrantError::UnknownMember(candidate));
        }
        if self.is_sequencer() && candidate != self.me {
            return Err(GrantError::Sequencer);
        }
        if self.is_ordered_out(candidate) {
            return Err(GrantError::OrderedOut);
        }
        if self.equivocation_of(candidate).is_some() {
            return Err(GrantError::Equivocated);
        }
        let ahead = term.saturating_sub(self.state.term);
        if !(1..=MAX_TERM_AHEAD).contains(&ahead) {
            return Err(GrantError::Term);
        }
        match self.granted {
            Some((granted, to)) if granted > term || (granted == term && to != candidate) => {
                return Err(GrantError::Granted(granted));
            }
            _ => self.granted = Some((term, candidate)),
        }
        let name = self.epoch_name();
        let message = name.grant(term, candidate, |fields| signed_bytes(GRANT, fields));
        Ok(Grant {
            epoch: name.epoch,
            confirmation: name.confirmation,
            term,
            candidate,
            voter: self.me,
            signature: self.signer.sign_bytes(&message),
        })
    }

    /// The term and candidate we granted in this epoch.
    pub fn granted(&self) -> Option<(u32, MemberId)> {
        self.granted
    }

    /// Checks another member's grant: of this epoch, for one of the next terms, signed.
    pub fn verify_grant(&self, grant: &Grant) -> Result<(), GrantError> {
        let name = self.epoch_name();
        if (grant.epoch, grant.confirmation) != (name.epoch, name.confirmation) {
            return Err(GrantError::OtherEpoch);
        }
        if self.state.of(grant.candidate).is_none() {
            return Err(GrantError::UnknownMember(grant.candidate));
        }
        let ahead = grant.term.saturating_sub(self.state.term);
        if !(1..=MAX_TERM_AHEAD).contains(&ahead) {
            return Err(GrantError::Term);
        }
        let key = self.leaf_key(grant.voter).ok_or(GrantError::UnknownMember(grant.voter))?;
        if name.is_granted(&key, grant.term, grant.candidate, &grant.signature) {
            Ok(())
        } else {
            Err(GrantError::Signature)
        }
    }

    /// More than half of this epoch's members.
    pub fn majority(&self) -> usize {
        self.state.order.len() / 2 + 1
    }

    /// Our sign of life, number `n`, as the sequencer.
    pub fn sign_beat(&self, n: u64) -> Result<Beat, BeatError> {
        if self.evicted {
            return Err(BeatError::Evicted);
        }
        if !self.is_sequencer() {
            return Err(BeatError::NotSequencer);
        }
        let name = self.epoch_name();
        let message = name.beat(n, |fields| signed_bytes(BEAT, fields));
        Ok(Beat {
            epoch: name.epoch,
            confirmation: name.confirmation,
            n,
            signature: self.signer.sign_bytes(&message),
        })
    }

    /// Checks that a beat is the sequencer's, of our epoch. Whether its number is new, the caller
    /// knows.
    pub fn verify_beat(&self, beat: &Beat) -> Result<(), BeatError> {
        if self.evicted {
            return Err(BeatError::Evicted);
        }
        let name = self.epoch_name();
        if beat.epoch != name.epoch {
            return Err(BeatError::OtherEpoch(beat.epoch));
        }
        if beat.confirmation != name.confirmation {
            return Err(BeatError::OtherBranch);
        }
        let key = self.leaf_key(self.state.sequencer).ok_or(BeatError::NotSequencer)?;
        if name.beat(beat.n, |fields| fits(&key, BEAT, fields, &beat.signature)) {
            Ok(())
        } else {
            Err(BeatError::Signature)
        }
    }

    /// Leaf key of a member of this epoch.
    pub(super) fn leaf_key(&self, member: MemberId) -> Option<[u8; 32]> {
        let seat = self.state.of(member)?;
        self.people.get(&seat.leaf).map(|person| person.leaf_key)
    }
}
