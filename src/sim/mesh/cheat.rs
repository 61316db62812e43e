//! People who cheat: what one participant sends or takes is altered between its call and the
//! network. Only what the protocol cannot see from outside needs a door of the call itself.

use super::path::Person;
use super::seen::{Branch, Vice};
use crate::wire::control::Control;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::time::Duration;

/// Somebody's vice and what it needs to remember.
pub struct Cheat {
    pub(super) vice: Vice,
    /// The other commit of an equivocator, for people with odd numbers.
    pub(super) other: Option<Bytes>,
    /// The epoch that both commits are for.
    pub(super) base: Option<Branch>,
    /// Which of the two commits, true for the other, came to somebody who was still in that epoch:
    /// nobody else can tell whether it is one.
    pub(super) fooled: BTreeSet<bool>,
    /// Who was in the epoch that both commits are for.
    pub(super) audience: BTreeSet<Person>,
    /// Since when.
    pub(super) at: Duration,
}

impl Cheat {
    pub(super) fn new(vice: Vice) -> Self {
        let (fooled, audience) = (BTreeSet::new(), BTreeSet::new());
        Self { vice, other: None, base: None, fooled, audience, at: Duration::ZERO }
    }

    /// What really goes out to `to` instead of this message.
    pub(super) fn sends(&self, to: Person, message: &Control) -> Option<Bytes> {
        match (self.vice, message) {
            (Vice::Silent, _) => None,
            (Vice::Equivocate, Control::Bundle(_)) if to % 2 == 1 => {
                let other = self.other.clone().map(|b| Control::Bundle(b).encode().into());
                Some(other.unwrap_or_else(|| message.encode().into()))
            }
            (Vice::FalseAck, Control::Ack(ack)) => {
                let mut ack = ack.clone();
                ack.auth_hash = [0xee; 32];
                Some(Control::Ack(ack).encode().into())
            }
            (Vice::Poison, Control::Proposal(proposal)) => {
                let mut bytes = proposal.to_vec();
                if let Some(last) = bytes.last_mut() {
                    *last ^= 1;
                }
                Some(Control::Proposal(bytes.into()).encode().into())
            }
            _ => Some(message.encode().into()),
        }
    }

    /// Whether it takes this message in.
    pub(super) fn takes(&self, message: &Control) -> bool {
        !(self.vice == Vice::Censor && matches!(message, Control::Proposal(_)))
    }
}
