//! What leaves the group: media base keys, and what members compare to know that they are in the
//! same epoch with the same people.

use super::bytes::{Malformed, Reader};
use super::history::Remembered;
use super::provider::LeafSigner;
use super::signed::{fits, signed_bytes};
use super::statement::{Equivocation, Statement};
use super::{Group, sha256};
use crate::keys::Bases;
use crate::secret::Secret;
use crate::wire::link::MemberId;
use hkdf::Hkdf;
use openmls::prelude::{Sender, tls_codec::Serialize as _};
use openmls_traits::OpenMlsProvider as _;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Component id for media keys in the safe exporter (MLS extensions draft), private-use range.
const MEDIA: u16 = 0xFACE;

/// No media keys.
#[derive(Debug, thiserror::Error)]
pub enum BasesError {
    /// We are not in the group any more.
    #[error("no longer a member")]
    Evicted,
    /// Already taken in this epoch: the exporter is punctured, nobody can derive them again.
    #[error("the epoch's media keys were already taken")]
    Taken,
}

/// A member's signed word on which epoch it is in and how it got there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// MLS epoch.
    pub epoch: u64,
    /// SHA-256 of the epoch authenticator.
    pub auth_hash: [u8; 32],
    /// The committer's statement on the commit that led there; `None` from a founder or joiner,
    /// who saw no commit.
    pub statement: Option<Statement>,
    /// By the leaf key, over purpose, group id, epoch, SHA-256 of the commit (zeros without), hash
    /// of the authenticator, and the confirmation hash of the epoch before (empty without).
    pub signature: [u8; 64],
}

impl Ack {
    /// SHA-256 of the commit that led to the epoch; zeros from a founder or joiner.
    pub fn commit_hash(&self) -> [u8; 32] {
        self.statement.map_or([0; 32], |statement| statement.commit_hash)
    }

    /// For the wire: at most 273 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.epoch.to_be_bytes().to_vec();
        out.extend_from_slice(&self.auth_hash);
        out.extend_from_slice(&self.signature);
        out.push(u8::from(self.statement.is_some()));
        self.statement.iter().for_each(|statement| statement.put(&mut out));
        out
    }

    /// Reads what [`encode`](Self::encode) wrote; signatures are checked by [`Group::take_ack`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let (epoch, auth_hash, signature) = (r.u64()?, r.array()?, r.array()?);
        let statement = match r.u8()? {
            0 => None,
            1 => Some(Statement::read(&mut r)?),
            _ => return Err(Malformed),
        };
        r.end()?;
        Ok(Self { epoch, auth_hash, statement, signature })
    }

    /// The ack of whoever holds this leaf key.
    pub(super) fn sign(
        signer: &LeafSigner,
        group: &[u8; 16],
        epoch: u64,
        auth_hash: [u8; 32],
        statement: Option<Statement>,
    ) -> Self {
        let mut ack = Self { epoch, auth_hash, statement, signature: [0; 64] };
        let message = ack.fields(group, |fields| signed_bytes(ACK, fields));
        ack.signature = signer.sign_bytes(&message);
        ack
    }

    fn fields<T>(&self, group: &[u8; 16], with: impl FnOnce(&[&[u8]]) -> T) -> T {
        let (epoch, commit) = (self.epoch.to_be_bytes(), self.commit_hash());
        let parent: &[u8] = match &self.statement {
            Some(statement) => &statement.confirmation,
            None => &[],
        };
        with(&[group, &epoch, &commit, &self.auth_hash, parent])
    }
}

const ACK: &str = "ack";

/// Whether `signature` is this key's ack of the epoch a statement's commit led to.
pub(super) fn ack_fits(
    group: &[u8; 16],
    key: &[u8; 32],
    statement: &Statement,
    auth_hash: &[u8; 32],
    signature: &[u8; 64],
) -> bool {
    let Some(epoch) = statement.epoch.checked_add(1) else { return false };
    let (auth_hash, signature) = (*auth_hash, *signature);
    let ack = Ack { epoch, auth_hash, statement: Some(*statement), signature };
    ack.fields(group, |fields| fits(key, ACK, fields, &signature))
}

/// An ack is not the member's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AckError {
    /// Nobody of that number is in the group.
    #[error("not a member")]
    NotAMember,
    /// The signature is not by that member's leaf key.
    #[error("the signature is not the member's")]
    Signature,
    /// The statement in it isn't signed, or is about another epoch.
    #[error("the statement in it doesn't hold")]
    Statement,
}

/// An ack taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckTaken {
    /// How the member stands to us.
    pub agreement: Agreement,
    /// The committer it names told us something else: the proof.
    pub equivocation: Option<Equivocation>,
}

/// What a valid ack says about the member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// Same epoch, same commit, same keys.
    Same,
    /// Same epoch number, but another commit or other keys: split from us.
    Differs,
    /// Another epoch.
    OtherEpoch,
}

impl Group {
    /// The media base keys of this epoch, one per leaf. Once per epoch: the exporter is punctured,
    /// so that a later copy of our state can't derive them again.
    pub fn bases(&mut self) -> Result<Bases, BasesError> {
        if self.evicted {
            return Err(BasesError::Evicted);
        }
        let epoch = self.epoch();
        let ems = self
            .mls
            .safe_export_secret(self.provider.crypto(), self.provider.storage(), MEDIA)
            .map(Zeroizing::new)
            .map_err(|_| BasesError::Taken)?;
        let kdf = Hkdf::<Sha256>::from_prk(&ems).map_err(|_| BasesError::Taken)?;
        let mut bases = Bases { epoch, by_leaf: Default::default() };
        for (leaf, person) in &self.people {
            let credential = Sha256::digest(&person.credential);
            let epoch = epoch.to_be_bytes();
            let info: [&[u8]; 5] = [b"facetty media 1", &self.id, &epoch, &[*leaf], &credential];
            let mut expanded = Ok(());
            let base = Secret::build(|okm| expanded = kdf.expand_multi_info(&info, okm));
            expanded.map_err(|_| BasesError::Taken)?;
            bases.by_leaf.insert(*leaf, base);
        }
        Ok(bases)
    }

