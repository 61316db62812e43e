//! Attacks on those who are cut off or asleep: what was true before may be over for all others.

use super::keys::{frames, keys_of, tries};
use super::world::{Taped, World};
use super::{Lab, LabError, Outcome, Tally, setup};
use crate::call::Command;
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
    let (kept, healed, in_time) = halves(lab, &mut outcome)?;
    let (opened, meshes) = meshes(lab, &mut outcome);
    for tally in [asleep, cut_off, kept, opened] {
        outcome.eve.tried += tally.tried;
        outcome.eve.got += tally.got;
    }
    outcome.control.tried += neither.tried + in_time.tried;
    outcome.control.got += neither.got + in_time.got;
    outcome.evidence = format!(
        "after her removal, which she keeps from him, Eve reads {} of {} packets of a Ben who \
         slept and {} of {} of one who is cut off ({} of {} where neither is so); two halves agree \
         {:.1} s after the cut, and of {} packets kept in it {} are taken ({} of {} that come \
         without a cut); {meshes}",
        asleep.got,
        asleep.tried,
        cut_off.got,
        cut_off.tried,
        neither.got,
        neither.tried,
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
    let mut world = World::call_of(lab, &["Ben Nevis", "Cleo Stone"])?;
    world.talk(&[ADA, BEN, CLEO], TALK)?;
    let keys = keys_of(&world, CLEO, BEN)?;
    let before = world.epoch(BEN);
    if why == Why::Asleep {
        world.sleep(BEN);
        world.run(1000)?;
    }
    world.hold(ADA, BEN);
    world.hold(ADA, CLEO);
    let cleo = world.call(CLEO)?.me().ok_or_else(|| setup("not in the call"))?;
    world.user(ADA, Command::Remove(cleo))?;
    match why {
        Why::Asleep => {
            world.run(5000)?;
            world.wake(BEN)?;
        }
        // She is still there for him, and has nothing to say about who should lead now: only the
        // sequencer's silence tells him. After eight seconds he leads a branch of his own, into
        // which she doesn't follow here; the ten seconds of the fence are never reached.
        Why::CutOff => {
            world.meddle = Some(Box::new(only_presence));
            world.run(10_100)?;
        }
        Why::Neither => {}
    }
    let mark = world.tape.len();
    let said = world.said(BEN);
    let lost = world.link(BEN, CLEO).is_none();
    outcome.sees("Ben has no reason to miss Cleo", !lost);
    world.talk(&[BEN], 5 * TALK)?;
    // One frame goes to both of them.
    let mut sealed = frames(&world, mark, BEN, CLEO);
    sealed.extend(frames(&world, mark, BEN, ADA));
    sealed.sort();
    sealed.dedup();
    let read = tries(&[&keys], &sealed)?.got;
    // What members tell each other is sealed beside what they say.
    let tried = (world.said(BEN) - said).max(sealed.len() as u64);
    let tally = Tally::many(tried, read);
    if why == Why::Asleep {
        // Told at last, he goes on, and she is out.
        world.release()?;
        world.run(4000)?;
        let mark = world.tape.len();
        let heard = world.heard_of(ADA, BEN);
        world.talk(&[BEN], TALK)?;
        world.run(100)?;
        outcome.sees("who slept follows", world.epoch(BEN) == world.epoch(ADA));
        outcome.sees("into another epoch", world.epoch(BEN) > before);
        outcome.sees("and is heard again", world.heard_of(ADA, BEN) - heard == u64::from(TALK));
        let after = tries(&[&keys], &frames(&world, mark, BEN, ADA))?;
        return Ok(Tally::many(tally.tried + after.tried, tally.got + after.got));
    }
    Ok(tally)
}

/// Between Ben and Cleo nothing of the group passes, only that they are there.
fn only_presence(taped: &Taped) -> Vec<(Duration, LinkEvent)> {
    let between = taped.from != ADA && taped.to != ADA;
    let of_the_group = match &taped.event {
        LinkEvent::Control(bytes) => {
            !matches!(Control::decode(bytes), Ok(Control::Heartbeat(_) | Control::Sealed(_)))
        }
        _ => false,
    };
    if between && of_the_group { Vec::new() } else { vec![(Duration::ZERO, taped.event.clone())] }
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
