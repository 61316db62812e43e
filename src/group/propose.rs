//! Proposals: asking the sequencer for a change, and keeping what others asked for.
//!
//! openmls keeps received proposals in the group and puts all of them into the next commit, where
//! one that can't be committed blocks the rest. So they stay in a pool of our own – judged first –
//! and enter the library only for the one commit that uses them.

use super::bytes::{Malformed, Reader, put_bytes};
use super::commit::InvitePsk;
use super::join::{KeyPackageError, package_hash, parse_key_package};
use super::message::PskOffer;
use super::policy::View;
use super::receive::Offered;
use super::rules::{Ask, CredentialCheck, PolicyViolation, Violation};
use super::{Group, MAX_PROPOSAL, sha256};
use crate::wire::link::MemberId;
use openmls::prelude::{LeafNodeParameters, MlsMessageOut, QueuedProposal};
use openmls_traits::OpenMlsProvider as _;
use std::collections::{BTreeMap, BTreeSet};

/// Proposals one member may send us in one epoch, besides those that come inside bundles.
pub const MAX_PER_MEMBER: usize = 32;

/// Asking failed.
#[derive(Debug, thiserror::Error)]
pub enum ProposeError {
    /// We are not in the group any more.
    #[error("no longer a member")]
    Evicted,
    /// The sequencer commits its own changes; to leave, it hands over first.
    #[error("the sequencer doesn't propose")]
    IsSequencer,
    /// The newcomer's key package is not valid.
    #[error("key package: {0}")]
    KeyPackage(#[from] KeyPackageError),
    /// The others would refuse it.
    #[error("the others would refuse: {0}")]
    Refused(Violation),
    /// The MLS library refused.
    #[error("MLS: {0}")]
    Mls(String),
}

/// A judged proposal.
pub(super) struct Pooled {
    pub(super) from: MemberId,
    pub(super) ask: Ask,
    /// The MLS message it came in, to be passed on inside a bundle.
    pub(super) message: Vec<u8>,
    pub(super) queued: QueuedProposal,
    /// Arrival, to tell the newest.
    serial: usize,
}

/// Proposals of one epoch, by hash of their message.
#[derive(Default)]
pub(super) struct Pool(BTreeMap<[u8; 32], Pooled>);

impl Pool {
    pub(super) fn get(&self, hash: &[u8; 32]) -> Option<&Pooled> {
        self.0.get(hash)
    }

