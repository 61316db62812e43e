//! Knocking and being turned away.

use super::*;
use crate::wire::control::Control;

#[test]
fn headless_without_admit_refuses_at_once() {
    let mut world = World::new();
    let ada = world.host(Admit::Nobody);
    let ben = world.join("Ben Nevis", world.invite(ada));
    world.run(Duration::from_secs(1));
    assert_eq!(world.ended(ben), Some(&EndReason::Refused(RefusedWhy::Declined)));
    assert_eq!(world.names(ada), ["Ada Byron"]);
}

#[test]
fn an_unanswered_knock_ends_after_two_minutes() {
    let mut world = World::new();
    let ada = world.host(Admit::Ask);
    let ben = world.join("Ben Nevis", world.invite(ada));
    world.run(Duration::from_secs(119));
    assert_eq!(world.ended(ben), None);
    assert_eq!(world.view(ada).knocks.len(), 1);
    world.run(Duration::from_secs(3));
    assert_eq!(world.ended(ben), Some(&EndReason::Refused(RefusedWhy::Declined)));
    assert!(world.view(ada).knocks.is_empty());
}

#[test]
fn a_used_up_or_unknown_invite_says_so() {
    let mut world = World::new();
    let ada = world.host(Admit::Any);
    world.parties[ada].call.config.invite_uses = 1;
    world.user(ada, Command::NewInvite(vec![address(0)]));
    let invite = world.invite(ada).to_text();
    let ben = world.join("Ben Nevis", Invite::parse(&invite).unwrap());
    world.run(Duration::from_secs(1));
    let ben = world.view(ben).my_fingerprint.to_string();
    let cleo = world.join("Cleo Stone", Invite::parse(&invite).unwrap());
    world.run(Duration::from_secs(1));
    let Some(EndReason::Refused(RefusedWhy::UsedUp(Some(by)))) = world.ended(cleo) else {
        panic!("{:?}", world.ended(cleo));
    };
    assert_eq!(by.to_string(), ben, "she learns who came in with it");
    let told = |e: &Event| matches!(e, Event::Refused { why: Refusal::UsedUp(Some(by)), .. } if by.to_string() == ben);
    assert!(world.parties[ada].events.iter().any(told), "and so does the host");

    // A secret of Eve's own under the host's name.
    let real = Invite::parse(&invite).unwrap();
    let now = world.now.wall;
    let expires = Wall(now.0 + 3_600_000);
    let forged = Invite::new(real.host, Secret::build(|b| b.fill(7)), expires, 1, vec![address(0)]);
    let eve = world.join("Eve Tapper", forged);
    world.run(Duration::from_secs(1));
    assert_eq!(world.ended(eve), Some(&EndReason::Refused(RefusedWhy::UnknownInvite)));
}

#[test]
fn somebody_else_at_the_hosts_address_is_noticed() {
    let mut world = World::new();
    let ada = world.host(Admit::Any);
    let mallory = world.host(Admit::Any);
    // Mallory knows the invite's secret (it was copied) but not Ada's key.
    let text = world.invite(ada).to_text();
    let copied = Invite::parse(&text).unwrap();
    let expires = copied.expires;
    world.parties[mallory].call.invites.push(OpenInvite {
        invite: copied,
        text,
        left: 1,
        used_by: None,
        expires,
    });
    let mut invite = world.invite(ada);
    invite.addresses = vec![address(mallory)];
    let ben = world.join("Ben Nevis", invite);
    world.run(Duration::from_secs(1));
    assert!(
        matches!(world.ended(ben), Some(EndReason::WrongIdentity(_))),
        "{:?}",
        world.ended(ben)
    );
}

#[test]
fn unreachable_lists_every_address_tried() {
    let mut world = World::new();
    let ada = world.host(Admit::Any);
    let mut invite = world.invite(ada);
    invite.addresses = vec![address(50), address(51)];
    let ben = world.join("Ben Nevis", invite);
    world.run(Duration::from_secs(1));
    let Some(EndReason::Unreachable(list)) = world.ended(ben) else { panic!("still there") };
    assert_eq!(list.len(), 2);
}

/// Ben leads, Ada is the host: what she asks for he commits. Fay has a seat, and her Welcome has just
/// left Ben. Her invite is for so many.
fn fay_has_a_seat(uses: u8) -> (World, usize) {
    let mut world = orders::led_by_ben();
    world.parties[0].call.config.invite_uses = uses;
    world.user(0, Command::NewInvite(vec![address(0)]));
    let before = world.view(1).epoch;
    let fay = world.join("Fay Wray", world.invite(0));
    while world.view(1).epoch == before {
        world.run(Duration::from_millis(1));
    }
    world.parties.iter_mut().for_each(|party| party.events.clear());
    (world, fay)
}

