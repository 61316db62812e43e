//! The group as its users see it: people join one after another, leave, hand over, are removed,
//! and everybody who is in agrees on everything – real MLS, real keys.

use facetty::group::*;
use facetty::secret::Secret;
use facetty::wire::link::MemberId;

const GROUP: [u8; 16] = [0x67; 16];
const INVITE: [u8; 8] = *b"invite 1";

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
    let credential = [&b"test"[..], &identity(who), &leaf_key].concat();
    LocalMember { credential, leaf_seed, leaf_key }
}

/// Identity keys of the tests have seeds that anybody knows.
fn identity(who: u8) -> [u8; 32] {
    ed25519_dalek::SigningKey::from_bytes(&[who; 32]).verifying_key().to_bytes()
}

/// What `who` decides, signed.
fn order(group: &Group, who: u8, kind: OrderKind) -> Vec<u8> {
    use ed25519_dalek::Signer as _;
    let order = group.draft_order(kind).unwrap();
    let key = ed25519_dalek::SigningKey::from_bytes(&[who; 32]);
    let signature = key.sign(&order.message()).to_bytes();
    order.signed(identity(who), signature)
}

fn psk() -> Secret<32> {
    Secret::build(|bytes| bytes.fill(0x42))
}

/// A call: whoever is in it receives everything.
struct Call(Vec<Group>);

impl Call {
    fn founded() -> Self {
        Self(vec![Group::create(local(0), GROUP, &check).unwrap()])
    }

    fn with(n: u8) -> Self {
        let mut call = Self::founded();
        (1..n).for_each(|who| call.join(who));
        call
    }

    fn sequencer(&mut self) -> &mut Group {
        self.0.iter_mut().find(|group| group.is_sequencer()).unwrap()
    }

    fn member(&mut self, id: u32) -> &mut Group {
        self.0.iter_mut().find(|group| group.me() == MemberId(id)).unwrap()
    }

    fn join(&mut self, who: u8) {
        self.join_with(who, INVITE);
    }

    fn join_with(&mut self, who: u8, invite: [u8; 8]) {
        let (key_package, joining) = key_package(local(who), GROUP, &check).unwrap();
        let secret = psk();
        let psk = Some(InvitePsk { invite, secret: &secret });
        let pending = self.sequencer().add(&key_package, psk, &check).unwrap();
        let welcome = pending.welcome.clone().unwrap();
        self.commit(pending);
        let host = self.0[0].state().host;
        let joined = joining.join(&welcome, &Expect { psk, host }, &check).unwrap();
        self.0.push(joined);
    }

    /// The host, being sequencer, orders and commits.
    fn decide(&mut self, kind: OrderKind) -> Pending {
        let order = order(&self.0[0], 0, kind.clone());
        let host = self.member(0);
        assert_eq!(host.take_order(&order), Ok(OrderTaken::Waiting(kind)));
        host.update(&check).unwrap()
    }

    /// Everybody receives and merges; the evicted drop out and are returned.
    fn commit(&mut self, pending: Pending) -> Vec<Group> {
        let bundle = pending.bundle.clone();
        let (after, authenticator) = (pending.roster_after.clone(), pending.authenticator_after);
        let removed = pending.removed.clone();
        let sequencer = self.sequencer().me();
        for group in &mut self.0 {
            if group.me() == sequencer {
                continue;
            }
            let Received::Commit(staged) = group.receive(&bundle, &check).unwrap() else {
                panic!("not a commit")
            };
            assert_eq!(staged.roster_after, after);
            assert_eq!(staged.removed, removed);
            if !staged.evicts_me {
                assert_eq!(staged.authenticator_after, Some(authenticator));
            }
            group.merge(*staged).unwrap();
        }
        self.member(sequencer.0).merge_pending(pending).unwrap();
        let (out, rest) = std::mem::take(&mut self.0).into_iter().partition(Group::is_evicted);
        self.0 = rest;
        assert!(self.0.iter().all(|group| group.authenticator() == authenticator));
        out
    }

