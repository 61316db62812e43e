//! Attacks on those who are cut off or asleep: what was true before may be over for all others.

use super::keys::{frames, keys_of, tries};
use super::world::{Meddle, Taped, World};
use super::{Lab, LabError, Outcome, Tally, setup};
use crate::call::{Command, Held};
use crate::sim::mesh::{self, Kinds};
use crate::wire::control::Control;
use crate::wire::link::LinkEvent;
use std::time::Duration;

const ADA: usize = 0;
const BEN: usize = 1;
const CLEO: usize = 2;
/// Everybody who can talk agrees this many milliseconds after the last disturbance.
const AGREE: u64 = 30_000;
/// Longer than connections live, in milliseconds.
const CUT: u64 = 45_000;
/// Packets said at a time.
const TALK: u32 = 20;
/// Three meshes, with new sequencers, splits and healings in them.
const FEW: [u64; 3] = [24_000, 24_002, 24_009];

/// Cuts, sleepers and packets that were kept: everybody finds together again, and what belongs to
/// before is of no use to anybody.
pub(super) fn apart(lab: &mut Lab) -> Result<Outcome, LabError> {
    let mut outcome = Outcome::default();
    let asleep = doubtful(lab, Why::Asleep, &mut outcome)?;
    let cut_off = doubtful(lab, Why::CutOff, &mut outcome)?;
    let neither = doubtful(lab, Why::Neither, &mut outcome)?;
    let mut aside = Tally::default();
    let mut company = Vec::new();
    for others in [&["Ben Nevis", "Cleo Stone"][..], &["Ben Nevis", "Cleo Stone", "Dora Vale"]] {
        let (tally, heard) = follows(lab, others, &mut outcome)?;
        aside.tried += tally.tried;
        aside.got += tally.got;
        company.push(heard.to_string());
    }
    let (kept, healed, in_time) = halves(lab, &mut outcome)?;
    let (opened, meshes) = meshes(lab, &mut outcome);
    for tally in [asleep, cut_off, aside, kept, opened] {
        outcome.eve.tried += tally.tried;
        outcome.eve.got += tally.got;
    }
    outcome.control.tried += neither.tried + in_time.tried;
    outcome.control.got += neither.got + in_time.got;
    outcome.evidence = format!(
        "after her removal, which she keeps from him, Eve reads {} of {} packets of a Ben who \
         slept and {} of {} of one who is cut off ({} of {} where neither is so); where she goes on \
         with him in a branch of his own, she hears what he says with her on his roster ({} packets) \
         and opens {} of {} packets of the others, and of him when he is back; two halves agree \
         {:.1} s after the cut, and of {} packets kept in it {} are taken ({} of {} that come \
         without a cut); {meshes}",
        asleep.got,
        asleep.tried,
        cut_off.got,
        cut_off.tried,
        neither.got,
        neither.tried,
        company.join(" and "),
        aside.got,
        aside.tried,
        healed.as_secs_f64(),
        kept.tried,
        kept.got,
        in_time.got,
        in_time.tried,
    );
    Ok(outcome)
}

/// Why somebody can't know that the others went on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    Asleep,
    CutOff,
    /// They could: Eve is only a little faster.
    Neither,
}

