//! The group's own state: one GroupContext extension (0xF0F1), so that MLS itself makes sure all
//! members agree on it. Only the sequencer's commits rewrite it, and only to what every receiver
//! computes for itself from the commit's proposals ([`GroupState::after`]).

use super::bytes::{Malformed, Reader, put_count};
use crate::wire::link::MemberId;
use std::collections::{BTreeMap, BTreeSet};

/// Extension type, from the private-use range (RFC 9420 §17.3).
pub(super) const EXTENSION: u16 = 0xF0F1;
/// Layout version of the extension.
const VERSION: u8 = 1;
/// Members a group can have.
pub const MAX_MEMBERS: usize = 16;
/// Highest leaf index: the KID has six bits for it.
pub const MAX_LEAF: u8 = 63;
/// Entries in each of the lists of keys and invites.
const MAX_LIST: usize = 128;

/// One member's place: entries stand in join order, which is also the order of [`MemberId`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Serial number of the joining; never reused.
    pub id: MemberId,
    /// Leaf index in the ratchet tree; reused after a removal.
    pub leaf: u8,
    /// The first epoch this member holds keys of.
    pub since_epoch: u64,
    /// Who added it; `None` for the founder.
    pub added_by: Option<MemberId>,
}

/// What all members agree on beside the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupState {
    /// Counts hand-overs of the sequencer's role.
    pub term: u32,
    /// The only member whose commits count.
    pub sequencer: MemberId,
    /// Identity key of the founder.
    pub host: [u8; 32],
    /// Identity keys that may add members beside the host.
    pub admitters: BTreeSet<[u8; 32]>,
    /// The next joiner's [`MemberId`].
    pub next_serial: u32,
    /// Join order.
    pub order: Vec<Seat>,
    /// When locked: the identity keys that may still be added.
    pub lock: Option<BTreeSet<[u8; 32]>>,
    /// How often each invite was used.
    pub uses: BTreeMap<[u8; 8], u8>,
}

/// What a commit does, in the terms of the state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// The epoch the commit leads to.
    pub(super) epoch: u64,
    /// Leaves removed.
    pub(super) removed: BTreeSet<u8>,
    /// One member added: by whom, with which invite.
    pub(super) added: Option<(MemberId, Option<[u8; 8]>)>,
    /// The sequencer's role goes to the first other member in join order.
    pub(super) hand_over: bool,
}

/// A commit that no state follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// A committer can't remove itself (RFC 9420 §12.2).
    #[error("the sequencer can't remove itself")]
    SequencerRemoved,
    /// A leaf nobody sits on was removed.
    #[error("nobody sits on the removed leaf")]
    NobodyThere,
    /// More than [`MAX_MEMBERS`] members, or no leaf index up to [`MAX_LEAF`] left.
    #[error("the group is full")]
    Full,
    /// Serial numbers, terms, or counted invites are used up.
    #[error("a counter of the group state is used up")]
    UsedUp,
    /// A hand-over needs somebody to hand over to.
    #[error("nobody to hand over to")]
    NobodyElse,
    /// A hand-over goes alone, so that a joiner's Welcome always comes from the sequencer it names.
    #[error("a hand-over doesn't add anybody")]
    HandOverAdds,
}

impl GroupState {
    /// The state of a new group with only its founder, on leaf 0.
    pub(super) fn founded_by(host: [u8; 32]) -> Self {
        Self {
            term: 0,
            sequencer: MemberId(0),
            host,
            admitters: BTreeSet::new(),
            next_serial: 1,
            order: vec![Seat { id: MemberId(0), leaf: 0, since_epoch: 0, added_by: None }],
            lock: None,
            uses: BTreeMap::new(),
        }
    }

    /// The only state that may follow from a commit.
    pub(super) fn after(&self, changes: &Changes) -> Result<Self, Impossible> {
        let mut next = self.clone();
        for leaf in &changes.removed {
            let seat = self.at_leaf(*leaf).ok_or(Impossible::NobodyThere)?;
            if seat.id == self.sequencer {
                return Err(Impossible::SequencerRemoved);
            }
        }
        next.order.retain(|seat| !changes.removed.contains(&seat.leaf));
        if let Some((by, invite)) = changes.added {
            next.seat(by, invite, changes.epoch)?;
        }
        if changes.hand_over {
            if changes.added.is_some() {
                return Err(Impossible::HandOverAdds);
            }
            next.sequencer = next.successor().ok_or(Impossible::NobodyElse)?;
            next.term = next.term.checked_add(1).ok_or(Impossible::UsedUp)?;
        }
        Ok(next)
    }

