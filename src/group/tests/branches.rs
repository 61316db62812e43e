//! Branches meet: both sides decide alike, and a majority can't be claimed that wasn't there.

use super::*;
use crate::group::branch::{self, Standing};
use proptest::prelude::*;

/// Each of the two describes itself and answers the other; what each of them decides.
pub(super) fn meet(a: &Group, b: &Group, led: [bool; 2]) -> (Standing, Standing) {
    let wire = |branch: Branch| {
        let bytes = branch.encode();
        assert!(bytes.len() <= MAX_BRANCH);
        Branch::parse(&bytes).unwrap()
    };
    let (first_a, first_b) = (wire(a.branch(led[0])), wire(b.branch(led[1])));
    let (Some(from_a), Some(from_b)) =
        (a.branch_for(&first_b, led[0]), b.branch_for(&first_a, led[1]))
    else {
        return (a.compare(&first_a, &first_b), b.compare(&first_b, &first_a));
    };
    let (from_a, from_b) = (wire(from_a), wire(from_b));
    (a.compare(&from_a, &from_b), b.compare(&from_b, &from_a))
}

/// Everybody among these hears everybody's ack.
fn acks(groups: &mut [Group], who: &[usize]) {
    for i in who {
        let ack = groups[*i].sign_ack();
        let member = groups[*i].me();
        for j in who {
            groups[*j].take_ack(member, &ack).unwrap();
        }
    }
}

const WE: (Standing, Standing) = (Standing::Ours, Standing::Theirs);

#[test]
fn a_successor_with_a_majority_beats_the_sequencer_that_was_cut_off() {
    let mut groups = call(5);
    let given = grants(&mut groups, 1, 1, &[2, 3]);
    let pending = groups[1].succeed(1, &given, &[MemberId(0), MemberId(4)], &check).unwrap();
    merge_some(&mut groups, 1, pending, &[2, 3]);
    // Before and after the old sequencer has made commits of its own.
    assert_eq!(meet(&groups[1], &groups[0], [true; 2]), WE);
    for _ in 0..3 {
        let pending = groups[0].update(&check).unwrap();
        merge_some(&mut groups, 0, pending, &[4]);
    }
    assert_eq!(meet(&groups[1], &groups[0], [true; 2]), WE);
    assert_eq!(meet(&groups[2], &groups[4], [false, true]), WE);
    assert_eq!(meet(&groups[1], &groups[2], [true; 2]), (Standing::Same, Standing::Same));
}

#[test]
fn a_sequencers_commit_that_a_majority_acked_beats_a_split() {
    let mut groups = call(5);
    let given = grants(&mut groups, 1, 3, &[4]);
    let pending = groups[3].succeed(1, &given, &[], &check).unwrap();
    merge_some(&mut groups, 3, pending, &[4]);
    let pending = groups[0].update(&check).unwrap();
    merge_some(&mut groups, 0, pending, &[1, 2]);
    acks(&mut groups, &[0, 1, 2]);
    assert_eq!(groups[0].acked(), 3);
    assert_eq!(meet(&groups[0], &groups[3], [true; 2]), WE);
    // Even when the split branch has somebody that leads and this one, for now, has not.
    assert_eq!(meet(&groups[0], &groups[3], [false, true]), WE);
}

#[test]
fn two_people_meet_again_and_the_one_that_did_not_split_goes_on() {
    let mut groups = call(2);
    let pending = groups[1].succeed(1, &[], &[], &check).unwrap();
    merge_some(&mut groups, 1, pending, &[]);
    assert_eq!(meet(&groups[0], &groups[1], [true; 2]), WE);
    let pending = groups[0].remove_lost(&[MemberId(1)], &check).unwrap();
    merge_some(&mut groups, 0, pending, &[]);
    assert_eq!(meet(&groups[0], &groups[1], [true; 2]), WE);
}

#[test]
fn who_hears_nobody_that_leads_gives_way_to_a_split_that_is_led() {
    let mut groups = call(4);
    let given = grants(&mut groups, 1, 1, &[2]);
    let pending = groups[1].succeed(1, &given, &[], &check).unwrap();
    merge_some(&mut groups, 1, pending, &[2]);
    assert_eq!(meet(&groups[1], &groups[3], [true, false]), WE);
    assert_eq!(meet(&groups[3], &groups[1], [true, true]), WE, "3 hears the sequencer after all");
}

