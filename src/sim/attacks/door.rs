//! At the door: copied invites, replayed and borrowed proofs.

use super::world::{World, config};
use super::{Lab, LabError, Outcome, Tally, setup};
use crate::call::{Admit, Command, EndReason, Event, Refusal, RefusedWhy};
use crate::group::{CheckedCredential, CredentialRefused, LocalMember, key_package};
use crate::identity::handshake::{self, Transcript};
use crate::identity::{Credential, DisplayName, IdentityKey, LeafKey};
use crate::invite::Invite;
use crate::time::Wall;
use crate::wire::control::Control;
use crate::wire::handshake::{AnswerBody, ProofBody};
use crate::wire::link::{LinkEvent, LinkId};

/// Packets said while Eve tries to hear.
const TALK: u32 = 25;

/// Who has only copied an invite is named, hears nothing, and is not the host.
pub(super) fn copied_invite(lab: &mut Lab) -> Result<Outcome, LabError> {
    let mut outcome = Outcome::default();

    // Used already: she is turned away, and both of them are told.
    let mut world = World::new(lab);
    let (ada, invite) = world.host(Admit::Any, 1)?;
    let ben = world.join("Ben Nevis", invite.duplicate())?;
    world.run(1000)?;
    let mallory = world.join("Mallory", invite.duplicate())?;
    world.talk(&[ada, ben], TALK)?;
    world.run(1000)?;
    outcome.eve.tried += world.said(ada) + world.said(ben);
    outcome.eve.got += world.heard(mallory).packets;
    let told = |e: &Event| matches!(e, Event::Refused { why: Refusal::UsedUp(_), .. });
    outcome.sees("the host is told", world.parties[ada].events.iter().any(told));
    let by = world.ended(mallory);
    let refused = matches!(by, Some(EndReason::Refused(RefusedWhy::UsedUp(Some(_)))));
    outcome.sees("the second user is told", refused);

    // Not used up: she knocks as herself, and waits.
    let mut world = World::new(lab);
    let (ada, invite) = world.host(Admit::Ask, 8)?;
    let ben = world.join("Ben Nevis", invite.duplicate())?;
    world.run(500)?;
    admit_all(&mut world, ada)?;
    world.run(1000)?;
    let mallory = world.join("Ben Nevis", invite.duplicate())?;
    world.talk(&[ada, ben], TALK)?;
    outcome.eve.tried += world.said(ada) + world.said(ben);
    outcome.eve.got += world.heard(mallory).packets;
    let hers = world.call(mallory)?.view().my_fingerprint;
    let shown = world.call(ada)?.view().knocks.iter().any(|k| k.fingerprint == hers);
    outcome.sees("her knock shows her own fingerprint", shown);
    outcome.sees("Ada and Ben talk on", world.heard(ben).packets > u64::from(TALK) / 2);

    // She plays the host to somebody who has the invite.
    let (proofs, named) = plays_host(lab)?;
    outcome.eve.tried += proofs.tried;
    outcome.eve.got += proofs.got;
    outcome.sees("who answers instead of the host is named", named);

    // Control: Ada lets her in.
    admit_all(&mut world, ada)?;
    world.run(1000)?;
    let before = world.said(ada) + world.said(ben);
    world.talk(&[ada, ben], TALK)?;
    let said = world.said(ada) + world.said(ben) - before;
    outcome.control = Tally::many(said, world.heard(mallory).packets);
    outcome.evidence = format!(
        "{} packets said beside her: {} heard; admitted by Ada: {} of {said} heard",
        outcome.eve.tried, outcome.eve.got, outcome.control.got
    );
    Ok(outcome)
}

fn admit_all(world: &mut World, host: usize) -> Result<(), LabError> {
    for knock in world.call(host)?.view().knocks {
        world.user(host, Command::Admit(knock.id))?;
    }
    Ok(())
}

/// Eve answers a knock with the copied invite and a credential of her own: does the joiner say who
/// it is, and is it told whom it met?
fn plays_host(lab: &Lab) -> Result<(Tally, bool), LabError> {
    let mut world = World::new(lab);
    let (_, copied) = world.host(Admit::Any, 8)?;
    let eve = world.eve(None);
    let mut lure = copied.duplicate();
    lure.addresses = vec![world.parties[eve].address];
    let ben = world.join("Ben Nevis", lure)?;
    world.run(100)?;
    let (link, transcript) = knocked(&world, eve, ben)?;
    let own = world.identity();
    let credential = credential(&world, &own, &copied, world.leaf_public(eve))?;
    let body = AnswerBody { group_id: copied.group_id(), credential: credential.into() };
    let answer = handshake::answer(&copied.k_proof(), &transcript, &body);
    world.eve_says(eve, link, control(&Control::Answer(answer)));
    world.run(500)?;
    let proofs = world.eve_heard(eve, link).iter().filter(|e| is_proof(e)).count() as u64;
    let named = matches!(world.ended(ben), Some(EndReason::WrongIdentity(_)));
    Ok((Tally::many(1, proofs), named))
}

