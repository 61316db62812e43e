//! A member that tells different people different things, and people who say so of an honest one.

use super::*;

/// Two different commits of the sequencer for one epoch.
fn two_faced(groups: &mut [Group]) -> [Vec<u8>; 2] {
    [0, 1].map(|_| groups[0].update(&check).unwrap().bundle.clone())
}

#[test]
fn two_commits_that_reach_one_member_convict_their_signer_before_and_after_merging() {
    let mut groups = call(4);
    let [one, two] = two_faced(&mut groups);
    for merged in [false, true] {
        let member = if merged { 2 } else { 1 };
        let Ok(Received::Commit(staged)) = groups[member].receive(&one, &check) else { panic!() };
        if merged {
            groups[member].merge(*staged).unwrap();
        }
        let before = snapshot(&groups[member]);
        let proof = match groups[member].receive(&two, &check) {
            Err(ReceiveError::Equivocation(proof)) => proof,
            _ => panic!("not noticed"),
        };
        assert_eq!(before, snapshot(&groups[member]));
        assert_eq!(proof.by(), groups[0].signer.public());
        // Everybody is convinced by the bytes alone, one who saw neither commit too.
        let (again, who) = groups[3].take_equivocation(&proof.encode()).unwrap();
        assert_eq!((again, who), (*proof, MemberId(0)));
        assert!(groups[3].equivocation_of(MemberId(0)).is_some());
        assert_eq!(groups[3].equivocation_of(MemberId(1)), None);
    }
}

#[test]
fn halves_that_merged_different_commits_find_out_from_each_others_acks() {
    let mut groups = call(5);
    let [one, two] = two_faced(&mut groups);
    deliver(&mut groups[1], &one);
    deliver(&mut groups[2], &one);
    deliver(&mut groups[3], &two);
    let ack = groups[1].sign_ack();
    let ack = Ack::parse(&ack.encode()).unwrap();
    let taken = groups[3].take_ack(MemberId(1), &ack).unwrap();
    assert_eq!(taken.agreement, Agreement::Differs);
    let proof = taken.equivocation.unwrap();
    assert_eq!(Equivocation::parse(&GROUP, &proof.encode()), Ok(proof));
    // Of their own half they hear nothing of the kind.
    let ack = groups[2].sign_ack();
    let taken = groups[1].take_ack(MemberId(2), &ack).unwrap();
    assert_eq!((taken.agreement, taken.equivocation), (Agreement::Same, None));
    // Who has merged nothing yet learns it from two acks.
    let ack = groups[1].sign_ack();
    let ahead = groups[4].take_ack(MemberId(1), &ack).unwrap();
    assert_eq!((ahead.agreement, ahead.equivocation), (Agreement::OtherEpoch, None));
    let ack = groups[3].sign_ack();
    let ahead = groups[4].take_ack(MemberId(3), &ack).unwrap();
    assert_eq!(ahead.equivocation.map(|proof| proof.by()), Some(groups[0].signer.public()));
}

#[test]
fn a_convicted_member_commits_and_leads_no_more_and_the_rest_goes_on_without_it() {
    let mut groups = call(4);
    let [one, two] = two_faced(&mut groups);
    let parts = [&one, &two].map(|bytes| Bundle::parse(bytes).unwrap().statement);
    let proof = Equivocation::from(&GROUP, parts[0], parts[1]).unwrap().encode();
    for group in &mut groups[1..] {
        group.take_equivocation(&proof).unwrap();
        let before = snapshot(group);
        match group.receive(&one, &check) {
            Err(ReceiveError::Policy(violation)) => {
                assert_eq!(violation.what, Violation::Equivocated);
            }
            _ => panic!("followed"),
        }
        assert_eq!(before, snapshot(group));
    }
    let given = grants(&mut groups, 1, 1, &[2, 3]);
    let pending = groups[1].succeed(1, &given, &[MemberId(0)], &check).unwrap();
    merge_some(&mut groups, 1, pending, &[2, 3]);
    // Back with the same leaf key, it is still convicted.
    let mut again = local(0);
    again.leaf_seed = Secret::build(|seed| seed.copy_from_slice(groups[0].signer.seed()));
    again.leaf_key = groups[0].signer.public();
    again.credential = credential(0, again.leaf_key);
    let (package, _) = key_package(again, GROUP, &check).unwrap();
    let pending = groups[1].add(&package, None, &check).unwrap();
    merge_some(&mut groups, 1, pending, &[2, 3]);
    assert_eq!(groups[2].grant(2, MemberId(4)), Err(GrantError::Equivocated));
}