    pub(super) fn remove(&mut self, hash: &[u8; 32]) -> Option<Pooled> {
        self.0.remove(hash)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The invite a pooled Add names.
    pub(super) fn invite_of(&self, queued: &QueuedProposal) -> Option<[u8; 8]> {
        let reference = queued.proposal_reference_ref();
        let pooled = self.0.values().find(|p| p.queued.proposal_reference_ref() == reference)?;
        match pooled.ask {
            Ask::Add { invite, .. } => invite,
            _ => None,
        }
    }

    /// Nothing is evicted to make room: a bundle may refer to any proposal of the epoch, and MLS
    /// decrypts each message only once.
    pub(super) fn insert(
        &mut self,
        from: MemberId,
        ask: Ask,
        message: &[u8],
        queued: QueuedProposal,
        cap: usize,
    ) -> Result<[u8; 32], PolicyViolation> {
        if self.0.values().filter(|pooled| pooled.from == from).count() >= cap {
            return Err(PolicyViolation { by: from, what: Violation::TooMany });
        }
        let hash = sha256(message);
        let serial = self.0.values().map(|pooled| pooled.serial + 1).max().unwrap_or(0);
        self.0.insert(hash, Pooled { from, ask, message: message.to_vec(), queued, serial });
        Ok(hash)
    }

    /// What a commit by `committer` takes from the pool: every wish to leave, the newest update of
    /// each member that stays, and, when it may add, the first Add. `out` are members the commit
    /// removes anyway. The same pool gives the same commit, whatever the keys are.
    pub(super) fn choose(
        &self,
        committer: MemberId,
        out: &BTreeSet<MemberId>,
        adds: bool,
    ) -> Vec<[u8; 32]> {
        let mut leaves: BTreeMap<MemberId, (usize, [u8; 32])> = BTreeMap::new();
        let mut updates: BTreeMap<MemberId, (usize, [u8; 32])> = BTreeMap::new();
        let mut add: Option<(usize, [u8; 32])> = None;
        for (hash, pooled) in &self.0 {
            let this = (pooled.serial, *hash);
            match pooled.ask {
                Ask::Leave => {
                    let first = leaves.entry(pooled.from).or_insert(this);
                    *first = (*first).min(this);
                }
                Ask::Update => {
                    let newest = updates.entry(pooled.from).or_insert(this);
                    *newest = (*newest).max(this);
                }
                Ask::Add { .. } if adds => add = Some(add.map_or(this, |first| first.min(this))),
                Ask::Add { .. } => {}
            }
        }
        leaves.retain(|who, _| *who != committer && !out.contains(who));
        updates
            .retain(|who, _| *who != committer && !out.contains(who) && !leaves.contains_key(who));
        leaves.into_values().chain(updates.into_values()).chain(add).map(|(_, hash)| hash).collect()
    }
}

/// First byte of a request: an Add proposal, with the invite's secret if it has one. Neither a
/// bundle nor an MLS message begins with it.
const REQUEST: u8 = 0xB2;

/// An Add proposal on its way to the sequencer.
pub(super) struct Request<'a> {
    pub(super) offer: Option<&'a [u8]>,
    pub(super) proposal: &'a [u8],
}

impl<'a> Request<'a> {
    pub(super) fn is_one(bytes: &[u8]) -> bool {
        bytes.first() == Some(&REQUEST)
    }

    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_PROPOSAL {
            return Err(Malformed);
        }
        let mut r = Reader::new(bytes);
        if r.u8()? != REQUEST {
            return Err(Malformed);
        }
        let offer = match r.u8()? {
            0 => None,
            1 => Some(r.bytes(MAX_PROPOSAL)?),
            _ => return Err(Malformed),
        };
        let proposal = r.bytes(MAX_PROPOSAL)?;
        r.end()?;
        Ok(Self { offer, proposal })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![REQUEST, u8::from(self.offer.is_some())];
        self.offer.iter().for_each(|offer| put_bytes(&mut out, offer));
        put_bytes(&mut out, self.proposal);
        out
    }
}

impl Group {
    /// Asks to leave. Send it to the sequencer; membership ends when its commit arrives.
    pub fn propose_leave(&mut self) -> Result<Vec<u8>, ProposeError> {
        self.may_propose()?;
        let message = self.mls.leave_group(&self.provider, &self.signer);
        self.proposed(Ask::Leave, message)
    }

    /// Asks for new keys of our own leaf, which heals the group from an earlier copy of our state.
    /// Send it to the sequencer.
    pub fn propose_update(&mut self) -> Result<Vec<u8>, ProposeError> {
        self.may_propose()?;
        let message = self
            .mls
            .propose_self_update(&self.provider, &self.signer, LeafNodeParameters::default())
            .map(|(message, _)| message);
        self.proposed(Ask::Update, message)
    }

