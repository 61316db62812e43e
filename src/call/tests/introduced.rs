//! People let in by a branch that gives way, and strangers who speak as members.

use super::*;
use crate::wire::control::{Acquaintance, Control};

/// Dora and Emil are cut off, Dora lets Fay in there; then all can reach each other again.
fn fay_came_in_meanwhile(admit: Admit) -> World {
    let mut world = World::of(5);
    world.parties[0].call.config.admit = admit;
    world.partition(&[0, 1, 2], &[3, 4, 5]);
    world.run(secs(40));
    assert!(world.view(3).split && world.view(3).may_decide);
    world.parties[3].call.config.admit = Admit::Any;
    world.user(3, Command::NewInvite(vec![address(3)]));
    let fay = world.join("Fay Wray", world.invite(3));
    world.run(secs(3));
    world.agree(&[3, 4, fay]);
    world.apart.clear();
    world
}

fn knock_at(world: &World, party: usize) -> Option<KnockId> {
    world.parties[party].events.iter().find_map(|event| match event {
        Event::Knock { id, introduced: true, .. } => Some(*id),
        _ => None,
    })
}

#[test]
fn whoever_was_let_in_by_a_branch_that_gave_way_comes_along() {
    let mut world = fay_came_in_meanwhile(Admit::Any);
    world.run(secs(20));
    world.agree(&[0, 1, 2, 3, 4, 5]);
    world.talk(&[0, 1, 2, 3, 4, 5]);
}

#[test]
fn and_only_if_somebody_who_may_let_people_in_says_so() {
    let mut world = fay_came_in_meanwhile(Admit::Ask);
    world.run(secs(20));
    world.agree(&[0, 1, 2, 3, 4]);
    let knock = knock_at(&world, 0).expect("a knock");
    let shown = world.view(0).knocks;
    assert!(shown.iter().any(|k| k.id == knock && k.introduced && k.name == "Fay Wray"));
    assert!((1..6).all(|party| knock_at(&world, party).is_none()), "only the host is asked");
    world.user(0, Command::Admit(knock));
    world.run(secs(10));
    world.agree(&[0, 1, 2, 3, 4, 5]);
    world.talk(&[0, 1, 2, 3, 4, 5]);
}

#[test]
fn whoever_is_turned_away_is_not_asked_about_again() {
    let mut world = fay_came_in_meanwhile(Admit::Ask);
    world.run(secs(20));
    let knock = knock_at(&world, 0).expect("a knock");
    world.user(0, Command::Decline(knock));
    world.run(secs(40));
    world.agree(&[0, 1, 2, 3, 4]);
    assert_eq!(world.saw(0, |e| matches!(e, Event::Knock { .. })), 4 + 1, "four joined, one asked");
}

#[test]
fn nobody_is_introduced_into_a_locked_call() {
    let mut world = fay_came_in_meanwhile(Admit::Any);
    world.user(0, Command::Lock);
    world.run(secs(20));
    world.agree(&[0, 1, 2, 3, 4]);
}

/// Gives `party` this message on its connection with the member that sits at `from`.
fn say(world: &mut World, party: usize, from: MemberId, message: &Control) {
    let links = world.parties[party].call.view_links();
    let (_, link) = *links.iter().find(|(member, _)| *member == from).unwrap();
    world.input(party, Input::Link(link, LinkEvent::Control(message.encode().into())));
}

#[test]
fn introductions_are_bounded_and_push_nobody_out() {
    let mut world = World::of(4);
    // Dora is lost, and may come back.
    world.partition(&[0, 1, 2], &[3]);
    world.run(secs(40));
    let before = world.parties[0].call.holdings().former;
    assert_eq!(before, 1);
    for flood in 0..8u8 {
        let people = (0..60).map(|n| Acquaintance {
            key: [flood.wrapping_mul(30).wrapping_add(n); 32],
            identity: [n; 32],
            addresses: Vec::new(),
        });
        let ben = world.id_of(1, 0);
        say(&mut world, 0, ben, &Control::Introduce(people.collect()));
    }
    let after = world.parties[0].call.holdings().former;
    assert_eq!(after, before + introduce::MAX_INTRODUCED);
    world.apart.clear();
    world.run(secs(30));
    world.agree(&[0, 1, 2, 3]);
}

#[test]
fn nobody_follows_an_introduced_person_into_another_branch() {
    // Ben introduces Mallory, who holds a call of her own, to Ada.
    let mut world = World::of(3);
    let mallory = world.host(Admit::Any);
    let call = &world.parties[mallory].call;
    let person = Acquaintance {
        key: call.leaf_key().public(),
        identity: call.identity.public().0,
        addresses: vec![address(mallory)],
    };
    let ben = world.id_of(1, 0);
    say(&mut world, 0, ben, &Control::Introduce(vec![person]));
    world.run(secs(20));
    assert_eq!(world.saw(0, |e| matches!(e, Event::Returning(true))), 0);
    world.agree(&[0, 1, 2]);
}

#[test]
fn identities_are_told_only_to_those_who_know_the_group() {
    let mut world = World::three();
    world.carried.clear();
    let ben = world.id_of(1, 0);
    say(&mut world, 0, ben, &Control::Who { tag: [0; 32] });
    world.run(secs(1));
    let ada = world.parties[0].call.identity.public().0;
    let told = |b: &bytes::Bytes| b.windows(32).any(|w| w == ada);
    assert!(!world.carried.iter().any(told));
    assert_eq!(world.view(0).counters.refused, 1);
}

#[test]
fn only_members_introduce_people() {
    let mut world = World::of(3);
    world.partition(&[0, 1], &[2]);
    world.run(secs(40));
    // Cleo is out as lost, and reaches Ada again: not a member yet.
    world.apart.clear();
    let cleo = world.parties[2].call.leaf_key().public();
    let link_of =
        |world: &World| world.parties[0].call.former.list.get(&cleo).and_then(|former| former.link);
    for _ in 0..2000 {
        if link_of(&world).is_none() {
            world.run(Duration::from_millis(10));
        }
    }
    let link = link_of(&world).expect("Cleo dials again");
    let before = world.parties[0].call.holdings().former;
    let stranger = Acquaintance { key: [9; 32], identity: [9; 32], addresses: Vec::new() };
    let message = Control::Introduce(vec![stranger]);
    world.input(0, Input::Link(link, LinkEvent::Control(message.encode().into())));
    assert_eq!(world.parties[0].call.holdings().former, before);
}
