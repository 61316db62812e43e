//! Attacks by insiders: what the library lets a member forge, sent to members that judge it.

mod adds;
mod branches;
mod chaos;
mod equivocation;
mod forge;
mod joining;
mod model;
mod orders;
mod succession;

use super::bundle::Bundle;
use super::*;
use openmls::prelude::{CommitBuilder, Extension, Initial, UnknownExtension};
use openmls_traits::OpenMlsProvider as _;

const GROUP: [u8; 16] = [0x67; 16];
const INVITE: [u8; 8] = *b"invite 1";

/// A named change of a group state.
type Change = (&'static str, fn(&mut GroupState));

/// Credentials of the tests: "test" ‖ identity ‖ leaf key.
fn check(credential: &[u8]) -> Result<CheckedCredential, CredentialRefused> {
    let body = credential.strip_prefix(b"test").filter(|body| body.len() == 64);
    let (identity, leaf_key) = body.ok_or(CredentialRefused("layout".into()))?.split_at(32);
    Ok(CheckedCredential {
        identity: identity.try_into().unwrap(),
        leaf_key: leaf_key.try_into().unwrap(),
    })
}

fn local(who: u8) -> LocalMember {
    let leaf_seed = Secret::build(|seed| rand::Rng::fill(&mut rand::rng(), seed));
    let leaf_key =
        ed25519_dalek::SigningKey::from_bytes(leaf_seed.expose()).verifying_key().to_bytes();
    LocalMember { credential: credential(who, leaf_key), leaf_seed, leaf_key }
}

fn credential(who: u8, leaf_key: [u8; 32]) -> Vec<u8> {
    [&b"test"[..], &identity(who), &leaf_key].concat()
}

/// Identity keys of the tests have seeds that anybody knows.
fn identity(who: u8) -> [u8; 32] {
    ed25519_dalek::SigningKey::from_bytes(&[who; 32]).verifying_key().to_bytes()
}

fn secret(byte: u8) -> Secret<32> {
    Secret::build(|bytes| bytes.fill(byte))
}

/// Host and sequencer 0, members 1 to n-1, all in one epoch.
fn call(n: u8) -> Vec<Group> {
    call_with(n, |_| ())
}

/// The same, from a changed founding state.
fn call_with(n: u8, change: impl FnOnce(&mut GroupState)) -> Vec<Group> {
    let mut groups = vec![Group::found(local(0), GROUP, &check, change).unwrap()];
    for who in 1..n {
        let (key_package, joining) = key_package(local(who), GROUP, &check).unwrap();
        let psk = secret(1);
        let psk = Some(InvitePsk { invite: INVITE, secret: &psk });
        let pending = groups[0].add(&key_package, psk, &check).unwrap();
        let welcome = pending.welcome.clone().unwrap();
        merge_all(&mut groups, 0, pending);
        groups.push(joining.join(&welcome, &Expect { psk, host: identity(0) }, &check).unwrap());
    }
    groups
}

fn merge_all(groups: &mut [Group], by: usize, pending: Pending) {
    let bundle = pending.bundle.clone();
    for (i, group) in groups.iter_mut().enumerate().filter(|(i, _)| *i != by) {
        match group.receive(&bundle, &check) {
            Ok(Received::Commit(staged)) => group.merge(*staged).unwrap(),
            Err(e) => panic!("{i}: {e}"),
            _ => panic!("{i}: not a commit"),
        }
    }
    groups[by].merge_pending(pending).unwrap();
}

/// A commit made with the library directly, past all rules of ours.
fn forged(
    group: &mut Group,
    aad: &[u8],
    with: impl for<'a> FnOnce(CommitBuilder<'a, Initial>) -> CommitBuilder<'a, Initial>,
) -> (Vec<u8>, Option<Vec<u8>>) {
    group.mls.set_aad(aad.to_vec());
    let builder = with(group.mls.commit_builder().force_self_update(true));
    let (commit, welcome, _) = builder
        .load_psks(group.provider.storage())
        .unwrap()
        .create_group_info(false)
        .build(group.provider.rand(), group.provider.crypto(), &group.signer, |_| true)
        .unwrap()
        .stage_commit(&group.provider)
        .unwrap()
        .into_contents();
    group.mls.clear_pending_commit(group.provider.storage()).unwrap();
    group.clear_library_proposals();
    let welcome = welcome.map(|welcome| {
        use openmls::prelude::{MlsMessageOut, ProtocolVersion};
        MlsMessageOut::from_welcome(welcome, ProtocolVersion::Mls10).to_bytes().unwrap()
    });
    (bundle(group, None, &[], &commit.to_bytes().unwrap()), welcome)
}

/// A bundle with the group's own statement on the commit.
fn bundle(group: &Group, psk: Option<&[u8]>, proposals: &[&[u8]], commit: &[u8]) -> Vec<u8> {
    let statement = stated(group, commit);
    Bundle { psk, proposals: proposals.to_vec(), commit, statement }.encode()
}