#[test]
fn nobody_can_be_framed() {
    let mut groups = call(3);
    let [one, two] = two_faced(&mut groups);
    let a = Bundle::parse(&one).unwrap().statement;
    let b = Bundle::parse(&two).unwrap().statement;
    assert!(Equivocation::from(&GROUP, a, b).is_some(), "control");
    assert!(Equivocation::from(&GROUP, a, a).is_none(), "one commit");
    assert!(Equivocation::from(&[1; 16], a, b).is_none(), "another group");
    let unsigned = Statement { commit_hash: [1; 32], ..a };
    assert!(Equivocation::from(&GROUP, a, unsigned).is_none());
    let relabelled = Statement { by: groups[1].signer.public(), ..b };
    assert!(Equivocation::from(&GROUP, a, relabelled).is_none(), "two signers");
    // The same number of an epoch in two branches is no offence.
    let elsewhere = Statement::sign(&groups[0].signer, &GROUP, a.epoch, [7; 32], [8; 32]);
    assert!(elsewhere.verify(&GROUP));
    assert!(Equivocation::from(&GROUP, a, elsewhere).is_none());
    let later = Statement::sign(&groups[0].signer, &GROUP, a.epoch + 1, a.confirmation, [8; 32]);
    assert!(Equivocation::from(&GROUP, a, later).is_none());

    let proof = Equivocation::from(&GROUP, a, b).unwrap().encode();
    for i in 0..proof.len() {
        let mut flipped = proof.clone();
        flipped[i] ^= 1;
        assert!(groups[1].take_equivocation(&flipped).is_err(), "byte {i}");
        assert!(groups[1].take_equivocation(&proof[..i]).is_err(), "first {i}");
    }
    // About somebody who was never here.
    let stranger = LeafSigner::new(secret(9));
    let [a, b] = [[1; 32], [2; 32]].map(|h| Statement::sign(&stranger, &GROUP, 2, [0; 32], h));
    let proof = Equivocation::from(&GROUP, a, b).unwrap().encode();
    assert!(groups[1].take_equivocation(&proof).is_err());
}

#[test]
fn an_honest_members_commits_in_many_epochs_and_two_branches_convict_nobody() {
    let mut groups = call(4);
    for _ in 0..5 {
        let pending = groups[0].update(&check).unwrap();
        merge_all(&mut groups, 0, pending);
    }
    // 2 and 3 go their own way; 0 goes on without them, and makes as many epochs as they do.
    let given = grants(&mut groups, 1, 2, &[3]);
    let pending = groups[2].succeed(1, &given, &[], &check).unwrap();
    merge_some(&mut groups, 2, pending, &[3]);
    let pending = groups[0].update(&check).unwrap();
    merge_some(&mut groups, 0, pending, &[1]);
    for i in 0..4 {
        for j in 0..4 {
            let ack = groups[j].sign_ack();
            let taken = groups[i].take_ack(MemberId(j as u32), &ack).unwrap();
            assert_eq!(taken.equivocation, None);
            let same = (i < 2) == (j < 2);
            assert_eq!(taken.agreement == Agreement::Same, same, "{i} and {j}");
        }
    }
    // A commit of the other branch is told from a forgery.
    let pending = groups[2].update(&check).unwrap();
    let before = snapshot(&groups[0]);
    let other = groups[0].receive(&pending.bundle, &check);
    assert!(matches!(other, Err(ReceiveError::OtherBranch)));
    assert_eq!(before, snapshot(&groups[0]));
}