/// The connection on which somebody knocked at Eve's address, and what TLS established there.
fn knocked(world: &World, eve: usize, from: usize) -> Result<(LinkId, Transcript), LabError> {
    let found = world.tape.iter().find(|t| t.from == from && t.to == eve);
    let link = found.map(|t| t.link).ok_or_else(|| setup("nobody knocked"))?;
    let up = world.established.iter().find(|(to, _)| *to == eve).map(|(_, up)| up);
    let up = up.ok_or_else(|| setup("no connection"))?;
    let transcript = Transcript::new(&up.exporter, &up.peer_key, &world.leaf_public(eve));
    Ok((link, transcript))
}

fn credential(
    world: &World,
    identity: &IdentityKey,
    invite: &Invite,
    leaf: [u8; 32],
) -> Result<Vec<u8>, LabError> {
    let end = Wall(world.now.wall.0 + 3_600_000);
    let name = DisplayName::sanitise("Ben Nevis");
    let made = Credential::issue(identity, name, leaf, invite.group_id(), end);
    Ok(made.map_err(setup)?.encode())
}

fn control(message: &Control) -> LinkEvent {
    LinkEvent::Control(message.encode().into())
}

fn is_proof(event: &LinkEvent) -> bool {
    matches!(event, LinkEvent::Control(b) if matches!(Control::decode(b), Ok(Control::Proof(_))))
}

fn is_answer(event: &LinkEvent) -> bool {
    matches!(event, LinkEvent::Control(b) if matches!(Control::decode(b), Ok(Control::Answer(_))))
}

/// KNOCK and PROOF of one connection are worth nothing on another.
pub(super) fn replayed_proof(lab: &mut Lab) -> Result<Outcome, LabError> {
    let mut outcome = Outcome::default();
    let mut world = World::new(lab);
    let (ada, invite) = world.host(Admit::Ask, 8)?;
    let ben = world.join("Ben Nevis", invite)?;
    world.run(500)?;
    let said: Vec<_> = world
        .tape
        .iter()
        .filter(|t| t.from == ben && t.to == ada)
        .map(|t| t.event.clone())
        .collect();
    let up = world.established.first().map(|(_, up)| up.clone());
    let up = up.ok_or_else(|| setup("no connection"))?;
    let before = world.call(ada)?.view().knocks.len();

    let replay = |world: &mut World, given| -> Result<Tally, LabError> {
        let eve = world.eve(None);
        let mut tally = Tally::default();
        // From the beginning, and from every later message on.
        for skip in 0..said.len() {
            let link = world.eve_dials(eve, ada, given)?;
            world.run(100)?;
            for message in &said[skip..] {
                world.eve_says(eve, link, message.clone());
                world.run(100)?;
            }
            let answers = world.eve_heard(eve, link).into_iter().filter(|e| is_answer(e)).count();
            tally.tried += 1;
            tally.got += answers as u64;
        }
        let knocks = world.call(ada)?.view().knocks.len();
        tally.got += (knocks - before) as u64;
        Ok(tally)
    };
    outcome.eve = replay(&mut world, None)?;
    outcome.sees("each is refused and counted", world.call(ada)?.view().counters.refused > 0);
    outcome.control = replay(&mut world, Some((up.exporter, up.peer_key)))?;
    outcome.evidence = format!(
        "{} recorded messages replayed on {} connections: {} answers or knocks; on one with the \
         recorded TLS exporter and key: {}",
        said.len(),
        outcome.eve.tried,
        outcome.eve.got,
        outcome.control.got
    );
    Ok(outcome)
}