fn stated(group: &Group, commit: &[u8]) -> Statement {
    let (epoch, confirmation) = (group.epoch(), group.confirmation_hash());
    Statement::sign(&group.signer, &group.id, epoch, confirmation, sha256(commit))
}

/// Makes the group meet every signer for the first time: else the second of two forged commits is
/// refused for being the second.
fn forget_statements(group: &mut Group) {
    let epoch = group.epoch();
    group.history.at_mut(epoch).unwrap().statements.clear();
    group.history.pardon();
}

/// Changes of a commit by the sequencer that does nothing.
fn changes(group: &Group) -> state::Changes {
    state::Changes {
        epoch: group.epoch() + 1,
        committer: group.state.sequencer,
        removed: Default::default(),
        added: None,
        orders: Vec::new(),
        lead: state::Lead::Stay,
    }
}

/// Somebody new, added by member `by`.
fn added(by: u32, who: u8) -> Option<state::Added> {
    Some(state::Added { by: MemberId(by), invite: None, identity: identity(who), back: false })
}

/// What `who` decides, signed.
fn ordered(group: &Group, who: u8, kind: OrderKind) -> Vec<u8> {
    let order = group.draft_order(kind).unwrap();
    sign_order(who, order)
}

fn sign_order(who: u8, order: Order) -> Vec<u8> {
    use ed25519_dalek::Signer as _;
    let key = ed25519_dalek::SigningKey::from_bytes(&[who; 32]);
    let signature = key.sign(&order.message()).to_bytes();
    order.signed(key.verifying_key().to_bytes(), signature)
}

fn join_parse(bytes: &[u8]) -> openmls::prelude::KeyPackage {
    join::parse_key_package(&Provider::new().unwrap(), bytes).unwrap()
}

/// The group context's extensions with another state.
fn context(state: &GroupState) -> openmls::prelude::Extensions<openmls::prelude::GroupContext> {
    provider::context_extensions(state).unwrap()
}

fn context_bytes(bytes: Vec<u8>) -> openmls::prelude::Extensions<openmls::prelude::GroupContext> {
    let mut extensions = context(&GroupState::founded_by([0; 32]));
    extensions
        .add_or_replace(Extension::Unknown(state::EXTENSION, UnknownExtension(bytes)))
        .unwrap();
    extensions
}

/// What of a group must not change when something is refused.
type Snapshot = (u64, [u8; 32], GroupState, [usize; 4]);

fn snapshot(group: &Group) -> Snapshot {
    let sizes = [group.pool.len(), group.psks.len(), group.held.len(), group.parked.len()];
    (group.epoch(), group.authenticator(), group.state.clone(), sizes)
}

/// Merges a bundle at one group.
fn deliver(group: &mut Group, bundle: &[u8]) {
    match group.receive(bundle, &check) {
        Ok(Received::Commit(staged)) => group.merge(*staged).unwrap(),
        Err(e) => panic!("{}: {e}", group.me()),
        Ok(_) => panic!("{}: not a commit", group.me()),
    }
}

/// A commit of `by` (its place in `groups`) that only these get.
fn merge_some(groups: &mut [Group], by: usize, pending: Pending, who: &[usize]) -> Vec<u8> {
    let bundle = pending.bundle.clone();
    who.iter().for_each(|i| deliver(&mut groups[*i], &bundle));
    groups[by].merge_pending(pending).unwrap();
    bundle
}

/// Grants of these members, by place.
fn grants(groups: &mut [Group], term: u32, candidate: u32, voters: &[usize]) -> Vec<Grant> {
    voters.iter().map(|i| groups[*i].grant(term, MemberId(candidate)).unwrap()).collect()
}

/// The one rule `bytes` breaks, and that the receiver is unharmed.
fn violation(group: &mut Group, bytes: &[u8]) -> (u32, Violation) {
    forget_statements(group);
    let (before, stored) = (snapshot(group), group.provider.storage().len());
    let refused = match group.receive(bytes, &check) {
        Err(ReceiveError::Policy(PolicyViolation { by, what })) => (by.0, what),
        Err(e) => panic!("refused for another reason: {e}"),
        Ok(_) => panic!("accepted"),
    };
    assert_eq!(before, snapshot(group));
    // A test may have put a secret there beforehand; it is gone then.
    assert!(group.provider.storage().len() <= stored);
    assert!(!group.mls.has_pending_proposals());
    forget_statements(group);
    refused
}

/// After an attack, the true sequencer's next commit still works for everybody.
fn assert_alive(groups: &mut [Group]) {
    groups.iter_mut().for_each(forget_statements);
    let pending = groups[0].update(&check).unwrap();
    assert!(pending.dropped.is_empty());
    merge_all(groups, 0, pending);
    let first = groups[0].authenticator();
    assert!(groups.iter().all(|group| group.authenticator() == first));
}

#[test]
fn a_group_can_move_between_threads() {
    fn is_send<T: Send>() {}
    is_send::<Group>();
    is_send::<PendingJoin>();
    is_send::<Pending>();
    is_send::<Staged>();
}
