//! The group's own state: one GroupContext extension (0xF0F1), so that MLS itself makes sure all
//! members agree on it. Only commits of whoever leads rewrite it, and only to what every receiver
//! computes for itself from the commit's proposals and orders ([`GroupState::after`]).

use super::bytes::{Malformed, Reader, put_count};
use super::order::{Mark, OrderKind};
use super::rules::Reason;
use crate::wire::link::MemberId;
use std::collections::{BTreeMap, BTreeSet};

/// Extension type, from the private-use range (RFC 9420 §17.3).
pub(super) const EXTENSION: u16 = 0xF0F1;
/// Layout version of the extension.
const VERSION: u8 = 2;
/// Members a group can have.
pub const MAX_MEMBERS: usize = 16;
/// Highest leaf index: the KID has six bits for it.
pub const MAX_LEAF: u8 = 63;
/// Entries in each of the lists of keys and invites.
pub const MAX_LIST: usize = 128;
/// Lost members that are remembered; the longest lost is forgotten first.
pub const MAX_FORMER: usize = 32;

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
    /// The invite it came in with.
    pub invite: Option<[u8; 8]>,
}

/// A member that was lost, and may come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Former {
    /// Identity key.
    pub identity: [u8; 32],
    /// The invite it had come in with.
    pub invite: Option<[u8; 8]>,
}

/// What an order said about an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Weight of the order.
    pub mark: Mark,
    /// Removed; `false` after it was readmitted.
    pub barred: bool,
}

/// What all members agree on beside the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupState {
    /// Counts changes of the sequencer; may skip numbers.
    pub term: u32,
    /// The only member whose commits count, unless others are granted a later term.
    pub sequencer: MemberId,
    /// Begun by fewer than half of the members of the epoch before, and nobody is back yet.
    pub split: bool,
    /// Identity key of the founder.
    pub host: [u8; 32],
    /// Identity keys that may add members beside the host.
    pub admitters: BTreeSet<[u8; 32]>,
    /// Weight of the order that named them.
    pub admitters_mark: Mark,
    /// The next joiner's [`MemberId`].
    pub next_serial: u32,
    /// Join order.
    pub order: Vec<Seat>,
    /// When locked: the identity keys that may still be added, beside the host's.
    pub lock: Option<BTreeSet<[u8; 32]>>,
    /// Weight of the order that locked or unlocked.
    pub lock_mark: Mark,
    /// How often each invite was used.
    pub uses: BTreeMap<[u8; 8], u8>,
    /// Invites nobody comes in with any more.
    pub voided: BTreeSet<[u8; 8]>,
    /// Identities there was an order about.
    pub standings: BTreeMap<[u8; 32], Standing>,
    /// Members removed as lost, in that order; they come back without invite.
    pub former: Vec<Former>,
    /// Highest serial of the orders carried out.
    pub order_serial: u32,
}

/// Who leads after a commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Lead {
    /// The sequencer as before.
    #[default]
    Stay,
    /// The first other member in join order.
    HandOver,
    /// The committer, in this term.
    Succeed { term: u32, split: bool },
}

/// A member added by a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Added {
    pub(super) by: MemberId,
    pub(super) invite: Option<[u8; 8]>,
    pub(super) identity: [u8; 32],
    /// It was a member before, or its older seat goes with this commit.
    pub(super) back: bool,
}

/// What a commit does, in the terms of the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Changes {
    /// The epoch the commit leads to.
    pub(super) epoch: u64,
    pub(super) committer: MemberId,
    /// Leaves removed: why, and whose they were.
    pub(super) removed: BTreeMap<u8, (Reason, [u8; 32])>,
    pub(super) added: Option<Added>,
    pub(super) orders: Vec<(Mark, OrderKind)>,
    pub(super) lead: Lead,
}

/// A commit that no state follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// A committer can't remove itself (RFC 9420 §12.2).
    #[error("the committer can't remove itself")]
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
    /// A change of the sequencer goes without additions, so that a joiner's Welcome always comes
    /// from the sequencer it names.
    #[error("a change of the sequencer doesn't add anybody")]
    HandOverAdds,
    /// Nobody orders the host out.
    #[error("nobody orders the host out")]
    HostOrderedOut,
    /// Nobody comes in with this invite any more.
    #[error("the invite is void")]
    Voided,
}