    fn assert_alive(&mut self) {
        let pending = self.sequencer().update(&check).unwrap();
        self.commit(pending);
        self.assert_agreed();
    }

    /// All are in one epoch with one roster, one set of media keys, and accept each other's acks.
    fn assert_agreed(&mut self) {
        let acks: Vec<_> = self.0.iter().map(|group| (group.me(), group.sign_ack())).collect();
        let first = &self.0[0];
        let (epoch, authenticator) = (first.epoch(), first.authenticator());
        let (digest, confirmation) = (first.roster().digest(), first.confirmation_hash());
        assert_eq!(first.roster().members.len(), self.0.len());
        let mut bases = None;
        for group in &mut self.0 {
            assert_eq!(group.epoch(), epoch);
            assert_eq!(group.authenticator(), authenticator);
            assert_eq!(group.roster().digest(), digest);
            assert_eq!(group.confirmation_hash(), confirmation);
            for (id, ack) in &acks {
                assert_eq!(group.verify_ack(*id, ack), Ok(Agreement::Same));
            }
            let mine = exposed(group.bases().unwrap());
            assert_eq!(mine.len(), acks.len());
            assert_eq!(bases.get_or_insert_with(|| mine.clone()), &mine);
        }
    }
}

fn exposed(bases: facetty::keys::Bases) -> Vec<(u8, [u8; 32])> {
    bases.by_leaf.iter().map(|(leaf, base)| (*leaf, *base.expose())).collect()
}

#[test]
fn sixteen_members_join_one_after_another_and_always_agree() {
    let mut call = Call::founded();
    for who in 1..16 {
        call.join(who);
        call.assert_agreed();
    }
    let roster = call.0[0].roster();
    let ids: Vec<u32> = roster.members.iter().map(|row| row.id.0).collect();
    assert_eq!(ids, (0..16).collect::<Vec<_>>());
    assert!(roster.members[1..].iter().all(|row| row.added_by == Some(MemberId(0))));
    assert!(roster.members.iter().all(|row| row.since_epoch == u64::from(row.id.0)));
    assert_eq!(call.0[3].state().uses[&INVITE], 15);

    let (seventeenth, _) = key_package(local(16), GROUP, &check).unwrap();
    let refused = call.sequencer().add(&seventeenth, None, &check);
    assert!(matches!(refused, Err(CommitError::Impossible(Impossible::Full))));
}

#[test]
fn each_leaf_has_its_own_key_and_every_epoch_new_ones() {
    let mut call = Call::with(3);
    let before = exposed(call.0[0].bases().unwrap());
    let pending = call.sequencer().update(&check).unwrap();
    call.commit(pending);
    let after = exposed(call.0[0].bases().unwrap());
    let mut all: Vec<_> = before.iter().chain(&after).map(|(_, base)| base).collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 6);
}

#[test]
fn media_keys_are_given_once_per_epoch() {
    let mut call = Call::with(2);
    assert!(call.0[1].bases().is_ok());
    assert!(matches!(call.0[1].bases(), Err(BasesError::Taken)));
    let pending = call.sequencer().update(&check).unwrap();
    call.commit(pending);
    assert!(call.0[1].bases().is_ok());
}

#[test]
fn a_late_joiner_has_no_part_in_earlier_epochs() {
    let mut call = Call::with(2);
    let earlier = exposed(call.0[0].bases().unwrap());
    let message = call.0[0].seal_message(b"before").unwrap();
    call.join(2);
    let late = call.member(2);
    assert!(matches!(
        late.open_message(&message),
        Err(MessageError::Receive(ReceiveError::Stale(1)))
    ));
    let later = exposed(late.bases().unwrap());
    assert!(earlier.iter().all(|(_, base)| later.iter().all(|(_, other)| other != base)));
}