/// Eve is Cleo: she was removed, keeps everything that tells of it from Ben – and from her own
/// program, which goes on as the member it was – and listens to him with the keys of before.
fn doubtful(lab: &Lab, why: Why, outcome: &mut Outcome) -> Result<Tally, LabError> {
    // She is before him in join order: without Ada it would be for her to lead.
    let mut world = World::call_of(lab, &["Cleo Stone", "Ben Nevis"])?;
    let (cleo_at, ben) = (1, 2);
    world.talk(&[ADA, ben, cleo_at], TALK)?;
    let keys = keys_of(&world, cleo_at, ben)?;
    let before = world.epoch(ben);
    if why == Why::Asleep {
        world.sleep(ben);
        world.run(1000)?;
    }
    world.hold(ADA, ben);
    world.hold(ADA, cleo_at);
    let cleo = world.call(cleo_at)?.me().ok_or_else(|| setup("not in the call"))?;
    world.user(ADA, Command::Remove(cleo))?;
    match why {
        Why::Asleep => {
            world.run(5000)?;
            world.wake(ben)?;
        }
        // Seen by him she is still there, in his epoch, and hears as many as he does, so he waits
        // for her to lead, which she never does. He seals on – until the fence.
        Why::CutOff => {
            world.meddle = Some(stands_still(cleo_at, ben));
            world.run(10_100)?;
        }
        Why::Neither => {}
    }
    let mark = world.tape.len();
    let said = world.said(ben);
    let lost = world.link(ben, cleo_at).is_none();
    outcome.sees("Ben has no reason to miss Cleo", !lost);
    world.talk(&[ben], 5 * TALK)?;
    // One frame goes to both of them.
    let mut sealed = frames(&world, mark, ben, cleo_at);
    sealed.extend(frames(&world, mark, ben, ADA));
    sealed.sort();
    sealed.dedup();
    let read = tries(&[&keys], &sealed)?.got;
    // What members tell each other is sealed beside what they say.
    let tried = (world.said(ben) - said).max(sealed.len() as u64);
    let tally = Tally::many(tried, read);
    if why == Why::CutOff {
        let held = world.call(ben)?.view().held;
        outcome.sees("he knows that he is cut off", held == Some(Held::CutOff));
        outcome.sees("in the epoch of before", world.epoch(ben) == before);
    }
    if why == Why::Asleep {
        // Told at last, he goes on, and she is out.
        world.release()?;
        world.run(4000)?;
        let mark = world.tape.len();
        let heard = world.heard_of(ADA, ben);
        world.talk(&[ben], TALK)?;
        world.run(100)?;
        outcome.sees("who slept follows", world.epoch(ben) == world.epoch(ADA));
        outcome.sees("into another epoch", world.epoch(ben) > before);
        outcome.sees("and is heard again", world.heard_of(ADA, ben) - heard == u64::from(TALK));
        let after = tries(&[&keys], &frames(&world, mark, ben, ADA))?;
        return Ok(Tally::many(tally.tried + after.tried, tally.got + after.got));
    }
    Ok(tally)
}