#[test]
fn a_welcome_whose_way_breaks_takes_another() {
    let (mut world, fay) = fay_has_a_seat(5);
    world.partition(&[0], &[1]);
    world.run(secs(6));
    world.agree(&[0, 1, 2, 3, fay]);
    world.apart.clear();
    world.run(secs(2));
    world.talk(&[0, 1, 2, 3, fay]);
    assert!(world.parties.iter().all(|p| p.call.welcomes.wake_at().is_none()), "kept for ever");
}

/// Every Welcome that is on its way to whoever brought its newcomer is gone.
fn lose_welcomes(world: &mut World) -> usize {
    let lost = |input: &Input| {
        let Input::Link(_, LinkEvent::Control(bytes)) = input else { return false };
        matches!(Control::decode(bytes), Ok(Control::WelcomeFor { .. }))
    };
    let before = world.queue.len();
    world.queue.retain(|(.., input)| !lost(input));
    before - world.queue.len()
}

#[test]
fn without_its_welcome_a_newcomer_knocks_again_and_nobody_blames_the_sequencer() {
    let (mut world, fay) = fay_has_a_seat(1);
    assert_eq!(lose_welcomes(&mut world), 1);
    let invite = world.invite(0);
    let left = |world: &World| world.view(0).invites.last().map(|invite| invite.left);
    assert_eq!(left(&world), Some(0), "her invite was for one");
    world.run(secs(20));
    // Not "an unknown invite", nor "declined".
    assert_eq!(world.ended(fay), Some(&EndReason::Refused(RefusedWhy::Unanswered)));
    for party in 0..4 {
        let bad = world.saw(party, |e| matches!(e, Event::BadGroupMessage { .. }));
        let silent = world.saw(party, |e| matches!(e, Event::SequencerSilent(true)));
        assert_eq!((bad, silent), (0, 0), "{party}");
    }
    assert_eq!(left(&world), Some(1), "it was not used");
    world.run(secs(20));
    let again = world.join("Fay Wray", invite);
    world.run(secs(3));
    world.agree(&[0, 1, 2, 3, again]);
}

#[test]
fn a_kept_welcome_ends_with_the_knock_it_is_for() {
    let (mut world, _) = fay_has_a_seat(5);
    assert_eq!(lose_welcomes(&mut world), 1);
    world.run(secs(14));
    assert!(world.parties[1].call.welcomes.wake_at().is_some());
    world.run(secs(2));
    assert!(world.parties[1].call.welcomes.wake_at().is_none());
}

#[test]
fn a_passed_on_welcome_does_not_go_back_to_where_it_came_from() {
    let (mut world, _) = fay_has_a_seat(5);
    assert_eq!(lose_welcomes(&mut world), 1);
    // Ada, who brought Fay, is out of everybody's reach; Cleo and Dora still believe that the
    // other hears her.
    world.partition(&[0], &[1, 2, 3]);
    world.run(Duration::from_millis(3100));
    let ada = world.id_of(0, 2);
    let link = |world: &World, from: usize, to: usize| {
        let id = world.id_of(to, from);
        world.parties[from].call.peers.members[&id].link.unwrap()
    };
    for (from, other) in [(2, 3), (3, 2)] {
        let id = world.id_of(other, from);
        let peer = world.parties[from].call.peers.members.get_mut(&id).unwrap();
        peer.hears.insert(ada);
    }
    let way = link(&world, 2, 3);
    let welcome = Control::WelcomeFor { proposer: ada, key: [7; 32], welcome: b"hers"[..].into() };
    let back = |world: &World| {
        let to_dora = |(_, _, from, to, input): &&(Instant, u64, usize, usize, Input)| {
            let Input::Link(_, LinkEvent::Control(bytes)) = input else { return false };
            let passed = matches!(Control::decode(bytes), Ok(Control::WelcomeFor { .. }));
            (*from, *to) == (2, 3) && passed
        };
        world.queue.iter().filter(to_dora).count()
    };
    world.input(2, Input::Link(way, LinkEvent::Control(welcome.encode().into())));
    assert_eq!(back(&world), 0);
    // From Ben it goes to Dora.
    let way = link(&world, 2, 1);
    world.input(2, Input::Link(way, LinkEvent::Control(welcome.encode().into())));
    assert_eq!(back(&world), 1);
}