#[test]
fn a_member_leaves_by_its_own_wish() {
    let mut call = Call::with(3);
    let leave = call.member(1).propose_leave().unwrap();
    let Received::Proposal { from, ask } = call.sequencer().receive(&leave, &check).unwrap() else {
        panic!()
    };
    assert_eq!((from, ask), (MemberId(1), Ask::Leave));
    // The third member never saw the proposal: the bundle brings it.
    let pending = call.sequencer().update(&check).unwrap();
    assert_eq!(pending.removed, [(MemberId(1), Reason::Left)]);
    let out = call.commit(pending);
    assert_eq!(out.len(), 1);
    call.assert_agreed();
}

#[test]
fn the_host_removes_a_member_by_decision_and_the_removed_one_is_shut_out() {
    let mut call = Call::with(4);
    let pending = call.decide(OrderKind::Remove(identity(2)));
    assert_eq!(pending.removed, [(MemberId(2), Reason::Decision)]);
    assert_eq!(pending.orders, [OrderKind::Remove(identity(2))]);
    let mut out = call.commit(pending).pop().unwrap();
    call.assert_agreed();

    let update = call.sequencer().update(&check).unwrap();
    assert!(matches!(out.receive(&update.bundle, &check), Err(ReceiveError::Evicted)));
    assert!(matches!(out.bases(), Err(BasesError::Evicted)));
    assert!(out.seal_message(b"hello").is_err() && out.propose_leave().is_err());
    assert_eq!(out.authenticator(), [0; 32]);
    call.commit(update);

    // The leaf is free again; number and keys are new. So must be the invite: what the removed one
    // came in with is void.
    let (key_package, _) = facetty::group::key_package(local(9), GROUP, &check).unwrap();
    let secret = psk();
    let old = Some(InvitePsk { invite: INVITE, secret: &secret });
    let refused = call.sequencer().add(&key_package, old, &check);
    assert!(matches!(refused, Err(CommitError::Impossible(Impossible::Voided))));
    call.join_with(9, *b"invite 2");
    let roster = call.0[0].roster();
    assert_eq!(roster.at_leaf(2).map(|row| row.id), Some(MemberId(4)));
    call.assert_agreed();
}

#[test]
fn an_ex_member_that_keeps_its_state_cannot_follow() {
    let mut call = Call::with(3);
    let pending = call.decide(OrderKind::Remove(identity(2)));
    // It ignores its removal and listens on.
    let bundle = pending.bundle.clone();
    let mut removed = call.0.pop().unwrap();
    call.commit(pending);
    let next = call.sequencer().update(&check).unwrap();
    let later = next.bundle.clone();
    call.commit(next);
    let message = call.sequencer().seal_message(b"without you").unwrap();
    assert!(matches!(removed.receive(&later, &check), Err(ReceiveError::Ahead(3))));
    assert!(matches!(
        removed.open_message(&message),
        Err(MessageError::Receive(ReceiveError::Ahead(4)))
    ));
    let Received::Commit(staged) = removed.receive(&bundle, &check).unwrap() else { panic!() };
    assert!(staged.evicts_me && staged.authenticator_after.is_none());
    assert_eq!(call.0.len(), 2);
}

#[test]
fn the_host_hands_over_and_leaves_and_the_call_goes_on() {
    let mut call = Call::with(3);
    let pending = call.sequencer().hand_over(&[], &check).unwrap();
    assert!(pending.handed_over);
    call.commit(pending);
    call.assert_agreed();
    assert_eq!(call.sequencer().me(), MemberId(1));
    assert_eq!(call.0[0].state().term, 1);
    assert!(matches!(call.member(0).update(&check), Err(CommitError::NotSequencer)));

    let leave = call.member(0).propose_leave().unwrap();
    call.sequencer().receive(&leave, &check).unwrap();
    let pending = call.sequencer().update(&check).unwrap();
    assert_eq!(pending.removed, [(MemberId(0), Reason::Left)]);
    assert_eq!(call.commit(pending).len(), 1);
    call.assert_agreed();

    // Once the founder has left, whoever leads lets in …
    let (stranger, _) = key_package(local(9), GROUP, &check).unwrap();
    assert!(call.sequencer().add(&stranger, None, &check).is_ok(), "and nobody has to merge it");
    // … and everything else works, down to the last member.
    let pending = call.sequencer().remove_lost(&[MemberId(2)], &check).unwrap();
    call.commit(pending);
    call.assert_agreed();
    assert_eq!(call.0[0].roster().host, identity(0));
}