    /// Epoch authenticator (RFC 9420 §8.7): equal at two members exactly if they share the
    /// epoch's keys. Zeros after eviction.
    pub fn authenticator(&self) -> [u8; 32] {
        if self.evicted {
            return [0; 32];
        }
        self.mls.epoch_authenticator().as_slice().try_into().unwrap_or([0; 32])
    }

    /// SHA-256 of the confirmation tag (RFC 9420 §8.1): names the epoch in heartbeats without
    /// saying anything about its keys.
    pub fn confirmation_hash(&self) -> [u8; 32] {
        sha256(&self.mls.confirmation_tag().tls_serialize_detached().unwrap_or_default())
    }

    /// SHA-256 of the commit that led to this epoch; `None` for a founder or joiner.
    pub fn commit_hash(&self) -> Option<[u8; 32]> {
        self.statement.map(|statement| statement.commit_hash)
    }

    /// Our signed word on the current epoch, for all members.
    pub fn sign_ack(&self) -> Ack {
        let auth_hash = sha256(&self.authenticator());
        Ack::sign(&self.signer, &self.id, self.epoch(), auth_hash, self.statement)
    }

    /// Checks a member's ack and compares it with where we are.
    pub fn verify_ack(&self, member: MemberId, ack: &Ack) -> Result<Agreement, AckError> {
        let key = self.leaf_key(member).or_else(|| self.history.key_in(ack.epoch, member));
        let key = key.ok_or(AckError::NotAMember)?;
        if !ack.fields(&self.id, |fields| fits(&key, ACK, fields, &ack.signature)) {
            return Err(AckError::Signature);
        }
        if let Some(statement) = &ack.statement {
            let leads_here = statement.epoch.checked_add(1) == Some(ack.epoch);
            if !leads_here || !statement.verify(&self.id) {
                return Err(AckError::Statement);
            }
        }
        if ack.epoch != self.epoch() {
            return Ok(Agreement::OtherEpoch);
        }
        let same_commit = match (self.commit_hash(), ack.statement) {
            (Some(ours), Some(theirs)) => ours == theirs.commit_hash,
            // A joiner knows the epoch it came into, not what led there.
            _ => true,
        };
        let same = same_commit && ack.auth_hash == sha256(&self.authenticator());
        Ok(if same { Agreement::Same } else { Agreement::Differs })
    }

    /// Checks and compares a member's ack, and remembers it: acks of one commit by a majority show
    /// others which branch goes on, statements of two commits convict their signer.
    pub fn take_ack(&mut self, member: MemberId, ack: &Ack) -> Result<AckTaken, AckError> {
        let agreement = self.verify_ack(member, ack)?;
        let mut equivocation = None;
        if let Some(statement) = &ack.statement
            && self.history.holds(statement.epoch, &statement.confirmation)
        {
            let noted = self.history.note(&self.id, statement);
            equivocation = noted.map_err(|_| AckError::Statement)?;
        }
        if ack.epoch > self.epoch() {
            self.history.keep_early(member, *ack);
        } else {
            self.count_ack(member, ack);
        }
        Ok(AckTaken { agreement, equivocation })
    }

    /// Counts a checked ack of an epoch we have been in.
    pub(super) fn count_ack(&mut self, member: MemberId, ack: &Ack) {
        let Some(entry) = self.history.at_mut(ack.epoch) else { return };
        let same = entry.statement.map(|statement| statement.commit_hash)
            == ack.statement.map(|statement| statement.commit_hash);
        if same && ack.statement.is_some() && entry.auth_hash == ack.auth_hash {
            entry.acks.insert(member, ack.signature);
        }
    }

    /// Members whose acks of this epoch we have, ourselves among them.
    pub fn acked(&self) -> usize {
        self.history.at(self.epoch()).map_or(0, |entry| entry.acks.len())
    }

    /// Takes in a proof that a member made two commits of one epoch; returns whose it is, if it
    /// was a member of an epoch we remember.
    pub fn take_equivocation(
        &mut self,
        bytes: &[u8],
    ) -> Result<(Equivocation, MemberId), Malformed> {
        let proof = Equivocation::parse(&self.id, bytes)?;
        let who = self.history.with_key(&proof.by()).ok_or(Malformed)?;
        self.history.convict(proof);
        Ok((proof, who.member))
    }

    /// The proof that a member made two commits of one epoch, if we have one.
    pub fn equivocation_of(&self, member: MemberId) -> Option<&Equivocation> {
        self.history.proof_against(&self.leaf_key(member)?)
    }

    /// Whose leaf key this is or was in the epochs we remember; the newest seat.
    pub fn remembered(&self, leaf_key: &[u8; 32]) -> Option<Remembered> {
        self.history.with_key(leaf_key)
    }

    pub(super) fn sender(&self, sender: &Sender) -> Option<MemberId> {
        let Sender::Member(index) = sender else { return None };
        let leaf = u8::try_from(index.u32()).ok()?;
        self.state.at_leaf(leaf).map(|seat| seat.id)
    }
}
