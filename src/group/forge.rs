//! What a member with a program of its own could make: commits and proposals straight from the MLS
//! library, past every rule of ours. `facetty prove` attacks with it and shows beside each refusal
//! that the library alone would have taken it. Nothing of a call comes here; `tests/layers.rs`
//! lists who may.

use super::bundle::Bundle;
use super::provider::{self, LeafSigner, Provider};
use super::rules::{CredentialCheck, Person};
use super::state::{Added, Changes, Lead};
use super::statement::Statement;
use super::{Group, LocalMember, join, sha256};
use crate::wire::link::MemberId;
use openmls::prelude::tls_codec::DeserializeBytes as _;
use openmls::prelude::{
    ExternalCommitBuilder, LeafNodeIndex, LeafNodeParameters, MlsMessageBodyIn, MlsMessageIn,
    ProtocolMessage,
};
use openmls_traits::OpenMlsProvider as _;

/// Something no honest member makes.
#[derive(Clone, Copy, Debug)]
pub enum Forgery<'a> {
    /// A commit with new keys, whoever we are.
    Commit,
    /// A commit that adds the owner of this key package, with the state that would follow.
    CommitAdd(&'a [u8]),
    /// A commit that changes our own credential.
    CommitSwap(&'a [u8]),
    /// An update proposal that changes our own credential.
    ProposeSwap(&'a [u8]),
    /// A proposal to add the owner of this key package.
    ProposeAdd(&'a [u8]),
    /// A proposal to remove somebody else.
    ProposeRemove(MemberId),
    /// A proposal that makes us the sequencer.
    ProposeTakeOver,
}

/// The forger's own tools failed; says nothing about the attacked.
#[derive(Debug, thiserror::Error)]
#[error("cannot forge that: {0}")]
pub struct ForgeError(String);

fn no(e: impl std::fmt::Display) -> ForgeError {
    ForgeError(e.to_string())
}

fn lacking(what: &str) -> ForgeError {
    ForgeError(format!("no {what}"))
}

impl Group {
    /// Makes the forgery with this member's keys. Leaves the group in its epoch.
    pub fn forge(
        &mut self,
        what: Forgery<'_>,
        check: &dyn CredentialCheck,
    ) -> Result<Vec<u8>, ForgeError> {
        self.discard_pending();
        self.clear_library_proposals();
        let made = self.forged(what, check);
        self.discard_pending();
        self.clear_library_proposals();
        made
    }

    fn forged(
        &mut self,
        what: Forgery<'_>,
        check: &dyn CredentialCheck,
    ) -> Result<Vec<u8>, ForgeError> {
        let message = match what {
            Forgery::Commit => return self.forged_commit(None, None, check),
            Forgery::CommitAdd(package) => return self.forged_commit(Some(package), None, check),
            Forgery::CommitSwap(credential) => {
                return self.forged_commit(None, Some(credential), check);
            }
            Forgery::ProposeSwap(credential) => {
                let parameters = self.swapped(credential);
                self.mls
                    .propose_self_update(&self.provider, &self.signer, parameters)
                    .map(|(message, _)| message)
                    .map_err(no)?
            }
            Forgery::ProposeAdd(package) => {
                let package = join::parse_key_package(&self.provider, package).map_err(no)?;
                self.mls
                    .propose_add_member(&self.provider, &self.signer, &package)
                    .map(|(message, _)| message)
                    .map_err(no)?
            }
            Forgery::ProposeRemove(member) => {
                let seat = self.state.of(member).ok_or_else(|| lacking("such member"))?;
                let leaf = LeafNodeIndex::new(u32::from(seat.leaf));
                self.mls
                    .propose_remove_member(&self.provider, &self.signer, leaf)
                    .map(|(message, _)| message)
                    .map_err(no)?
            }
            Forgery::ProposeTakeOver => {
                let mut state = self.state.clone();
                state.sequencer = self.me;
                let extensions =
                    provider::context_extensions(&state).ok_or_else(|| lacking("extensions"))?;
                self.mls
                    .propose_group_context_extensions(&self.provider, extensions, &self.signer)
                    .map(|(message, _)| message)
                    .map_err(no)?
            }
        };
        message.to_bytes().map_err(no)
    }

    fn swapped(&self, credential: &[u8]) -> LeafNodeParameters {
        let with_key = provider::credential_with_key(credential, self.signer.public());
        LeafNodeParameters::builder().with_credential_with_key(with_key).build()
    }

    fn forged_commit(
        &mut self,
        add: Option<&[u8]>,
        credential: Option<&[u8]>,
        check: &dyn CredentialCheck,
    ) -> Result<Vec<u8>, ForgeError> {
        let add = add
            .map(|package| join::parse_key_package(&self.provider, package).map_err(no))
            .transpose()?;
        let after = match &add {
            Some(add) => {
                let credential = add.leaf_node().credential().serialized_content();
                let identity = Person::checked(credential, check).map_err(no)?.identity;
                let added = Added { by: self.me, invite: None, identity, back: false };
                let changes = Changes {
                    epoch: self.epoch().saturating_add(1),
                    committer: self.me,
                    removed: Default::default(),
                    added: Some(added),
                    orders: Vec::new(),
                    lead: Lead::Stay,
                };
                let state = self.state.after(&changes).map_err(no)?;
                Some(provider::context_extensions(&state).ok_or_else(|| lacking("extensions"))?)
            }
            None => None,
        };
        let swapped = credential.map(|credential| self.swapped(credential));
        self.mls.set_aad(Vec::new());
        let mut builder = self.mls.commit_builder().force_self_update(true);
        if let Some(add) = add {
            builder = builder.propose_adds([add]);
        }
        if let Some(after) = after {
            builder = builder.propose_group_context_extensions(after).map_err(no)?;
        }
        if let Some(swapped) = swapped {
            builder = builder.leaf_node_parameters(swapped);
        }
        let (commit, _, _) = builder
            .load_psks(self.provider.storage())
            .map_err(no)?
            .create_group_info(false)
            .build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true)
            .map_err(no)?
            .stage_commit(&self.provider)
            .map_err(no)?
            .into_contents();
        let commit = commit.to_bytes().map_err(no)?;
        let parent = (self.epoch(), self.confirmation_hash());
        let hash = sha256(&commit);
        let statement = Statement::sign(&self.signer, &self.id, parent.0, parent.1, hash);
        Ok(Bundle { psk: None, proposals: Vec::new(), commit: &commit, statement }.encode())
    }

    /// Would the MLS library alone take this (a bundle's commit, or a bare message)? Uses up the
    /// message's key: ask a member that isn't attacked with it.
    pub fn library_takes(&mut self, bytes: &[u8]) -> bool {
        let commit = Bundle::is_one(bytes).then(|| Bundle::parse(bytes).ok()).flatten();
        let bytes = commit.as_ref().map_or(bytes, |bundle| bundle.commit);
        let Ok(message) = MlsMessageIn::tls_deserialize_exact_bytes(bytes) else { return false };
        let Ok(message) = <MlsMessageIn as TryInto<ProtocolMessage>>::try_into(message) else {
            return false;
        };
        self.mls.process_message(&self.provider, message).is_ok()
    }

    /// The GroupInfo with tree and external key, as a careless member could leak it.
    pub fn leak_group_info(&self) -> Result<Vec<u8>, ForgeError> {
        self.mls
            .export_group_info(self.provider.crypto(), &self.signer, true)
            .map_err(no)?
            .to_bytes()
            .map_err(no)
    }
}

/// An external commit: a stranger with a leaked GroupInfo lets itself in (RFC 9420 §12.4.3.2).
/// Returns it bare and as a bundle.
pub fn external_commit(info: &[u8], stranger: LocalMember) -> Result<[Vec<u8>; 2], ForgeError> {
    let info = MlsMessageIn::tls_deserialize_exact_bytes(info).map_err(no)?;
    let MlsMessageBodyIn::GroupInfo(info) = info.extract() else {
        return Err(lacking("GroupInfo"));
    };
    let context = info.group_context();
    let (epoch, id) = (context.epoch().as_u64(), context.group_id().as_slice().try_into());
    let id: [u8; 16] = id.map_err(|_| lacking("group id"))?;
    let provider = Provider::new().map_err(no)?;
    let signer = LeafSigner::new(stranger.leaf_seed);
    let credential = provider::credential_with_key(&stranger.credential, signer.public());
    let parameters =
        LeafNodeParameters::builder().with_capabilities(provider::capabilities()).build();
    let (_, commit) = ExternalCommitBuilder::new()
        .with_config(provider::join_config())
        .build_group(&provider, info, credential)
        .map_err(no)?
        .leaf_node_parameters(parameters)
        .load_psks(provider.storage())
        .map_err(no)?
        .build(provider.rand(), provider.crypto(), &signer, |_| true)
        .map_err(no)?
        .finalize(&provider)
        .map_err(no)?;
    let commit = commit.commit().to_bytes().map_err(no)?;
    let statement = Statement::sign(&signer, &id, epoch, [0; 32], sha256(&commit));
    let bundle = Bundle { psk: None, proposals: Vec::new(), commit: &commit, statement }.encode();
    Ok([commit, bundle])
}
