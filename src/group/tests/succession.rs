//! Taking over from a sequencer: who may, who follows, and what is over afterwards.

use super::*;
use crate::group::succession::Grants;
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;

/// A take-over made with the library directly, with these grants, right or wrong.
fn usurp(group: &mut Group, term: u32, by: &[(u32, [u8; 64])], split: bool) -> Vec<u8> {
    let by = by.iter().map(|(voter, signature)| (MemberId(*voter), *signature)).collect();
    let grants = Some(Grants { term, by });
    let aad = note::Note { grants, ..Default::default() }.encode();
    let changes = state::Changes {
        committer: group.me,
        lead: state::Lead::Succeed { term, split },
        ..changes(group)
    };
    let after = context(&group.state.after(&changes).unwrap());
    forged(group, &aad, |b| b.propose_group_context_extensions(after).unwrap()).0
}

fn signatures(grants: &[Grant]) -> Vec<(u32, [u8; 64])> {
    grants.iter().map(|grant| (grant.voter.0, grant.signature)).collect()
}

#[test]
fn a_majority_makes_a_successor_that_all_follow_the_old_sequencer_too() {
    let mut groups = call(5);
    let given = grants(&mut groups, 1, 1, &[2, 3]);
    let pending = groups[1].succeed(1, &given, &[], &check).unwrap();
    assert_eq!(pending.succession, Some(Succession::Majority));
    merge_all(&mut groups, 1, pending);
    let state = groups[0].state();
    assert_eq!((state.term, state.sequencer, state.split), (1, MemberId(1), false));
    assert!(groups[1].is_sequencer() && !groups[0].is_sequencer());
    let pending = groups[1].update(&check).unwrap();
    merge_all(&mut groups, 1, pending);
}

#[test]
fn a_successor_removes_the_lost_sequencer_which_comes_back_by_any_members_word() {
    let mut groups = call(4);
    let given = grants(&mut groups, 1, 1, &[2, 3]);
    let pending = groups[1].succeed(1, &given, &[MemberId(0)], &check).unwrap();
    assert_eq!(pending.removed, [(MemberId(0), Reason::Lost)]);
    merge_some(&mut groups, 1, pending, &[2, 3]);
    assert!(groups[1].state().is_former(&identity(0)));
    let (package, joining) = key_package(local(0), GROUP, &check).unwrap();
    let request = groups[3].propose_back(&package, &check).unwrap();
    groups[1].receive(&request, &check).unwrap();
    let pending = groups[1].update(&check).unwrap();
    assert_eq!((pending.back, pending.added_for), (true, Some(MemberId(3))));
    let welcome = pending.welcome.clone().unwrap();
    merge_some(&mut groups, 1, pending, &[2, 3]);
    let host = identity(1);
    groups[0] = joining.join(&welcome, &Expect { psk: None, host }, &check).unwrap();
    assert_eq!(groups[0].me(), MemberId(4), "last in join order, though on leaf 0");
    assert_eq!(groups[0].leaf(), 0);
    let pending = groups[1].update(&check).unwrap();
    merge_all(&mut groups, 1, pending);
}

#[test]
fn a_minority_is_followed_by_those_who_granted_it_and_by_nobody_else() {
    let mut groups = call(5);
    let given = grants(&mut groups, 1, 1, &[2]);
    // One more knows the candidate, but granted it another term.
    grants(&mut groups, 2, 1, &[3]);
    let pending = groups[1].succeed(1, &given, &[], &check).unwrap();
    assert_eq!(pending.succession, Some(Succession::Split));
    assert_eq!(violation(&mut groups[0], &pending.bundle), (1, Violation::Minority));
    assert_eq!(violation(&mut groups[4], &pending.bundle), (1, Violation::Minority));
    assert_eq!(violation(&mut groups[3], &pending.bundle), (1, Violation::Fenced(2)));
    merge_some(&mut groups, 1, pending, &[2]);
    assert!(groups[2].state().split && groups[2].state().sequencer == MemberId(1));

    // What counts is that this member remembers its grant, not that somebody shows one.
    let mut groups = call(5);
    let given = grants(&mut groups, 1, 1, &[1, 2]);
    groups[2].granted = None;
    let bytes = usurp(&mut groups[1], 1, &signatures(&given), true);
    assert_eq!(violation(&mut groups[2], &bytes), (1, Violation::Minority));
    groups.iter_mut().for_each(|group| group.granted = None);
    assert_alive(&mut groups);
}