    /// Asks the sequencer to add the owner of a key package; we must be host or admitter. `psk` is
    /// that of the invite it came with. Its Welcome comes back to us: [`super::Pending::added_for`].
    pub fn propose_add(
        &mut self,
        key_package: &[u8],
        psk: Option<InvitePsk<'_>>,
        check: &dyn CredentialCheck,
    ) -> Result<Vec<u8>, ProposeError> {
        self.may_propose()?;
        let package = parse_key_package(&self.provider, key_package)?;
        if self.used.contains(&package_hash(&package)) {
            return Err(ProposeError::Refused(Violation::UsedBefore));
        }
        let invite = psk.map(|psk| psk.invite);
        let ask = self
            .view(check)
            .ask_add(self.me, self.leaf(), &package, invite)
            .map_err(ProposeError::Refused)?;

        self.mls.set_aad(invite.map(|invite| invite.to_vec()).unwrap_or_default());
        let message = self
            .mls
            .propose_add_member(&self.provider, &self.signer, &package)
            .map(|(message, _)| message);
        self.mls.set_aad(Vec::new());
        let proposal = self.proposed(ask, message)?;
        let mut offered = None;
        if let Some(psk) = psk {
            let offer = PskOffer { invite: psk.invite, secret: psk.secret.duplicate() };
            let message = self.seal_psk(&offer).map_err(|e| ProposeError::Mls(e.to_string()))?;
            // Nobody can open a message of its own: it is known again by its hash.
            self.psks
                .insert(sha256(&message), Offered { by: self.me, offer, message: message.clone() });
            offered = Some(message);
        }
        Ok(Request { offer: offered.as_deref(), proposal: &proposal }.encode())
    }

    /// Asks the sequencer to take somebody back, whose identity was lost or is still in the
    /// roster. Any member may, and no invite is needed.
    pub fn propose_back(
        &mut self,
        key_package: &[u8],
        check: &dyn CredentialCheck,
    ) -> Result<Vec<u8>, ProposeError> {
        self.propose_add(key_package, None, check)
    }

    /// Was this key package in a commit that we have seen? It can't be added again.
    pub fn has_used(&self, key_package: &[u8]) -> bool {
        let package = parse_key_package(&self.provider, key_package);
        package.is_ok_and(|package| self.used.contains(&package_hash(&package)))
    }

    /// Whether a member may bring in somebody new: the host, an admitter or, while the founder isn't
    /// a member, whoever leads.
    pub fn may_admit(&self, member: MemberId) -> bool {
        let identity = |id| Some(self.people.get(&self.state.of(id)?.leaf)?.identity);
        let founder_here = self.people.values().any(|p| p.identity == self.state.host);
        identity(member).is_some_and(|identity| self.state.may_add(&identity))
            || (!founder_here && member == self.state.sequencer)
    }

    fn may_propose(&self) -> Result<(), ProposeError> {
        if self.evicted {
            Err(ProposeError::Evicted)
        } else if self.is_sequencer() {
            Err(ProposeError::IsSequencer)
        } else {
            Ok(())
        }
    }

    /// Moves what the library just stored into the pool. Our own messages can't be decrypted by
    /// us, so this is the only way to find them again in a bundle.
    fn proposed<E: std::error::Error>(
        &mut self,
        ask: Ask,
        message: Result<MlsMessageOut, E>,
    ) -> Result<Vec<u8>, ProposeError> {
        let refused = |e: String| ProposeError::Mls(e);
        let message = message.map_err(|e| refused(e.to_string()))?;
        let bytes = message.to_bytes().map_err(|e| refused(e.to_string()))?;
        let queued = self.mls.pending_proposals().last().cloned();
        self.clear_library_proposals();
        let queued = queued.ok_or_else(|| refused("the proposal was not stored".into()))?;
        self.pool
            .insert(self.me, ask, &bytes, queued, MAX_PER_MEMBER)
            .map_err(|e| refused(e.to_string()))?;
        Ok(bytes)
    }

    /// Empties the library's own store of proposals.
    pub(super) fn clear_library_proposals(&mut self) {
        // Fails only if the storage fails, and ours can't: it keeps no proposals.
        let _ = self.mls.clear_pending_proposals(self.provider.storage());
    }

    /// What policy rests on.
    pub(super) fn view<'a>(&'a self, check: &'a dyn super::CredentialCheck) -> View<'a> {
        View {
            name: self.epoch_name(),
            state: &self.state,
            people: &self.people,
            check,
            pool: &self.pool,
            history: &self.history,
            me: self.me,
            granted: self.granted,
            orders_out: self.orders_out(),
        }
    }
}
