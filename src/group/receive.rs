//! Receiving proposals and bundles. Nothing here changes the epoch: a commit that passes is
//! handed out as [`Staged`], with the roster it leads to, and takes effect when merged.
//!
//! Whatever is refused leaves no trace: MLS turns a sender's ratchet only after a message has
//! been authenticated, proposals enter the library only for the commit that uses them, and a
//! pre-shared key stays no longer than the attempt it was needed for. (A proposal that is allowed
//! stays in the pool even if the bundle it came in is refused: MLS opens a message only once.)

use super::bundle::Bundle;
use super::bytes::Malformed;
use super::message::{MessageError, PskOffer};
use super::order::OrderKind;
use super::policy::Verdict;
use super::propose::{MAX_PER_MEMBER, Request};
use super::rules::{Ask, CredentialCheck, PolicyViolation, Reason, Violation};
use super::statement::{Equivocation, Statement};
use super::succession::Succession;
use super::{Group, MAX_PROPOSAL, Roster, join, provider, sha256};
use crate::wire::link::MemberId;
use openmls::prelude::tls_codec::DeserializeBytes as _;
use openmls::prelude::{
    ContentType, MlsMessageBodyIn, MlsMessageIn, ProcessedMessage, ProcessedMessageContent,
    Proposal, ProtocolMessage, StagedCommit,
};
use openmls::schedule::PreSharedKeyId;
use openmls_traits::OpenMlsProvider as _;

/// Pre-shared keys one member announces in one epoch.
const MAX_PSKS: usize = 16;
/// Commits kept whose statement came wrong, until it comes right.
const MAX_PARKED: usize = 4;

/// An invite's pre-shared key, with the message it came in: bundles pass that on.
pub(super) struct Offered {
    pub(super) by: MemberId,
    pub(super) offer: PskOffer,
    pub(super) message: Vec<u8>,
}

/// What came in.
pub enum Received {
    /// Known already, or our own.
    Duplicate,
    /// A member asks for a change; kept for the next commit.
    Proposal {
        /// Who asks.
        from: MemberId,
        /// For what.
        ask: Ask,
    },
    /// The sequencer's commit, judged and ready to merge.
    Commit(Box<Staged>),
}

/// A commit that passed, not yet in effect.
#[must_use = "merge it, or this member stays behind"]
pub struct Staged {
    /// Who committed.
    pub by: MemberId,
    /// The new member, if any.
    pub added: Option<MemberId>,
    /// Who is out afterwards, and why.
    pub removed: Vec<(MemberId, Reason)>,
    /// Members with new keys beside the committer.
    pub updated: Vec<MemberId>,
    /// The new member was in before: same identity, back.
    pub back: bool,
    /// The sequencer's role goes to another member.
    pub handed_over: bool,
    /// The committer takes over from the sequencer, and how.
    pub succession: Option<Succession>,
    /// Orders it carries out.
    pub orders: Vec<OrderKind>,
    /// The committer's signed word on this commit.
    pub statement: Statement,
    /// The roster the commit leads to.
    pub roster_after: Roster,
    /// Epoch authenticator (RFC 9420 §8.7) the commit leads to; `None` when it removes us.
    pub authenticator_after: Option<[u8; 32]>,
    /// It removes us.
    pub evicts_me: bool,
    verdict: Verdict,
    staged: Box<StagedCommit>,
}

/// Refused, without effect.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// We are not in the group any more.
    #[error("no longer a member")]
    Evicted,
    /// Not a bundle or MLS message, or too long.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Not encrypted to the group: handshake messages are PrivateMessages (RFC 9420 §6.3) only,
    /// which also keeps out external commits and proposals.
    #[error("not encrypted to the group")]
    NotPrivate,
    /// For another group.
    #[error("for another group")]
    OtherGroup,
    /// From an epoch we have left.
    #[error("from epoch {0}, which is over")]
    Stale(u64),
    /// From an epoch we have not reached: commits are missing.
    #[error("from epoch {0}, which we have not reached")]
    Ahead(u64),
    /// Of our epoch's number, but from another branch.
    #[error("from another branch of the group")]
    OtherBranch,
    /// The bundle's statement isn't the committer's. Whoever passed the bundle on may have changed
    /// it: the commit is judged again when it comes with the right one.
    #[error("the commit's statement isn't its committer's")]
    Statement,
    /// A member signed two commits for one epoch: here is the proof.
    #[error("two commits by one member for epoch {}", .0.epoch())]
    Equivocation(Box<Equivocation>),
    /// Another kind of message than its place says.
    #[error("another kind of message than expected")]
    Kind,
    /// Signed by somebody without a seat.
    #[error("not from a member")]
    NotAMember,
    /// A member broke the rules.
    #[error(transparent)]
    Policy(#[from] PolicyViolation),
    /// Does not decrypt, verify or apply; also a message seen before.
    #[error("MLS: {0}")]
    Mls(String),
}