    fn seat(
        &mut self,
        by: MemberId,
        invite: Option<[u8; 8]>,
        epoch: u64,
    ) -> Result<(), Impossible> {
        if self.order.len() >= MAX_MEMBERS {
            return Err(Impossible::Full);
        }
        // RFC 9420 §7.7: the leftmost free leaf, counted after the commit's removals.
        let leaf =
            (0..=MAX_LEAF).find(|leaf| self.at_leaf(*leaf).is_none()).ok_or(Impossible::Full)?;
        let id = MemberId(self.next_serial);
        self.next_serial = self.next_serial.checked_add(1).ok_or(Impossible::UsedUp)?;
        self.order.push(Seat { id, leaf, since_epoch: epoch, added_by: Some(by) });
        if let Some(invite) = invite {
            if self.uses.len() >= MAX_LIST && !self.uses.contains_key(&invite) {
                return Err(Impossible::UsedUp);
            }
            let uses = self.uses.entry(invite).or_insert(0);
            *uses = uses.checked_add(1).ok_or(Impossible::UsedUp)?;
        }
        Ok(())
    }

    /// Who takes over from the sequencer: the first other member in join order.
    pub(super) fn successor(&self) -> Option<MemberId> {
        self.order.iter().map(|seat| seat.id).find(|id| *id != self.sequencer)
    }

    pub(super) fn at_leaf(&self, leaf: u8) -> Option<Seat> {
        self.order.iter().find(|seat| seat.leaf == leaf).copied()
    }

    pub(super) fn of(&self, id: MemberId) -> Option<Seat> {
        self.order.iter().find(|seat| seat.id == id).copied()
    }

    /// Host and admitters may add.
    pub(super) fn may_add(&self, identity: &[u8; 32]) -> bool {
        *identity == self.host || self.admitters.contains(identity)
    }

    /// The extension's content: one encoding per state.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.term.to_be_bytes());
        out.extend_from_slice(&self.sequencer.0.to_be_bytes());
        out.extend_from_slice(&self.host);
        put_keys(&mut out, &self.admitters);
        out.extend_from_slice(&self.next_serial.to_be_bytes());
        put_count(&mut out, self.order.len());
        for seat in &self.order {
            out.push(seat.leaf);
            out.extend_from_slice(&seat.id.0.to_be_bytes());
            out.extend_from_slice(&seat.since_epoch.to_be_bytes());
            out.push(u8::from(seat.added_by.is_some()));
            if let Some(by) = seat.added_by {
                out.extend_from_slice(&by.0.to_be_bytes());
            }
        }
        out.push(u8::from(self.lock.is_some()));
        if let Some(lock) = &self.lock {
            put_keys(&mut out, lock);
        }
        put_count(&mut out, self.uses.len());
        for (invite, uses) in &self.uses {
            out.extend_from_slice(invite);
            out.push(*uses);
        }
        out
    }

    /// Reads an extension's content. Refuses anything [`encode`](Self::encode) would not write
    /// and any state no group can be in.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        if r.u8()? != VERSION {
            return Err(Malformed);
        }
        let term = r.u32()?;
        let sequencer = MemberId(r.u32()?);
        let host = r.array()?;
        let admitters = read_keys(&mut r)?;
        let next_serial = r.u32()?;
        let order = read_order(&mut r)?;
        let lock = if read_bool(&mut r)? { Some(read_keys(&mut r)?) } else { None };
        let mut uses = BTreeMap::new();
        for _ in 0..r.u8()? {
            uses.insert(r.array()?, r.u8()?);
        }
        r.end()?;
        let state = Self { term, sequencer, host, admitters, next_serial, order, lock, uses };
        // Sorted sets make this a check for canonical form, too.
        if state.encode() != bytes || !state.makes_sense() {
            return Err(Malformed);
        }
        Ok(state)
    }

    fn makes_sense(&self) -> bool {
        let leaves: BTreeSet<u8> = self.order.iter().map(|seat| seat.leaf).collect();
        (1..=MAX_MEMBERS).contains(&self.order.len())
            && leaves.len() == self.order.len()
            && leaves.iter().all(|leaf| *leaf <= MAX_LEAF)
            && self.order.is_sorted_by(|a, b| a.id < b.id)
            && self.order.iter().all(|seat| seat.id.0 < self.next_serial)
            && self.order.iter().all(|seat| seat.added_by.is_none_or(|by| by < seat.id))
            && self.of(self.sequencer).is_some()
            && self.uses.values().all(|uses| *uses > 0)
            && self.uses.len() <= MAX_LIST
    }
}

fn read_order(r: &mut Reader<'_>) -> Result<Vec<Seat>, Malformed> {
    (0..r.u8()?)
        .map(|_| {
            Ok(Seat {
                leaf: r.u8()?,
                id: MemberId(r.u32()?),
                since_epoch: r.u64()?,
                added_by: if read_bool(r)? { Some(MemberId(r.u32()?)) } else { None },
            })
        })
        .collect()
}

