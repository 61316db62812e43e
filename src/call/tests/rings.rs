//! Calling a contact without an invite.

use super::*;
use crate::call::handshake::{Door, PhaseState};
use crate::identity::IdentityPublic;

/// Two people who have each other's key, the lower key first.
fn pair(world: &mut World) -> (Arc<IdentityKey>, Arc<IdentityKey>) {
    let (a, b) = (world.identity(), world.identity());
    if a.public() < b.public() { (a, b) } else { (b, a) }
}

fn pinned(name: &str, them: IdentityPublic, admit: Admit) -> CallConfig {
    let mut config = config(name, admit);
    config.known.push(Known {
        identity: them,
        petname: None,
        names: Vec::new(),
        note: "met 2026-08-29, not verified".into(),
    });
    config
}

impl World {
    fn listen(&mut self, me: &Arc<IdentityKey>, them: IdentityPublic, admit: Admit) -> usize {
        let mut config = pinned("Ben Nevis", them, admit);
        config.addresses = vec![address(self.parties.len())];
        let call = Call::listen(config, Arc::clone(me), self.now, &mut self.rng).unwrap();
        self.add(call)
    }

    fn ring(&mut self, me: &Arc<IdentityKey>, them: IdentityPublic, at: Vec<SocketAddr>) -> usize {
        let mut config = pinned("Ada Byron", them, Admit::Nobody);
        config.addresses = vec![address(self.parties.len())];
        let call = Call::ring(config, Arc::clone(me), them, at, self.now, &mut self.rng);
        self.add(call)
    }

    fn has(&self, party: usize, wanted: impl Fn(&Event) -> bool) -> bool {
        self.parties[party].events.iter().any(wanted)
    }
}

#[test]
fn a_contact_hears_a_ring_answers_and_both_are_in_one_call() {
    let mut world = World::new();
    let (a, b) = pair(&mut world);
    let ben = world.listen(&b, a.public(), Admit::Ask);
    let ada = world.ring(&a, b.public(), vec![address(77), address(ben)]);
    world.run(Duration::from_secs(2));
    let knock = world.parties[ben].call.view().knocks[0].clone();
    assert!(knock.ring && knock.known.is_some());
    assert_eq!(knock.fingerprint, Fingerprint::of(&a.public()));
    world.user(ben, Command::Admit(knock.id));
    world.run(Duration::from_secs(1));
    assert_eq!(world.names(ada), ["Ben Nevis", "Ada Byron"]);
    assert_eq!(world.names(ben), world.names(ada));
    assert_eq!(world.words(ada), world.words(ben));
    world.audio(ada, 1);
    world.run(Duration::from_millis(100));
    assert_eq!(world.heard(ben, 1), 1);
}

#[test]
fn a_declined_or_unanswered_ring_is_told() {
    for declined in [true, false] {
        let mut world = World::new();
        let (a, b) = pair(&mut world);
        let ben = world.listen(&b, a.public(), Admit::Ask);
        let ada = world.ring(&a, b.public(), vec![address(ben)]);
        world.run(Duration::from_secs(59));
        assert_eq!(world.ended(ada), None);
        if declined {
            let knock = world.parties[ben].call.view().knocks[0].id;
            world.user(ben, Command::Decline(knock));
        }
        world.run(Duration::from_secs(2));
        let why = if declined { RefusedWhy::Declined } else { RefusedWhy::Unanswered };
        assert_eq!(world.ended(ada), Some(&EndReason::Refused(why)));
        assert!(world.parties[ben].call.view().knocks.is_empty());
    }
}

#[test]
fn whoever_is_not_pinned_there_hears_nothing_and_learns_nothing() {
    let mut world = World::new();
    let (a, b) = pair(&mut world);
    let ben = world.listen(&b, IdentityPublic([9; 32]), Admit::Any);
    let ada = world.ring(&a, b.public(), vec![address(ben)]);
    world.run(Duration::from_secs(2));
    assert!(!world.has(ben, |e| matches!(e, Event::Knock { .. })));
    let told = "answers, but does not know you";
    assert!(world.has(ada, |e| matches!(e, Event::NotReached { tried }
        if matches!(&tried[..], [(_, DialFailure::Network(why))] if why == told))));
}