#[test]
fn two_people_part_and_meet_again() {
    let mut groups = call(2);
    let pending = groups[1].succeed(1, &[], &[MemberId(0)], &check).unwrap();
    assert_eq!(pending.succession, Some(Succession::Split));
    merge_some(&mut groups, 1, pending, &[]);
    assert!(groups[1].state().split);
    // Had the host been gone for good, it would come back here; the branch is whole then.
    let (package, _) = key_package(local(0), GROUP, &check).unwrap();
    let pending = groups[1].add(&package, None, &check).unwrap();
    assert!(pending.back);
    merge_some(&mut groups, 1, pending, &[]);
    assert!(!groups[1].state().split);
}

#[test]
fn grants_that_are_not_the_voters_of_this_epoch_branch_term_and_candidate_are_refused() {
    let mut groups = call(5);
    // From an earlier epoch.
    let stale = signatures(&grants(&mut groups, 1, 1, &[1, 2, 3]));
    groups.iter_mut().for_each(|group| group.granted = None);
    let pending = groups[0].update(&check).unwrap();
    merge_all(&mut groups, 0, pending);
    // From a branch with the same epoch number: 4 goes where the others don't.
    let pending = groups[0].update(&check).unwrap();
    let other_bundle = pending.bundle.clone();
    deliver(&mut groups[4], &other_bundle);
    drop(pending);
    let pending = groups[0].update(&check).unwrap();
    merge_some(&mut groups, 0, pending, &[1, 2, 3]);
    assert_eq!(groups[4].epoch(), groups[1].epoch());
    let other_branch = signatures(&grants(&mut groups, 1, 1, &[4]));
    let good = signatures(&grants(&mut groups, 1, 1, &[1, 2]));
    let other_candidate = signatures(&grants(&mut groups, 1, 3, &[3]));
    groups[3].granted = None;
    let other_term = signatures(&grants(&mut groups, 2, 1, &[3]));
    groups[3].granted = None;

    let with = |bad: (u32, [u8; 64])| [good.clone(), vec![bad]].concat();
    for (what, by) in [
        ("all from an earlier epoch", stale),
        ("from another branch", with(other_branch[0])),
        ("for another candidate", with(other_candidate[0])),
        ("for another term", with(other_term[0])),
        ("another voter's, a second time", with((3, good[1].1))),
        ("of nobody", with((9, good[1].1))),
        ("signed by nobody", with((3, [0; 64]))),
    ] {
        let bytes = usurp(&mut groups[1], 1, &by, false);
        assert_eq!(violation(&mut groups[3], &bytes), (1, Violation::Grants), "{what}");
        assert_eq!(violation(&mut groups[0], &bytes), (1, Violation::Grants), "{what}");
    }
    // One voter's grant written down twice.
    let both = good.iter().map(|(voter, signature)| (MemberId(*voter), *signature)).collect();
    let grants_of_two = Some(Grants { term: 1, by: both });
    let mut aad = note::Note { grants: grants_of_two, ..Default::default() }.encode();
    let last = aad.split_off(aad.len() - 68);
    *aad.iter_mut().rev().nth(68).unwrap() += 1;
    [&last, &last].iter().for_each(|entry| aad.extend_from_slice(entry));
    let (bytes, _) = forged(&mut groups[1], &aad, |b| b);
    assert_eq!(violation(&mut groups[3], &bytes), (1, Violation::Note));
    // Too few of the right ones; none at all; none of them sent.
    let bytes = usurp(&mut groups[1], 1, &good, false);
    assert_eq!(violation(&mut groups[3], &bytes), (1, Violation::Minority));
    let bytes = usurp(&mut groups[1], 1, &[], false);
    assert_eq!(violation(&mut groups[3], &bytes), (1, Violation::Minority));
    let third = signatures(&grants(&mut groups, 1, 1, &[3]));
    let mut stripped = groups[1].state.clone();
    (stripped.term, stripped.sequencer) = (1, MemberId(1));
    let (bytes, _) = forged(&mut groups[1], &[], |b| {
        b.propose_group_context_extensions(context(&stripped)).unwrap()
    });
    assert_eq!(violation(&mut groups[0], &bytes), (1, Violation::NotSequencer));
    // A take-over by a majority that calls itself a split, or the other way round.
    let bytes = usurp(&mut groups[1], 1, &with(third[0]), true);
    assert_eq!(violation(&mut groups[3], &bytes), (1, Violation::State));
    // Control.
    let bytes = usurp(&mut groups[1], 1, &with(third[0]), false);
    forget_statements(&mut groups[3]);
    assert!(matches!(groups[3].receive(&bytes, &check), Ok(Received::Commit(_))));
}