impl GroupState {
    /// The state of a new group with only its founder, on leaf 0.
    pub(super) fn founded_by(host: [u8; 32]) -> Self {
        let founder =
            Seat { id: MemberId(0), leaf: 0, since_epoch: 0, added_by: None, invite: None };
        Self {
            term: 0,
            sequencer: MemberId(0),
            split: false,
            host,
            admitters: BTreeSet::new(),
            admitters_mark: Mark::default(),
            next_serial: 1,
            order: vec![founder],
            lock: None,
            lock_mark: Mark::default(),
            uses: BTreeMap::new(),
            voided: BTreeSet::new(),
            standings: BTreeMap::new(),
            former: Vec::new(),
            order_serial: 0,
        }
    }

    /// The only state that may follow from a commit.
    pub(super) fn after(&self, changes: &Changes) -> Result<Self, Impossible> {
        let mut next = self.clone();
        for (mark, kind) in &changes.orders {
            next.apply_order(*mark, kind)?;
        }
        for (leaf, (why, identity)) in &changes.removed {
            let seat = self.at_leaf(*leaf).ok_or(Impossible::NobodyThere)?;
            if seat.id == changes.committer {
                return Err(Impossible::SequencerRemoved);
            }
            if seat.id == self.sequencer && !matches!(changes.lead, Lead::Succeed { .. }) {
                return Err(Impossible::SequencerRemoved);
            }
            next.unseat(seat, *why, *identity);
        }
        if let Some(added) = &changes.added {
            next.seat(added, changes.epoch)?;
        }
        if changes.lead != Lead::Stay && changes.added.is_some() {
            return Err(Impossible::HandOverAdds);
        }
        match changes.lead {
            Lead::Stay => {}
            Lead::HandOver => {
                next.sequencer = next.successor().ok_or(Impossible::NobodyElse)?;
                next.term = next.term.checked_add(1).ok_or(Impossible::UsedUp)?;
            }
            Lead::Succeed { term, split } => {
                next.sequencer = changes.committer;
                next.term = term;
                next.split |= split;
            }
        }
        Ok(next)
    }

    fn unseat(&mut self, seat: Seat, why: Reason, identity: [u8; 32]) {
        self.order.retain(|other| other.id != seat.id);
        self.former.retain(|former| former.identity != identity);
        match why {
            // Its seat goes to itself.
            Reason::Replaced => {}
            Reason::Lost => {
                if self.former.len() >= MAX_FORMER {
                    self.former.remove(0);
                }
                self.former.push(Former { identity, invite: seat.invite });
            }
            // Who left a locked call doesn't come back.
            Reason::Left => {
                self.lock.as_mut().map(|lock| lock.remove(&identity));
            }
            Reason::Decision => {
                // The invites it held: the one it came with, and those it let others in with.
                let held = self.order.iter().filter(|other| other.added_by == Some(seat.id));
                let held: Vec<_> = held.filter_map(|other| other.invite).collect();
                for invite in held.into_iter().chain(seat.invite) {
                    self.void(invite);
                }
            }
        }
    }

    /// There is always room: a full list means that whoever comes with a further invite is turned
    /// away (see [`may_use`](Self::may_use)).
    fn void(&mut self, invite: [u8; 8]) {
        if self.voided.len() < MAX_LIST {
            self.voided.insert(invite);
        }
    }

    /// Somebody may still come in with this invite.
    pub fn may_use(&self, invite: &[u8; 8]) -> bool {
        !self.voided.contains(invite) && self.voided.len() < MAX_LIST
    }

    fn seat(&mut self, added: &Added, epoch: u64) -> Result<(), Impossible> {
        if self.order.len() >= MAX_MEMBERS {
            return Err(Impossible::Full);
        }
        // RFC 9420 §7.7: the leftmost free leaf, counted after the commit's removals.
        let leaf =
            (0..=MAX_LEAF).find(|leaf| self.at_leaf(*leaf).is_none()).ok_or(Impossible::Full)?;
        let id = MemberId(self.next_serial);
        self.next_serial = self.next_serial.checked_add(1).ok_or(Impossible::UsedUp)?;
        let (added_by, invite) = (Some(added.by), added.invite);
        self.order.push(Seat { id, leaf, since_epoch: epoch, added_by, invite });
        self.former.retain(|former| former.identity != added.identity);
        self.split &= !added.back;
        if let Some(invite) = added.invite {
            if !self.may_use(&invite) {
                return Err(Impossible::Voided);
            }
            if self.uses.len() >= MAX_LIST && !self.uses.contains_key(&invite) {
                return Err(Impossible::UsedUp);
            }
            let uses = self.uses.entry(invite).or_insert(0);
            *uses = uses.checked_add(1).ok_or(Impossible::UsedUp)?;
        }
        Ok(())
    }