#[test]
fn knowing_two_keys_is_not_having_one() {
    let mut world = World::new();
    let (a, b) = pair(&mut world);
    let ben = world.listen(&b, a.public(), Admit::Any);
    // Eve knows both public keys: she knocks like Ada, and has no key but her own.
    let eve_key = world.identity();
    let mut config = pinned("Ada Byron", b.public(), Admit::Nobody);
    config.addresses = vec![address(1)];
    let mut eve =
        Call::ring(config, eve_key, b.public(), vec![address(ben)], world.now, &mut world.rng);
    let PhaseState::Joining(joining) = &mut eve.phase else { panic!("she dials") };
    let Door::Contact(ring) = &mut joining.door else { panic!("a contact") };
    ring.me = a.public();
    world.add(eve);
    world.run(Duration::from_secs(2));
    assert!(world.has(ben, |e| matches!(e, Event::Refused { why: Refusal::BadCredential, .. })));
    assert_eq!(world.names(ben), ["Ben Nevis"]);
}

#[test]
fn somebody_else_where_the_contact_was_is_not_taken_for_them() {
    let mut world = World::new();
    let (a, b) = pair(&mut world);
    let mallory = world.identity();
    let there = world.listen(&mallory, a.public(), Admit::Any);
    let ada = world.ring(&a, b.public(), vec![address(there)]);
    world.run(Duration::from_secs(2));
    assert_eq!(world.names(there).len(), 1);
    assert!(world.has(ada, |e| matches!(e, Event::NotReached { .. })));
}

#[test]
fn both_calling_at_once_gives_one_call_with_the_lower_key_as_host() {
    for lower_first in [true, false] {
        let mut world = World::new();
        let (low, high) = pair(&mut world);
        let (first, second) = if lower_first { (&low, &high) } else { (&high, &low) };
        // Both are there before either dials.
        world.cut = vec![0, 1];
        let one = world.ring(first, second.public(), vec![address(0), address(1)]);
        let two = world.ring(second, first.public(), vec![address(1), address(0)]);
        world.queue.clear();
        world.cut.clear();
        for party in [one, two] {
            let calling = &mut world.parties[party].call;
            calling.stop_dialling(None);
            calling.dial_contact(world.now);
        }
        world.drain(one);
        world.drain(two);
        world.run(Duration::from_secs(8));
        assert_eq!(world.names(one).len(), 2, "{lower_first}");
        assert_eq!(world.words(one), world.words(two), "{lower_first}");
        let host = world.parties[one].call.view().members[0].identity;
        assert_eq!(host, low.public(), "the lower key stays host");
        for party in [one, two] {
            assert!(!world.has(party, |e| matches!(e, Event::NotReached { .. })));
        }
    }
}

#[test]
fn both_calling_shortly_after_each_other_gives_one_call() {
    for gap in [0, 1, 5, 19, 20, 21, 39, 40, 41, 60, 100, 1_000, 3_000] {
        for lower_first in [true, false] {
            let mut world = World::new();
            let (low, high) = pair(&mut world);
            let (first, second) = if lower_first { (&low, &high) } else { (&high, &low) };
            let one = world.ring(first, second.public(), vec![address(1)]);
            world.run(Duration::from_millis(gap));
            let two = world.ring(second, first.public(), vec![address(0)]);
            world.run(Duration::from_secs(8));
            assert_eq!(world.names(one).len(), 2, "{gap} {lower_first}");
            assert_eq!(world.words(one), world.words(two), "{gap} {lower_first}");
        }
    }
}

#[test]
fn nobody_joins_a_call_of_their_own() {
    let mut world = World::new();
    let (a, b) = pair(&mut world);
    let ada = world.ring(&a, b.public(), Vec::new());
    world.run(Duration::from_millis(10));
    let (invite, config) = (world.invite(ada), config("Ada Byron", Admit::Nobody));
    let own = Call::join(config, a, invite, world.now, &mut world.rng);
    assert!(matches!(own, Err(CallError::OwnInvite)));
}

#[test]
fn a_contact_who_is_not_there_gets_an_invite() {
    let mut world = World::new();
    let (a, b) = pair(&mut world);
    let ada = world.ring(&a, b.public(), vec![address(50)]);
    world.run(Duration::from_secs(2));
    assert!(world.has(ada, |e| matches!(e, Event::NotReached { tried } if tried.len() == 1)));
    assert_eq!(world.parties[ada].call.view().phase, Phase::Alone);
    let invite = world.invite(ada);
    let mut config = pinned("Ben Nevis", a.public(), Admit::Nobody);
    config.addresses = vec![address(1)];
    let call = Call::join(config, b, invite, world.now, &mut world.rng).unwrap();
    world.add(call);
    world.run(Duration::from_secs(1));
    assert_eq!(world.parties[ada].call.view().knocks.len(), 0, "no screen: refused");
}

