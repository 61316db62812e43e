//! Decisions about the group, signed by an identity key: who is out, who may come in. MLS messages
//! die with their epoch; an order holds in every epoch and every branch, so that a removal can't
//! be undone by a split, by a new sequencer or by somebody's forgetting.
//!
//! Orders are made by the host. While the founder isn't a member, whoever leads may make them too,
//! but never against what the host ordered, nor against the host. Each writes one register of the
//! group state (an identity's standing, the lock, the admitters, an invite); the higher [`Mark`]
//! wins, so the order of arrival doesn't matter and a replay changes nothing.

use super::Group;
use super::bytes::{Malformed, Reader, put_count};
use super::signed::{fits, signed_bytes};
use super::state::{GroupState, MAX_LIST, put_keys, read_keys};
use crate::wire::link::MemberId;
use std::collections::BTreeSet;

/// Longest order, in bytes: a list of keys, and what is around it.
pub const MAX_ORDER: usize = 32 * MAX_LIST + 256;
/// Orders a member keeps: those that wait for a commit, and those it can show others later.
pub const MAX_HELD_ORDERS: usize = 64;

/// What is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderKind {
    /// This identity is out, and never comes back without a [`Readmit`](Self::Readmit).
    Remove([u8; 32]),
    /// This identity may be added again.
    Readmit([u8; 32]),
    /// Only these identities (and the host) may be added from now on.
    Lock(BTreeSet<[u8; 32]>),
    /// No list any more.
    Unlock,
    /// These identities may add members beside the host.
    Admitters(BTreeSet<[u8; 32]>),
    /// Nobody comes in with this invite any more.
    VoidInvite([u8; 8]),
}

/// A decision that nobody has signed yet: see [`Group::draft_order`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Group id.
    pub group: [u8; 16],
    /// Counts the orders of a call. Of two about one thing the higher holds.
    pub serial: u32,
    /// What is decided.
    pub kind: OrderKind,
}

impl Order {
    /// Purpose of the identity key's signature.
    pub const PURPOSE: &'static str = "order";

    /// The fields to sign: group id, serial, body.
    pub fn fields(&self) -> [Vec<u8>; 3] {
        [self.group.to_vec(), self.serial.to_be_bytes().to_vec(), self.kind.body()]
    }

    /// What [`fields`](Self::fields) become: the bytes an Ed25519 key signs.
    pub fn message(&self) -> Vec<u8> {
        let [group, serial, body] = self.fields();
        signed_bytes(Self::PURPOSE, &[&group, &serial, &body])
    }

    /// The signed order as it travels; `by` is the identity key that signed.
    pub fn signed(self, by: [u8; 32], signature: [u8; 64]) -> Vec<u8> {
        SignedOrder { by, serial: self.serial, kind: self.kind, signature }.encode()
    }
}

/// How much an order weighs: the host's before a leader's, then the later before the earlier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Signed by the host.
    pub host: bool,
    /// Serial of the order.
    pub serial: u32,
}

/// An order with its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SignedOrder {
    pub(super) by: [u8; 32],
    pub(super) serial: u32,
    pub(super) kind: OrderKind,
    signature: [u8; 64],
}

impl OrderKind {
    fn body(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Remove(who) => {
                out.push(1);
                out.extend_from_slice(who);
            }
            Self::Lock(list) => {
                out.push(2);
                put_keys(&mut out, list);
            }
            Self::Unlock => out.push(3),
            Self::Admitters(list) => {
                out.push(4);
                put_keys(&mut out, list);
            }
            Self::VoidInvite(invite) => {
                out.push(5);
                out.extend_from_slice(invite);
            }
            Self::Readmit(who) => {
                out.push(6);
                out.extend_from_slice(who);
            }
        }
        out
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match r.u8()? {
            1 => Self::Remove(r.array()?),
            2 => Self::Lock(read_keys(r)?),
            3 => Self::Unlock,
            4 => Self::Admitters(read_keys(r)?),
            5 => Self::VoidInvite(r.array()?),
            6 => Self::Readmit(r.array()?),
            _ => return Err(Malformed),
        })
    }
}

