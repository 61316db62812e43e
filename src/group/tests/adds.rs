//! Newcomers and people who come back, brought in by others than the sequencer.

use super::*;
use crate::group::propose::Request;

/// A call of four led by member 1; 0 is the host, 2 is named an admitter, 3 is nobody special.
fn led_by_another() -> Vec<Group> {
    let mut groups = call(4);
    let order = ordered(&groups[0], 0, OrderKind::Admitters([identity(2)].into()));
    groups[0].take_order(&order).unwrap();
    let pending = groups[0].hand_over(&[], &check).unwrap();
    merge_all(&mut groups, 0, pending);
    groups
}

/// An Add proposal straight from the library.
fn proposal(group: &mut Group, package: &[u8], aad: &[u8]) -> Vec<u8> {
    let package = join_parse(package);
    group.mls.set_aad(aad.to_vec());
    let (message, _) =
        group.mls.propose_add_member(&group.provider, &group.signer, &package).unwrap();
    group.clear_library_proposals();
    message.to_bytes().unwrap()
}

fn request(offer: Option<&[u8]>, proposal: &[u8]) -> Vec<u8> {
    Request { offer, proposal }.encode()
}

fn offer(group: &mut Group, invite: [u8; 8], byte: u8) -> Vec<u8> {
    group.seal_psk(&message::PskOffer { invite, secret: secret(byte) }).unwrap()
}

#[test]
fn host_and_admitters_bring_people_in_through_the_sequencer() {
    let mut groups = led_by_another();
    for (by, who) in [(0, 8), (2, 9)] {
        let (package, joining) = key_package(local(who), GROUP, &check).unwrap();
        let secret = secret(who);
        let psk = Some(InvitePsk { invite: [who; 8], secret: &secret });
        let request = groups[by].propose_add(&package, psk, &check).unwrap();
        let Ok(Received::Proposal { from, ask }) = groups[1].receive(&request, &check) else {
            panic!()
        };
        assert_eq!(from, MemberId(by as u32));
        let invite = Some([who; 8]);
        assert_eq!(ask, Ask::Add { identity: identity(who), invite, back: false });
        assert!(matches!(groups[1].receive(&request, &check), Ok(Received::Duplicate)));
        // Another member heard it as well: no harm.
        groups[3].receive(&request, &check).unwrap();
        let pending = groups[1].update(&check).unwrap();
        assert!(pending.dropped.is_empty());
        assert_eq!(pending.added_for, Some(MemberId(by as u32)));
        let welcome = pending.welcome.clone().unwrap();
        merge_all(&mut groups, 1, pending);
        let joined = joining.join(&welcome, &Expect { psk, host: identity(0) }, &check).unwrap();
        assert_eq!(joined.roster().member(joined.me()).unwrap().added_by, Some(from));
        assert_eq!(joined.state().uses[&[who; 8]], 1);
        groups.push(joined);
    }
    let pending = groups[1].update(&check).unwrap();
    merge_all(&mut groups, 1, pending);
    let first = groups[0].authenticator();
    assert!(groups.iter().all(|group| group.authenticator() == first && group.psks.is_empty()));
}

#[test]
fn an_add_by_a_mere_member_is_refused() {
    let mut groups = led_by_another();
    let (package, _) = key_package(local(9), GROUP, &check).unwrap();
    let own = groups[3].propose_add(&package, None, &check);
    assert!(matches!(own, Err(ProposeError::Refused(Violation::MayNotAdd))));
    let own = groups[3].propose_back(&package, &check);
    assert!(matches!(own, Err(ProposeError::Refused(Violation::MayNotAdd))));
    let add = proposal(&mut groups[3], &package, &[]);
    assert_eq!(violation(&mut groups[1], &request(None, &add)), (3, Violation::MayNotAdd));
    let add = proposal(&mut groups[3], &package, &INVITE);
    let offer = offer(&mut groups[3], INVITE, 1);
    assert_eq!(violation(&mut groups[1], &request(Some(&offer), &add)), (3, Violation::MayNotAdd));
    assert_eq!(violation(&mut groups[0], &add), (3, Violation::MayNotAdd));
}