fn put_keys(out: &mut Vec<u8>, keys: &BTreeSet<[u8; 32]>) {
    put_count(out, keys.len());
    keys.iter().for_each(|key| out.extend_from_slice(key));
}

fn read_keys(r: &mut Reader<'_>) -> Result<BTreeSet<[u8; 32]>, Malformed> {
    let n = r.u8()?;
    if usize::from(n) > MAX_LIST {
        return Err(Malformed);
    }
    (0..n).map(|_| r.array()).collect()
}

fn read_bool(r: &mut Reader<'_>) -> Result<bool, Malformed> {
    match r.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(state: &GroupState, epoch: u64, invite: Option<[u8; 8]>) -> GroupState {
        let added = Some((state.sequencer, invite));
        state.after(&Changes { epoch, added, ..Changes::default() }).unwrap()
    }

    fn remove(state: &GroupState, leaf: u8) -> Result<GroupState, Impossible> {
        state.after(&Changes { epoch: 9, removed: [leaf].into(), ..Changes::default() })
    }

    fn hand_over(state: &GroupState) -> Result<GroupState, Impossible> {
        state.after(&Changes { epoch: 9, hand_over: true, ..Changes::default() })
    }

    #[test]
    fn what_is_encoded_parses_back() {
        let mut state = GroupState::founded_by([7; 32]);
        for epoch in 1..5 {
            state = add(&state, epoch, Some([epoch as u8; 8]));
            assert_eq!(GroupState::parse(&state.encode()), Ok(state.clone()));
        }
        state.lock = Some([[1; 32], [2; 32]].into());
        state.admitters = [[3; 32]].into();
        state = remove(&state, 1).unwrap();
        assert_eq!(GroupState::parse(&state.encode()), Ok(state.clone()));
    }

    #[test]
    fn shortened_lengthened_and_changed_states_are_refused_or_differ() {
        let mut state = add(&add(&GroupState::founded_by([7; 32]), 1, Some([9; 8])), 2, None);
        state.lock = Some([[1; 32], [2; 32]].into());
        let bytes = state.encode();
        for n in 0..bytes.len() {
            assert_eq!(GroupState::parse(&bytes[..n]), Err(Malformed));
        }
        assert_eq!(GroupState::parse(&[&bytes[..], &[0]].concat()), Err(Malformed));
        for i in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[i] ^= 1 << bit;
                if let Ok(other) = GroupState::parse(&flipped) {
                    assert_ne!(other, state);
                    assert_eq!(other.encode(), flipped);
                }
            }
        }
    }

    #[test]
    fn serials_are_never_reused_but_leaves_are() {
        let state = add(&add(&GroupState::founded_by([7; 32]), 1, None), 2, None);
        let state = remove(&state, 1).unwrap();
        let state = add(&state, 4, None);
        let seat = state.at_leaf(1).unwrap();
        assert_eq!((seat.id, seat.since_epoch), (MemberId(3), 4));
        assert_eq!(state.order.last().map(|seat| seat.id), Some(MemberId(3)));
    }

    #[test]
    fn a_free_leaf_never_makes_a_newcomer_the_successor() {
        let state = add(&add(&GroupState::founded_by([7; 32]), 1, None), 2, None);
        let state = hand_over(&state).unwrap();
        assert_eq!((state.sequencer, state.term), (MemberId(1), 1));
        let state = remove(&state, 0).unwrap();
        let state = add(&state, 5, None);
        assert_eq!(state.at_leaf(0).map(|seat| seat.id), Some(MemberId(3)));
        assert_eq!(state.successor(), Some(MemberId(2)));
    }

    #[test]
    fn impossible_commits_have_no_next_state() {
        let alone = GroupState::founded_by([7; 32]);
        assert_eq!(hand_over(&alone), Err(Impossible::NobodyElse));
        assert_eq!(remove(&alone, 0), Err(Impossible::SequencerRemoved));
        assert_eq!(remove(&alone, 3), Err(Impossible::NobodyThere));
        let full = (1..16).fold(alone, |state, epoch| add(&state, epoch, None));
        let changes = Changes { epoch: 20, added: Some((MemberId(0), None)), ..Changes::default() };
        assert_eq!(full.after(&changes), Err(Impossible::Full));
        let changes = Changes { hand_over: true, ..changes };
        assert_eq!(remove(&full, 15).unwrap().after(&changes), Err(Impossible::HandOverAdds));
    }

    #[test]
    fn uses_of_an_invite_are_counted() {
        let state = add(&add(&GroupState::founded_by([7; 32]), 1, Some([9; 8])), 2, Some([9; 8]));
        assert_eq!(state.uses, BTreeMap::from([([9; 8], 2)]));
    }
}