#[test]
fn a_missing_or_forged_statement_spoils_the_bundle_and_not_the_commit() {
    let mut groups = call(4);
    let pending = groups[0].update(&check).unwrap();
    let parsed = Bundle::parse(&pending.bundle).unwrap();
    let with = |statement: Statement| {
        let proposals = parsed.proposals.clone();
        Bundle { psk: parsed.psk, proposals, commit: parsed.commit, statement }.encode()
    };
    let before = snapshot(&groups[1]);
    let missing = &pending.bundle[..pending.bundle.len() - 136];
    assert!(matches!(groups[1].receive(missing, &check), Err(ReceiveError::Malformed(_))));
    let (epoch, confirmation) = (groups[0].epoch(), groups[0].confirmation_hash());
    let true_one = parsed.statement;
    let hash = true_one.commit_hash;
    let stranger = LeafSigner::new(secret(9));
    for (what, statement) in [
        ("unsigned", Statement { signature: [0; 64], ..true_one }),
        ("a stranger's", Statement::sign(&stranger, &GROUP, epoch, confirmation, hash)),
        (
            "another commit's",
            Statement::sign(&groups[0].signer, &GROUP, epoch, confirmation, [1; 32]),
        ),
        (
            "another group's",
            Statement::sign(&groups[0].signer, &[1; 16], epoch, confirmation, hash),
        ),
    ] {
        let refused = groups[1].receive(&with(statement), &check);
        assert!(matches!(refused, Err(ReceiveError::Statement)), "{what}");
    }
    let other = Statement::sign(&groups[0].signer, &GROUP, epoch, [1; 32], hash);
    assert!(matches!(groups[1].receive(&with(other), &check), Err(ReceiveError::OtherBranch)));
    let other = Statement::sign(&groups[0].signer, &GROUP, epoch + 1, confirmation, hash);
    assert!(matches!(groups[1].receive(&with(other), &check), Err(ReceiveError::Ahead(_))));
    assert_eq!(before, snapshot(&groups[1]));

    // Another member's statement on this commit: MLS opens the commit only once, so it waits for
    // the right statement. Whoever did it is convicted of nothing but has gained nothing either.
    let swapped = Statement::sign(&groups[2].signer, &GROUP, epoch, confirmation, hash);
    assert!(matches!(groups[1].receive(&with(swapped), &check), Err(ReceiveError::Statement)));
    assert!(matches!(groups[1].receive(&with(swapped), &check), Err(ReceiveError::Statement)));
    assert_eq!(groups[1].epoch(), epoch);
    merge_all(&mut groups, 0, pending);
    assert!(groups[1].parked.is_empty());
}

#[test]
fn acks_with_a_statement_that_does_not_hold_are_refused() {
    let mut groups = call(3);
    let pending = groups[0].update(&check).unwrap();
    merge_all(&mut groups, 0, pending);
    let ack = groups[1].sign_ack();
    let statement = ack.statement.unwrap();
    let resigned = |statement: Statement, epoch| {
        Ack::sign(&groups[1].signer, &GROUP, epoch, ack.auth_hash, Some(statement))
    };
    let of = |ack: Ack| groups[2].verify_ack(MemberId(1), &ack);
    assert_eq!(of(resigned(statement, ack.epoch)), Ok(Agreement::Same), "control");
    assert_eq!(of(resigned(statement, ack.epoch + 1)), Err(AckError::Statement));
    let unsigned = Statement { signature: [0; 64], ..statement };
    assert_eq!(of(resigned(unsigned, ack.epoch)), Err(AckError::Statement));
    assert_eq!(of(Ack { statement: None, ..ack }), Err(AckError::Signature), "taken out");
    let stranger = LeafSigner::new(secret(9));
    let hash = statement.commit_hash;
    let other = Statement::sign(&stranger, &GROUP, statement.epoch, statement.confirmation, hash);
    let other = resigned(other, ack.epoch);
    assert_eq!(groups[2].take_ack(MemberId(1), &other), Err(AckError::Statement));
    let bytes = ack.encode();
    assert!((0..bytes.len()).all(|n| Ack::parse(&bytes[..n]).is_err()));
}