/// Eve is Cleo, removed, and keeps everything that tells of it from Ben. All he can know is that
/// the others are silent, and that Cleo, who is on his roster, goes on with him. So she hears what
/// he says with her name before his eyes; and that is all. What was opened against that, and how
/// much she heard of him.
fn follows(lab: &Lab, others: &[&str], outcome: &mut Outcome) -> Result<(Tally, u64), LabError> {
    let mut world = World::call_of(lab, others)?;
    let all: Vec<usize> = (0..=others.len()).collect();
    let rest: Vec<usize> = all.iter().copied().filter(|n| ![BEN, CLEO].contains(n)).collect();
    world.talk(&all, TALK)?;
    let mut keys = Vec::new();
    for n in &rest {
        keys.push(keys_of(&world, CLEO, *n)?);
    }
    for n in &rest {
        world.hold(*n, BEN);
        world.hold(*n, CLEO);
    }
    let cleo = world.call(CLEO)?.me().ok_or_else(|| setup("not in the call"))?;
    let mark = world.tape.len();
    world.user(ADA, Command::Remove(cleo))?;
    world.run(12_000)?;

    let named = |world: &World, n: usize, who: &str| world.names(n).iter().any(|name| name == who);
    let view = world.call(BEN)?.view();
    outcome.sees("Ben goes on with Cleo on his roster", named(&world, BEN, "Cleo Stone"));
    outcome.sees("his screen says without whom", view.without.as_deref() == Some("Ada Byron"));
    outcome.sees("and that a minority is one", view.split == (all.len() > 3));
    outcome.sees("in another epoch than the others", place(&world, BEN) != place(&world, ADA));
    let heard = world.heard_of(CLEO, BEN);
    world.talk(&all, TALK)?;
    world.run(100)?;
    let company = world.heard_of(CLEO, BEN) - heard;
    outcome.sees("he speaks to her", company > 0);
    // With the keys of before, and with all that her new epochs gave her.
    for n in &rest {
        keys.extend(keys_of(&world, CLEO, *n).ok());
    }
    keys.push(keys_of(&world, CLEO, BEN)?);
    let keys: Vec<_> = keys.iter().collect();
    let mut tally = Tally::default();
    for n in &rest {
        for to in all.iter().filter(|to| *to != n) {
            let read = tries(&keys, &frames(&world, mark, *n, *to))?;
            tally.tried += read.tried;
            tally.got += read.got;
        }
    }

    world.release()?;
    let since = world.now.mono;
    let back = |world: &World| {
        let alone = !named(world, BEN, "Cleo Stone") && !named(world, ADA, "Cleo Stone");
        alone && place(world, BEN) == place(world, ADA)
    };
    while !back(&world) && world.now.mono < since + Duration::from_millis(AGREE) {
        world.run(100)?;
    }
    outcome.sees("told at last, Ben is with the others, without Cleo", back(&world));
    outcome.sees("and nothing is unknown to him", world.call(BEN)?.view().without.is_none());
    world.run(1000)?;
    let mark = world.tape.len();
    let heard = world.heard_of(ADA, BEN);
    world.talk(&[BEN], TALK)?;
    world.run(100)?;
    outcome.sees("they hear him again", world.heard_of(ADA, BEN) - heard == u64::from(TALK));
    let after = tries(&keys, &frames(&world, mark, BEN, ADA))?;
    Ok((Tally::many(tally.tried + after.tried, tally.got + after.got), company))
}

/// Between these two nothing of the group passes; one says that it is there, where it was at first,
/// again and again.
fn stands_still(from: usize, to: usize) -> Meddle {
    let mut first = None;
    Box::new(move |taped| {
        let parties = [taped.from, taped.to];
        if parties == [to, from] {
            return Vec::new();
        }
        if parties != [from, to] {
            return vec![(Duration::ZERO, taped.event.clone())];
        }
        let LinkEvent::Control(bytes) = &taped.event else { return Vec::new() };
        if !matches!(Control::decode(bytes), Ok(Control::Heartbeat(_))) {
            return Vec::new();
        }
        vec![(Duration::ZERO, first.get_or_insert_with(|| taped.event.clone()).clone())]
    })
}

