//! Who can open what, and when.

use super::*;
use crate::wire::sframe::{Header, Kid, StreamKind};

#[test]
fn a_leaver_cannot_open_what_follows() {
    let mut world = World::three();
    world.user(2, Command::Leave);
    world.run(Duration::from_secs(2));
    assert_eq!(world.names(0), ["Ada Byron", "Ben Nevis"]);
    world.audio(0, 9);
    world.run(Duration::from_secs(1));
    assert_eq!((world.heard(1, 9), world.heard(2, 9)), (1, 0));
}

#[test]
fn nothing_is_sealed_before_the_roster_is_shown() {
    let mut world = World::new();
    let ada = world.host(Admit::Any);
    world.parties[ada].shows = false;
    let ben = world.join("Ben Nevis", world.invite(ada));
    world.run(Duration::from_secs(1));
    world.audio(ada, 5);
    world.run(Duration::from_secs(1));
    assert_eq!(world.heard(ben, 5), 0);
    assert!(world.view(ada).waiting_for_screen);
    assert!(world.view(ada).counters.gated > 0);
}

#[test]
fn new_keys_do_not_interrupt_the_sound() {
    let mut world = World::three();
    let epoch = world.view(0).epoch;
    let mut sent = 0;
    for i in 0..60 {
        if i == 20 {
            world.user(1, Command::Rekey);
        }
        world.audio(0, 42);
        sent += 1;
        world.run(Duration::from_millis(20));
    }
    world.run(Duration::from_millis(200));
    assert!(world.view(2).epoch > epoch);
    assert_eq!((world.heard(1, 42), world.heard(2, 42)), (sent, sent));
}

#[test]
fn whoever_gets_the_commits_of_a_crowd_late_hears_everybody_meanwhile() {
    let mut world = World::three();
    let epoch = world.view(0).epoch;
    // Ada's large messages are long on their way to Ben.
    world.clogged.insert((0, 1), Duration::from_millis(700));
    let mut behind = 0;
    for i in 0..150 {
        if i % 6 == 0 && i < 24 {
            world.join(NAMES[3 + i / 6], world.invite(0));
        }
        world.audio(2, 42);
        world.run(Duration::from_millis(20));
        behind = behind.max(world.view(2).epoch - world.view(1).epoch);
    }
    world.run(Duration::from_millis(100));
    assert!(behind >= 2, "{behind}");
    assert_eq!((world.view(1).epoch, world.view(1).members.len()), (epoch + 4, 7));
    assert_eq!((world.heard(0, 42), world.heard(1, 42)), (150, 150));
    // Nobody was made to wait longer than for Ben's word.
    assert!(world.heard(6, 42) >= 50, "{}", world.heard(6, 42));
}

#[test]
fn a_newcomer_waits_a_second_and_a_half_at_most_for_whoever_never_says_to_be_there() {
    let mut world = World::three();
    world.clogged.insert((0, 1), secs(30));
    let dora = world.join("Dora Lind", world.invite(0));
    world.run(Duration::from_millis(500));
    assert_eq!(world.names(dora).len(), 4);
    world.audio(2, 42);
    world.run(Duration::from_millis(100));
    assert_eq!((world.heard(1, 42), world.heard(dora, 42)), (1, 0), "too early");
    world.run(Duration::from_millis(1400));
    world.audio(2, 43);
    world.run(Duration::from_millis(100));
    assert_eq!(world.heard(dora, 43), 1);
}

#[test]
fn nobody_is_waited_for_when_somebody_was_removed() {
    let mut world = World::of(4);
    world.clogged.insert((0, 1), Duration::from_millis(700));
    let sealed_for = |world: &World| {
        let mut epochs: Vec<_> =
            world.carried.iter().filter_map(|b| Header::decode(b).ok()).collect();
        epochs.retain(|(header, _)| {
            Kid::from_u64(header.kid).is_ok_and(|k| k.stream == StreamKind::Audio)
        });
        epochs.last().map(|(header, _)| Kid::from_u64(header.kid).unwrap())
    };
    let removed = world.id_of(3, 0);
    let epoch = world.view(0).epoch;
    world.user(0, Command::Remove(removed));
    assert_eq!(world.view(0).epoch, epoch + 1);
    world.audio(0, 42);
    assert!(sealed_for(&world).is_some_and(|kid| kid.is_of_epoch(epoch + 1)));
    // Ben learns of it late, and nothing is lost by that but time.
    world.run(secs(1));
    assert_eq!((world.heard(2, 42), world.heard(1, 42)), (1, 1));
}