/// Entering an epoch failed.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// The commit belongs to another epoch or was replaced by a later one.
    #[error("the commit is not of this epoch")]
    Stale,
    /// We granted a later term after the commit arrived.
    #[error("the commit's term is over: term {0} was granted")]
    Fenced(u32),
    /// The tree is not what the group state says. The group is given up: keys for the wrong
    /// leaves would be worse.
    #[error("tree and group state disagree")]
    Inconsistent,
    /// The MLS library refused.
    #[error("MLS: {0}")]
    Mls(String),
}

impl Group {
    /// Takes in a bundle, a request or a proposal, as it came from a peer.
    pub fn receive(
        &mut self,
        bytes: &[u8],
        check: &dyn CredentialCheck,
    ) -> Result<Received, ReceiveError> {
        if self.evicted {
            return Err(ReceiveError::Evicted);
        }
        let hash = sha256(bytes);
        if self.seen.contains(&hash) || self.pool.get(&hash).is_some() {
            return Ok(Received::Duplicate);
        }
        if Bundle::is_one(bytes) {
            return self.receive_bundle(bytes, hash, check);
        }
        let hash = if Request::is_one(bytes) {
            let request = Request::parse(bytes)?;
            if self.pool.get(&sha256(request.proposal)).is_some() {
                return Ok(Received::Duplicate);
            }
            self.receive_request(&request, check)?
        } else {
            self.admit_proposal(bytes, MAX_PER_MEMBER, check)?
        };
        Ok(match self.pool.get(&hash) {
            Some(pooled) => Received::Proposal { from: pooled.from, ask: pooled.ask },
            None => Received::Duplicate,
        })
    }

    /// Enters the epoch a received commit leads to.
    pub fn merge(&mut self, staged: Staged) -> Result<(), MergeError> {
        let parent = (staged.statement.epoch, staged.statement.confirmation);
        if self.evicted || parent != (self.epoch(), self.confirmation_hash()) {
            return Err(MergeError::Stale);
        }
        if let Some((granted, _)) =
            self.granted.filter(|(term, _)| *term > staged.verdict.authority)
        {
            return Err(MergeError::Fenced(granted));
        }
        self.mls
            .merge_staged_commit(&self.provider, *staged.staged)
            .map_err(|e| MergeError::Mls(e.to_string()))?;
        self.enter(staged.verdict, staged.statement);
        self.consistent()
    }

    /// Everybody sits where the state says. Guaranteed by policy; if it fails all the same, the
    /// group is unusable.
    pub(super) fn consistent(&mut self) -> Result<(), MergeError> {
        let mut members = 0;
        let all_seated = self.mls.members().all(|member| {
            members += 1;
            u8::try_from(member.index.u32())
                .ok()
                .and_then(|leaf| self.people.get(&leaf))
                .is_some_and(|person| {
                    person.leaf_key == *member.signature_key
                        && person.credential == member.credential.serialized_content()
                })
        });
        let state = provider::context_state(self.mls.extensions());
        if all_seated && members == self.people.len() && state.as_ref() == Some(&self.state) {
            return Ok(());
        }
        self.evicted = true;
        self.provider.storage().wipe();
        Err(MergeError::Inconsistent)
    }

    fn receive_bundle(
        &mut self,
        bytes: &[u8],
        hash: [u8; 32],
        check: &dyn CredentialCheck,
    ) -> Result<Received, ReceiveError> {
        let bundle = Bundle::parse(bytes)?;
        self.judge_statement(&bundle.statement)?;
        let staged = match self.parked.remove(&bundle.statement.commit_hash) {
            Some(mut parked) => {
                parked.statement = bundle.statement;
                parked
            }
            None => match self.judge_bundle(&bundle, check)? {
                Some(staged) => staged,
                None => return Ok(Received::Duplicate),
            },
        };
        if self.leaf_key(staged.by) != Some(bundle.statement.by) {
            if self.parked.len() < MAX_PARKED {
                self.parked.insert(bundle.statement.commit_hash, staged);
            }
            return Err(ReceiveError::Statement);
        }
        self.seen.insert(hash);
        Ok(Received::Commit(staged))
    }