#[test]
fn a_secret_from_a_mere_member_for_another_invite_or_missing_is_refused() {
    let mut groups = led_by_another();
    let (package, _) = key_package(local(9), GROUP, &check).unwrap();
    let (one, two) = (*b"invite 8", *b"invite 9");

    let add = proposal(&mut groups[0], &package, &one);
    let members = offer(&mut groups[3], one, 1);
    assert_eq!(violation(&mut groups[1], &request(Some(&members), &add)), (3, Violation::Psk));
    let add = proposal(&mut groups[0], &package, &one);
    let admitters = offer(&mut groups[2], one, 1);
    assert_eq!(violation(&mut groups[1], &request(Some(&admitters), &add)), (0, Violation::Psk));
    let add = proposal(&mut groups[0], &package, &one);
    let others = offer(&mut groups[0], two, 1);
    assert_eq!(violation(&mut groups[1], &request(Some(&others), &add)), (0, Violation::Psk));
    let add = proposal(&mut groups[0], &package, &one);
    assert_eq!(violation(&mut groups[1], &request(None, &add)), (0, Violation::Psk));
    // An invite's name that isn't one; a request that isn't an Add.
    let add = proposal(&mut groups[0], &package, b"much longer");
    assert_eq!(violation(&mut groups[1], &request(None, &add)), (0, Violation::Note));
    let leave = groups[3].propose_leave().unwrap();
    let before = snapshot(&groups[1]);
    let asked = groups[1].receive(&request(None, &leave), &check);
    assert!(matches!(asked, Err(ReceiveError::Kind)));
    assert_eq!(before, snapshot(&groups[1]));
}

#[test]
fn a_sequencer_cannot_swap_the_invite_or_its_secret_under_a_proposal() {
    let mut groups = led_by_another();
    let (package, _) = key_package(local(9), GROUP, &check).unwrap();
    let (named, swapped) = (*b"invite 8", *b"invite 9");
    let psk = secret(8);
    let psk = Some(InvitePsk { invite: named, secret: &psk });
    let asked = groups[0].propose_add(&package, psk, &check).unwrap();
    groups[1].receive(&asked, &check).unwrap();
    let asked = Request::parse(&asked).unwrap();

    for (invite, count) in [(Some(swapped), Some(swapped)), (None, None), (None, Some(named))] {
        let hash = sha256(asked.proposal);
        let queued = groups[1].pool.get(&hash).unwrap().queued.clone();
        let group = &mut groups[1];
        group.mls.store_pending_proposal(group.provider.storage(), queued).unwrap();
        let added = Some(state::Added {
            by: MemberId(0),
            invite: count,
            identity: identity(9),
            back: false,
        });
        let after = state::Changes { added, ..changes(group) };
        let after = context(&group.state.after(&after).unwrap());
        let psk = invite.map(|invite| super::forge::psk_proposal(group, &invite));
        let (alone, _) = forged(group, &[], |b| {
            b.propose_group_context_extensions(after).unwrap().add_proposals(psk)
        });
        let commit = Bundle::parse(&alone).unwrap().commit.to_vec();
        let offer = invite.map(|invite| offer(group, invite, 7));
        let bytes = bundle(&groups[1], offer.as_deref(), &[asked.proposal], &commit);
        forget_statements(&mut groups[3]);
        match groups[3].receive(&bytes, &check) {
            Err(ReceiveError::Policy(PolicyViolation { by: MemberId(1), what })) => {
                assert_eq!(what, Violation::Psk);
            }
            Err(e) => panic!("{e}"),
            Ok(_) => panic!("accepted"),
        }
    }
}

