//! The roster: who holds keys, as people see it and as receipts and acks name it.

use super::bytes::{put_bytes, put_count};
use super::rules::Person;
use super::sha256;
use super::state::GroupState;
use crate::wire::link::MemberId;
use std::collections::BTreeMap;

/// The members of one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    /// Group id.
    pub group_id: [u8; 16],
    /// MLS epoch.
    pub epoch: u64,
    /// Hand-overs of the sequencer's role so far.
    pub term: u32,
    /// Who makes the commits.
    pub sequencer: MemberId,
    /// Identity key of the founder, who may have left.
    pub host: [u8; 32],
    /// Nobody new can be added.
    pub locked: bool,
    /// In join order.
    pub members: Vec<RosterRow>,
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterRow {
    /// Its number.
    pub id: MemberId,
    /// Leaf index, 0–63.
    pub leaf: u8,
    /// Encoded credential, byte for byte as it stands in the leaf.
    pub credential: Vec<u8>,
    /// Identity key.
    pub identity: [u8; 32],
    /// Leaf key: TLS key and MLS signature key.
    pub leaf_key: [u8; 32],
    /// First epoch it holds keys of.
    pub since_epoch: u64,
    /// Who added it; `None` for the founder.
    pub added_by: Option<MemberId>,
}

impl Roster {
    pub(super) fn of(
        group_id: [u8; 16],
        epoch: u64,
        state: &GroupState,
        people: &BTreeMap<u8, Person>,
    ) -> Self {
        let members = state
            .order
            .iter()
            .filter_map(|seat| {
                let person = people.get(&seat.leaf)?;
                Some(RosterRow {
                    id: seat.id,
                    leaf: seat.leaf,
                    credential: person.credential.clone(),
                    identity: person.identity,
                    leaf_key: person.leaf_key,
                    since_epoch: seat.since_epoch,
                    added_by: seat.added_by,
                })
            })
            .collect();
        Self {
            group_id,
            epoch,
            term: state.term,
            sequencer: state.sequencer,
            host: state.host,
            locked: state.lock.is_some(),
            members,
        }
    }

    /// The row of a member.
    pub fn member(&self, id: MemberId) -> Option<&RosterRow> {
        self.members.iter().find(|row| row.id == id)
    }

    /// The row of a leaf.
    pub fn at_leaf(&self, leaf: u8) -> Option<&RosterRow> {
        self.members.iter().find(|row| row.leaf == leaf)
    }

    /// SHA-256 over everything in the roster, lengths before contents: equal digests mean equal
    /// rosters.
    pub fn digest(&self) -> [u8; 32] {
        let mut out = b"facetty roster 1".to_vec();
        out.extend_from_slice(&self.group_id);
        out.extend_from_slice(&self.epoch.to_be_bytes());
        out.extend_from_slice(&self.term.to_be_bytes());
        out.extend_from_slice(&self.sequencer.0.to_be_bytes());
        out.extend_from_slice(&self.host);
        out.push(u8::from(self.locked));
        put_count(&mut out, self.members.len());
        for row in &self.members {
            out.extend_from_slice(&row.id.0.to_be_bytes());
            out.push(row.leaf);
            put_bytes(&mut out, &row.credential);
            out.extend_from_slice(&row.identity);
            out.extend_from_slice(&row.leaf_key);
            out.extend_from_slice(&row.since_epoch.to_be_bytes());
            out.push(u8::from(row.added_by.is_some()));
            out.extend_from_slice(&row.added_by.map_or(0, |by| by.0).to_be_bytes());
        }
        sha256(&out)
    }
}
