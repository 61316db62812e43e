//! The MLS side: everything of it that comes from a peer, against real groups of two.

use super::Feed;
use facetty::group::{
    CheckedCredential, CredentialRefused, Expect, Group, GroupState, InvitePsk, LocalMember,
    Pending, ReceiveError, Received, key_package as own_key_package,
};
use facetty::secret::Secret;
use rand::RngCore as _;
use std::cell::RefCell;

pub(super) const GROUP: [u8; 16] = [0x67; 16];
const INVITE: [u8; 8] = *b"invite 1";
/// The groups move on after so many inputs, so that nothing a target did can have stuck.
const TURN: u32 = 256;

/// Credentials here: "test" ‖ identity ‖ leaf key.
fn check(credential: &[u8]) -> Result<CheckedCredential, CredentialRefused> {
    let body = credential.strip_prefix(b"test").filter(|body| body.len() == 64);
    let (identity, leaf_key) = body.ok_or(CredentialRefused("layout".into()))?.split_at(32);
    Ok(CheckedCredential {
        identity: identity.try_into().expect("32 bytes"),
        leaf_key: leaf_key.try_into().expect("32 bytes"),
    })
}

fn local(who: u8) -> LocalMember {
    let leaf_seed = Secret::build(|seed| rand::rng().fill_bytes(seed));
    let leaf_key =
        ed25519_dalek::SigningKey::from_bytes(leaf_seed.expose()).verifying_key().to_bytes();
    let credential = [&b"test"[..], &[who; 32], &leaf_key].concat();
    LocalMember { credential, leaf_seed, leaf_key }
}

fn psk() -> Secret<32> {
    Secret::build(|bytes| bytes.fill(0x42))
}

/// A host, a member, and one genuine message of each kind on its way to one of them.
pub(super) struct Two {
    pub(super) host: Group,
    pub(super) member: Group,
    /// The host's commit, for the member.
    commit: Pending,
    /// The member's proposal, for the host.
    proposal: Vec<u8>,
    /// The host's message, for the member.
    message: Vec<u8>,
    left: u32,
}

impl Two {
    pub(super) fn new() -> Self {
        let mut host = Group::create(local(0), GROUP, &check).expect("founded");
        let (package, joining) = own_key_package(local(1), GROUP, &check).expect("key package");
        let secret = psk();
        let psk = Some(InvitePsk { invite: INVITE, secret: &secret });
        let pending = host.add(&package, psk, &check).expect("added");
        let welcome = pending.welcome.clone().expect("a welcome");
        host.merge_pending(pending).expect("merged");
        let member = joining.join(&welcome, &Expect { psk, host: [0; 32] }, &check);
        Self::with(host, member.expect("joined"))
    }

    fn with(mut host: Group, mut member: Group) -> Self {
        let message = host.seal_message(b"addresses").expect("sealed");
        let proposal = member.propose_update().expect("proposed");
        // With somebody added the bundle has all its parts: key, proposals, commit.
        let (package, _) = own_key_package(local(2), GROUP, &check).expect("key package");
        let secret = psk();
        let invite = Some(InvitePsk { invite: *b"invite 2", secret: &secret });
        let commit = host.add(&package, invite, &check).expect("added");
        Self { host, member, commit, proposal, message, left: TURN }
    }

    /// The genuine messages still have their effect; then the groups start anew.
    fn turn(mut self) -> Self {
        let (host, member) = (&mut self.host, &mut self.member);
        match member.receive(&self.commit.bundle, &check) {
            Ok(Received::Commit(staged)) => {
                assert_eq!(staged.roster_after, self.commit.roster_after);
                member.merge(*staged).expect("merges");
                host.merge_pending(self.commit).expect("merges");
                assert_eq!(host.authenticator(), member.authenticator());
            }
            // It was among the inputs, unchanged.
            Ok(Received::Duplicate) => {}
            Ok(Received::Proposal { .. }) => panic!("a commit is no proposal"),
            Err(e) => panic!("the genuine commit is refused: {e}"),
        }
        Self::new()
    }
}

/// Bundles, proposals and messages: as they come, or genuine ones changed. Whatever is changed is
/// refused, and neither group moves.
pub(super) fn mls_receive(data: &[u8]) {
    thread_local!(static TWO: RefCell<Option<Two>> = const { RefCell::new(None) });
    TWO.with_borrow_mut(|slot| {
        let mut two = match slot.take() {
            Some(two) if two.left == 0 => two.turn(),
            Some(two) => two,
            None => Two::new(),
        };
        two.left -= 1;
        let before = (two.host.epoch(), two.host.authenticator(), two.member.authenticator());
        received(&mut two, Feed(data));
        let after = (two.host.epoch(), two.host.authenticator(), two.member.authenticator());
        assert_eq!(before, after);
        *slot = Some(two);
    });
}

