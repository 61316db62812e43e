//! Attacks with keys of another time: before joining, after leaving, copied, left behind; and what
//! repeating a frame or a nonce would give.

use super::circle::{Circle, Person, check, merge, staged};
use super::world::{World, bytes_of};
use super::{Lab, LabError, Outcome, Tally, setup};
use crate::call::Command;
use crate::group::Group;
use crate::seal::{Opener, Receipt, Sealers, Surrendered};
use crate::secret::Secret;
use crate::wire::link::{LinkEvent, MemberId};
use crate::wire::sframe::{Header, Kid, StreamKind};
use bytes::Bytes;
use std::collections::BTreeSet;

/// Does this frame open with these keys?
pub(super) fn opens(keys: &mut Opener, frame: &[u8]) -> bool {
    Header::decode(frame).is_ok_and(|(header, _)| keys.open(header, frame).is_ok())
}

/// One member's keys for another's frames.
pub(super) fn keys_of(
    world: &World,
    holder: usize,
    speaker: usize,
) -> Result<Surrendered, LabError> {
    let member = world.call(speaker)?.me().ok_or_else(|| setup("not in the call"))?;
    world.call(holder)?.surrender_opener(member).ok_or_else(|| setup("no keys"))
}

/// The same base key tried for another epoch and leaf.
fn stretched(keys: &Surrendered, epoch: u64, leaf: u8) -> Opener {
    Opener::new(keys.base(), epoch, leaf)
}

pub(super) fn frames(world: &World, mark: usize, from: usize, to: usize) -> Vec<Bytes> {
    let all = world.media_since(mark).into_iter();
    all.filter(|t| t.from == from && t.to == to)
        .filter_map(|t| bytes_of(&t.event).cloned())
        .collect()
}

/// How many of these frames any of the keys opens, for every epoch and leaf they might be of.
pub(super) fn tries(keys: &[&Surrendered], frames: &[Bytes]) -> Result<Tally, LabError> {
    let mut tally = Tally::default();
    for frame in frames {
        let (header, _) = Header::decode(frame).map_err(setup)?;
        let kid = Kid::from_u64(header.kid).map_err(setup)?;
        let got = keys.iter().any(|keys| {
            (0..3).any(|round| {
                let epoch = u64::from(kid.epoch) + 16 * round;
                opens(&mut stretched(keys, epoch, kid.leaf), frame)
            })
        });
        tally.add(got);
    }
    Ok(tally)
}

/// An ex-member with its whole state and the whole tap reads nothing on.
pub(super) fn ex_member(lab: &mut Lab) -> Result<Outcome, LabError> {
    let mut outcome = Outcome::default();
    let mut world = World::call_of(lab, &["Ben Nevis", "Cleo Stone"])?;
    let (ada, ben, cleo) = (0, 1, 2);
    world.talk(&[ada, ben], 10)?;
    let before = world.heard(cleo).packets;
    let old = [keys_of(&world, cleo, ada)?, keys_of(&world, cleo, ben)?];
    let mark = world.tape.len();
    // She ignores her removal and goes on listening with everything she has.
    world.parties[cleo].deaf = true;
    let epoch = world.epoch(ada);
    let member = world.call(cleo)?.me().ok_or_else(|| setup("not in the call"))?;
    let link = world.link(cleo, ada).ok_or_else(|| setup("not connected"))?;
    world.user(ada, Command::Remove(member))?;
    let from_here = world.tape.len();
    world.talk(&[ada, ben], 40)?;
    outcome.sees("the others are in the next epoch", world.epoch(ben) == epoch + 1);
    outcome.sees("and talk on", world.heard_of(ben, ada) > 40);

    // Ada's frames from the moment of her commit on.
    let after = frames(&world, from_here, ada, ben);
    let old: Vec<_> = old.iter().collect();
    outcome.eve = tries(&old, &after)?;
    // Her own program fed with the whole tap as if it still were connected: media, then everything.
    let tape: Vec<_> = world.tape[mark..].to_vec();
    for media_only in [true, false] {
        for taped in tape.iter().filter(|t| t.from == ada && t.to == ben) {
            let media = !matches!(taped.event, LinkEvent::Control(_));
            if media || !media_only {
                world.input(cleo, crate::call::Input::Link(link, taped.event.clone()))?;
                outcome.eve.tried += 1;
            }
        }
    }
    outcome.eve.got += world.heard(cleo).packets.saturating_sub(before);
    // Control: a remaining member's keys.
    outcome.control = tries(&[&keys_of(&world, ben, ada)?], &after)?;
    outcome.evidence = format!(
        "{before} packets heard before the removal; after it {} attempts on {} frames: {} opened; \
         with Ben's key: {}",
        outcome.eve.tried,
        after.len(),
        outcome.eve.got,
        outcome.control.got
    );
    Ok(outcome)
}