#[test]
fn terms_behind_or_far_ahead_and_grants_in_a_sequencers_commit_are_refused() {
    let mut groups = call(3);
    let far = MAX_TERM_AHEAD + 1;
    assert_eq!(groups[1].grant(0, MemberId(1)), Err(GrantError::Term));
    assert_eq!(groups[1].grant(far, MemberId(1)), Err(GrantError::Term));
    assert_eq!(groups[1].grant(1, MemberId(7)), Err(GrantError::UnknownMember(MemberId(7))));
    assert_eq!(groups[0].grant(1, MemberId(1)), Err(GrantError::Sequencer));
    assert_eq!(groups[1].granted(), None);

    let name = groups[1].epoch_name();
    let sign = |group: &Group, term| {
        let message = name.grant(term, MemberId(1), |f| signed::signed_bytes("grant", f));
        group.signer.sign_bytes(&message)
    };
    let by = [(1, sign(&groups[1], far)), (2, sign(&groups[2], far))];
    let bytes = usurp(&mut groups[1], far, &by, false);
    assert_eq!(violation(&mut groups[0], &bytes), (1, Violation::Grants));

    groups[2].granted = None;
}

#[test]
fn a_sequencer_that_is_heard_again_leads_on_by_renewal_and_the_granters_follow() {
    let mut groups = call(5);
    // Two have given it up; nobody has succeeded it.
    grants(&mut groups, 1, 1, &[1, 2]);
    let plain = groups[0].update(&check).unwrap();
    assert_eq!(violation(&mut groups[1], &plain.bundle), (0, Violation::Fenced(1)));
    // Without their word they don't follow …
    let pending = groups[0].succeed(2, &[], &[], &check).unwrap();
    assert_eq!(pending.succession, Some(Succession::Renewal));
    assert_eq!(violation(&mut groups[1], &pending.bundle), (0, Violation::Minority));
    // … with it they do, and so do those who granted nothing.
    let given = grants(&mut groups, 2, 0, &[1, 2]);
    assert_eq!(groups[1].grant(1, MemberId(1)), Err(GrantError::Granted(2)));
    let pending = groups[0].succeed(2, &given[..1], &[], &check).unwrap();
    assert_eq!(violation(&mut groups[2], &pending.bundle), (0, Violation::Minority));
    let pending = groups[0].succeed(2, &given, &[], &check).unwrap();
    merge_all(&mut groups, 0, pending);
    let state = groups[3].state();
    assert_eq!((state.term, state.sequencer, state.split), (2, MemberId(0), false));
}

#[test]
fn a_renewal_does_not_reach_those_whose_grants_still_stand_elsewhere() {
    let mut groups = call(5);
    let given = grants(&mut groups, 1, 1, &[2, 3]);
    grants(&mut groups, 1, 1, &[1]);
    let renewed = grants(&mut groups, 2, 0, &[4]);
    let pending = groups[0].succeed(2, &renewed, &[], &check).unwrap();
    for group in &mut groups[1..4] {
        assert_eq!(violation(group, &pending.bundle), (0, Violation::Minority));
    }
    let later = groups[1].succeed(1, &given, &[], &check).unwrap();
    assert_eq!(violation(&mut groups[4], &later.bundle), (1, Violation::Fenced(2)));
    // Grants of somebody else's in the sequencer's commit are worth nothing.
    let bytes = usurp(&mut groups[0], 1, &signatures(&given), false);
    assert_eq!(violation(&mut groups[2], &bytes), (0, Violation::Grants));
}