fn received(two: &mut Two, mut feed: Feed<'_>) {
    match feed.u8() % 5 {
        0 => {
            assert!(two.member.receive(feed.0, &check).is_err());
            assert!(two.host.receive(feed.0, &check).is_err());
            assert!(two.member.open_message(feed.0).is_err());
        }
        1 => {
            // Right parts in a frame of the input's making.
            let parts = [two.message.clone(), two.proposal.clone(), two.commit.bundle.clone()];
            let mut bytes = vec![0xb1, feed.u8() & 3, feed.u8()];
            while !feed.is_empty() && bytes.len() < 200_000 {
                let part = &parts[usize::from(feed.u8()) % parts.len()];
                let part = feed.patched(part);
                bytes.extend_from_slice(&(part.len() as u32).to_be_bytes());
                bytes.extend_from_slice(&part);
            }
            assert!(two.member.receive(&bytes, &check).is_err());
        }
        2 => {
            let bytes = feed.patched(&two.commit.bundle);
            let genuine = bytes == two.commit.bundle;
            match two.member.receive(&bytes, &check) {
                Ok(Received::Commit(staged)) => {
                    assert!(genuine && staged.roster_after == two.commit.roster_after);
                }
                Ok(Received::Duplicate) => assert!(genuine),
                Ok(Received::Proposal { .. }) => panic!("a bundle is no proposal"),
                Err(_) => assert!(!genuine),
            }
        }
        3 => {
            let bytes = feed.patched(&two.proposal);
            let genuine = bytes == two.proposal;
            match two.host.receive(&bytes, &check) {
                Ok(_) => assert!(genuine),
                Err(ReceiveError::Policy(e)) => panic!("nobody broke a rule: {e}"),
                Err(_) => assert!(!genuine),
            }
        }
        _ => {
            let bytes = feed.patched(&two.message);
            let opened = two.member.open_message(&bytes);
            assert!(opened.is_err() || bytes == two.message);
        }
    }
}

/// Welcomes: as they come, or a genuine one changed. Only the unchanged one lets in.
pub(super) fn mls_welcome(data: &[u8]) {
    thread_local!(static HOST: RefCell<Option<Group>> = const { RefCell::new(None) });
    let mut feed = Feed(data);
    let (package, joining) = own_key_package(local(1), GROUP, &check).expect("key package");
    let secret = psk();
    let psk = Some(InvitePsk { invite: INVITE, secret: &secret });
    let expect = Expect { psk, host: [0; 32] };
    if feed.u8() % 2 == 0 {
        assert!(joining.join(feed.0, &expect, &check).is_err());
        return;
    }
    HOST.with_borrow_mut(|host| {
        let host =
            host.get_or_insert_with(|| Group::create(local(0), GROUP, &check).expect("founded"));
        // Never merged: the next input finds the group as it is now.
        let pending = host.add(&package, psk, &check).expect("added");
        let genuine = pending.welcome.expect("a welcome");
        let bytes = feed.patched(&genuine);
        let joined = joining.join(&bytes, &expect, &check);
        assert_eq!(joined.is_ok(), bytes == genuine);
    });
}

/// Key packages: as they come, or a genuine one changed. Nobody is added by a changed one.
pub(super) fn key_package(data: &[u8]) {
    thread_local!(static HOST: RefCell<Option<(Group, Vec<u8>)>> = const { RefCell::new(None) });
    HOST.with_borrow_mut(|slot| {
        let (host, genuine) = slot.get_or_insert_with(|| {
            let (package, _) = own_key_package(local(1), GROUP, &check).expect("key package");
            (Group::create(local(0), GROUP, &check).expect("founded"), package)
        });
        let mut feed = Feed(data);
        let bytes = match feed.u8() % 2 {
            0 => feed.0.to_vec(),
            _ => feed.patched(genuine),
        };
        let read = host.read_key_package(&bytes);
        assert_eq!(read.is_ok(), bytes == *genuine);
        if read.is_err() {
            assert!(host.add(&bytes, None, &check).is_err());
        }
        assert_eq!(host.epoch(), 0);
    });
}

/// The group state: what is accepted has one encoding, and changing it makes another state.
pub(super) fn group_state(data: &[u8]) {
    if let Ok(state) = GroupState::parse(data) {
        assert_eq!(state.encode(), data);
    }
    thread_local!(static STATE: Vec<u8> = Two::new().host.state().encode());
    let bytes = STATE.with(|genuine| Feed(data).patched(genuine));
    if let Ok(state) = GroupState::parse(&bytes) {
        assert_eq!(state.encode(), bytes);
    }
}
