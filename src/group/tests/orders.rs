//! Orders that don't hold, and what orders do when somebody doesn't want them to.

use super::*;

#[test]
fn orders_of_others_for_other_groups_changed_or_about_the_host_are_refused() {
    let mut groups = call(3);
    let out = OrderKind::Remove(identity(2));
    let true_one = ordered(&groups[0], 0, out.clone());
    let before = snapshot(&groups[1]);

    let members = ordered(&groups[1], 1, out.clone());
    assert_eq!(groups[1].take_order(&members), Err(OrderError::NotHost));
    let strangers = ordered(&groups[1], 9, out.clone());
    assert_eq!(groups[1].take_order(&strangers), Err(OrderError::NotHost));
    let mut claimed = members.clone();
    claimed[..32].copy_from_slice(&identity(0));
    assert_eq!(groups[1].take_order(&claimed), Err(OrderError::Signature));
    let elsewhere = sign_order(0, Order { group: [1; 16], serial: 1, kind: out });
    assert_eq!(groups[1].take_order(&elsewhere), Err(OrderError::Signature));
    for i in 0..true_one.len() {
        let mut flipped = true_one.clone();
        flipped[i] ^= 1;
        assert!(groups[1].take_order(&flipped).is_err(), "byte {i}");
        assert!(groups[1].take_order(&true_one[..i]).is_err(), "first {i}");
    }
    let about_host = ordered(&groups[0], 0, OrderKind::Remove(identity(0)));
    assert_eq!(groups[1].take_order(&about_host), Err(OrderError::AboutHost));
    assert!(groups[1].take_order(&[0; MAX_ORDER + 1]).is_err());
    assert_eq!(before, snapshot(&groups[1]));

    assert!(matches!(groups[1].take_order(&true_one), Ok(OrderTaken::Waiting(_))), "control");
    assert_eq!(groups[1].take_order(&true_one), Ok(OrderTaken::Known));
}

#[test]
fn a_commit_with_an_order_that_does_not_hold_is_refused() {
    let mut groups = call(4);
    // Carried out once already.
    let old = ordered(&groups[0], 0, OrderKind::Unlock);
    groups[0].take_order(&old).unwrap();
    let pending = groups[0].update(&check).unwrap();
    merge_all(&mut groups, 0, pending);

    let members = ordered(&groups[0], 1, OrderKind::Lock([identity(1)].into()));
    let mut unsigned = ordered(&groups[0], 0, OrderKind::Lock([identity(1)].into()));
    unsigned[40] ^= 1;
    for bad in [old, members, unsigned] {
        let order = order::SignedOrder::parse(&bad).unwrap();
        let aad = note::Note { orders: vec![order], ..Default::default() }.encode();
        let (bytes, _) = forged(&mut groups[0], &aad, |b| b);
        let before = snapshot(&groups[1]);
        assert_eq!(violation(&mut groups[1], &bytes), (0, Violation::Order));
        assert_eq!(before, snapshot(&groups[1]));
    }
    assert_alive(&mut groups);
}

#[test]
fn an_order_to_remove_is_carried_out_whole_or_refused() {
    let mut groups = call(4);
    let out = ordered(&groups[0], 0, OrderKind::Remove(identity(2)));
    let order = order::SignedOrder::parse(&out).unwrap();
    // The state says "barred", but the seat stays.
    let mut after = groups[0].state.clone();
    after.apply_order(Mark { host: true, serial: order.serial }, &order.kind).unwrap();
    let aad = note::Note { orders: vec![order], ..Default::default() }.encode();
    let (bytes, _) = forged(&mut groups[0], &aad, |b| {
        b.propose_group_context_extensions(context(&after)).unwrap()
    });
    assert_eq!(violation(&mut groups[1], &bytes), (0, Violation::Order));
    assert_alive(&mut groups);
}

#[test]
fn a_note_cannot_be_stripped_or_replaced() {
    let mut groups = call(4);
    let out = ordered(&groups[0], 0, OrderKind::Remove(identity(2)));
    groups[0].take_order(&out).unwrap();
    let pending = groups[0].update(&check).unwrap();
    let parsed = Bundle::parse(&pending.bundle).unwrap();
    // The note lies in the clear inside the commit, authenticated; whoever takes it out or changes
    // it (and even signs the result) breaks the commit.
    let note = groups[0].held[0].encode();
    let at = parsed.commit.windows(note.len()).position(|w| w == note).unwrap();
    let mut changed = parsed.commit.to_vec();
    changed[at] ^= 1;
    let bytes = bundle(&groups[0], None, &[], &changed);
    let before = snapshot(&groups[1]);
    assert!(matches!(groups[1].receive(&bytes, &check), Err(ReceiveError::Mls(_))));
    forget_statements(&mut groups[1]);
    assert_eq!(before, snapshot(&groups[1]));
    merge_all(&mut groups, 0, pending);
    assert!(groups[2].is_evicted());
}