#[test]
fn a_hand_over_skips_members_that_are_lost() {
    let mut call = Call::with(3);
    let pending = call.sequencer().hand_over(&[MemberId(1)], &check).unwrap();
    assert_eq!(pending.roster_after.sequencer, MemberId(2));
    assert_eq!(pending.removed, [(MemberId(1), Reason::Lost)]);
    let mut alone = Call::founded();
    let refused = alone.sequencer().hand_over(&[], &check);
    assert!(matches!(refused, Err(CommitError::Impossible(Impossible::NobodyElse))));
}

#[test]
fn updates_of_members_are_healed_by_one_commit() {
    let mut call = Call::with(4);
    for id in [1, 3, 3] {
        let update = call.member(id).propose_update().unwrap();
        call.sequencer().receive(&update, &check).unwrap();
    }
    let pending = call.sequencer().update(&check).unwrap();
    assert!(pending.dropped.is_empty());
    let bundle = pending.bundle.clone();
    call.commit(pending);
    call.assert_agreed();
    assert!(matches!(call.member(1).receive(&bundle, &check), Ok(Received::Duplicate)));
    // A second round from the new keys.
    let update = call.member(2).propose_update().unwrap();
    call.sequencer().receive(&update, &check).unwrap();
    let pending = call.sequencer().update(&check).unwrap();
    call.commit(pending);
    call.assert_agreed();
}

#[test]
fn a_proposal_everybody_saw_before_the_bundle_does_no_harm() {
    let mut call = Call::with(3);
    let update = call.member(2).propose_update().unwrap();
    for id in [0, 1] {
        assert!(matches!(call.member(id).receive(&update, &check), Ok(Received::Proposal { .. })));
        assert!(matches!(call.member(id).receive(&update, &check), Ok(Received::Duplicate)));
    }
    let pending = call.sequencer().update(&check).unwrap();
    call.commit(pending);
    call.assert_agreed();
}

#[test]
fn a_commit_that_is_not_merged_leaves_the_group_where_it_was() {
    let mut call = Call::with(2);
    let (stranger, _) = key_package(local(9), GROUP, &check).unwrap();
    let abandoned = call.sequencer().add(&stranger, None, &check).unwrap();
    let message = call.sequencer().seal_message(b"still here").unwrap();
    assert_eq!(
        call.member(1).open_message(&message).unwrap(),
        (MemberId(0), b"still here".to_vec())
    );
    let pending = call.sequencer().update(&check).unwrap();
    call.commit(pending);
    assert!(matches!(call.sequencer().merge_pending(abandoned), Err(MergeError::Stale)));
    call.assert_agreed();
}

#[test]
fn messages_reach_everybody_once_and_name_their_sender() {
    let mut call = Call::with(3);
    let message = call.member(1).seal_message(b"203.0.113.7:4433").unwrap();
    for id in [0, 2] {
        assert_eq!(
            call.member(id).open_message(&message).unwrap(),
            (MemberId(1), b"203.0.113.7:4433".to_vec())
        );
        assert!(call.member(id).open_message(&message).is_err());
    }
    assert!(matches!(call.member(0).seal_message(&[0; MAX_PROPOSAL]), Err(MessageError::TooLong)));
}