    /// Writes an order's register; `false` when a weightier order was there before.
    pub(super) fn apply_order(&mut self, mark: Mark, kind: &OrderKind) -> Result<bool, Impossible> {
        let fresh = match kind {
            OrderKind::Remove(who) => self.stand(mark, who, true)?,
            OrderKind::Readmit(who) => self.stand(mark, who, false)?,
            OrderKind::Lock(list) => self.set_lock(mark, Some(list)),
            OrderKind::Unlock => self.set_lock(mark, None),
            OrderKind::Admitters(list) => {
                let fresh = mark > self.admitters_mark;
                if fresh {
                    self.admitters.clone_from(list);
                    self.admitters_mark = mark;
                }
                fresh
            }
            OrderKind::VoidInvite(invite) => {
                if self.voided.len() >= MAX_LIST && !self.voided.contains(invite) {
                    return Err(Impossible::UsedUp);
                }
                self.voided.insert(*invite)
            }
        };
        if fresh {
            self.order_serial = self.order_serial.max(mark.serial);
        }
        Ok(fresh)
    }

    fn set_lock(&mut self, mark: Mark, list: Option<&BTreeSet<[u8; 32]>>) -> bool {
        let fresh = mark > self.lock_mark;
        if fresh {
            self.lock = list.cloned();
            self.lock_mark = mark;
        }
        fresh
    }

    fn stand(&mut self, mark: Mark, who: &[u8; 32], barred: bool) -> Result<bool, Impossible> {
        if *who == self.host {
            return Err(Impossible::HostOrderedOut);
        }
        let before = self.standings.get(who).copied();
        if before.is_some_and(|before| before.mark >= mark) {
            return Ok(false);
        }
        if before.is_none() && self.standings.len() >= MAX_LIST {
            return Err(Impossible::UsedUp);
        }
        self.standings.insert(*who, Standing { mark, barred });
        if barred {
            self.admitters.remove(who);
            let lost = self.former.iter().find(|former| former.identity == *who).copied();
            self.former.retain(|former| former.identity != *who);
            lost.and_then(|lost| lost.invite).into_iter().for_each(|invite| self.void(invite));
        }
        Ok(true)
    }

    /// Removed by decision, and not readmitted.
    pub fn is_barred(&self, identity: &[u8; 32]) -> bool {
        self.standings.get(identity).is_some_and(|standing| standing.barred)
    }

    /// All identities removed by decision.
    pub fn barred(&self) -> impl Iterator<Item = &[u8; 32]> {
        self.standings.iter().filter(|(_, standing)| standing.barred).map(|(who, _)| who)
    }

    /// The lock, if any, lets this identity in.
    pub fn lock_admits(&self, identity: &[u8; 32]) -> bool {
        *identity == self.host || self.lock.as_ref().is_none_or(|lock| lock.contains(identity))
    }

    /// Was lost, and may come back without invite.
    pub fn is_former(&self, identity: &[u8; 32]) -> bool {
        self.former.iter().any(|former| former.identity == *identity)
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
        out.push(u8::from(self.split));
        out.extend_from_slice(&self.host);
        put_keys(&mut out, &self.admitters);
        put_mark(&mut out, self.admitters_mark);
        out.extend_from_slice(&self.next_serial.to_be_bytes());
        put_count(&mut out, self.order.len());
        for seat in &self.order {
            out.push(seat.leaf);
            out.extend_from_slice(&seat.id.0.to_be_bytes());
            out.extend_from_slice(&seat.since_epoch.to_be_bytes());
            put_option(&mut out, seat.added_by.map(|by| by.0.to_be_bytes()));
            put_option(&mut out, seat.invite);
        }
        out.push(u8::from(self.lock.is_some()));
        if let Some(lock) = &self.lock {
            put_keys(&mut out, lock);
        }
        put_mark(&mut out, self.lock_mark);
        put_count(&mut out, self.uses.len());
        for (invite, uses) in &self.uses {
            out.extend_from_slice(invite);
            out.push(*uses);
        }
        put_count(&mut out, self.voided.len());
        self.voided.iter().for_each(|invite| out.extend_from_slice(invite));
        put_count(&mut out, self.standings.len());
        for (who, standing) in &self.standings {
            out.extend_from_slice(who);
            put_mark(&mut out, standing.mark);
            out.push(u8::from(standing.barred));
        }
        put_count(&mut out, self.former.len());
        for former in &self.former {
            out.extend_from_slice(&former.identity);
            put_option(&mut out, former.invite);
        }
        out.extend_from_slice(&self.order_serial.to_be_bytes());
        out
    }