    /// Whether a statement is a member's, of this epoch, and the only one of its signer. Before
    /// MLS sees the commit: that works once.
    fn judge_statement(&mut self, statement: &Statement) -> Result<(), ReceiveError> {
        let known = self.history.holds(statement.epoch, &statement.confirmation);
        if known {
            if !statement.verify(&self.id) {
                return Err(ReceiveError::Statement);
            }
            let noted = self.history.note(&self.id, statement);
            if let Some(proof) = noted.map_err(|_| ReceiveError::Statement)? {
                return Err(ReceiveError::Equivocation(Box::new(proof)));
            }
        }
        match statement.epoch.cmp(&self.epoch()) {
            std::cmp::Ordering::Less => Err(ReceiveError::Stale(statement.epoch)),
            std::cmp::Ordering::Greater => Err(ReceiveError::Ahead(statement.epoch)),
            std::cmp::Ordering::Equal if !known => Err(ReceiveError::OtherBranch),
            std::cmp::Ordering::Equal => Ok(()),
        }
    }

    /// MLS's and our own judgement of a bundle; `None` for a commit of our own.
    fn judge_bundle(
        &mut self,
        bundle: &Bundle<'_>,
        check: &dyn CredentialCheck,
    ) -> Result<Option<Box<Staged>>, ReceiveError> {
        let commit = self.private(bundle.commit, ContentType::Commit)?;
        let psk = bundle.psk.map(|message| self.admit_psk(message, check)).transpose()?;
        let mut proposals = Vec::new();
        for message in &bundle.proposals {
            let known = sha256(message);
            let known = if self.pool.get(&known).is_some() {
                known
            } else {
                // Others may have got other proposals of the same member: no bound but the bundle's.
                self.admit_proposal(message, usize::MAX, check)?
            };
            proposals.push(known);
        }
        let processed = self.process_commit(commit, psk, &proposals);
        self.clear_library_proposals();
        self.provider.storage().forget_psks();
        let processed = processed?;
        let (by, leaf) =
            self.view(check).member(processed.sender()).ok_or(ReceiveError::NotAMember)?;
        let aad = processed.aad().to_vec();
        let staged = match processed.into_content() {
            ProcessedMessageContent::StagedCommitMessage(staged) => staged,
            ProcessedMessageContent::OwnPendingCommit
            | ProcessedMessageContent::OwnPrivateMessage => return Ok(None),
            // Covers proposals of a kind we don't allow, in a form that can't even be staged.
            _ => return Err(PolicyViolation { by, what: Violation::Kind }.into()),
        };
        let verdict = self
            .view(check)
            .commit(by, leaf, &aad, &staged)
            .map_err(|what| PolicyViolation { by, what })?;
        Ok(Some(Box::new(self.staged(by, bundle.statement, verdict, staged))))
    }

    fn staged(
        &self,
        by: MemberId,
        statement: Statement,
        verdict: Verdict,
        staged: Box<StagedCommit>,
    ) -> Staged {
        let authenticator = staged.epoch_authenticator();
        Staged {
            by,
            added: verdict.added,
            back: verdict.back,
            removed: verdict.removed.clone(),
            updated: verdict.updated.clone(),
            handed_over: verdict.handed_over,
            succession: verdict.succession,
            orders: verdict.note.orders.iter().map(|order| order.kind.clone()).collect(),
            statement,
            roster_after: Roster::of(
                self.id,
                self.epoch().saturating_add(1),
                &verdict.state,
                &verdict.people,
            ),
            authenticator_after: authenticator.and_then(|secret| secret.as_slice().try_into().ok()),
            evicts_me: verdict.state.of(self.me).is_none(),
            verdict,
            staged,
        }
    }

    /// Hands the commit to MLS together with what it needs; the caller clears that away again.
    fn process_commit(
        &mut self,
        commit: ProtocolMessage,
        psk: Option<[u8; 32]>,
        proposals: &[[u8; 32]],
    ) -> Result<ProcessedMessage, ReceiveError> {
        if let Some(offered) = psk.and_then(|hash| self.psks.get(&hash)) {
            // The nonce is the commit's business; the key is stored under the invite's id.
            PreSharedKeyId::external(offered.offer.invite.to_vec(), Vec::new())
                .store(&self.provider, offered.offer.secret.expose())
                .map_err(mls)?;
        }
        for hash in proposals {
            if let Some(pooled) = self.pool.get(hash) {
                let queued = pooled.queued.clone();
                self.mls.store_pending_proposal(self.provider.storage(), queued).map_err(mls)?;
            }
        }
        self.mls.process_message(&self.provider, commit).map_err(mls)
    }

    /// An Add proposal and the secret that belongs to it: both, or neither.
    fn receive_request(
        &mut self,
        request: &Request<'_>,
        check: &dyn CredentialCheck,
    ) -> Result<[u8; 32], ReceiveError> {
        let hash = self.admit_proposal(request.proposal, MAX_PER_MEMBER, check)?;
        let result = self.judge_request(request, &hash, check);
        if result.is_err() {
            self.pool.remove(&hash);
        }
        result.map(|()| hash)
    }