impl SignedOrder {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = self.by.to_vec();
        out.extend_from_slice(&self.serial.to_be_bytes());
        out.extend_from_slice(&self.signature);
        out.extend_from_slice(&self.kind.body());
        out
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_ORDER {
            return Err(Malformed);
        }
        let mut r = Reader::new(bytes);
        let (by, serial, signature) = (r.array()?, r.u32()?, r.array()?);
        let order = Self { by, serial, kind: OrderKind::read(&mut r)?, signature };
        r.end()?;
        // Lists are sorted: one encoding each.
        if order.encode() == bytes { Ok(order) } else { Err(Malformed) }
    }

    pub(super) fn is_signed(&self, group: &[u8; 16]) -> bool {
        let serial = self.serial.to_be_bytes();
        let fields: [&[u8]; 3] = [group, &serial, &self.kind.body()];
        fits(&self.by, Order::PURPOSE, &fields, &self.signature)
    }
}

/// An order was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// We are not in the group any more.
    #[error("no longer a member")]
    Evicted,
    /// Doesn't parse.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Not signed by the key it names, or for another group.
    #[error("the order's signature doesn't fit")]
    Signature,
    /// Neither the host's, nor, while the founder isn't a member, that of whoever leads.
    #[error("not an order of the host's")]
    NotHost,
    /// Nobody orders the host out.
    #[error("nobody orders the host out")]
    AboutHost,
    /// More orders wait than anybody needs.
    #[error("too many orders")]
    TooMany,
    /// There is no higher serial.
    #[error("no serial left")]
    UsedUp,
}

/// What became of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderTaken {
    /// It waits for the next commit.
    Waiting(OrderKind),
    /// Known already, carried out already, or overruled.
    Known,
}

impl Group {
    /// A decision to be signed by our identity key, with the next serial. Whether we may decide is
    /// judged when the signed order is taken in.
    pub fn draft_order(&self, kind: OrderKind) -> Result<Order, OrderError> {
        let held = self.held.iter().map(|order| order.serial).max().unwrap_or(0);
        let serial = self.state.order_serial.max(held).checked_add(1).ok_or(OrderError::UsedUp)?;
        Ok(Order { group: self.id, serial, kind })
    }

    /// Takes in a signed order, our own or another member's. The sequencer's next commit carries
    /// it out; every member keeps it, to see that this happens and to show it to others.
    pub fn take_order(&mut self, bytes: &[u8]) -> Result<OrderTaken, OrderError> {
        if self.evicted {
            return Err(OrderError::Evicted);
        }
        let order = SignedOrder::parse(bytes)?;
        if self.held.contains(&order) {
            return Ok(OrderTaken::Known);
        }
        if !order.is_signed(&self.id) {
            return Err(OrderError::Signature);
        }
        let mark = self.mark(&order, self.state.sequencer).ok_or(OrderError::NotHost)?;
        if order.kind == OrderKind::Remove(self.state.host) {
            return Err(OrderError::AboutHost);
        }
        if !self.state.clone().apply_order(mark, &order.kind).unwrap_or(true) {
            return Ok(OrderTaken::Known);
        }
        let kind = order.kind.clone();
        if self.hold(order) { Ok(OrderTaken::Waiting(kind)) } else { Err(OrderError::TooMany) }
    }

    /// Orders not yet carried out, as they travel.
    pub fn orders_waiting(&self) -> Vec<Vec<u8>> {
        self.waiting().map(SignedOrder::encode).collect()
    }

    /// All orders we can still show, as they travel: for a branch that doesn't know them.
    pub fn orders_held(&self) -> Vec<Vec<u8>> {
        self.held.iter().map(SignedOrder::encode).collect()
    }

    /// This member is to be removed by an order we hold and that no commit has carried out.
    pub fn is_ordered_out(&self, member: MemberId) -> bool {
        self.identity_of(member).is_some_and(|identity| self.orders_out().contains(&identity))
    }

    /// We are the sequencer and ordered out: the role must go to another member.
    pub fn must_hand_over(&self) -> bool {
        self.is_sequencer() && self.is_ordered_out(self.me)
    }