    /// Reads an extension's content. Refuses anything [`encode`](Self::encode) would not write
    /// and any state no group can be in.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        if r.u8()? != VERSION {
            return Err(Malformed);
        }
        let state = Self {
            term: r.u32()?,
            sequencer: MemberId(r.u32()?),
            split: read_bool(&mut r)?,
            host: r.array()?,
            admitters: read_keys(&mut r)?,
            admitters_mark: read_mark(&mut r)?,
            next_serial: r.u32()?,
            order: read_list(&mut r, MAX_MEMBERS, read_seat)?,
            lock: if read_bool(&mut r)? { Some(read_keys(&mut r)?) } else { None },
            lock_mark: read_mark(&mut r)?,
            uses: read_list(&mut r, MAX_LIST, |r| Ok((r.array()?, r.u8()?)))?,
            voided: read_list(&mut r, MAX_LIST, |r| r.array())?,
            standings: read_list(&mut r, MAX_LIST, |r| {
                let who = r.array()?;
                Ok((who, Standing { mark: read_mark(r)?, barred: read_bool(r)? }))
            })?,
            former: read_list(&mut r, MAX_FORMER, |r| {
                Ok(Former { identity: r.array()?, invite: read_option(r)? })
            })?,
            order_serial: r.u32()?,
        };
        r.end()?;
        // Sorted sets make this a check for canonical form, too.
        if state.encode() != bytes || !state.makes_sense() {
            return Err(Malformed);
        }
        Ok(state)
    }

    fn makes_sense(&self) -> bool {
        let leaves: BTreeSet<u8> = self.order.iter().map(|seat| seat.leaf).collect();
        let former: BTreeSet<&[u8; 32]> = self.former.iter().map(|f| &f.identity).collect();
        (1..=MAX_MEMBERS).contains(&self.order.len())
            && leaves.len() == self.order.len()
            && leaves.iter().all(|leaf| *leaf <= MAX_LEAF)
            && self.order.is_sorted_by(|a, b| a.id < b.id)
            && self.order.iter().all(|seat| seat.id.0 < self.next_serial)
            && self.order.iter().all(|seat| seat.added_by.is_none_or(|by| by < seat.id))
            && self.of(self.sequencer).is_some()
            && self.uses.values().all(|uses| *uses > 0)
            && former.len() == self.former.len()
            && former.iter().all(|identity| !self.is_barred(identity))
            && !self.is_barred(&self.host)
    }
}

fn read_seat(r: &mut Reader<'_>) -> Result<Seat, Malformed> {
    Ok(Seat {
        leaf: r.u8()?,
        id: MemberId(r.u32()?),
        since_epoch: r.u64()?,
        added_by: read_option(r)?.map(|by| MemberId(u32::from_be_bytes(by))),
        invite: read_option(r)?,
    })
}

