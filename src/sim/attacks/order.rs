//! Attacks on the order of things: adding past a lock, coming back after a removal, telling two
//! stories.

use super::circle::{Circle, Person, check, merge, staged};
use super::{Lab, LabError, Outcome, setup};
use crate::group::forge::Forgery;
use crate::group::{Agreement, Equivocation, OrderKind, ReceiveError, Violation};
use crate::wire::link::MemberId;

/// While the group is locked nobody is added but those on its list, not even by the host.
pub(super) fn locked(lab: &mut Lab) -> Result<Outcome, LabError> {
    let mut outcome = Outcome::default();
    let guest = Person::new(lab, "Guest");
    let ghost = Person::new(lab, "Ghost");
    let mut named = true;
    for (who, listed) in [(&ghost, false), (&guest, true)] {
        let mut circle = Circle::of(lab, &["Ada", "Ben", "Cleo"])?;
        let everybody: Vec<_> = circle.people.iter().map(Person::identity).collect();
        let list = everybody.into_iter().chain([guest.identity()]).collect();
        let order = circle.order(OrderKind::Lock(list))?;
        circle.groups[0].take_order(&order).map_err(setup)?;
        let pending = circle.groups[0].update(&check).map_err(setup)?;
        circle.spread(pending)?;
        outcome.sees("the lock stands in everybody's roster", circle.all(|g| g.roster().locked));
        let (package, _) = who.key_package()?;
        // By its own program, and by one without rules.
        let asked = circle.groups[0].add(&package, None, &check).is_ok();
        let forged = circle.groups[0].forge(Forgery::CommitAdd(&package), &check).map_err(setup)?;
        let tally = if listed { &mut outcome.control } else { &mut outcome.eve };
        tally.add(asked);
        for judge in [1, 2] {
            let judged = staged(&mut circle.groups[judge], &forged).map(|_| ());
            if let Err(ReceiveError::Policy(violation)) = &judged {
                named &= violation.by == MemberId(0) && violation.what == Violation::Locked;
            }
            tally.add(judged.is_ok());
        }
    }
    outcome.sees("who adds past the lock is named", named);
    outcome.evidence = format!(
        "{} tries to add a ghost to a locked group, the host's own among them: {} taken; for \
         somebody on the list: {} of {}",
        outcome.eve.tried, outcome.eve.got, outcome.control.got, outcome.control.tried
    );
    Ok(outcome)
}

/// Who was removed by decision leads no branch and comes back by none.
pub(super) fn removed_comes_back(lab: &mut Lab) -> Result<Outcome, LabError> {
    let mut outcome = Outcome::default();
    let names = ["Ada", "Ben", "Cleo", "Dora"];
    let ben = MemberId(1);
    let mut circle = Circle::of(lab, &names)?;
    let order = circle.order(OrderKind::Remove(circle.people[1].identity()))?;
    // Ben keeps his state; Dora knows of the decision, but its commit hasn't reached her.
    for member in [0, 2, 3] {
        circle.groups[member].take_order(&order).map_err(setup)?;
    }
    let pending = circle.groups[0].update(&check).map_err(setup)?;
    let bundle = pending.bundle.clone();
    circle.groups[0].merge_pending(pending).map_err(setup)?;
    merge(&mut circle.groups[2], &bundle)?;

    // He asks to lead, and leads without being granted it.
    let granted = circle.groups[3].grant(1, ben).is_ok();
    outcome.eve.add(granted);
    let branch = circle.groups[1].succeed(1, &[], &[], &check).map_err(setup)?;
    for member in [2, 3] {
        let followed = staged(&mut circle.groups[member], &branch.bundle).is_ok();
        outcome.eve.add(followed);
    }
    // He comes back: by the host, by a member, by a host without rules.
    let (package, _) = circle.people[1].key_package()?;
    outcome.eve.add(circle.groups[0].add(&package, None, &check).is_ok());
    outcome.eve.add(circle.groups[2].propose_back(&package, &check).is_ok());
    let forged = circle.groups[0].forge(Forgery::CommitAdd(&package), &check).map_err(setup)?;
    outcome.eve.add(staged(&mut circle.groups[2], &forged).is_ok());
    // And he can't read on.
    outcome.eve.add(staged(&mut circle.groups[1], &bundle).is_ok_and(|s| !s.evicts_me));

    // Control: the same two things, done by a member nobody decided against.
    let mut free = Circle::of(lab, &names)?;
    let grants = vec![
        free.groups[2].grant(1, ben).map_err(setup)?,
        free.groups[3].grant(1, ben).map_err(setup)?,
    ];
    let lead = free.groups[1].succeed(1, &grants, &[], &check).map_err(setup)?;
    outcome.control.add(staged(&mut free.groups[2], &lead.bundle).is_ok());
    let mut lost = Circle::of(lab, &names)?;
    let pending = lost.groups[0].remove_lost(&[ben], &check).map_err(setup)?;
    let bundle = pending.bundle.clone();
    lost.groups[0].merge_pending(pending).map_err(setup)?;
    merge(&mut lost.groups[2], &bundle)?;
    let (package, _) = lost.people[1].key_package()?;
    outcome.control.add(lost.groups[0].add(&package, None, &check).is_ok());
    outcome.evidence = format!(
        "{} tries of a removed member to lead or come back: {} worked; of one that nobody decided \
         against: {} of {}",
        outcome.eve.tried, outcome.eve.got, outcome.control.got, outcome.control.tried
    );
    Ok(outcome)
}