#[test]
fn anybody_may_bring_back_who_was_lost_and_nobody_else() {
    let mut groups = led_by_another();
    let pending = groups[1].remove_lost(&[MemberId(2)], &check).unwrap();
    merge_some(&mut groups, 1, pending, &[0, 3]);
    let gone = groups.remove(2);
    // The same leaf key and credential: its connections are known by them.
    let mut again = local(2);
    again.leaf_seed = Secret::build(|seed| seed.copy_from_slice(gone.signer.seed()));
    again.leaf_key = gone.signer.public();
    again.credential = credential(2, again.leaf_key);
    let (package, joining) = key_package(again, GROUP, &check).unwrap();
    let asked = groups[2].propose_back(&package, &check).unwrap();
    groups[1].receive(&asked, &check).unwrap();
    let pending = groups[1].update(&check).unwrap();
    assert!(pending.back && pending.dropped.is_empty());
    let welcome = pending.welcome.clone().unwrap();
    merge_all(&mut groups, 1, pending);
    let back = joining.join(&welcome, &Expect { psk: None, host: identity(0) }, &check).unwrap();
    assert!(!back.state().is_former(&identity(2)));
    groups.push(back);
    let pending = groups[1].update(&check).unwrap();
    merge_all(&mut groups, 1, pending);

    // The key package is used up, whoever kept it.
    let replay = proposal(&mut groups[2], &package, &[]);
    assert_eq!(violation(&mut groups[1], &request(None, &replay)), (3, Violation::UsedBefore));
}

#[test]
fn who_is_still_there_gets_a_new_seat_and_loses_the_old_one_in_one_commit() {
    let mut groups = led_by_another();
    let (package, joining) = key_package(local(3), GROUP, &check).unwrap();
    let update = groups[3].propose_update().unwrap();
    groups[1].receive(&update, &check).unwrap();
    let asked = groups[2].propose_back(&package, &check).unwrap();
    groups[1].receive(&asked, &check).unwrap();
    let pending = groups[1].update(&check).unwrap();
    assert!(pending.back && pending.dropped.is_empty());
    assert_eq!(pending.removed, [(MemberId(3), Reason::Replaced)]);
    let welcome = pending.welcome.clone().unwrap();
    merge_all(&mut groups, 1, pending);
    assert!(groups[3].is_evicted());
    groups[3] = joining.join(&welcome, &Expect { psk: None, host: identity(0) }, &check).unwrap();
    assert_eq!(groups[3].me(), MemberId(4));
    let pending = groups[1].update(&check).unwrap();
    merge_all(&mut groups, 1, pending);
}

#[test]
fn nobody_asks_for_the_sequencers_own_seat() {
    let mut groups = led_by_another();
    let (package, _) = key_package(local(1), GROUP, &check).unwrap();
    let asked = groups[3].propose_back(&package, &check);
    assert!(matches!(asked, Err(ProposeError::Refused(Violation::IdentityTwice))));
    let add = proposal(&mut groups[3], &package, &[]);
    assert_eq!(violation(&mut groups[1], &request(None, &add)), (3, Violation::IdentityTwice));
}

#[test]
fn a_lock_keeps_out_who_left_and_whoever_is_not_on_it_lost_ones_too() {
    let mut groups = call(5);
    let lock = OrderKind::Lock([1, 2, 3].map(identity).into());
    let order = ordered(&groups[0], 0, lock);
    groups[0].take_order(&order).unwrap();
    let leave = groups[2].propose_leave().unwrap();
    groups[0].receive(&leave, &check).unwrap();
    let pending = groups[0].update(&check).unwrap();
    merge_all(&mut groups, 0, pending);
    let pending = groups[0].remove_lost(&[MemberId(3), MemberId(4)], &check).unwrap();
    merge_some(&mut groups, 0, pending, &[1]);

    let mut back = |who: u8| {
        let (package, _) = key_package(local(who), GROUP, &check).unwrap();
        let asked = groups[1].propose_back(&package, &check);
        let forged = proposal(&mut groups[1], &package, &[]);
        let received = match groups[0].receive(&request(None, &forged), &check) {
            Err(ReceiveError::Policy(violation)) => Some(violation.what),
            Ok(_) => None,
            Err(e) => panic!("{e}"),
        };
        (asked.is_ok(), received)
    };
    assert_eq!(back(2), (false, Some(Violation::Locked)), "left");
    assert_eq!(back(4), (false, Some(Violation::Locked)), "lost, but not on the list");
    assert_eq!(back(9), (false, Some(Violation::Locked)), "a stranger");
    assert_eq!(back(3), (true, None), "lost, and on the list");
    let (package, _) = key_package(local(9), GROUP, &check).unwrap();
    let by_host = groups[0].add(&package, None, &check);
    assert!(matches!(by_host, Err(CommitError::Refused(Violation::Locked))));
}