/// The mesh is cut into two halves. Eve keeps what either says into the cut, and brings it when
/// they are together again. What became of that, how long it took, and what becomes of packets
/// that come as late without a cut.
fn halves(lab: &Lab, outcome: &mut Outcome) -> Result<(Tally, Duration, Tally), LabError> {
    let mut world = World::call_of(lab, &["Ben Nevis", "Cleo Stone", "Dora Vale", "Emil Lund"])?;
    let everybody = [0, 1, 2, 3, 4];
    let (here, there) = everybody.split_at(3);
    // Control: packets kept for a moment only.
    world.hold(ADA, BEN);
    world.talk(&[ADA], TALK)?;
    let kept = world.confiscate();
    let in_time = brings(&mut world, &kept)?;

    world.part(here, there);
    world.talk(&everybody, 5 * TALK)?;
    world.run(CUT)?;
    let split = |world: &World, n: usize| world.call(n).is_ok_and(|call| call.view().split);
    let marked = there.iter().all(|n| split(&world, *n));
    outcome.sees("the smaller half knows that it is alone", marked);
    outcome.sees("the larger one goes on", here.iter().all(|n| !split(&world, *n)));
    let apart = place(&world, ADA) != place(&world, 3);
    outcome.sees("they are in different epochs", apart);
    let kept = world.heal()?;
    let healed = world.now.mono;
    let together = |world: &World| {
        let met = |n: &usize| world.names(*n).len() == 5 && place(world, *n) == place(world, ADA);
        everybody.iter().all(met)
    };
    while !together(&world) && world.now.mono < healed + Duration::from_millis(AGREE) {
        world.run(100)?;
    }
    let took = world.now.mono.saturating_duration_since(healed);
    outcome.sees("both halves agree within 30 s", together(&world));
    // Until everything about the cut is settled.
    world.run(5000)?;
    let tally = brings(&mut world, &kept)?;
    world.run(2000)?;
    outcome.sees("what was kept moves nobody", together(&world));
    let heard = |world: &World| everybody.iter().map(|n| world.heard(*n).packets).sum::<u64>();
    let before = heard(&world);
    world.talk(&everybody, TALK)?;
    world.run(200)?;
    let all = u64::from(TALK) * 20;
    outcome.sees("everybody hears everybody", heard(&world) - before == all);
    let twice = everybody.iter().map(|n| world.heard(*n).twice).sum::<u64>();
    outcome.sees("nobody heard anything twice", twice == 0);
    Ok((tally, took, in_time))
}

/// Epoch and authenticator.
fn place(world: &World, party: usize) -> Option<(u64, [u8; 32])> {
    world.call(party).ok().map(|call| call.view()).map(|view| (view.epoch, view.authenticator))
}

/// Eve, who reads and writes every connection, puts what she kept where it was meant to go: how
/// much of it is heard.
fn brings(world: &mut World, kept: &[Taped]) -> Result<Tally, LabError> {
    let mut tally = Tally::default();
    for taped in kept {
        if world.link(taped.to, taped.from).is_some() {
            let before = world.heard(taped.to).packets;
            world.inject(taped.from, taped.to, taped.event.clone())?;
            tally.add(world.heard(taped.to).packets > before);
        }
    }
    Ok(tally)
}

/// Meshes made from seeds, cut and put to sleep at random, with every rule of a group watched at
/// every step: frames opened against a rule.
fn meshes(lab: &Lab, outcome: &mut Outcome) -> (Tally, String) {
    let seeds = if lab.full { (0..100).map(|n| FEW[0] + n).collect() } else { FEW.to_vec() };
    let kinds = Kinds::PARTITION.and(Kinds::SLEEP).and(Kinds::LEAVE).and(Kinds::WEATHER);
    let (mut agree, mut epochs, mut tally) = (0, 0, Tally::default());
    let mut slowest = Duration::ZERO;
    let mut first = None;
    for seed in &seeds {
        let played = mesh::play(&mesh::Setup { kinds, ..mesh::Setup::new(*seed) });
        // Finding together too late is no breach, but no healing either.
        let (late, broken): (Vec<_>, Vec<_>) =
            played.violations.iter().partition(|v| v.rule.starts_with("everybody"));
        tally.tried += played.opened;
        tally.got += broken.len() as u64;
        first = first.or_else(|| broken.first().map(|v| format!(" (seed {seed}: {v})")));
        epochs += played.changes;
        agree += usize::from(late.is_empty());
        slowest = slowest.max(played.healed.unwrap_or_default());
    }
    // Three meshes say little about how long it takes; many have to agree without exception.
    if lab.full {
        let all = agree == seeds.len();
        outcome.sees("everybody who can talk agrees within 30 s in every mesh", all);
    }
    let text = format!(
        "{} meshes cut and put to sleep by seed: {epochs} epochs, {} frames opened, {} against \
         the rules{}, {agree} agree within 30 s (at most {:.1})",
        seeds.len(),
        tally.tried,
        tally.got,
        first.unwrap_or_default(),
        slowest.as_secs_f64()
    );
    (tally, text)
}