#[test]
fn a_contact_without_addresses_gets_an_invite_at_once() {
    let mut world = World::new();
    let (a, b) = pair(&mut world);
    let ada = world.ring(&a, b.public(), Vec::new());
    world.run(Duration::from_millis(10));
    assert!(world.has(ada, |e| matches!(e, Event::NotReached { tried } if tried.is_empty())));
    assert!(!world.parties[ada].call.view().invites.is_empty());
}

#[test]
fn a_ring_into_a_call_waits_for_the_host_and_joins_it() {
    let mut world = World::new();
    let (a, b) = pair(&mut world);
    let ben = world.listen(&b, a.public(), Admit::Any);
    let cleo_key = world.identity();
    world.parties[ben].call.answer_contacts(true);
    let ada = world.ring(&a, b.public(), vec![address(ben)]);
    world.run(Duration::from_secs(1));
    world.user(ben, Command::NewInvite(vec![address(ben)]));
    let invite = world.invite(ben);
    let mut config = config("Cleo Stone", Admit::Nobody);
    config.addresses = vec![address(2)];
    let call = Call::join(config, cleo_key, invite, world.now, &mut world.rng).unwrap();
    let cleo = world.add(call);
    world.run(Duration::from_secs(2));
    for party in [ada, ben, cleo] {
        assert_eq!(world.names(party), ["Ben Nevis", "Ada Byron", "Cleo Stone"]);
    }
}

/// A call of four whose founder's program died; its key, and a new program that rings there.
fn crashed(admit: Admit) -> (World, Arc<IdentityKey>) {
    let mut world = World::new();
    let founder = world.identity();
    let mut config = config("Ada Byron", Admit::Any);
    config.addresses = vec![address(0)];
    let key = Arc::clone(&founder);
    let call = Call::host(config, key, vec![address(0)], world.now, &mut world.rng).unwrap();
    world.add(call);
    for name in &NAMES[1..4] {
        let member = world.join(name, world.invite(0));
        world.parties[member].call.config.admit = admit.clone();
        world.run(Duration::from_secs(2));
    }
    world.cut.push(0);
    (world, founder)
}

#[test]
fn whoever_crashed_comes_back_by_ringing_at_any_member() {
    // Before and after the silent seat is removed as lost; at the new sequencer and at another.
    for (dead, at) in [(6, 1), (6, 3), (40, 1), (40, 3)] {
        let (mut world, founder) = crashed(Admit::Nobody);
        world.run(Duration::from_secs(dead));
        world.user(1, Command::Tracks(Tracks { mic: true, camera: true }));
        let member = world.parties[at].call.identity.public();
        let ada = world.ring(&founder, member, vec![address(at)]);
        world.run(Duration::from_secs(3));
        for party in [1, 2, 3, ada] {
            let mut names = world.names(party);
            names.sort();
            assert_eq!(names, NAMES[..4], "{dead} s, rings at {at}: {party}");
            assert_eq!(world.words(party), world.words(1), "{dead} s, rings at {at}: {party}");
        }
        world.talk(&[1, 2, 3, ada]);
        assert!(world.has(1, |e| matches!(e, Event::Back(_))));
    }
}

#[test]
fn whoever_was_removed_or_left_does_not_come_back_by_ringing() {
    let (mut world, founder) = crashed(Admit::Any);
    world.cut.clear();
    world.forgive = true;
    let (cleo, dora) = (world.id_of(2, 0), world.id_of(3, 0));
    let keys = [2, 3].map(|party| Arc::clone(&world.parties[party].call.identity));
    let ids = [cleo, dora];
    world.user(0, Command::Remove(ids[0]));
    world.user(3, Command::Leave);
    world.run(Duration::from_secs(2));
    for key in keys {
        let back = world.ring(&key, founder.public(), vec![address(0)]);
        world.run(Duration::from_secs(3));
        let ended = world.ended(back);
        assert!(matches!(ended, Some(EndReason::Refused(_)) | None), "{ended:?}");
        assert_eq!(world.names(0), ["Ada Byron", "Ben Nevis"]);
    }
}
