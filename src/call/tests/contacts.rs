//! A contact's name with another key: a question that blocks.

use super::*;
use crate::identity::IdentityPublic;

/// The user knows somebody of this name, with a key that nobody here has.
fn knows(config: &mut CallConfig, name: &str) {
    config.known.push(Known {
        identity: IdentityPublic([0x55; 32]),
        petname: None,
        names: vec![name.into()],
        note: "met 2026-08-29, not verified".into(),
    });
}

impl World {
    fn host_knowing(&mut self, name: &str, admit: Admit, asks: bool) -> usize {
        let identity = self.identity();
        let to = address(self.parties.len());
        let mut config = config("Ada Byron", admit);
        config.addresses = vec![to];
        knows(&mut config, name);
        let mut call = Call::host(config, identity, vec![to], self.now, &mut self.rng).unwrap();
        call.can_ask(asks);
        self.add(call)
    }

    fn join_knowing(&mut self, known: &str, invite: Invite, asks: bool) -> usize {
        let mut config = config("Ben Nevis", Admit::Nobody);
        config.addresses = vec![address(self.parties.len())];
        knows(&mut config, known);
        let identity = self.identity();
        let mut call = Call::join(config, identity, invite, self.now, &mut self.rng).unwrap();
        call.can_ask(asks);
        self.add(call)
    }

    fn proofs(&self) -> usize {
        use crate::wire::control::Control;
        let proof = |b: &&Bytes| matches!(Control::decode(b), Ok(Control::Proof(_)));
        self.carried.iter().filter(proof).count()
    }
}

#[test]
fn a_known_name_with_another_key_is_asked_about_even_if_anybody_is_let_in() {
    let mut world = World::new();
    let ada = world.host_knowing("ben nevis", Admit::Any, true);
    let ben = world.join("Ben Nevis", world.invite(ada));
    world.run(Duration::from_secs(5));
    let view = world.parties[ada].call.view();
    assert_eq!(world.names(ada), ["Ada Byron"], "not let in by the invite alone");
    let like = view.knocks[0].looks_like.clone().expect("a namesake");
    assert!(like.same_name);
    assert_ne!(like.fingerprint, view.knocks[0].fingerprint);
    world.user(ada, Command::Admit(view.knocks[0].id));
    world.run(Duration::from_secs(1));
    assert_eq!(world.names(ada), ["Ada Byron", "Ben Nevis"]);
    assert!(world.parties[ada].call.view().doubts.is_empty(), "asked once is enough");
    world.audio(ben, 7);
    world.run(Duration::from_millis(100));
    assert_eq!(world.heard(ada, 7), 1);
}

#[test]
fn without_a_screen_a_known_name_with_another_key_is_refused() {
    let mut world = World::new();
    let ada = world.host_knowing("Ben Nevis", Admit::Any, false);
    let ben = world.join("Ben Nevis", world.invite(ada));
    world.run(Duration::from_secs(2));
    assert_eq!(world.ended(ben), Some(&EndReason::Refused(RefusedWhy::Declined)));
    assert!(world.parties[ada].events.iter().any(|e| matches!(e, Event::Doubt { .. })));
    assert_eq!(world.names(ada), ["Ada Byron"]);
}

#[test]
fn a_name_that_only_looks_alike_is_a_warning_and_no_question() {
    let mut world = World::new();
    let ada = world.host_knowing("Ben Nevls", Admit::Any, false);
    world.join("Ben Nevis", world.invite(ada));
    world.run(Duration::from_secs(2));
    let view = world.parties[ada].call.view();
    let like = view.members[1].looks_like.as_ref().expect("a warning");
    assert!(!like.same_name && !view.members[1].held);
}

#[test]
fn a_host_with_a_known_name_and_another_key_is_told_nothing_before_the_user_is_sure() {
    let mut world = World::new();
    let ada = world.host(Admit::Any);
    let ben = world.join_knowing("Ada Byron", world.invite(ada), true);
    world.run(Duration::from_secs(30));
    let doubts = world.parties[ben].call.view().doubts;
    assert_eq!((doubts.len(), doubts[0].member), (1, None));
    assert_eq!(world.proofs(), 0, "the host has not learnt who knocked");
    assert_eq!(world.ended(ben), None);
    world.user(ben, Command::Believe(doubts[0].identity));
    world.run(Duration::from_secs(1));
    assert_eq!(world.names(ben), ["Ada Byron", "Ben Nevis"]);
    assert!(world.parties[ben].call.view().doubts.is_empty());
}

