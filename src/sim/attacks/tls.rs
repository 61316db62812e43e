//! Attacks on the connection itself: a middle-man who ends TLS on both sides, and downgrades.

use super::manners::{Manners, bad};
use super::stack::{Brings, Stack, host, virtually, wait};
use super::{Lab, LabError, Outcome, Tally, setup};
use crate::call::{Admit, Event};
use crate::identity::handshake::{self, Transcript};
use crate::identity::{Credential, DisplayName, IdentityKey, LeafKey};
use crate::invite::Invite;
use crate::secret::Secret;
use crate::sim::net::Network;
use crate::time::Wall;
use crate::transport::{Endpoint, EndpointOptions, Link, Socket};
use crate::wire::control::Control;
use crate::wire::handshake::AnswerBody;
use crate::wire::link::{LinkEvent, Send};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::timeout;

/// Where Eve lives.
const EVE: usize = 8;

fn endpoint(net: &Network, at: usize, leaf: &LeafKey) -> Result<Endpoint, LabError> {
    let socket = Socket::Custom(net.socket(host(at)).map_err(setup)?);
    Endpoint::bind(socket, leaf.seed_for_tls_or_mls(), EndpointOptions::default()).map_err(setup)
}

/// Ending TLS on both sides gives nothing: neither relayed nor with an identity of her own.
pub(super) fn middle_man(lab: &mut Lab) -> Result<Outcome, LabError> {
    let lab = &*lab;
    let mut outcome = Outcome::default();
    let (relayed, noticed) = virtually(relayed(lab))?;
    let own = IdentityKey::generate(&mut *lab.rng());
    let adas = IdentityKey::generate(&mut *lab.rng());
    let posing = virtually(posing(lab, &own, &adas))?;
    outcome.eve = Tally::many(relayed.tried + posing.tried, relayed.got + posing.got);
    outcome.sees("Ada notices the relayed knock", noticed);
    outcome.control = virtually(self::posing(lab, &adas, &adas))?;
    outcome.evidence = format!(
        "{} calls through Eve's own TLS, relayed or answered by her: {} knocks or names got \
         through; with Ada's identity key: {}",
        outcome.eve.tried, outcome.eve.got, outcome.control.got
    );
    Ok(outcome)
}

/// Ben dials Eve, Eve dials Ada, and passes every message on.
async fn relayed(lab: &Lab) -> Result<(Tally, bool), LabError> {
    let mut stack = Stack::new(lab)?;
    let invite = stack.found(lab, Admit::Any, Brings::Nothing, vec![host(EVE)])?;
    let eve = endpoint(&stack.net, EVE, &LeafKey::generate(&mut *lab.rng()))?;
    let passed = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&passed);
    let pumping = tokio::task::spawn_local(async move {
        let Some(from_ben) = eve.accept().await else { return };
        let Ok(to_ada) = eve.dial(host(0)).await else { return };
        let onward = pump(&from_ben, &to_ada, &count);
        let back = pump(&to_ada, &from_ben, &count);
        tokio::join!(onward, back);
    });
    let ben = stack.join(lab, "Ben Nevis", invite, Brings::Nothing)?;
    wait(8000).await;
    pumping.abort();
    let knocks = |e: &&Event| matches!(e, Event::Knock { .. });
    let got = stack.sides[0].events().iter().filter(knocks).count() as u64;
    let members = stack.sides[ben].members().saturating_sub(1) as u64;
    let refused = stack.sides[0].view().call.counters.refused;
    if passed.load(Ordering::Relaxed) == 0 {
        return Err(setup("nothing was relayed"));
    }
    Ok((Tally::many(1, got + members), refused > 0))
}

async fn pump(from: &Link, to: &Link, count: &AtomicU64) {
    loop {
        match from.event().await {
            LinkEvent::Control(bytes) => {
                count.fetch_add(1, Ordering::Relaxed);
                if to.send(Send::Control(bytes)).is_err() {
                    return;
                }
            }
            LinkEvent::Down(_) => {
                to.close(0);
                return;
            }
            _ => {}
        }
    }
}

