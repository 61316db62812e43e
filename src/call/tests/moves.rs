//! Machines that move to another network in mid-call.

use super::*;

/// The connection by which one participant reaches another.
fn direct(world: &World, from: usize, to: usize) -> LinkId {
    let id = world.id_of(to, from);
    let view = world.view(from);
    match view.members.iter().find(|m| m.id == id).map(|m| m.link) {
        Some(LinkView::Direct(link, _)) => link,
        _ => panic!("{from} does not reach {to}"),
    }
}

#[test]
fn a_host_that_moved_dials_anew_and_nobody_is_missed() {
    let mut world = World::three();
    world.run(secs(15));
    let epoch = world.view(0).epoch;
    let before = [1, 2].map(|other| (other, direct(&world, 0, other)));
    world.parties[0].address = address(9);
    for (other, link) in before {
        world.input(0, Input::Moved { link, ours: true, remote: address(other) });
    }
    world.run(Duration::from_millis(200));
    for (other, link) in before {
        assert_ne!(direct(&world, 0, other), link);
        assert!(world.other_end(0, link).is_none(), "the old one is closed");
        let ends = world.other_end(0, direct(&world, 0, other));
        assert_eq!(ends, Some((other, direct(&world, other, 0))));
    }
    world.audio(0, 77);
    world.run(secs(5));
    assert!([1, 2].iter().all(|other| world.heard(*other, 77) == 1));
    assert!((0..3).all(|party| world.saw(party, |e| matches!(e, Event::Lost(..))) == 0));
    assert!((0..3).all(|party| world.view(party).epoch == epoch));
}

#[test]
fn whoever_dialled_is_moved_by_quic_and_dials_nobody() {
    let mut world = World::three();
    world.run(secs(15));
    let link = direct(&world, 2, 0);
    let pairs = world.pairs.len();
    world.input(2, Input::Moved { link, ours: true, remote: address(0) });
    let there = direct(&world, 0, 2);
    world.input(0, Input::Moved { link: there, ours: false, remote: address(12) });
    world.run(secs(1));
    assert_eq!(world.pairs.len(), pairs);
    assert_eq!((direct(&world, 2, 0), direct(&world, 0, 2)), (link, there));
}