#[test]
fn a_host_the_user_is_not_sure_of_is_left() {
    let mut world = World::new();
    let ada = world.host(Admit::Any);
    let ben = world.join_knowing("Ada Byron", world.invite(ada), true);
    world.run(Duration::from_secs(1));
    let doubt = world.parties[ben].call.view().doubts[0].identity;
    world.user(ben, Command::Disbelieve(doubt));
    let Some(EndReason::WrongIdentity(why)) = world.ended(ben) else { panic!("it ends") };
    assert!(why.contains(&Fingerprint::of(&doubt).to_string()), "{why}");
    assert!(why.contains(&Fingerprint::of(&IdentityPublic([0x55; 32])).to_string()), "{why}");
}

#[test]
fn without_a_screen_a_changed_host_ends_the_joining() {
    let mut world = World::new();
    let ada = world.host(Admit::Any);
    let ben = world.join_knowing("Ada Byron", world.invite(ada), false);
    world.run(Duration::from_secs(1));
    assert!(matches!(world.ended(ben), Some(EndReason::WrongIdentity(_))));
    assert_eq!(world.proofs(), 0);
}

#[test]
fn nothing_goes_to_or_comes_from_a_member_in_doubt() {
    let mut world = World::new();
    let ada = world.host(Admit::Any);
    let ben = world.join_knowing("Cleo Stone", world.invite(ada), true);
    world.run(Duration::from_secs(1));
    let cleo = world.join("Cleo Stone", world.invite(ada));
    world.run(Duration::from_secs(2));
    let doubts = world.parties[ben].call.view().doubts;
    assert!(doubts[0].member.is_some());
    world.audio(ben, 1);
    world.audio(cleo, 2);
    world.run(Duration::from_millis(200));
    assert_eq!((world.heard(cleo, 1), world.heard(ben, 2)), (0, 0));
    assert_eq!((world.heard(ada, 1), world.heard(ada, 2)), (1, 1), "the others go on");
    world.user(ben, Command::WordsCompared(None));
    world.user(ben, Command::Believe(doubts[0].identity));
    let view = world.parties[ben].call.view();
    assert_eq!(view.members.iter().map(|m| m.compared).collect::<Vec<_>>(), [true, false, false]);
    world.audio(ben, 3);
    world.audio(cleo, 4);
    world.run(Duration::from_millis(200));
    assert_eq!((world.heard(cleo, 3), world.heard(ben, 4)), (1, 1));
}

#[test]
fn words_verify_those_who_were_there_when_they_were_made() {
    let mut world = World::new();
    let ada = world.host(Admit::Any);
    world.join("Ben Nevis", world.invite(ada));
    world.run(Duration::from_secs(1));
    world.user(ada, Command::WordsCompared(None));
    world.join("Cleo Stone", world.invite(ada));
    world.run(Duration::from_secs(1));
    let view = world.parties[ada].call.view();
    assert_eq!(view.members.iter().map(|m| m.compared).collect::<Vec<_>>(), [false, true, false]);
}

#[test]
fn call_words_of_other_members_are_shown_to_nobody_and_new_keys_leave_them() {
    let mut world = World::new();
    let ada = world.host(Admit::Any);
    world.join("Ben Nevis", world.invite(ada));
    world.run(Duration::from_secs(1));
    let words = world.parties[ada].call.view().words.expect("computed");
    world.user(ada, Command::Rekey);
    world.run(Duration::from_secs(1));
    let view = world.parties[ada].call.view();
    assert!(view.epoch > words.0, "new keys");
    assert_eq!(view.words, Some(words), "the members are the same, and so are the words");
    // A newcomer's words take a moment: until then those before are the newest there are.
    world.join("Cleo Stone", world.invite(ada));
    world.run(Duration::from_secs(1));
    let new = world.parties[ada].call.view().words.expect("computed");
    assert_ne!(new, words);
    world.parties[ada].call.words = Some(words);
    assert!(world.parties[ada].call.view().words.is_none());
}

#[test]
fn words_replaced_while_the_key_was_on_its_way_verify_nobody() {
    let mut world = World::new();
    let ada = world.host(Admit::Any);
    world.join("Ben Nevis", world.invite(ada));
    world.run(Duration::from_secs(1));
    let read = world.parties[ada].call.view().words.map(|(epoch, _)| epoch);
    world.join("Cleo Stone", world.invite(ada));
    world.run(Duration::from_secs(1));
    world.user(ada, Command::WordsCompared(read));
    let compared = |world: &World| {
        let view = world.parties[ada].call.view();
        view.members.iter().filter(|m| m.compared).count()
    };
    assert_eq!(compared(&world), 0);
    let now = world.parties[ada].call.view().words.map(|(epoch, _)| epoch);
    world.user(ada, Command::WordsCompared(now));
    assert_eq!(compared(&world), 2);
}