#[test]
fn a_void_invite_lets_nobody_in_by_any_way() {
    let mut groups = led_by_another();
    let order = ordered(&groups[0], 0, OrderKind::VoidInvite(*b"invite 8"));
    groups[1].take_order(&order).unwrap();
    let pending = groups[1].update(&check).unwrap();
    merge_all(&mut groups, 1, pending);
    let (package, _) = key_package(local(9), GROUP, &check).unwrap();
    let secret = secret(8);
    let psk = Some(InvitePsk { invite: *b"invite 8", secret: &secret });
    let asked = groups[0].propose_add(&package, psk, &check);
    assert!(matches!(asked, Err(ProposeError::Refused(Violation::Voided))));
    let add = proposal(&mut groups[0], &package, b"invite 8");
    let offer = offer(&mut groups[0], *b"invite 8", 8);
    assert_eq!(violation(&mut groups[1], &request(Some(&offer), &add)), (0, Violation::Voided));
}

#[test]
fn damaged_requests_are_refused_without_a_trace_and_the_true_one_still_works() {
    let mut groups = led_by_another();
    let (package, _) = key_package(local(9), GROUP, &check).unwrap();
    let secret = secret(8);
    let psk = Some(InvitePsk { invite: *b"invite 8", secret: &secret });
    let asked = groups[0].propose_add(&package, psk, &check).unwrap();
    let before = snapshot(&groups[1]);
    let proposal_at = asked.len() - Request::parse(&asked).unwrap().proposal.len();
    for i in (0..asked.len()).step_by(29) {
        assert!(groups[1].receive(&asked[..i], &check).is_err(), "first {i}");
        // A damaged offer spends the proposal that came with it (MLS opens a message once): what
        // follows shows the damage of the proposal alone.
        let mut flipped = asked.clone();
        flipped[i.max(proposal_at)] ^= 4;
        assert!(groups[1].receive(&flipped, &check).is_err(), "byte {i}");
    }
    assert_eq!(before, snapshot(&groups[1]));
    assert!(matches!(groups[1].receive(&asked, &check), Ok(Received::Proposal { .. })));
    let pending = groups[1].update(&check).unwrap();
    assert!(pending.added.is_some());
    merge_all(&mut groups, 1, pending);
}

#[test]
fn adds_wait_their_turn_one_in_each_commit() {
    let mut groups = led_by_another();
    for who in [8, 9] {
        let (package, _) = key_package(local(who), GROUP, &check).unwrap();
        let asked = groups[0].propose_add(&package, None, &check).unwrap();
        groups[1].receive(&asked, &check).unwrap();
    }
    let pending = groups[1].update(&check).unwrap();
    assert_eq!(pending.roster_after.members.len(), 5);
    assert_eq!(pending.roster_after.members[4].identity, identity(8), "the first that asked");
    // A hand-over takes none of them along.
    let pending = groups[1].hand_over(&[], &check).unwrap();
    assert_eq!((pending.added, pending.dropped.len()), (None, 0));
    merge_all(&mut groups, 1, pending);
}