#[test]
fn acks_of_others_do_not_pass_and_differing_ones_show() {
    let mut call = Call::with(2);
    let pending = call.sequencer().update(&check).unwrap();
    call.commit(pending);
    let ack = call.0[1].sign_ack();
    assert_eq!(call.0[0].verify_ack(MemberId(0), &ack), Err(AckError::Signature));
    assert_eq!(call.0[0].verify_ack(MemberId(7), &ack), Err(AckError::NotAMember));
    let forged = Ack { auth_hash: [1; 32], ..ack };
    assert_eq!(call.0[0].verify_ack(MemberId(1), &forged), Err(AckError::Signature));

    // Two different commits for one epoch: each half merges another one.
    let one = call.sequencer().update(&check).unwrap();
    let bundle = one.bundle.clone();
    let other = call.sequencer().update(&check).unwrap();
    let Received::Commit(staged) = call.0[1].receive(&bundle, &check).unwrap() else { panic!() };
    call.0[1].merge(*staged).unwrap();
    let early = call.0[1].sign_ack();
    assert_eq!(call.0[0].verify_ack(MemberId(1), &early), Ok(Agreement::OtherEpoch));
    call.0[0].merge_pending(other).unwrap();
    assert_eq!(call.0[0].verify_ack(MemberId(1), &early), Ok(Agreement::Differs));
    drop(one);
}

#[test]
fn a_welcome_is_believed_only_with_the_invites_secret_group_and_host() {
    let attempt = |made_with: Option<u8>, invite, joined_with: Option<u8>, group_id, host| {
        let mut call = Call::founded();
        let (bytes, joining) = key_package(local(1), group_id, &check).unwrap();
        let secret = |byte: u8| Secret::<32>::build(|bytes| bytes.fill(byte));
        let theirs = made_with.map(secret);
        let ours = joined_with.map(secret);
        let psk = theirs.as_ref().map(|secret| InvitePsk { invite: INVITE, secret });
        let pending = call.sequencer().add(&bytes, psk, &check).unwrap();
        let psk = ours.as_ref().map(|secret| InvitePsk { invite, secret });
        joining.join(&pending.welcome.unwrap(), &Expect { psk, host }, &check).map(|_| ())
    };
    let host = identity(0);
    assert!(attempt(Some(1), INVITE, Some(1), GROUP, host).is_ok(), "control");
    assert!(attempt(None, INVITE, None, GROUP, host).is_ok(), "control: back without invite");
    assert!(
        matches!(attempt(Some(1), INVITE, Some(2), GROUP, host), Err(JoinError::Mls(_))),
        "wrong secret"
    );
    assert!(
        matches!(attempt(Some(1), INVITE, None, GROUP, host), Err(JoinError::Mls(_))),
        "missing at joiner"
    );
    assert!(
        matches!(attempt(Some(1), *b"invite 2", Some(1), GROUP, host), Err(JoinError::Mls(_))),
        "other invite"
    );
    assert!(
        matches!(attempt(None, INVITE, Some(1), GROUP, host), Err(JoinError::NotThisInvite)),
        "missing in the Welcome"
    );
    assert!(matches!(attempt(Some(1), INVITE, Some(1), [1; 16], host), Err(JoinError::OtherGroup)));
    assert!(matches!(attempt(Some(1), INVITE, Some(1), GROUP, [5; 32]), Err(JoinError::NoHost)));
}

#[test]
fn damaged_welcomes_and_key_packages_are_refused() {
    let mut call = Call::founded();
    let (bytes, _) = key_package(local(1), GROUP, &check).unwrap();
    for i in (0..bytes.len()).step_by(37) {
        let mut flipped = bytes.clone();
        flipped[i] ^= 1;
        assert!(call.sequencer().add(&flipped, None, &check).is_err(), "byte {i}");
        assert!(call.sequencer().add(&bytes[..i], None, &check).is_err(), "first {i}");
    }
    let mut refused = 0;
    for i in [0, 3, 9, 60, 500, 1200, 2000, 3000] {
        let (bytes, joining) = key_package(local(1), GROUP, &check).unwrap();
        let mut welcome = call.sequencer().add(&bytes, None, &check).unwrap().welcome.unwrap();
        welcome[i] ^= 0x10;
        let expect = Expect { psk: None, host: identity(0) };
        refused += usize::from(joining.join(&welcome, &expect, &check).is_err());
    }
    assert_eq!(refused, 8);
}