    pub(super) fn identity_of(&self, member: MemberId) -> Option<[u8; 32]> {
        let seat = self.state.of(member)?;
        self.people.get(&seat.leaf).map(|person| person.identity)
    }

    /// Identities that waiting orders remove.
    pub(super) fn orders_out(&self) -> BTreeSet<[u8; 32]> {
        let removed = self.waiting().filter_map(|order| match order.kind {
            OrderKind::Remove(who) => Some(who),
            _ => None,
        });
        removed.collect()
    }

    /// What an order weighs here; `None` when its signer has nothing to order. `leader` is whose
    /// commit would carry it.
    pub(super) fn mark(&self, order: &SignedOrder, leader: MemberId) -> Option<Mark> {
        let host_present = self.people.values().any(|person| person.identity == self.state.host);
        mark(&self.state, host_present, self.identity_of(leader), order)
    }

    /// Orders that would change the state if `leader` carried them out: the weightiest first, so
    /// that one overruled by another that waits doesn't wait itself.
    fn effective(&self, leader: MemberId) -> Vec<(&SignedOrder, Mark)> {
        let weighed = self.held.iter().filter_map(|order| Some((order, self.mark(order, leader)?)));
        let mut weighed: Vec<_> = weighed.collect();
        weighed.sort_by_key(|(_, mark)| std::cmp::Reverse(*mark));
        let mut state = self.state.clone();
        weighed.retain(|(order, mark)| state.apply_order(*mark, &order.kind).unwrap_or(false));
        weighed
    }

    fn waiting(&self) -> impl Iterator<Item = &SignedOrder> {
        self.effective(self.state.sequencer).into_iter().map(|(order, _)| order)
    }

    /// The orders a commit of ours carries: all that change something, but not our own removal.
    pub(super) fn orders_to_carry(&self) -> Vec<(SignedOrder, Mark)> {
        let own = self.identity_of(self.me).map(OrderKind::Remove);
        let mut carried = Vec::new();
        let mut bytes = 0;
        for (order, mark) in self.effective(self.me) {
            bytes += order.encode().len();
            if carried.len() >= MAX_CARRIED || bytes > MAX_CARRIED_BYTES {
                break;
            }
            if own.as_ref() != Some(&order.kind) {
                carried.push((order.clone(), mark));
            }
        }
        carried
    }

    /// Keeps an order. When there is no room, one that has been carried out goes first.
    pub(super) fn hold(&mut self, order: SignedOrder) -> bool {
        if self.held.contains(&order) {
            return true;
        }
        if self.held.len() >= MAX_HELD_ORDERS {
            let waiting: Vec<SignedOrder> = self.waiting().cloned().collect();
            let Some(done) = self.held.iter().position(|order| !waiting.contains(order)) else {
                return false;
            };
            self.held.remove(done);
        }
        self.held.push(order);
        true
    }
}

/// Orders in one commit.
pub(super) const MAX_CARRIED: usize = 16;
/// Their bytes.
pub(super) const MAX_CARRIED_BYTES: usize = 24 * 1024;

/// What an order weighs, in the eyes of whoever knows the group's state.
pub(super) fn mark(
    state: &GroupState,
    host_present: bool,
    leader: Option<[u8; 32]>,
    order: &SignedOrder,
) -> Option<Mark> {
    let host = order.by == state.host;
    let may = host || (!host_present && leader == Some(order.by));
    may.then_some(Mark { host, serial: order.serial })
}

/// Appends orders, each with its length.
pub(super) fn put_orders(out: &mut Vec<u8>, orders: &[SignedOrder]) {
    put_count(out, orders.len());
    orders.iter().for_each(|order| super::bytes::put_bytes(out, &order.encode()));
}

pub(super) fn read_orders(r: &mut Reader<'_>) -> Result<Vec<SignedOrder>, Malformed> {
    let n = usize::from(r.u8()?);
    if n > MAX_CARRIED {
        return Err(Malformed);
    }
    (0..n).map(|_| SignedOrder::parse(r.bytes(MAX_ORDER)?)).collect()
}
