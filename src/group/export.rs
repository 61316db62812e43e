//! What leaves the group: media base keys, and what members compare to know that they are in the
//! same epoch with the same people.

use super::{Group, sha256};
use crate::keys::Bases;
use crate::secret::Secret;
use crate::wire::link::MemberId;
use ed25519_dalek::{Signature, VerifyingKey};
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
    /// SHA-256 of the commit that led there; zeros from a founder or joiner, who saw none.
    pub commit_hash: [u8; 32],
    /// SHA-256 of the epoch authenticator.
    pub auth_hash: [u8; 32],
    /// By the leaf key, over purpose, group id and the above.
    pub signature: [u8; 64],
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
        self.commit_hash
    }

    /// Our signed word on the current epoch, for all members.
    pub fn sign_ack(&self) -> Ack {
        let mut ack = Ack {
            epoch: self.epoch(),
            commit_hash: self.commit_hash.unwrap_or_default(),
            auth_hash: sha256(&self.authenticator()),
            signature: [0; 64],
        };
        ack.signature = self.signer.sign_bytes(&self.ack_message(&ack));
        ack
    }

    /// Checks a member's ack and compares it with where we are.
    pub fn verify_ack(&self, member: MemberId, ack: &Ack) -> Result<Agreement, AckError> {
        let seat = self.state.of(member).ok_or(AckError::NotAMember)?;
        let person = self.people.get(&seat.leaf).ok_or(AckError::NotAMember)?;
        let key = VerifyingKey::from_bytes(&person.leaf_key).map_err(|_| AckError::Signature)?;
        key.verify_strict(&self.ack_message(ack), &Signature::from_bytes(&ack.signature))
            .map_err(|_| AckError::Signature)?;
        if ack.epoch != self.epoch() {
            return Ok(Agreement::OtherEpoch);
        }
        let unseen = [0; 32];
        let ours = self.commit_hash.unwrap_or(unseen);
        let same_commit = ours == ack.commit_hash || ours == unseen || ack.commit_hash == unseen;
        let same = same_commit && ack.auth_hash == sha256(&self.authenticator());
        Ok(if same { Agreement::Same } else { Agreement::Differs })
    }

    fn ack_message(&self, ack: &Ack) -> Vec<u8> {
        let mut out = b"facetty/1 ack\0".to_vec();
        let epoch = ack.epoch.to_be_bytes();
        for field in [&self.id[..], &epoch, &ack.commit_hash, &ack.auth_hash] {
            super::bytes::put_bytes(&mut out, field);
        }
        out
    }

    pub(super) fn sender(&self, sender: &Sender) -> Option<MemberId> {
        let Sender::Member(index) = sender else { return None };
        let leaf = u8::try_from(index.u32()).ok()?;
        self.state.at_leaf(leaf).map(|seat| seat.id)
    }
}
