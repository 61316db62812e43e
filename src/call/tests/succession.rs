//! The sequencer is gone, or does not do its work.

use super::*;

fn successions(world: &World, party: usize) -> Vec<bool> {
    let events = world.parties[party].events.iter();
    events
        .filter_map(|e| match e {
            Event::Succession { split } => Some(*split),
            _ => None,
        })
        .collect()
}

#[test]
fn a_dead_sequencer_is_succeeded_within_five_seconds() {
    let mut world = World::of(4);
    world.cut.push(0);
    world.run(secs(5));
    for party in 1..4 {
        assert_eq!(successions(&world, party), [false], "{party}");
        assert_eq!(world.view(party).sequencer, Some(world.id_of(1, 2)));
        assert!(!world.view(party).split);
    }
    world.talk(&[1, 2, 3]);
    // Lost, in the end removed; the rest agree.
    world.run(secs(25));
    world.agree(&[1, 2, 3]);
}

#[test]
fn of_two_people_the_one_left_goes_on_in_a_branch_of_its_own() {
    let mut world = World::of(2);
    world.cut.push(0);
    world.run(secs(6));
    assert!(successions(&world, 1).is_empty());
    world.run(secs(4));
    assert_eq!(successions(&world, 1), [true]);
    assert!(world.view(1).split);
    world.run(secs(25));
    world.agree(&[1]);
}

#[test]
fn without_whom_a_branch_began_is_said_until_they_are_heard_in_it() {
    let mut world = World::of(4);
    let founder = world.view(3).members[0].name.clone();
    assert_eq!(world.view(3).without, None);
    world.cut.push(0);
    world.run(secs(5));
    for party in 1..4 {
        assert_eq!(world.view(party).without.as_ref(), Some(&founder), "{party}");
    }
    // Still so after another change.
    world.user(2, Command::Rekey);
    world.run(secs(2));
    assert_eq!(world.view(2).without.as_ref(), Some(&founder));
    world.cut.clear();
    world.run(secs(20));
    world.agree(&[0, 1, 2, 3]);
    for party in 0..4 {
        assert_eq!(world.view(party).without, None, "{party}");
    }
}

#[test]
fn a_short_outage_changes_nothing() {
    for n in [2, 4] {
        let mut world = World::of(n);
        let epoch = world.view(0).epoch;
        world.cut.push(0);
        world.run(Duration::from_millis(if n == 2 { 6500 } else { 1500 }));
        world.cut.clear();
        world.run(secs(3));
        let all: Vec<_> = (0..n).collect();
        world.agree(&all);
        assert_eq!(world.view(0).epoch, epoch);
        world.user(1, Command::Rekey);
        world.run(secs(2));
        world.agree(&all);
        assert!(world.view(0).epoch > epoch);
    }
}

#[test]
fn a_sequencer_heard_through_others_is_not_silent() {
    let mut world = World::of(4);
    let epoch = world.view(0).epoch;
    // Ben and Ada don't reach each other.
    world.partition(&[0], &[1]);
    world.run(secs(60));
    world.agree(&[0, 1, 2, 3]);
    assert_eq!(world.view(0).epoch, epoch);
    let pair = (world.id_of(0, 2), world.id_of(1, 2));
    assert_eq!(world.view(2).unreachable, [pair]);
    world.user(0, Command::Rekey);
    world.run(secs(3));
    world.agree(&[0, 1, 2, 3]);
    assert!(world.view(1).epoch > epoch);
}

#[test]
fn half_connected_members_choose_whoever_reaches_most() {
    let mut world = World::of(6);
    // Ben reaches Cleo only; Cleo reaches all. Then Ada dies.
    world.partition(&[1], &[3, 4, 5]);
    world.run(secs(4));
    world.cut.push(0);
    world.run(secs(6));
    let cleo = world.id_of(2, 3);
    for party in 1..6 {
        assert_eq!(world.view(party).sequencer, Some(cleo), "{party}");
        assert_eq!(successions(&world, party), [false], "{party}");
    }
}

#[test]
fn two_sequencers_in_a_row_may_die() {
    let mut world = World::of(5);
    world.cut.push(0);
    world.run(secs(5));
    world.cut.push(1);
    world.run(secs(5));
    // Three of five are left: still a majority.
    for party in 2..5 {
        assert_eq!(successions(&world, party), [false, false], "{party}");
    }
    world.talk(&[2, 3, 4]);
    world.run(secs(30));
    world.agree(&[2, 3, 4]);
}

#[test]
fn the_sequencer_that_comes_back_follows_its_successor() {
    let mut world = World::of(3);
    world.cut.push(0);
    world.run(secs(6));
    world.cut.clear();
    world.run(secs(15));
    world.agree(&[0, 1, 2]);
    world.talk(&[0, 1, 2]);
}

#[test]
fn a_wish_to_leave_reaches_the_successor() {
    let mut world = World::of(4);
    world.cut.push(0);
    world.run(secs(5));
    world.user(3, Command::Leave);
    world.run(secs(2));
    assert_eq!(world.ended(3), Some(&EndReason::Left));
    assert_eq!(world.names(1), ["Ada Byron", "Ben Nevis", "Cleo Stone"]);
    assert_eq!(world.names(2), world.names(1));
}

