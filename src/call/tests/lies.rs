//! Reports that lie, and reports that are only seemingly bad news.

use super::*;
use crate::media::frame::{CodedVideo, Size};
use crate::wire::control::MemberMessage;
use crate::wire::report::{Arrival, Report};
use crate::wire::sframe::{Kid, StreamKind};

fn picture(world: &mut World, party: usize, to: u32, number: u32) {
    let video = CodedVideo {
        number,
        at: MediaTime(u64::from(number) * 66_000),
        keyframe: number == 0,
        size: Size::new(80, 48),
        bytes: vec![1; 300].into(),
        room: 0,
    };
    world.input(party, Input::Coded(vec![MemberId(to)], Coded::Video(video)));
}

#[test]
fn pictures_of_other_sizes_for_others_are_no_loss() {
    let mut world = World::three();
    for n in 0..150u32 {
        world.audio(0, n as u8);
        picture(&mut world, 0, 1, n);
        picture(&mut world, 0, 2, n);
        world.run(Duration::from_millis(20));
    }
    let now = world.now_of(0).mono;
    for (member, budget) in world.parties[0].call.budgets(now) {
        assert_eq!(budget.loss, 0.0, "{member}: {budget:?}");
    }
}

#[test]
fn without_sound_lost_pictures_are_counted() {
    let mut world = World::of(2);
    for n in 0..100u32 {
        if n == 40 {
            world.partition(&[0], &[1]);
        }
        if n == 60 {
            world.apart.clear();
        }
        picture(&mut world, 0, 1, n);
        world.run(Duration::from_millis(20));
    }
    let now = world.now_of(0).mono;
    let budgets = world.parties[0].call.budgets(now);
    assert!(budgets.values().all(|budget| budget.loss > 0.1), "{budgets:?}");
}

#[test]
fn a_clock_at_the_end_of_time_and_back_again_is_no_arithmetic_error() {
    let mut world = World::three();
    for n in 0..200u64 {
        world.audio(0, n as u8);
        world.run(Duration::from_millis(20));
        let view = world.view(0);
        let kid = Kid::new(StreamKind::Audio, 0, view.epoch).unwrap().to_u64() as u16;
        let ends = [i64::MAX as u64, 0, u64::MAX, 1 << 50, i64::MAX as u64 - 1];
        let arrival_us = ends[n as usize % 5];
        let entries = (0..n).map(|ctr| Arrival { kid, ctr, arrival_us }).collect();
        let lost = if n % 2 == 0 { u32::MAX } else { 0 };
        let report = MemberMessage::Report(Report { entries, lost, late: lost });
        let now = world.now_of(0);
        world.parties[0].call.member_message(MemberId(1), report, now);
    }
    let now = world.now_of(0).mono;
    let budgets = world.parties[0].call.budgets(now);
    // What Ben says is his own affair.
    assert_eq!(budgets[&MemberId(2)].loss, 0.0);
    assert!(budgets.values().all(|b| (0.0..=1.0).contains(&b.loss)), "{budgets:?}");
}

#[test]
fn the_same_wish_a_thousand_times_is_one_event() {
    let mut world = World::of(2);
    let tracks = MemberMessage::Tracks { mic: false, camera: true };
    let before = world.saw(0, |e| matches!(e, Event::Tracks(..)));
    for _ in 0..1000 {
        let now = world.now_of(0);
        world.parties[0].call.member_message(MemberId(1), tracks.clone(), now);
    }
    world.run(Duration::from_millis(20));
    assert_eq!(world.saw(0, |e| matches!(e, Event::Tracks(..))), before + 1);
}
