//! Attacks on the mesh of a call: a sequencer that is silent or censors.

use super::world::{Taped, World};
use super::{Lab, LabError, Outcome, Tally};
use crate::wire::control::Control;
use crate::wire::link::{LinkEvent, MemberId};
use std::time::Duration;

/// Packets said by each after the others had time to go on.
const TALK: u32 = 40;

/// A sequencer that says nothing, or holds back what others ask for, doesn't hold the call.
pub(super) fn bad_sequencer(lab: &mut Lab) -> Result<Outcome, LabError> {
    let mut outcome = super::order::silent(lab)?;
    let (ada, ben, cleo) = (0, 1, 2);
    // Silent: nothing of hers arrives any more.
    let mut world = World::call_of(lab, &["Ben Nevis", "Cleo Stone"])?;
    let before = world.epoch(ben);
    world.cut.insert(ada);
    let silent = goes_on(&mut world, ben, cleo, before)?;
    // Censoring: she talks on, but her commits never leave.
    let mut world = World::call_of(lab, &["Ben Nevis", "Cleo Stone"])?;
    let before = world.epoch(ben);
    world.meddle = Some(Box::new(move |taped: &Taped| {
        let commit = match &taped.event {
            LinkEvent::Control(bytes) => matches!(Control::decode(bytes), Ok(Control::Bundle(_))),
            _ => false,
        };
        if commit && taped.from == ada {
            Vec::new()
        } else {
            vec![(Duration::ZERO, taped.event.clone())]
        }
    }));
    world.user(cleo, crate::call::Command::Rekey).ok();
    let censored = goes_on(&mut world, ben, cleo, before)?;
    for (tally, sequencer, _) in [&silent, &censored] {
        outcome.eve.tried += tally.tried;
        outcome.eve.got += tally.tried - tally.got;
        outcome.sees("somebody else leads", *sequencer != Some(MemberId(0)));
    }
    // Control: with a majority behind her she keeps the lead.
    let mut world = World::call_of(lab, &["Ben Nevis", "Cleo Stone"])?;
    world.cut.insert(ben);
    world.run(15_000)?;
    let leads = world.call(cleo)?.view().sequencer == Some(MemberId(0));
    world.talk(&[ada, cleo], TALK)?;
    outcome.control.add(leads && world.heard_of(cleo, ada) > 0);
    outcome.evidence += &format!(
        "; in calls: a silent sequencer: epoch {} instead of {before}, {} of {} packets heard between the \
         others; a censoring one: {} of {}; with a majority behind her she leads on: {}",
        silent.2, silent.0.got, silent.0.tried, censored.0.got, censored.0.tried, leads
    );
    Ok(outcome)
}

/// What Ben and Cleo hear of each other half a minute later, who leads, in which epoch.
fn goes_on(
    world: &mut World,
    ben: usize,
    cleo: usize,
    _before: u64,
) -> Result<(Tally, Option<MemberId>, u64), LabError> {
    world.run(30_000)?;
    let heard = |w: &World| w.heard_of(ben, cleo) + w.heard_of(cleo, ben);
    let before = heard(world);
    world.talk(&[ben, cleo], TALK)?;
    world.run(500)?;
    let tally = Tally::many(u64::from(2 * TALK), heard(world) - before);
    Ok((tally, world.call(ben)?.view().sequencer, world.epoch(ben)))
}