/// Eve answers in Ada's place, with a copied invite and this identity: how often Ben says who he is.
async fn posing(lab: &Lab, with: &IdentityKey, host_is: &IdentityKey) -> Result<Tally, LabError> {
    let mut stack = Stack::new(lab)?;
    let secret = Secret::build(|b| lab.rng().fill_bytes(b));
    let expires = Wall(1_800_003_600_000);
    let invite = Invite::new(host_is.public(), secret, expires, 1, vec![host(EVE)]);
    let leaf = LeafKey::generate(&mut *lab.rng());
    let eve = endpoint(&stack.net, EVE, &leaf)?;
    let name = DisplayName::sanitise("Ada Byron");
    let credential = Credential::issue(with, name, leaf.public(), invite.group_id(), expires);
    let credential = credential.map_err(setup)?.encode();
    let copied = invite.duplicate();
    let proofs = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&proofs);
    let answering = tokio::task::spawn_local(async move {
        let Some(link) = eve.accept().await else { return };
        let mut transcript = None;
        loop {
            match link.event().await {
                LinkEvent::Up(up) => {
                    transcript = Some(Transcript::new(&up.exporter, &up.peer_key, &leaf.public()));
                }
                LinkEvent::Control(bytes) => match (Control::decode(&bytes), &transcript) {
                    (Ok(Control::Knock(_)), Some(transcript)) => {
                        let body = AnswerBody {
                            group_id: copied.group_id(),
                            credential: credential.clone().into(),
                        };
                        let answer = handshake::answer(&copied.k_proof(), transcript, &body);
                        let answer = Control::Answer(answer).encode();
                        let _ = link.send(Send::Control(answer.into()));
                    }
                    (Ok(Control::Proof(proof)), Some(transcript)) => {
                        let opened = handshake::open_proof(&copied.k_proof(), transcript, &proof);
                        count.fetch_add(u64::from(opened.is_ok()), Ordering::Relaxed);
                    }
                    _ => {}
                },
                LinkEvent::Down(_) => return,
                _ => {}
            }
        }
    });
    stack.join(lab, "Ben Nevis", invite, Brings::Nothing)?;
    wait(3000).await;
    answering.abort();
    Ok(Tally::many(1, proofs.load(Ordering::Relaxed)))
}

/// Nothing older, weaker or other than the one protocol is ever agreed on.
pub(super) fn downgrade(lab: &mut Lab) -> Result<Outcome, LabError> {
    let lab = &*lab;
    let mut outcome = Outcome::default();
    let somebody = LeafKey::generate(&mut *lab.rng()).public();
    let mut tried: Vec<_> = bad(somebody);
    tried.push(("no key at all", Manners { anonymous: true, ..Manners::default() }));
    for (_, manners) in &tried {
        let [dialled, answered] = virtually(both_ways(lab, manners))?;
        outcome.eve.add(dialled);
        if !manners.anonymous {
            outcome.eve.add(answered);
        }
    }
    let handshakes = outcome.eve.tried;
    let [dialled, answered] = virtually(both_ways(lab, &Manners::default()))?;
    outcome.control.add(dialled);
    outcome.control.add(answered);
    outcome.sees("both ways work with the one protocol", dialled && answered);

    // An invite with any one character changed, or cut short.
    let secret = Secret::build(|b| lab.rng().fill_bytes(b));
    let identity = IdentityKey::generate(&mut *lab.rng());
    let expires = Wall(1_800_003_600_000);
    let invite = Invite::new(identity.public(), secret, expires, 1, vec![host(0), host(1)]);
    let text = invite.to_text();
    for at in 0..text.len() {
        for letter in "abcdefghijklmnopqrstuvwxyz234567".chars() {
            let mut edited = text.clone();
            edited.replace_range(at..=at, &letter.to_string());
            if edited != text {
                outcome.eve.add(Invite::parse(&edited).is_ok());
            }
        }
        outcome.eve.add(Invite::parse(&text[..at]).is_ok());
    }
    outcome.control.add(Invite::parse(&text).is_ok());
    let edits = outcome.eve.tried - handshakes;

    // A key package for another suite.
    let circle = super::circle::Circle::of(lab, &["Ada"])?;
    let person = super::circle::Person::new(lab, "Ben");
    let (package, _) = person.key_package()?;
    for suite in (0u16..=8).chain([0x004b, 0x004c, 0x004e]) {
        let mut other = package.clone();
        other[6..8].copy_from_slice(&suite.to_be_bytes());
        outcome.eve.add(circle.groups[0].read_key_package(&other).is_ok());
    }
    outcome.control.add(circle.groups[0].read_key_package(&package).is_ok());
    outcome.evidence = format!(
        "{handshakes} handshakes with another ALPN, key exchange, suite or kind of key, {edits} \
         edited invites, 12 other MLS suites: {} accepted; with the one protocol: {} of {}",
        outcome.eve.got, outcome.control.got, outcome.control.tried
    );
    Ok(outcome)
}

/// Such a stranger dials us, and we dial it: does either become a connection?
async fn both_ways(lab: &Lab, manners: &Manners) -> Result<[bool; 2], LabError> {
    let net = Network::new(lab.seed);
    let ours = endpoint(&net, 0, &LeafKey::generate(&mut *lab.rng()))?;
    let stranger = manners.stranger(&net, host(1))?;
    let connecting = stranger.connect(host(0), "facetty").map_err(setup)?;
    let patience = Duration::from_secs(9);
    // The stranger's own half may be done before we have judged it: what counts is ours.
    let (_theirs, accepted) = tokio::join!(
        async { timeout(patience, connecting).await },
        timeout(patience, ours.accept())
    );
    let dialled = accepted.is_ok_and(|link| link.is_some());
    let answering = tokio::task::spawn_local(async move {
        while let Some(incoming) = stranger.accept().await {
            if let Ok(connection) = incoming.await {
                connection.closed().await;
            }
        }
    });
    let answered = timeout(patience, ours.dial(host(1))).await.is_ok_and(|link| link.is_ok());
    answering.abort();
    Ok([dialled, answered])
}