#[test]
fn an_old_sequencers_late_commit_is_refused_by_every_granter() {
    let mut groups = call(5);
    // One arrived, but was not merged, before the grant.
    let early = groups[0].update(&check).unwrap();
    let Ok(Received::Commit(staged)) = groups[2].receive(&early.bundle, &check) else { panic!() };
    forget_statements(&mut groups[2]);
    let given = grants(&mut groups, 1, 1, &[2, 3]);
    grants(&mut groups, 1, 1, &[1]);
    assert!(matches!(groups[2].merge(*staged), Err(MergeError::Fenced(1))));

    let update = groups[0].update(&check).unwrap();
    for group in &mut groups[1..4] {
        assert_eq!(violation(group, &update.bundle), (0, Violation::Fenced(1)));
    }
    let hand_over = groups[0].hand_over(&[], &check).unwrap();
    for group in &mut groups[1..4] {
        assert_eq!(violation(group, &hand_over.bundle), (0, Violation::Fenced(1)));
    }
    // Who granted nothing may merge it; the successor's commit then comes too late for it.
    forget_statements(&mut groups[4]);
    deliver(&mut groups[4], &hand_over.bundle);
    let pending = groups[1].succeed(1, &given, &[], &check).unwrap();
    let bundle = merge_some(&mut groups, 1, pending, &[2, 3, 0]);
    assert!(matches!(groups[4].receive(&bundle, &check), Err(ReceiveError::Stale(4))));
}

#[test]
fn a_candidate_that_granted_a_later_term_cannot_enter_by_an_earlier_one() {
    let mut groups = call(3);
    let given = grants(&mut groups, 1, 1, &[2]);
    let pending = groups[1].succeed(1, &given, &[], &check).unwrap();
    groups[1].grant(2, MemberId(2)).unwrap();
    assert!(matches!(groups[1].merge_pending(pending), Err(MergeError::Fenced(2))));
    let refused = groups[1].succeed(1, &given, &[], &check);
    assert!(matches!(refused, Err(CommitError::Grant(GrantError::Granted(2)))));
}

#[test]
fn no_two_candidates_get_majorities_in_one_epoch_and_term() {
    let mut groups = call(5);
    let mut rng = rand::rngs::StdRng::seed_from_u64(1);
    for _ in 0..200 {
        groups.iter_mut().for_each(|group| group.granted = None);
        let mut asked: Vec<(usize, u32, u32)> = Vec::new();
        for voter in 1..5 {
            for candidate in 1..5 {
                asked.extend((1..4).map(|term| (voter, term, candidate)));
            }
        }
        asked.shuffle(&mut rng);
        let mut votes: std::collections::BTreeMap<(u32, u32), std::collections::BTreeSet<usize>> =
            Default::default();
        for (voter, term, candidate) in asked {
            if let Ok(grant) = groups[voter].grant(term, MemberId(candidate)) {
                assert_eq!(groups[1].verify_grant(&grant), Ok(()));
                // The same question again: the same answer, and it counts once.
                assert_eq!(groups[voter].grant(term, MemberId(candidate)), Ok(grant));
                votes.entry((term, candidate)).or_default().insert(voter);
            }
        }
        for term in 1..4 {
            let elected = votes.iter().filter(|((t, _), by)| *t == term && by.len() >= 3);
            assert!(elected.count() <= 1);
        }
    }
}

#[test]
fn of_two_majorities_the_later_terms_granters_refuse_the_earlier() {
    let mut groups = call(5);
    let first = grants(&mut groups, 1, 1, &[2, 3]);
    let second = grants(&mut groups, 2, 4, &[2, 3]);
    let one = groups[1].succeed(1, &first, &[], &check).unwrap();
    let two = groups[4].succeed(2, &second, &[], &check).unwrap();
    for i in [2, 3, 4] {
        assert_eq!(violation(&mut groups[i], &one.bundle), (1, Violation::Fenced(2)));
    }
    merge_some(&mut groups, 4, two, &[0, 2, 3, 1]);
}

#[test]
fn who_is_ordered_out_barred_or_removed_never_leads() {
    let mut groups = call(5);
    let given = grants(&mut groups, 1, 2, &[1, 3, 4]);
    let out = ordered(&groups[0], 0, OrderKind::Remove(identity(2)));
    groups[3].take_order(&out).unwrap();
    // Not granted any more, not followed any more, whatever was granted before.
    assert_eq!(groups[3].grant(3, MemberId(2)), Err(GrantError::OrderedOut));
    let pending = groups[2].succeed(1, &given, &[], &check).unwrap();
    assert_eq!(violation(&mut groups[3], &pending.bundle), (2, Violation::OrderedOut));

    // Carried out by another successor: it has no seat, so no voice and no vote.
    let given = grants(&mut groups, 2, 3, &[1, 4]);
    let old_grant = groups[2].grant(2, MemberId(3)).unwrap();
    let pending = groups[3].succeed(2, &given, &[], &check).unwrap();
    assert_eq!(pending.removed, [(MemberId(2), Reason::Decision)]);
    forget_statements(&mut groups[2]);
    let late = groups[2].update(&check);
    assert!(matches!(late, Err(CommitError::NotSequencer)));
    merge_some(&mut groups, 3, pending, &[0, 1, 4]);
    assert_eq!(groups[1].grant(3, MemberId(2)), Err(GrantError::UnknownMember(MemberId(2))));
    assert_eq!(groups[1].verify_grant(&old_grant), Err(GrantError::OtherEpoch));
    // It never got that commit, and makes one of its own with whatever it has.
    let bytes = usurp(&mut groups[2], 1, &[], true);
    assert!(matches!(groups[1].receive(&bytes, &check), Err(ReceiveError::Stale(4))));
}