/// Who joins late can't read what was said before, though it has every byte of it.
pub(super) fn late_joiner(lab: &mut Lab) -> Result<Outcome, LabError> {
    let mut outcome = Outcome::default();
    let mut world = World::call_of(lab, &["Ben Nevis"])?;
    let (ada, ben) = (0, 1);
    world.talk(&[ada, ben], 30)?;
    let mut earlier = frames(&world, 0, ada, ben);
    earlier.extend(frames(&world, 0, ben, ada));
    let bens = [keys_of(&world, ben, ada)?, keys_of(&world, ada, ben)?];
    let tape = world.media_since(0);

    let invite = world.invite(ada)?;
    let cleo = world.join("Cleo Stone", invite)?;
    world.run(1500)?;
    world.talk(&[ada, ben], 10)?;
    let heard = world.heard(cleo).packets;
    outcome.sees("the late joiner hears what is said now", heard > 0);
    let hers = [keys_of(&world, cleo, ada)?, keys_of(&world, cleo, ben)?];
    outcome.eve = tries(&hers.iter().collect::<Vec<_>>(), &earlier)?;
    let link = world.link(cleo, ada).ok_or_else(|| setup("not connected"))?;
    for taped in &tape {
        world.input(cleo, crate::call::Input::Link(link, taped.event.clone()))?;
        outcome.eve.tried += 1;
    }
    outcome.eve.got += world.heard(cleo).packets - heard;
    outcome.control = tries(&bens.iter().collect::<Vec<_>>(), &earlier)?;
    outcome.evidence = format!(
        "{} frames of before: {} opened; with Ben's key of then: {}",
        earlier.len(),
        outcome.eve.got,
        outcome.control.got
    );
    Ok(outcome)
}

/// A member's whole state, copied: the copy follows the group until that member's next update.
pub(super) fn copied_state(lab: &mut Lab) -> Result<Outcome, LabError> {
    let mut outcome = Outcome::default();
    let mut circle = Circle::of(lab, &["Ada", "Ben"])?;
    let cleo = Person::new(lab, "Cleo");
    let (package, joining) = cleo.key_package()?;
    let copy = joining.copied().map_err(setup)?;
    let welcome = circle.admit(cleo, &package, joining)?;
    let mut eve = circle.join(copy, &welcome)?;

    // Control: nobody heals Cleo's leaf, and the copy reads on.
    for _ in 0..3 {
        let pending = circle.groups[0].update(&check).map_err(setup)?;
        let bundle = circle.spread(pending)?;
        let follows = merge(&mut eve, &bundle).is_ok();
        outcome.control.add(follows && same_keys(&mut eve, &mut circle.groups[1]));
    }
    // Healing: Cleo proposes an update, the leader's next commit takes it in.
    let update = circle.groups[2].propose_update().map_err(setup)?;
    let _ = eve.receive(&update, &check);
    circle.groups[0].receive(&update, &check).map_err(setup)?;
    for _ in 0..3 {
        let pending = circle.groups[0].update(&check).map_err(setup)?;
        let bundle = circle.spread(pending)?;
        let follows = staged(&mut eve, &bundle).is_ok_and(|staged| eve.merge(*staged).is_ok());
        let keys = same_keys(&mut eve, &mut circle.groups[1]);
        outcome.eve.add(follows || keys);
    }
    outcome.sees("the group goes on", circle.goes_on());
    outcome.evidence = format!(
        "epochs the copy could read: {} of {} after healing, {} of {} before",
        outcome.eve.got, outcome.eve.tried, outcome.control.got, outcome.control.tried
    );
    Ok(outcome)
}

/// Both hold the same media keys, and for the same epoch.
fn same_keys(one: &mut Group, other: &mut Group) -> bool {
    let (Ok(one), Ok(other)) = (one.bases(), other.bases()) else { return false };
    let exposed = |b: &crate::keys::Bases| -> Vec<[u8; 32]> {
        b.by_leaf.values().map(|base| *base.expose()).collect()
    };
    exposed(&one).iter().any(|base| exposed(&other).contains(base))
}

