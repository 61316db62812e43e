//! Meeting, talking, leaving.

use super::*;

#[test]
fn two_meet_and_hear_each_other() {
    let mut world = World::new();
    let ada = world.host(Admit::Any);
    let ben = world.join("Ben Nevis", world.invite(ada));
    world.run(Duration::from_secs(1));
    assert_eq!(world.names(ada), ["Ada Byron", "Ben Nevis"]);
    assert_eq!(world.names(ben), world.names(ada));
    assert_eq!(world.words(ada), world.words(ben));
    assert!(!world.words(ada).is_empty());
    world.audio(ada, 1);
    world.audio(ben, 2);
    world.run(Duration::from_millis(100));
    assert_eq!((world.heard(ben, 1), world.heard(ada, 2)), (1, 1));
}

#[test]
fn three_members_hear_each_other_and_share_words() {
    let mut world = World::three();
    for party in 0..3 {
        assert_eq!(world.names(party), ["Ada Byron", "Ben Nevis", "Cleo Stone"]);
        assert_eq!(world.words(party), world.words(0));
        world.audio(party, party as u8 + 1);
    }
    world.run(Duration::from_millis(100));
    for hearer in 0..3 {
        for speaker in 0..3 {
            let expected = usize::from(hearer != speaker);
            assert_eq!(world.heard(hearer, speaker as u8 + 1), expected, "{hearer} of {speaker}");
        }
    }
}

#[test]
fn the_host_may_leave_and_the_call_goes_on() {
    let mut world = World::three();
    world.user(0, Command::Leave);
    world.run(Duration::from_secs(2));
    assert_eq!(world.ended(0), Some(&EndReason::Left));
    for party in 1..3 {
        assert_eq!(world.names(party), ["Ben Nevis", "Cleo Stone"]);
        assert_eq!(world.words(party), world.words(1));
        assert_eq!(world.ended(party), None);
    }
    world.audio(1, 77);
    world.run(Duration::from_millis(100));
    assert_eq!(world.heard(2, 77), 1);
    // And the new one in charge can let somebody in.
    world.user(1, Command::NewInvite(vec![address(1)]));
    world.parties[1].call.config.admit = Admit::Any;
    let invite = world.invite(1);
    let dora = world.join("Dora Lind", invite);
    world.run(Duration::from_secs(2));
    assert_eq!(world.ended(dora), None);
    assert_eq!(world.names(dora), ["Ben Nevis", "Cleo Stone", "Dora Lind"]);
}

#[test]
fn a_lost_member_is_shown_then_removed_and_may_come_back() {
    let mut world = World::three();
    world.cut.push(2);
    world.run(Duration::from_secs(5));
    let view = world.view(0);
    assert!(matches!(view.members[2].link, LinkView::Lost(_)));
    world.run(Duration::from_secs(20));
    assert_eq!(world.names(0), ["Ada Byron", "Ben Nevis"]);
    assert_eq!(world.names(1), world.names(0));
}

#[test]
fn those_who_leave_at_once_dont_pass_the_lead_back_and_forth() {
    for n in 2..=4 {
        let mut world = World::of(n);
        let before = world.view(0).epoch;
        for party in 0..n {
            world.user(party, Command::Leave);
        }
        world.run(Duration::from_secs(2));
        for party in 0..n {
            assert_eq!(world.ended(party), Some(&EndReason::Left), "{party} of {n}");
            let epochs = world.saw(party, |e| matches!(e, Event::Epoch { .. })) as u64;
            assert!(epochs <= before + 2 * n as u64, "{epochs} epochs for {party} of {n}");
        }
    }
}