#[test]
fn replayed_flipped_and_truncated_bundles_are_refused_and_the_true_one_still_works() {
    let mut call = Call::with(3);
    let leave = call.member(2).propose_leave().unwrap();
    call.sequencer().receive(&leave, &check).unwrap();
    let (key_package, _) = key_package(local(9), GROUP, &check).unwrap();
    let secret = psk();
    let psk = Some(InvitePsk { invite: INVITE, secret: &secret });
    let pending = call.sequencer().add(&key_package, psk, &check).unwrap();
    let bundle = pending.bundle.clone();

    let member = call.member(1);
    let (epoch, digest, authenticator) =
        (member.epoch(), member.roster().digest(), member.authenticator());
    for i in (0..bundle.len()).step_by(101).chain(bundle.len() - 4..bundle.len()) {
        let mut flipped = bundle.clone();
        flipped[i] ^= 0x04;
        assert!(member.receive(&flipped, &check).is_err(), "byte {i}");
        assert!(member.receive(&bundle[..i], &check).is_err(), "first {i}");
    }
    assert_eq!(
        (member.epoch(), member.roster().digest(), member.authenticator()),
        (epoch, digest, authenticator)
    );
    // Still sends, still receives the true bundle.
    let message = member.seal_message(b"alive").unwrap();
    assert!(call.member(0).open_message(&message).is_ok());
    call.commit(pending);
    let member = call.member(1);
    assert!(matches!(member.receive(&bundle, &check), Ok(Received::Duplicate)));
    let mut replay = bundle.clone();
    *replay.last_mut().unwrap() ^= 1;
    assert!(matches!(member.receive(&replay, &check), Err(ReceiveError::Statement)));
    assert_eq!(call.0[0].roster().members.len(), 3);
}

#[test]
fn an_identity_that_comes_again_gets_a_new_seat_and_loses_the_old_one() {
    let mut call = Call::with(3);
    let (again, joining) = key_package(local(1), GROUP, &check).unwrap();
    let pending = call.sequencer().add(&again, None, &check).unwrap();
    assert!(pending.back);
    assert_eq!(pending.removed, [(MemberId(1), Reason::Replaced)]);
    let welcome = pending.welcome.clone().unwrap();
    assert_eq!(call.commit(pending).len(), 1);
    let back = joining.join(&welcome, &Expect { psk: None, host: identity(0) }, &check).unwrap();
    assert_eq!((back.me(), back.leaf()), (MemberId(3), 1));
    call.0.push(back);
    call.assert_agreed();
    // But nobody takes the committer's own seat.
    let (own, _) = key_package(local(0), GROUP, &check).unwrap();
    assert!(call.sequencer().add(&own, None, &check).is_err());
    call.assert_alive();
}

#[test]
fn only_the_host_decides_about_others() {
    let mut call = Call::with(3);
    let pending = call.sequencer().hand_over(&[], &check).unwrap();
    call.commit(pending);

    // The new sequencer is not the host: it may say "lost", not decide.
    let own = order(call.sequencer(), 1, OrderKind::Remove(identity(2)));
    assert_eq!(call.sequencer().take_order(&own), Err(OrderError::NotHost));
    // The host does, everybody keeps the order, and the sequencer carries it out.
    let order = order(call.member(0), 0, OrderKind::Remove(identity(2)));
    for id in [0, 1, 2] {
        let taken = call.member(id).take_order(&order);
        assert_eq!(taken, Ok(OrderTaken::Waiting(OrderKind::Remove(identity(2)))));
        assert!(call.member(id).is_ordered_out(MemberId(2)));
    }
    let pending = call.sequencer().update(&check).unwrap();
    assert_eq!(pending.removed, [(MemberId(2), Reason::Decision)]);
    call.commit(pending);
    call.assert_agreed();
    assert_eq!(call.member(0).take_order(&order), Ok(OrderTaken::Known));
    assert!(call.member(0).orders_waiting().is_empty());
    assert_eq!(call.member(0).orders_held(), [order]);
}

