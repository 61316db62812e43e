//! Attacks on what is written down: a ledger changed after the call.

use super::circle::{Circle, check};
use super::{Lab, LabError, Outcome, setup};
use crate::identity::Fingerprint;
use crate::keys::IdentityPublic;
use crate::ledger::{Chain, Comparison, Happened, Member, compare, read};
use crate::time::Wall;

/// One member's ledger of a real group's epochs.
fn kept(circle: &mut Circle, member: usize, epochs: u32) -> Result<[Vec<String>; 2], LabError> {
    let mut chains = [Chain::default(), Chain::default()];
    let mut lines = [Vec::new(), Vec::new()];
    for round in 0..epochs {
        let pending = circle.groups[0].update(&check).map_err(setup)?;
        circle.spread(pending)?;
        for (n, who) in [0, member].into_iter().enumerate() {
            let group = &circle.groups[who];
            let roster = group.roster();
            let members = roster.members.iter().map(|row| Member {
                member: row.id.0,
                fingerprint: Fingerprint::of(&IdentityPublic(row.identity)).full(),
                name: "somebody".into(),
                since: row.since_epoch,
                by: row.added_by.map(|by| by.0),
            });
            let why = if round == 0 { "begun" } else { "keys" }.into();
            let sequencer = roster.sequencer.0;
            let what = Happened::Epoch { why, sequencer, roster: members.collect() };
            let at = Wall(1_800_000_000_000 + u64::from(round) * 1000);
            let confirmation = group.confirmation_hash();
            lines[n].push(chains[n].add(at, group.epoch(), &confirmation, what));
        }
    }
    Ok(lines)
}

fn text(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// The same history with something left out, chained anew so that every line fits.
fn rewritten(lines: &[String], leave_out: usize) -> Result<String, LabError> {
    let ledger = read(&text(lines)).map_err(setup)?;
    let mut chain = Chain::default();
    let mut out = Vec::new();
    for (n, entry) in ledger.entries.iter().enumerate() {
        let mut confirmation = [0; 32];
        for (byte, pair) in confirmation.iter_mut().zip(entry.confirmation.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(pair).map_err(setup)?;
            *byte = u8::from_str_radix(digits, 16).map_err(setup)?;
        }
        // In the epoch that is to be hidden, something else was confirmed.
        if n == leave_out {
            confirmation = [7; 32];
        }
        out.push(chain.add(Wall(entry.time), entry.epoch, &confirmation, entry.happened.clone()));
    }
    Ok(text(&out))
}

/// A changed ledger is noticed by itself, a wholly rewritten one beside another member's.
pub(super) fn tampered(lab: &mut Lab) -> Result<Outcome, LabError> {
    let mut outcome = Outcome::default();
    let mut circle = Circle::of(lab, &["Ada", "Ben", "Cleo"])?;
    let [adas, bens] = kept(&mut circle, 1, 8)?;
    let whole = text(&adas);
    let mut fakes = Vec::new();
    // Every byte changed, one at a time; lines dropped, doubled, swapped; the end cut off.
    for at in 0..whole.len() {
        let mut bytes = whole.clone().into_bytes();
        bytes[at] = if bytes[at] == b'7' { b'8' } else { b'7' };
        if let Ok(fake) = String::from_utf8(bytes) {
            fakes.push(fake);
        }
    }
    for n in 0..adas.len() - 1 {
        let mut dropped = adas.clone();
        dropped.remove(n);
        let mut doubled = adas.clone();
        doubled.insert(n, adas[n].clone());
        let mut swapped = adas.clone();
        swapped.swap(n, n + 1);
        fakes.extend([text(&dropped), text(&doubled), text(&swapped)]);
    }
    fakes.push(whole[..whole.len() - 10].to_owned());
    for fake in &fakes {
        outcome.eve.add(read(fake).is_ok());
    }
    // Rewritten from end to end: fits in itself, differs from Ben's.
    let ben = read(&text(&bens)).map_err(setup)?;
    for hidden in 0..adas.len() {
        let fake = read(&rewritten(&adas, hidden)?).map_err(setup)?;
        outcome.eve.add(!matches!(compare(&fake, &ben), Comparison::Different { .. }));
    }
    let ada = read(&whole).map_err(setup)?;
    // Whole lines missing at the end leave a sound chain – with another head than was on the screen.
    for kept in 0..adas.len() {
        let short = read(&text(&adas[..kept]));
        outcome.eve.add(short.is_ok_and(|short| short.head == ada.head));
    }
    outcome.control.add(matches!(compare(&ada, &ben), Comparison::Same { .. }));
    outcome.evidence = format!(
        "{} changed ledgers, {} of them chained anew: {} believed; the true one: {} of {}",
        outcome.eve.tried,
        adas.len(),
        outcome.eve.got,
        outcome.control.got,
        outcome.control.tried
    );
    Ok(outcome)
}
