//! Decisions, and letting in without being the sequencer.

use super::*;

/// Ada leads no more, but is still the host.
pub(super) fn led_by_ben() -> World {
    let mut world = World::of(4);
    world.cut.push(0);
    world.run(secs(5));
    world.cut.clear();
    world.run(secs(5));
    world.agree(&[0, 1, 2, 3]);
    assert_eq!(world.view(0).sequencer, Some(world.id_of(1, 0)));
    world
}

#[test]
fn the_host_removes_from_any_position() {
    for mut world in [World::of(4), led_by_ben()] {
        let dora = world.id_of(3, 0);
        world.user(0, Command::Remove(dora));
        world.run(secs(2));
        assert!(matches!(world.ended(3), Some(EndReason::Removed { .. })));
        world.agree(&[0, 1, 2]);
        world.talk(&[0, 1, 2]);
        for party in 0..3 {
            assert_eq!(world.view(party).barred.len(), 1);
        }
    }
}

#[test]
fn the_host_removes_the_sequencer() {
    let mut world = led_by_ben();
    let ben = world.id_of(1, 0);
    world.user(0, Command::Remove(ben));
    world.run(secs(3));
    assert!(matches!(world.ended(1), Some(EndReason::Removed { .. })));
    world.agree(&[0, 2, 3]);
    world.talk(&[0, 2, 3]);
}

#[test]
fn nobody_else_decides() {
    let mut world = World::of(3);
    let cleo = world.id_of(2, 1);
    assert!(matches!(world.attempt(1, Command::Remove(cleo)), Err(CallError::NotHost)));
    assert!(matches!(world.attempt(1, Command::Lock), Err(CallError::NotHost)));
    assert!(!world.view(1).may_decide && world.view(0).may_decide);
    world.run(secs(1));
    world.agree(&[0, 1, 2]);
}

#[test]
fn whoever_knows_of_a_removal_seals_nothing_more_for_the_removed() {
    let mut world = led_by_ben();
    // Cleo gets the order, but no commit: Ben, who leads, is cut off from her.
    world.partition(&[1], &[0, 2, 3]);
    let dora = world.id_of(3, 0);
    world.user(0, Command::Remove(dora));
    world.run(Duration::from_millis(60));
    assert_eq!(world.view(2).held, Some(Held::Removal));
    let before = world.carried.len();
    world.audio(2, 55);
    world.audio(0, 56);
    assert_eq!(world.carried.len(), before, "something was sealed");
    world.run(secs(20));
    assert_eq!((world.heard(3, 55), world.heard(3, 56)), (0, 0));
}

#[test]
fn a_locked_call_lets_back_in_but_nobody_new() {
    let mut world = World::of(3);
    world.user(0, Command::Lock);
    world.run(secs(1));
    for party in 0..3 {
        assert!(world.view(party).locked);
    }
    world.forgive = true;
    let dora = world.join("Dora Lind", world.invite(0));
    world.run(secs(3));
    assert_eq!(world.ended(dora), Some(&EndReason::Refused(RefusedWhy::Locked)));
    world.cut.push(2);
    world.run(secs(40));
    world.agree(&[0, 1]);
    world.cut.clear();
    world.run(secs(25));
    world.agree(&[0, 1, 2]);
    world.user(0, Command::Unlock);
    world.run(secs(1));
    let emil = world.join("Emil Berg", world.invite(0));
    world.run(secs(3));
    world.agree(&[0, 1, 2, emil]);
}

#[test]
fn the_host_lets_in_without_being_the_sequencer() {
    let mut world = led_by_ben();
    let emil = world.join("Emil Berg", world.invite(0));
    world.run(secs(3));
    world.agree(&[0, 1, 2, 3, emil]);
    world.talk(&[0, 1, 2, 3, emil]);
    let row = world.view(0).members.into_iter().find(|m| m.name == "Emil Berg").unwrap();
    assert_eq!(row.added_by, Some(world.id_of(0, 1)), "let in by the host");
}