/// After the call a seized machine – its identity key, its invites, its leaf key, the tap – opens
/// nothing of it.
pub(super) fn seized_afterwards(lab: &mut Lab) -> Result<Outcome, LabError> {
    let mut outcome = Outcome::default();
    let mut world = World::new(lab);
    let (ada, invite) = world.host(crate::call::Admit::Any, 8)?;
    let ben = world.join("Ben Nevis", invite.duplicate())?;
    world.run(1500)?;
    world.talk(&[ada, ben], 30)?;
    let mut said = frames(&world, 0, ada, ben);
    said.extend(frames(&world, 0, ben, ada));
    let kept = [keys_of(&world, ben, ada)?, keys_of(&world, ada, ben)?];
    let epoch = world.epoch(ada);
    // What outlives a call: files hold the identity; a user may keep the invite. We add more than
    // a disk has: the leaf key and the epoch's public words.
    let mut left = vec![
        invite.k_proof(),
        invite.psk(),
        world.call(ada)?.leaf_key().seed_for_tls_or_mls(),
        world.call(ben)?.leaf_key().seed_for_tls_or_mls(),
        Secret::build(|b| b[..16].copy_from_slice(invite.secret.expose())),
    ];
    let authenticator = world.call(ada)?.view().authenticator;
    left.push(Secret::build(|b| b.copy_from_slice(&authenticator)));
    for (_, up) in &world.established {
        left.push(Secret::build(|b| b.copy_from_slice(&up.exporter)));
    }
    world.user(ben, Command::Leave)?;
    world.user(ada, Command::Leave)?;
    world.run(2000)?;
    let over = world.ended(ada).is_some() && world.ended(ben).is_some();
    outcome.sees("the call is over on both machines", over);
    let speaker = world.call(ada)?.surrender_opener(MemberId(1));
    outcome.sees("no program has keys any more", speaker.is_none());

    for frame in &said {
        let (header, _) = Header::decode(frame).map_err(setup)?;
        let kid = Kid::from_u64(header.kid).map_err(setup)?;
        let got = left.iter().any(|key| opens(&mut Opener::new(key, epoch, kid.leaf), frame));
        outcome.eve.add(got);
    }
    outcome.control = tries(&kept.iter().collect::<Vec<_>>(), &said)?;
    outcome.evidence = format!(
        "{} frames tried with {} secrets that outlive the call: {} opened; with the epoch's keys, \
         kept: {}",
        said.len(),
        left.len(),
        outcome.eve.got,
        outcome.control.got
    );
    Ok(outcome)
}

/// Nothing can be said twice: not to whom it was said, not back, not to others, not later.
pub(super) fn replay(lab: &mut Lab) -> Result<Outcome, LabError> {
    let mut outcome = Outcome::default();
    let mut world = World::call_of(lab, &["Ben Nevis", "Cleo Stone"])?;
    world.talk(&[0, 1, 2], 20)?;
    let keys = keys_of(&world, 1, 0)?;
    let epoch = world.epoch(0);
    let tape = world.tape.clone();
    let everything = |world: &World| (0..3).map(|n| world.heard(n).packets).sum::<u64>();
    let replays = |world: &mut World| -> Result<Tally, LabError> {
        let before = everything(world);
        let mut tried = 0;
        for taped in &tape {
            for (from, to) in [
                (taped.from, taped.to),
                (taped.to, taped.from),
                (3 - taped.from - taped.to, taped.to),
                (taped.from, 3 - taped.from - taped.to),
            ] {
                if world.link(to, from).is_some() {
                    world.inject(from, to, taped.event.clone())?;
                    tried += 1;
                }
            }
        }
        world.run(100)?;
        Ok(Tally::many(tried, everything(world) - before))
    };
    // Media only: a repeated handshake message costs its sender the connection, see below.
    let now = replays_of_media(&mut world, &tape)?;
    let mut later = World::call_of(lab, &["Ben Nevis", "Cleo Stone"])?;
    later.talk(&[0, 1, 2], 5)?;
    let old = later.media_since(0);
    later.user(0, Command::Rekey)?;
    later.run(3000)?;
    let in_next = replays_of_media(&mut later, &old)?;
    // Everything, control messages too: the group stays where it is.
    let all = replays(&mut world)?;
    outcome.eve =
        Tally::many(now.tried + in_next.tried + all.tried, now.got + in_next.got + all.got);
    outcome.sees("the group stays in its epoch", (0..3).all(|n| world.epoch(n) == epoch));
    let twice = (0..3).map(|n| world.heard(n).twice).sum::<u64>();
    outcome.sees("nobody heard anything twice", twice == 0);
    let mut fresh = Opener::from_surrendered(keys);
    for frame in frames(&world, 0, 0, 1) {
        outcome.control.add(opens(&mut fresh, &frame));
    }
    outcome.evidence = format!(
        "{} replays in four directions and in the next epoch: {} taken; at a receiver without a \
         replay window: {} of {}",
        outcome.eve.tried, outcome.eve.got, outcome.control.got, outcome.control.tried
    );
    Ok(outcome)
}

