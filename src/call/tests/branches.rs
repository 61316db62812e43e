//! The call falls apart and comes together.

use super::*;
use crate::wire::control::Control;

#[test]
fn two_people_cut_off_for_a_while_are_together_again_without_an_invite() {
    for outage in [15, 28, 60] {
        let mut world = World::of(2);
        world.cut.push(0);
        world.run(secs(outage));
        assert!(world.view(1).split, "{outage}");
        world.cut.clear();
        world.run(secs(25));
        world.agree(&[0, 1]);
        assert_eq!(world.words(0), world.words(1));
        world.talk(&[0, 1]);
        assert!(world.saw(1, |e| matches!(e, Event::Returning(true))) >= 1);
    }
}

#[test]
fn the_minority_side_comes_back_without_an_invite() {
    for (left, right) in [(vec![0, 1, 2], vec![3, 4]), (vec![0, 1], vec![2, 3, 4])] {
        let mut world = World::of(5);
        world.partition(&left, &right);
        world.run(secs(40));
        world.agree(&left);
        world.agree(&right);
        world.apart.clear();
        world.run(secs(30));
        world.agree(&[0, 1, 2, 3, 4]);
        world.talk(&[0, 1, 2, 3, 4]);
        let minority = if left.len() < right.len() { &left } else { &right };
        for party in minority {
            assert!(world.saw(*party, |e| matches!(e, Event::Returning(true))) >= 1);
        }
    }
}

#[test]
fn a_partition_that_heals_before_anybody_is_lost_heals_as_well() {
    for n in [12, 17] {
        let mut world = World::of(4);
        world.partition(&[0, 1], &[2, 3]);
        world.run(secs(n));
        world.apart.clear();
        world.run(secs(30));
        world.agree(&[0, 1, 2, 3]);
        world.talk(&[0, 1, 2, 3]);
    }
}

#[test]
fn three_parts_become_one() {
    let mut world = World::of(6);
    world.partition(&[0, 1], &[2, 3, 4, 5]);
    world.partition(&[2, 3], &[4, 5]);
    world.run(secs(50));
    world.apart.clear();
    world.run(secs(60));
    world.agree(&[0, 1, 2, 3, 4, 5]);
    world.talk(&[0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_lost_member_comes_back_under_its_own_identity() {
    let mut world = World::of(3);
    world.cut.push(2);
    world.run(secs(45));
    world.agree(&[0, 1]);
    assert_eq!(world.view(0).waited_for.len(), 1);
    world.cut.clear();
    world.run(secs(25));
    world.agree(&[0, 1, 2]);
    assert_eq!(world.saw(0, |e| matches!(e, Event::Back(_))), 1);
    assert!(world.view(0).waited_for.is_empty());
    world.talk(&[0, 1, 2]);
}

#[test]
fn a_removed_member_never_returns_through_the_other_branch() {
    let mut world = World::of(5);
    world.partition(&[0, 1, 2], &[3, 4]);
    world.run(secs(40));
    // Ada's side can't reach Emil; it decides about him all the same.
    let identity = world.parties[4].call.identity.public();
    world.apart.clear();
    world.partition(&[0, 1, 2], &[4]);
    let order = crate::group::OrderKind::Remove(identity.0);
    let now = world.now_of(0);
    world.parties[0].call.decide(order, now).unwrap();
    world.drain(0);
    world.run(secs(30));
    world.apart.clear();
    world.run(secs(40));
    world.agree(&[0, 1, 2, 3]);
    assert!(!world.names(0).contains(&"Emil Berg".to_string()));
    assert!(matches!(world.ended(4), Some(EndReason::Removed { .. })), "{:?}", world.ended(4));
    world.talk(&[0, 1, 2, 3]);
}

#[test]
fn whoever_is_contradicted_about_a_loss_is_named() {
    let mut world = World::of(5);
    // Dora reaches Cleo only; for the others she is lost.
    world.partition(&[3], &[0, 1, 4]);
    world.run(secs(40));
    let named =
        |e: &Event| matches!(e, Event::LostContradicted { name, .. } if name == "Dora Lind");
    assert!(world.saw(2, named) >= 1);
}

/// Gives `party` this message as if `from` had sent it.
fn says(world: &mut World, from: usize, party: usize, message: &Control) {
    let member = world.id_of(from, party);
    let links = world.parties[party].call.view_links();
    let (_, link) = *links.iter().find(|(id, _)| *id == member).unwrap();
    world.input(party, Input::Link(link, LinkEvent::Control(message.encode().into())));
}

#[test]
fn a_sequencer_that_is_in_another_branch_leads_nobody_here_until_it_beats_again() {
    let mut world = World::of(3);
    let led = |world: &World| world.parties[2].call.is_led(world.now_of(2).mono);
    let before = world.parties[0].call.group.as_ref().unwrap().branch(true).encode();
    let elsewhere = Control::Branch(before.into());
    world.user(0, Command::Rekey);
    world.run(secs(2));
    world.agree(&[0, 1, 2]);
    says(&mut world, 1, 2, &elsewhere);
    assert!(led(&world), "that was nobody who leads");
    let here = world.parties[0].call.group.as_ref().unwrap().branch(true).encode();
    says(&mut world, 0, 2, &Control::Branch(here.into()));
    assert!(led(&world), "that is here");
    says(&mut world, 0, 2, &elsewhere);
    assert!(!led(&world));
    world.run(secs(2));
    assert!(led(&world));
    world.agree(&[0, 1, 2]);
}

#[test]
fn two_who_do_not_know_where_the_other_is_hear_it_from_those_who_know_both() {
    let mut world = World::of(4);
    let forget = |world: &mut World| {
        for (one, other) in [(2, 3), (3, 2)] {
            let id = world.id_of(other, one);
            let peer = world.parties[one].call.peers.members.get_mut(&id).unwrap();
            assert!(peer.link.is_none(), "the connection is gone");
            (peer.remote, peer.next_dial) = (None, None);
            peer.addresses.clear();
        }
    };
    world.partition(&[2], &[3]);
    world.run(secs(40));
    world.agree(&[0, 1, 2, 3]);
    forget(&mut world);
    world.apart.clear();
    world.run(secs(60));
    world.talk(&[0, 1, 2, 3]);
}

#[test]
fn on_the_way_back_nobody_on_the_line_learns_a_name() {
    let mut world = World::of(5);
    let names: Vec<_> = world.view(0).members.iter().map(|m| m.claimed.clone()).collect();
    world.carried.clear();
    world.partition(&[0, 1, 2], &[3, 4]);
    world.run(secs(40));
    world.apart.clear();
    world.run(secs(30));
    world.agree(&[0, 1, 2, 3, 4]);
    assert!(world.saw(3, |e| matches!(e, Event::Returning(true))) >= 1);
    for name in names {
        // Shorter ones stand in random bytes by chance.
        assert!(name.len() >= 4, "{name}");
        let name = name.as_bytes();
        let named = |b: &bytes::Bytes| b.windows(name.len()).any(|w| w == name);
        assert!(!world.carried.iter().any(named), "{name:?}");
    }
}