#[test]
fn a_newcomer_on_a_free_leaf_is_last_in_line_and_leads_only_by_grants() {
    let mut groups = call(3);
    let pending = groups[0].remove_lost(&[MemberId(1)], &check).unwrap();
    merge_some(&mut groups, 0, pending, &[2]);
    let (package, joining) = key_package(local(9), GROUP, &check).unwrap();
    let pending = groups[0].add(&package, None, &check).unwrap();
    let welcome = pending.welcome.clone().unwrap();
    merge_some(&mut groups, 0, pending, &[2]);
    let expect = Expect { psk: None, host: identity(0) };
    groups[1] = joining.join(&welcome, &expect, &check).unwrap();
    assert_eq!((groups[1].leaf(), groups[1].me()), (1, MemberId(3)));
    assert_eq!(groups[0].successor(), Some(MemberId(2)));

    let (bytes, _) = forged(&mut groups[1], &[], |b| b);
    assert_eq!(violation(&mut groups[2], &bytes), (3, Violation::NotSequencer));
    let mut takes_over = groups[1].state.clone();
    (takes_over.term, takes_over.sequencer) = (1, MemberId(3));
    let (bytes, _) = forged(&mut groups[1], &[], |b| {
        b.propose_group_context_extensions(context(&takes_over)).unwrap()
    });
    assert_eq!(violation(&mut groups[2], &bytes), (3, Violation::NotSequencer));
    // A sequencer that would make it the successor is refused, too.
    let (bytes, _) = forged(&mut groups[0], &[], |b| {
        b.propose_group_context_extensions(context(&takes_over)).unwrap()
    });
    assert_eq!(violation(&mut groups[2], &bytes), (0, Violation::State));
    let alone = groups[1].succeed(1, &[], &[], &check).unwrap();
    assert_eq!(violation(&mut groups[2], &alone.bundle), (3, Violation::Minority));
}

#[test]
fn beats_are_the_sequencers_of_this_epoch_and_branch() {
    let mut groups = call(3);
    let beat = groups[0].sign_beat(7).unwrap();
    assert_eq!(groups[2].verify_beat(&beat), Ok(()));
    assert_eq!(Beat::parse(&beat.encode()), Ok(beat));
    assert_eq!(groups[1].sign_beat(7), Err(BeatError::NotSequencer));
    let forged = Beat { n: 8, ..beat };
    assert_eq!(groups[2].verify_beat(&forged), Err(BeatError::Signature));
    let elsewhere = Beat { confirmation: [1; 32], ..beat };
    assert_eq!(groups[2].verify_beat(&elsewhere), Err(BeatError::OtherBranch));
    let name = groups[1].epoch_name();
    let message = name.beat(9, |fields| signed::signed_bytes("beat", fields));
    let others = Beat { n: 9, signature: groups[1].signer.sign_bytes(&message), ..beat };
    assert_eq!(groups[2].verify_beat(&others), Err(BeatError::Signature));
    let pending = groups[0].update(&check).unwrap();
    merge_all(&mut groups, 0, pending);
    assert_eq!(groups[2].verify_beat(&beat), Err(BeatError::OtherEpoch(2)));
}

#[test]
fn grants_parse_back_and_no_part_of_one_does() {
    let mut groups = call(2);
    let grant = groups[1].grant(1, MemberId(1)).unwrap();
    let bytes = grant.encode();
    assert_eq!(Grant::parse(&bytes), Ok(grant));
    assert!((0..bytes.len()).all(|n| Grant::parse(&bytes[..n]).is_err()));
    for i in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[i] ^= 1;
        let flipped = Grant::parse(&flipped).unwrap();
        assert!(groups[0].verify_grant(&flipped).is_err(), "byte {i}");
    }
}