/// What changes cost. Run with `--release -- --ignored --nocapture what_changes_cost`.
#[test]
#[ignore = "a measurement"]
#[expect(clippy::disallowed_macros, reason = "reports on the terminal")]
#[expect(clippy::disallowed_methods, reason = "measures time")]
fn what_changes_cost() {
    use std::time::{Duration, Instant};
    fn timed<T>(best: &mut Duration, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        *best = (*best).min(start.elapsed());
        result
    }
    let ms = |d: Duration| d.as_secs_f64() * 1e3;
    println!(
        "members: add ms/B (welcome B) · join ms · update ms/B · receive+merge ms · remove ms/B"
    );
    for n in [2u8, 8, 16] {
        let [mut add, mut join, mut update, mut merge, mut remove, mut succeed] =
            [Duration::MAX; 6];
        let mut bytes = [0; 5];
        for _ in 0..3 {
            let mut call = Call::with(n - 1);
            // Every member's update fills the tree.
            for id in 1..u32::from(n) - 1 {
                let proposal = call.member(id).propose_update().unwrap();
                call.sequencer().receive(&proposal, &check).unwrap();
            }
            call.assert_alive();
            let (package, joining) = key_package(local(n), GROUP, &check).unwrap();
            let secret = psk();
            let psk = Some(InvitePsk { invite: INVITE, secret: &secret });
            let pending = timed(&mut add, || call.sequencer().add(&package, psk, &check).unwrap());
            let welcome = pending.welcome.clone().unwrap();
            (bytes[0], bytes[1]) = (pending.bundle.len(), welcome.len());
            call.commit(pending);
            let expect = Expect { psk, host: identity(0) };
            call.0.push(timed(&mut join, || joining.join(&welcome, &expect, &check).unwrap()));
            let pending = timed(&mut update, || call.sequencer().update(&check).unwrap());
            bytes[2] = pending.bundle.len();
            let bundle = pending.bundle.clone();
            let last = call.0.last_mut().unwrap();
            timed(&mut merge, || {
                let Received::Commit(staged) = last.receive(&bundle, &check).unwrap() else {
                    panic!("not a commit")
                };
                last.merge(*staged).unwrap();
            });
            let last = call.0.pop().unwrap();
            call.commit(pending);
            call.0.push(last);
            let gone = call.0.last().unwrap().me();
            let pending =
                timed(&mut remove, || call.sequencer().remove_lost(&[gone], &check).unwrap());
            bytes[3] = pending.bundle.len();
            drop(pending);
            let voters = 2..=u32::from(n) / 2 + 1;
            let grants: Vec<_> = voters
                .filter(|voter| *voter < u32::from(n))
                .map(|voter| call.member(voter).grant(1, MemberId(1)).unwrap())
                .collect();
            let pending = timed(&mut succeed, || {
                call.member(1).succeed(1, &grants, &[MemberId(0)], &check).unwrap()
            });
            bytes[4] = pending.bundle.len();
        }
        let [b_add, b_welcome, b_update, b_remove, b_succeed] = bytes;
        println!(
            "{n:>2}: add {:.1}/{b_add} ({b_welcome}) · join {:.1} · update {:.1}/{b_update} · merge {:.1} · remove {:.1}/{b_remove} · succeed {:.1}/{b_succeed}",
            ms(add),
            ms(join),
            ms(update),
            ms(merge),
            ms(remove),
            ms(succeed)
        );
    }
}