/// Nobody's key package passes on a connection with another key, and no handshake can be relayed.
pub(super) fn borrowed_identity(lab: &mut Lab) -> Result<Outcome, LabError> {
    let mut outcome = Outcome::default();
    let mut world = World::new(lab);
    let (ada, invite) = world.host(Admit::Ask, 8)?;
    let eve = world.eve(None);
    let ben_identity = world.identity();
    let ben_leaf = LeafKey::generate(world.rng());

    // What Ben would present, and what Eve makes of his name.
    let ben_package = package(&world, &ben_identity, &ben_leaf, &invite, ben_leaf.public())?;
    let stolen_name = package(&world, &ben_identity, &ben_leaf, &invite, world.leaf_public(eve))?;
    let present = |world: &mut World, package: &[u8], given| -> Result<bool, LabError> {
        let before = world.call(ada)?.view().knocks.len();
        let link = world.eve_dials(eve, ada, given)?;
        world.run(100)?;
        let up = world.established.last().map(|(_, up)| up.clone());
        let up = up.ok_or_else(|| setup("no connection"))?;
        let transcript = Transcript::new(&up.exporter, &up.peer_key, &world.leaf_public(ada));
        let knock = handshake::knock(&invite.k_proof(), invite.id(), &transcript);
        world.eve_says(eve, link, control(&Control::Knock(knock)));
        world.run(100)?;
        let body = ProofBody { key_package: package.to_vec().into() };
        let proof = handshake::proof(&invite.k_proof(), &transcript, &body);
        world.eve_says(eve, link, control(&Control::Proof(proof)));
        world.run(100)?;
        Ok(world.call(ada)?.view().knocks.len() > before)
    };
    for package in [&ben_package, &stolen_name] {
        let got = present(&mut world, package, None)?;
        outcome.eve.add(got);
    }
    let refused = |e: &&Event| matches!(e, Event::Refused { why: Refusal::BadCredential, .. });
    let named = world.parties[ada].events.iter().filter(refused).count() == 2;
    outcome.sees("both are refused for their credential", named);

    // Relayed: Ben dials Eve, who passes everything on to Ada.
    let relayed = relay(lab)?;
    outcome.eve.tried += relayed.tried;
    outcome.eve.got += relayed.got;

    let mut exporter = [0; 32];
    world.rng().fill_bytes(&mut exporter);
    let got = present(&mut world, &ben_package, Some((exporter, ben_leaf.public())))?;
    outcome.control.add(got);
    outcome.evidence = format!(
        "{} tries to knock as Ben: {} shown; with his leaf key in TLS: {}",
        outcome.eve.tried, outcome.eve.got, outcome.control.got
    );
    Ok(outcome)
}

/// A key package signed with `signing`, whose credential names `named`.
fn package(
    world: &World,
    identity: &IdentityKey,
    signing: &LeafKey,
    invite: &Invite,
    named: [u8; 32],
) -> Result<Vec<u8>, LabError> {
    let id = identity.public().0;
    let leaf_key = signing.public();
    // The forger's own check looks away.
    let lenient = move |_: &[u8]| -> Result<CheckedCredential, CredentialRefused> {
        Ok(CheckedCredential { identity: id, leaf_key })
    };
    let local = LocalMember {
        credential: credential(world, identity, invite, named)?,
        leaf_seed: signing.seed_for_tls_or_mls(),
        leaf_key,
    };
    key_package(local, invite.group_id(), &lenient).map(|(bytes, _)| bytes).map_err(setup)
}

/// Ben's handshake passed on to Ada over another connection, both ways.
fn relay(lab: &Lab) -> Result<Tally, LabError> {
    let mut world = World::new(lab);
    let (ada, invite) = world.host(Admit::Ask, 8)?;
    let eve = world.eve(None);
    let mut lure = invite.duplicate();
    lure.addresses = vec![world.parties[eve].address];
    let ben = world.join_as(config("Ben Nevis", Admit::Nobody), lure)?;
    let to_ada = world.eve_dials(eve, ada, None)?;
    world.run(100)?;
    let (from_ben, _) = knocked(&world, eve, ben)?;
    let mut passed = 0;
    for _ in 0..10 {
        let heard = world.parties[eve].inbox.clone();
        for (link, event) in heard.iter().skip(passed) {
            let onward = if *link == from_ben { to_ada } else { from_ben };
            if matches!(event, LinkEvent::Control(_)) {
                world.eve_says(eve, onward, event.clone());
            }
        }
        passed = heard.len();
        world.run(50)?;
    }
    let knocks = world.call(ada)?.view().knocks.len() as u64;
    let members = world.names(ben).len().saturating_sub(1) as u64;
    Ok(Tally::many(1, knocks + members))
}