#[test]
fn who_only_missed_the_sequencers_commits_is_behind() {
    let mut groups = call(4);
    let pending = groups[0].remove_lost(&[MemberId(3), MemberId(2)], &check).unwrap();
    merge_some(&mut groups, 0, pending, &[1]);
    assert_eq!(meet(&groups[0], &groups[3], [true, true]), WE);
    assert_eq!(meet(&groups[0], &groups[3], [true, false]), WE);
}

#[test]
fn of_two_splits_the_larger_goes_on_then_the_earlier_joined_leader() {
    let mut groups = call(6);
    let given = grants(&mut groups, 1, 1, &[2]);
    let lost = [0, 3, 4, 5].map(MemberId);
    let pending = groups[1].succeed(1, &given, &lost, &check).unwrap();
    merge_some(&mut groups, 1, pending, &[2]);
    let given = grants(&mut groups, 1, 3, &[4, 5]);
    let lost = [0, 1, 2].map(MemberId);
    let pending = groups[3].succeed(1, &given, &lost, &check).unwrap();
    merge_some(&mut groups, 3, pending, &[4, 5]);
    assert_eq!(meet(&groups[3], &groups[1], [true; 2]), WE);
    assert_eq!(meet(&groups[5], &groups[2], [true; 2]), WE);
    let pending = groups[3].remove_lost(&[MemberId(5)], &check).unwrap();
    merge_some(&mut groups, 3, pending, &[4]);
    assert_eq!(meet(&groups[1], &groups[3], [true; 2]), WE);
}

#[test]
fn losers_come_back_to_the_winner_and_find_the_same_identities() {
    let mut groups = call(3);
    let given = grants(&mut groups, 1, 1, &[2]);
    let pending = groups[1].succeed(1, &given, &[MemberId(0)], &check).unwrap();
    merge_some(&mut groups, 1, pending, &[2]);
    let pending = groups[0].remove_lost(&[MemberId(1), MemberId(2)], &check).unwrap();
    merge_some(&mut groups, 0, pending, &[]);
    assert_eq!(meet(&groups[1], &groups[0], [true; 2]), WE);
    // The winner knows whose connection it is, though nobody of that key is in its roster.
    let key = groups[0].signer.public();
    let known = groups[2].remembered(&key).unwrap();
    assert_eq!((known.identity, known.member, known.epoch), (identity(0), MemberId(0), 2));
    let (package, joining) = key_package(local(0), GROUP, &check).unwrap();
    let pending = groups[1].add(&package, None, &check).unwrap();
    let welcome = pending.welcome.clone().unwrap();
    merge_some(&mut groups, 1, pending, &[2]);
    let expect = Expect { psk: None, host: identity(0) };
    groups[0] = joining.join(&welcome, &expect, &check).unwrap();
    // A joiner has no past here to compare.
    assert_eq!(meet(&groups[0], &groups[1], [true; 2]).0, Standing::Same);
    let pending = groups[1].update(&check).unwrap();
    merge_all(&mut groups, 1, pending);
    let seats: Vec<_> = groups[0].roster().members.iter().map(|row| row.identity).collect();
    assert_eq!(seats, [1, 2, 0].map(identity));
}

#[test]
fn a_majority_cannot_be_claimed_with_others_acks_grants_or_statements() {
    let mut groups = call(5);
    // 0 and 1 stay; 2, 3, 4 part one by one: nobody has a majority.
    let pending = groups[0].update(&check).unwrap();
    merge_some(&mut groups, 0, pending, &[1]);
    acks(&mut groups, &[0, 1]);
    let given = grants(&mut groups, 1, 2, &[3]);
    let pending = groups[2].succeed(1, &given, &[], &check).unwrap();
    merge_some(&mut groups, 2, pending, &[3]);
    acks(&mut groups, &[2, 3]);
    assert_eq!(meet(&groups[0], &groups[2], [true; 2]), WE);

    // The split branch's leader claims what it can.
    let liar = &mut groups[2];
    let epoch = liar.epoch();
    let own = liar.sign_ack();
    let entry = liar.history.at_mut(epoch).unwrap();
    let two = entry.acks.clone();
    for n in 0..16 {
        entry.acks.insert(MemberId(n), own.signature);
        let (_, grants) = entry.succession.as_mut().unwrap();
        let signature = grants.by[&MemberId(3)];
        grants.by.insert(MemberId(n), signature);
    }
    assert_eq!(meet(&groups[0], &groups[2], [true; 2]), WE, "one's signatures as everybody's");
    let entry = groups[2].history.at_mut(epoch).unwrap();
    entry.acks = two;
    // The others' acks of the other commit, whose statement it has seen.
    let theirs = groups[0].history.at(epoch).unwrap();
    let (statement, auth_hash, acks) = (theirs.statement, theirs.auth_hash, theirs.acks.clone());
    let entry = groups[2].history.at_mut(epoch).unwrap();
    (entry.statement, entry.auth_hash) = (statement, auth_hash);
    entry.acks.extend(acks);
    assert_eq!(meet(&groups[0], &groups[2], [true; 2]), WE, "acks of another commit");
    // A statement of its own for a commit that others acked elsewhere.
    let entry = groups[2].history.at(epoch - 1).unwrap();
    let parent = (entry.epoch, entry.confirmation);
    let hash = statement.unwrap().commit_hash;
    let forged = Statement::sign(&groups[2].signer, &GROUP, parent.0, parent.1, hash);
    groups[2].history.at_mut(epoch).unwrap().statement = Some(forged);
    assert_eq!(meet(&groups[0], &groups[2], [true; 2]), WE);
}

