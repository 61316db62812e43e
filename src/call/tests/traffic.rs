//! What agreement costs.

use super::*;

#[test]
fn sixteen_members_agree_for_a_kilobyte_a_second_each() {
    let mut world = World::of(16);
    let all: Vec<_> = (0..16).collect();
    world.agree(&all);
    for party in &mut world.parties {
        party.control = 0;
    }
    let time = 240;
    world.run(secs(time));
    world.agree(&all);
    let rate = |party: usize| world.parties[party].control / time as usize;
    assert!(rate(0) <= 8000, "sequencer: {} B/s", rate(0));
    let most = (1..16).map(rate).max().unwrap();
    assert!(most <= 1000, "member: {most} B/s");
}

#[test]
fn everybody_gets_new_keys_every_two_minutes_by_one_commit() {
    let mut world = World::of(6);
    let epoch = world.view(0).epoch;
    world.run(secs(365));
    let all: Vec<_> = (0..6).collect();
    world.agree(&all);
    assert_eq!(world.view(0).epoch, epoch + 3);
}