#[test]
fn who_was_removed_by_order_never_comes_back_by_any_way_until_readmitted() {
    let mut groups = call(4);
    let out = ordered(&groups[0], 0, OrderKind::Remove(identity(2)));
    groups[0].take_order(&out).unwrap();
    let pending = groups[0].update(&check).unwrap();
    merge_all(&mut groups, 0, pending);
    assert!(groups.remove(2).is_evicted());

    let (package, _) = key_package(local(2), GROUP, &check).unwrap();
    // By the host itself, with an invite or without.
    let again = groups[0].add(&package, None, &check);
    assert!(matches!(again, Err(CommitError::Refused(Violation::Barred))));
    let psk = secret(1);
    let psk = Some(InvitePsk { invite: *b"invite 2", secret: &psk });
    let again = groups[0].add(&package, psk, &check);
    assert!(matches!(again, Err(CommitError::Refused(Violation::Barred))));
    // As somebody who is back.
    let again = groups[1].propose_back(&package, &check);
    assert!(matches!(again, Err(ProposeError::Refused(Violation::Barred))));
    // By a sequencer that follows no rules.
    let add = join_parse(&package);
    let changes = state::Changes { added: added(0, 2), ..changes(&groups[0]) };
    let after = context(&groups[0].state.after(&changes).unwrap());
    let (bytes, _) = forged(&mut groups[0], &[], |b| {
        b.propose_adds([add]).propose_group_context_extensions(after).unwrap()
    });
    let before = snapshot(&groups[1]);
    assert_eq!(violation(&mut groups[1], &bytes), (0, Violation::Barred));
    assert_eq!(before, snapshot(&groups[1]));
    // Its invite is void, too: a friend of its doesn't come in with that.
    let (friend, _) = key_package(local(7), GROUP, &check).unwrap();
    let psk = secret(1);
    let psk = Some(InvitePsk { invite: INVITE, secret: &psk });
    assert!(groups[0].add(&friend, psk, &check).is_err());

    forget_statements(&mut groups[1]);
    let again = ordered(&groups[0], 0, OrderKind::Readmit(identity(2)));
    groups[0].take_order(&again).unwrap();
    let pending = groups[0].update(&check).unwrap();
    merge_all(&mut groups, 0, pending);
    assert!(groups[0].add(&package, None, &check).is_ok());
}

#[test]
fn a_sequencer_that_is_ordered_out_hands_over_and_its_successor_removes_it() {
    let mut groups = call(3);
    let pending = groups[0].hand_over(&[], &check).unwrap();
    merge_all(&mut groups, 0, pending);
    let out = ordered(&groups[0], 0, OrderKind::Remove(identity(1)));
    for group in &mut groups {
        group.take_order(&out).unwrap();
    }
    assert!(groups[1].must_hand_over());
    // It can't carry the order out itself …
    let pending = groups[1].update(&check).unwrap();
    assert!(pending.orders.is_empty() && pending.removed.is_empty());
    let pending = groups[1].hand_over(&[], &check).unwrap();
    merge_all(&mut groups, 1, pending);
    // … but everybody still holds it.
    assert!(groups[2].is_ordered_out(MemberId(1)));
    let pending = groups[0].update(&check).unwrap();
    assert_eq!(pending.removed, [(MemberId(1), Reason::Decision)]);
    merge_all(&mut groups, 0, pending);
    assert!(groups[1].is_evicted());
}

#[test]
fn without_the_founder_whoever_leads_decides_but_only_about_others_than_the_host() {
    let mut groups = call(4);
    let pending = groups[0].hand_over(&[], &check).unwrap();
    merge_all(&mut groups, 0, pending);
    let lock = OrderKind::Lock([identity(2)].into());
    let early = ordered(&groups[1], 1, lock.clone());
    assert_eq!(groups[2].take_order(&early), Err(OrderError::NotHost), "the host is there");

    let pending = groups[1].remove_lost(&[MemberId(0)], &check).unwrap();
    merge_some(&mut groups, 1, pending, &[2, 3]);
    groups.remove(0);
    let not_leading = ordered(&groups[1], 2, lock.clone());
    assert_eq!(groups[1].take_order(&not_leading), Err(OrderError::NotHost));
    let host = ordered(&groups[0], 1, OrderKind::Remove(identity(0)));
    assert_eq!(groups[0].take_order(&host), Err(OrderError::AboutHost));
    let lock = ordered(&groups[0], 1, lock);
    groups[0].take_order(&lock).unwrap();
    let pending = groups[0].update(&check).unwrap();
    merge_all(&mut groups, 0, pending);
    assert!(groups[2].roster().locked);
    // The host comes back through the lock, and takes it off with an earlier serial.
    let (package, _) = key_package(local(0), GROUP, &check).unwrap();
    let unlock = sign_order(0, Order { group: GROUP, serial: 1, kind: OrderKind::Unlock });
    let request = groups[1].propose_back(&package, &check).unwrap();
    groups[0].receive(&request, &check).unwrap();
    groups[0].take_order(&unlock).unwrap();
    let pending = groups[0].update(&check).unwrap();
    assert!(pending.back && pending.orders == [OrderKind::Unlock]);
    merge_all(&mut groups, 0, pending);
    assert!(!groups[2].roster().locked);
}

#[test]
fn orders_are_kept_up_to_a_bound_and_the_waiting_ones_longest() {
    let mut groups = call(2);
    let wanted = ordered(&groups[0], 0, OrderKind::VoidInvite(*b"invite 7"));
    groups[1].take_order(&wanted).unwrap();
    for round in 1..200u8 {
        let lock = OrderKind::Lock([identity(1), [round; 32]].into());
        let order =
            sign_order(0, Order { group: GROUP, serial: 10 + u32::from(round), kind: lock });
        groups[1].take_order(&order).unwrap();
    }
    assert_eq!(groups[1].held.len(), MAX_HELD_ORDERS);
    // Each lock overrules those before it: only the last one waits, and the one about an invite.
    assert_eq!(groups[1].orders_waiting().len(), 2);
    assert!(groups[1].orders_waiting().contains(&wanted));

    for n in 0..100u8 {
        let void = OrderKind::VoidInvite([n; 8]);
        let order = sign_order(0, Order { group: GROUP, serial: 999, kind: void });
        if groups[1].take_order(&order) == Err(OrderError::TooMany) {
            assert!(n > 50);
            return;
        }
    }
    panic!("unbounded");
}
