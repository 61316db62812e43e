//! A member that signed two commits for one epoch told different people different things. The two
//! signatures prove it to everybody: it is named, nothing goes to it or comes from it any more,
//! and the others go on without it.

use super::handshake::Stage;
use super::wishes::Wish;
use super::*;
use crate::group::Equivocation;
use crate::wire::control::Control;

impl Call {
    /// A second commit for the present epoch, which this participant does not merge: what an
    /// equivocator shows to some of the others. For simulations of cheats only; `tests/layers.rs`
    /// lists the callers (`sim` alone).
    pub fn forge_commit(&mut self, now: Now) -> Option<bytes::Bytes> {
        let group = self.group.as_mut().filter(|g| g.is_sequencer())?;
        let check = super::changes::Checker { group_id: group.id(), now: now.wall };
        group.update(&check).ok().map(|pending| pending.bundle.into())
    }

    /// Members that are not listened to any more.
    pub(super) fn shut_out(&self) -> BTreeSet<MemberId> {
        let members = self.peers.members.iter();
        let lies = |p: &Peer| self.liars.contains_key(&p.credential.leaf_key);
        members.filter(|(_, p)| lies(p)).map(|(id, _)| *id).collect()
    }

    /// Somebody passes a proof on.
    pub(super) fn take_equivocation(&mut self, bytes: &[u8], now: Now) -> Result<(), CallError> {
        let Some(group) = &mut self.group else { return Ok(()) };
        match group.take_equivocation(bytes) {
            Ok((proof, _)) => self.equivocated(&proof, now),
            Err(_) => {
                self.counters.bad_group += 1;
                Ok(())
            }
        }
    }

    /// All proofs we have, to somebody who may not know them.
    pub(super) fn send_proofs(&mut self, link: LinkId) {
        for proof in self.liars.values().cloned().collect::<Vec<_>>() {
            self.send_control(link, &Control::Equivocation(proof.into()));
        }
    }

    /// A proof: once for each member, told to all others.
    pub(super) fn equivocated(&mut self, proof: &Equivocation, now: Now) -> Result<(), CallError> {
        let key = proof.by();
        if key == self.leaf.public() || self.liars.contains_key(&key) {
            return Ok(());
        }
        self.liars.insert(key, proof.encode());
        let liar = self.peers.members.iter().find(|(_, p)| p.credential.leaf_key == key);
        let liar = liar.map(|(id, p)| (*id, p.link, p.credential.name.to_string()));
        let everywhere = self.links.iter().filter(|(_, state)| {
            matches!(state.stage, Stage::Member(_) | Stage::Former(_)) && state.key() != Some(key)
        });
        let everywhere: Vec<_> = everywhere.map(|(link, _)| *link).collect();
        for link in everywhere {
            self.send_control(link, &Control::Equivocation(proof.encode().into()));
        }
        let links = self.links.iter().filter(|(_, state)| state.key() == Some(key));
        let links: Vec<_> = links.map(|(link, _)| *link).collect();
        for link in links {
            self.part(link, close::MISBEHAVED, now);
        }
        self.former.list.remove(&key);
        let Some((by, _, name)) = liar else { return Ok(()) };
        if let Some(peer) = self.peers.members.get_mut(&by) {
            peer.link = None;
            peer.next_dial = None;
            peer.parted = true;
        }
        self.epochs.shut_out(by);
        self.event(Event::Equivocation { by, name });
        self.event(Event::Budgets);
        self.wishes.add(Wish::Lost(by));
        self.succession_tick(now)?;
        self.pursue(now)
    }
}