fn replays_of_media(world: &mut World, tape: &[super::world::Taped]) -> Result<Tally, LabError> {
    let heard = |world: &World| (0..3).map(|n| world.heard(n).packets).sum::<u64>();
    let before = heard(world);
    let mut tried = 0;
    for taped in tape.iter().filter(|t| !matches!(t.event, LinkEvent::Control(_))) {
        let third = 3 - taped.from - taped.to;
        for (from, to) in
            [(taped.from, taped.to), (taped.to, taped.from), (third, taped.to), (taped.from, third)]
        {
            if world.link(to, from).is_some() {
                world.inject(from, to, taped.event.clone())?;
                tried += 1;
            }
        }
    }
    Ok(Tally::many(tried, heard(world) - before))
}

/// No key seals two frames under one nonce: over epochs, streams, restarts and millions of frames.
pub(super) fn nonces(lab: &mut Lab) -> Result<Outcome, LabError> {
    let mut outcome = Outcome::default();
    let frames: u64 = if lab.full { 10_000_000 } else { 400_000 };
    let (epochs, restarts) = (5u64, 2u64);
    let each = frames / (epochs * restarts * StreamKind::ALL.len() as u64);
    let mut bases = BTreeSet::new();
    let mut keys = 0u64;
    let mut repeats = 0u64;
    for _ in 0..restarts {
        // A restart is a new group: nothing of the old one is stored.
        let mut circle = Circle::of(lab, &["Ada", "Ben"])?;
        for _ in 0..epochs {
            let mut made = circle.groups[0].bases().map_err(setup)?;
            let (epoch, leaf) = (made.epoch, circle.groups[0].leaf());
            let base = made.by_leaf.remove(&leaf).ok_or_else(|| setup("no base"))?;
            keys += 1;
            repeats += u64::from(!bases.insert(*base.expose()));
            let receipt = Receipt::shown(epoch, [0; 32]);
            let mut sealers = Sealers::new(base, epoch, leaf, &receipt, &[0; 32]).map_err(setup)?;
            let mut seen = BTreeSet::new();
            for stream in StreamKind::ALL {
                let mut last = None;
                for _ in 0..each {
                    let sealed = sealers.of(stream).seal(b"the same words").map_err(setup)?;
                    // As the wire has it, not as the sealer says.
                    let (header, _) = Header::decode(&sealed.bytes).map_err(setup)?;
                    outcome.eve.tried += 1;
                    repeats += u64::from(last.is_some_and(|last| header.ctr <= last));
                    if last.is_none() {
                        repeats += u64::from(!seen.insert(header.kid));
                    }
                    last = Some(header.ctr);
                }
            }
            let pending = circle.groups[0].update(&check).map_err(setup)?;
            circle.spread(pending)?;
        }
    }
    outcome.eve.got = repeats;
    // Control: the same base key used for a second set of sealers, as if one had been stored. Two
    // frames under one nonce give their plaintexts' difference away.
    let base = Secret::build(|b| lab.rng().fill_bytes(b));
    let receipt = Receipt::shown(1, [0; 32]);
    let mut one = Sealers::new(base.duplicate(), 1, 0, &receipt, &[0; 32]).map_err(setup)?;
    let mut two = Sealers::new(base, 1, 0, &receipt, &[0; 32]).map_err(setup)?;
    let (a, b) = (b"meet me at the bridge", b"the treasure is in it");
    let sealed = |s: &mut Sealers, text: &[u8]| s.of(StreamKind::Audio).seal(text).map_err(setup);
    let (c, d) = (sealed(&mut one, a)?, sealed(&mut two, b)?);
    let head = c.bytes.len() - a.len() - crate::seal::TAG;
    let difference = c.bytes[head..].iter().zip(&d.bytes[head..]).map(|(x, y)| x ^ y);
    let words = difference.zip(b).map(|(x, y)| x ^ y).take(a.len());
    outcome.control.add(words.eq(a.iter().copied()));
    outcome.evidence = format!(
        "{} frames under {keys} keys, 4 streams each, {epochs} epochs, {restarts} restarts: \
         {repeats} nonces repeated; a stored sealer used twice: Eve reads “{}” from the two frames",
        outcome.eve.tried,
        String::from_utf8_lossy(a)
    );
    Ok(outcome)
}