/// A sequencer that commits twice for one epoch is proved and named to everybody.
pub(super) fn two_stories(lab: &mut Lab) -> Result<Outcome, LabError> {
    let mut outcome = Outcome::default();
    let names = ["Ada", "Ben", "Cleo", "Dora"];
    let mut circle = Circle::of(lab, &names)?;
    let ada = circle.people[0].leaf_key();
    let stories = [
        circle.groups[0].forge(Forgery::Commit, &check).map_err(setup)?,
        circle.groups[0].forge(Forgery::Commit, &check).map_err(setup)?,
    ];
    // One for Ben and Dora, the other for Cleo.
    for (member, story) in [(1, 0), (2, 1), (3, 0)] {
        merge(&mut circle.groups[member], &stories[story])?;
    }
    let acks: Vec<_> = circle.groups.iter().map(|g| g.sign_ack()).collect();
    let mut proof = None;
    for (hearer, teller) in [(1, 2), (2, 1)] {
        let taken = circle.groups[hearer].take_ack(MemberId(teller), &acks[teller as usize]);
        let found = taken.map_err(setup)?.equivocation;
        // Undetected is what Eve wants.
        outcome.eve.add(found.as_ref().is_none_or(|found| found.by() != ada));
        proof = found.or(proof);
    }
    // The proof convinces somebody who saw one story only; and nobody can make one up.
    let proof = proof.map(|proof| proof.encode()).unwrap_or_default();
    let convinced = circle.groups[3].take_equivocation(&proof);
    outcome.eve.add(!convinced.is_ok_and(|(_, who)| who == MemberId(0)));
    let mut made_up = 0;
    for bit in (0..proof.len() * 8).step_by(7) {
        let mut other = proof.clone();
        other[bit / 8] ^= 1 << (bit % 8);
        made_up += u64::from(Equivocation::parse(&super::circle::GROUP, &other).is_ok());
    }
    outcome.sees("a proof can't be made up", made_up == 0 && !proof.is_empty());
    // Both stories told to one member: the second is refused.
    let mut both = Circle::of(lab, &["Ada", "Ben"])?;
    let first = both.groups[0].forge(Forgery::Commit, &check).map_err(setup)?;
    let second = both.groups[0].forge(Forgery::Commit, &check).map_err(setup)?;
    let took_first = staged(&mut both.groups[1], &first).is_ok();
    outcome.eve.add(staged(&mut both.groups[1], &second).is_ok());

    // Control: one story for all passes, and raises no alarm.
    let mut honest = Circle::of(lab, &names)?;
    let pending = honest.groups[0].update(&check).map_err(setup)?;
    honest.spread(pending)?;
    let ack = honest.groups[2].sign_ack();
    let taken = honest.groups[1].take_ack(MemberId(2), &ack).map_err(setup)?;
    let quiet = taken.agreement == Agreement::Same && taken.equivocation.is_none();
    outcome.control.add(quiet && took_first);
    outcome.evidence = format!(
        "two commits for one epoch: {} of {} members took it unproved; {} altered proofs: \
         {made_up} believed; one commit: accepted, no alarm",
        outcome.eve.got,
        outcome.eve.tried,
        (proof.len() * 8).div_ceil(7),
    );
    Ok(outcome)
}

/// A sequencer that falls silent loses its role to a majority, and what it held back comes too late.
pub(super) fn silent(lab: &mut Lab) -> Result<Outcome, LabError> {
    let mut outcome = Outcome::default();
    let names = ["Ada", "Ben", "Cleo", "Dora"];
    let ben = MemberId(1);
    let mut circle = Circle::of(lab, &names)?;
    // She makes a commit and keeps it to herself.
    let held = circle.groups[0].update(&check).map_err(setup)?.bundle.clone();
    let grants = vec![
        circle.groups[2].grant(1, ben).map_err(setup)?,
        circle.groups[3].grant(1, ben).map_err(setup)?,
    ];
    // Sent now, it meets members that have given their vote away; and no vote is given twice.
    for member in [2, 3] {
        outcome.eve.add(staged(&mut circle.groups[member], &held).is_ok());
        outcome.eve.add(circle.groups[member].grant(1, MemberId(3)).is_ok());
    }
    let lead = circle.groups[1].succeed(1, &grants, &[], &check).map_err(setup)?;
    let bundle = lead.bundle.clone();
    circle.groups[1].merge_pending(lead).map_err(setup)?;
    for member in [2, 3] {
        merge(&mut circle.groups[member], &bundle)?;
    }
    // The others are in one epoch, led by Ben; her commit is of one that is over.
    let keys = circle.groups[1].authenticator();
    for member in [1, 2, 3] {
        outcome.eve.add(staged(&mut circle.groups[member], &held).is_ok());
        let group = &circle.groups[member];
        outcome.eve.add(group.authenticator() != keys || group.state().sequencer != ben);
    }
    // Without a majority nobody is followed by those who didn't ask for it.
    let mut divided = Circle::of(lab, &names)?;
    let alone = divided.groups[1].succeed(1, &[], &[], &check).map_err(setup)?;
    for member in [0, 2, 3] {
        outcome.eve.add(staged(&mut divided.groups[member], &alone.bundle).is_ok());
    }
    // Control: the same commit in time, to members that heard her and gave their vote to nobody.
    let mut heard = Circle::of(lab, &names)?;
    let pending = heard.groups[0].update(&check).map_err(setup)?;
    for member in [1, 2, 3] {
        let bundle = pending.bundle.clone();
        outcome.control.add(staged(&mut heard.groups[member], &bundle).is_ok());
    }
    outcome.evidence = format!(
        "{} tries to hold the lead by silence, a late commit or divided votes: {} worked; the same \
         commit in time: {} of {} took it",
        outcome.eve.tried, outcome.eve.got, outcome.control.got, outcome.control.tried
    );
    Ok(outcome)
}