#[test]
fn a_description_without_proof_of_the_common_epoch_decides_nothing() {
    let mut groups = call(4);
    let given = grants(&mut groups, 1, 1, &[2]);
    let pending = groups[1].succeed(1, &given, &[], &check).unwrap();
    merge_some(&mut groups, 1, pending, &[2]);
    let pending = groups[0].update(&check).unwrap();
    merge_some(&mut groups, 0, pending, &[]);
    let (a, b) = (groups[0].branch(true), groups[1].branch(true));
    assert_eq!(groups[0].compare(&a, &b), Standing::Unproven);
    let answer = groups[0].branch_for(&b, true).unwrap();
    assert_eq!(groups[0].compare(&answer, &b), Standing::Unproven);
    // Of another call, or of one that we have not been in.
    let stranger = call(3).remove(0);
    assert_eq!(meet(&groups[0], &stranger, [true; 2]), (Standing::NoCommon, Standing::NoCommon));
}

#[test]
fn descriptions_parse_back_and_no_part_of_one_does() {
    let mut groups = call(5);
    let given = grants(&mut groups, 1, 1, &[2, 3]);
    let pending = groups[1].succeed(1, &given, &[], &check).unwrap();
    merge_some(&mut groups, 1, pending, &[2, 3]);
    let branch = groups[1].branch_for(&groups[0].branch(true), true).unwrap();
    let bytes = branch.encode();
    assert_eq!(Branch::parse(&bytes), Ok(branch));
    assert!((0..bytes.len()).all(|n| Branch::parse(&bytes[..n]).is_err()));
    assert!(Branch::parse(&[&bytes[..], &[0]].concat()).is_err());
    assert!(Branch::parse(&vec![1; MAX_BRANCH + 1]).is_err());
    for i in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[i] ^= 0x40;
        if let Ok(other) = Branch::parse(&flipped) {
            // Whatever it says: nobody stumbles over it.
            let _ = groups[0].compare(&groups[0].branch(true), &other);
            let _ = groups[0].branch_for(&other, true);
        }
    }
}

#[test]
fn the_memory_of_epochs_is_bounded() {
    let mut groups = call(2);
    for _ in 0..KEPT_EPOCHS + 5 {
        let pending = groups[0].update(&check).unwrap();
        merge_all(&mut groups, 0, pending);
    }
    assert_eq!(groups[0].history.entries().count(), KEPT_EPOCHS);
    let branch = groups[1].branch_for(&groups[0].branch(true), true).unwrap();
    assert!(branch.encode().len() <= MAX_BRANCH);
}

proptest! {
    #![proptest_config(crate::wire::seeded())]

    /// Any three descriptions, honest or not: two sides never both win, never both lose, and there
    /// is no circle in which everybody gives way to somebody.
    #[test]
    fn deciding_is_antisymmetric_and_transitive(
        said in proptest::collection::vec(branch::tests::said(), 3),
    ) {
        let worth: Vec<_> = said.iter().map(branch::tests::made).collect();
        for a in &worth {
            for b in &worth {
                let (ours, theirs) = branch::tests::decided(a, b);
                prop_assert_eq!(ours, theirs.reversed());
                prop_assert!(a != b || ours == Standing::Same);
                for c in &worth {
                    if ours == Standing::Ours && branch::tests::decided(b, c).0 == Standing::Ours {
                        prop_assert_eq!(branch::tests::decided(a, c).0, Standing::Ours);
                    }
                }
            }
        }
    }
}
