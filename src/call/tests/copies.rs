//! Copies of sealed frames: heard once, whoever brings them, and never taken for more than they are.

use super::*;
use crate::wire::media::{COPY, encode_copy};

/// The last frame of sound on the line.
fn sound(world: &World) -> Bytes {
    world.carried.iter().rev().find(|b| (61..120).contains(&b.len())).unwrap().clone()
}

/// The connection on which `party` hears member `of`.
fn link(world: &World, party: usize, of: u32) -> LinkId {
    world.parties[party].call.view_links().iter().find(|(m, _)| *m == MemberId(of)).unwrap().1
}

fn bring(world: &mut World, party: usize, of: u32, bytes: Bytes) {
    let link = link(world, party, of);
    world.input(party, Input::Link(link, LinkEvent::Datagram(bytes)));
}

/// Ben's frame, which Cleo heard and Ada did not.
fn unheard() -> (World, Bytes) {
    let mut world = World::three();
    world.carried.clear();
    world.partition(&[0], &[1]);
    world.audio(1, 3);
    world.run(Duration::from_millis(100));
    assert_eq!((world.heard(0, 3), world.heard(2, 3)), (0, 1));
    let frame = sound(&world);
    (world, frame)
}

#[test]
fn a_copy_of_what_arrived_is_heard_once_and_is_no_attack() {
    let mut world = World::three();
    world.carried.clear();
    world.audio(1, 3);
    world.run(Duration::from_millis(100));
    let frame = sound(&world);
    assert_eq!(world.heard(0, 3), 1);
    for _ in 0..5 {
        bring(&mut world, 0, 1, encode_copy(&frame));
    }
    assert_eq!((world.heard(0, 3), world.view(0).counters.replayed), (1, 0));
    bring(&mut world, 0, 1, frame);
    assert_eq!((world.heard(0, 3), world.view(0).counters.replayed), (1, 1));
}

#[test]
fn a_lost_packet_is_heard_from_its_copy_and_the_late_original_is_a_replay() {
    let (mut world, frame) = unheard();
    bring(&mut world, 0, 1, encode_copy(&frame));
    assert_eq!(world.heard(0, 3), 1);
    bring(&mut world, 0, 1, frame);
    assert_eq!((world.heard(0, 3), world.view(0).counters.replayed), (1, 1));
}

#[test]
fn a_copy_on_another_members_connection_is_a_forgery() {
    let (mut world, frame) = unheard();
    bring(&mut world, 0, 2, encode_copy(&frame));
    assert_eq!((world.heard(0, 3), world.view(0).counters.forged), (0, 1));
}

#[test]
fn garbage_marked_as_a_copy_is_dropped_and_a_mark_marks_once() {
    let (mut world, frame) = unheard();
    let before = world.view(0).counters;
    bring(&mut world, 0, 1, Bytes::from_static(&[COPY]));
    bring(&mut world, 0, 1, encode_copy(&encode_copy(&frame)));
    let mut bent = frame.to_vec();
    *bent.last_mut().unwrap() ^= 1;
    bring(&mut world, 0, 1, encode_copy(&bent));
    let after = world.view(0).counters;
    assert_eq!(world.heard(0, 3), 0);
    assert_eq!(after.malformed - before.malformed, 2);
    assert_eq!(after.bad_seal - before.bad_seal, 1);
    bring(&mut world, 0, 1, encode_copy(&frame));
    assert_eq!(world.heard(0, 3), 1, "what was refused does not stand in the way");
}