#[test]
fn waking_members_seal_nothing_before_the_sequencer_answers() {
    let mut world = World::of(3);
    world.sleep(2, secs(5));
    world.audio(2, 9);
    assert_eq!(world.view(2).held, Some(Held::Woke));
    world.run(Duration::from_millis(30));
    assert_eq!((world.heard(0, 9), world.heard(1, 9)), (0, 0));
    world.run(Duration::from_millis(100));
    assert_eq!(world.view(2).held, None);
    world.agree(&[0, 1, 2]);
    world.talk(&[0, 1, 2]);
}

#[test]
fn when_all_have_slept_they_find_each_other_again() {
    for people in [2, 3] {
        let mut world = World::of(people);
        (0..people).for_each(|party| world.parties[party].awake = false);
        world.run(secs(5));
        for party in 0..people {
            world.parties[party].awake = true;
            world.parties[party].slept += secs(5);
            world.input(party, Input::Woke);
        }
        (0..people).for_each(|party| assert_eq!(world.view(party).held, Some(Held::Woke)));
        world.run(secs(4));
        let all: Vec<_> = (0..people).collect();
        all.iter().for_each(|party| assert_eq!(world.view(*party).held, None));
        world.agree(&all);
        world.talk(&all);
    }
}

#[test]
fn two_who_slept_do_not_vouch_for_each_other_without_the_sequencer() {
    let mut world = World::of(3);
    world.partition(&[0], &[1, 2]);
    world.sleep(1, Duration::from_millis(100));
    world.sleep(2, Duration::from_millis(100));
    world.run(Duration::from_millis(1500));
    for party in [1, 2] {
        assert_eq!(world.view(party).held, Some(Held::Woke), "{party}");
    }
}

#[test]
fn whoever_slept_through_a_removal_seals_nothing_for_the_removed() {
    let mut world = World::of(4);
    let dora = world.id_of(3, 0);
    world.parties[2].awake = false;
    world.run(secs(1));
    world.user(0, Command::Remove(dora));
    world.run(secs(8));
    assert!(matches!(world.ended(3), Some(EndReason::Removed { .. })));
    world.parties[2].awake = true;
    world.parties[2].slept += secs(9);
    world.input(2, Input::Woke);
    world.carried.clear();
    for _ in 0..50 {
        world.audio(2, 9);
        world.run(Duration::from_millis(10));
    }
    world.run(secs(2));
    world.agree(&[0, 1, 2]);
    assert_eq!(world.heard(3, 9), 0);
}

#[test]
fn after_ten_seconds_of_silence_nothing_is_sealed_in_the_epoch_of_before() {
    let mut world = World::of(3);
    let before = world.view(2).epoch;
    // All messages from and to Cleo stand still; the connections don't end.
    world.cut.push(2);
    world.run(secs(7));
    assert_eq!(world.view(2).held, None);
    world.run(secs(3));
    for _ in 0..60 {
        world.run(Duration::from_millis(100));
        // She leads a branch of her own by then; `claim_24` has somebody who waits for another
        // to lead, and is held.
        let view = world.view(2);
        assert!(view.held == Some(Held::CutOff) || view.epoch > before, "{view:?}");
    }
    assert!(world.view(2).split);
    assert!(world.view(2).without.is_some());
}

#[test]
fn a_hand_over_that_somebody_passes_on_late_is_as_old_as_the_word_of_whoever_handed_over() {
    let mut world = World::of(4);
    let before = world.view(3).epoch;
    // Dora misses how Ada hands over to Ben, and hears of it from Cleo, once, six seconds later.
    world.partition(&[3], &[0, 1, 2]);
    world.user(0, Command::Leave);
    world.run(secs(6));
    assert_eq!(world.view(3).epoch, before);
    world.apart.remove(&(2, 3));
    while world.view(3).epoch == before {
        world.run(Duration::from_millis(1));
    }
    world.partition(&[3], &[2]);
    assert_eq!(world.view(3).sequencer, Some(world.id_of(1, 3)));
    world.run(secs(2));
    assert_eq!(world.view(3).held, None);
    world.run(secs(3));
    assert_eq!(world.view(3).held, Some(Held::CutOff));
}

#[test]
fn a_sequencer_heard_again_leads_on_in_a_later_term() {
    let mut world = World::of(5);
    // Ben and Cleo are cut off from the rest, long enough to have granted each other.
    world.partition(&[1, 2], &[0, 3, 4]);
    world.run(Duration::from_millis(6700));
    world.apart.clear();
    world.run(secs(2));
    let term = world.parties[0].call.group.as_ref().unwrap().state().term;
    world.user(0, Command::Rekey);
    world.run(secs(2));
    world.agree(&[0, 1, 2, 3, 4]);
    assert!(term > 0, "the term was renewed");
    for party in 0..5 {
        assert_eq!(world.saw(party, |e| matches!(e, Event::Returning(true))), 0);
    }
}