fn read_list<T, C: FromIterator<T>>(
    r: &mut Reader<'_>,
    cap: usize,
    mut read: impl FnMut(&mut Reader<'_>) -> Result<T, Malformed>,
) -> Result<C, Malformed> {
    let n = usize::from(r.u8()?);
    if n > cap {
        return Err(Malformed);
    }
    (0..n).map(|_| read(r)).collect()
}

/// Appends a list of keys, sorted.
pub(super) fn put_keys(out: &mut Vec<u8>, keys: &BTreeSet<[u8; 32]>) {
    put_count(out, keys.len());
    keys.iter().for_each(|key| out.extend_from_slice(key));
}

pub(super) fn read_keys(r: &mut Reader<'_>) -> Result<BTreeSet<[u8; 32]>, Malformed> {
    read_list(r, MAX_LIST, |r| r.array())
}

fn put_mark(out: &mut Vec<u8>, mark: Mark) {
    out.push(u8::from(mark.host));
    out.extend_from_slice(&mark.serial.to_be_bytes());
}

fn read_mark(r: &mut Reader<'_>) -> Result<Mark, Malformed> {
    Ok(Mark { host: read_bool(r)?, serial: r.u32()? })
}

fn put_option<const N: usize>(out: &mut Vec<u8>, value: Option<[u8; N]>) {
    out.push(u8::from(value.is_some()));
    value.iter().for_each(|value| out.extend_from_slice(value));
}

fn read_option<const N: usize>(r: &mut Reader<'_>) -> Result<Option<[u8; N]>, Malformed> {
    if read_bool(r)? { Ok(Some(r.array()?)) } else { Ok(None) }
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

    fn changes(state: &GroupState, epoch: u64) -> Changes {
        Changes {
            epoch,
            committer: state.sequencer,
            removed: BTreeMap::new(),
            added: None,
            orders: Vec::new(),
            lead: Lead::Stay,
        }
    }

    /// Identities of the tests: the member's number.
    fn who(n: u32) -> [u8; 32] {
        [n as u8; 32]
    }

    fn added(state: &GroupState, invite: Option<[u8; 8]>) -> Option<Added> {
        let identity = who(state.next_serial);
        Some(Added { by: state.sequencer, invite, identity, back: false })
    }

    fn add(state: &GroupState, epoch: u64, invite: Option<[u8; 8]>) -> GroupState {
        let changes = Changes { added: added(state, invite), ..changes(state, epoch) };
        state.after(&changes).unwrap()
    }

    fn out(state: &GroupState, leaf: u8, why: Reason) -> Result<GroupState, Impossible> {
        let identity = state.at_leaf(leaf).map_or([0; 32], |seat| who(seat.id.0));
        state.after(&Changes { removed: [(leaf, (why, identity))].into(), ..changes(state, 9) })
    }

    fn remove(state: &GroupState, leaf: u8) -> Result<GroupState, Impossible> {
        out(state, leaf, Reason::Lost)
    }

    fn hand_over(state: &GroupState) -> Result<GroupState, Impossible> {
        state.after(&Changes { lead: Lead::HandOver, ..changes(state, 9) })
    }

    fn order(state: &mut GroupState, serial: u32, kind: OrderKind) -> bool {
        state.apply_order(Mark { host: true, serial }, &kind).unwrap()
    }

    #[test]
    fn what_is_encoded_parses_back() {
        let mut state = GroupState::founded_by([7; 32]);
        for epoch in 1..5 {
            state = add(&state, epoch, Some([epoch as u8; 8]));
            assert_eq!(GroupState::parse(&state.encode()), Ok(state.clone()));
        }
        state.lock = Some([[1; 32], [2; 32]].into());
        order(&mut state, 1, OrderKind::Admitters([[3; 32]].into()));
        order(&mut state, 2, OrderKind::Remove([8; 32]));
        order(&mut state, 3, OrderKind::VoidInvite([5; 8]));
        state = remove(&state, 1).unwrap();
        assert_eq!(GroupState::parse(&state.encode()), Ok(state.clone()));
    }

    #[test]
    fn shortened_lengthened_and_changed_states_are_refused_or_differ() {
        let mut state = add(&add(&GroupState::founded_by([7; 32]), 1, Some([9; 8])), 2, None);
        state.lock = Some([[1; 32], [2; 32]].into());
        order(&mut state, 2, OrderKind::Remove([8; 32]));
        order(&mut state, 3, OrderKind::VoidInvite([5; 8]));
        state = remove(&state, 2).unwrap();
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
        let one_more = Changes { added: added(&full, None), ..changes(&full, 20) };
        assert_eq!(full.after(&one_more), Err(Impossible::Full));
        for lead in [Lead::HandOver, Lead::Succeed { term: 4, split: false }] {
            let changes = Changes { lead, ..one_more.clone() };
            assert_eq!(remove(&full, 15).unwrap().after(&changes), Err(Impossible::HandOverAdds));
        }
    }

    #[test]
    fn uses_of_an_invite_are_counted() {
        let state = add(&add(&GroupState::founded_by([7; 32]), 1, Some([9; 8])), 2, Some([9; 8]));
        assert_eq!(state.uses, BTreeMap::from([([9; 8], 2)]));
    }

    #[test]
    fn of_two_orders_about_one_thing_the_later_holds_whatever_comes_first() {
        let founded = add(&GroupState::founded_by(who(0)), 1, None);
        let (lock, unlock) = (OrderKind::Lock([who(1)].into()), OrderKind::Unlock);
        let (out, again) = (OrderKind::Remove(who(5)), OrderKind::Readmit(who(5)));
        let orders = [(1, lock), (2, unlock), (3, out), (4, again)];
        let mut forwards = founded.clone();
        orders
            .iter()
            .for_each(|(serial, kind)| assert!(order(&mut forwards, *serial, kind.clone())));
        let mut backwards = founded.clone();
        for (serial, kind) in orders.iter().rev() {
            assert_eq!(order(&mut backwards, *serial, kind.clone()), serial % 2 == 0);
        }
        assert_eq!(forwards, backwards);
        assert!(forwards.lock.is_none() && !forwards.is_barred(&who(5)));
        assert_eq!(forwards.order_serial, 4);
    }

    #[test]
    fn a_leaders_order_never_overrules_the_hosts_and_nobody_orders_the_host_out() {
        let mut state = GroupState::founded_by(who(0));
        let leader = Mark { host: false, serial: 900 };
        assert!(order(&mut state, 1, OrderKind::Remove(who(5))));
        assert_eq!(state.apply_order(leader, &OrderKind::Readmit(who(5))), Ok(false));
        assert!(state.is_barred(&who(5)));
        assert_eq!(state.apply_order(leader, &OrderKind::Lock([who(1)].into())), Ok(true));
        assert!(order(&mut state, 2, OrderKind::Unlock));
        let about_host = OrderKind::Remove(who(0));
        assert_eq!(state.apply_order(leader, &about_host), Err(Impossible::HostOrderedOut));
        // The host comes in whatever the lock says.
        assert!(order(&mut state, 3, OrderKind::Lock(BTreeSet::new())));
        assert!(state.lock_admits(&who(0)) && !state.lock_admits(&who(1)));
    }

    #[test]
    fn who_is_lost_may_come_back_who_left_or_was_removed_may_not() {
        let founded = GroupState::founded_by(who(0));
        let mut state = (1..4).fold(founded, |state, epoch| add(&state, epoch, Some([9; 8])));
        order(&mut state, 1, OrderKind::Lock([who(1), who(2), who(3)].into()));
        let lost = out(&state, 1, Reason::Lost).unwrap();
        assert!(lost.is_former(&who(1)) && lost.lock_admits(&who(1)));
        let left = out(&state, 1, Reason::Left).unwrap();
        assert!(!left.is_former(&who(1)) && !left.lock_admits(&who(1)));
        let removed = out(&state, 1, Reason::Decision).unwrap();
        assert!(!removed.is_former(&who(1)) && !removed.may_use(&[9; 8]), "its invite is void");
        // Ordered out after it was lost: the same.
        let mut lost = lost;
        order(&mut lost, 2, OrderKind::Remove(who(1)));
        assert!(!lost.is_former(&who(1)) && !lost.may_use(&[9; 8]));
    }

    #[test]
    fn the_list_of_the_lost_is_bounded_and_forgets_the_longest_lost() {
        let mut state = GroupState::founded_by(who(0));
        for epoch in 1..50 {
            state = add(&state, epoch, None);
            state = remove(&state, 1).unwrap();
            assert_eq!(GroupState::parse(&state.encode()), Ok(state.clone()));
        }
        assert_eq!(state.former.len(), MAX_FORMER);
        assert!(state.is_former(&who(49)) && !state.is_former(&who(1)));
    }

    #[test]
    fn full_lists_refuse_orders_and_nothing_else() {
        let mut state = GroupState::founded_by(who(0));
        for n in 1..=128u8 {
            assert!(order(&mut state, n.into(), OrderKind::Remove([n; 32])));
        }
        let mark = Mark { host: true, serial: 999 };
        let further = OrderKind::Remove([200; 32]);
        assert_eq!(state.apply_order(mark, &further), Err(Impossible::UsedUp));
        assert_eq!(state.apply_order(mark, &OrderKind::Readmit([7; 32])), Ok(true));
        assert_eq!(GroupState::parse(&state.encode()), Ok(state));
    }
}