#[test]
fn an_admitter_lets_in_and_others_do_not() {
    let mut world = World::of(3);
    world.parties[1].call.config.admit = Admit::Any;
    world.parties[2].call.config.admit = Admit::Any;
    let ben = world.id_of(1, 0);
    world.user(0, Command::Admitter(ben, true));
    world.run(secs(1));
    for party in [1, 2] {
        world.user(party, Command::NewInvite(vec![address(party)]));
    }
    let dora = world.join("Dora Lind", world.invite(1));
    world.run(secs(3));
    world.agree(&[0, 1, 2, dora]);
    let mut config = config("Emil Berg", Admit::Nobody);
    config.addresses = vec![address(world.parties.len())];
    let identity = world.identity();
    let invite = world.invite(2);
    let call = Call::join(config, identity, invite, world.now, &mut world.rng).unwrap();
    let emil = world.add(call);
    world.forgive = true;
    world.run(secs(3));
    assert!(matches!(world.ended(emil), Some(EndReason::Refused(_))), "{:?}", world.ended(emil));
}

#[test]
fn two_joins_at_once_both_get_in() {
    let mut world = led_by_ben();
    let (a, b) = (world.invite(0), world.invite(0));
    let (emil, fay) = (world.join("Emil Berg", a), world.join("Fay Wood", b));
    world.run(secs(4));
    world.agree(&[0, 1, 2, 3, emil, fay]);
    world.talk(&[0, 1, 2, 3, emil, fay]);
}

#[test]
fn changes_that_cross_each_other_all_happen() {
    let mut world = World::of(5);
    let dora = world.id_of(3, 0);
    let fay = world.join("Fay Wood", world.invite(0));
    world.run(Duration::from_millis(110));
    world.user(1, Command::Rekey);
    world.user(4, Command::Leave);
    world.user(0, Command::Remove(dora));
    world.user(2, Command::Rekey);
    world.run(secs(5));
    assert_eq!(world.ended(4), Some(&EndReason::Left));
    world.agree(&[0, 1, 2, fay]);
    world.talk(&[0, 1, 2, fay]);
}

#[test]
fn a_readmitted_person_may_come_in_again() {
    let mut world = World::of(3);
    let cleo = world.id_of(2, 0);
    let identity = world.parties[2].call.identity.clone();
    world.user(0, Command::Remove(cleo));
    world.run(secs(2));
    let again = |world: &mut World| {
        let mut config = config("Cleo Stone", Admit::Nobody);
        config.addresses = vec![address(world.parties.len())];
        world.user(0, Command::NewInvite(vec![address(0)]));
        let invite = world.invite(0);
        let call = Call::join(config, identity.clone(), invite, world.now, &mut world.rng).unwrap();
        let party = world.add(call);
        world.run(secs(3));
        party
    };
    world.forgive = true;
    let refused = again(&mut world);
    assert_eq!(world.ended(refused), Some(&EndReason::Refused(RefusedWhy::Locked)));
    let who = world.parties[2].call.identity.public();
    world.user(0, Command::Readmit(who));
    let back = again(&mut world);
    world.agree(&[0, 1, back]);
}

#[test]
fn the_invite_of_somebody_removed_is_not_offered_any_more() {
    let mut world = World::of(3);
    assert_eq!(world.view(0).invites.len(), 1);
    let cleo = world.id_of(2, 0);
    world.user(0, Command::Remove(cleo));
    world.run(secs(2));
    assert!(world.view(0).invites.is_empty(), "nobody could come in with it");
    world.user(0, Command::NewInvite(Vec::new()));
    assert_eq!(world.view(0).invites.len(), 1);
    world.user(0, Command::VoidInvite(1));
    world.run(secs(1));
    assert!(world.view(0).invites.is_empty());
    world.agree(&[0, 1]);
}
