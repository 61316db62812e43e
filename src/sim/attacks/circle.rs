//! A circle of groups: real MLS with real credentials, without calls and connections around it, for
//! attacks by members on the group itself.

use super::{Lab, LabError, setup};
use crate::group::{
    CheckedCredential, CredentialRefused, Expect, Group, InvitePsk, LocalMember, Order, OrderKind,
    Pending, PendingJoin, ReceiveError, Received, Staged, key_package,
};
use crate::identity::{Credential, DisplayName, IdentityKey, LeafKey};
use crate::secret::Secret;
use crate::time::Wall;
use std::time::Duration;

/// Group of every circle.
pub(crate) const GROUP: [u8; 16] = *b"a group to prove";
const INVITE: [u8; 8] = *b"invite 1";
const WALL: Wall = Wall(1_800_000_000_000);
const LIFE: Duration = Duration::from_secs(3600);

/// Somebody who may become a member.
pub(crate) struct Person {
    identity: IdentityKey,
    leaf: LeafKey,
    name: &'static str,
}

impl Person {
    pub(crate) fn new(lab: &Lab, name: &'static str) -> Self {
        let mut rng = lab.rng();
        Self {
            identity: IdentityKey::generate(&mut *rng),
            leaf: LeafKey::generate(&mut *rng),
            name,
        }
    }

    /// A credential of this identity under a name, for any leaf key.
    pub(crate) fn credential(&self, name: &str, leaf_key: [u8; 32]) -> Result<Vec<u8>, LabError> {
        let end = Wall(WALL.0 + u64::try_from(LIFE.as_millis()).unwrap_or(0));
        let name = DisplayName::parse(name).map_err(setup)?;
        let credential = Credential::issue(&self.identity, name, leaf_key, GROUP, end);
        Ok(credential.map_err(setup)?.encode())
    }

    pub(crate) fn identity(&self) -> [u8; 32] {
        self.identity.public().0
    }

    pub(crate) fn leaf_key(&self) -> [u8; 32] {
        self.leaf.public()
    }

    pub(crate) fn local(&self) -> Result<LocalMember, LabError> {
        Ok(LocalMember {
            credential: self.credential(self.name, self.leaf.public())?,
            leaf_seed: self.leaf.seed_for_tls_or_mls(),
            leaf_key: self.leaf.public(),
        })
    }

    pub(crate) fn key_package(&self) -> Result<(Vec<u8>, PendingJoin), LabError> {
        key_package(self.local()?, GROUP, &check).map_err(setup)
    }
}

/// The check a call makes of every credential.
pub(crate) fn check(bytes: &[u8]) -> Result<CheckedCredential, CredentialRefused> {
    let refused = |e: String| CredentialRefused(e);
    let credential = Credential::decode(bytes).map_err(|e| refused(e.to_string()))?;
    credential.verify(&GROUP, WALL).map_err(|e| refused(e.to_string()))?;
    Ok(CheckedCredential { identity: credential.identity.0, leaf_key: credential.leaf_key })
}

/// Members in the order of joining; the first founded the group and leads it.
pub(crate) struct Circle {
    pub(crate) people: Vec<Person>,
    pub(crate) groups: Vec<Group>,
    psk: Secret<32>,
}

impl Circle {
    /// A circle of these members.
    pub(crate) fn of(lab: &Lab, names: &[&'static str]) -> Result<Self, LabError> {
        let mut names = names.iter();
        let founder = names.next().ok_or_else(|| setup("nobody there"))?;
        let founder = Person::new(lab, founder);
        let group = Group::create(founder.local()?, GROUP, &check).map_err(setup)?;
        let psk = Secret::build(|bytes| lab.rng().fill_bytes(bytes));
        let mut circle = Self { people: vec![founder], groups: vec![group], psk };
        for name in names {
            let person = Person::new(lab, name);
            let (package, joining) = person.key_package()?;
            circle.admit(person, &package, joining)?;
        }
        Ok(circle)
    }

    /// The leader admits somebody; returns the Welcome, for whoever else it may open to.
    pub(crate) fn admit(
        &mut self,
        person: Person,
        package: &[u8],
        joining: PendingJoin,
    ) -> Result<Vec<u8>, LabError> {
        let secret = self.psk.duplicate();
        let psk = Some(InvitePsk { invite: INVITE, secret: &secret });
        let pending = self.groups[0].add(package, psk, &check).map_err(setup)?;
        let welcome = pending.welcome.clone().ok_or_else(|| setup("no Welcome"))?;
        self.spread(pending)?;
        self.groups.push(self.join(joining, &welcome)?);
        self.people.push(person);
        Ok(welcome)
    }

    /// Joins by a Welcome of this circle.
    pub(crate) fn join(&self, joining: PendingJoin, welcome: &[u8]) -> Result<Group, LabError> {
        let psk = Some(InvitePsk { invite: INVITE, secret: &self.psk });
        let host = self.groups[0].state().host;
        joining.join(welcome, &Expect { psk, host }, &check).map_err(setup)
    }

    /// Everybody merges a commit of the leader's; returns its bundle.
    pub(crate) fn spread(&mut self, pending: Pending) -> Result<Vec<u8>, LabError> {
        let bundle = pending.bundle.clone();
        let (first, others) = self.groups.split_first_mut().ok_or_else(|| setup("nobody"))?;
        for group in others {
            merge(group, &bundle)?;
        }
        first.merge_pending(pending).map_err(setup)?;
        Ok(bundle)
    }

    /// A decision of the founder's, signed.
    pub(crate) fn order(&self, kind: OrderKind) -> Result<Vec<u8>, LabError> {
        let order = self.groups[0].draft_order(kind).map_err(setup)?;
        let fields = order.fields();
        let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
        let signature = self.people[0].identity.sign(Order::PURPOSE, &fields);
        Ok(order.signed(self.people[0].identity(), signature))
    }

    /// Does this hold for everybody?
    pub(crate) fn all(&self, holds: impl Fn(&Group) -> bool) -> bool {
        self.groups.iter().all(holds)
    }

    /// The leader's next ordinary commit still works for everybody.
    pub(crate) fn goes_on(&mut self) -> bool {
        let Ok(pending) = self.groups[0].update(&check) else { return false };
        self.spread(pending).is_ok()
            && self.groups.iter().all(|g| g.authenticator() == self.groups[0].authenticator())
    }
}

/// Receives and merges.
pub(crate) fn merge(group: &mut Group, bundle: &[u8]) -> Result<(), LabError> {
    let staged = staged(group, bundle).map_err(setup)?;
    group.merge(*staged).map_err(setup)
}

/// Receives a commit without merging it.
pub(crate) fn staged(group: &mut Group, bundle: &[u8]) -> Result<Box<Staged>, ReceiveError> {
    match group.receive(bundle, &check)? {
        Received::Commit(staged) => Ok(staged),
        _ => Err(ReceiveError::Kind),
    }
}