    fn judge_request(
        &mut self,
        request: &Request<'_>,
        hash: &[u8; 32],
        check: &dyn CredentialCheck,
    ) -> Result<(), ReceiveError> {
        let pooled = self.pool.get(hash).ok_or(ReceiveError::Kind)?;
        let (from, ask) = (pooled.from, pooled.ask);
        let Ask::Add { invite, .. } = ask else { return Err(ReceiveError::Kind) };
        let violation = |what| ReceiveError::from(PolicyViolation { by: from, what });
        if let Proposal::Add(add) = pooled.queued.proposal()
            && self.used.contains(&join::package_hash(add.key_package()))
        {
            return Err(violation(Violation::UsedBefore));
        }
        let Some(message) = request.offer else {
            return if invite.is_none() { Ok(()) } else { Err(violation(Violation::Psk)) };
        };
        let offer = self.admit_psk(message, check)?;
        let fits = self
            .psks
            .get(&offer)
            .is_some_and(|offered| offered.by == from && Some(offered.offer.invite) == invite);
        if !fits {
            self.psks.remove(&offer);
            return Err(violation(Violation::Psk));
        }
        Ok(())
    }

    /// Decrypts and judges one proposal and puts it into the pool, as one of at most `cap` of its
    /// sender.
    fn admit_proposal(
        &mut self,
        bytes: &[u8],
        cap: usize,
        check: &dyn CredentialCheck,
    ) -> Result<[u8; 32], ReceiveError> {
        if bytes.len() > MAX_PROPOSAL {
            return Err(Malformed.into());
        }
        let message = self.private(bytes, ContentType::Proposal)?;
        let processed = self.mls.process_message(&self.provider, message).map_err(mls)?;
        let (by, leaf) =
            self.view(check).member(processed.sender()).ok_or(ReceiveError::NotAMember)?;
        let aad = processed.aad().to_vec();
        let ProcessedMessageContent::ProposalMessage(queued) = processed.into_content() else {
            return Err(ReceiveError::Kind);
        };
        let ask = self
            .view(check)
            .proposal(by, leaf, queued.proposal(), &aad)
            .map_err(|what| PolicyViolation { by, what })?;
        Ok(self.pool.insert(by, ask, bytes, *queued, cap)?)
    }

    /// Opens the message with an invite's PSK, which only those send who may add, or lead.
    pub(super) fn admit_psk(
        &mut self,
        message: &[u8],
        check: &dyn CredentialCheck,
    ) -> Result<[u8; 32], ReceiveError> {
        let hash = sha256(message);
        if self.psks.contains_key(&hash) {
            return Ok(hash);
        }
        let (by, offer): (MemberId, PskOffer) = self.open_psk(message).map_err(|e| match e {
            MessageError::Receive(e) => e,
            other => ReceiveError::Mls(other.to_string()),
        })?;
        let leaf = self.state.of(by).map(|seat| seat.leaf);
        let may =
            by == self.state.sequencer || leaf.is_some_and(|leaf| self.view(check).may_add(leaf));
        let announced = self.psks.values().filter(|offered| offered.by == by).count();
        if !may || announced >= MAX_PSKS {
            return Err(PolicyViolation { by, what: Violation::Psk }.into());
        }
        self.psks.insert(hash, Offered { by, offer, message: message.to_vec() });
        Ok(hash)
    }

    /// Parses an MLS message of ours and this epoch, encrypted, of the expected kind.
    pub(super) fn private(
        &self,
        bytes: &[u8],
        kind: ContentType,
    ) -> Result<ProtocolMessage, ReceiveError> {
        let message = MlsMessageIn::tls_deserialize_exact_bytes(bytes).map_err(|_| Malformed)?;
        let MlsMessageBodyIn::PrivateMessage(message) = message.extract() else {
            return Err(ReceiveError::NotPrivate);
        };
        let message = ProtocolMessage::from(message);
        if message.group_id().as_slice() != self.id {
            return Err(ReceiveError::OtherGroup);
        }
        let (theirs, ours) = (message.epoch().as_u64(), self.epoch());
        match theirs.cmp(&ours) {
            std::cmp::Ordering::Less => Err(ReceiveError::Stale(theirs)),
            std::cmp::Ordering::Greater => Err(ReceiveError::Ahead(theirs)),
            std::cmp::Ordering::Equal if message.content_type() != kind => Err(ReceiveError::Kind),
            std::cmp::Ordering::Equal => Ok(message),
        }
    }
}

fn mls(e: impl std::fmt::Display) -> ReceiveError {
    ReceiveError::Mls(e.to_string())
}
