//! Who can open what, and when.

use super::*;

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
