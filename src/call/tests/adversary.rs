//! Noise, forgeries and eavesdroppers.

use super::*;

#[test]
fn names_and_secrets_are_not_on_the_line_even_without_tls() {
    let mut world = World::three();
    let text = world.invite(0);
    let secret: &[u8] = text.secret.expose();
    world.audio(0, 1);
    world.run(Duration::from_secs(1));
    let all: Vec<u8> = world.carried.iter().flat_map(|b| b.to_vec()).collect();
    let contains = |needle: &[u8]| all.windows(needle.len()).any(|w| w == needle);
    for needle in [b"Ada Byron".as_slice(), b"Ben Nevis", b"Cleo Stone", secret, &[1u8; 40]] {
        assert!(!contains(needle));
    }
    for party in &world.parties {
        assert!(!contains(&party.call.identity.public().0), "an identity key in clear");
    }
}

#[test]
fn garbage_on_every_channel_is_dropped_and_the_call_goes_on() {
    let mut world = World::three();
    let links: Vec<_> = world.parties[0].call.view_links();
    for (_, link) in &links {
        for len in [0usize, 1, 7, 40, 300] {
            let noise: Vec<u8> = (0..len).map(|i| (i * 37 + len) as u8).collect();
            world.input(0, Input::Link(*link, LinkEvent::Datagram(noise.clone().into())));
            world.input(0, Input::Link(*link, LinkEvent::Frame(noise.into())));
        }
    }
    world.audio(0, 6);
    world.run(Duration::from_millis(100));
    assert_eq!((world.heard(1, 6), world.heard(2, 6)), (1, 1));
}

#[test]
fn a_member_cannot_speak_as_another() {
    let mut world = World::three();
    world.carried.clear();
    world.audio(1, 3);
    world.run(Duration::from_millis(100));
    let heard = world.heard(0, 3);
    // Cleo repeats Ben's frame on her own connection.
    let frame = world.carried.iter().find(|b| b.len() > 60 && b.len() < 120).unwrap().clone();
    let (_, link) =
        *world.parties[0].call.view_links().iter().find(|(m, _)| *m == MemberId(2)).unwrap();
    world.input(0, Input::Link(link, LinkEvent::Datagram(frame)));
    assert_eq!(world.heard(0, 3), heard);
    let view = world.view(0);
    assert_eq!(view.counters.forged, 1);
    assert_eq!(view.members.iter().find(|m| m.id == MemberId(2)).unwrap().forged, 1);
}

#[test]
fn an_equivocating_sequencer_is_named_and_shut_out() {
    use crate::group::forge::Forgery;
    use crate::wire::control::Control;
    let mut world = World::of(5);
    let all = [1, 2, 3, 4];
    let ada: Vec<_> = all.iter().map(|p| world.id_of(0, *p)).collect();
    let now = world.now_of(0);
    // Ada tells Ben another story than Cleo, Dora and Emil.
    let call = &mut world.parties[0].call;
    let group = call.group.as_mut().unwrap();
    let check = changes::Checker { group_id: group.id(), now: now.wall };
    let stories = [(); 2].map(|()| group.forge(Forgery::Commit, &check).unwrap());
    for party in all {
        let key = world.parties[party].call.leaf_key().public();
        let member = world.parties[0].call.member_with_key(&key).unwrap();
        let link = world.parties[0].call.peers.link(member).unwrap();
        let (_, there) = world.other_end(0, link).unwrap();
        let bundle = Control::Bundle(stories[usize::from(party != 1)].clone().into());
        let event = LinkEvent::Control(bundle.encode().into());
        world.later(0, party, Input::Link(there, event));
    }
    world.cut.push(9);
    world.run(Duration::from_millis(500));
    for (party, ada) in all.iter().zip(ada) {
        let named = |e: &Event| matches!(e, Event::Equivocation { by, .. } if *by == ada);
        assert_eq!(world.saw(*party, named), 1, "{party}");
        assert!(world.view(*party).members[0].shut_out || world.view(*party).members.len() == 4);
    }
    // Ada's own group refuses her now, too.
    world.forgive = true;
    world.run(secs(40));
    world.agree(&all);
    world.talk(&all);
    assert!(!world.names(1).contains(&"Ada Byron".to_string()));
}
